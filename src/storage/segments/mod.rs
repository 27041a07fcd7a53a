//! The log on a disk: term, vote, entries and snapshots as records of one log, so that one sync
//! covers all; and the chunks of the snapshots beside it.
//!
//! A segment is a file of a fixed size, zeros at first, that is filled from the front and never
//! written to twice in the same place. `record.rs` shows a record, byte by byte, and `payload.rs`
//! what it carries; `recovery.rs` says how a log is read and how damage is told from what a crash
//! tore; `compaction.rs`, how its beginning goes; `packs.rs`, where chunks are, and `payloads.rs`,
//! which of them stand in the log; `batches.rs`, what is given to the disk when, and `room.rs`, what
//! becomes of that when there is no room.
//!
//! **What can be told.** Every record says how far the log was known to be synced when it was
//! written. So record `n` is protected once a record that came after its sync is durable itself:
//! harm to it is then found at the next start, whatever it is. To keep the unprotected end short,
//! a small record (a mark) follows when nothing else has been written for [`MARK_DELAY`], and is
//! synced when nobody waits for it. Harm to the end that is not protected yet cannot be told from
//! a write that a crash tore, and is cut off as such.
//!
//! **What waits.** What is written while a batch is under way makes up the next batch, with at most
//! 1 MiB of chunks. While the disk is full or stalled all of it stays in memory: the server goes
//! on, and acknowledges nothing. More than [`Options::backlog_bytes`] of the log or
//! [`Options::chunk_backlog_bytes`] of chunks stop the server, and so does a failed sync, which is
//! never tried again.
//!
//! **What there is.** The entries behind the base are in memory, too; of each chunk its name and
//! place. On the disk, the log takes what the base leaves of it, and a few segments; the chunks at
//! most twice their size, in packs and in segments that the log does not need any more, a pack or
//! two more, and while a snapshot is made, that one's.

mod batches;
mod compaction;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod packs;
mod payload;
mod payloads;
mod record;
mod recovery;
mod room;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use compaction::Segments;
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::log_recovery;
use packs::Packs;
pub(super) use packs::named_once;
use payload::{Saved, Vote};
use payloads::{Payloads, Stand};
use record::{Beginning, HEADER_BYTES, Header, Seal};
pub(super) use record::{Kind, Record};
pub(super) use recovery::Files;
use room::Purpose;
pub(super) use survey::survey;
pub use survey::{LogLine, Survey};

use super::disk::{Change, Disk, Outcome};
use super::log::MemoryLog;
use super::sandbox::Sizes;
use super::snapshots::Snapshots;
use super::{
    ChunkWrite, Durable, FileId, Recovered, Snapshot, Storage, StorageError, TornTail, WriteId,
};
use crate::museum::{Bug, on};
use crate::raft::{ChunkId, Entries, Index, Persistent, Position, ServerId, Term, Time};

/// How long after a write without a next one the mark is written.
const MARK_DELAY: Duration = Duration::from_millis(50);
/// How long a full disk is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Whose log it is. A log is only ever opened as what it was formatted as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster, for all servers the same.
    pub cluster: Uuid,
    /// The server.
    pub server: ServerId,
}

/// The sizes of a segment log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Options {
    /// The size of a segment; a record that is larger has one of its own.
    pub(crate) segment_bytes: u64,
    /// Most bytes of the log that wait for the disk.
    pub(crate) backlog_bytes: u64,
    /// The size of a pack; a chunk that does not fit has one of its own.
    pub(crate) pack_bytes: u64,
    /// Most bytes of chunks that wait for the disk: who puts them waits for it, too.
    pub(crate) chunk_backlog_bytes: u64,
    /// Most bytes of chunks that no snapshot names which a server that starts keeps.
    pub(crate) spare_bytes: u64,
}

