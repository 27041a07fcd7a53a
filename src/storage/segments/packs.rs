//! The chunks of snapshots, in packs: files of records like the log's, each of one chunk.
//!
//! A pack is filled from the front, in batches of at most [`BATCH_BYTES`] of chunks that go along
//! with whatever the log has to write; so nothing of the log ever waits for more than that. Packs
//! need no sync marks: whether a chunk is needed is said by the snapshots that name it. One that
//! is named and cannot be found is lost; anything else that cannot be read was torn.
//!
//! **What stands in the log is not written again.** Content of files comes in the log, and a chunk
//! that is a slice of one of its payloads stays where it is: the record of each snapshot says where
//! its chunks are that stand in the log. A segment that the log does not need any more is kept like
//! a pack as long as it holds such chunks.
//!
//! A pack goes when none of its chunks is kept. When the packs that are done with hold more bytes
//! of other things than of chunks that are kept, what is left of the worst one is written again
//! elsewhere, and when that is durable the old pack goes; then the next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::payload::{CHUNK_NAME, InLog, chunk_of, write_chunk};
use super::payloads::Stand;
use super::record::{self, HEAD, Kind, Record, Seal};
use super::recovery::recover;
use super::{Identity, Options};
use crate::raft::ChunkId;
use crate::storage::disk::{Change, DiskError, DiskFiles};
use crate::storage::{ChunkWrite, FileId, Snapshot, StorageError};

/// Most bytes of chunks in a batch, if there is more than one.
const BATCH_BYTES: u64 = 1 << 20;

/// The chunks that are kept.
pub(super) struct Packs {
    identity: Identity,
    pack_bytes: u64,
    /// The packs, and the segments in which chunks stand.
    packs: BTreeMap<FileId, Pack>,
    /// The chunks that are on the disk.
    places: BTreeMap<ChunkId, Place>,
    /// The chunks that are not, with their age; and those that are on their way to another pack.
    waiting: BTreeMap<ChunkId, (Bytes, u64)>,
    /// The order in which they are written.
    queue: VecDeque<(ChunkId, ChunkWrite)>,
    waiting_bytes: u64,
    /// The chunks that stand in the log, with the record they are in, until that is durable.
    standing: BTreeMap<ChunkId, (Bytes, u64)>,
    /// What the batch under way brings.
    under_way: Vec<(ChunkId, Place)>,
    under_way_to: ChunkWrite,
    /// The pack that is written to.
    open: Option<FileId>,
    next_pack: u64,
    put: ChunkWrite,
    pub(super) durable: ChunkWrite,
    /// Chunks were dropped or moved since [`tidy`](Self::tidy) looked.
    untidy: bool,
    /// Where something stands that is no chunk, and was one perhaps.
    unreadable: Option<(FileId, u64)>,
}

/// Where a chunk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    pack: FileId,
    /// Its first byte.
    at: u64,
    /// The bytes of the chunk.
    length: usize,
    age: u64,
}

struct Pack {
    /// The size of the file.
    bytes: u64,
    /// Where the next record goes.
    used: u64,
    /// The bytes of records whose chunks are kept.
    live: u64,
    /// The log needs it, too.
    in_log: bool,
}

impl Place {
    fn record_bytes(&self) -> u64 {
        record_bytes(self.length)
    }
}

impl Pack {
    /// A segment of the log.
    fn of_log() -> Self {
        Self { bytes: 0, used: 0, live: 0, in_log: true }
    }
}

fn record_bytes(chunk: usize) -> u64 {
    record::size(CHUNK_NAME + chunk) as u64
}

