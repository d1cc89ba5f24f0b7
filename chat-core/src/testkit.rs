//! For authors of backends and for tests of what is built on them: conformance suites, decorators that
//! inject faults, and whole clusters that are simulated and replayed.

pub mod archive;
pub mod bus;
pub mod faults;
#[cfg(feature = "planted-defects")]
pub mod planted;
pub mod simulation;
pub mod store;

mod signal;
