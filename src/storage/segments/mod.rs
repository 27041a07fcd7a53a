//! The log on a disk: term, vote and entries as records of one log, so that one sync covers all.
//!
//! A segment is a file of a fixed size, zeros at first, that is filled from the front and never
//! written to twice in the same place. `record.rs` shows a record, byte by byte; `recovery.rs`
//! says how a log is read and how damage is told from what a crash tore.
//!
//! **What can be told.** Every record says how far the log was known to be synced when it was
//! written. So record `n` is protected once a record that came after its sync is durable itself:
//! harm to it is then found at the next start, whatever it is. To keep the unprotected end short,
//! a small record (a mark) follows when nothing else has been written for [`MARK_DELAY`], and is
//! synced when nobody waits for it. Harm to the end that is not protected yet cannot be told from
//! a write that a crash tore, and is cut off as such.
//!
//! **What waits.** What is written while a batch is under way makes up the next batch. While the
//! disk is full or stalled all of it stays in memory: the server goes on, and acknowledges
//! nothing. More than [`Options::backlog_bytes`] of it stop the server, and so does a failed sync,
//! which is never tried again.

mod record;
mod recovery;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use record::{HEADER_BYTES, Header, Seal};
pub(super) use record::{Kind, Record};
pub(super) use recovery::Files;

use super::disk::{Change, Disk, Outcome};
use super::log::MemoryLog;
use super::{Durable, FileId, Recovered, Storage, StorageError, TornTail, WriteId};
use crate::museum::{Bug, on};
use crate::raft::{Entries, Index, Persistent, Position, ServerId, Term, Time};

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
    /// Most bytes that wait for the disk.
    pub(crate) backlog_bytes: u64,
}

/// A server's log in segments on `D`.
pub(crate) struct SegmentLog<D> {
    disk: D,
    identity: Identity,
    options: Options,
    term: Term,
    voted_for: Option<ServerId>,
    /// `current_term` when entries were written last.
    appended_in: Term,
    log: MemoryLog,
    torn: Option<TornTail>,
    segment: Segment,
    /// The number of the last record that was written.
    sequence: u64,
    /// The last vote or entries that were written.
    written: WriteId,
    /// Every record up to this one is durable.
    synced: u64,
    durable: Durable,
    /// Every record up to this one was known to be synced when the last batch was begun. If that
    /// is less than all that was written, a mark is to follow.
    protected: u64,
    /// What waits to be the next batch.
    queue: Vec<Change>,
    queued_bytes: u64,
    /// The batch under way.
    batch: Option<Batch>,
    wanted: bool,
    /// A full disk is left alone until then.
    retry: Option<Time>,
    /// When the mark is due, if one is.
    mark: Option<Time>,
    failure: Option<StorageError>,
}

/// The segment that is written to.
struct Segment {
    file: FileId,
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
}

impl Default for Options {
    /// Segments of 64 KiB, a backlog of 128 MiB.
    fn default() -> Self {
        Self { segment_bytes: 64 << 10, backlog_bytes: 128 << 20 }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.server, self.cluster)
    }
}

impl<D: Disk> SegmentLog<D> {
    /// Makes the empty log of a server, once, when the cluster is made.
    ///
    /// # Errors
    /// If the disk is not empty, or does not take it.
    pub(crate) fn format(
        disk: &mut D,
        identity: &Identity,
        options: Options,
    ) -> Result<(), StorageError> {
        if let Some(file) = disk.files()?.first() {
            return Err(StorageError::NotEmpty(*file));
        }
        let (segment, create) = Segment::create(identity, FileId(1), options.segment_bytes);
        let (file, mut bytes) = (segment.file, Vec::new());
        let header = segment.header(identity);
        record::write(&mut bytes, segment.seal, 0, (Kind::Header, 1, 0), |out| header.encode(out));
        let header = Change::Write { file, at: 0, bytes };
        disk.commit(vec![create, header], Time::default());
        match disk.finish() {
            Outcome::Done => Ok(()),
            Outcome::Full(_) => {
                let (bytes, limit) = (options.segment_bytes, 0);
                Err(StorageError::Backlog { bytes, limit })
            }
            Outcome::Failed(error) => Err(error.into()),
        }
    }

