//! Groups, their members and contacts.

use chat_core::{
    Contact, DisplayName, Group, GroupCard, GroupCreated, GroupId, GroupMember, GroupProfile, Handle,
    HistoryPolicy, JoinPolicy, Profile, Relation, Standing, Timestamp,
};

use super::{Malformed, Wire, enum_number, number, position};
use crate::wire;

pub(super) fn group_id(field: &'static str, number: u64) -> Result<GroupId, Malformed> {
    GroupId::new(number).map_err(Malformed::at(field))
}

/// Reads a profile that a client proposes: with all checks.
pub(super) fn proposed_profile(form: Option<wire::GroupProfile>) -> Result<GroupProfile, Malformed> {
    let form = form.ok_or_else(|| Malformed::missing("profile"))?;
    let name = DisplayName::parse(&form.name).map_err(Malformed::at("profile.name"))?;
    let handle = match form.handle.as_str() {
        "" => None,
        handle => Some(Handle::parse(handle).map_err(Malformed::at("profile.handle"))?),
    };
    Ok(GroupProfile { name, handle, ..GroupProfile::read(form)? })
}

impl Wire for GroupProfile {
    type Form = wire::GroupProfile;

    fn write(&self) -> wire::GroupProfile {
        wire::GroupProfile {
            name: self.name.as_str().into(),
            description: self.description.clone(),
            handle: self.handle.as_ref().map_or("", Handle::as_str).into(),
            join: enum_number(self.join.number()),
            history: enum_number(self.history.number()),
        }
    }

    fn read(form: wire::GroupProfile) -> Result<Self, Malformed> {
        Ok(Self {
            name: DisplayName::from_stored(form.name),
            description: form.description,
            handle: (!form.handle.is_empty()).then(|| Handle::from_stored(form.handle)),
            join: number("profile.join", form.join, JoinPolicy::from_number)?,
            history: number("profile.history", form.history, HistoryPolicy::from_number)?,
        })
    }
}

impl Wire for Group {
    type Form = wire::Group;

    fn write(&self) -> wire::Group {
        wire::Group {
            group: self.id.number(),
            profile: Some(self.profile.write()),
            members: self.members,
            dissolved: self.dissolved,
        }
    }

    fn read(form: wire::Group) -> Result<Self, Malformed> {
        Ok(Self {
            id: group_id("group.group", form.group)?,
            profile: GroupProfile::required("group.profile", form.profile)?,
            members: form.members,
            dissolved: form.dissolved,
        })
    }
}

impl Wire for GroupCreated {
    type Form = wire::GroupCreated;

    fn write(&self) -> wire::GroupCreated {
        wire::GroupCreated { group: self.group.number(), time: self.time.0 }
    }

    fn read(form: wire::GroupCreated) -> Result<Self, Malformed> {
        Ok(Self { group: group_id("group", form.group)?, time: Timestamp(form.time) })
    }
}

impl Wire for GroupCard {
    type Form = wire::GroupCard;

    fn write(&self) -> wire::GroupCard {
        wire::GroupCard {
            group: self.group.number(),
            handle: self.handle.as_str().into(),
            name: self.name.as_str().into(),
            description: self.description.clone(),
            join: enum_number(self.join.number()),
            members: self.members,
        }
    }

    fn read(form: wire::GroupCard) -> Result<Self, Malformed> {
        Ok(Self {
            group: group_id("group", form.group)?,
            handle: Handle::from_stored(form.handle),
            name: DisplayName::from_stored(form.name),
            description: form.description,
            join: number("join", form.join, JoinPolicy::from_number)?,
            members: form.members,
        })
    }
}

impl Wire for GroupMember {
    type Form = wire::GroupMember;

    fn write(&self) -> wire::GroupMember {
        wire::GroupMember {
            profile: Some(self.profile.write()),
            standing: self.standing.write(),
            joined_seq: self.joined_seq,
            muted_until: self.muted_until.map(|until| until.0),
        }
    }

    fn read(form: wire::GroupMember) -> Result<Self, Malformed> {
        Ok(Self {
            profile: Profile::required("member.profile", form.profile)?,
            standing: Standing::read(form.standing)?,
            joined_seq: position("member.joined_seq", form.joined_seq)?,
            muted_until: form.muted_until.map(Timestamp),
        })
    }
}

impl Wire for Standing {
    type Form = i32;

    fn write(&self) -> i32 {
        enum_number(self.number())
    }

    fn read(form: i32) -> Result<Self, Malformed> {
        number("standing", form, Self::from_number)
    }
}

impl Wire for Relation {
    type Form = i32;

    fn write(&self) -> i32 {
        let number = match self {
            Self::None => wire::Relation::None,
            Self::Outgoing => wire::Relation::Outgoing,
            Self::Incoming => wire::Relation::Incoming,
            Self::Contact => wire::Relation::Contact,
        };
        number.into()
    }

    fn read(form: i32) -> Result<Self, Malformed> {
        match wire::Relation::try_from(form) {
            Ok(wire::Relation::None) => Ok(Self::None),
            Ok(wire::Relation::Outgoing) => Ok(Self::Outgoing),
            Ok(wire::Relation::Incoming) => Ok(Self::Incoming),
            Ok(wire::Relation::Contact) => Ok(Self::Contact),
            Err(_) => Err(Malformed::new("relation", "unknown number")),
        }
    }
}

impl Wire for Contact {
    type Form = wire::Contact;

    fn write(&self) -> wire::Contact {
        wire::Contact {
            profile: Some(self.profile.write()),
            relation: self.relation.write(),
            blocked: self.blocked,
            online: self.online,
        }
    }

    fn read(form: wire::Contact) -> Result<Self, Malformed> {
        Ok(Self {
            profile: Profile::required("contact.profile", form.profile)?,
            relation: Relation::read(form.relation)?,
            blocked: form.blocked,
            online: form.online,
        })
    }
}
