//! What benches and the measuring program share.

pub mod chaos;
pub mod load;
pub mod measure;
pub mod world;
