//! What is given to the disk when.

use super::record::{self, HEADER_BYTES, Kind};
use super::room::Purpose;
use super::{Batch, MARK_DELAY, Segment, SegmentLog};
use crate::museum::{Bug, on};
use crate::raft::Time;
use crate::storage::disk::{Change, Disk, Outcome};
use crate::storage::log::MemoryLog;
use crate::storage::{Durable, FileId, StorageError, WriteId};

/// Most files that are removed in a batch.
const REMOVALS: usize = 64;

impl<D: Disk> SegmentLog<D> {
    /// Makes everything durable that can be, and protects it, as a server that ends in good order
    /// does.
    pub(in crate::storage) fn flush(&mut self, now: Time) {
        // There may be room again.
        self.retry = None;
        loop {
            if self.batch.is_some() {
                let outcome = self.disk.finish();
                self.ended(outcome, now);
            } else if self.failure.is_some() || self.retry.is_some() {
                return;
            } else if !self.queue.is_empty() || self.wanted || self.packs.is_waiting() {
                self.begin(now);
            } else if self.protected < self.written.0 {
                self.write(Kind::Mark, 0, |_| {});
            } else {
                return;
            }
        }
    }

    /// Ends what the disk has done, and begins what is to be done next.
    pub(super) fn advance(&mut self, now: Time) {
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
        // While there is no room the log may wait for a snapshot of these very chunks, so either is
        // tried without the other.
        let apart = self.full && !self.queue.is_empty();
        let has_chunks = !self.held.is_empty() || self.packs.is_waiting();
        self.chunks_alone = apart && has_chunks && !self.chunks_alone;
        let mut changes = Vec::new();
        let mut batch = self.nothing();
        if !self.chunks_alone {
            changes.append(&mut self.queue);
            let removed = self.unneeded.len().min(REMOVALS);
            changes.extend(self.unneeded.drain(..removed).map(|file| Change::Remove { file }));
            batch.bytes = std::mem::take(&mut self.queued_bytes);
            batch.purpose = std::mem::take(&mut self.purpose);
            (batch.sequence, batch.durable) = (self.sequence, self.all_written());
            // Chunks and removals alone protect nothing.
            if self.sequence > self.synced {
                batch.protects = self.synced;
            }
        }
        let chunks_last = on(Bug::SnapshotBeforeItsChunks) && !changes.is_empty();
        if (!apart || self.chunks_alone) && !chunks_last {
            changes.append(&mut self.held);
            self.packs.fill(&mut changes);
            batch.has_chunks = true;
        }
        if on(Bug::ReportsBeforeSync) {
            self.durable = batch.durable;
        }
        self.batch = Some(batch);
        self.wanted = self.packs.is_waiting() || !self.unneeded.is_empty();
        self.wanted |= !self.queue.is_empty() || !self.held.is_empty();
        (self.retry, self.mark) = (None, None);
        self.disk.commit(changes, now);
    }

    /// A batch after which all is as it was.
    fn nothing(&self) -> Batch {
        Batch {
            sequence: self.synced,
            durable: self.durable,
            protects: self.protected,
            bytes: 0,
            purpose: Purpose::default(),
            has_chunks: false,
        }
    }

    fn all_written(&self) -> Durable {
        let (term, last) = (self.appended_in, self.log.last.index);
        Durable { write: self.written, term, last, chunks: self.packs.durable }
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
                self.full &= self.chunks_alone;
                (self.synced, self.durable) = (batch.sequence, batch.durable);
                self.protected = batch.protects;
                if batch.has_chunks {
                    self.packs.landed();
                }
                self.packs.log_synced(self.synced);
                self.durable.chunks = self.packs.durable;
                if let Some(age) = self.snapshots.settle(self.durable.write) {
                    self.drop_unnamed(age);
                }
                self.tidy();
                if self.queue.is_empty() && self.protected < self.written.0 {
                    self.mark = Some(now + MARK_DELAY);
                }
            }
            Outcome::Full(changes) => self.found_no_room(changes, &batch, now),
            Outcome::Failed(error) => self.failure = Some(error.into()),
        }
    }

    /// Makes room, a bit at a time.
    pub(super) fn tidy(&mut self) {
        let MemoryLog { base, last, .. } = self.log;
        self.segments.need(base, last.index, self.sequence);
        if self.segments.is_worth_a_header(self.synced) {
            self.begin_segment(0);
            (self.wanted, self.purpose.makes_room) = (true, true);
        }
        for (segment, bytes) in self.segments.take_unneeded(self.synced) {
            if !self.packs.take_over(segment, bytes) {
                self.unneeded.push_back(FileId::Log(segment));
            }
        }
        match self.packs.tidy(&self.disk) {
            Ok(dead) => self.unneeded.extend(dead),
            Err(error) => self.failure = Some(error),
        }
        self.wanted |= !self.unneeded.is_empty() || self.packs.is_waiting();
    }

    /// Adds a record to the next batch. Returns where in the segment it stands.
    pub(super) fn write(
        &mut self,
        kind: Kind,
        length: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> u64 {
        if self.failure.is_some() {
            return 0;
        }
        self.mark = None;
        let size = record::size(length) as u64;
        if self.segment.at + size > self.segment.bytes {
            self.begin_segment(size);
        }
        let at = self.segment.at;
        self.push(kind, payload);
        let waiting = self.queued_bytes + self.batch.as_ref().map_or(0, |batch| batch.bytes);
        self.check_backlog(waiting, self.options.backlog_bytes);
        at
    }

    /// Goes on in a new segment, which has room for a record of this size.
    fn begin_segment(&mut self, size: u64) {
        let bytes = self.options.segment_bytes.max(HEADER_BYTES as u64 + size);
        let number = self.segment.number + 1;
        let beginning = self.segments.create(number, bytes, self.sequence + 1, self.synced);
        let (segment, create) = Segment::create(&self.identity, number, bytes);
        let header = segment.header(&self.identity, beginning);
        self.segment = segment;
        self.queue.push(create);
        self.push(Kind::Header, |out| header.encode(out));
    }

    pub(super) fn check_backlog(&mut self, bytes: u64, limit: u64) {
        if bytes > limit && self.failure.is_none() {
            self.failure = Some(StorageError::Backlog { bytes, limit });
        }
    }

    fn push(&mut self, kind: Kind, payload: impl FnOnce(&mut Vec<u8>)) {
        self.sequence += 1;
        if kind.is_data() {
            self.written = WriteId(self.sequence);
        }
        let numbers = (kind, self.sequence, self.synced);
        let Segment { number, seal, at, .. } = self.segment;
        let file = FileId::Log(number);
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
