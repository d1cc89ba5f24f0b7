//! `chat-load` against a real server in this process, reached through TCP.

mod forgetful;
mod harness;
mod losing;
mod records;
mod scenarios;
mod usage;
