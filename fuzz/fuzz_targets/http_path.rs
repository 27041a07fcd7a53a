//! `cargo +nightly fuzz run http_path`: see `src/http/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jangada::http::http_path(data));
