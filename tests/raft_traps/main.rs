//! Where Raft implementations went wrong: each test is named after a bug that others had, or after
//! a statement that misleads, and says where it was seen. Numbers are those of the project's
//! catalogue of such bugs; what concerns storage is tested there.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod lineage;
mod liveness;
mod log;
mod members;
mod reads;
mod snapshots;
mod sources;
