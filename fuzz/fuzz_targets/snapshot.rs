//! `cargo +nightly fuzz run snapshot`: see `src/files/snapshot/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jangada::files::snapshot(data));