/// A server's log in segments on `D`.
pub(crate) struct SegmentLog<D> {
    disk: D,
    identity: Identity,
    options: Options,
    vote: Vote,
    /// `current_term` when the log was changed last.
    appended_in: Term,
    log: MemoryLog,
    payloads: Payloads,
    snapshots: Snapshots,
    segments: Segments,
    packs: Packs,
    torn: Option<TornTail>,
    segment: Segment,
    /// The number of the last record that was written.
    sequence: u64,
    /// The last record that says something.
    written: WriteId,
    /// Every record up to this one is durable.
    synced: u64,
    durable: Durable,
    /// Every record up to this one was known to be synced when the last batch was begun. If that
    /// is less than all that was written, a mark is to follow.
    protected: u64,
    /// What waits to be the next batch.
    queue: Vec<Change>,
    /// Chunks that found no room.
    held: Vec<Change>,
    /// The last batch was of chunks alone, because there is no room for the log.
    chunks_alone: bool,
    queued_bytes: u64,
    /// Files that are not needed any more.
    unneeded: VecDeque<FileId>,
    /// The batch under way.
    batch: Option<Batch>,
    wanted: bool,
    /// A full disk is left alone until then.
    retry: Option<Time>,
    /// The last batch found no room.
    full: bool,
    /// What the queue is for.
    purpose: Purpose,
    /// When the mark is due, if one is.
    mark: Option<Time>,
    failure: Option<StorageError>,
}

/// The segment that is written to.
struct Segment {
    number: u64,
    seal: Seal,
    /// Where the next record goes; the size of the file if there is no more room.
    at: u64,
    bytes: u64,
}

/// What a batch makes durable.
struct Batch {
    sequence: u64,
    durable: Durable,
    /// The last record that was synced when it began.
    protects: u64,
    bytes: u64,
    purpose: Purpose,
    has_chunks: bool,
}

impl Default for Options {
    /// Segments of 64 KiB, packs of 256 KiB, backlogs of 128 MiB, 1 GiB of spare chunks.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 10,
            backlog_bytes: 128 << 20,
            pack_bytes: 256 << 10,
            chunk_backlog_bytes: 128 << 20,
            spare_bytes: 1 << 30,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.server, self.cluster)
    }
}

impl<D: Disk> SegmentLog<D> {
    /// Makes the empty log of a server, once: of a founding member when the cluster is made, or of
    /// one that is to join.
    ///
    /// # Errors
    /// If the disk is not empty, or does not take it.
    pub(crate) fn format(
        disk: &mut D,
        identity: &Identity,
        founding: &Persistent,
        options: Options,
    ) -> Result<(), StorageError> {
        if let Some(file) = disk.files()?.first() {
            return Err(StorageError::NotEmpty(*file));
        }
        let Persistent { current_term: term, voted_for, recovering, .. } = *founding;
        let snapshot = Snapshot { meta: founding.snapshot.clone(), ..Snapshot::default() };
        let base = snapshot.meta.last_included;
        let vote = Vote { term, voted_for, recovering };
        let saved = Saved { vote, keep_log: false, snapshot, in_log: Vec::new() }.encode();
        let needed = (HEADER_BYTES + record::size(saved.len())) as u64;
        let bytes = options.segment_bytes.max(needed);
        let (segment, create) = Segment::create(identity, 1, bytes);
        let mut written = Vec::new();
        let header = segment.header(identity, Beginning { file: 1, sequence: 1, base });
        record::write(&mut written, segment.seal, 0, (Kind::Header, 1, 0), |out| {
            header.encode(out);
        });
        let at = written.len() as u64;
        record::write(&mut written, segment.seal, at, (Kind::Snapshot, 2, 0), |out| {
            out.extend(saved);
        });
        let write = Change::Write { file: FileId::Log(1), at: 0, bytes: written };
        disk.commit(vec![create, write], Time::default());
        match disk.finish() {
            Outcome::Done => Ok(()),
            Outcome::Full(_) => Err(StorageError::NoRoom { bytes }),
            Outcome::Failed(error) => Err(error.into()),
        }
    }

