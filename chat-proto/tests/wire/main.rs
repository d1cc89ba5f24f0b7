//! The wire: what frames look like, and that they read back.

mod golden;
mod roundtrip;
mod samples;
mod schema;
