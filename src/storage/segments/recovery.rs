//! What a log on a disk says when a server starts: where it begins, how far it reaches, and whether
//! what stands behind that was never durable, or was and is damaged.
//!
//! The header of each file says where the log began when the file was made; the last one counts.
//! Files before that are what is left of an unfinished removal, and are not read.
//!
//! Records are numbered without a gap. Record `n + 1` stands right behind record `n`, or is the
//! header of a later file: a file that is full, or whose end recovery cut off, is never written to
//! again. The first number that is not found ends the log. If nothing but zeros follows, the log
//! ended there. If anything else does, the disk was not done with it when the server ended (a torn
//! tail), unless some record behind it says that this number was synced by then: that is damage,
//! whether by a flipped bit, a write that was lost or one that went elsewhere.
//!
//! The first file that is needed may begin with entries that follow on others which are gone: all
//! of these were replaced later, and are passed over until then.

use bytes::Bytes;

use super::compaction::{Homes, SegmentFile};
use super::packs::Packs;
use super::payload::{InLog, Saved, Vote, entries_of};
use super::payloads::{Payloads, Stand};
use super::record::{Beginning, First, HEADER_BYTES, Header, Kind, Record, Seal};
use super::{Identity, Options};
use crate::museum::{Bug, on};
use crate::raft::{Entries, Index, Position, Term};
use crate::storage::log::MemoryLog;
use crate::storage::{DiskFiles, FileId, Snapshot, StorageError, TornTail};

/// The files of a log from its beginning on, whole: the entries are kept in memory anyway.
pub(in crate::storage) struct Files {
    files: Vec<(u64, Bytes)>,
    beginning: Beginning,
    /// The files before the beginning.
    left_over: Vec<u64>,
}

/// What stands in a log.
pub(super) struct Found {
    pub(super) vote: Vote,
    pub(super) snapshot: Snapshot,
    /// Its chunks that stand in the log.
    pub(super) in_log: Vec<InLog>,
    pub(super) log: MemoryLog,
    pub(super) payloads: Payloads,
    /// The number of the last record that says something.
    pub(super) written: u64,
    /// The end of the log.
    pub(super) end: End,
    pub(super) beginning: Beginning,
    pub(super) segments: Vec<SegmentFile>,
    /// The number of the last file, whatever it holds.
    pub(super) last_segment: u64,
    /// Files that are not needed: before the beginning, and made for what was never written.
    pub(super) left_over: Vec<u64>,
    pub(super) homes: Homes,
    /// The file with the snapshot.
    pub(super) snapshot_file: u64,
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
    /// If there are none, or they cannot be read, or they are another server's or of another
    /// format.
    pub(in crate::storage) fn read(
        disk: &impl DiskFiles,
        identity: &Identity,
    ) -> Result<Self, StorageError> {
        let mut numbers = Vec::new();
        let mut stated = None;
        for id in disk.files()? {
            let FileId::Log(number) = id else { continue };
            let bytes = disk.read_start(id, HEADER_BYTES)?;
            match Header::of(number, &bytes) {
                First::Header(header, _) if header.identity == *identity => {
                    stated = stated.max(Some(header.beginning));
                }
                First::Header(header, _) => {
                    let (found, expected) = (header.identity, *identity);
                    return Err(StorageError::Foreign { file: id, found, expected });
                }
                First::Format(found) => {
                    let expected = super::record::FORMAT;
                    return Err(StorageError::Format { file: id, found, expected });
                }
                First::Nothing => {}
            }
            numbers.push(number);
        }
        let Some(first) = numbers.first() else { return Err(StorageError::NotFormatted) };
        let founding = Beginning { file: *first, sequence: 1, base: Position::default() };
        let beginning = stated.unwrap_or(founding);
        let place = numbers.partition_point(|file| *file < beginning.file);
        let needed = numbers.split_off(place);
        match needed.first() {
            Some(first) if *first == beginning.file => {
                let read = |file| Ok((file, disk.read(FileId::Log(file))?));
                let files = needed.into_iter().map(read).collect::<Result<_, StorageError>>()?;
                Ok(Self { files, beginning, left_over: numbers })
            }
            _ => {
                let Beginning { file, sequence, .. } = beginning;
                Err(StorageError::Damaged { file: FileId::Log(file), at: 0, sequence })
            }
        }
    }

