//! What a session is asked to do, carried out.

use chat_core::{Error, Range, Session, Sync, SyncPage};

use super::ConnectionConfig;
use crate::message::{Reply, Request};

/// What a contact, a member or a profile is reckoned at.
const ROW_BYTES: usize = 256;

/// The bounds of what one command may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    entries: usize,
    rows: usize,
    bytes: usize,
}

impl From<&ConnectionConfig> for Bounds {
    fn from(config: &ConnectionConfig) -> Self {
        Self {
            entries: config.page_entries.max(1),
            rows: config.page_rows.max(100),
            bytes: config.page_bytes.max(1),
        }
    }
}

/// What is set aside for the answer to a request while it is made; nothing for the small ones.
pub(super) fn answer_bytes(request: &Request, bounds: Bounds) -> usize {
    match request {
        Request::Sync(_) | Request::Entries { .. } | Request::History { .. } => bounds.bytes,
        Request::Devices | Request::Profiles(_) | Request::Contacts { .. } | Request::Roster { .. } => {
            bounds.rows.saturating_mul(ROW_BYTES)
        }
        _ => 0,
    }
}

/// Carries out everything but sends, and what belongs to the opening of a connection.
pub(super) async fn run(session: Session, request: Request, bounds: Bounds) -> Result<Reply, Error> {
    Ok(match request {
        Request::MarkRead { conversation, seq } => done(session.mark_read(conversation, seq).await?),
        Request::MarkDelivered(positions) => done(session.mark_delivered(&positions).await?),
        Request::Typing(conversation) => done(session.typing(conversation)?),
        Request::Sync(sync) => {
            let mut page = session.sync(&bounds.sync(sync)).await?;
            cut(&mut page, bounds.bytes);
            Reply::SyncPage(page)
        }
        Request::Entries { conversation, range } => {
            Reply::Entries(session.entries(conversation, &bounds.range(range)).await?)
        }
        Request::History { conversation, range } => {
            Reply::History(session.history(conversation, &bounds.range(range)).await?)
        }
        Request::Conversation(conversation) => {
            Reply::Conversation(Box::new(session.conversation(conversation).await?))
        }
        Request::LogOut(id) => done(session.log_out(id).await?),
        Request::ChangePassword { client_id, current, new } => {
            Reply::Receipt(session.change_password(client_id, current, new).await?)
        }
        Request::ChangeDisplayName { client_id, name } => {
            Reply::Receipt(session.change_display_name(client_id, name).await?)
        }
        Request::DeleteAccount { client_id, password, left } => {
            done(session.delete_account(client_id, password, left).await?)
        }
        Request::Devices => Reply::Devices(session.devices().await?),
        Request::RevokeDevice { client_id, device } => {
            Reply::Receipt(session.revoke_device(client_id, device).await?)
        }
        Request::FindUser(name) => Reply::Profile(session.find_user(&name).await?),
        Request::Profiles(users) if users.len() > bounds.rows => {
            return Err(Error::invalid(format!("users: more than {}", bounds.rows)));
        }
        Request::Profiles(users) => Reply::Profiles(session.profiles(&users).await?),
        Request::Contact { client_id, user, action } => {
            Reply::Receipt(session.contact(client_id, user, action).await?)
        }
        Request::Contacts { after, limit } => {
            Reply::Contacts(session.contacts(after, within(limit, bounds.rows)).await?)
        }
        Request::CreateGroup(create) => Reply::GroupCreated(session.create_group(create).await?),
        Request::FindGroup(handle) => Reply::GroupCard(session.find_group(&handle).await?),
        Request::Group { client_id, group, action } => {
            Reply::Receipt(session.group(client_id, group, action).await?)
        }
        Request::Roster { group, standing, after, limit } => {
            let limit = within(limit, bounds.rows);
            Reply::Roster(session.roster(group, standing, after, limit).await?)
        }
        Request::Hello(_)
        | Request::Register(_)
        | Request::Login(_)
        | Request::Ping
        | Request::Pong
        | Request::Send(_) => return Err(Error::invalid("not a command of a session")),
    })
}

fn done((): ()) -> Reply {
    Reply::Done
}

/// What a client wants, 0 leaving it to the server, within what it may have.
fn within(wanted: usize, limit: usize) -> usize {
    if wanted == 0 { limit } else { wanted.min(limit) }
}

impl Bounds {
    fn range(self, range: Range) -> Range {
        Range {
            limit: within(range.limit, self.entries),
            limit_bytes: within(range.limit_bytes, self.bytes),
            ..range
        }
    }

    fn sync(self, sync: Sync) -> Sync {
        let entries_limit = within(sync.entries_limit, self.entries);
        Sync { limit: within(sync.limit, self.rows), entries_limit, ..sync }
    }
}

/// Cuts entries off the conversations of a page until it has no more than so many bytes of them;
/// whoever wants those reads them from the log.
fn cut(page: &mut SyncPage, limit_bytes: usize) {
    let mut left = limit_bytes;
    for synced in &mut page.conversations {
        let fitting = synced.entries.iter().take_while(|entry| {
            let rest = left.checked_sub(entry.size_bytes());
            left = rest.unwrap_or(0);
            rest.is_some()
        });
        let keep = fitting.count();
        if keep < synced.entries.len() {
            synced.entries.truncate(keep);
            synced.more = true;
        }
    }
}
