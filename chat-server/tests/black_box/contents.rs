//! What a server's store holds, read past the server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::{Connection as Database, OpenFlags};

use crate::server::Installation;

impl Installation {
    /// The number of rows of each table. The server must be gone.
    pub(crate) async fn rows(&self) -> BTreeMap<String, i64> {
        #[cfg(feature = "server-tests")]
        if let Some(address) = self.database() {
            return database::rows(address).await;
        }
        std::future::ready(rows(&self.data())).await
    }

    /// Whether the store holds these bytes anywhere.
    pub(crate) fn holds(&self, needle: &[u8]) -> bool {
        #[cfg(feature = "server-tests")]
        if let Some(address) = self.database() {
            return database::holds(address, needle);
        }
        holds(&self.data(), needle)
    }
}

fn rows(folder: &Path) -> BTreeMap<String, i64> {
    let file = fs::read_dir(folder).expect("the folder").find_map(|entry| {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).ok()?;
        bytes.starts_with(b"SQLite format 3\0").then_some(path)
    });
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let database = Database::open_with_flags(file.expect("a database"), flags).expect("nobody else has it");
    let mut names = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .expect("it is read");
    let names = names.query_map([], |row| row.get::<_, String>(0)).expect("names");
    names
        .map(|name| {
            let name = name.expect("a name");
            let count = database.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0));
            (name, count.expect("a number"))
        })
        .collect()
}

fn holds(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        is_in(needle, &fs::read(&path).unwrap_or_default())
    })
}

fn is_in(needle: &[u8], haystack: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(feature = "server-tests")]
mod database {
    use std::collections::BTreeMap;
    use std::process::Command;

    use mysql_async::prelude::Queryable as _;
    use mysql_async::{Conn, Opts};

    use super::is_in;

    pub(super) async fn rows(address: &str) -> BTreeMap<String, i64> {
        let opts = Opts::from_url(address).expect("an address");
        let mut database = Conn::new(opts).await.expect("the database is there");
        let names = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
        let names: Vec<String> = database.query(names).await.expect("it is read");
        let mut rows = BTreeMap::new();
        for name in names {
            let count = database.query_first(format!("SELECT count(*) FROM {name}")).await;
            rows.insert(name, count.expect("it is read").expect("a number"));
        }
        database.disconnect().await.expect("it was connected");
        rows
    }

    /// Looks for the bytes as they are and, as binary columns are written, in hexadecimal digits.
    pub(super) fn holds(address: &str, needle: &[u8]) -> bool {
        let opts = Opts::from_url(address).expect("an address");
        let dumped = Command::new("mariadb-dump")
            .args(["--no-defaults", "--protocol=tcp", "--hex-blob", "--single-transaction"])
            .arg(format!("--host={}", opts.ip_or_hostname()))
            .arg(format!("--port={}", opts.tcp_port()))
            .arg(format!("--user={}", opts.user().expect("the address has one")))
            .arg(format!("--password={}", opts.pass().expect("the address has one")))
            .arg(opts.db_name().expect("the address has one"))
            .output()
            .expect("it is there with the server");
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        let digits: String = needle.iter().map(|byte| format!("{byte:02X}")).collect();
        is_in(needle, &dumped.stdout) || is_in(digits.as_bytes(), &dumped.stdout)
    }
}
