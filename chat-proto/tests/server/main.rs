//! The driver of a connection, over real streams, against the real engine on the in-memory store.

mod crowded;
mod framing;
mod harness;
mod hostile;
mod lifetime;
mod order;
mod pressure;
mod slow_store;
