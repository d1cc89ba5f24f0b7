//! The server as its users and operators meet it: a process, sockets, signals, a folder.
//!
//! One binary, so that the server's process and the connections to it are described once.

#![cfg(unix)]

mod clients;
mod connection;
mod crash;
mod crowd;
mod proxy;
mod requests;
mod seed_faults;
mod server;
mod shutdown;
mod slow_reader;
