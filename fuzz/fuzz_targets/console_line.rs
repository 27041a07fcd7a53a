//! `cargo +nightly fuzz run console_line`: any line is read, or what is wrong with it is shown;
//! what is read is written as a line that says the same; and there is help at every place.
//! `src/script/properties.rs` has the same for CI.
#![no_main]

use jangada::script::{Known, Variables, complete, help_for, parse};

libfuzzer_sys::fuzz_target!(|line: &str| {
    match parse(line, &Variables::new()) {
        Ok(Some(statement)) => {
            let text = statement.to_string();
            assert_eq!(parse(&text, &Variables::new()), Ok(Some(statement)), "{text}");
        }
        Ok(None) => {}
        Err(error) => {
            assert!(line.get(error.span.clone()).is_some() && !error.message.is_empty());
            error.excerpt(line);
        }
    }
    for cursor in 0..=line.len() + 1 {
        assert!(line.get(complete(line, cursor, &Known::default()).start..).is_some());
    }
    let _ = help_for(line);
});
