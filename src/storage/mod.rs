//! What survives a crash: the term and the vote, the log, and the snapshot that takes the place of
//! the log's beginning.
//!
//! A server writes, asks for a sync, and goes on; the storage says later what is durable. What
//! was written and not synced when a server crashes is lost.
//!
//! **Snapshots (section 7).** A [`Snapshot`] is what it covers and a list of chunks, pieces of at
//! most [`MAX_CHUNK_BYTES`] that are named by the hash of their bytes: what two snapshots have in
//! common is written and kept once. A server puts the chunks that are not there yet, waits until
//! they are durable, and saves the snapshot, which is one write of the log of 32 bytes a chunk.
//! Whether it took the snapshot itself or got it from a leader makes no difference, but that one
//! that was got may replace the log (`keep_log`). The log up to the snapshot's last entry may then be
//! [compacted](Storage::compact), now or later: the tail is kept for followers that lag.
//!
//! **Which chunks are kept.** Those of the latest snapshot, and of the one before it, which may be
//! on its way to a peer: a transfer that two newer snapshots overtake is given up, and the next one
//! needs only what differs. Chunks that are put and not named yet stay until another snapshot is
//! durable, or [`discard_chunks`](Storage::discard_chunks): a transfer that a crash interrupts goes
//! on where it was.
//!
//! | storage | for |
//! |---|---|
//! | [`MemoryDisk`] | the sandbox: a disk's crash rules and nothing else |
//! | `SegmentLog` | real disks: a log over the trait `Disk`, in `segments/` |
//!
//! A [`DataDir`] has the segment log on files. The simulation runs it over a `SimulatedDisk`, which fails as disks do
//! ([`DiskFault`]).

mod directory;
mod disk;
mod error;
mod fault;
mod harm;
mod log;
mod memory;
mod sandbox;
mod segments;
mod simulated;
mod snapshots;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::raft::{ChunkId, Entries, Index, Persistent, ServerId, Term, Time};

use disk::DiskFiles;

pub use directory::{
    DataDir, DirectoryError, Expected, Inspection, SYNC_BUCKETS, SyncTimes, inspect,
};
pub use disk::{DiskError, FileId};
pub use error::{StorageError, TornTail};
pub use fault::{DiskFault, DiskKind};
pub use memory::MemoryDisk;
pub(crate) use sandbox::{Refused, ServerDisk, Unsalvaged};
pub use sandbox::{Salvage, Sizes};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use segments::log_recovery;
pub use segments::{Identity, LogLine, Survey};
pub use snapshots::Snapshot;

/// Most bytes of a chunk of a snapshot.
pub const MAX_CHUNK_BYTES: usize = 1 << 20;

/// A server's term and vote, log and snapshot.
pub trait Storage {
    /// What the disk keeps. Called once, when a server starts.
    fn load(&self) -> Recovered;

    /// Writes `current_term` and `voted_for`.
    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId;

    /// Writes that the server is not `recovering` any more.
    fn save_recovered(&mut self) -> WriteId;

    /// Drops every entry from `first` on and writes `entries` in their place, as one write. What
    /// is compacted cannot be replaced.
    fn append(&mut self, first: Index, entries: Entries) -> WriteId;

    /// The entries behind `after` up to and including `last`, whether durable or not: as many as
    /// fit into `max_bytes` of payload, at least one if there is one. None if `after` lies before
    /// the base: the log does not reach so far back.
    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries;

    /// Keeps a chunk whose bytes, at most [`MAX_CHUNK_BYTES`], have this hash. It costs nothing if
    /// it is there already. The log never waits for chunks: they have numbers of their own.
    fn put_chunk(&mut self, id: ChunkId, bytes: Bytes) -> ChunkWrite;

    /// Whether a chunk is kept, durable or not.
    fn has_chunk(&self, id: &ChunkId) -> bool;

    /// The bytes of a chunk. `None` if it is not kept, or if what the disk has of it is damaged.
    fn chunk(&self, id: &ChunkId) -> Option<Bytes>;

    /// What is wrong if a chunk that must be there cannot be [read](Self::chunk): with its place, if
    /// the storage has places.
    fn chunk_lost(&self, id: ChunkId) -> StorageError {
        StorageError::ChunkLost { chunk: id, unreadable: None }
    }

    /// Has a snapshot take the place of the log up to its last entry, as one write. Its chunks
    /// must be durable: the caller has waited for them. With `keep_log`, its last entry is in the
    /// log, and all of the log stays until it is [compacted](Self::compact); without, the whole
    /// log is dropped and its base is the snapshot's last entry. When this is durable, the
    /// snapshot before the last goes, with every chunk put before this call that neither this
    /// snapshot nor the last names.
    fn save_snapshot(&mut self, snapshot: Snapshot, keep_log: bool) -> WriteId;

    /// The latest snapshot, whether durable or not, if one was ever saved.
    fn snapshot(&self) -> Option<Snapshot>;

