//! `chat-load` against a real server in this process, reached through TCP.

mod breaking;
mod flawed;
mod harness;
mod printed;
mod records;
mod scenarios;
mod usage;
