//! Why settings were refused: which key, what was found, what is expected, and where it came from.

use std::path::PathBuf;

use figment::error::{Actual, Kind};
use thiserror::Error;

/// Settings that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{}: cannot read the settings: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: not TOML: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where in it, and what was expected there.
        message: String,
    },
    /// There is no such setting.
    #[error("{origin}: `{key}` is no setting; {expected}")]
    Unknown {
        /// Where it came from.
        origin: String,
        /// What was named.
        key: String,
        /// What could stand there.
        expected: String,
    },
    /// A value is not what its key takes.
    #[error("{origin}: `{key}` is {found}, expected {expected}")]
    Value {
        /// Where it came from.
        origin: String,
        /// Which setting.
        key: String,
        /// What was given.
        found: String,
        /// What it takes.
        expected: String,
    },
}

impl SettingsError {
    /// The error of a value that could not be read as its key's type; `origin` says where it came from.
    pub(super) fn of_value(error: &figment::Error, origin: String, raw: impl FnOnce(&str) -> String) -> Self {
        let key = error.path.join(".");
        let (found, expected) = match &error.kind {
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
                (described(found), in_words(expected))
            }
            Kind::UnknownVariant(found, known) => {
                (format!("\"{found}\""), format!("one of {}", listed(known)))
            }
            Kind::Message(message) => (raw(&key), expected_by(message)),
            other => (raw(&key), other.to_string()),
        };
        Self::Value { origin, key, found, expected }
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn described(found: &Actual) -> String {
    match found {
        Actual::Str(text) => format!("the text \"{text}\""),
        Actual::Unsigned(number) => format!("the number {number}"),
        Actual::Signed(number) => format!("the number {number}"),
        Actual::Float(number) => format!("the number {number}"),
        Actual::Bool(value) => format!("{value}"),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}

fn in_words(expected: &str) -> String {
    match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number, not negative".into(),
        "a string" | "path string" => "a text".into(),
        other if other.starts_with("struct ") => "a table of settings".into(),
        other => other.into(),
    }
}

/// Addresses report by message alone, and so do networks, whose message is what is expected.
fn expected_by(message: &str) -> String {
    if message.contains("socket address") {
        "an address such as \"127.0.0.1:6060\" or \"[::1]:6060\"".into()
    } else {
        message.into()
    }
}
