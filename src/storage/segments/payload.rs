//! What the records of the log and of the packs carry, byte by byte; all numbers are
//! little-endian.
//!
//! | kind | payload |
//! |---|---|
//! | vote | term (8), server or 0 (8), whether recovering (8) |
//! | entries | index of the first (8), how many (4), zeros (4), each |
//! | an entry | term (8), length (4), kind (4), bytes |
//! | snapshot | a vote, whether the log stays (4), length (4), what it covers, its chunks (32 each) |
//! | snapshot on the log | how many of its chunks stand in the log (8), each, then as a snapshot |
//! | a chunk in the log | which one of its chunks (8), number of the segment (8), where (8), length (8) |
//! | chunk | its name (32), its bytes |
//!
//! Configurations, and what a snapshot covers, are in the wire format of postcard.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::record::{Fields, HEAD, Kind, Record};
use crate::raft::{ChunkId, Entries, Entry, Index, Payload, ServerId, SnapshotMeta, Term};
use crate::storage::Snapshot;

pub(super) const VOTE_LENGTH: usize = 24;
/// Index of the first, how many, four zeros.
const ENTRIES_HEAD: usize = 16;
/// Term, length, kind.
const ENTRY_HEAD: usize = 16;
const NO_OP: u32 = 0;
const COMMAND: u32 = 1;
const CONFIGURATION: u32 = 2;
pub(super) const CHUNK_NAME: usize = 32;

/// What a vote says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Vote {
    pub(super) term: Term,
    pub(super) voted_for: Option<ServerId>,
    pub(super) recovering: bool,
}

impl Vote {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.extend(self.term.0.to_le_bytes());
        out.extend(self.voted_for.map_or(0, |server| server.0).to_le_bytes());
        out.extend(u64::from(self.recovering).to_le_bytes());
    }

    /// The vote of a record.
    pub(super) fn of(record: &Record, file: &[u8]) -> Option<Self> {
        let mut payload = Fields(record.payload(file));
        Self::decode(&mut payload).filter(|_| payload.0.is_empty())
    }

    fn decode(payload: &mut Fields<'_>) -> Option<Self> {
        let (term, server) = (Term(payload.number()?), payload.number()?);
        let recovering = payload.number()? != 0;
        Some(Self { term, voted_for: (server != 0).then_some(ServerId(server)), recovering })
    }
}

/// What a snapshot's record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Saved {
    pub(super) vote: Vote,
    pub(super) keep_log: bool,
    pub(super) snapshot: Snapshot,
    /// The chunks that stand in the log and not in a pack.
    pub(super) in_log: Vec<InLog>,
}

/// Where a chunk of a snapshot stands in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InLog {
    /// Which one of the snapshot's chunks, counted from 0.
    pub(super) chunk: u64,
    /// The number of the segment.
    pub(super) segment: u64,
    pub(super) at: u64,
    pub(super) length: u64,
}

impl Saved {
    /// Which kind of a record it is.
    pub(super) fn kind(&self) -> Kind {
        if self.in_log.is_empty() { Kind::Snapshot } else { Kind::SnapshotOnLog }
    }

    /// Its bytes: unlike those of other payloads, their number is not known beforehand.
    pub(super) fn encode(&self) -> Vec<u8> {
        let meta = postcard(&self.snapshot.meta);
        let chunks = self.snapshot.chunks.len() * CHUNK_NAME + self.in_log.len() * 32;
        let mut out = Vec::with_capacity(VOTE_LENGTH + 16 + meta.len() + chunks);
        if !self.in_log.is_empty() {
            out.extend((self.in_log.len() as u64).to_le_bytes());
            for InLog { chunk, segment, at, length } in &self.in_log {
                out.extend(
                    [chunk, segment, at, length].into_iter().flat_map(|it| it.to_le_bytes()),
                );
            }
        }
        self.vote.encode(&mut out);
        out.extend(u32::from(self.keep_log).to_le_bytes());
        out.extend((meta.len() as u32).to_le_bytes());
        out.extend(meta);
        for chunk in &*self.snapshot.chunks {
            out.extend(chunk.0);
        }
        out
    }

