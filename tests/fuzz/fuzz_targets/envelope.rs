//! Fuzzes the target `envelope` of `protocol::targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::play("envelope", data));
