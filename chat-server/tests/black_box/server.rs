//! The server as it is installed: on a folder, on a database, or as a cluster behind a balancer.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
#[cfg(feature = "server-tests")]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

#[cfg(feature = "server-tests")]
use crate::nginx::{self, Nginx};
use crate::node::{Memory, Node};
use crate::ports::quiet_port;

/// What every server here runs with: passwords that cost nothing to hash, and no limit on rates.
const SETTINGS: &str = "
log = 'info,chat_proto=debug,chat_server=debug'
[accounts]
password_memory_kib = 8
password_passes = 1
[rates]
commands_per_second = 0
reads_per_second = 0
";

/// Nothing here takes that long, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How long between two looks at what can only be looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Waits for what is certain to come, and says what did not.
pub(crate) async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// How a server is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One process on a folder.
    Embedded,
    /// One process on a database.
    #[cfg(feature = "server-tests")]
    Mysql,
    /// Three processes on a database and a bus, behind a balancer that gives each the next client.
    #[cfg(feature = "server-tests")]
    Cluster,
}

impl Kind {
    fn nodes(self) -> usize {
        match self {
            Self::Embedded => 1,
            #[cfg(feature = "server-tests")]
            Self::Mysql => 1,
            #[cfg(feature = "server-tests")]
            Self::Cluster => 3,
        }
    }
}

/// What is left of a server when its processes are gone: folder, settings, addresses, database.
pub(crate) struct Installation {
    kind: Kind,
    #[cfg(feature = "server-tests")]
    balancer: Option<Nginx>,
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    /// Of each node.
    addresses: Vec<String>,
    /// The address of the shared store, unless there is none.
    store: Option<String>,
    /// The address by which one node has it, if that is another.
    detour: Option<(usize, String)>,
    /// The address of the bus, as each node has it.
    buses: Vec<String>,
}

