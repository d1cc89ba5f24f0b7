//! A Galera cluster of three servers that all take writes.

use chat_store::mysql::MysqlStore;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::server::{Server, Setup, User, address, connect, free_ports};

const SERVERS: usize = 3;

/// Three servers, each with all the data.
pub(crate) struct Cluster {
    servers: Vec<Server>,
}

/// The one that most tests share, with a database for each.
pub(crate) async fn cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(Cluster::start).await
}

/// Another one, for tests that disturb whoever else uses it: one at a time.
pub(crate) async fn disturbed() -> MutexGuard<'static, Cluster> {
    static DISTURBED: OnceCell<Mutex<Cluster>> = OnceCell::const_new();
    DISTURBED.get_or_init(async || Mutex::new(Cluster::start().await)).await.lock().await
}

impl Cluster {
    async fn start() -> Self {
        let mut servers: Vec<Server> = Vec::new();
        // For each server one to talk to the others, one to be brought up to date, one to be filled.
        let ports = free_ports(3 * SERVERS);
        for (index, own) in ports.chunks(3).enumerate() {
            let others = if index == 0 { String::new() } else { format!("127.0.0.1:{}", ports[0]) };
            let setup = Setup { user: User::Mysql, options: options(index, own, &others), joins: index > 0 };
            let server = Server::launch(setup);
            server.wait_for(is_synced).await;
            servers.push(server);
        }
        Self { servers }
    }

    pub(crate) fn server(&self, index: usize) -> &Server {
        &self.servers[index]
    }

    /// A new database: its address on each server.
    pub(crate) async fn database(&self) -> Vec<String> {
        let name = self.servers[0].make_database().await;
        for server in &self.servers {
            wait_until_seen(&mut server.admin().await, &name).await;
        }
        self.servers.iter().map(|server| address(&name, server.port())).collect()
    }

    /// A store of a new database on each server.
    pub(crate) async fn stores(&self) -> Vec<MysqlStore> {
        let mut stores = Vec::new();
        for url in self.database().await {
            stores.push(connect(&url).await);
        }
        stores
    }
}

fn options(index: usize, own: &[u16], others: &str) -> Vec<String> {
    let [group, incremental, whole] = own else { panic!("three ports of its own") };
    let options = [
        "--innodb-buffer-pool-size=64M".to_owned(),
        "--innodb-log-file-size=64M".into(),
        "--binlog-format=ROW".into(),
        "--innodb-autoinc-lock-mode=2".into(),
        "--wsrep-on=ON".into(),
        "--wsrep-provider=/usr/lib/galera/libgalera_smm.so".into(),
        "--wsrep-cluster-name=tests".into(),
        format!("--wsrep-node-name=server{index}"),
        format!("--wsrep-node-address=127.0.0.1:{group}"),
        format!(
            "--wsrep-provider-options=base_port={group};gmcast.listen_addr=tcp://127.0.0.1:{group};\
             ist.recv_addr=127.0.0.1:{incremental};gcache.size=32M"
        ),
        "--wsrep-sst-method=rsync".into(),
        format!("--wsrep-sst-receive-address=127.0.0.1:{whole}"),
        format!("--wsrep-cluster-address=gcomm://{others}"),
    ];
    options.into()
}

async fn is_synced(admin: &mut Conn) -> bool {
    let state = "SHOW STATUS LIKE 'wsrep_local_state_comment'";
    let state = admin.query_first::<(String, String), _>(state).await;
    matches!(state, Ok(Some((_, state))) if state == "Synced")
}

/// Whoever connects to a database must find it; only then can a session wait by itself.
async fn wait_until_seen(admin: &mut Conn, database: &str) {
    admin.query_drop("SET SESSION wsrep_sync_wait = 15").await.expect("a server of a cluster");
    let found = admin.query_first::<String, _>(format!("SHOW DATABASES LIKE '{database}'")).await;
    assert_eq!(found.expect("the server answers").as_deref(), Some(database));
}
