//! Servers as processes of their own: real disks, real sockets, real signals.
//!
//! Nothing here sleeps to guess: conditions are polled until a deadline. Ports are the system's.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "processes take real time, and are waited for; threads stand between them and us"
)]

mod blackbox;
mod bootstrap;
mod config;
mod console;
mod damage;
mod lifecycle;
mod load;
mod manual;
#[allow(dead_code, reason = "the tests of the HTTP API use the rest of it")]
mod process;
mod readme;
mod script;
mod survival;
mod torture;
mod trouble;