impl Packs {
    /// Reads the packs of a disk. Of the chunks that `snapshot` does not name, as many are kept as
    /// fit into `spare_bytes`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn scan(
        disk: &impl DiskFiles,
        identity: &Identity,
        options: &Options,
        snapshot: &Snapshot,
    ) -> Result<Self, StorageError> {
        let mut packs = Self {
            identity: *identity,
            pack_bytes: options.pack_bytes,
            packs: BTreeMap::new(),
            places: BTreeMap::new(),
            waiting: BTreeMap::new(),
            queue: VecDeque::new(),
            waiting_bytes: 0,
            standing: BTreeMap::new(),
            under_way: Vec::new(),
            under_way_to: ChunkWrite(0),
            open: None,
            next_pack: 1,
            put: ChunkWrite(0),
            durable: ChunkWrite(0),
            untidy: true,
            unreadable: None,
        };
        let named: BTreeSet<_> = snapshot.chunks.iter().copied().collect();
        let mut spare = options.spare_bytes;
        for file in disk.files()? {
            let FileId::Pack(number) = file else { continue };
            let bytes = disk.read(file)?;
            let found = read_pack(identity, file, &bytes);
            packs.unreadable = packs.unreadable.or(found.unreadable.map(|at| (file, at)));
            let bytes = bytes.len() as u64;
            let pack = Pack { bytes, used: found.end, live: 0, in_log: false };
            packs.packs.insert(file, pack);
            packs.next_pack = number + 1;
            for (id, record) in found.chunks {
                let (at, length) = (record.at + HEAD + CHUNK_NAME, record.length - CHUNK_NAME);
                let place = Place { pack: file, at: at as u64, length, age: 0 };
                if !named.contains(&id) {
                    let Some(rest) = spare.checked_sub(place.record_bytes()) else { continue };
                    spare = rest;
                }
                packs.land(id, place);
            }
        }
        Ok(packs)
    }

    /// Finds the chunks of the snapshot that stand in the log, which begins with segment
    /// `beginning`. Those are not here that have been written again and whose segment has gone, or
    /// is shorter than it was. They are not read: how much there is decides nothing about how long a
    /// server takes to start. What was not read is [checked](Self::check) whenever it is.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub(super) fn find_in_log(
        &mut self,
        disk: &impl DiskFiles,
        snapshot: &Snapshot,
        in_log: &[InLog],
        beginning: u64,
    ) -> Result<(), DiskError> {
        let mut by_segment = BTreeMap::<_, Vec<_>>::new();
        for chunk in in_log {
            by_segment.entry(FileId::Log(chunk.segment)).or_default().push(chunk);
        }
        let there: BTreeSet<_> = disk.files()?.into_iter().collect();
        by_segment.retain(|file, _| there.contains(file));
        for (file, chunks) in by_segment {
            let bytes = disk.size(file)?;
            let in_log = file >= FileId::Log(beginning);
            // What the log needs counts as the log's.
            let room = if in_log { 0 } else { bytes };
            self.packs.insert(file, Pack { bytes: room, used: room, live: 0, in_log });
            for InLog { chunk, at, length, .. } in chunks {
                let id = snapshot.chunks[*chunk as usize];
                if self.places.contains_key(&id) {
                    continue;
                }
                if at.checked_add(*length).is_some_and(|end| end <= bytes) {
                    let length = *length as usize;
                    self.land(id, Place { pack: file, at: *at, length, age: 0 });
                } else {
                    self.unreadable.get_or_insert((file, *at));
                }
            }
        }
        Ok(())
    }

    /// # Errors
    /// If a chunk of the snapshot is not there.
    pub(super) fn check_all(&self, snapshot: &Snapshot) -> Result<(), StorageError> {
        let lost = snapshot.chunks.iter().find(|id| !self.places.contains_key(id));
        lost.map_or(Ok(()), |chunk| Err(self.lost(*chunk)))
    }

    /// The segments that are here for their chunks alone.
    pub(super) fn kept_segments(&self) -> impl Iterator<Item = u64> {
        let kept = self.packs.iter().filter(|(_, pack)| pack.live > 0 && !pack.in_log);
        kept.filter_map(|(file, _)| match file {
            FileId::Log(number) => Some(*number),
            FileId::Pack(_) => None,
        })
    }

    pub(super) fn has(&self, id: &ChunkId) -> bool {
        self.waiting.contains_key(id) || self.places.contains_key(id)
    }

    /// The number of the last chunk that was put.
    pub(super) fn put_up_to(&self) -> ChunkWrite {
        self.put
    }

    /// The bytes of the packs.
    pub(super) fn bytes(&self) -> u64 {
        self.packs.values().map(|pack| pack.bytes).sum()
    }

    /// The bytes of chunks that wait for the disk.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Whether a batch would bring something.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The bytes of a chunk, if they are kept and hash to its name.
    pub(super) fn read(&self, disk: &impl DiskFiles, id: &ChunkId) -> Option<Bytes> {
        if let Some((bytes, _)) = self.waiting.get(id) {
            return Some(bytes.clone());
        }
        if let Some((bytes, _)) = self.standing.get(id) {
            return Some(bytes.clone());
        }
        let place = self.places.get(id)?;
        let bytes = disk.read_part(place.pack, place.at, place.length).ok()?;
        (blake3::hash(&bytes).as_bytes() == &id.0).then_some(bytes)
    }

    /// # Errors
    /// If the bytes of a chunk are not what its name says.
    pub(super) fn check(&self, disk: &impl DiskFiles, id: ChunkId) -> Result<(), StorageError> {
        self.read(disk, &id).map(drop).ok_or_else(|| self.lost(id))
    }

    /// That a chunk cannot be read, and where it was.
    pub(super) fn lost(&self, chunk: ChunkId) -> StorageError {
        let place = self.places.get(&chunk).map(|place| (place.pack, place.at));
        StorageError::ChunkLost { chunk, unreadable: place.or(self.unreadable) }
    }

    /// Keeps a chunk, where it stands in the log if it does. The record of the next snapshot comes
    /// behind that, so that this is durable when that is.
    pub(super) fn put(
        &mut self,
        id: ChunkId,
        bytes: Bytes,
        age: u64,
        stand: Option<Stand>,
    ) -> ChunkWrite {
        if let Some(place) = self.places.get_mut(&id) {
            place.age = age;
        }
        if let Some((_, waits)) = self.waiting.get_mut(&id) {
            *waits = age;
        }
        if self.has(&id) {
            return self.put;
        }
        if let Some(Stand { segment, at, sequence }) = stand {
            let (pack, length) = (FileId::Log(segment), bytes.len());
            self.packs.entry(pack).or_insert_with(Pack::of_log);
            self.standing.insert(id, (bytes, sequence));
            self.land(id, Place { pack, at, length, age });
        } else {
            self.put = ChunkWrite(self.put.0 + 1);
            self.enqueue(id, bytes, age);
        }
        self.put
    }

    /// Of a snapshot's chunks, those that stand in the log.
    pub(super) fn in_log(&self, snapshot: &Snapshot) -> Vec<InLog> {
        let chunks = (0..).zip(&*snapshot.chunks);
        let placed = chunks.filter_map(|(chunk, id)| Some((chunk, self.places.get(id)?)));
        let in_log = placed.filter_map(|(chunk, place)| match place.pack {
            FileId::Log(segment) => {
                Some(InLog { chunk, segment, at: place.at, length: place.length as u64 })
            }
            FileId::Pack(_) => None,
        });
        in_log.collect()
    }

    /// The log is durable up to this record.
    pub(super) fn log_synced(&mut self, sequence: u64) {
        if !self.standing.is_empty() {
            self.standing.retain(|_, (_, record)| *record > sequence);
        }
    }

    /// Whether no chunk is in memory because its record is not durable yet.
    #[cfg(test)]
    pub(super) fn is_on_disk(&self) -> bool {
        self.standing.is_empty()
    }

    /// The log does not need this segment any more. Returns whether it is kept for its chunks.
    pub(super) fn take_over(&mut self, segment: u64, bytes: u64) -> bool {
        let file = FileId::Log(segment);
        let Some(pack) = self.packs.get_mut(&file) else { return false };
        (pack.bytes, pack.used, pack.in_log) = (bytes, bytes, false);
        self.untidy = true;
        let kept = pack.live > 0;
        if !kept {
            self.packs.remove(&file);
        }
        kept
    }

    fn enqueue(&mut self, id: ChunkId, bytes: Bytes, age: u64) {
        self.waiting_bytes += bytes.len() as u64;
        self.waiting.insert(id, (bytes, age));
        self.queue.push_back((id, self.put));
    }

    /// Adds what waits to a batch, and returns how many bytes that is. Nothing while an earlier
    /// lot is not on the disk: it is tried again.
    pub(super) fn fill(&mut self, batch: &mut Vec<Change>) -> u64 {
        let mut bytes = 0;
        while self.under_way.is_empty() || bytes > 0 {
            let Some((id, write)) = self.queue.front().copied() else { break };
            let Some((chunk, age)) = self.waiting.get(&id).cloned() else { break };
            let size = record_bytes(chunk.len());
            if bytes > 0 && bytes + size > BATCH_BYTES {
                break;
            }
            self.queue.pop_front();
            let (file, at) = self.room_for(size, batch);
            let first = at + (HEAD + CHUNK_NAME) as u64;
            let place = Place { pack: file, at: first, length: chunk.len(), age };
            self.under_way.push((id, place));
            self.under_way_to = write;
            let seal = Seal::new(&self.identity, file);
            let payload = |out: &mut Vec<u8>| write_chunk(out, id, &chunk);
            match batch.last_mut() {
                Some(Change::Write { file: last, bytes, .. }) if *last == file => {
                    record::write(bytes, seal, at, (Kind::Chunk, 1, 0), payload);
                }
                _ => {
                    let mut bytes = Vec::with_capacity(size as usize);
                    record::write(&mut bytes, seal, at, (Kind::Chunk, 1, 0), payload);
                    batch.push(Change::Write { file, at, bytes });
                }
            }
            bytes += size;
        }
        bytes
    }

    /// A place for a record of this size, in a new pack if it does not fit into the open one.
    fn room_for(&mut self, size: u64, batch: &mut Vec<Change>) -> (FileId, u64) {
        if let Some(file) = self.open
            && let Some(pack) = self.packs.get_mut(&file)
            && pack.used + size <= pack.bytes
        {
            pack.used += size;
            return (file, pack.used - size);
        }
        let (file, bytes) = (FileId::Pack(self.next_pack), self.pack_bytes.max(size));
        batch.push(Change::Create { file, bytes });
        self.packs.insert(file, Pack { bytes, used: size, live: 0, in_log: false });
        self.open = Some(file);
        self.next_pack += 1;
        (file, 0)
    }

    /// A pack that is still to be made will have this size.
    pub(super) fn shorten(&mut self, file: FileId, bytes: u64) {
        if let Some(pack) = self.packs.get_mut(&file) {
            pack.bytes = bytes;
        }
    }

    /// The batch under way is durable.
    pub(super) fn landed(&mut self) {
        for (id, place) in std::mem::take(&mut self.under_way) {
            let Some((bytes, age)) = self.waiting.remove(&id) else { continue };
            self.waiting_bytes -= bytes.len() as u64;
            self.land(id, Place { age, ..place });
        }
        self.durable = self.durable.max(self.under_way_to);
    }

    fn land(&mut self, id: ChunkId, place: Place) {
        if let Some(pack) = self.packs.get_mut(&place.pack) {
            pack.live += place.record_bytes();
        }
        if let Some(before) = self.places.insert(id, place) {
            self.dropped(before);
        }
    }

    fn dropped(&mut self, place: Place) {
        self.untidy = true;
        if let Some(pack) = self.packs.get_mut(&place.pack) {
            pack.live -= place.record_bytes();
        }
    }

    /// Drops the chunks of a lower age than this that are not named.
    pub(super) fn drop_unnamed(&mut self, age: u64, named: &BTreeSet<ChunkId>) {
        let mut dropped = Vec::new();
        self.places.retain(|id, place| {
            let keep = place.age >= age || named.contains(id);
            if !keep {
                dropped.push(*place);
            }
            keep
        });
        for place in dropped {
            self.dropped(place);
        }
    }

    /// The files of which nothing is kept, each once. When more is dead than alive, some of it is
    /// written again.
    ///
    /// # Errors
    /// If that is damaged.
    pub(super) fn tidy(&mut self, disk: &impl DiskFiles) -> Result<Vec<FileId>, StorageError> {
        if !self.under_way.is_empty() || !std::mem::take(&mut self.untidy) {
            return Ok(Vec::new());
        }
        let dead = self.packs.iter().filter(|(_, pack)| pack.live == 0 && !pack.in_log);
        let dead: Vec<_> = dead.map(|(file, _)| *file).collect();
        self.packs.retain(|_, pack| pack.live > 0 || pack.in_log);
        self.open.take_if(|open| dead.contains(open));
        if self.waiting.is_empty() {
            self.rewrite_worst(disk)?;
        } else {
            // Later.
            self.untidy = true;
        }
        Ok(dead)
    }

    /// Has the chunks of the worst pack written again, if more is dead than alive: that is no more
    /// than one pack holds.
    fn rewrite_worst(&mut self, disk: &impl DiskFiles) -> Result<(), StorageError> {
        let is_closed = |file: &FileId, pack: &Pack| Some(*file) != self.open && !pack.in_log;
        let closed = || self.packs.iter().filter(|(file, pack)| is_closed(file, pack));
        let (mut dead, mut live) = (0, 0);
        for (_, pack) in closed() {
            (dead, live) = (dead + pack.used - pack.live, live + pack.live);
        }
        let worst = closed().max_by_key(|(_, pack)| pack.used - pack.live);
        let (true, Some((&file, _))) = (dead > live, worst) else { return Ok(()) };
        let in_worst = self.places.iter().filter(|(_, place)| place.pack == file);
        let moving: Vec<_> = in_worst.map(|(id, place)| (*id, *place)).collect();
        for (chunk, place) in moving {
            let bytes = self.read(disk, &chunk).ok_or_else(|| self.lost(chunk))?;
            self.enqueue(chunk, bytes, place.age);
        }
        Ok(())
    }
}

