//! For authors of backends: the conformance suites that every backend passes.

pub mod store;
