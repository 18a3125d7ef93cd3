//! Fuzzes the target `admission` of `protocol::targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests_fuzz::play("admission", data));
