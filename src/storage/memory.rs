//! A disk in memory, with the crash rules of a real one: a sync takes a while, may stall, covers
//! what was written before it began, and what no sync covered is undone by a crash.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::log::{Front, MemoryLog};
use super::sandbox::Sizes;
use super::snapshots::Snapshots;
use super::{
    ChunkReader, ChunkWrite, DiskSpeed, Durable, Recovered, Snapshot, Storage, StorageError,
    WriteId,
};
use crate::museum::{Bug, on};
use crate::raft::{ChunkId, Entries, Index, Persistent, Position, ServerId, Term, Time};

/// A server's disk. Clones are handles to the same disk: the supervisor keeps one while servers
/// that use it come and go.
#[derive(Clone)]
pub struct MemoryDisk(Rc<RefCell<Disk>>);

struct Disk {
    state: State,
    snapshots: Snapshots,
    log: MemoryLog,
    chunks: BTreeMap<ChunkId, Chunk>,
    /// `current_term` when the log was changed last.
    appended_in: Term,
    written: WriteId,
    put: ChunkWrite,
    durable: Durable,
    /// How to take back each write that is not durable, oldest first.
    undo: VecDeque<Undo>,
    /// The sync under way: what it covers and when it began.
    syncing: Option<(Durable, Time)>,
    wanted: bool,
    speed: DiskSpeed,
}

#[derive(Clone, Copy)]
struct State {
    term: Term,
    voted_for: Option<ServerId>,
    recovering: bool,
}

struct Chunk {
    bytes: Bytes,
    write: ChunkWrite,
    /// How many snapshots had been saved when it was put last.
    age: u64,
}

enum Undo {
    State(State),
    Append {
        first: Index,
        removed: Entries,
    },
    Compact(Front),
    /// The log that a snapshot replaced, if it did.
    Snapshot(Option<MemoryLog>),
}

impl MemoryDisk {
    /// The disk of a new server: of a founding member, or of one that is to join.
    pub fn new(founding: &Persistent) -> Self {
        let Persistent { current_term: term, voted_for, recovering, .. } = *founding;
        let snapshot = Snapshot { meta: founding.snapshot.clone(), ..Snapshot::default() };
        Self(Rc::new(RefCell::new(Disk {
            state: State { term, voted_for, recovering },
            log: MemoryLog::behind(snapshot.meta.last_included),
            snapshots: Snapshots::new(snapshot),
            chunks: BTreeMap::new(),
            appended_in: Term(0),
            written: WriteId(0),
            put: ChunkWrite(0),
            durable: Durable::default(),
            undo: VecDeque::new(),
            syncing: None,
            wanted: false,
            speed: DiskSpeed::default(),
        })))
    }

    /// Changes how long syncs take, the one under way included.
    pub fn set_speed(&self, speed: DiskSpeed) {
        self.0.borrow_mut().speed = speed;
    }

    /// How long syncs take.
    pub fn speed(&self) -> DiskSpeed {
        self.0.borrow().speed
    }

    /// The term, the vote and the last entry, as written.
    pub fn summary(&self) -> (Term, Option<ServerId>, Position) {
        let disk = self.0.borrow();
        (disk.state.term, disk.state.voted_for, disk.log.last)
    }

    /// How much there is of the log and of the snapshots.
    pub(super) fn sizes(&self) -> Sizes {
        let disk = self.0.borrow();
        Sizes {
            log_bytes: disk.log.bytes(),
            snapshot: disk.snapshots.latest().meta.last_included,
            chunk_bytes: disk.chunks.values().map(|chunk| chunk.bytes.len() as u64).sum(),
        }
    }

    /// Loses everything that no finished sync covered.
    pub fn crash(&self) {
        let disk = &mut *self.0.borrow_mut();
        while let Some(undo) = disk.undo.pop_back() {
            match undo {
                Undo::State(state) => disk.state = state,
                Undo::Append { first, removed } => {
                    disk.log.truncate(first);
                    disk.log.append(first, removed);
                }
                Undo::Compact(front) => disk.log.restore(front),
                Undo::Snapshot(Some(log)) => disk.log = log,
                Undo::Snapshot(None) => {}
            }
        }
        let Durable { write, term, chunks, .. } = disk.durable;
        disk.snapshots.crash(write);
        disk.chunks.retain(|_, chunk| chunk.write <= chunks);
        (disk.written, disk.appended_in, disk.put) = (write, term, chunks);
        (disk.syncing, disk.wanted) = (None, false);
    }

    /// Syncs everything at once, as a server that ends in good order does.
    pub fn flush(&self) {
        self.0.borrow_mut().finish_all();
    }
}

