//! What a log on a disk says when a server starts: how far it reaches, and whether what stands
//! behind that was never durable, or was and is damaged.
//!
//! Records are numbered without a gap. Record `n + 1` stands right behind record `n`, or is the
//! header of a later file: a file that is full, or whose end recovery cut off, is never written to
//! again. The first number that is not found ends the log. If nothing but zeros follows, the log
//! ended there. If anything else does, the disk was not done with it when the server ended (a torn
//! tail), unless some record behind it says that this number was synced by then: that is damage,
//! whether by a flipped bit, a write that was lost or one that went elsewhere.

use bytes::Bytes;

use super::Identity;
use super::record::{First, Header, Kind, Record, Seal};
use crate::museum::{Bug, on};
use crate::raft::{Index, ServerId, Term};
use crate::storage::log::MemoryLog;
use crate::storage::{Disk, FileId, StorageError, TornTail};

/// The files of a log, whole: the entries are kept in memory anyway.
pub(in crate::storage) struct Files(Vec<(FileId, Bytes)>);

/// What stands in a log.
pub(super) struct Found {
    pub(super) term: Term,
    pub(super) voted_for: Option<ServerId>,
    pub(super) log: MemoryLog,
    /// The number of the last vote or entries.
    pub(super) written: u64,
    /// The end of the log.
    pub(super) end: End,
    /// The last file, where the log ends or behind that.
    pub(super) last_file: FileId,
    pub(super) torn: Option<TornTail>,
}

/// How far a log reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::storage) struct End {
    /// The place of the file among the files.
    place: usize,
    /// Whether its header was found, and the size that it should have.
    opened: bool,
    pub(super) bytes: u64,
    /// The first byte behind the last record.
    pub(in crate::storage) at: usize,
    /// The first sequence number that is not there.
    pub(super) next: u64,
    /// Every record up to this one is said to be synced by one of the records.
    pub(in crate::storage) synced: u64,
}

impl Files {
    /// # Errors
    /// If there are none, or they cannot be read.
    pub(in crate::storage) fn read(disk: &impl Disk) -> Result<Self, StorageError> {
        let ids = disk.files()?;
        let read = |id| disk.read(id).map(|bytes| (id, bytes));
        let files: Vec<_> = ids.into_iter().map(read).collect::<Result<_, _>>()?;
        match files.first() {
            None => Err(StorageError::NotFormatted),
            Some((FileId(1), _)) => Ok(Self(files)),
            Some(_) => Err(StorageError::Damaged { file: FileId(1), at: 0, sequence: 1 }),
        }
    }

    /// Visits every record of the log, from the first to the last; `visit` says whether it could
    /// make sense of it.
    ///
    /// # Errors
    /// If a file is another server's or of another format, or a record makes no sense.
    pub(in crate::storage) fn walk(
        &self,
        identity: &Identity,
        mut visit: impl FnMut(FileId, &Bytes, &Record) -> bool,
    ) -> Result<End, StorageError> {
        let mut end = End { place: 0, opened: false, bytes: 0, at: 0, next: 1, synced: 0 };
        while let Some((record, mut reached)) = self.next(identity, end)? {
            let (file, bytes) = &self.0[reached.place];
            if !visit(*file, bytes, &record) {
                return Err(self.damaged(end));
            }
            reached.synced = end.synced.max(record.synced);
            end = reached;
        }
        Ok(end)
    }

    /// The next record, and the end of the log behind it.
    fn next(&self, identity: &Identity, end: End) -> Result<Option<(Record, End)>, StorageError> {
        let (file, bytes) = &self.0[end.place];
        let next = end.next + 1;
        if end.opened
            && let Some(record) = Record::read(bytes, end.at, Seal::new(identity, *file))
            && (record.sequence, record.kind == Kind::Header) == (end.next, false)
        {
            return Ok(Some((record, End { at: record.end, next, ..end })));
        }
        let later = if end.opened { end.place + 1 } else { 0 };
        for (place, (file, bytes)) in self.0.iter().enumerate().skip(later) {
            let (header, record) = match Header::of(*file, bytes) {
                First::Header(header, record) if record.sequence == end.next => (header, record),
                First::Format(found) => {
                    let expected = super::record::FORMAT;
                    return Err(StorageError::Format { file: *file, found, expected });
                }
                _ => continue,
            };
            if header.identity != *identity {
                let (found, expected) = (header.identity, *identity);
                return Err(StorageError::Foreign { file: *file, found, expected });
            }
            let (opened, bytes) = (true, header.bytes);
            return Ok(Some((record, End { place, opened, bytes, at: record.end, next, ..end })));
        }
        Ok(None)
    }

    /// What follows the end: nothing, or a torn tail.
    ///
    /// # Errors
    /// If it is neither.
    fn judge(&self, identity: &Identity, end: End) -> Result<Option<TornTail>, StorageError> {
        let (file, bytes) = &self.0[end.place];
        let later = &self.0[end.place + 1..];
        // No file has a header before it has its size.
        let cut_short = (bytes.len() as u64) < end.bytes;
        if end.next > 1 && later.is_empty() && !cut_short && is_blank(&bytes[end.at..]) {
            return Ok(None);
        }
        let proves = |record: Record| record.synced >= end.next;
        let proved = Record::search(bytes, end.at, Seal::new(identity, *file)).any(proves)
            || later.iter().any(|(file, bytes)| {
                let header = match Header::of(*file, bytes) {
                    First::Header(_, record) => Some(record),
                    First::Format(_) | First::Nothing => None,
                };
                let mut rest = Record::search(bytes, 0, Seal::new(identity, *file));
                header.is_some_and(proves) || rest.any(proves)
            });
        if (proved || cut_short) && !on(Bug::CutsOffDamage) {
            return Err(self.damaged(end));
        }
        if end.next == 1 {
            return Err(StorageError::NotFormatted);
        }
        Ok(Some(TornTail { file: *file, at: end.at as u64 }))
    }

    fn damaged(&self, end: End) -> StorageError {
        let file = self.0[end.place].0;
        StorageError::Damaged { file, at: end.at as u64, sequence: end.next }
    }
}

/// Whether there are only zeros; compared in blocks, because most of a segment may be blank.
fn is_blank(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

/// Reads a log.
///
/// # Errors
/// If it is damaged, not there, or not this server's.
pub(super) fn recover(disk: &impl Disk, identity: &Identity) -> Result<Found, StorageError> {
    let files = Files::read(disk)?;
    let (mut term, mut voted_for, mut log) = (Term(0), None, MemoryLog::default());
    let mut written = 0;
    let end = files.walk(identity, |_, bytes, record| {
        match record.kind {
            Kind::Header | Kind::Mark => return true,
            Kind::Vote => match record.vote(bytes) {
                Some(vote) => (term, voted_for) = vote,
                None => return false,
            },
            Kind::Entries => match record.entries(bytes) {
                Some((first, entries)) if first > Index(0) && first <= log.last.index.next() => {
                    log.truncate(first);
                    log.append(first, entries);
                }
                _ => return false,
            },
        }
        written = record.sequence;
        true
    })?;
    let torn = files.judge(identity, end)?;
    let last_file = files.0.last().map_or(FileId(1), |(file, _)| *file);
    Ok(Found { term, voted_for, log, written, end, last_file, torn })
}