    /// The files that are needed, each with its size.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (FileId, u64)> {
        self.files.iter().map(|(file, bytes)| (FileId::Log(*file), bytes.len() as u64))
    }

    /// Visits every record of the log, from the first to the last; `visit` says whether it could
    /// make sense of it.
    ///
    /// # Errors
    /// If a record makes no sense.
    pub(in crate::storage) fn walk(
        &self,
        identity: &Identity,
        mut visit: impl FnMut(FileId, &Bytes, &Record) -> bool,
    ) -> Result<End, StorageError> {
        let next = self.beginning.sequence;
        let mut end = End { place: 0, opened: false, bytes: 0, at: 0, next, synced: 0 };
        while let Some((record, mut reached)) = self.next(identity, end) {
            let (file, bytes) = &self.files[reached.place];
            if !visit(FileId::Log(*file), bytes, &record) {
                return Err(self.damaged(end));
            }
            reached.synced = end.synced.max(record.synced);
            end = reached;
        }
        Ok(end)
    }

    /// The next record, and the end of the log behind it.
    fn next(&self, identity: &Identity, end: End) -> Option<(Record, End)> {
        let (file, bytes) = &self.files[end.place];
        let next = end.next + 1;
        if end.opened
            && let Some(record) = Record::read(bytes, end.at, seal(identity, *file))
            && (record.sequence, record.kind == Kind::Header) == (end.next, false)
        {
            return Some((record, End { at: record.end, next, ..end }));
        }
        let later = if end.opened { end.place + 1 } else { 0 };
        self.files.iter().enumerate().skip(later).find_map(|(place, (file, bytes))| {
            let First::Header(header, record) = Header::of(*file, bytes) else { return None };
            let reached =
                End { place, opened: true, bytes: header.bytes, at: record.end, next, ..end };
            (record.sequence == end.next).then_some((record, reached))
        })
    }

    /// What follows the end: nothing, or a torn tail.
    ///
    /// # Errors
    /// If it is neither.
    fn judge(&self, identity: &Identity, end: End) -> Result<Option<TornTail>, StorageError> {
        let (file, bytes) = &self.files[end.place];
        let later = &self.files[end.place + 1..];
        let begun = end.next > self.beginning.sequence;
        // No file has a header before it has its size.
        let cut_short = (bytes.len() as u64) < end.bytes;
        if begun && later.is_empty() && !cut_short && is_blank(&bytes[end.at..]) {
            return Ok(None);
        }
        let proves = |record: Record| record.synced >= end.next;
        let proved = Record::search(bytes, end.at, seal(identity, *file)).any(proves)
            || later.iter().any(|(file, bytes)| {
                let header = match Header::of(*file, bytes) {
                    First::Header(_, record) => Some(record),
                    First::Format(_) | First::Nothing => None,
                };
                let mut rest = Record::search(bytes, 0, seal(identity, *file));
                header.is_some_and(proves) || rest.any(proves)
            });
        if (proved || cut_short) && !on(Bug::CutsOffDamage) {
            return Err(self.damaged(end));
        }
        if end.next == 1 {
            return Err(StorageError::NotFormatted);
        }
        if !begun {
            return Err(self.damaged(end));
        }
        Ok(Some(TornTail { file: FileId::Log(*file), at: end.at as u64 }))
    }

    fn damaged(&self, end: End) -> StorageError {
        let file = FileId::Log(self.files[end.place].0);
        StorageError::Damaged { file, at: end.at as u64, sequence: end.next }
    }
}