    /// Opens a log as a server does when it starts.
    ///
    /// # Errors
    /// If the server must not start from this disk.
    pub(crate) fn open(
        disk: D,
        identity: Identity,
        options: Options,
    ) -> Result<Self, StorageError> {
        let found = recovery::recover(&disk, &identity)?;
        let packs = found.packs(&disk, &identity, &options)?;
        let left_over = found.left_over.into_iter();
        let kept: BTreeSet<_> = packs.kept_segments().collect();
        let unneeded = left_over.filter(|segment| !kept.contains(segment)).map(FileId::Log);
        // Entries are never written before their own term; to claim a later one, as that of a vote
        // written since, could speak for what replaces them in it.
        let Position { term: appended_in, index: last } = found.log.last;
        let sequence = found.end.next - 1;
        let number = found.last_segment;
        let segment = Segment {
            number,
            seal: Seal::new(&identity, FileId::Log(number)),
            // A torn tail stays as it is: what follows goes into a new segment.
            at: if found.torn.is_some() { found.end.bytes } else { found.end.at as u64 },
            bytes: found.end.bytes,
        };
        let written = WriteId(found.written);
        let protected = found.end.synced;
        let segments =
            Segments::new(found.segments, found.beginning, found.homes, found.snapshot_file);
        let durable = Durable { write: written, term: appended_in, last, chunks: ChunkWrite(0) };
        let mut log = Self {
            disk,
            identity,
            options,
            vote: found.vote,
            appended_in,
            log: found.log,
            payloads: found.payloads,
            snapshots: Snapshots::new(found.snapshot),
            segments,
            packs,
            torn: found.torn,
            segment,
            sequence,
            written,
            synced: sequence,
            durable,
            protected,
            queue: Vec::new(),
            held: Vec::new(),
            chunks_alone: false,
            queued_bytes: 0,
            wanted: false,
            unneeded: unneeded.collect(),
            batch: None,
            retry: None,
            full: false,
            purpose: Purpose::default(),
            mark: (protected < written.0).then_some(Time::default()),
            failure: None,
        };
        log.tidy();
        Ok(log)
    }

    /// Reads every chunk of the snapshot.
    ///
    /// # Errors
    /// If one of them is lost.
    pub(super) fn check_content(&self) -> Result<(), StorageError> {
        let named: BTreeSet<_> = self.snapshots.latest().chunks.iter().copied().collect();
        named.into_iter().try_for_each(|id| self.packs.check(&self.disk, id))
    }

    /// The term, the vote and the last entry, as written.
    pub(crate) fn summary(&self) -> (Term, Option<ServerId>, Position) {
        (self.vote.term, self.vote.voted_for, self.log.last)
    }

    /// How much room the log and the chunks take.
    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            log_bytes: self.segments.bytes(),
            snapshot: self.snapshots.latest().meta.last_included,
            chunk_bytes: self.packs.bytes(),
        }
    }

    fn write_vote(&mut self, vote: Vote) -> WriteId {
        self.vote = vote;
        self.write(Kind::Vote, payload::VOTE_LENGTH, |out| vote.encode(out));
        self.written
    }

    fn drop_unnamed(&mut self, age: u64) {
        self.packs.drop_unnamed(age, &self.snapshots.named());
    }
}

impl Segment {
    /// A segment that is still empty, and the change that makes its file.
    fn create(identity: &Identity, number: u64, bytes: u64) -> (Self, Change) {
        let file = FileId::Log(number);
        let segment = Self { number, seal: Seal::new(identity, file), at: 0, bytes };
        (segment, Change::Create { file, bytes })
    }

    fn header(&self, identity: &Identity, beginning: Beginning) -> Header {
        Header { identity: *identity, file: self.number, bytes: self.bytes, beginning }
    }
}

impl<D: Disk> Storage for SegmentLog<D> {
    fn load(&self) -> Recovered {
        let Vote { term, voted_for, recovering } = self.vote;
        let persistent = Persistent {
            current_term: term,
            voted_for,
            snapshot: self.snapshots.latest().meta.clone(),
            base: self.log.base,
            log: self.log.metas().collect(),
            recovering: recovering && !on(Bug::ForgetsRecovering),
        };
        Recovered { persistent, torn: self.torn }
    }

    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId {
        self.write_vote(Vote { term, voted_for, ..self.vote })
    }

