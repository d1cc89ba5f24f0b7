//! The bus on real Redis servers, which the tests start and end themselves.

mod authority;
mod closing;
mod conformance;
mod engines;
mod failover;
mod fixture;
mod namespaces;
mod outage;
mod recovery;
mod servers;
mod storm;
mod traffic;
mod trust;
