//! The reference chat server: configuration, listeners and signals around chat-core.

mod settings;

pub use settings::{
    Accounts, Asking, Commits, Connections, Contacts, Devices, Gates, Groups, LogFormat, Messages, Presence,
    Rates, Sessions, Settings, SettingsError, Sources, Writing,
};
