//! The canonical bytes of records and positions: which number stands for what, and which field holds
//! what.
//!
//! A record is one field, whose tag says what it is and whose bytes are the fields of that. Fields may
//! be added to a record; a reader passes over those that it does not know. A record of a kind that it
//! does not know cannot be passed over: something of the installation would be missing.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::{LoggedEntry, Position, Record, Section, TrimmedCommand};
use crate::content::fields::{
    Fields, Malformed, Value, put_bytes, put_optional, put_present, put_uint, take_field,
};
use crate::store::{Digest, Once};
use crate::{
    Account, AccountName, Attachment, BootId, ClientId, ConversationId, Cursor, Device, DeviceId,
    DisplayName, Entry, Group, GroupId, GroupProfile, Handle, Head, HistoryPolicy, JoinPolicy, MalformedId,
    Member, Relation, Standing, Timestamp, TokenHash,
};

/// Why bytes could not be read as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnreadableRecord {
    /// They are no record.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A newer version wrote them.
    #[error("record of kind {0}, which this version does not know; import it with a newer one")]
    UnknownKind(u32),
}

crate::content::numbered! { Section {
    Accounts = 1, Devices = 2, Groups = 3, Heads = 4, Members = 5, TrimmedCommands = 6, Entries = 7,
}}

impl Record {
    /// Appends the canonical bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        match self {
            Self::Account(account) => put_account(&mut body, account),
            Self::Device(device) => put_device(&mut body, device),
            Self::Group(group) => put_group(&mut body, group),
            Self::Head(head) => put_head(&mut body, head),
            Self::Member(member) => put_member(&mut body, member),
            Self::TrimmedCommand(command) => put_command(&mut body, command),
            Self::Entry(logged) => put_logged(&mut body, logged),
        }
        put_present(out, self.position().section().number() as u32, &body);
    }

    /// Reads what [`Record::encode`] wrote; contents share the memory of `input`.
    ///
    /// # Errors
    /// Bytes that are no record, or one of a kind that this version does not know.
    pub fn decode(mut input: Bytes) -> Result<Self, UnreadableRecord> {
        let (tag, value) = take_field(&mut input)?.ok_or(Malformed("empty record"))?;
        let section = Section::from_number(tag.into()).map_err(|_| UnreadableRecord::UnknownKind(tag))?;
        let fields = Fields::parse(value.bytes()?)?;
        Ok(match section {
            Section::Accounts => Self::Account(take_account(fields)?),
            Section::Devices => Self::Device(take_device(fields)?),
            Section::Groups => Self::Group(take_group(fields)?),
            Section::Heads => Self::Head(take_head(fields)?),
            Section::Members => Self::Member(take_member(fields)?),
            Section::TrimmedCommands => Self::TrimmedCommand(take_command(fields)?),
            Section::Entries => Self::Entry(take_logged(fields)?),
        })
    }
}

impl Position {
    /// The canonical bytes, at most 255.
    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        match self {
            Self::Account(user) => put_uint(&mut body, 1, user.number()),
            Self::Device(device) => put_uint(&mut body, 1, device.number()),
            Self::Group(group) => put_uint(&mut body, 1, group.number()),
            Self::Head(conversation) => put_bytes(&mut body, 1, &conversation.key()),
            Self::Member(conversation, user) => {
                put_bytes(&mut body, 1, &conversation.key());
                put_uint(&mut body, 2, user.number());
            }
            Self::TrimmedCommand(once) => put_once(&mut body, once),
            Self::Entry(conversation, seq) => {
                put_bytes(&mut body, 1, &conversation.key());
                put_uint(&mut body, 2, *seq);
            }
        }
        let mut out = BytesMut::new();
        put_present(&mut out, self.section().number() as u32, &body);
        out.freeze()
    }

    /// Reads what [`Position::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are no position.
    pub fn decode(mut input: Bytes) -> Result<Self, Malformed> {
        let (tag, value) = take_field(&mut input)?.ok_or(Malformed("empty position"))?;
        let mut fields = Fields::parse(value.bytes()?)?;
        Ok(match Section::from_number(tag.into())? {
            Section::Accounts => Self::Account(fields.user(1)?),
            Section::Devices => Self::Device(DeviceId::new(fields.uint(1)?).map_err(id)?),
            Section::Groups => Self::Group(GroupId::new(fields.uint(1)?).map_err(id)?),
            Section::Heads => Self::Head(fields.conversation(1)?),
            Section::Members => Self::Member(fields.conversation(1)?, fields.user(2)?),
            Section::TrimmedCommands => Self::TrimmedCommand(fields.once()?),
            Section::Entries => Self::Entry(fields.conversation(1)?, fields.uint(2)?),
        })
    }
}

