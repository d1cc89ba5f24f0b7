//! What the engine promises, proven through its public API: one file per promise or area.

mod client;
mod world;

mod accounts;
mod atomic;
mod bounded;
mod complete;
mod contacts;
mod deterministic;
mod durable;
mod figures;
mod group_traffic;
mod groups;
mod health;
mod hooks;
mod once;
mod ordered;
mod presence;
mod presence_of_nodes;
mod private;
mod published;
mod reading;
mod shutdown;
mod storm;
mod storm_of_logins;
