//! Gives `chat_proto_fuzz::records` whatever finds new ways through it.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| chat_proto_fuzz::records(input));
