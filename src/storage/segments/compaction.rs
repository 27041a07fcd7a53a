//! Which segments the log still needs.
//!
//! A segment may go when nothing in it is needed any more: no entry behind the base, and not the
//! latest snapshot, whose record restates the rest. Where the log begins then is said in the header
//! of the next segment, if all that this rests on was durable before the header was written; and
//! when the header is durable, the files before go. So whatever a crash leaves of that, the last
//! header that can be read tells what is missing from what was removed.
//!
//! A new segment is begun for this alone only when that frees two or more.

use std::collections::VecDeque;

use bytes::Bytes;

use super::record::Beginning;
use crate::raft::{Index, Position};

/// A file of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SegmentFile {
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// The number of its header; of a file that was torn when it was made, none.
    pub(super) header: Option<u64>,
}

impl SegmentFile {
    pub(super) fn of((number, bytes): &(u64, Bytes)) -> Self {
        Self { number: *number, bytes: bytes.len() as u64, header: None }
    }
}

/// The segment of every entry of the log.
#[derive(Default)]
pub(super) struct Homes {
    /// From this index on, in this file.
    runs: VecDeque<(Index, u64)>,
}

impl Homes {
    /// The entries from `first` on are replaced by others, in `file`.
    pub(super) fn append(&mut self, first: Index, file: u64) {
        while self.runs.back().is_some_and(|(start, _)| *start >= first) {
            self.runs.pop_back();
        }
        if self.runs.back().is_none_or(|(_, home)| *home != file) {
            self.runs.push_back((first, file));
        }
    }

    /// The entries up to `base` are gone, and `last` is the last.
    fn compact(&mut self, base: Index, last: Index) {
        while self.runs.get(1).is_some_and(|(start, _)| *start <= base.next()) {
            self.runs.pop_front();
        }
        if base == last {
            self.runs.clear();
        }
    }
}

/// The files of the log, and which of them are needed.
pub(super) struct Segments {
    pub(super) homes: Homes,
    /// The file of the latest snapshot's record.
    pub(super) snapshot: u64,
    /// All that are there, or are about to be.
    files: VecDeque<SegmentFile>,
    /// What the last header says.
    stated: Beginning,
    /// What a header may say when this record is synced.
    planned: Option<(Beginning, u64)>,
    /// The header that says [`stated`](Self::stated): when it is synced, what lies before may go.
    header: u64,
}

impl Segments {
    pub(super) fn new(
        files: Vec<SegmentFile>,
        stated: Beginning,
        homes: Homes,
        snapshot: u64,
    ) -> Self {
        Self { homes, snapshot, files: files.into(), stated, planned: None, header: 0 }
    }

    /// The numbers of all files.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.files.iter().map(|file| file.number).collect()
    }

    /// The bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// A segment is made whose header is record `header`. Returns what that is to say.
    pub(super) fn create(
        &mut self,
        number: u64,
        bytes: u64,
        header: u64,
        synced: u64,
    ) -> Beginning {
        self.files.push_back(SegmentFile { number, bytes, header: Some(header) });
        if let Some((beginning, _)) = self.planned.take_if(|(_, needs)| *needs <= synced) {
            (self.stated, self.header) = (beginning, header);
        }
        self.stated
    }

    /// A segment that is still to be made will have this size.
    pub(super) fn shorten(&mut self, number: u64, bytes: u64) {
        if let Some(file) = self.files.iter_mut().rfind(|file| file.number == number) {
            file.bytes = bytes;
        }
    }

    /// The log from `base` to `last` and the snapshot are needed, and nothing else. `written` is
    /// the last record that was written.
    pub(super) fn need(&mut self, base: Position, last: Index, written: u64) {
        self.homes.compact(base.index, last);
        let first = self.homes.runs.front().map_or(self.snapshot, |(_, home)| *home);
        let file = first.min(self.snapshot);
        let place = self.files.partition_point(|segment| segment.number < file);
        let header = self.files.get(place).and_then(|segment| segment.header);
        let Some(sequence) = header else { return };
        if self.planned.is_none() && file > self.stated.file {
            self.planned = Some((Beginning { file, sequence, base }, written));
        }
    }

    /// Whether it is worth a new segment to say where the log begins.
    pub(super) fn is_worth_a_header(&self, synced: u64) -> bool {
        let worth = |(beginning, needs): (Beginning, u64)| {
            needs <= synced && beginning.file >= self.stated.file + 2
        };
        self.planned.is_some_and(worth)
    }

    /// The files that are not needed any more and that no crash goes back to, each once, with their
    /// sizes.
    pub(super) fn take_unneeded(&mut self, synced: u64) -> Vec<(u64, u64)> {
        let unneeded = match self.header <= synced {
            true => self.files.partition_point(|segment| segment.number < self.stated.file),
            false => 0,
        };
        self.files.drain(..unneeded).map(|segment| (segment.number, segment.bytes)).collect()
    }
}
