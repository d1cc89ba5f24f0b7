//! Putting a store together from the records of an archive, before it is one that can be served.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::store::archive::{
    ArchiveId, Import, ImportRefused, ImportState, LoggedEntry, Position, Record, TrimmedCommand, remaining,
};
use chat_core::store::{StoreError, StoreErrorKind};
use chat_core::{Account, ConversationId, Device, Epoch, Group, Handle};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use tokio::time::{Instant, timeout_at};

use super::commit::{heads, log, members, registry};
use super::connections::Connections;
use super::error::{Failure, Remedy};
use super::read::heads::{Lock, bare};
use super::read::{Fields, key};
use super::statement::{Filling, Rows};
use super::{MysqlOptions, OpenError, open, schema};

const ATTEMPTED: &str = "importing";

/// How long one page may take: longer than any batch of a server, since nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// After so many conflicts the database counts as unavailable.
const MOST_ATTEMPTS: u32 = 16;

/// How much longer each attempt waits than the one before.
const PAUSE: Duration = Duration::from_millis(20);

/// An import into a database that no server uses meanwhile.
#[derive(Debug)]
pub struct MysqlImport {
    connections: Connections,
    epoch: Option<Epoch>,
}

impl MysqlImport {
    /// Connects to a database, which must exist, and makes or migrates its tables. What is in them does
    /// not matter yet. The epoch of the options is the one that the store is given in the end.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way; tables that are newer are left as they are.
    pub async fn connect(url: &str, options: &MysqlOptions) -> Result<Self, OpenError> {
        Ok(Self { connections: open::to_import(url, options).await?, epoch: options.epoch })
    }
}

