//! The client commands, as a person and a script use them: the real program against real servers.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "processes take real time, and are waited for; threads stand between them and us"
)]

#[path = "../daemon/process.rs"]
#[allow(dead_code, reason = "the tests of the servers use the rest of it")]
mod process;

mod commands;
mod failures;
mod manual;
mod program;
mod shell;
mod support;
