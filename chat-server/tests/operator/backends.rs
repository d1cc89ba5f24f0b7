//! A database and a bus of a test's own, which it stops and starts.
//!
//! Each runs under a shell that waits for the end of its standard input and then kills it: however
//! this process ends, that pipe closes.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs its arguments until its input ends.
const WATCHED: &str = r#"
"$@" > /dev/null 2>&1 &
server=$!
cat > /dev/null
kill -9 $server
wait $server
"#;

/// A program that runs until it is dropped.
struct Watched(Child);

impl Watched {
    fn run(program: &str, arguments: &[String]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHED, "sh", program]).args(arguments).stdin(Stdio::piped());
        Self(shell.stderr(Stdio::null()).spawn().expect("there is a shell"))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a free port").port()
}

fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < patience, "{what} does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The option that lets the database run as this user, who may be root.
fn user(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let is_root = folder.metadata().expect("the folder is there").uid() == 0;
    is_root.then(|| "--user=root".to_owned()).into_iter().collect()
}

/// A database server with one database, `chat`.
pub(crate) struct Maria {
    folder: TempDir,
    port: u16,
    running: Option<Watched>,
}

impl Maria {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let installed = Command::new("mariadb-install-db")
            .arg("--no-defaults")
            .args(user(folder.path()))
            .arg(format!("--datadir={}/data", folder.path().display()))
            // A server that starts empties its folder of temporary tables, those of others included.
            .arg(format!("--tmpdir={}", folder.path().display()))
            .args(["--skip-test-db", "--auth-root-authentication-method=normal"])
            .output()
            .expect("MariaDB is installed");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let mut maria = Self { folder, port: free_port(), running: None };
        maria.run();
        maria.query("CREATE DATABASE chat");
        maria.query("CREATE USER chat@'127.0.0.1' IDENTIFIED BY 'secret'");
        maria.query("GRANT ALL ON chat.* TO chat@'127.0.0.1'");
        maria
    }

    pub(crate) fn url(&self) -> String {
        format!("mysql://chat:secret@127.0.0.1:{}/chat", self.port)
    }

    /// Starts it on what it had, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let folder = self.folder.path().display();
        let mut arguments = vec!["--no-defaults".to_owned()];
        arguments.extend(user(self.folder.path()));
        arguments.extend([
            format!("--datadir={folder}/data"),
            format!("--tmpdir={folder}"),
            format!("--socket={folder}/socket"),
            format!("--pid-file={folder}/pid"),
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            "--skip-name-resolve".to_owned(),
        ]);
        self.running = Some(Watched::run("mariadbd", &arguments));
        wait_for("MariaDB", || self.ask("SELECT 1"));
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Carries out a statement of the administrator.
    pub(crate) fn query(&self, statement: &str) {
        assert!(self.ask(statement), "{statement}");
    }

    fn ask(&self, statement: &str) -> bool {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--execute", statement]);
        client.arg(format!("--socket={}/socket", self.folder.path().display()));
        client.output().expect("MariaDB's client is installed").status.success()
    }
}

/// A Redis server.
pub(crate) struct Redis {
    folder: TempDir,
    port: u16,
    running: Option<Watched>,
}

impl Redis {
    /// One that does not run yet.
    pub(crate) fn absent() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), port: free_port(), running: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn run(&mut self) {
        let (port, folder) = (self.port.to_string(), self.folder.path().display().to_string());
        let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &folder];
        self.running = Some(Watched::run("redis-server", &arguments.map(str::to_owned)));
        wait_for("Redis", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }
}
