//! Reference implementations that live in the process and forget everything with it.

mod bus;
mod store;

pub use bus::{InProcessBus, InProcessEndpoint};
pub use store::{MemoryImport, MemoryStore};
