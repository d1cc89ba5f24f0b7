//! What benches and the measuring program share.

pub mod chaos;
pub mod measure;
pub mod world;
