//! What the tests of the protocol stand on: one server that a test surrounds (`node`), and a
//! whole cluster whose every message, disk write and moment is in a test's hands (`cluster`).

#![allow(dead_code, reason = "every test binary uses a part of it")]

pub(crate) mod cluster;
pub(crate) mod disk;
pub(crate) mod node;
pub(crate) mod show;
pub(crate) mod snapshot;
