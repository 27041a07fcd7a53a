//! Raft on the actix actor framework, carrying a replicated file store.

pub mod actors;
pub mod console;
pub mod files;
pub mod invariants;
pub mod net;
pub mod raft;
pub mod script;
pub mod storage;
