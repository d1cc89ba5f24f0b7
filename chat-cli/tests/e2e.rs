//! Stories with the real binaries: a server process, and people who use the client as they would.
//!
//! The server's binary is built on demand beside the client's, since cargo gives a package's tests
//! only its own binaries.

#[path = "e2e/accounts.rs"]
mod accounts;
#[path = "e2e/binary.rs"]
mod binary;
#[path = "e2e/chatting.rs"]
mod chatting;
#[path = "e2e/groups.rs"]
mod groups;
#[path = "e2e/interactive.rs"]
mod interactive;
#[path = "e2e/person.rs"]
mod person;
#[path = "e2e/server.rs"]
mod server;
#[path = "e2e/serving.rs"]
mod serving;
#[path = "e2e/tailing.rs"]
mod tailing;
