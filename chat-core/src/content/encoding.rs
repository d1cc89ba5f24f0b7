//! The canonical bytes of contents: which number stands for what, and which field holds what.

use bytes::{Bytes, BytesMut};

use super::fields::{self, Fields, Malformed, put_bytes, put_uint, take_varint};
use super::{Body, ContactEvent, Content, DeviceEvent, GroupEvent};
use crate::{
    DeviceId, DisplayName, GroupId, GroupProfile, Handle, HistoryPolicy, JoinPolicy, Kind, Relation,
    Standing, Timestamp, UserId,
};

/// The kind of [`Content::Group`].
#[cfg(feature = "engine")]
pub(crate) const GROUP_NOTICE: u16 = kind::GROUP;

mod kind {
    pub(super) const TEXT: u16 = 16;
    pub(super) const DATA: u16 = 17;
    pub(super) const EDIT: u16 = 18;
    pub(super) const RECALL: u16 = 19;
    pub(super) const REACTION: u16 = 20;
    pub(super) const GROUP_CREATED: u16 = 32;
    pub(super) const GROUP_CHANGED: u16 = 33;
    pub(super) const MEMBERS_ADDED: u16 = 34;
    pub(super) const JOINED: u16 = 35;
    pub(super) const LEFT: u16 = 36;
    pub(super) const MEMBER_REMOVED: u16 = 37;
    pub(super) const ROLE_CHANGED: u16 = 38;
    pub(super) const MUTED: u16 = 39;
    pub(super) const DISSOLVED: u16 = 40;
    pub(super) const ACCOUNT_CREATED: u16 = 64;
    pub(super) const DISPLAY_NAME_CHANGED: u16 = 65;
    pub(super) const PASSWORD_CHANGED: u16 = 66;
    pub(super) const ACCOUNT_DELETED: u16 = 67;
    pub(super) const DEVICE: u16 = 68;
    pub(super) const CONTACT: u16 = 69;
    pub(super) const GROUP: u16 = 70;
}

impl Kind {
    /// The kind of [`Content::Edit`].
    pub const EDIT: Self = Self::known(kind::EDIT);
    /// The kind of [`Content::Reaction`].
    pub const REACTION: Self = Self::known(kind::REACTION);
}

macro_rules! numbered {
    ($type:ident { $($variant:ident = $number:literal),+ $(,)? }) => {
        impl $type {
            /// The number that stands for it in canonical bytes and in stores.
            pub const fn number(self) -> u64 {
                match self { $(Self::$variant => $number),+ }
            }

            /// What this number stands for.
            ///
            /// # Errors
            /// A number that this version does not know.
            pub const fn from_number(number: u64) -> Result<Self, Malformed> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(Malformed(concat!("unknown ", stringify!($type)))),
                }
            }
        }
    };
}

pub(crate) use numbered;

numbered!(ContactEvent { Requested = 1, Accepted = 2, Declined = 3, Withdrawn = 4, Removed = 5, Blocked = 6, Unblocked = 7 });
numbered!(GroupEvent { Entered = 1, Left = 2, Invited = 3, InvitationEnded = 4, Asked = 5, RequestEnded = 6 });
numbered!(DeviceEvent { Added = 1, LoggedOut = 2, Revoked = 3, Replaced = 4 });
numbered!(JoinPolicy { Open = 1, Request = 2, Invitation = 3 });
numbered!(HistoryPolicy { SinceJoin = 1, All = 2 });
numbered!(Relation { None = 0, Outgoing = 1, Incoming = 2, Contact = 3 });
numbered!(Standing { Owner = 1, Admin = 2, Member = 3, Invited = 4, Asking = 5, Former = 6 });