/// Runs work in a transaction, and again where others were in the way. A macro, since a closure cannot
/// lend out its connection.
macro_rules! transact {
    ($import:ident, |$conn:ident| $work:expr) => {{
        let deadline = Instant::now() + PATIENCE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let lease = $import.connections.take(deadline).await;
            let mut lease = lease.map_err(|failure| failure.during(ATTEMPTED))?;
            let $conn = lease.conn();
            let failure = match timeout_at(deadline, $work).await.unwrap_or(Err(Failure::Late)) {
                Ok(done) => {
                    let commit = lease.conn().query_drop("COMMIT");
                    let committed = timeout_at(deadline, commit).await;
                    match committed.map_or(Err(Failure::Late), |commit| commit.map_err(Failure::from)) {
                        Ok(()) => {
                            lease.give_back();
                            break Ok(done);
                        }
                        Err(failure) if failure.remedy_of_commit() != Remedy::Retry => {
                            break Err(failure.of_kind(StoreErrorKind::Ambiguous, ATTEMPTED));
                        }
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            // Dropped, the connection is closed, and with it ends the transaction.
            drop(lease);
            if failure.is_duplicate() {
                // Nobody else writes: the records contradict each other.
                break Err(failure.of_kind(StoreErrorKind::Invalid, ATTEMPTED));
            }
            if failure.remedy() != Remedy::Retry || attempts >= MOST_ATTEMPTS {
                break Err(failure.during(ATTEMPTED));
            }
            tokio::time::sleep(PAUSE * attempts).await;
        }
    }};
}

#[async_trait]
impl Import for MysqlImport {
    async fn state(&self) -> Result<ImportState, StoreError> {
        transact!(self, |conn| state(conn))
    }

    async fn write(&self, archive: ArchiveId, records: &[Record]) -> Result<(), StoreError> {
        transact!(self, |conn| write(conn, archive, records))
    }

    async fn finish(&self, archive: ArchiveId) -> Result<Epoch, StoreError> {
        transact!(self, |conn| finish(conn, archive, self.epoch))
    }

    async fn close(&self) {
        self.connections.close(PATIENCE).await;
    }
}

/// What there is, locked until the transaction ends.
async fn state(conn: &mut Conn) -> Result<ImportState, Failure> {
    // Prepared, since only then do numbers come as numbers.
    let row: Option<Row> = conn
        .exec_first("SELECT archive, reached, finished FROM archive_import WHERE id = 1 FOR UPDATE", ())
        .await?;
    let Some(row) = row else {
        let is_used = "SELECT EXISTS (SELECT 1 FROM account) OR EXISTS (SELECT 1 FROM device)
                           OR EXISTS (SELECT 1 FROM chat_group) OR EXISTS (SELECT 1 FROM head)
                           OR EXISTS (SELECT 1 FROM log) OR EXISTS (SELECT 1 FROM journal)";
        let is_used: Option<u64> = conn.query_first(is_used).await?;
        return Ok(if is_used == Some(0) { ImportState::Empty } else { ImportState::InUse });
    };
    let mut row = Fields::of(row);
    let (archive, reached, finished) = (ArchiveId(row.array()?), row.optional_bytes()?, row.is_set()?);
    if finished {
        return Ok(ImportState::Finished(archive));
    }
    let reached = reached.map(|bytes| Position::decode(Bytes::from(bytes))).transpose()?;
    Ok(ImportState::Unfinished { archive, reached })
}

/// The journal stays empty for as long as nobody serves: imports do not write to it.
async fn unchanged(conn: &mut Conn) -> Result<(), Failure> {
    let is_served: Option<u64> = conn.query_first("SELECT EXISTS (SELECT 1 FROM journal)").await?;
    if is_served == Some(0) { Ok(()) } else { Err(ImportRefused::Changed.into()) }
}

async fn begin(conn: &mut Conn, archive: ArchiveId, finished: bool) -> Result<(), Failure> {
    let insert = "INSERT INTO archive_import (id, archive, reached, finished) VALUES (1, ?, NULL, ?)";
    Ok(conn.exec_drop(insert, (archive.0.to_vec(), finished)).await?)
}

async fn finish(conn: &mut Conn, archive: ArchiveId, epoch: Option<Epoch>) -> Result<Epoch, Failure> {
    let found = state(conn).await?;
    found.reached(archive)?;
    unchanged(conn).await?;
    let epoch =
        epoch.map_or_else(|| "CONV(HEX(RANDOM_BYTES(8)), 16, 10)".to_owned(), |epoch| epoch.0.to_string());
    conn.query_drop(format!("UPDATE store SET epoch = {epoch}")).await?;
    if found == ImportState::Empty {
        begin(conn, archive, true).await?;
    } else {
        conn.query_drop("UPDATE archive_import SET finished = 1 WHERE id = 1").await?;
    }
    schema::epoch(conn).await
}

async fn write(conn: &mut Conn, archive: ArchiveId, records: &[Record]) -> Result<(), Failure> {
    let found = state(conn).await?;
    let reached = found.reached(archive)?;
    unchanged(conn).await?;
    if found == ImportState::Empty {
        begin(conn, archive, false).await?;
    }
    let records = remaining(reached.as_ref(), records)?;
    let mut page = Page::default();
    records.iter().for_each(|record| page.put(record));
    page.write_out(conn).await?;
    if let Some(last) = records.last() {
        let reached = last.position().encode().to_vec();
        conn.exec_drop("UPDATE archive_import SET reached = ? WHERE id = 1", (reached,)).await?;
    }
    Ok(())
}

/// The rows that a page becomes.
#[derive(Debug)]
struct Page {
    accounts: Rows,
    devices: Rows,
    groups: Rows,
    heads: Rows,
    members: Rows,
    /// Members are read with their heads, which must be there.
    places: BTreeSet<ConversationId>,
    commands: Rows,
    log: Rows,
    referring: Rows,
    /// Commands and entries belong to heads that are there.
    logs: BTreeSet<ConversationId>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            accounts: Rows::of_columns(6),
            devices: Rows::of_columns(9),
            groups: Rows::of_columns(8),
            heads: Rows::of_columns(6),
            members: Rows::of_columns(14),
            places: BTreeSet::new(),
            commands: Rows::of_columns(6),
            log: Rows::of_columns(11),
            referring: Rows::of_columns(3),
            logs: BTreeSet::new(),
        }
    }
}

