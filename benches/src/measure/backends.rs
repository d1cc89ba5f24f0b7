//! A MariaDB and a Redis of the measurement's own, in a folder, on free ports.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::Failure;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Running servers; they are killed with it.
#[derive(Debug)]
pub struct Backends {
    _database: Child,
    _redis: Child,
    database_port: u16,
    redis_port: u16,
}

impl Backends {
    /// Starts both, MariaDB with the settings that chat-store's documentation recommends.
    ///
    /// # Errors
    /// One is not installed, or does not start.
    pub async fn start(folder: &Path) -> Result<Self, Failure> {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let data = format!("--datadir={}", path("mariadb"));
        // A server that starts empties its folder of temporary tables, those of others included.
        let temporary = format!("--tmpdir={}", folder.display());
        let installed = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                "--user=root",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ])
            .args([&data, &temporary])
            .output()
            .await?;
        if !installed.status.success() {
            return Err(String::from_utf8_lossy(&installed.stderr).into());
        }
        let (database_port, redis_port) = (free_port()?, free_port()?);
        let database = Command::new("mariadbd")
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(["--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=2G"])
            .args(["--innodb-log-file-size=1G", "--max-connections=500"])
            .args([
                data,
                temporary,
                format!("--socket={}", path("socket")),
                format!("--pid-file={}", path("pid")),
            ])
            .arg(format!("--port={database_port}"))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let redis = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(redis_port.to_string())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let backends = Self { _database: database, _redis: redis, database_port, redis_port };
        let give_up = Instant::now() + PATIENCE;
        while let Err(error) = backends.admin().await {
            if Instant::now() > give_up {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        while let Err(error) = TcpStream::connect(("127.0.0.1", redis_port)).await {
            if Instant::now() > give_up {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(backends)
    }

    /// A new database; its address.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn database(&self, name: &str) -> Result<String, Failure> {
        self.admin().await?.query_drop(format!("CREATE DATABASE {name}")).await?;
        Ok(format!("mysql://root@127.0.0.1:{}/{name}", self.database_port))
    }

    /// The address of Redis.
    pub fn redis(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis_port)
    }

    async fn admin(&self) -> mysql_async::Result<Conn> {
        let address = format!("mysql://root@127.0.0.1:{}?prefer_socket=false", self.database_port);
        Conn::new(Opts::from_url(&address)?).await
    }
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
