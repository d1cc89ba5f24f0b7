//! Redis servers of the tests' own, on free ports and in folders of their own.
//!
//! However a test ends, its servers end with it: each is started by a shell that waits for the end of
//! its standard input and then kills the server and removes its folder. The other end of that pipe
//! is held by this process alone (Rust opens pipes close-on-exec), so it closes when the value is
//! dropped, when the process exits without dropping it, and when the process is killed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::authority::Authority;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a server (the arguments after the first) in a folder (the first) until its input ends. The
/// folder stays when that is asked for.
const WATCHED: &str = r#"
dir=$1; shift
cd "$dir" || exit 1
redis-server "$@" >redis.log 2>&1 &
server=$!
read -r keep
kill -9 $server 2>/dev/null
wait $server 2>/dev/null
[ "$keep" = keep ] || { cd / && rm -rf "$dir"; }
"#;

pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
    extra: Vec<String>,
    watcher: Option<Child>,
}

impl Server {
    /// A single server.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// A server that wants this password.
    pub(crate) fn with_password(password: &str) -> Self {
        Self::start_with(|_| vec!["--requirepass".into(), password.into()])
    }

    /// A server that is also reached over TLS.
    pub(crate) fn with_tls(authority: &Authority) -> Self {
        Self::start_with(|_| authority.arguments(free_port()))
    }