impl Page {
    fn put(&mut self, record: &Record) {
        match record {
            Record::Account(account) => self.put_account(account),
            Record::Device(device) => self.put_device(device),
            Record::Group(group) => self.put_group(group),
            Record::Head(head) => heads::push(&mut self.heads, head),
            Record::Member(member) => {
                self.places.insert(member.conversation);
                members::push(&mut self.members, member);
            }
            Record::TrimmedCommand(command) => self.put_command(command),
            Record::Entry(logged) => self.put_entry(logged),
        }
    }

    fn put_account(&mut self, account: &Account) {
        self.accounts.push([
            account.user.number().into(),
            account.name.as_str().into(),
            account.display_name.as_str().into(),
            account.password_hash.as_deref().into(),
            account.created.0.into(),
            account.deleted.map(|deleted| deleted.0).into(),
        ]);
    }

    fn put_device(&mut self, device: &Device) {
        let [node, boot, session] = registry::slot(device.attached.as_ref());
        self.devices.push([
            device.id.number().into(),
            device.user.number().into(),
            device.label.as_str().into(),
            Value::Bytes(device.token_hash.0.to_vec()),
            device.created.0.into(),
            device.last_seen.0.into(),
            node,
            boot,
            session,
        ]);
    }

    fn put_group(&mut self, group: &Group) {
        let profile = &group.profile;
        self.groups.push([
            group.id.number().into(),
            profile.name.as_str().into(),
            profile.description.as_str().into(),
            profile.handle.as_ref().map(Handle::as_str).into(),
            profile.join.number().into(),
            profile.history.number().into(),
            group.members.into(),
            group.dissolved.into(),
        ]);
    }

    fn put_command(&mut self, TrimmedCommand { once, seq, time, digest }: &TrimmedCommand) {
        self.logs.insert(once.conversation);
        self.commands.push([
            Value::Bytes(once.client_id.0.to_vec()),
            once.sender.number().into(),
            key(once.conversation),
            (*seq).into(),
            time.0.into(),
            Value::Bytes(digest.0.to_vec()),
        ]);
    }

    fn put_entry(&mut self, logged: &LoggedEntry) {
        let (entry, of) = (&logged.entry, logged.conversation);
        self.logs.insert(of);
        self.log.push([
            key(of),
            entry.seq.into(),
            entry.time.0.into(),
            entry.sender.number().into(),
            entry.kind.number().into(),
            entry.countable.into(),
            entry.ordinal.into(),
            entry.target.into(),
            entry.client_id.map(|id| id.0.to_vec()).into(),
            logged.digest.map(|digest| digest.0.to_vec()).into(),
            entry.content.as_ref().map(|content| content.to_vec()).into(),
        ]);
        if let (false, Some(target)) = (entry.countable, entry.target) {
            self.referring.push([key(of), target.into(), entry.seq.into()]);
        }
    }

    async fn write_out(self, conn: &mut Conn) -> Result<(), Failure> {
        let accounts = "INSERT INTO account (user, name, display_name, password_hash, created, deleted)";
        self.accounts.write(conn, accounts, "", &Filling::None).await?;
        let devices =
            "INSERT INTO device (id, user, label, token_hash, created, last_seen, node, boot, session)";
        self.devices.write(conn, devices, "", &Filling::None).await?;
        let groups = "INSERT INTO chat_group (id, name, description, handle, join_policy, history, members, dissolved)";
        self.groups.write(conn, groups, "", &Filling::None).await?;
        self.heads.write(conn, heads::INSERT, "", &Filling::None).await?;
        if !self.places.is_empty() {
            heads::make(conn, &self.places).await?;
        }
        self.members.write(conn, members::INSERT, "", &Filling::None).await?;
        if bare(conn, &self.logs, Lock::None).await?.len() < self.logs.len() {
            return Err(ImportRefused::OutOfOrder.into());
        }
        let commands = "INSERT INTO trimmed_command (client_id, sender, conversation, seq, time, digest)";
        self.commands.write(conn, commands, "", &Filling::None).await?;
        self.log.write(conn, log::INSERT, "", &Filling::None).await?;
        self.referring.write(conn, log::INSERT_REFERRING, "", &Filling::None).await
    }
}
