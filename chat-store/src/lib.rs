//! Durable stores for chat-core: implementations of [`chat_core::store::Store`].
//!
//! Each backend is a feature and a module of its own. The rules that they have in common, from the
//! place of an entry to the cut of a page, are chat-core's; what is here is schema and statements.

pub mod archive;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