impl Content {
    /// The number of its kind; `None` for [`Content::Redacted`], which keeps the kind it had.
    pub fn kind(&self) -> Option<Kind> {
        Some(Kind::known(match self {
            Self::Message(Body::Text(_)) => kind::TEXT,
            Self::Message(Body::Data { .. }) => kind::DATA,
            Self::Edit(_) => kind::EDIT,
            Self::Recall => kind::RECALL,
            Self::Reaction { .. } => kind::REACTION,
            Self::GroupCreated { .. } => kind::GROUP_CREATED,
            Self::GroupChanged(_) => kind::GROUP_CHANGED,
            Self::MembersAdded(_) => kind::MEMBERS_ADDED,
            Self::Joined => kind::JOINED,
            Self::Left => kind::LEFT,
            Self::MemberRemoved(_) => kind::MEMBER_REMOVED,
            Self::RoleChanged { .. } => kind::ROLE_CHANGED,
            Self::Muted { .. } => kind::MUTED,
            Self::Dissolved => kind::DISSOLVED,
            Self::AccountCreated => kind::ACCOUNT_CREATED,
            Self::DisplayNameChanged(_) => kind::DISPLAY_NAME_CHANGED,
            Self::PasswordChanged => kind::PASSWORD_CHANGED,
            Self::AccountDeleted => kind::ACCOUNT_DELETED,
            Self::Device { .. } => kind::DEVICE,
            Self::Contact { .. } => kind::CONTACT,
            Self::Group { .. } => kind::GROUP,
            Self::Redacted => return None,
            Self::Unknown(kind, _) => return Some(*kind),
        }))
    }

    /// Whether entries of it count as messages.
    pub fn is_countable(&self) -> bool {
        matches!(self, Self::Message(_))
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let out = &mut out;
        match self {
            Self::Message(Body::Text(text)) => put_bytes(out, 1, text.as_bytes()),
            Self::Message(Body::Data { media_type, bytes }) => {
                put_bytes(out, 1, media_type.as_bytes());
                put_bytes(out, 2, bytes);
            }
            Self::Edit(Body::Text(text)) => put_bytes(out, 1, text.as_bytes()),
            Self::Edit(Body::Data { media_type, bytes }) => {
                put_bytes(out, 2, media_type.as_bytes());
                put_bytes(out, 3, bytes);
            }
            Self::Recall
            | Self::Joined
            | Self::Left
            | Self::Dissolved
            | Self::AccountCreated
            | Self::PasswordChanged
            | Self::AccountDeleted
            | Self::Redacted => {}
            Self::Reaction { symbol, set } => {
                put_bytes(out, 1, symbol.as_bytes());
                put_uint(out, 2, u64::from(*set));
            }
            Self::GroupCreated { profile, members } => {
                put_bytes(out, 1, &encode_profile(profile));
                put_users(out, 2, members);
            }
            Self::GroupChanged(profile) => put_bytes(out, 1, &encode_profile(profile)),
            Self::MembersAdded(users) => put_users(out, 1, users),
            Self::MemberRemoved(user) => put_uint(out, 1, user.number()),
            Self::RoleChanged { user, role } => {
                put_uint(out, 1, user.number());
                put_uint(out, 2, role.number());
            }
            Self::Muted { user, until } => {
                put_uint(out, 1, user.number());
                put_uint(out, 2, until.0);
            }
            Self::DisplayNameChanged(name) => put_bytes(out, 1, name.as_str().as_bytes()),
            Self::Device { event, device, label } => {
                put_uint(out, 1, event.number());
                put_uint(out, 2, device.number());
                put_bytes(out, 3, label.as_bytes());
            }
            Self::Contact { event, peer, note } => {
                put_uint(out, 1, event.number());
                put_uint(out, 2, peer.number());
                put_bytes(out, 3, note.as_bytes());
            }
            Self::Group { event, group, user, name } => {
                put_uint(out, 1, event.number());
                put_uint(out, 2, group.number());
                put_uint(out, 3, user.number());
                put_bytes(out, 4, name.as_bytes());
            }
            Self::Unknown(_, bytes) => return bytes.clone(),
        }
        out.split().freeze()
    }