/// Whether there are only zeros; compared in blocks, because most of a segment may be blank.
fn is_blank(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

fn seal(identity: &Identity, file: u64) -> Seal {
    Seal::new(identity, FileId::Log(file))
}

impl Found {
    /// Where the chunks of the snapshot are.
    ///
    /// # Errors
    /// If one of them is not there.
    pub(super) fn packs(
        &self,
        disk: &impl DiskFiles,
        identity: &Identity,
        options: &Options,
    ) -> Result<Packs, StorageError> {
        let mut packs = Packs::scan(disk, identity, options, &self.snapshot)?;
        packs.find_in_log(disk, &self.snapshot, &self.in_log, self.beginning.file)?;
        packs.check_all(&self.snapshot)?;
        Ok(packs)
    }
}

/// What the records that were read so far amount to.
struct State {
    vote: Vote,
    snapshot: Option<(Snapshot, u64)>,
    in_log: Vec<InLog>,
    log: MemoryLog,
    payloads: Payloads,
    homes: Homes,
    /// Entries were passed over that follow on others which are gone.
    gap: bool,
    written: u64,
}

impl State {
    fn visit(&mut self, file: u64, bytes: &Bytes, record: &Record) -> bool {
        let understood = match record.kind {
            Kind::Header | Kind::Mark => return true,
            Kind::Vote => Vote::of(record, bytes).map(|vote| self.vote = vote),
            Kind::Entries => entries_of(record, bytes)
                .filter(|(first, _)| *first > Index(0))
                .map(|(first, entries)| self.append(file, record, first, &entries)),
            Kind::Snapshot | Kind::SnapshotOnLog => {
                Saved::of(record, bytes).map(|saved| self.save(file, saved))
            }
            Kind::Chunk => None,
        };
        self.written = record.sequence;
        understood.is_some()
    }

    fn append(&mut self, file: u64, record: &Record, first: Index, entries: &Entries) {
        self.gap = first > self.log.last.index.next();
        if self.gap {
            return;
        }
        // What is compacted was never replaced by anything else than itself.
        let known = (self.log.base.index.next() - first) as usize;
        let first = first.max(self.log.base.index.next());
        self.log.truncate(first);
        let stand = Stand { segment: file, at: record.at as u64, sequence: record.sequence };
        self.payloads.append(Index(first.0 - known as u64), entries, stand);
        self.log.append(first, entries.slice(known, entries.len()));
        self.homes.append(first, file);
    }

    fn save(&mut self, file: u64, Saved { vote, keep_log, snapshot, in_log }: Saved) {
        (self.vote, self.in_log) = (vote, in_log);
        if !keep_log {
            self.log = MemoryLog::behind(snapshot.meta.last_included);
            (self.homes, self.payloads) = Default::default();
            self.gap = false;
        }
        self.snapshot = Some((snapshot, file));
    }
}

/// Reads a log.
///
/// # Errors
/// If it is damaged, not there, or not this server's.
pub(super) fn recover(disk: &impl DiskFiles, identity: &Identity) -> Result<Found, StorageError> {
    let files = Files::read(disk, identity)?;
    let mut state = State {
        vote: Vote { term: Term(0), voted_for: None, recovering: false },
        snapshot: None,
        in_log: Vec::new(),
        payloads: Payloads::default(),
        log: MemoryLog::behind(files.beginning.base),
        homes: Homes::default(),
        gap: false,
        written: 0,
    };
    let mut segments: Vec<_> = files.files.iter().map(SegmentFile::of).collect();
    let end = files.walk(identity, |file, bytes, record| {
        let FileId::Log(number) = file else { return false };
        if record.kind == Kind::Header {
            let place = segments.partition_point(|segment| segment.number < number);
            segments[place].header = Some(record.sequence);
        }
        state.visit(number, bytes, record)
    })?;
    let torn = files.judge(identity, end)?;
    let State { vote, snapshot, in_log, log, mut payloads, homes, gap, written } = state;
    // Nothing is ever written to a disk that was not formatted to the end.
    let (snapshot, snapshot_file) = snapshot.ok_or(StorageError::NotFormatted)?;
    if gap || log.base.index > snapshot.meta.last_included.index {
        return Err(files.damaged(end));
    }
    payloads.compact(log.base.index);
    let Files { files, beginning, mut left_over } = files;
    let last_segment = segments.last().map_or(1, |segment| segment.number);
    // The others stay: one of them may be the only one that says where the log begins.
    let blank = files[end.place + 1..].iter().filter(|(_, bytes)| is_blank(bytes));
    let blank: Vec<_> = blank.map(|(number, _)| *number).collect();
    segments.retain(|segment| !blank.contains(&segment.number));
    left_over.extend(blank);
    Ok(Found {
        vote,
        snapshot,
        in_log,
        log,
        payloads,
        written,
        end,
        beginning,
        segments,
        last_segment,
        left_over,
        homes,
        snapshot_file,
        torn,
    })
}