fn put_account(out: &mut BytesMut, account: &Account) {
    put_uint(out, 1, account.user.number());
    put_bytes(out, 2, account.name.as_str().as_bytes());
    put_bytes(out, 3, account.display_name.as_str().as_bytes());
    if let Some(hash) = &account.password_hash {
        put_present(out, 4, hash.as_bytes());
    }
    put_uint(out, 5, account.created.0);
    put_optional(out, 6, account.deleted.map(|time| time.0));
}

fn take_account(mut fields: Fields) -> Result<Account, Malformed> {
    Ok(Account {
        user: fields.user(1)?,
        name: AccountName::from_stored(fields.text(2)?),
        display_name: DisplayName::from_stored(fields.text(3)?),
        password_hash: fields.take(4).map(Value::text).transpose()?,
        created: Timestamp(fields.uint(5)?),
        deleted: fields.optional(6)?.map(Timestamp),
    })
}

fn put_device(out: &mut BytesMut, device: &Device) {
    put_uint(out, 1, device.id.number());
    put_uint(out, 2, device.user.number());
    put_bytes(out, 3, device.label.as_bytes());
    put_bytes(out, 4, &device.token_hash.0);
    put_uint(out, 5, device.created.0);
    put_uint(out, 6, device.last_seen.0);
    if let Some(Attachment { node, boot, session }) = &device.attached {
        put_present(out, 7, node.as_bytes());
        put_uint(out, 8, boot.0);
        put_uint(out, 9, *session);
    }
}

fn take_device(mut fields: Fields) -> Result<Device, Malformed> {
    let attached = match fields.take(7) {
        None => None,
        Some(node) => {
            Some(Attachment { node: node.text()?, boot: BootId(fields.uint(8)?), session: fields.uint(9)? })
        }
    };
    Ok(Device {
        id: DeviceId::new(fields.uint(1)?).map_err(id)?,
        user: fields.user(2)?,
        label: fields.text(3)?,
        token_hash: TokenHash(fields.array(4)?),
        created: Timestamp(fields.uint(5)?),
        last_seen: Timestamp(fields.uint(6)?),
        attached,
    })
}

fn put_group(out: &mut BytesMut, group: &Group) {
    let GroupProfile { name, description, handle, join, history } = &group.profile;
    put_uint(out, 1, group.id.number());
    put_bytes(out, 2, name.as_str().as_bytes());
    put_bytes(out, 3, description.as_bytes());
    if let Some(handle) = handle {
        put_present(out, 4, handle.as_str().as_bytes());
    }
    put_uint(out, 5, join.number());
    put_uint(out, 6, history.number());
    put_uint(out, 7, group.members.into());
    put_uint(out, 8, group.dissolved.into());
}

fn take_group(mut fields: Fields) -> Result<Group, Malformed> {
    Ok(Group {
        id: GroupId::new(fields.uint(1)?).map_err(id)?,
        profile: GroupProfile {
            name: DisplayName::from_stored(fields.text(2)?),
            description: fields.text(3)?,
            handle: fields.take(4).map(Value::text).transpose()?.map(Handle::from_stored),
            join: JoinPolicy::from_number(fields.uint(5)?)?,
            history: HistoryPolicy::from_number(fields.uint(6)?)?,
        },
        members: fields.uint(7)?.try_into().map_err(|_| Malformed("too many members"))?,
        dissolved: fields.uint(8)? != 0,
    })
}

fn put_head(out: &mut BytesMut, head: &Head) {
    put_bytes(out, 1, &head.conversation.key());
    put_uint(out, 2, head.seq);
    put_uint(out, 3, head.ordinal);
    put_uint(out, 4, head.time.0);
    put_uint(out, 5, head.first_seq);
    put_uint(out, 6, head.rules_seq);
}

fn take_head(mut fields: Fields) -> Result<Head, Malformed> {
    Ok(Head {
        conversation: fields.conversation(1)?,
        seq: fields.uint(2)?,
        ordinal: fields.uint(3)?,
        time: Timestamp(fields.uint(4)?),
        first_seq: fields.uint(5)?,
        rules_seq: fields.uint(6)?,
        group: None,
    })
}

