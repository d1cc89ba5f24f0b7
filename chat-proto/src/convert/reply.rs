//! What a server answers and pushes.

use std::time::Duration;

use chat_core::{
    Contact, ConversationId, ConversationState, DeviceInfo, Entry, Epoch, Error, ErrorKind, GroupCard,
    GroupCreated, GroupMember, History, Profile, Receipt, SyncPage, Timestamp,
};

use super::account::device;
use super::conversation::{read_ephemeral, write_ephemeral};
use super::login::{optional_token, write_token};
use super::{Malformed, Wire, millis, position, user};
use crate::message::{Close, CloseCode, Identity, Limits, LoggedIn, Push, Rate, Reply, ServerFrame, Welcome};
use crate::wire::{self, server_frame::Body};

pub(crate) fn reply_to_wire(reply: &Reply) -> Body {
    match reply {
        Reply::Welcome(welcome) => Body::Welcome(welcome.write()),
        Reply::LoggedIn(logged_in) => Body::LoggedIn(logged_in.write()),
        Reply::Pong => Body::Pong(wire::Pong {}),
        Reply::Done => Body::Done(wire::Done {}),
        Reply::Receipt(receipt) => Body::Receipt(receipt.write()),
        Reply::SyncPage(page) => Body::SyncPage(page.write()),
        Reply::Entries(entries) => {
            Body::EntriesPage(wire::EntriesPage { entries: Entry::write_all(entries) })
        }
        Reply::History(history) => Body::HistoryPage(history.write()),
        Reply::Conversation(state) => Body::ConversationState(state.write()),
        Reply::Devices(devices) => Body::Devices(wire::Devices { devices: DeviceInfo::write_all(devices) }),
        Reply::Profile(profile) => Body::Profile(profile.write()),
        Reply::Profiles(profiles) => {
            let maybe =
                |profile: &Option<Profile>| wire::MaybeProfile { profile: profile.as_ref().map(Wire::write) };
            Body::Profiles(wire::Profiles { profiles: profiles.iter().map(maybe).collect() })
        }
        Reply::Contacts(contacts) => {
            Body::Contacts(wire::Contacts { contacts: Contact::write_all(contacts) })
        }
        Reply::GroupCreated(created) => Body::GroupCreated(created.write()),
        Reply::GroupCard(card) => Body::GroupCard(card.write()),
        Reply::Roster(members) => Body::Roster(wire::Roster { members: GroupMember::write_all(members) }),
    }
}

pub(crate) fn push_to_wire(push: &Push) -> Body {
    match push {
        Push::Entries { conversation, entries } => Body::Entries(wire::Entries {
            conversation: Some(conversation.write()),
            entries: Entry::write_all(entries),
        }),
        Push::Behind { conversation, upto } => {
            Body::Behind(wire::Behind { conversation: Some(conversation.write()), upto: *upto })
        }
        Push::BehindEverywhere => Body::BehindEverywhere(wire::BehindEverywhere {}),
        Push::Ephemeral(event) => Body::Ephemeral(write_ephemeral(event)),
        Push::Ping => Body::Ping(wire::Ping {}),
        Push::Close(close) => Body::Close(close.write()),
    }
}

pub(crate) fn error_body(error: &Error) -> Body {
    Body::Error(error.write())
}

pub(crate) fn server_frame_from_wire(frame: wire::ServerFrame) -> Result<ServerFrame, Malformed> {
    let request_id = frame.request_id;
    let Some(body) = frame.body else { return Ok(ServerFrame::Unknown { request_id }) };
    let push = |push| Ok(ServerFrame::Push(push));
    let reply = match body {
        Body::Error(error) => return Ok(ServerFrame::Reply { request_id, reply: Err(Error::read(error)?) }),
        Body::Entries(form) => {
            let conversation = ConversationId::required("entries.conversation", form.conversation)?;
            return push(Push::Entries { conversation, entries: consecutive(form.entries)? });
        }
        Body::Behind(form) => {
            let conversation = ConversationId::required("behind.conversation", form.conversation)?;
            return push(Push::Behind { conversation, upto: position("behind.upto", form.upto)? });
        }
        Body::BehindEverywhere(_) => return push(Push::BehindEverywhere),
        Body::Ephemeral(form) => {
            let event = read_ephemeral(form)?;
            return Ok(event.map_or(ServerFrame::Unknown { request_id }, |event| {
                ServerFrame::Push(Push::Ephemeral(event))
            }));
        }
        Body::Ping(_) => return push(Push::Ping),
        Body::Close(form) => return push(Push::Close(Close::read(form)?)),
        Body::Welcome(form) => Reply::Welcome(Box::new(Welcome::read(form)?)),
        Body::LoggedIn(form) => Reply::LoggedIn(LoggedIn::read(form)?),
        Body::Pong(_) => Reply::Pong,
        Body::Done(_) => Reply::Done,
        Body::Receipt(form) => Reply::Receipt(Receipt::read(form)?),
        Body::SyncPage(form) => Reply::SyncPage(SyncPage::read(form)?),
        Body::EntriesPage(form) => Reply::Entries(Entry::read_all(form.entries)?),
        Body::HistoryPage(form) => Reply::History(History::read(form)?),
        Body::ConversationState(form) => Reply::Conversation(Box::new(ConversationState::read(form)?)),
        Body::Devices(form) => Reply::Devices(DeviceInfo::read_all(form.devices)?),
        Body::Profile(form) => Reply::Profile(Profile::read(form)?),
        Body::Profiles(form) => {
            let profiles =
                form.profiles.into_iter().map(|maybe| maybe.profile.map(Profile::read).transpose());
            Reply::Profiles(profiles.collect::<Result<_, _>>()?)
        }
        Body::Contacts(form) => Reply::Contacts(Contact::read_all(form.contacts)?),
        Body::GroupCreated(form) => Reply::GroupCreated(GroupCreated::read(form)?),
        Body::GroupCard(form) => Reply::GroupCard(GroupCard::read(form)?),
        Body::Roster(form) => Reply::Roster(GroupMember::read_all(form.members)?),
    };
    Ok(ServerFrame::Reply { request_id, reply: Ok(reply) })
}

