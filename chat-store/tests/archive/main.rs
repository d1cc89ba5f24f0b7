//! Installations move into SQLite, out of it, and through files.

#![cfg(feature = "sqlite")]

mod conformance;
mod folder;
