//! For authors of backends and for tests of what is built on them: conformance suites, and
//! decorators that inject faults.

pub mod archive;
pub mod bus;
pub mod faults;
pub mod store;