    /// Ports may be taken by others between being found free and being bound: then others are tried.
    fn start_with(extra: impl Fn(u16) -> Vec<String>) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let folder = tempfile::Builder::new().prefix("chat-bus-redis-").tempdir().expect("a folder");
            let mut server = Self { port, folder: folder.keep(), extra: extra(port), watcher: None };
            if server.run() {
                return server;
            }
        }
        panic!("no redis server starts: is redis-server installed?");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.tls_port())
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.end("keep");
    }

    /// Starts it again, empty, on the same port; the node of a cluster keeps its place in it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(self.run(), "redis does not come back");
    }

    /// Sends an inline command; gives the first line of the reply.
    pub(crate) fn command(&self, command: &str) -> String {
        self.try_command(command).expect("redis answers")
    }

    /// Its process.
    pub(crate) fn pid(&self) -> String {
        let pid =
            self.lines("INFO server").find_map(|line| line.strip_prefix("process_id:").map(str::to_owned));
        pid.expect("redis answers")
    }

    fn run(&mut self) -> bool {
        let watcher = Command::new("sh")
            .args(["-c", WATCHED, "watcher"])
            .arg(&self.folder)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no"])
            .args(&self.extra)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Whoever kills the tests as a group leaves it to end the server.
            .process_group(0)
            .spawn()
            .expect("a shell");
        self.watcher = Some(watcher);
        let ready = |line: String| line.starts_with("+PONG") || line.starts_with("-NOAUTH");
        wait_until(|| self.try_command("PING").is_ok_and(ready))
    }

    fn end(&mut self, and: &str) {
        if let Some(mut watcher) = self.watcher.take() {
            if let Some(mut pipe) = watcher.stdin.take() {
                writeln!(pipe, "{and}").expect("the watcher reads");
            }
            watcher.wait().expect("the watcher ends");
        }
    }

    fn try_command(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    }

    fn tls_port(&self) -> u16 {
        let named = self.extra.iter().position(|argument| argument == "--tls-port");
        named.and_then(|at| self.extra[at + 1].parse().ok()).expect("a server with TLS")
    }

    /// Whether a line of the reply is this.
    pub(crate) fn says(&self, command: &str, what: &str) -> bool {
        self.lines(command).any(|line| line == what)
    }

    /// How often it was given this command since it was started.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let named = format!("cmdstat_{command}:calls=");
        let of_it = |line: String| line.strip_prefix(&named).map(str::to_owned);
        let calls = self.lines("INFO commandstats").find_map(of_it);
        calls.map_or(0, |calls| {
            calls.split(',').next().and_then(|calls| calls.parse().ok()).expect("a number")
        })
    }

    /// The lines of a reply, until none has come for a while.
    fn lines(&self, command: &str) -> impl Iterator<Item = String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_millis(500)))?;
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            Ok(stream)
        });
        stream.into_iter().flat_map(|stream| BufReader::new(stream).lines().map_while(Result::ok))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.watcher.is_some() {
            self.end("");
        } else {
            // It was killed, and its folder stayed.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A cluster of three masters.
pub(crate) struct Cluster {
    pub(crate) masters: Vec<Server>,
    /// One for each master, if any.
    pub(crate) replicas: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of((0..3).map(|_| Server::start_with(|_| clustered())).collect(), &[])
    }

    /// A cluster in which each master has a replica that takes its place.
    pub(crate) fn with_replicas() -> Self {
        let servers = (0..6).map(|_| Server::start_with(|_| clustered())).collect();
        Self::of(servers, &["--cluster-replicas", "1"])
    }

    /// A cluster whose nodes speak TLS, also to each other.
    pub(crate) fn with_tls(authority: &Authority) -> Self {
        let arguments = || {
            let tls = ["--tls-cluster", "yes"].map(str::to_owned);
            [clustered(), authority.arguments(free_port()), tls.to_vec()].concat()
        };
        let ca = authority.file();
        let servers = (0..3).map(|_| Server::start_with(|_| arguments())).collect();
        Self::of(servers, &["--tls", "--cacert", ca.to_str().expect("a plain path")])
    }

    fn of(mut masters: Vec<Server>, options: &[&str]) -> Self {
        let tls = options.contains(&"--tls");
        let port = |server: &Server| if tls { server.tls_port() } else { server.port };
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(masters.iter().map(|server| format!("127.0.0.1:{}", port(server))))
            .args(options)
            .arg("--cluster-yes")
            .output()
            .expect("redis-cli");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let sound = |server: &Server| server.says("CLUSTER INFO", "cluster_state:ok");
        assert!(wait_until(|| masters.iter().all(sound)), "the cluster does not come up");
        // Masters are named first.
        let replicas = masters.split_off(3);
        let copied = |server: &Server| server.says("INFO replication", "master_link_status:up");
        assert!(wait_until(|| replicas.iter().all(copied)), "the replicas do not come up");
        Self { masters, replicas }
    }

    /// Moves so many slots from the first master to the second.
    pub(crate) fn reshard(&self, slots: u32) {
        let id = |master: &Server| {
            master.lines("CLUSTER MYID").find(|line| line.len() == 40).expect("a cluster node")
        };
        let moved = Command::new("redis-cli")
            .args(["--cluster", "reshard", &format!("127.0.0.1:{}", self.masters[0].port)])
            .args(["--cluster-from", &id(&self.masters[0]), "--cluster-to", &id(&self.masters[1])])
            .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
            .output()
            .expect("redis-cli");
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stdout));
    }

    pub(crate) fn url(&self) -> String {
        let [first, second, third] = [0, 1, 2].map(|master| self.masters[master].port);
        format!("redis-cluster://127.0.0.1:{first}?node=127.0.0.1:{second}&node=127.0.0.1:{third}")
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("rediss-cluster://127.0.0.1:{}", self.masters[0].tls_port())
    }
}

/// What makes a server a node of a cluster.
fn clustered() -> Vec<String> {
    [
        ("--cluster-enabled", "yes".into()),
        ("--cluster-config-file", "nodes.conf".into()),
        ("--cluster-port", free_port().to_string()),
        ("--cluster-announce-ip", "127.0.0.1".into()),
        ("--cluster-node-timeout", "2000".into()),
        // A replica takes over however long it has not heard of its master.
        ("--cluster-replica-validity-factor", "0".into()),
        ("--repl-diskless-sync-delay", "0".into()),
    ]
    .map(|(name, value): (&str, String)| [name.to_owned(), value])
    .concat()
}

/// One server for all tests that do it no harm.
pub(crate) fn shared_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// One cluster for all tests that do it no harm.
pub(crate) fn shared_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Sends a signal to a process of a test's own.
pub(crate) fn signal(pid: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().expect("kill").success());
}