    fn save_recovered(&mut self) -> WriteId {
        self.write_vote(Vote { recovering: false, ..self.vote })
    }

    fn append(&mut self, first: Index, entries: Entries) -> WriteId {
        let at = self.write(Kind::Entries, payload::entries_length(&entries), |out| {
            payload::write_entries(out, first, &entries);
        });
        self.purpose.has_entries = true;
        self.log.truncate(first);
        let stand = Stand { segment: self.segment.number, at, sequence: self.sequence };
        self.payloads.append(first, &entries, stand);
        self.log.append(first, entries);
        self.segments.homes.append(first, self.segment.number);
        self.appended_in = self.vote.term;
        self.written
    }

    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        self.log.read(after, last, max_bytes)
    }

    fn put_chunk(&mut self, id: ChunkId, bytes: Bytes) -> ChunkWrite {
        let stand = self.payloads.find(&bytes);
        let write = self.packs.put(id, bytes, self.snapshots.saved(), stand);
        self.packs.log_synced(self.synced);
        self.check_backlog(self.packs.waiting_bytes(), self.options.chunk_backlog_bytes);
        write
    }

    fn has_chunk(&self, id: &ChunkId) -> bool {
        self.packs.has(id)
    }

    fn chunk(&self, id: &ChunkId) -> Option<Bytes> {
        self.packs.read(&self.disk, id)
    }

    fn chunk_lost(&self, id: ChunkId) -> StorageError {
        self.packs.lost(id)
    }

    fn save_snapshot(&mut self, snapshot: Snapshot, keep_log: bool) -> WriteId {
        assert!(
            snapshot.chunks.iter().all(|id| self.packs.has(id)),
            "invariant: every chunk was put before"
        );
        let last_included = snapshot.meta.last_included;
        let keep_log = self.log.keeps(last_included, keep_log);
        let snapshot = self.snapshots.next(snapshot);
        let in_log = self.packs.in_log(&snapshot);
        let saved = Saved { vote: self.vote, keep_log, snapshot, in_log };
        let bytes = saved.encode();
        self.write(saved.kind(), bytes.len(), |out| out.extend(bytes));
        self.snapshots.save(self.written, saved.snapshot);
        self.segments.snapshot = self.segment.number;
        self.purpose.makes_room = true;
        if !keep_log {
            self.log = MemoryLog::behind(last_included);
            self.payloads = Payloads::default();
            self.snapshots.expect(BTreeSet::new());
            self.appended_in = self.vote.term;
            self.tidy();
        }
        self.written
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.snapshots.taken()
    }

    fn compact(&mut self, to: Index) {
        assert!(self.snapshots.covers(to), "invariant: what is compacted is in the snapshot");
        if to > self.log.base.index {
            self.log.compact(to);
            self.payloads.compact(to);
            self.tidy();
        }
    }

    fn discard_chunks(&mut self, except: BTreeSet<ChunkId>) {
        self.snapshots.expect(except);
        self.drop_unnamed(u64::MAX);
        self.tidy();
    }

    fn sync(&mut self, now: Time) {
        self.wanted |= !self.queue.is_empty() || self.packs.is_waiting();
        self.advance(now);
    }

    fn durable(&mut self, now: Time) -> Result<Durable, StorageError> {
        self.advance(now);
        let mut durable = self.durable;
        if on(Bug::SnapshotBeforeItsChunks) {
            durable.chunks = self.packs.put_up_to();
        }
        self.failure.clone().map_or(Ok(durable), Err)
    }

    fn is_full(&self) -> bool {
        // Chunks, removals and marks may wait: a snapshot is made later, then.
        self.full && self.durable.write < self.written
    }

    fn deadline(&self) -> Option<Time> {
        if self.batch.is_some() {
            self.disk.deadline()
        } else if self.wanted {
            Some(self.retry.unwrap_or_default())
        } else {
            self.mark
        }
    }
}
