//! `cargo +nightly fuzz run log_recovery`: see `src/storage/segments/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jangada::storage::log_recovery(data));