impl Storage for MemoryDisk {
    fn load(&self) -> Recovered {
        let disk = self.0.borrow();
        let State { term, voted_for, recovering } = disk.state;
        let persistent = Persistent {
            current_term: term,
            voted_for,
            snapshot: disk.snapshots.latest().meta.clone(),
            base: disk.log.base,
            log: disk.log.metas().collect(),
            recovering: recovering && !on(Bug::ForgetsRecovering),
        };
        Recovered { persistent, torn: None }
    }

    fn save_vote(&mut self, term: Term, voted_for: Option<ServerId>) -> WriteId {
        let disk = &mut *self.0.borrow_mut();
        disk.save_state(State { term, voted_for, ..disk.state })
    }

    fn save_recovered(&mut self) -> WriteId {
        let disk = &mut *self.0.borrow_mut();
        disk.save_state(State { recovering: false, ..disk.state })
    }

    fn append(&mut self, first: Index, entries: Entries) -> WriteId {
        let disk = &mut *self.0.borrow_mut();
        let removed = disk.log.truncate(first);
        disk.log.append(first, entries);
        disk.appended_in = disk.state.term;
        disk.wrote(Undo::Append { first, removed })
    }

    fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        self.0.borrow().log.read(after, last, max_bytes)
    }

    fn put_chunk(&mut self, id: ChunkId, bytes: Bytes) -> ChunkWrite {
        let disk = &mut *self.0.borrow_mut();
        let age = disk.snapshots.saved();
        if let Some(chunk) = disk.chunks.get_mut(&id) {
            chunk.age = age;
        } else {
            disk.put = ChunkWrite(disk.put.0 + 1);
            disk.chunks.insert(id, Chunk { bytes, write: disk.put, age });
        }
        disk.put
    }

    fn has_chunk(&self, id: &ChunkId) -> bool {
        self.0.borrow().chunks.contains_key(id)
    }

    fn chunk(&self, id: &ChunkId) -> Option<Bytes> {
        self.0.borrow().chunks.get(id).map(|chunk| chunk.bytes.clone())
    }

    fn save_snapshot(&mut self, snapshot: Snapshot, keep_log: bool) -> WriteId {
        let disk = &mut *self.0.borrow_mut();
        assert!(
            snapshot.chunks.iter().all(|id| disk.chunks.contains_key(id)),
            "invariant: every chunk was put before"
        );
        let last_included = snapshot.meta.last_included;
        let replaced = (!disk.log.keeps(last_included, keep_log)).then(|| {
            disk.appended_in = disk.state.term;
            disk.snapshots.expect(BTreeSet::new());
            std::mem::replace(&mut disk.log, MemoryLog::behind(last_included))
        });
        let write = disk.wrote(Undo::Snapshot(replaced));
        let snapshot = disk.snapshots.next(snapshot);
        disk.snapshots.save(write, snapshot);
        write
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.0.borrow().snapshots.taken()
    }

    fn compact(&mut self, to: Index) {
        let disk = &mut *self.0.borrow_mut();
        assert!(disk.snapshots.covers(to), "invariant: what is compacted is in the snapshot");
        if to > disk.log.base.index {
            let front = disk.log.compact(to);
            disk.wrote(Undo::Compact(front));
        }
    }

    fn discard_chunks(&mut self, except: BTreeSet<ChunkId>) {
        let disk = &mut *self.0.borrow_mut();
        disk.snapshots.expect(except);
        let named = disk.snapshots.named();
        disk.chunks.retain(|id, _| named.contains(id));
    }

    fn sync(&mut self, now: Time) {
        let disk = &mut *self.0.borrow_mut();
        if disk.speed == DiskSpeed::Latency(Duration::ZERO) {
            disk.finish_all();
        } else {
            disk.wanted = true;
            disk.advance(now);
        }
    }

    fn durable(&mut self, now: Time) -> Result<Durable, StorageError> {
        let disk = &mut *self.0.borrow_mut();
        disk.advance(now);
        let mut durable = disk.durable;
        if on(Bug::SnapshotBeforeItsChunks) {
            durable.chunks = disk.put;
        }
        Ok(durable)
    }

    fn deadline(&self) -> Option<Time> {
        let disk = self.0.borrow();
        let (_, began) = disk.syncing?;
        match disk.speed {
            DiskSpeed::Latency(latency) => Some(began + latency),
            DiskSpeed::Stalled => None,
        }
    }

    fn chunks(&self) -> Option<Box<dyn ChunkReader>> {
        Some(Box::new(self.clone()))
    }
}

