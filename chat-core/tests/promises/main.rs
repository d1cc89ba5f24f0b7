//! What the engine promises, proven through its public API: one file per promise or area.

mod client;
mod world;

mod accounts;
mod atomic;
mod bounded;
mod complete;
mod contacts;
mod durable;
mod groups;
mod once;
mod ordered;
mod presence;
mod private;
mod shutdown;
