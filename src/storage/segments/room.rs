//! What the log does where there is no room: files as short as what they hold.
//!
//! Only a new file makes room: the segments before a snapshot go when the header of a later one says
//! that they may, and a snapshot takes a pack for its chunks. If that took a whole segment, a disk that
//! the log has filled would stay full for ever. A disk may keep some room in reserve for short files.

use super::record::{self, First, Header, Kind, Seal};
use super::{Batch, RETRY, SegmentLog};
use crate::raft::Time;
use crate::storage::FileId;
use crate::storage::disk::{Change, Disk};

/// A file that is made short has a size that is a multiple of this part of a segment: what waits
/// for room is not to end up in a file for each write.
const PART: u64 = 64;

/// What a batch is for.
#[derive(Clone, Copy, Default)]
pub(super) struct Purpose {
    /// It has entries.
    pub(super) has_entries: bool,
    /// When it is durable, something else may go.
    pub(super) makes_room: bool,
}

impl Purpose {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            has_entries: self.has_entries || other.has_entries,
            makes_room: self.makes_room || other.makes_room,
        }
    }

    /// Whether it may take what is left of a disk. Entries wait: they are what fills it.
    fn is_urgent(self) -> bool {
        self.makes_room || !self.has_entries
    }
}

impl<D: Disk> SegmentLog<D> {
    /// Has a batch that found no room tried again: at once if any of its files can be shorter, or its
    /// chunks go without the log.
    pub(super) fn found_no_room(&mut self, changes: Vec<Change>, batch: &Batch, now: Time) {
        let (mut log, mut chunks): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| matches!(change.file(), FileId::Log(_)));
        let can_part = !log.is_empty() && !chunks.is_empty();
        log.append(&mut self.queue);
        chunks.append(&mut self.held);
        self.queued_bytes += batch.bytes;
        self.purpose = self.purpose.and(batch.purpose);
        let shorter =
            (self.purpose.is_urgent() && self.shorten(&mut log)) | self.shorten(&mut chunks);
        (self.queue, self.held, self.wanted) = (log, chunks, true);
        if !shorter {
            self.full = true;
            self.retry = (!can_part).then_some(now + RETRY);
        }
    }

    /// Makes files that found no room as short as what waits for them. Returns whether any is
    /// shorter now.
    fn shorten(&mut self, changes: &mut [Change]) -> bool {
        let part = (self.options.segment_bytes / PART).max(1);
        let mut saves = false;
        for place in 0..changes.len() {
            let Change::Create { file, bytes } = changes[place] else { continue };
            let ends = changes.iter().filter_map(|change| match change {
                Change::Write { at, bytes, .. } if change.file() == file => {
                    Some(at + bytes.len() as u64)
                }
                _ => None,
            });
            let short = ends.max().unwrap_or(0).next_multiple_of(part);
            if short >= bytes {
                continue;
            }
            saves = true;
            changes[place] = Change::Create { file, bytes: short };
            match file {
                FileId::Log(number) => {
                    restate(changes, number, short);
                    self.segments.shorten(number, short);
                    if self.segment.number == number {
                        self.segment.bytes = short;
                    }
                }
                FileId::Pack(_) => self.packs.shorten(file, short),
            }
        }
        saves
    }
}

/// Has the header that is to be written at the beginning of a segment tell this size.
fn restate(changes: &mut [Change], number: u64, bytes: u64) {
    let file = FileId::Log(number);
    let written = changes.iter_mut().find_map(|change| match change {
        Change::Write { file: to, at: 0, bytes } if *to == file => Some(bytes),
        _ => None,
    });
    let Some(written) = written else { return };
    let First::Header(header, record) = Header::of(number, written) else { return };
    let mut again = Vec::with_capacity(record.end);
    let seal = Seal::new(&header.identity, file);
    let numbers = (Kind::Header, record.sequence, record.synced);
    let header = Header { bytes, ..header };
    record::write(&mut again, seal, 0, numbers, |out| header.encode(out));
    written[..again.len()].copy_from_slice(&again);
}
