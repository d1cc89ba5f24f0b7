//! What the fuzzer found, each under the name of what went wrong.
