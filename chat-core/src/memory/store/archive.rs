//! How an installation in memory is taken apart into records, and put together again.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use super::MemoryStore;
use super::state::{self, Conversation, State};
use crate::store::archive::{
    ArchiveId, Export, Gathering, Import, ImportRefused, ImportState, LoggedEntry, PageLimits, Position,
    Record, Section, TrimmedCommand, remaining,
};
use crate::store::{Once, StoreError};
use crate::{ConversationId, Epoch, Head, Member};

const IMPORTING: &str = "importing";

#[async_trait]
impl Export for MemoryStore {
    async fn export(&self, after: Option<&Position>, limits: &PageLimits) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        let mut page = Gathering::new(limits);
        for (section, after) in Section::after(after) {
            // A page that cannot take a record is full.
            let _full = state
                .records(section, after)
                .try_for_each(|record| if page.take(record) { Some(()) } else { None });
            if !page.is_empty() {
                break;
            }
        }
        Ok(page.into_records())
    }
}

impl State {
    /// The records of a section after a position in it.
    fn records(&self, section: Section, after: Option<Position>) -> Box<dyn Iterator<Item = Record> + '_> {
        let all: Box<dyn Iterator<Item = Record>> = match section {
            Section::Accounts => Box::new(self.accounts.values().cloned().map(Record::Account)),
            Section::Devices => Box::new(self.devices.values().cloned().map(Record::Device)),
            Section::Groups => {
                let groups = self.conversations.values().filter_map(|found| found.head.group.clone());
                Box::new(groups.map(Record::Group))
            }
            Section::Heads => {
                let heads =
                    self.conversations.values().map(|found| Head { group: None, ..found.head.clone() });
                let written = heads.filter(|head| *head != Head::empty(head.conversation));
                Box::new(written.map(Record::Head))
            }
            Section::Members => {
                let members = self.conversations.values().flat_map(|found| found.members.values());
                Box::new(members.cloned().map(Record::Member))
            }
            Section::TrimmedCommands => Box::new(self.trimmed().map(Record::TrimmedCommand)),
            // The one section that is long: begun where the position says.
            Section::Entries => return self.entries_after(after),
        };
        Box::new(all.skip_while(move |record| after.is_some_and(|after| record.position() <= after)))
    }

    fn trimmed(&self) -> impl Iterator<Item = TrimmedCommand> {
        let is_trimmed = |once: &Once, seq| {
            self.conversations.get(&once.conversation).is_some_and(|found| seq < found.head.first_seq)
        };
        let commands = self.once.iter().filter(move |(once, record)| is_trimmed(once, record.seq));
        commands.map(|(once, record)| {
            let state::Record { seq, time, digest } = *record;
            TrimmedCommand { once: *once, seq, time, digest }
        })
    }

    fn entries_after(&self, after: Option<Position>) -> Box<dyn Iterator<Item = Record> + '_> {
        let (from, seq) = match after {
            Some(Position::Entry(conversation, seq)) => (Included(conversation), seq),
            _ => (Unbounded, 0),
        };
        let started = if let Included(conversation) = from { Some(conversation) } else { None };
        let logs = self.conversations.range((from, Unbounded)).flat_map(move |(id, found)| {
            let after = if started == Some(*id) { Excluded(seq) } else { Unbounded };
            found.log.range((after, Unbounded)).map(move |(_, entry)| self.logged(*id, entry))
        });
        Box::new(logs.map(Record::Entry))
    }

    fn logged(&self, conversation: ConversationId, entry: &crate::Entry) -> LoggedEntry {
        let once = entry.client_id.map(|client_id| Once { client_id, sender: entry.sender, conversation });
        let digest = once.and_then(|once| self.once.get(&once)).map(|record| record.digest);
        LoggedEntry { conversation, entry: entry.clone(), digest }
    }

    /// Puts a record where nothing stands against it.
    fn import(&mut self, record: &Record) -> Result<(), ImportRefused> {
        const OUT_OF_ORDER: Result<(), ImportRefused> = Err(ImportRefused::OutOfOrder);
        match record {
            Record::Account(account) if self.names.contains_key(&account.name) => return OUT_OF_ORDER,
            Record::Account(account) => self.put_account(account),
            Record::Device(device) => self.put_device(device),
            Record::Group(group) => {
                if group.profile.handle.as_ref().is_some_and(|handle| self.handles.contains_key(handle)) {
                    return OUT_OF_ORDER;
                }
                self.put_group(group);
            }
            Record::Head(head) => {
                let found = &mut self.conversation(head.conversation).head;
                *found = Head { group: found.group.take(), ..head.clone() };
            }
            Record::Member(member) => self.import_member(member),
            Record::TrimmedCommand(TrimmedCommand { once, seq, time, digest }) => {
                if !self.conversations.contains_key(&once.conversation) {
                    return OUT_OF_ORDER;
                }
                let record = state::Record { seq: *seq, time: *time, digest: *digest };
                self.once.insert(*once, record);
            }
            Record::Entry(logged) => {
                let LoggedEntry { conversation, entry, digest } = logged;
                let Some(found) = self.conversations.get_mut(conversation) else { return OUT_OF_ORDER };
                found.import_entry(entry);
                if let (Some(client_id), Some(digest)) = (entry.client_id, *digest) {
                    let once = Once { client_id, sender: entry.sender, conversation: *conversation };
                    let record = state::Record { seq: entry.seq, time: entry.time, digest };
                    if self.once.insert(once, record).is_some() {
                        return OUT_OF_ORDER;
                    }
                }
            }
        }
        Ok(())
    }

    fn import_member(&mut self, member: &Member) {
        self.places.entry(member.user).or_default().insert(member.conversation);
        let found = self.conversation(member.conversation);
        found.roster.insert((member.joined_seq, member.user));
        found.members.insert(member.user, member.clone());
    }
}

