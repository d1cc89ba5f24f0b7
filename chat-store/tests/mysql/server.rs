//! Servers of the tests' own, each in a temporary folder and on a free port.
//!
//! A shell starts the server and reads from a pipe whose other end this process holds. However this
//! process ends, the pipe closes then; the shell kills the server and deletes the folder. No signal
//! handler, no exit hook and no destructor has to run for that.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_store::mysql::{MysqlOptions, MysqlStore};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::sync::OnceCell;

/// A folder for temporary tables of its own: a server that starts deletes those of others.
const INSTALL: &str = r#"
[ "$(id -u)" = 0 ] && user=--user=root
mkdir "$1/tmp"
exec mariadb-install-db --no-defaults $user --datadir="$1/data" --tmpdir="$1/tmp" --skip-test-db \
    --auth-root-authentication-method=normal
"#;

/// `$1` is the folder, `$2` the port. The folder stays when that is asked for.
const RUN: &str = r#"
[ "$(id -u)" = 0 ] && user=--user=root
mariadbd --no-defaults $user --datadir="$1/data" --tmpdir="$1/tmp" --socket="$1/socket" \
    --pid-file="$1/pid" --bind-address=127.0.0.1 --port="$2" --skip-name-resolve --max-connections=2000 \
    --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=256M --innodb-log-file-size=256M \
    >> "$1/log" 2>&1 &
server=$!
exec 2> /dev/null
read -r keep
kill -9 $server
wait $server
[ "$keep" = keep ] || rm -rf "$1"
"#;

/// A running server.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
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
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let installed =
            Command::new("sh").args(["-c", INSTALL, "sh"]).arg(&folder).output().expect("there is a shell");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let (shell, pipe) = run(&folder, port);
        let server = Self { folder, port, shell, pipe: Some(pipe) };
        server.ready().await;
        server
    }

    /// Kills it as if the machine lost its process, and starts it again on the same data.
    pub(crate) async fn kill_and_restart(&mut self) {
        use std::io::Write as _;
        let mut pipe = self.pipe.take().expect("it runs");
        pipe.write_all(b"keep\n").expect("the shell reads");
        drop(pipe);
        self.shell.wait().expect("the shell ends");
        let (shell, pipe) = run(&self.folder, self.port);
        (self.shell, self.pipe) = (shell, Some(pipe));
        self.ready().await;
    }

    /// A connection of the administrator.
    pub(crate) async fn admin(&self) -> Conn {
        self.try_admin().await.expect("the server answers")
    }

    /// A new database, and its address for an ordinary user.
    pub(crate) async fn database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("chat_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.admin().await;
        admin.query_drop(format!("CREATE DATABASE {name}")).await.expect("a new name");
        let user = "CREATE USER IF NOT EXISTS chat@'127.0.0.1' IDENTIFIED BY 'secret'";
        admin.query_drop(user).await.expect("an ordinary user");
        let grant = format!("GRANT ALL ON {name}.* TO chat@'127.0.0.1'");
        admin.query_drop(grant).await.expect("the user is there");
        admin.disconnect().await.expect("it was connected");
        format!("mysql://chat:secret@127.0.0.1:{}/{name}", self.port)
    }

    async fn ready(&self) {
        let patience = Instant::now() + Duration::from_secs(60);
        while let Err(error) = self.try_admin().await {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < patience, "the server does not come up: {error}\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_admin(&self) -> mysql_async::Result<Conn> {
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

fn run(folder: &PathBuf, port: u16) -> (Child, ChildStdin) {
    let mut shell = Command::new("sh")
        .args(["-c", RUN, "sh"])
        .arg(folder)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let pipe = shell.stdin.take().expect("it is piped");
    (shell, pipe)
}

/// A store over a database.
pub(crate) async fn connect(url: &str) -> MysqlStore {
    MysqlStore::connect(url, &MysqlOptions::default()).await.expect("a database in order")
}
