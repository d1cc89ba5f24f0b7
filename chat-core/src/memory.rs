//! Reference implementations that live in the process and forget everything with it.

mod store;

pub use store::MemoryStore;
