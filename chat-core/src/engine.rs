//! The engine: everything that chat is, above a store and a bus.

mod config;

pub use config::{ContactPolicy, DevicePolicy, EngineConfig, WritePolicy};
