//! How a connection opens and who it acts as, in a client's words.

use bytes::Bytes;
use chat_core::{AccountName, Credentials, DisplayName, Epoch, Password, Register, Token};

use super::{Malformed, Wire, client_id, write_client_id};
use crate::message::Hello;
use crate::wire::{self, login};

pub(super) fn account_name(field: &'static str, text: &str) -> Result<AccountName, Malformed> {
    AccountName::parse(text).map_err(Malformed::at(field))
}

pub(super) fn optional_token(bytes: &Bytes) -> Result<Option<Token>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let token = <[u8; 32]>::try_from(&bytes[..]);
    token.map(|token| Some(Token(token))).map_err(|_| Malformed::new("token", "32 bytes expected"))
}

pub(super) fn write_token(token: Option<&Token>) -> Bytes {
    token.map_or_else(Bytes::new, |token| Bytes::copy_from_slice(&token.0))
}

impl Wire for Hello {
    type Form = wire::Hello;

    fn write(&self) -> wire::Hello {
        wire::Hello {
            protocol_min: self.protocol_min,
            protocol_max: self.protocol_max,
            features: self.features,
            token: write_token(self.token.as_ref()),
            epoch: self.epoch.map(|epoch| epoch.0),
            client: self.client.clone(),
        }
    }

    fn read(form: wire::Hello) -> Result<Self, Malformed> {
        Ok(Self {
            protocol_min: form.protocol_min,
            protocol_max: form.protocol_max,
            features: form.features,
            token: optional_token(&form.token)?,
            epoch: form.epoch.map(Epoch),
            client: form.client,
        })
    }
}

impl Wire for Register {
    type Form = wire::Register;

    fn write(&self) -> wire::Register {
        wire::Register {
            client_id: write_client_id(self.client_id),
            name: self.name.as_str().into(),
            display_name: self.display_name.as_ref().map_or("", DisplayName::as_str).into(),
            password: self.password.expose().into(),
            device_label: self.device_label.clone(),
        }
    }

    fn read(form: wire::Register) -> Result<Self, Malformed> {
        Ok(Self {
            client_id: client_id(&form.client_id)?,
            name: account_name("name", &form.name)?,
            display_name: match form.display_name.as_str() {
                "" => None,
                name => Some(DisplayName::parse(name).map_err(Malformed::at("display_name"))?),
            },
            password: Password::new(form.password),
            device_label: form.device_label,
        })
    }
}

impl Wire for Credentials {
    type Form = wire::Login;

    fn write(&self) -> wire::Login {
        let credentials = match self {
            Self::Password { name, password, device_label } => {
                login::Credentials::Password(wire::PasswordLogin {
                    name: name.as_str().into(),
                    password: password.expose().into(),
                    device_label: device_label.clone(),
                })
            }
            Self::Token(token) => login::Credentials::Token(write_token(Some(token))),
            Self::External { secret, device_label } => login::Credentials::External(wire::ExternalLogin {
                secret: secret.clone(),
                device_label: device_label.clone(),
            }),
        };
        wire::Login { credentials: Some(credentials) }
    }

    fn read(form: wire::Login) -> Result<Self, Malformed> {
        Ok(match form.credentials.ok_or_else(|| Malformed::missing("credentials"))? {
            login::Credentials::Password(form) => Self::Password {
                name: account_name("password.name", &form.name)?,
                password: Password::new(form.password),
                device_label: form.device_label,
            },
            login::Credentials::Token(token) => {
                Self::Token(optional_token(&token)?.ok_or_else(|| Malformed::missing("token"))?)
            }
            login::Credentials::External(form) => {
                Self::External { secret: form.secret, device_label: form.device_label }
            }
        })
    }
}
