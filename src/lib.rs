//! Raft on the actix actor framework, carrying a replicated file store.

pub mod actors;
pub mod invariants;
pub mod raft;
