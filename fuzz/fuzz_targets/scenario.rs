//! `cargo +nightly fuzz run scenario examples`: any file is a scenario, or its mistakes are named.
//! `src/script/properties.rs` has the same for CI.
#![no_main]

use jangada::script::Scenario;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(error) = Scenario::parse(data) {
        assert!(!error.mistakes.is_empty() && !error.report("a.jangada").is_empty());
    }
});
