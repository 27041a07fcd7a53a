//! `cargo +nightly fuzz run blackbox`: see `src/blackbox/fuzzing.rs`; `tests/golden/blackbox/` has a
//! seed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jangada::blackbox::fuzz(data));
