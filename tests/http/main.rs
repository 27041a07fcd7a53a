//! The HTTP API, as clients meet it: real servers, real sockets, curl.
//!
//! docs/http.md describes it. What is asked by hand is asked by `wire.rs`, which can be as slow and
//! as wrong as it likes.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "processes take real time, and are waited for"
)]

mod cluster;
mod files;
mod gate;
mod https;
mod limits;
mod manual;
#[path = "../daemon/process.rs"]
#[allow(dead_code, reason = "the tests of the servers use the rest of it")]
mod process;
mod properties;
mod wire;