fn consecutive(forms: Vec<bytes::Bytes>) -> Result<Vec<Entry>, Malformed> {
    let entries = Entry::read_all(forms)?;
    let without_holes = entries.is_sorted_by(|before, after| before.seq.checked_add(1) == Some(after.seq));
    if entries.is_empty() || !without_holes {
        return Err(Malformed::new("entries.entries", "not consecutive"));
    }
    Ok(entries)
}

impl Wire for Error {
    type Form = wire::Error;

    fn write(&self) -> wire::Error {
        wire::Error {
            code: u32::try_from(self.kind().number()).expect("numbers of kinds are small"),
            message: self.message().into(),
            retry_after_ms: self.retry_delay().map(millis),
        }
    }

    /// A code of a newer server reads as [`ErrorKind::Invalid`]: repeating the request does not help,
    /// for all that is known.
    fn read(form: wire::Error) -> Result<Self, Malformed> {
        let kind = ErrorKind::from_number(form.code.into()).unwrap_or(ErrorKind::Invalid);
        let error = Self::new(kind, form.message);
        Ok(match form.retry_after_ms {
            Some(delay) => error.retry_after(Duration::from_millis(delay)),
            None => error,
        })
    }
}

impl Wire for Close {
    type Form = wire::Close;

    fn write(&self) -> wire::Close {
        wire::Close {
            code: self.code.number(),
            reason: self.reason.clone().into_owned(),
            retry_after_ms: self.retry_after.map(millis),
        }
    }

    fn read(form: wire::Close) -> Result<Self, Malformed> {
        Ok(Self {
            code: CloseCode::new(form.code),
            reason: form.reason.into(),
            retry_after: form.retry_after_ms.map(Duration::from_millis),
        })
    }
}

impl Wire for Identity {
    type Form = wire::Session;

    fn write(&self) -> wire::Session {
        wire::Session { user: self.user.number(), device: self.device.number() }
    }

    fn read(form: wire::Session) -> Result<Self, Malformed> {
        Ok(Self { user: user("session.user", form.user)?, device: device("session.device", form.device)? })
    }
}

impl Wire for LoggedIn {
    type Form = wire::LoggedIn;

    fn write(&self) -> wire::LoggedIn {
        wire::LoggedIn { session: Some(self.session.write()), token: write_token(self.token.as_ref()) }
    }

    fn read(form: wire::LoggedIn) -> Result<Self, Malformed> {
        Ok(Self {
            session: Identity::required("logged_in.session", form.session)?,
            token: optional_token(&form.token)?,
        })
    }
}

impl Wire for Limits {
    type Form = wire::Limits;

    fn write(&self) -> wire::Limits {
        wire::Limits {
            client_frame_bytes: self.client_frame_bytes as u64,
            server_frame_bytes: self.server_frame_bytes as u64,
            body_bytes: self.body_bytes as u64,
            in_flight: self.in_flight,
            commands_per_second: self.commands.per_second,
            commands_burst: self.commands.burst,
            reads_per_second: self.reads.per_second,
            reads_burst: self.reads.burst,
        }
    }

    fn read(form: wire::Limits) -> Result<Self, Malformed> {
        let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            client_frame_bytes: bytes(form.client_frame_bytes),
            server_frame_bytes: bytes(form.server_frame_bytes),
            body_bytes: bytes(form.body_bytes),
            in_flight: form.in_flight,
            commands: Rate { per_second: form.commands_per_second, burst: form.commands_burst },
            reads: Rate { per_second: form.reads_per_second, burst: form.reads_burst },
        })
    }
}

impl Wire for Welcome {
    type Form = wire::Welcome;

    fn write(&self) -> wire::Welcome {
        wire::Welcome {
            protocol: self.protocol,
            features: self.features,
            epoch: self.epoch.0,
            server_time: self.server_time.0,
            ping_interval_ms: millis(self.ping_interval),
            limits: Some(self.limits.write()),
            session: self.session.as_ref().map(Identity::write),
            refused: self.refused.as_ref().map(Error::write),
        }
    }

    fn read(form: wire::Welcome) -> Result<Self, Malformed> {
        Ok(Self {
            protocol: form.protocol,
            features: form.features,
            epoch: Epoch(form.epoch),
            server_time: Timestamp(form.server_time),
            ping_interval: Duration::from_millis(form.ping_interval_ms),
            limits: Limits::required("welcome.limits", form.limits)?,
            session: form.session.map(Identity::read).transpose()?,
            refused: form.refused.map(Error::read).transpose()?,
        })
    }
}
