//! What the fuzzer found, each under the name of what went wrong.

use chat_core::{AccountName, Handle};

use crate::checks;

/// `=` and a stroke through it are one character once they are composed, which no name may have: the name
/// was accepted, and refused from whoever had read it.
#[test]
fn a_name_that_turns_into_one_that_is_not_admitted_is_refused() {
    let find_user = b"\x08\xad\x22\xb2\x01\x05\x0a\x03=\xcc\xb8";
    checks::client_messages(find_user);
    checks::names(b"=\xcc\xb8");
    assert!(AccountName::parse("=\u{338}").is_err());
    assert!(Handle::parse("=\u{338}").is_err());
}

/// A capital whose small letter the profile does not know yet.
#[test]
fn a_name_whose_small_letters_are_not_admitted_is_refused() {
    checks::names("\u{13ed}".as_bytes());
    assert!(AccountName::parse("\u{13ed}").is_err());
}