    /// The snapshot of a record.
    pub(super) fn of(record: &Record, file: &[u8]) -> Option<Self> {
        let mut payload = Fields(record.payload(file));
        let mut in_log = Vec::new();
        if record.kind == Kind::SnapshotOnLog {
            for _ in 0..payload.number()? {
                let [chunk, segment] = [payload.number()?, payload.number()?];
                let [at, length] = [payload.number()?, payload.number()?];
                in_log.push(InLog { chunk, segment, at, length });
            }
        }
        let vote = Vote::decode(&mut payload)?;
        let keep_log = u32::from_le_bytes(payload.take()?) != 0;
        let length = u32::from_le_bytes(payload.take()?) as usize;
        let (meta, chunks) = payload.0.split_at_checked(length)?;
        let meta: SnapshotMeta = postcard::from_bytes(meta).ok()?;
        let (chunks, rest) = chunks.as_chunks();
        let chunks: Arc<[ChunkId]> = chunks.iter().map(|name| ChunkId(*name)).collect();
        let sound = rest.is_empty() && in_log.iter().all(|it| it.chunk < chunks.len() as u64);
        sound.then_some(Self { vote, keep_log, snapshot: Snapshot { meta, chunks }, in_log })
    }
}

/// The entries of a record, and where the first of them stands. They share the memory of `file`.
pub(super) fn entries_of(record: &Record, file: &Bytes) -> Option<(Index, Entries)> {
    let mut payload = Fields(record.payload(file));
    let first = Index(payload.number()?);
    let count = u32::from_le_bytes(payload.take()?) as usize;
    payload.take::<4>()?;
    let mut entries = Vec::with_capacity(count.min(payload.0.len() / ENTRY_HEAD));
    for _ in 0..count {
        let term = Term(payload.number()?);
        let length = u32::from_le_bytes(payload.take()?) as usize;
        let kind = u32::from_le_bytes(payload.take()?);
        let (bytes, rest) = payload.0.split_at_checked(length)?;
        payload.0 = rest;
        let payload = match (kind, length) {
            (NO_OP, 0) => Payload::NoOp,
            (COMMAND, _) => Payload::Command(file.slice_ref(bytes)),
            (CONFIGURATION, _) => {
                Payload::Configuration(Arc::new(postcard::from_bytes(bytes).ok()?))
            }
            _ => return None,
        };
        entries.push(Entry { term, payload });
    }
    payload.0.is_empty().then(|| (first, entries.into()))
}

/// The length of what [`write_entries`] writes.
pub(super) fn entries_length(entries: &Entries) -> usize {
    let length = |entry: &Entry| ENTRY_HEAD + bytes_of(entry).1.len();
    ENTRIES_HEAD + entries.iter().map(length).sum::<usize>()
}

/// Where the payload of each entry stands behind the beginning of its record.
pub(super) fn places_of(entries: &Entries) -> impl Iterator<Item = usize> {
    entries.iter().scan(HEAD + ENTRIES_HEAD, |at, entry| {
        let place = *at + ENTRY_HEAD;
        *at = place + bytes_of(entry).1.len();
        Some(place)
    })
}

/// Writes the payload of entries.
pub(super) fn write_entries(out: &mut Vec<u8>, first: Index, entries: &Entries) {
    out.extend(first.0.to_le_bytes());
    out.extend((entries.len() as u32).to_le_bytes());
    out.extend([0; 4]);
    for entry in entries.iter() {
        let (kind, bytes) = bytes_of(entry);
        out.extend(entry.term.0.to_le_bytes());
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

fn bytes_of(entry: &Entry) -> (u32, Cow<'_, [u8]>) {
    match &entry.payload {
        Payload::NoOp => (NO_OP, Cow::default()),
        Payload::Command(bytes) => (COMMAND, Cow::Borrowed(bytes)),
        // Rare and short.
        Payload::Configuration(members) => (CONFIGURATION, Cow::Owned(postcard(&**members))),
    }
}

fn postcard(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("invariant: numbers and lists can be written to memory")
}

/// Writes the payload of a chunk.
pub(super) fn write_chunk(out: &mut Vec<u8>, id: ChunkId, bytes: &[u8]) {
    out.extend(id.0);
    out.extend_from_slice(bytes);
}

/// The name of the chunk of a record.
pub(super) fn chunk_of(record: &Record, pack: &[u8]) -> Option<ChunkId> {
    Fields(record.payload(pack)).take().map(ChunkId)
}
