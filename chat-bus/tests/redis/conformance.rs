//! The bus contract, on one server and on a cluster.

mod single {
    use crate::{fixture::endpoints, servers::shared_server};

    chat_core::bus_conformance!(async { (endpoints(&shared_server().url()).await, ()) });
}

mod cluster {
    use crate::{fixture::endpoints, servers::shared_cluster};

    chat_core::bus_conformance!(async { (endpoints(&shared_cluster().url()).await, ()) });
}
