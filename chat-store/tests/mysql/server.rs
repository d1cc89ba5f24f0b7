//! Servers of the tests' own, each in a temporary folder and on a free port.
//!
//! A shell starts the server and reads from a pipe whose other end this process holds. However this
//! process ends, the pipe closes then; the shell kills the server and deletes the folder. No signal
//! handler, no exit hook and no destructor has to run for that.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_store::mysql::{MysqlOptions, MysqlStore};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::sync::OnceCell;

/// As whom a server runs. Root has to be named, and is not for everything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum User {
    /// As whom this process runs.
    Own,
    /// As `mysql` where this process is root's.
    Mysql,
}

/// `$1` is the folder, `$2` the user to become. A folder for temporary tables of its own: a server
/// that starts deletes those of others.
const INSTALL: &str = r#"
mkdir "$1/tmp" "$1/data"
[ -z "$2" ] || chown -R "$2" "$1"
exec mariadb-install-db --no-defaults ${2:+--user="$2"} --datadir="$1/data" --tmpdir="$1/tmp" --skip-test-db \
    --auth-root-authentication-method=normal
"#;

/// The same for a server that gets its data from another one.
const LEAVE_EMPTY: &str = r#"
mkdir "$1/tmp" "$1/data"
[ -z "$2" ] || chown -R "$2" "$1"
"#;

/// `$1` is the folder, `$2` the user to become, `$3` the port; what follows are options. The folder
/// stays when that is asked for.
const RUN: &str = r#"
folder=$1 user=$2 port=$3
shift 3
mariadbd --no-defaults ${user:+--user="$user"} --datadir="$folder/data" --tmpdir="$folder/tmp" \
    --socket="$folder/socket" --pid-file="$folder/pid" --bind-address=127.0.0.1 --port="$port" \
    --skip-name-resolve --max-connections=2000 --innodb-flush-log-at-trx-commit=1 \
    --innodb-buffer-pool-size=256M --innodb-log-file-size=256M "$@" >> "$folder/log" 2>&1 &
server=$!
exec 2> /dev/null
read -r keep
kill -9 $server
wait $server
[ "$keep" = keep ] || rm -rf "$folder"
"#;

/// What is asked of a server beside its port and its folder.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) user: User,
    pub(crate) options: Vec<String>,
    /// Whether it gets its data from another server.
    pub(crate) joins: bool,
}

/// A running server.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    setup: Setup,
    shell: Child,
    /// Closing it kills the server.
    pipe: Option<ChildStdin>,
}

/// The one that most tests share, with a database for each.
pub(crate) async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(Server::start).await
}

impl Server {
    /// A new server without databases.
    pub(crate) async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// The same with further options.
    pub(crate) async fn start_with(options: Vec<String>) -> Self {
        let server = Self::launch(Setup { user: User::Own, options, joins: false });
        server.ready().await;
        server
    }

    /// A server that may not answer yet.
    pub(crate) fn launch(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let install = if setup.joins { LEAVE_EMPTY } else { INSTALL };
        let installed = Command::new("sh")
            .args(["-c", install, "sh"])
            .arg(folder.path())
            .arg(setup.user.name())
            .output()
            .expect("there is a shell");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let port = free_ports(1)[0];
        // From here on the shell deletes it.
        let folder = folder.keep();
        let (shell, pipe) = run(&folder, port, &setup);
        Self { folder, port, setup, shell, pipe: Some(pipe) }
    }

    /// Kills it as if the machine lost its process, and starts it again on the same data.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.restart().await;
    }

    /// Kills it as if the machine lost its process.
    pub(crate) fn kill(&mut self) {
        use std::io::Write as _;
        let mut pipe = self.pipe.take().expect("it runs");
        pipe.write_all(b"keep\n").expect("the shell reads");
        drop(pipe);
        self.shell.wait().expect("the shell ends");
    }

    /// Has it stop in order.
    pub(crate) async fn stop(&mut self) {
        self.admin().await.query_drop("SHUTDOWN").await.expect("it obeys");
        // Its last deed.
        while self.folder.join("pid").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Of the process nothing is left to kill.
        self.kill();
    }

    /// Starts it again on the same data, after it was killed or stopped.
    pub(crate) async fn restart(&mut self) {
        let (shell, pipe) = run(&self.folder, self.port, &self.setup);
        (self.shell, self.pipe) = (shell, Some(pipe));
        self.ready().await;
    }

    /// Lets it do nothing from now on: connections stay, answers stay away.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let signal = "kill -\"$1\" \"$(cat \"$2/pid\")\"";
        let sent = Command::new("sh").args(["-c", signal, "sh", name]).arg(&self.folder).status();
        assert!(sent.expect("there is a shell").success());
    }

    /// A connection of the administrator.
    pub(crate) async fn admin(&self) -> Conn {
        self.try_admin().await.expect("the server answers")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A new database, and its address for an ordinary user.
    pub(crate) async fn database(&self) -> String {
        let name = self.make_database().await;
        address(&name, self.port)
    }

    /// A new database, and its name.
    pub(crate) async fn make_database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("chat_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.admin().await;
        admin.query_drop(format!("CREATE DATABASE {name}")).await.expect("a new name");
        let user = "CREATE USER IF NOT EXISTS chat@'127.0.0.1' IDENTIFIED BY 'secret'";
        admin.query_drop(user).await.expect("an ordinary user");
        let grant = format!("GRANT ALL ON {name}.* TO chat@'127.0.0.1'");
        admin.query_drop(grant).await.expect("the user is there");
        admin.disconnect().await.expect("it was connected");
        name
    }

    async fn ready(&self) {
        self.wait_for(async |_| true).await;
    }

    /// Waits until it answers, and then until it answers so that something holds.
    pub(crate) async fn wait_for(&self, holds: impl AsyncFn(&mut Conn) -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let found = match self.try_admin().await {
                Ok(mut admin) => {
                    if holds(&mut admin).await {
                        return;
                    }
                    "it answers, but not so".to_owned()
                }
                Err(error) => error.to_string(),
            };
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < patience, "the server does not come up: {found}\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn try_admin(&self) -> mysql_async::Result<Conn> {
        let opts = Opts::from_url(&format!("mysql://root@127.0.0.1:{}?prefer_socket=false", self.port))?;
        Conn::new(opts).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ended = self.shell.wait();
    }
}

impl User {
    /// What the server is told, nothing where it is not to change.
    fn name(self) -> &'static str {
        let id = Command::new("id").arg("-u").output().expect("there is id");
        match self {
            _ if id.stdout.trim_ascii() != b"0" => "",
            Self::Own => "root",
            Self::Mysql => "mysql",
        }
    }
}

/// Ports that nobody listens on, all different.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<_> = (0..count).map(bind).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

fn run(folder: &Path, port: u16, setup: &Setup) -> (Child, ChildStdin) {
    let mut shell = Command::new("sh")
        .args(["-c", RUN, "sh"])
        .arg(folder)
        .args([setup.user.name(), &port.to_string()])
        .args(&setup.options)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let pipe = shell.stdin.take().expect("it is piped");
    (shell, pipe)
}

/// The address of a database for an ordinary user.
pub(crate) fn address(database: &str, port: u16) -> String {
    format!("mysql://chat:secret@127.0.0.1:{port}/{database}")
}

/// A store over a database.
pub(crate) async fn connect(url: &str) -> MysqlStore {
    MysqlStore::connect(url, &MysqlOptions::default()).await.expect("a database in order")
}
