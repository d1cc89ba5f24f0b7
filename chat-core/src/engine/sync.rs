//! The locks and atomics of what threads share: the standard library's, or, built with
//! `--cfg interleavings`, those of shuttle, which decides at each of them who goes on
//! (`interleavings.rs`).

#[cfg(interleavings)]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize},
};
#[cfg(not(interleavings))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize},
};
