//! Fuzzes the target `frames` of `protocol::targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::play("frames", data));
