//! The records of the log, byte by byte. All numbers are little-endian; every record begins at a
//! multiple of 8 bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of what follows, up to and including the padding, and of the record's place |
//! | 4 | length of the payload |
//! | 8 | sequence number: 1, 2, 3 ... through all files of the log |
//! | 4 | lag: this many records before this one is the last that was known to be synced |
//! | 4 | kind |
//! | length | payload |
//! | 0 to 7 | zeros |
//!
//! The place is the cluster, the server, the file and the offset. So a record that was written to
//! the wrong place is no record there, and neither are bytes of a client that look like one.
//! Only the header's sum leaves out whose it is: it says so itself. Chunks in packs have no header
//! and no sequence: each is record 1.

use crc32fast::Hasher;

use super::Identity;
use crate::museum::{Bug, on};
use crate::raft::{Index, Position, ServerId, Term};
use crate::storage::FileId;

/// Before the payload.
pub(super) const HEAD: usize = 24;
const ALIGNMENT: usize = 8;
const MAGIC: [u8; 8] = *b"jangada\n";
pub(super) const FORMAT: u32 = 1;
/// Magic, format, four zeros, cluster, server, file, size, and where the log begins: file,
/// sequence number, term, index.
const HEADER_PAYLOAD: usize = 8 + 8 + 16 + 8 + 8 + 8 + 8 + 8 + 16;
pub(super) const HEADER_BYTES: usize = HEAD + HEADER_PAYLOAD;

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::storage) enum Kind {
    /// The beginning of a file.
    Header = 1,
    /// `current_term`, `voted_for`, and whether the server is recovering.
    Vote = 2,
    /// Every entry from an index on is dropped, then these follow.
    Entries = 3,
    /// Nothing: it is written to say how far the log is synced.
    Mark = 4,
    /// A snapshot, with all that [`Vote`](Self::Vote) says.
    Snapshot = 5,
    /// A chunk, in a pack.
    Chunk = 6,
    /// A snapshot of which some chunks stand in the log, with where they do.
    SnapshotOnLog = 7,
}

/// Where in which file, and whose; part of a record's sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seal(u32);

/// A record whose sum is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::storage) struct Record {
    pub(in crate::storage) kind: Kind,
    pub(in crate::storage) sequence: u64,
    /// Every record up to this one was known to be synced.
    pub(in crate::storage) synced: u64,
    /// Where it begins and ends, its padding included.
    pub(in crate::storage) at: usize,
    pub(in crate::storage) end: usize,
    /// The bytes of its payload.
    pub(super) length: usize,
}

/// What the first record of a segment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) identity: Identity,
    /// The number of the file.
    pub(super) file: u64,
    /// The size of the file.
    pub(super) bytes: u64,
    pub(super) beginning: Beginning,
}

/// Where a log begins: what stands before that is not needed, and may be gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Beginning {
    /// The number of the file.
    pub(super) file: u64,
    /// The number of its header.
    pub(super) sequence: u64,
    /// The entry before the first that is needed.
    pub(super) base: Position,
}

/// What becomes of a file's first record.
pub(super) enum First {
    Header(Header, Record),
    /// A header of this other format.
    Format(u32),
    /// No header, or one of another file.
    Nothing,
}

impl Seal {
    /// For the records of a file, all but the header.
    pub(super) fn new(identity: &Identity, file: FileId) -> Self {
        let mut sum = Hasher::new();
        sum.update(identity.cluster.as_bytes());
        sum.update(&identity.server.0.to_le_bytes());
        let (kind, number) = match file {
            FileId::Log(number) => (0, number),
            FileId::Pack(number) => (1, number),
        };
        sum.update(&[kind]);
        sum.update(&number.to_le_bytes());
        Self(sum.finalize())
    }

    /// For headers.
    const HEADER: Self = Self(0);

    fn sum(self, at: u64, bytes: &[u8]) -> u32 {
        let mut sum = Hasher::new_with_initial(self.0);
        sum.update(&at.to_le_bytes());
        sum.update(bytes);
        sum.finalize()
    }
}

impl Kind {
    fn of(number: u32) -> Option<Self> {
        use Kind::{Chunk, Entries, Header, Mark, Snapshot, SnapshotOnLog, Vote};
        [Header, Vote, Entries, Mark, Snapshot, Chunk, SnapshotOnLog]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }

    /// Whether it says something that a server wrote.
    pub(in crate::storage) fn is_data(self) -> bool {
        matches!(self, Self::Vote | Self::Entries | Self::Snapshot | Self::SnapshotOnLog)
    }
}

/// The size of a record whose payload has this length.
pub(super) fn size(length: usize) -> usize {
    (HEAD + length).next_multiple_of(ALIGNMENT)
}

/// Adds a record to the end of `out`; it will stand at `at` in its file.
pub(super) fn write(
    out: &mut Vec<u8>,
    seal: Seal,
    at: u64,
    (kind, sequence, synced): (Kind, u64, u64),
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.resize(start + HEAD, 0);
    payload(out);
    let length = out.len() - start - HEAD;
    out.resize(start + size(length), 0);
    let lag = (sequence - synced) as u32;
    let record = &mut out[start..];
    record[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    record[8..16].copy_from_slice(&sequence.to_le_bytes());
    record[16..20].copy_from_slice(&lag.to_le_bytes());
    record[20..24].copy_from_slice(&(kind as u32).to_le_bytes());
    let seal = if kind == Kind::Header { Seal::HEADER } else { seal };
    let sum = seal.sum(at, &record[4..]);
    record[..4].copy_from_slice(&sum.to_le_bytes());
}

impl Header {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend(FORMAT.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.identity.cluster.as_bytes());
        out.extend(self.identity.server.0.to_le_bytes());
        out.extend(self.file.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.beginning.file.to_le_bytes());
        out.extend(self.beginning.sequence.to_le_bytes());
        out.extend(self.beginning.base.term.0.to_le_bytes());
        out.extend(self.beginning.base.index.0.to_le_bytes());
    }

    /// The header of the segment with this number. Magic and format stand at the same place in
    /// every format.
    pub(super) fn of(file: u64, bytes: &[u8]) -> First {
        let first = Record::read(bytes, 0, Seal::HEADER).filter(|it| it.kind == Kind::Header);
        let Some(record) = first else { return First::Nothing };
        let mut payload = Fields(record.payload(bytes));
        match (payload.take(), payload.take().map(u32::from_le_bytes)) {
            (Some(MAGIC), Some(FORMAT)) => {}
            (Some(MAGIC), Some(format)) => return First::Format(format),
            _ => return First::Nothing,
        }
        match Self::decode(payload).filter(|header| header.file == file) {
            Some(header) => First::Header(header, record),
            None => First::Nothing,
        }
    }

    fn decode(mut payload: Fields<'_>) -> Option<Self> {
        payload.take::<4>()?;
        let cluster = uuid::Uuid::from_bytes(payload.take()?);
        let server = ServerId(payload.number()?);
        Some(Self {
            identity: Identity { cluster, server },
            file: payload.number()?,
            bytes: payload.number()?,
            beginning: Beginning {
                file: payload.number()?,
                sequence: payload.number()?,
                base: Position::new(Term(payload.number()?), Index(payload.number()?)),
            },
        })
    }
}

impl Record {
    /// The record at `at`, if one stands there.
    pub(super) fn read(file: &[u8], at: usize, seal: Seal) -> Option<Self> {
        let mut head = Fields(file.get(at..)?);
        let sum = u32::from_le_bytes(head.take()?);
        let length = u32::from_le_bytes(head.take()?) as usize;
        let sequence = head.number()?;
        let lag = u64::from(u32::from_le_bytes(head.take()?));
        let kind = Kind::of(u32::from_le_bytes(head.take()?))?;
        let end = at.checked_add(size(length))?;
        let body = file.get(at + 4..end)?;
        let synced = sequence.checked_sub(lag).filter(|_| lag > 0)?;
        let right = seal.sum(at as u64, body) == sum || on(Bug::ChecksNoSums);
        right.then_some(Self { kind, sequence, synced, at, end, length })
    }

    /// Every record of `file` from `at` on, wherever it may begin.
    pub(super) fn search(
        file: &[u8],
        at: usize,
        seal: Seal,
    ) -> impl Iterator<Item = Self> + use<'_> {
        let at = at.next_multiple_of(ALIGNMENT);
        (at..file.len()).step_by(ALIGNMENT).filter_map(move |at| Self::read(file, at, seal))
    }

    pub(super) fn payload<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        &file[self.at + HEAD..self.at + HEAD + self.length]
    }
}

/// A payload that is read from the front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