    /// Reads what [`Content::encode`] wrote; bodies share the memory of `bytes`.
    ///
    /// # Errors
    /// Bytes that are not what the kind says.
    pub fn decode(of: Kind, bytes: &Bytes) -> Result<Self, Malformed> {
        let mut fields = Fields::parse(bytes.clone())?;
        Ok(match of.number() {
            kind::TEXT => Self::Message(Body::Text(fields.text(1)?)),
            kind::DATA => Self::Message(Body::Data { media_type: fields.text(1)?, bytes: fields.bytes(2)? }),
            kind::EDIT => Self::Edit(match fields.text(2)? {
                media_type if media_type.is_empty() => Body::Text(fields.text(1)?),
                media_type => Body::Data { media_type, bytes: fields.bytes(3)? },
            }),
            kind::RECALL => Self::Recall,
            kind::REACTION => Self::Reaction { symbol: fields.text(1)?, set: fields.uint(2)? != 0 },
            kind::GROUP_CREATED => Self::GroupCreated {
                profile: decode_profile(fields.bytes(1)?)?,
                members: take_users(fields.bytes(2)?)?,
            },
            kind::GROUP_CHANGED => Self::GroupChanged(decode_profile(fields.bytes(1)?)?),
            kind::MEMBERS_ADDED => Self::MembersAdded(take_users(fields.bytes(1)?)?),
            kind::JOINED => Self::Joined,
            kind::LEFT => Self::Left,
            kind::MEMBER_REMOVED => Self::MemberRemoved(fields.user(1)?),
            kind::ROLE_CHANGED => {
                Self::RoleChanged { user: fields.user(1)?, role: Standing::from_number(fields.uint(2)?)? }
            }
            kind::MUTED => Self::Muted { user: fields.user(1)?, until: Timestamp(fields.uint(2)?) },
            kind::DISSOLVED => Self::Dissolved,
            kind::ACCOUNT_CREATED => Self::AccountCreated,
            kind::DISPLAY_NAME_CHANGED => Self::DisplayNameChanged(DisplayName::from_stored(fields.text(1)?)),
            kind::PASSWORD_CHANGED => Self::PasswordChanged,
            kind::ACCOUNT_DELETED => Self::AccountDeleted,
            kind::DEVICE => Self::Device {
                event: DeviceEvent::from_number(fields.uint(1)?)?,
                device: DeviceId::new(fields.uint(2)?).map_err(|_| Malformed("device id"))?,
                label: fields.text(3)?,
            },
            kind::CONTACT => Self::Contact {
                event: ContactEvent::from_number(fields.uint(1)?)?,
                peer: fields.user(2)?,
                note: fields.text(3)?,
            },
            kind::GROUP => Self::Group {
                event: GroupEvent::from_number(fields.uint(1)?)?,
                group: GroupId::new(fields.uint(2)?).map_err(|_| Malformed("group id"))?,
                user: fields.user(3)?,
                name: fields.text(4)?,
            },
            _ => Self::Unknown(of, bytes.clone()),
        })
    }
}

/// Users as one packed field, the encoding of `repeated uint64`.
fn put_users(out: &mut BytesMut, tag: u32, users: &[UserId]) {
    let mut packed = BytesMut::new();
    users.iter().for_each(|user| fields::put_varint(&mut packed, user.number()));
    put_bytes(out, tag, &packed);
}

fn take_users(mut packed: Bytes) -> Result<Vec<UserId>, Malformed> {
    let mut users = Vec::new();
    while !packed.is_empty() {
        users.push(UserId::new(take_varint(&mut packed)?).map_err(|_| Malformed("user id"))?);
    }
    Ok(users)
}