    /// Opens a log as a server does when it starts.
    ///
    /// # Errors
    /// If the server must not start from this disk.
    pub(crate) fn open(
        mut disk: D,
        identity: Identity,
        options: Options,
    ) -> Result<Self, StorageError> {
        if on(Bug::FormatsALostDisk) && disk.files()?.is_empty() {
            Self::format(&mut disk, &identity, options)?;
        }
        let found = recovery::recover(&disk, &identity)?;
        // Entries are never written before their own term; to claim a later one, as that of a vote
        // written since, could speak for what replaces them in it.
        let Position { term: appended_in, index: last } = found.log.last;
        let sequence = found.end.next - 1;
        let segment = Segment {
            file: found.last_file,
            seal: Seal::new(&identity, found.last_file),
            // A torn tail stays as it is: what follows goes into a new segment.
            at: if found.torn.is_some() { found.end.bytes } else { found.end.at as u64 },
            bytes: found.end.bytes,
        };
        let written = WriteId(found.written);
        let protected = found.end.synced;
        Ok(Self {
            disk,
            identity,
            options,
            term: found.term,
            voted_for: found.voted_for,
            appended_in,
            log: found.log,
            torn: found.torn,
            segment,
            sequence,
            written,
            synced: sequence,
            durable: Durable { write: written, term: appended_in, last },
            protected,
            queue: Vec::new(),
            queued_bytes: 0,
            batch: None,
            wanted: false,
            retry: None,
            mark: (protected < written.0).then_some(Time::default()),
            failure: None,
        })
    }

    /// The term, the vote and the last entry, as written.
    pub(crate) fn summary(&self) -> (Term, Option<ServerId>, Position) {
        (self.term, self.voted_for, self.log.last)
    }

    /// Makes everything durable that can be, and protects it, as a server that ends in good order
    /// does.
    pub(crate) fn flush(&mut self, now: Time) {
        // There may be room again.
        self.retry = None;
        loop {
            if self.batch.is_some() {
                let outcome = self.disk.finish();
                self.ended(outcome, now);
            } else if self.failure.is_some() || self.retry.is_some() {
                return;
            } else if !self.queue.is_empty() {
                self.begin(now);
            } else if self.protected < self.written.0 {
                self.write(Kind::Mark, 0, |_| {});
            } else {
                return;
            }
        }
    }

    /// Ends what the disk has done, and begins what is to be done next.
    fn advance(&mut self, now: Time) {
        while self.failure.is_none() {
            if self.batch.is_some() {
                let Some(outcome) = self.disk.poll(now) else { return };
                self.ended(outcome, now);
            } else if self.wanted && self.retry.is_none_or(|moment| moment <= now) {
                self.begin(now);
            } else if self.mark.is_some_and(|moment| moment <= now) {
                self.write(Kind::Mark, 0, |_| {});
                self.wanted = true;
            } else {
                return;
            }
        }
    }

    fn begin(&mut self, now: Time) {
        let durable = self.all_written();
        let bytes = std::mem::take(&mut self.queued_bytes);
        let (sequence, protects) = (self.sequence, self.synced);
        self.batch = Some(Batch { sequence, durable, protects, bytes });
        if on(Bug::ReportsBeforeSync) {
            self.durable = durable;
        }
        (self.wanted, self.retry, self.mark) = (false, None, None);
        self.disk.commit(std::mem::take(&mut self.queue), now);
    }

    fn all_written(&self) -> Durable {
        Durable { write: self.written, term: self.appended_in, last: self.log.last.index }
    }

    fn ended(&mut self, outcome: Outcome, now: Time) {
        let Some(mut batch) = self.batch.take() else { return };
        if on(Bug::SyncCoversLaterWrites) {
            batch.durable = self.all_written();
        }
        let outcome = match outcome {
            Outcome::Failed(_) if on(Bug::RetriesFailedSync) => Outcome::Done,
            Outcome::Full(_) if on(Bug::IgnoresAFullDisk) => Outcome::Done,
            outcome => outcome,
        };
        match outcome {
            Outcome::Done => {
                (self.synced, self.durable) = (batch.sequence, batch.durable);
                self.protected = batch.protects;
                if self.queue.is_empty() && self.protected < self.written.0 {
                    self.mark = Some(now + MARK_DELAY);
                }
            }
            Outcome::Full(mut changes) => {
                changes.append(&mut self.queue);
                self.queue = changes;
                self.queued_bytes += batch.bytes;
                (self.wanted, self.retry) = (true, Some(now + RETRY));
            }
            Outcome::Failed(error) => self.failure = Some(error.into()),
        }
    }

