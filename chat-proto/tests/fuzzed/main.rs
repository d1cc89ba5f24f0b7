//! What the fuzzer's targets ask of any bytes, asked of the samples of every frame, of their parts, of
//! random changes to them, and of what the fuzzer once found.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "to the fuzzer's targets it is a library")]
mod checks;
mod findings;
#[path = "../wire/samples.rs"]
#[expect(dead_code, reason = "the tests of the wire want more of it")]
mod samples;
mod seeded;
mod seeds;
