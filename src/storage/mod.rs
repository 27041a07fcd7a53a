//! What survives a crash: the log, the term and the vote.
//!
//! A server writes, asks for a sync, and goes on; the storage says later what is durable. What
//! was written and not synced when a server crashes is lost. `memory` is the sandbox's disk; real
//! disks implement the same trait.

mod memory;

use crate::raft::{Entries, Index, Persistent, ServerId, Term, Time};

pub use memory::{DiskSpeed, MemoryDisk};

/// A server's log, term and vote.
pub trait Storage {
    /// What the disk keeps. Called once, when a server starts.
    fn load(&self) -> Persistent;

    /// Writes `current_term` and `voted_for`.
    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId;

    /// Drops every entry from `first` on and writes `entries` in their place, as one write.
    fn append(&mut self, first: Index, entries: Entries) -> WriteId;

    /// The entries behind `after` up to and including `last`, whether durable or not: as many as
    /// fit into `max_bytes` of payload, at least one if there is one.
    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries;

    /// Asks for everything written so far to become durable.
    fn sync(&mut self, now: Time);

    /// What is durable now.
    fn durable(&mut self, now: Time) -> Durable;

    /// When [`durable`](Storage::durable) has news, if the storage knows the moment beforehand.
    fn deadline(&self) -> Option<Time>;
}

/// The number of a write; later writes have higher numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct WriteId(pub u64);

/// How far a storage is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Durable {
    /// Every write up to this one is.
    pub write: WriteId,
    /// `current_term` when the last entries among those writes were written: a vote that was
    /// written after them speaks for no entry of its term.
    pub term: Term,
    /// The last entry of the log as of that write.
    pub last: Index,
}
