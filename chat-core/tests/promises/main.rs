//! What the engine promises, proven through its public API: one file per promise or area.

mod client;
mod world;

mod atomic;
mod bounded;
mod complete;
mod durable;
mod once;
mod ordered;
mod private;