fn encode_profile(profile: &GroupProfile) -> Bytes {
    let mut out = BytesMut::new();
    put_bytes(&mut out, 1, profile.name.as_str().as_bytes());
    put_bytes(&mut out, 2, profile.description.as_bytes());
    put_bytes(&mut out, 3, profile.handle.as_ref().map_or("", Handle::as_str).as_bytes());
    put_uint(&mut out, 4, profile.join.number());
    put_uint(&mut out, 5, profile.history.number());
    out.freeze()
}

fn decode_profile(bytes: Bytes) -> Result<GroupProfile, Malformed> {
    let mut fields = Fields::parse(bytes)?;
    let handle = fields.text(3)?;
    Ok(GroupProfile {
        name: DisplayName::from_stored(fields.text(1)?),
        description: fields.text(2)?,
        handle: (!handle.is_empty()).then(|| Handle::from_stored(handle)),
        join: JoinPolicy::from_number(fields.uint(4)?)?,
        history: HistoryPolicy::from_number(fields.uint(5)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_content() -> Vec<Content> {
        let user = UserId::new(77).expect("valid");
        let profile = GroupProfile {
            name: DisplayName::parse("Rust Berlin").expect("valid"),
            description: "all things".into(),
            handle: Some(Handle::parse("rust-berlin").expect("valid")),
            join: JoinPolicy::Request,
            history: HistoryPolicy::All,
        };
        let data = Body::Data { media_type: "image/png".into(), bytes: Bytes::from_static(&[1, 2, 3]) };
        vec![
            Content::Message(Body::Text("hällo".into())),
            Content::Message(data.clone()),
            Content::Edit(Body::Text(String::new())),
            Content::Edit(data),
            Content::Recall,
            Content::Reaction { symbol: "👍".into(), set: true },
            Content::GroupCreated { profile: profile.clone(), members: vec![user, user] },
            Content::GroupChanged(GroupProfile { handle: None, ..profile }),
            Content::MembersAdded(vec![user]),
            Content::Joined,
            Content::Left,
            Content::MemberRemoved(user),
            Content::RoleChanged { user, role: Standing::Admin },
            Content::Muted { user, until: Timestamp(5) },
            Content::Dissolved,
            Content::AccountCreated,
            Content::DisplayNameChanged(DisplayName::parse("Ada").expect("valid")),
            Content::PasswordChanged,
            Content::AccountDeleted,
            Content::Device {
                event: DeviceEvent::Revoked,
                device: DeviceId::new(3).expect("valid"),
                label: "laptop".into(),
            },
            Content::Contact { event: ContactEvent::Requested, peer: user, note: "hi".into() },
            Content::Group {
                event: GroupEvent::Entered,
                group: GroupId::new(4).expect("valid"),
                user,
                name: "Rust Berlin".into(),
            },
            Content::Unknown(Kind::new(500).expect("valid"), Bytes::from_static(&[8, 1])),
        ]
    }

    #[test]
    fn every_content_reads_back() {
        for content in every_content() {
            let kind = content.kind().expect("none is redacted");
            assert_eq!(Content::decode(kind, &content.encode()), Ok(content));
        }
    }

    #[test]
    fn only_messages_are_countable() {
        let countable = every_content().iter().filter(|content| content.is_countable()).count();
        assert_eq!(countable, 2);
    }

    #[test]
    fn a_field_of_a_newer_version_is_passed_over() {
        let mut bytes = BytesMut::from(&Content::Message(Body::Text("hi".into())).encode()[..]);
        put_uint(&mut bytes, 15, 1);
        let read = Content::decode(Kind::known(kind::TEXT), &bytes.freeze());
        assert_eq!(read, Ok(Content::Message(Body::Text("hi".into()))));
    }

    #[test]
    fn hostile_bytes_are_refused() {
        for bytes in [&b"\x08"[..], b"\x0a\xff\xff\xff\xff\x0f", b"\x08\x01", b"\x0a\x01\xff"] {
            let read = Content::decode(Kind::known(kind::TEXT), &Bytes::copy_from_slice(bytes));
            assert!(read.is_err(), "{bytes:?}");
        }
    }
}
