//! Connections: as many as allowed, made when they are first needed, kept while they are good.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::error::Failure;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Reading,
    Writing,
}

/// Each statement sees what is committed when it begins: a lock, once had, shows the latest.
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// After how many seconds of idling a session loses its transaction: MariaDB.
const IDLE_TRANSACTION: &str = "idle_transaction_timeout";

/// What the server has beside what every one has.
#[derive(Clone, Debug, Default)]
pub(super) struct Abilities {
    /// Names of session variables that exist.
    variables: Vec<String>,
    /// It is one of several that take writes.
    is_cluster: bool,
}

/// Connections of one purpose. Who finds all in use waits, until its deadline.
#[derive(Debug)]
pub(super) struct Connections {
    opts: Opts,
    permits: Semaphore,
    limit: u32,
    /// Those not in use, the last used on top. Held for a push or a pop.
    idle: Mutex<Vec<Conn>>,
}

/// A connection in use. Dropped without [`Lease::give_back`] it is closed, and with it ends whatever
/// transaction it was in.
#[derive(Debug)]
pub(super) struct Lease<'from> {
    conn: Conn,
    from: &'from Connections,
    is_reused: bool,
    _permit: SemaphorePermit<'from>,
}

impl Abilities {
    const WANTED: [&str; 3] = ["wsrep_sync_wait", IDLE_TRANSACTION, "in_predicate_conversion_threshold"];

    pub(super) async fn of(conn: &mut Conn) -> Result<Self, Failure> {
        let wanted = Self::WANTED.map(|name| format!("'{name}'")).join(", ");
        let found: Vec<(String, String)> =
            conn.query(format!("SHOW VARIABLES WHERE Variable_name IN ({wanted})")).await?;
        let cluster: Option<(String, String)> = conn.query_first("SHOW VARIABLES LIKE 'wsrep_on'").await?;
        Ok(Self {
            variables: found.into_iter().map(|(name, _)| name).collect(),
            is_cluster: cluster.is_some_and(|(_, value)| value.eq_ignore_ascii_case("on")),
        })
    }

    /// Whether several servers take writes, and who loses against another begins again.
    pub(super) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// The statement that prepares a session.
    pub(super) fn session(&self, purpose: Purpose) -> String {
        let mut set = vec![
            // Values are bytes both ways; what is text is checked by its column.
            "NAMES binary".to_owned(),
            "SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'".to_owned(),
        ];
        if purpose == Purpose::Writing {
            // A transaction begins with its first statement, which saves one round trip.
            set.push("SESSION autocommit = 0".into());
            // Short: who holds the lock for longer is stuck, and trying again is cheap.
            set.push("SESSION innodb_lock_wait_timeout = 2".into());
            if !self.variables.iter().any(|variable| variable == IDLE_TRANSACTION) {
                // Ends any session that does nothing for so long, one inside a transaction too; those
                // outside are made anew when they are needed.
                set.push("SESSION wait_timeout = 2".into());
            }
        }
        for variable in &self.variables {
            let value = match (&**variable, purpose) {
                // Galera: see what was committed on other servers.
                ("wsrep_sync_wait", _) => 1,
                // A node that is frozen inside a transaction loses it, and with it its locks.
                (IDLE_TRANSACTION, Purpose::Writing) => 1,
                // Lists stay ranges of an index instead of becoming tables.
                ("in_predicate_conversion_threshold", _) => 0,
                _ => continue,
            };
            set.push(format!("SESSION {variable} = {value}"));
        }
        format!("SET {}", set.join(", "))
    }
}

impl Connections {
    pub(super) fn new(opts: &Opts, abilities: &Abilities, purpose: Purpose, limit: usize) -> Self {
        let opts =
            OptsBuilder::from_opts(opts.clone()).setup(vec![abilities.session(purpose), ISOLATION.into()]);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX).clamp(1, 1 << 16);
        Self { opts: opts.into(), permits: Semaphore::new(limit as usize), limit, idle: Mutex::default() }
    }

    /// A connection, which may turn out to be broken only if it [was used before](Lease::is_reused).
    pub(super) async fn take(&self, deadline: Instant) -> Result<Lease<'_>, Failure> {
        let permit = timeout_at(deadline, self.permits.acquire()).await.map_err(|_| Failure::Late)?;
        let permit = permit.map_err(|_| Failure::Closed)?;
        let idle = self.idle().pop();
        let is_reused = idle.is_some();
        let conn = match idle {
            Some(conn) => conn,
            None => {
                let made = Conn::new(self.opts.clone());
                timeout_at(deadline, made).await.map_err(|_| Failure::Late)??
            }
        };
        Ok(Lease { conn, from: self, is_reused, _permit: permit })
    }

    /// Lets go of those not in use: one of them proved broken, so that the others may be as well.
    pub(super) fn forget_idle(&self) {
        let broken = std::mem::take(&mut *self.idle());
        drop(broken);
    }

    /// Refuses new work, and waits for what is under way.
    pub(super) async fn close(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let _ended = timeout_at(deadline, self.permits.acquire_many(self.limit)).await;
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for conn in idle {
            // The server ends the session by itself when the farewell does not arrive.
            let _ = timeout_at(deadline, conn.disconnect()).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Conn>> {
        self.idle.lock().expect("nothing panics while it holds the idle connections")
    }
}

impl Lease<'_> {
    /// Whether the server may have ended it since it was last used.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Lets others use it, outside of any transaction.
    pub(super) fn give_back(self) {
        let Self { conn, from, .. } = self;
        from.idle().push(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_that_stands_still_loses_its_transaction_on_every_server() {
        let abilities = Abilities { variables: vec![IDLE_TRANSACTION.to_owned()], ..Abilities::default() };
        let maria = abilities.session(Purpose::Writing);
        assert!(maria.contains("idle_transaction_timeout = 1") && !maria.contains("SESSION wait_timeout"));
        let other = Abilities::default().session(Purpose::Writing);
        assert!(other.contains("SESSION wait_timeout = 2"), "{other}");
        assert!(!Abilities::default().session(Purpose::Reading).contains("SESSION wait_timeout"));
    }

    #[test]
    fn sessions_of_both_purposes_wait_for_other_servers() {
        let abilities =
            Abilities { variables: Abilities::WANTED.map(str::to_owned).into(), ..Abilities::default() };
        for purpose in [Purpose::Reading, Purpose::Writing] {
            assert!(abilities.session(purpose).contains("SESSION wsrep_sync_wait = 1"));
        }
        let without = Abilities::default().session(Purpose::Reading);
        assert!(!without.contains("wsrep"), "other servers do not know the word: {without}");
    }
}
