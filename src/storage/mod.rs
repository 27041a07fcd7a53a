//! What survives a crash: the log, the term and the vote.
//!
//! A server writes, asks for a sync, and goes on; the storage says later what is durable. What
//! was written and not synced when a server crashes is lost.
//!
//! | storage | for |
//! |---|---|
//! | [`MemoryDisk`] | the sandbox: a disk's crash rules and nothing else |
//! | `SegmentLog` | real disks, when there are any: a log over the trait `Disk`, in `segments/` |
//!
//! The simulation runs the segment log over a `SimulatedDisk`, which fails as disks do
//! ([`DiskFault`]).

mod disk;
mod error;
mod fault;
mod harm;
mod log;
mod memory;
mod sandbox;
mod segments;
mod simulated;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::raft::{Entries, Index, Persistent, ServerId, Term, Time};

use disk::Disk;

pub use disk::{DiskError, FileId};
pub use error::{StorageError, TornTail};
pub use fault::{DiskFault, DiskKind};
pub use memory::MemoryDisk;
pub(crate) use sandbox::{Refused, ServerDisk};
pub use segments::Identity;

/// A server's log, term and vote.
pub trait Storage {
    /// What the disk keeps. Called once, when a server starts.
    fn load(&self) -> Recovered;

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
    ///
    /// # Errors
    /// If the storage has failed. The server must end: nothing it writes will be kept, and what it
    /// wrote last may be lost.
    fn durable(&mut self, now: Time) -> Result<Durable, StorageError>;

    /// When [`durable`](Storage::durable) has news, if the storage knows the moment beforehand.
    fn deadline(&self) -> Option<Time>;
}

/// What a disk kept of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Term, vote and log.
    pub persistent: Persistent,
    /// What was cut off.
    pub torn: Option<TornTail>,
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

/// How a disk of a sandbox syncs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskSpeed {
    /// Each sync takes this long; with zero it is done at once.
    Latency(Duration),
    /// No sync is ever done.
    Stalled,
}

impl Default for DiskSpeed {
    fn default() -> Self {
        DiskSpeed::Latency(Duration::ZERO)
    }
}

/// A storage that somebody else looks at, too.
impl<S: Storage> Storage for Rc<RefCell<S>> {
    fn load(&self) -> Recovered {
        self.borrow().load()
    }

    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId {
        self.borrow_mut().save_vote(term, voted_for)
    }

    fn append(&mut self, first: Index, entries: Entries) -> WriteId {
        self.borrow_mut().append(first, entries)
    }

    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        self.borrow().read(after, last, max_bytes)
    }

    fn sync(&mut self, now: Time) {
        self.borrow_mut().sync(now);
    }

    fn durable(&mut self, now: Time) -> Result<Durable, StorageError> {
        self.borrow_mut().durable(now)
    }

    fn deadline(&self) -> Option<Time> {
        self.borrow().deadline()
    }
}
