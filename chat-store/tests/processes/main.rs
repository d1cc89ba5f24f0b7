//! Other processes: what they find when they share a data folder, and what they leave when killed.

#![cfg(feature = "sqlite")]

mod child;
mod folder_lock;
mod kill;