    /// Adds a record to the next batch.
    fn write(&mut self, kind: Kind, length: usize, payload: impl FnOnce(&mut Vec<u8>)) {
        if self.failure.is_some() {
            return;
        }
        self.mark = None;
        let size = record::size(length) as u64;
        if self.segment.at + size > self.segment.bytes {
            let bytes = self.options.segment_bytes.max(HEADER_BYTES as u64 + size);
            let next = FileId(self.segment.file.0 + 1);
            let (segment, create) = Segment::create(&self.identity, next, bytes);
            let header = segment.header(&self.identity);
            self.segment = segment;
            self.queue.push(create);
            self.push(Kind::Header, |out| header.encode(out));
        }
        self.push(kind, payload);
        let waiting = self.queued_bytes + self.batch.as_ref().map_or(0, |batch| batch.bytes);
        let limit = self.options.backlog_bytes;
        if waiting > limit {
            self.failure = Some(StorageError::Backlog { bytes: waiting, limit });
        }
    }

    fn push(&mut self, kind: Kind, payload: impl FnOnce(&mut Vec<u8>)) {
        self.sequence += 1;
        if matches!(kind, Kind::Vote | Kind::Entries) {
            self.written = WriteId(self.sequence);
        }
        let numbers = (kind, self.sequence, self.synced);
        let Segment { file, seal, at, .. } = self.segment;
        let before = self.queue.last_mut();
        let mut fresh = Vec::new();
        let bytes = match before {
            Some(Change::Write { file: last, bytes, .. }) if *last == file => bytes,
            _ => &mut fresh,
        };
        let length = bytes.len();
        record::write(bytes, seal, at, numbers, payload);
        let added = (bytes.len() - length) as u64;
        if !fresh.is_empty() {
            self.queue.push(Change::Write { file, at, bytes: fresh });
        }
        self.segment.at += added;
        self.queued_bytes += added;
    }
}

impl Segment {
    /// A segment that is still empty, and the change that makes its file.
    fn create(identity: &Identity, file: FileId, bytes: u64) -> (Self, Change) {
        let seal = Seal::new(identity, file);
        (Self { file, seal, at: 0, bytes }, Change::Create { file, bytes })
    }

    fn header(&self, identity: &Identity) -> Header {
        Header { identity: *identity, file: self.file, bytes: self.bytes }
    }
}

impl<D: Disk> Storage for SegmentLog<D> {
    fn load(&self) -> Recovered {
        let persistent = Persistent {
            current_term: self.term,
            voted_for: self.voted_for,
            log: self.log.metas().collect(),
            ..Persistent::default()
        };
        Recovered { persistent, torn: self.torn }
    }

    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId {
        (self.term, self.voted_for) = (term, voted_for);
        self.write(Kind::Vote, record::VOTE_LENGTH, |out| {
            record::write_vote(out, term, voted_for);
        });
        self.written
    }

    fn append(&mut self, first: Index, entries: Entries) -> WriteId {
        self.write(Kind::Entries, record::entries_length(&entries), |out| {
            record::write_entries(out, first, &entries);
        });
        self.log.truncate(first);
        self.log.append(first, entries);
        self.appended_in = self.term;
        self.written
    }

    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        self.log.read(after, last, max_bytes)
    }

    fn sync(&mut self, now: Time) {
        self.wanted |= !self.queue.is_empty();
        self.advance(now);
    }

    fn durable(&mut self, now: Time) -> Result<Durable, StorageError> {
        self.advance(now);
        self.failure.clone().map_or(Ok(self.durable), Err)
    }

    fn deadline(&self) -> Option<Time> {
        if self.batch.is_some() {
            self.disk.deadline()
        } else if self.wanted {
            self.retry
        } else {
            self.mark
        }
    }
}
