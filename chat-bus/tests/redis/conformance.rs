//! The bus contract, on one server and on a cluster, also of endpoints that are cut off for a while.

mod single {
    use crate::{fixture::endpoints, servers::shared_server};

    chat_core::bus_conformance!(async { (endpoints(&shared_server().url()).await, ()) });
}

mod cluster {
    use crate::{fixture::endpoints, servers::shared_cluster};

    chat_core::bus_conformance!(async { (endpoints(&shared_cluster().url()).await, ()) });
}

mod single_shut_out {
    use crate::outage::{Cut, interruptible};
    use crate::servers::shared_server;

    chat_core::bus_outage_conformance!(async {
        let server = shared_server();
        (interruptible(&server.url(), std::slice::from_ref(server), Cut::ShutOut).await, ())
    });
}

mod single_hung_up {
    use crate::outage::{Cut, interruptible};
    use crate::servers::shared_server;

    chat_core::bus_outage_conformance!(async {
        let server = shared_server();
        (interruptible(&server.url(), std::slice::from_ref(server), Cut::HungUp).await, ())
    });
}

mod cluster_shut_out {
    use crate::outage::{Cut, interruptible};
    use crate::servers::shared_cluster;

    chat_core::bus_outage_conformance!(async {
        let cluster = shared_cluster();
        (interruptible(&cluster.url(), &cluster.masters, Cut::ShutOut).await, ())
    });
}

mod cluster_hung_up {
    use crate::outage::{Cut, interruptible};
    use crate::servers::shared_cluster;

    chat_core::bus_outage_conformance!(async {
        let cluster = shared_cluster();
        (interruptible(&cluster.url(), &cluster.masters, Cut::HungUp).await, ())
    });
}
