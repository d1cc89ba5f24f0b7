//! Names that people choose: of accounts, of groups' handles, and the free text shown beside them.

use std::fmt;

use precis_profiles::precis_core::profile::{Profile, stabilize};
use precis_profiles::{Nickname, UsernameCaseMapped};
use thiserror::Error;

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing is left of it.
    #[error("{what} is empty")]
    Empty {
        /// Which name.
        what: &'static str,
    },
    /// It has too many bytes in UTF-8, after normalisation.
    #[error("{what} is longer than {limit_bytes} bytes")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// The most bytes that it may have.
        limit_bytes: usize,
    },
    /// It has a character that the profile does not admit, or mixes directions of writing.
    #[error("{what} has a character that is not allowed there")]
    BadCharacter {
        /// Which name.
        what: &'static str,
    },
}

fn check(what: &'static str, text: &str, limit_bytes: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > limit_bytes {
        return Err(NameError::TooLong { what, limit_bytes });
    }
    Ok(())
}

/// Case-mapped by RFC 8265; `@`, `#`, `:`, `/` and control characters have meanings in addresses of
/// ours and stay outside.
fn case_mapped(what: &'static str, text: &str, limit_bytes: usize) -> Result<String, NameError> {
    // Normalisation can lengthen a text, not by this factor; the check before it bounds its cost.
    check(what, text, limit_bytes * 4)?;
    // Until nothing changes any more (RFC 8264, section 7): composing can make of characters that are
    // admitted one that is not, and a name that somebody reads must be one that they can type.
    let enforced = stabilize(text, |text| UsernameCaseMapped::new().enforce(text));
    let name = enforced.map_err(|_| NameError::BadCharacter { what })?;
    check(what, &name, limit_bytes)?;
    if name.contains(['@', '#', ':', '/', '"', '\'', '\\']) {
        return Err(NameError::BadCharacter { what });
    }
    Ok(name.into_owned())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal, $enforce:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The most bytes that it has, in UTF-8.
            pub const LIMIT_BYTES: usize = $limit;

            /// Checks and normalises what somebody typed.
            ///
            /// # Errors
            /// Says what is wrong with it, in words for the person who typed it.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let enforce: fn(&'static str, &str, usize) -> Result<String, NameError> = $enforce;
                enforce($what, text, $limit).map(|name| Self(name.into()))
            }

            /// Takes what a store holds, which was checked when it was written.
            pub fn from_stored(text: impl Into<Box<str>>) -> Self {
                Self(text.into())
            }

            /// The normalised text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The unique name of an account (RFC 8265, `UsernameCaseMapped`): two spellings of one name are
    /// one name.
    AccountName,
    "the account name",
    64,
    case_mapped
);
name!(
    /// The unique name by which an open group is found.
    Handle,
    "the group handle",
    64,
    case_mapped
);
name!(
    /// The name shown for a user or a group (RFC 8266, `Nickname`); need not be unique.
    DisplayName,
    "the display name",
    128,
    |what, text, limit_bytes| {
        check(what, text, limit_bytes * 4)?;
        // The profile's enforcement is for comparing and folds case; preparing keeps what was typed.
        let name = Nickname::new().prepare(text.trim()).map_err(|_| NameError::BadCharacter { what })?;
        check(what, &name, limit_bytes)?;
        Ok(name.into_owned())
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_name_are_one_name() {
        let plain = AccountName::parse("alice").expect("a name");
        assert_eq!(AccountName::parse("Alice"), Ok(plain.clone()));
        assert_eq!(AccountName::parse("\u{ff21}lice"), Ok(plain), "full width");
        assert_eq!(AccountName::parse("e\u{301}ve"), AccountName::parse("\u{e9}ve"), "normal form C");
    }

    #[test]
    fn names_that_would_confuse_are_refused() {
        for bad in ["", " ", "two words", "a\u{0}", "tab\t", "a:b", "@a", "#a", "\u{202e}evil"] {
            assert!(AccountName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(AccountName::parse(&"x".repeat(64)).is_ok());
        assert!(AccountName::parse(&"x".repeat(65)).is_err());
        assert!(AccountName::parse(&"x".repeat(1 << 20)).is_err());
    }

    #[test]
    fn display_names_keep_their_case_and_inner_spaces() {
        assert_eq!(DisplayName::parse(" Ada Lovelace ").expect("a name").as_str(), "Ada Lovelace");
        assert!(DisplayName::parse("line\nbreak").is_err());
        assert!(DisplayName::parse("").is_err());
    }
}
