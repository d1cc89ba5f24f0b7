//! Installations move into SQLite, out of it, and through files.

#![cfg(feature = "sqlite")]

mod conformance;
mod file;
mod folder;
mod in_memory;
mod resuming;
