//! Doctored histories.