impl Disk {
    fn all_written(&self) -> Durable {
        let (write, chunks) = (self.written, self.put);
        Durable { write, term: self.appended_in, last: self.log.last.index, chunks }
    }

    fn save_state(&mut self, state: State) -> WriteId {
        let before = std::mem::replace(&mut self.state, state);
        self.wrote(Undo::State(before))
    }

    fn wrote(&mut self, undo: Undo) -> WriteId {
        self.undo.push_back(undo);
        self.written = WriteId(self.written.0 + 1);
        self.written
    }

    /// Ends the sync under way if its time has come, and begins the next if one is wanted.
    fn advance(&mut self, now: Time) {
        loop {
            match (self.syncing, self.speed) {
                (Some((covered, began)), DiskSpeed::Latency(latency)) if began + latency <= now => {
                    self.syncing = None;
                    self.finish(covered);
                }
                (None, _) if self.wanted => {
                    let covered = self.all_written();
                    self.syncing = Some((covered, now));
                    self.wanted = false;
                }
                _ => return,
            }
        }
    }

    fn finish_all(&mut self) {
        (self.syncing, self.wanted) = (None, false);
        self.finish(self.all_written());
    }

    /// What a sync covered is durable; chunks that no kept snapshot names go.
    fn finish(&mut self, covered: Durable) {
        for _ in self.durable.write.0..covered.write.0 {
            self.undo.pop_front();
        }
        self.durable = covered;
        if let Some(age) = self.snapshots.settle(covered.write) {
            let named = self.snapshots.named();
            self.chunks.retain(|id, chunk| chunk.age >= age || named.contains(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::{Configuration, Entry, EntryMeta, Payload, SnapshotMeta};

    fn new_disk() -> MemoryDisk {
        MemoryDisk::new(&Persistent::founding(Configuration::new([ServerId(1)])))
    }

    fn entries(term: u64, texts: &[&'static str]) -> Entries {
        let entry = |text: &&'static str| Entry {
            term: Term(term),
            payload: Payload::Command(Bytes::from_static(text.as_bytes())),
        };
        texts.iter().map(entry).collect::<Vec<_>>().into()
    }

    fn ms(milliseconds: u64) -> Time {
        Time::from_nanos(0) + Duration::from_millis(milliseconds)
    }

    fn texts(disk: &MemoryDisk) -> Vec<String> {
        let read = disk.read(Index(0), Index(u64::MAX), u64::MAX);
        let text = |entry: &Entry| match &entry.payload {
            Payload::NoOp | Payload::Configuration(_) => "-".to_owned(),
            Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
        };
        read.iter().map(text).collect()
    }

    /// TRAPS 4: truncation and replacement are one write; a crash leaves the old or the new.
    #[test]
    fn trap_04_a_crash_takes_back_truncation_and_replacement_together() {
        let mut disk = new_disk();
        disk.append(Index(1), entries(1, &["a", "b", "c"]));
        disk.append(Index(4), entries(1, &["d"]));
        disk.sync(ms(0));
        disk.set_speed(DiskSpeed::Stalled);
        disk.append(Index(2), entries(2, &["x"]));
        disk.append(Index(3), entries(2, &["y"]));
        disk.sync(ms(1));
        assert_eq!(texts(&disk), ["a", "x", "y"]);
        disk.crash();
        assert_eq!(texts(&disk), ["a", "b", "c", "d"]);
        let metas = disk.load().persistent.log;
        assert_eq!(metas.len(), 4);
        assert_eq!(metas[3], EntryMeta::new(Term(1), 1));
    }

    /// TRAPS 71: a sync covers what was written before it began, and nothing else.
    #[test]
    fn trap_71_a_sync_covers_what_was_written_before_it_began() {
        let mut disk = new_disk();
        disk.set_speed(DiskSpeed::Latency(Duration::from_millis(10)));
        let vote = disk.save_vote(Term(3), Some(ServerId(2)));
        disk.sync(ms(0));
        disk.append(Index(1), entries(3, &["a"]));
        disk.sync(ms(5));
        assert_eq!(disk.deadline(), Some(ms(10)));
        assert_eq!(disk.durable(ms(9)), Ok(Durable::default()));
        let first = disk.durable(ms(10)).unwrap();
        assert_eq!((first.write, first.term, first.last), (vote, Term(0), Index(0)));
        assert_eq!(disk.deadline(), Some(ms(20)), "the second began when the first ended");
        disk.crash();
        let kept = disk.load().persistent;
        assert_eq!((kept.current_term, kept.voted_for), (Term(3), Some(ServerId(2))));
        assert!(kept.log.is_empty());
    }

    /// TRAPS 15: the sync of a vote of term 2 says nothing of what term 2 does to the log.
    #[test]
    fn trap_15_a_vote_does_not_speak_for_the_entries_of_its_term() {
        let mut disk = new_disk();
        disk.save_vote(Term(1), None);
        disk.append(Index(1), entries(1, &["a", "b", "c"]));
        disk.sync(ms(0));
        disk.set_speed(DiskSpeed::Latency(Duration::from_millis(10)));
        let vote = disk.save_vote(Term(2), None);
        disk.sync(ms(0));
        disk.append(Index(2), entries(2, &["x"]));
        assert_eq!(
            disk.durable(ms(10)),
            Ok(Durable { write: vote, term: Term(1), last: Index(3), ..Durable::default() }),
            "1 to 3 as term 1 wrote them; 2 as term 2 did is not there yet"
        );
    }

    /// TRAPS 7: a snapshot that replaces the log does so as one write.
    #[test]
    fn trap_07_a_crash_takes_back_a_snapshot_and_what_it_replaced_together() {
        let mut disk = new_disk();
        let snapshot = |index, id: u8| {
            let last_included = Position::new(Term(1), Index(index));
            let meta = SnapshotMeta { last_included, ..SnapshotMeta::default() };
            Snapshot { meta, chunks: [ChunkId([id; 32])].into() }
        };
        disk.append(Index(1), entries(1, &["a", "b", "c", "d"]));
        disk.put_chunk(ChunkId([1; 32]), Bytes::from_static(b"a chunk"));
        disk.save_snapshot(snapshot(3, 1), true);
        disk.compact(Index(2));
        disk.put_chunk(ChunkId([2; 32]), Bytes::from_static(b"one that has arrived"));
        disk.sync(ms(0));
        let kept = disk.load();
        assert_eq!((kept.persistent.base.index, kept.persistent.log.len()), (Index(2), 2));
        assert!(disk.read(Index(1), Index(4), u64::MAX).is_empty(), "not from before the base");

        disk.set_speed(DiskSpeed::Stalled);
        disk.save_recovered();
        disk.compact(Index(3));
        let install = disk.save_snapshot(snapshot(9, 2), false);
        disk.append(Index(10), entries(3, &["x"]));
        disk.put_chunk(ChunkId([3; 32]), Bytes::from_static(b"another"));
        assert_eq!(disk.snapshot(), Some(snapshot(9, 2)));
        assert_eq!(disk.load().persistent.base, Position::new(Term(1), Index(9)));
        disk.crash();
        assert_eq!((disk.load(), disk.snapshot()), (kept, Some(snapshot(3, 1))));
        assert!(disk.has_chunk(&ChunkId([1; 32])) && !disk.has_chunk(&ChunkId([3; 32])));
        assert!(disk.durable(ms(1)).unwrap().write < install);
    }

    #[test]
    fn every_run_is_found_however_far_back() {
        let mut disk = new_disk();
        for index in 1..=100 {
            disk.append(Index(index), entries(index, &["x"]));
        }
        for index in 1..=100 {
            let read = disk.read(Index(index - 1), Index(index), u64::MAX);
            assert_eq!(read.last().map(|entry| entry.term), Some(Term(index)));
        }
    }

    #[test]
    fn a_crashed_disk_goes_on_where_the_last_sync_left_it() {
        let mut disk = new_disk();
        disk.set_speed(DiskSpeed::Latency(Duration::from_millis(10)));
        disk.append(Index(1), entries(1, &["lost"]));
        disk.sync(ms(0));
        disk.crash();
        let kept = disk.append(Index(1), entries(2, &["kept"]));
        disk.sync(ms(20));
        let durable = Durable { write: kept, term: Term(0), last: Index(1), ..Durable::default() };
        assert_eq!(disk.durable(ms(30)), Ok(durable));
        disk.crash();
        assert_eq!(texts(&disk), ["kept"]);
    }

    #[test]
    fn reading_is_bounded_and_crosses_runs() {
        let mut disk = new_disk();
        disk.append(Index(1), entries(1, &["aa", "bb"]));
        disk.append(Index(3), entries(1, &["cc"]));
        disk.append(Index(4), entries(1, &["dd", "ee"]));
        let read = |after, last, bytes| disk.read(Index(after), Index(last), bytes).len();
        assert_eq!(read(0, 5, 100), 5);
        assert_eq!(read(1, 4, 100), 3);
        assert_eq!(read(1, 4, 4), 2);
        assert_eq!(read(1, 4, 1), 1, "one at least");
        assert_eq!(read(5, 9, 100), 0);
    }
}
