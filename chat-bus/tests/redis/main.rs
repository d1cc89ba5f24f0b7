//! The bus on real Redis servers, which the tests start and end themselves.

mod conformance;
mod engines;
mod fixture;
mod recovery;
mod servers;