fn put_member(out: &mut BytesMut, member: &Member) {
    put_bytes(out, 1, &member.conversation.key());
    put_uint(out, 2, member.user.number());
    put_uint(out, 3, member.standing.number());
    put_uint(out, 4, member.relation.number());
    put_uint(out, 5, member.blocked.into());
    put_optional(out, 6, member.muted_until.map(|until| until.0));
    put_uint(out, 7, member.joined_seq);
    put_uint(out, 8, member.visible_from);
    put_optional(out, 9, member.left_seq);
    put_uint(out, 10, member.read.seq);
    put_uint(out, 11, member.read.ordinal);
    put_uint(out, 12, member.read.own);
    put_uint(out, 13, member.delivered);
    put_uint(out, 14, member.own);
}

fn take_member(mut fields: Fields) -> Result<Member, Malformed> {
    Ok(Member {
        conversation: fields.conversation(1)?,
        user: fields.user(2)?,
        standing: Standing::from_number(fields.uint(3)?)?,
        relation: Relation::from_number(fields.uint(4)?)?,
        blocked: fields.uint(5)? != 0,
        muted_until: fields.optional(6)?.map(Timestamp),
        joined_seq: fields.uint(7)?,
        visible_from: fields.uint(8)?,
        left_seq: fields.optional(9)?,
        read: Cursor { seq: fields.uint(10)?, ordinal: fields.uint(11)?, own: fields.uint(12)? },
        delivered: fields.uint(13)?,
        own: fields.uint(14)?,
    })
}

fn put_command(out: &mut BytesMut, command: &TrimmedCommand) {
    put_once(out, &command.once);
    put_uint(out, 4, command.seq);
    put_uint(out, 5, command.time.0);
    put_bytes(out, 6, &command.digest.0);
}

fn take_command(mut fields: Fields) -> Result<TrimmedCommand, Malformed> {
    Ok(TrimmedCommand {
        once: fields.once()?,
        seq: fields.uint(4)?,
        time: Timestamp(fields.uint(5)?),
        digest: Digest(fields.array(6)?),
    })
}

fn put_logged(out: &mut BytesMut, logged: &LoggedEntry) {
    put_bytes(out, 1, &logged.conversation.key());
    if let Some(digest) = &logged.digest {
        put_bytes(out, 2, &digest.0);
    }
    let mut entry = BytesMut::with_capacity(logged.entry.size_bytes() + 32);
    logged.entry.encode(&mut entry);
    put_present(out, 3, &entry);
}

fn take_logged(mut fields: Fields) -> Result<LoggedEntry, Malformed> {
    let logged = LoggedEntry {
        conversation: fields.conversation(1)?,
        digest: fields.take(2).map(array).transpose()?.map(Digest),
        entry: Entry::decode(fields.bytes(3)?)?,
    };
    if logged.digest.is_some() != logged.entry.client_id.is_some() {
        return Err(Malformed("a client id and a digest make a command together"));
    }
    Ok(logged)
}

fn put_once(out: &mut BytesMut, once: &Once) {
    put_bytes(out, 1, &once.client_id.0);
    put_uint(out, 2, once.sender.number());
    put_bytes(out, 3, &once.conversation.key());
}

/// What only records and positions hold.
impl Fields {
    fn optional(&mut self, tag: u32) -> Result<Option<u64>, Malformed> {
        self.take(tag).map(Value::uint).transpose()
    }

    fn array<const N: usize>(&mut self, tag: u32) -> Result<[u8; N], Malformed> {
        array(self.take(tag).ok_or(Malformed("bytes expected"))?)
    }

    fn conversation(&mut self, tag: u32) -> Result<ConversationId, Malformed> {
        ConversationId::from_key(&self.bytes(tag)?).map_err(id)
    }

    fn once(&mut self) -> Result<Once, Malformed> {
        Ok(Once {
            client_id: ClientId(self.array(1)?),
            sender: self.user(2)?,
            conversation: self.conversation(3)?,
        })
    }
}

fn array<const N: usize>(value: Value) -> Result<[u8; N], Malformed> {
    value.bytes()?.as_ref().try_into().map_err(|_| Malformed("bytes of another length"))
}

fn id(MalformedId(what): MalformedId) -> Malformed {
    Malformed(what)
}