/// What stands in a pack.
struct PackContents {
    chunks: Vec<(ChunkId, Record)>,
    /// Behind the last.
    end: u64,
    /// The first place where something stands that is no chunk.
    unreadable: Option<u64>,
}

fn read_pack(identity: &Identity, file: FileId, bytes: &[u8]) -> PackContents {
    let seal = Seal::new(identity, file);
    let mut contents = PackContents { chunks: Vec::new(), end: 0, unreadable: None };
    let mut at = 0;
    loop {
        let next = Record::read(bytes, at, seal);
        let next = next.or_else(|| {
            // Most packs end in zeros.
            let rest = &bytes[at..];
            let place = at + rest.iter().position(|byte| *byte != 0)?;
            contents.unreadable.get_or_insert(at as u64);
            Record::search(bytes, place / 8 * 8, seal).next()
        });
        let Some(record) = next else { return contents };
        if let Some(id) = chunk_of(&record, bytes).filter(|_| record.kind == Kind::Chunk) {
            contents.chunks.push((id, record));
        }
        (at, contents.end) = (record.end, record.end as u64);
    }
}

/// The records of the chunks that the snapshot of a disk names, of those that are there once.
///
/// # Errors
/// If the disk is damaged already.
pub(in crate::storage) fn named_once(
    disk: &impl DiskFiles,
    identity: &Identity,
) -> Result<Vec<(FileId, Record)>, StorageError> {
    let snapshot = recover(disk, identity)?.snapshot;
    let mut records = BTreeMap::<ChunkId, Vec<(FileId, Record)>>::new();
    for file in disk.files()? {
        if matches!(file, FileId::Pack(_)) {
            for (id, record) in read_pack(identity, file, &disk.read(file)?).chunks {
                records.entry(id).or_default().push((file, record));
            }
        }
    }
    records.retain(|id, copies| copies.len() == 1 && snapshot.chunks.contains(id));
    Ok(records.into_values().flatten().collect())
}
