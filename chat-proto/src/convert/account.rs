//! Profiles and devices.

use chat_core::{AccountName, DeviceId, DeviceInfo, DisplayName, LeftMessages, Profile, Timestamp};

use super::{Malformed, Wire, user};
use crate::wire;

impl Wire for Profile {
    type Form = wire::Profile;

    fn write(&self) -> wire::Profile {
        wire::Profile {
            user: self.user.number(),
            name: self.name.as_str().into(),
            display_name: self.display_name.as_str().into(),
            deleted: self.deleted,
        }
    }

    fn read(form: wire::Profile) -> Result<Self, Malformed> {
        Ok(Self {
            user: user("profile.user", form.user)?,
            name: AccountName::from_stored(form.name),
            display_name: DisplayName::from_stored(form.display_name),
            deleted: form.deleted,
        })
    }
}

impl Wire for DeviceInfo {
    type Form = wire::Device;

    fn write(&self) -> wire::Device {
        wire::Device {
            device: self.device.number(),
            label: self.label.clone(),
            created: self.created.0,
            last_seen: self.last_seen.0,
            online: self.online,
            current: self.current,
        }
    }

    fn read(form: wire::Device) -> Result<Self, Malformed> {
        Ok(Self {
            device: device("device.device", form.device)?,
            label: form.label,
            created: Timestamp(form.created),
            last_seen: Timestamp(form.last_seen),
            online: form.online,
            current: form.current,
        })
    }
}

impl Wire for LeftMessages {
    type Form = i32;

    fn write(&self) -> i32 {
        let number = match self {
            Self::Keep => wire::LeftMessages::Keep,
            Self::Redact => wire::LeftMessages::Redact,
        };
        number.into()
    }

    fn read(form: i32) -> Result<Self, Malformed> {
        match wire::LeftMessages::try_from(form) {
            Ok(wire::LeftMessages::Keep) => Ok(Self::Keep),
            Ok(wire::LeftMessages::Redact) => Ok(Self::Redact),
            Ok(wire::LeftMessages::Unspecified) => Err(Malformed::missing("left_messages")),
            Err(_) => Err(Malformed::new("left_messages", "unknown number")),
        }
    }
}

pub(super) fn device(field: &'static str, number: u64) -> Result<DeviceId, Malformed> {
    DeviceId::new(number).map_err(Malformed::at(field))
}