impl Conversation {
    fn import_entry(&mut self, entry: &crate::Entry) {
        if entry.countable {
            self.countable.insert(entry.seq);
        } else if let Some(target) = entry.target {
            self.referring.insert((target, entry.seq));
        }
        self.log.insert(entry.seq, entry.clone());
    }
}

/// An import that becomes a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryImport {
    epoch: Epoch,
    /// Held for one call of the trait at a time, never across an await.
    importing: Mutex<Importing>,
}

#[derive(Debug)]
struct Importing {
    progress: ImportState,
    state: State,
}

impl MemoryImport {
    /// An empty one; the store will have this epoch.
    pub fn new(epoch: Epoch) -> Self {
        let importing = Importing { progress: ImportState::Empty, state: State::default() };
        Self { epoch, importing: Mutex::new(importing) }
    }

    /// The store, once the import is finished.
    pub fn into_store(self) -> Option<MemoryStore> {
        let Importing { progress, state } =
            self.importing.into_inner().expect("nothing panics while it holds the import");
        let finished = matches!(progress, ImportState::Finished(_));
        finished.then(|| MemoryStore { epoch: self.epoch, state: Mutex::new(state) })
    }

    fn importing(&self) -> MutexGuard<'_, Importing> {
        self.importing.lock().expect("nothing panics while it holds the import")
    }
}

#[async_trait]
impl Import for MemoryImport {
    async fn state(&self) -> Result<ImportState, StoreError> {
        Ok(self.importing().progress)
    }

    async fn write(&self, archive: ArchiveId, records: &[Record]) -> Result<(), StoreError> {
        let mut importing = self.importing();
        importing.write(archive, records).map_err(|refused| refused.during(IMPORTING))
    }

    async fn finish(&self, archive: ArchiveId) -> Result<Epoch, StoreError> {
        let mut importing = self.importing();
        importing.progress.reached(archive).map_err(|refused| refused.during(IMPORTING))?;
        importing.progress = ImportState::Finished(archive);
        Ok(self.epoch)
    }

    async fn close(&self) {}
}

impl Importing {
    fn write(&mut self, archive: ArchiveId, records: &[Record]) -> Result<(), ImportRefused> {
        let reached = self.progress.reached(archive)?;
        let records = remaining(reached.as_ref(), records)?;
        // A page is written as a whole or not at all: what stands against it is looked for in a copy.
        let mut state = self.state.clone();
        records.iter().try_for_each(|record| state.import(record))?;
        self.state = state;
        let reached = records.last().map(Record::position).or(reached);
        self.progress = ImportState::Unfinished { archive, reached };
        Ok(())
    }
}
