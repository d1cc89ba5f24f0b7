//! What benches and the measuring program share.

pub mod measure;
pub mod world;
