//! How conversations, users and groups are named on the command line and in what is printed.

use std::fmt;
use std::str::FromStr;

use chat_core::{AccountName, GroupId, Handle};

/// A conversation as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `@name`: the direct conversation with a user.
    User(AccountName),
    /// `#handle`, `group:HANDLE`, `id:ID`: a group's.
    Group(GroupAddress),
    /// `inbox`: the own notices.
    Inbox,
}

/// A group as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupAddress {
    /// By its handle.
    Handle(Handle),
    /// By its id, for groups without a handle.
    Id(GroupId),
}

/// A user as a person names them: `@name` or `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserAddress(pub(crate) AccountName);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "inbox" {
            return Ok(Self::Inbox);
        }
        if text.starts_with('@') {
            return UserAddress::from_str(text).map(|user| Self::User(user.0));
        }
        if text.starts_with('#') || text.starts_with("group:") || text.starts_with("id:") {
            return GroupAddress::from_str(text).map(Self::Group);
        }
        Err("expected @NAME, #HANDLE, group:HANDLE, id:GROUP-ID or inbox".into())
    }
}

impl FromStr for GroupAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(id) = text.strip_prefix("id:") {
            return id
                .parse()
                .map(Self::Id)
                .map_err(|_| format!("expected a number after id:, found `{id}`"));
        }
        if text.starts_with('@') {
            return Err(
                "a user stands where a group is expected: #HANDLE, group:HANDLE or id:GROUP-ID".into()
            );
        }
        let handle = text.strip_prefix('#').or_else(|| text.strip_prefix("group:")).unwrap_or(text);
        Handle::parse(handle).map(Self::Handle).map_err(|error| error.to_string())
    }
}

impl FromStr for UserAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('@').unwrap_or(text);
        AccountName::parse(name).map(Self).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "@{name}"),
            Self::Group(group) => group.fmt(f),
            Self::Inbox => f.write_str("inbox"),
        }
    }
}

impl fmt::Display for GroupAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(handle) => write!(f, "#{handle}"),
            Self::Id(id) => write!(f, "id:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        text.parse::<Address>().map(|address| address.to_string())
    }

    #[test]
    fn an_address_reads_back_as_it_is_shown() {
        for text in ["@bob", "#rust", "id:7", "inbox"] {
            assert_eq!(parsed(text), Ok(text.into()));
        }
        assert_eq!(parsed("group:rust"), Ok("#rust".into()));
        assert_eq!(parsed("@Bob"), Ok("@bob".into()), "two spellings of one name are one name");
    }

    #[test]
    fn what_is_no_address_says_what_one_looks_like() {
        for bad in ["bob", "", "@", "#", "group:", "id:x", "id:0", "id:-1", "@a b"] {
            assert!(!parsed(bad).expect_err(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn where_only_one_kind_fits_its_sign_may_be_left_out() {
        assert_eq!("bob".parse::<UserAddress>(), "@bob".parse());
        assert_eq!("rust".parse::<GroupAddress>(), "#rust".parse());
        assert!("@bob".parse::<GroupAddress>().is_err());
        assert!("#rust".parse::<UserAddress>().is_err());
    }
}