    /// Drops the log up to and including `to`, which the snapshot covers; nothing if that is
    /// dropped already. Room is made bit by bit, and a crash may bring back what was dropped.
    fn compact(&mut self, to: Index);

    /// Drops every chunk that neither a kept snapshot nor `except` names, those that were put for
    /// a snapshot that is not saved yet included. The chunks of `except`, of a snapshot that is on
    /// its way from a leader, are kept like named ones until the next call, or until a snapshot
    /// replaces the log. A server calls this when it knows what a leader's snapshot is made of, and
    /// takes none of its own meanwhile: so there is never more than one on its way.
    fn discard_chunks(&mut self, except: BTreeSet<ChunkId>);

    /// Asks for everything written so far to become durable.
    fn sync(&mut self, now: Time);

    /// What is durable now.
    ///
    /// # Errors
    /// If the storage has failed. The server must end: nothing it writes will be kept, and what it
    /// wrote last may be lost.
    fn durable(&mut self, now: Time) -> Result<Durable, StorageError>;

    /// Whether something that was written waits for room on a full disk. It is tried again and
    /// again; until there is room nothing becomes durable, so that new writes are best refused.
    fn is_full(&self) -> bool {
        false
    }

    /// When [`durable`](Storage::durable) has news, if the storage knows the moment beforehand.
    fn deadline(&self) -> Option<Time>;

    /// What others than its server can read its chunks from. Without it, state machines keep all
    /// that they hold in memory.
    fn chunks(&self) -> Option<Box<dyn ChunkReader>> {
        None
    }
}

/// Reads the chunks of a storage.
pub trait ChunkReader {
    /// As [`Storage::chunk`].
    fn fetch_chunk(&self, id: &ChunkId) -> Option<Bytes>;

    /// As [`Storage::has_chunk`].
    fn keeps_chunk(&self, id: &ChunkId) -> bool;
}

impl<S: Storage> ChunkReader for S {
    fn fetch_chunk(&self, id: &ChunkId) -> Option<Bytes> {
        self.chunk(id)
    }

    fn keeps_chunk(&self, id: &ChunkId) -> bool {
        self.has_chunk(id)
    }
}

/// What a disk kept of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Term, vote, snapshot and log.
    pub persistent: Persistent,
    /// What was cut off.
    pub torn: Option<TornTail>,
}

/// The number of a write; later writes have higher numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct WriteId(pub u64);

/// The number of a chunk that was put; later ones have numbers that are no lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ChunkWrite(pub u64);

/// How far a storage is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Durable {
    /// Every write up to this one is.
    pub write: WriteId,
    /// `current_term` when the last entries among those writes were written, or a snapshot that
    /// replaced them: a vote that was written after them speaks for no entry of its term.
    pub term: Term,
    /// The last entry of the log as of that write, be it one that the snapshot covers.
    pub last: Index,
    /// Every chunk that was put up to this number is, too.
    pub chunks: ChunkWrite,
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
impl<S: Storage + 'static> Storage for Rc<RefCell<S>> {
    fn load(&self) -> Recovered {
        self.borrow().load()
    }

    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId {
        self.borrow_mut().save_vote(term, voted_for)
    }

    fn save_recovered(&mut self) -> WriteId {
        self.borrow_mut().save_recovered()
    }

    fn append(&mut self, first: Index, entries: Entries) -> WriteId {
        self.borrow_mut().append(first, entries)
    }

    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        self.borrow().read(after, last, max_bytes)
    }

    fn put_chunk(&mut self, id: ChunkId, bytes: Bytes) -> ChunkWrite {
        self.borrow_mut().put_chunk(id, bytes)
    }

    fn has_chunk(&self, id: &ChunkId) -> bool {
        self.borrow().has_chunk(id)
    }

    fn chunk(&self, id: &ChunkId) -> Option<Bytes> {
        self.borrow().chunk(id)
    }

    fn chunk_lost(&self, id: ChunkId) -> StorageError {
        self.borrow().chunk_lost(id)
    }

    fn save_snapshot(&mut self, snapshot: Snapshot, keep_log: bool) -> WriteId {
        self.borrow_mut().save_snapshot(snapshot, keep_log)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.borrow().snapshot()
    }

    fn compact(&mut self, to: Index) {
        self.borrow_mut().compact(to);
    }

    fn discard_chunks(&mut self, except: BTreeSet<ChunkId>) {
        self.borrow_mut().discard_chunks(except);
    }

    fn sync(&mut self, now: Time) {
        self.borrow_mut().sync(now);
    }

    fn durable(&mut self, now: Time) -> Result<Durable, StorageError> {
        self.borrow_mut().durable(now)
    }

    fn is_full(&self) -> bool {
        self.borrow().is_full()
    }

    fn deadline(&self) -> Option<Time> {
        self.borrow().deadline()
    }

    fn chunks(&self) -> Option<Box<dyn ChunkReader>> {
        Some(Box::new(Rc::clone(self)))
    }
}