impl Installation {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::with(kind, &[]).await
    }

    /// With these environment variables as further settings.
    pub(crate) async fn with(kind: Kind, variables: &[(&'static str, &str)]) -> Self {
        let mut installation = Self::prepare(kind, variables);
        #[cfg(feature = "server-tests")]
        if kind != Kind::Embedded {
            let database = crate::mariadb::shared().await.database().await;
            installation.store = Some(database);
        }
        #[cfg(feature = "server-tests")]
        if kind == Kind::Cluster {
            installation.join_bus(&crate::redis::shared_server().url());
            installation.balance();
        }
        // Without the feature there is nothing to wait for.
        std::future::ready(()).await;
        installation.addresses.resize(kind.nodes(), "127.0.0.1:0".into());
        installation
    }

    /// Without a store other than its folder.
    fn prepare(kind: Kind, variables: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("settings.toml"), SETTINGS).expect("it can be written to");
        Self {
            kind,
            #[cfg(feature = "server-tests")]
            balancer: None,
            folder,
            variables: variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            addresses: Vec::new(),
            store: None,
            detour: None,
            buses: Vec::new(),
        }
    }

    /// A cluster on these servers, which a test may harm.
    #[cfg(feature = "server-tests")]
    pub(crate) fn cluster(store: &str, bus: Option<&str>, variables: &[(&'static str, &str)]) -> Self {
        let mut installation = Self::prepare(Kind::Cluster, variables);
        installation.store = Some(store.into());
        if let Some(bus) = bus {
            installation.join_bus(bus);
        }
        installation.balance();
        installation
    }

    /// Every installation has channels of its own.
    #[cfg(feature = "server-tests")]
    fn join_bus(&mut self, address: &str) {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        self.buses = vec![address.into(); self.kind.nodes()];
        self.variables.push(("CHAT_REDIS_NAMESPACE", format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))));
    }

    /// What the names of its channels begin with.
    #[cfg(feature = "server-tests")]
    pub(crate) fn namespace(&self) -> &str {
        let variable = self.variables.iter().find(|(name, _)| *name == "CHAT_REDIS_NAMESPACE");
        &variable.expect("it has a bus").1
    }

    /// One node reaches the bus at another address.
    #[cfg(feature = "server-tests")]
    pub(crate) fn set_bus_of(&mut self, node: usize, address: &str) {
        self.buses[node] = address.into();
    }

    /// One node reaches the store at another address.
    #[cfg(feature = "server-tests")]
    pub(crate) fn set_store_of(&mut self, node: usize, address: &str) {
        self.detour = Some((node, address.into()));
    }

    #[cfg(feature = "server-tests")]
    fn balance(&mut self) {
        self.addresses = (0..self.kind.nodes()).map(|_| format!("127.0.0.1:{}", quiet_port())).collect();
        self.variables.push(("CHAT_PROXIES", nginx::FROM.into()));
        self.balancer = Some(Nginx::start(self.folder.path(), &self.addresses));
    }

    /// What is in front of the nodes.
    #[cfg(feature = "server-tests")]
    pub(crate) fn balancer(&self) -> &Nginx {
        self.balancer.as_ref().expect("a cluster has one")
    }

    /// Where the nodes of a cluster listen, whether they run or not.
    #[cfg(feature = "server-tests")]
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The same at an address at which a server can be started again and again. A cluster is anyway.
    pub(crate) fn at_fixed_address(self) -> Self {
        if self.kind.nodes() > 1 { self } else { self.at(&format!("127.0.0.1:{}", quiet_port())) }
    }

    /// The same, of one node, at this address.
    pub(crate) fn at(self, address: &str) -> Self {
        Self { addresses: vec![address.into()], ..self }
    }

    /// Where settings, logs and the store's folder are, and what else a test keeps.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store's folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The store's address.
    #[cfg(feature = "server-tests")]
    pub(crate) fn database(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Everything that the nodes have logged.
    pub(crate) fn log(&self) -> String {
        let logs = (0..self.kind.nodes()).map(|node| fs::read_to_string(self.log_file(node)));
        logs.map(Result::unwrap_or_default).collect()
    }

    fn command(&self, node: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
            command.env_remove(name);
        }
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .arg("--config")
            .arg(self.folder.path().join("settings.toml"))
            .args(["--listen", &self.addresses[node], "--node", &name(node), "--data"])
            .arg(self.data())
            .args(self.store_of(node).into_iter().flat_map(|address| ["--store", address]))
            .args(self.buses.get(node).iter().flat_map(|address| ["--bus", address]))
            .stdin(Stdio::null());
        command
    }

    fn store_of(&self, node: usize) -> Option<&str> {
        let detour = self.detour.as_ref().filter(|(of, _)| *of == node);
        detour.map(|(_, address)| address.as_str()).or(self.store.as_deref())
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(&self) -> Server {
        // At the same moment, as it may happen.
        let mut nodes: Vec<_> = (0..self.kind.nodes()).map(|node| self.begin_node(node)).collect();
        nodes.iter_mut().for_each(Node::ready);
        #[cfg(feature = "server-tests")]
        if let Some(balancer) = &self.balancer {
            return Server { address: balancer.address(), nodes };
        }
        Server { address: nodes[0].address.clone(), nodes }
    }

    /// Starts one node and waits until it is ready.
    pub(crate) fn start_node(&self, node: usize) -> Node {
        let mut started = self.begin_node(node);
        started.ready();
        started
    }

    fn begin_node(&self, node: usize) -> Node {
        Node::start(self.command(node), self.log_file(node))
    }

    /// Runs a server that does not become ready, to its end.
    pub(crate) fn start_in_vain(&self) -> Output {
        self.command(0).output().expect("the binary runs")
    }

    fn log_file(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("{}.log", name(node)))
    }
}

fn name(node: usize) -> String {
    format!("node{}", node + 1)
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    pub(crate) nodes: Vec<Node>,
    pub(crate) address: String,
}

impl Server {
    /// Ends it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
    }

    /// Asks it to stop, with SIGTERM.
    pub(crate) fn terminate(&self) {
        self.nodes.iter().for_each(|node| node.signal("TERM"));
    }

    /// Waits for its end; says how the nodes ended.
    pub(crate) async fn ended(&mut self) -> Vec<ExitStatus> {
        let mut statuses = Vec::new();
        for node in &mut self.nodes {
            statuses.push(node.ended().await);
        }
        statuses
    }

    /// Waits for its end, which is to be in order.
    pub(crate) async fn ended_in_order(&mut self) {
        assert!(self.ended().await.iter().all(ExitStatus::success), "an orderly stop");
    }

    /// Asks it to stop and waits until it has, in order.
    pub(crate) async fn stop(mut self) {
        self.terminate();
        self.ended_in_order().await;
    }

    /// The most memory that its nodes have occupied so far, together; `None` where the system does not
    /// tell.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        self.nodes.iter().map(|node| node.memory_bytes(Memory::Peak)).sum()
    }

    /// How many files and connections it has open; `None` where the system does not tell.
    pub(crate) fn open_files(&self) -> Option<usize> {
        self.nodes.iter().map(Node::open_files).sum()
    }
}
