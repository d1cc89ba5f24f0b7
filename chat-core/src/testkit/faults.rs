//! Decorators that make a sound store or bus fail on demand, in the ways that the contracts admit.
//!
//! Each comes with a handle by which a test says when and how. Nothing here draws a fault by itself
//! but [`FaultyBus`], whose draws come from a seed.

mod bus;
mod store;

pub use bus::{BusFaults, BusWeather, FaultyBus};
pub use store::{CommitFault, FaultyStore, StoreFaults, StoreWeather};
