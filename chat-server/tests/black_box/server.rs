//! The server's process: started on a folder of its own, watched, stopped, killed.

use std::fs::{self, File};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

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
const PATIENCE: Duration = Duration::from_secs(90);

/// How long between two looks at what can only be looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Waits for what is certain to come, and says what did not.
pub(crate) async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// What is left of a server when its process is gone: folder, settings and address.
pub(crate) struct Installation {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    address: String,
}

impl Installation {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With these environment variables as further settings.
    pub(crate) fn with(variables: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("settings.toml"), SETTINGS).expect("it can be written to");
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { folder, variables, address: "127.0.0.1:0".into() }
    }

    /// The same at an address at which a server can be started again and again.
    pub(crate) fn at_fixed_address(self) -> Self {
        self.at(&format!("127.0.0.1:{}", quiet_port()))
    }

    /// The same at this address.
    pub(crate) fn at(self, address: &str) -> Self {
        Self { address: address.into(), ..self }
    }

    /// Where settings, log and the store's folder are, and what else a test keeps.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store's folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything that the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The server's command line.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
            command.env_remove(name);
        }
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .arg("--config")
            .arg(self.folder.path().join("settings.toml"))
            .args(["--listen", &self.address, "--data"])
            .arg(self.data())
            .stdin(Stdio::null());
        command
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(&self) -> Server {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log");
        let child = self.command().stdout(Stdio::piped()).stderr(log).spawn().expect("the binary runs");
        let mut server = Server { child, log: self.log_file(), address: String::new() };
        let stdout = server.child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line of text");
        let ready = line.strip_prefix("ready tcp=").map(str::trim);
        server.address = ready.unwrap_or_else(|| panic!("not ready: {line:?}")).to_owned();
        server
    }

    /// Runs a server that does not become ready, to its end.
    pub(crate) fn start_in_vain(&self) -> Output {
        self.command().output().expect("the binary runs")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop, with SIGTERM.
    pub(crate) fn terminate(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.expect("kill runs").success(), "the server runs");
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        in_time("the server's end", async {
            loop {
                if let Some(status) = self.child.try_wait().expect("it is ours") {
                    return status;
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await
    }

    /// Asks it to stop and waits until it has, in order.
    pub(crate) async fn stop(mut self) {
        self.terminate();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "an orderly stop");
    }

    /// The most memory that it has occupied so far; `None` where the system does not tell.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// How many files and connections it has open; `None` where the system does not tell.
    pub(crate) fn open_files(&self) -> Option<usize> {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok().map(Iterator::count)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        if std::thread::panicking() {
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("the end of the server's log:");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        } else {
            assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        }
    }
}

/// A free port below the range of outgoing connections: while the server is away none of those can
/// take it.
fn quiet_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let turn = std::process::id().wrapping_mul(7919) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(12_000 + turn % 18_000).expect("below 30,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
