//! The cluster: MariaDB, Redis, nodes with links of their own to both, and nginx in front of them.

use std::path::{Path, PathBuf};

use tokio::sync::Mutex;
use tokio::task::block_in_place;

use super::link::Link;
use super::nginx::{self, Nginx};
use super::node::Node;
use super::ports::quiet_port;
use super::schedule::LEASE;
use super::{NODES, mariadb, redis};
use crate::measure::Failure;

/// What Redis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RedisKind {
    /// One server.
    Single,
    /// A cluster of three masters.
    Cluster,
}

/// All of it; it ends when this is dropped, or this process ends.
pub(super) struct Cluster {
    // Ends first.
    pub(super) nginx: Mutex<Nginx>,
    pub(super) nodes: Vec<Node>,
    /// Of each node.
    pub(super) to_mariadb: Vec<Link>,
    /// Of each node, to each server.
    pub(super) to_redis: Vec<Vec<Link>>,
    pub(super) mariadb: Mutex<mariadb::Server>,
    pub(super) redis: Mutex<Redis>,
}

/// One server, or the masters of a cluster.
pub(super) enum Redis {
    Single(redis::Server),
    Cluster(redis::Cluster),
}

impl Cluster {
    /// Starts it; logs are written into a folder.
    pub(super) async fn start(folder: &Path, kind: RedisKind) -> Result<Self, Failure> {
        let program = program("chat-server")?;
        let settings = folder.join("settings.toml");
        std::fs::write(&settings, self::settings())?;
        let mariadb = mariadb::Server::start().await;
        let database = mariadb.make_database().await;
        let redis = block_in_place(|| match kind {
            RedisKind::Single => Redis::Single(redis::Server::start()),
            RedisKind::Cluster => Redis::Cluster(redis::Cluster::start()),
        });
        let (mut nodes, mut to_mariadb, mut to_redis) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=NODES {
            let store = Link::to(mariadb.port()).await;
            let (bus, links) = redis.linked().await;
            let further = [
                ("--config", settings.to_string_lossy().into_owned()),
                ("--store", mariadb::address(&database, store.address().port())),
                ("--bus", bus),
            ];
            let further = further.map(|(name, value)| [name.to_owned(), value]).concat();
            let ports = [quiet_port(), quiet_port()];
            nodes.push(Node::new(format!("node{number}"), &program, folder, ports, &further));
            to_mariadb.push(store);
            to_redis.push(links);
        }
        for node in &nodes {
            node.start().await?;
        }
        let addresses: Vec<_> = nodes.iter().map(|node| node.address.clone()).collect();
        let nginx = block_in_place(|| Nginx::start(folder, &addresses));
        let (mariadb, redis) = (Mutex::new(mariadb), Mutex::new(redis));
        Ok(Self { nginx: Mutex::new(nginx), nodes, to_mariadb, to_redis, mariadb, redis })
    }

    /// Where clients connect.
    pub(super) async fn address(&self) -> String {
        self.nginx.lock().await.address()
    }

    /// Servers that do not answer, of those that nobody starts again when they end.
    pub(super) async fn ended(&self) -> Vec<String> {
        let mut ended = Vec::new();
        if self.mariadb.lock().await.try_admin().await.is_err() {
            ended.push("MariaDB has ended".to_owned());
        }
        let mut redis = self.redis.lock().await;
        let silent = |server: &&mut redis::Server| !server.says("PING", "+PONG");
        let silent = block_in_place(|| redis.servers().iter_mut().filter(silent).count());
        if silent > 0 {
            ended.push(format!("{silent} of Redis have ended"));
        }
        ended
    }

    /// Where the nodes listen.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }
}

impl Redis {
    /// The servers.
    pub(super) fn servers(&mut self) -> &mut [redis::Server] {
        match self {
            Self::Single(server) => std::slice::from_mut(server),
            Self::Cluster(cluster) => &mut cluster.masters,
        }
    }

    /// The one that is meant, where it is one of them.
    pub(super) fn server(&mut self, target: usize) -> &mut redis::Server {
        let servers = self.servers();
        let count = servers.len();
        &mut servers[target % count]
    }

    /// Its address by links that are new, and those.
    async fn linked(&self) -> (String, Vec<Link>) {
        match self {
            Self::Single(server) => {
                let link = Link::to(server.port).await;
                (format!("redis://{}", link.address()), vec![link])
            }
            Self::Cluster(cluster) => {
                let ports: Vec<_> = cluster.masters.iter().map(|master| master.port).collect();
                let links = Link::to_cluster(&ports).await;
                let [first, second, third] = [0, 1, 2].map(|number| links[number].address());
                (format!("redis-cluster://{first}?node={second}&node={third}"), links)
            }
        }
    }
}

/// Nodes miss each other soon, clients leave a silent node soon, and passwords cost nothing to hash.
fn settings() -> String {
    format!(
        "proxies = '{}'
[accounts]
password_memory_kib = 8
password_passes = 1
[connections]
ping_interval_ms = 2000
[presence]
lease_ms = {}
[rates]
commands_per_second = 0
reads_per_second = 0
",
        nginx::FROM,
        LEASE.as_millis()
    )
}

/// A program that was built beside this one.
pub(super) fn program(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    // Tests are in a folder below.
    let folders = own.ancestors().skip(1).take(2);
    let mut found = folders.map(|folder| folder.join(name)).filter(|file| file.exists());
    found
        .next()
        .ok_or_else(|| format!("{name} is not built: cargo build -p chat-server -p chat-benches").into())
}
