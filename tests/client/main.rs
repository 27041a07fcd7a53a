//! The client commands, as a person and a script use them: the real program against real servers.

#[path = "../daemon/process.rs"]
#[allow(dead_code, reason = "the tests of the servers use the rest of it")]
mod process;

mod commands;
mod failures;
mod manual;
mod shell;
mod support;
