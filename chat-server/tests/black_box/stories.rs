//! The same story on every kind of installation where it makes sense.

/// Makes tests of the functions that are named, each with the kind of installation as its argument:
/// `embedded::story`, and with the feature `server-tests` `mysql::story` and `cluster::story`.
macro_rules! stories {
    (
        $(everywhere: [$($everywhere:ident),+ $(,)?];)?
        $(on_one_node: [$($on_one_node:ident),+ $(,)?];)?
        $(on_a_folder: [$($on_a_folder:ident),+ $(,)?];)?
    ) => {
        mod embedded {
            $($(story!($everywhere, Embedded);)+)?
            $($(story!($on_one_node, Embedded);)+)?
            $($(story!($on_a_folder, Embedded);)+)?
        }
        #[cfg(feature = "server-tests")]
        mod mysql {
            $($(story!($everywhere, Mysql);)+)?
            $($(story!($on_one_node, Mysql);)+)?
        }
        #[cfg(feature = "server-tests")]
        mod cluster {
            $($(story!($everywhere, Cluster);)+)?
        }
    };
}

macro_rules! story {
    ($name:ident, $kind:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            Box::pin(super::$name($crate::server::Kind::$kind)).await;
        }
    };
}
