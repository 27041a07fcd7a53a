//! One server's disk by the seed: writes, snapshots, syncs, faults and crashes at random, then
//! harm.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::segments::SegmentLog;
use super::*;
use crate::raft::{Configuration, Entry, Payload, Persistent, Position, SnapshotMeta};

/// What a server would start from, its entries, and its snapshot.
type State = (Persistent, Entries, Option<Snapshot>);

pub(super) struct Run<D> {
    pub(super) disk: D,
    storage: Box<dyn Storage>,
    now: Time,
    luck: ChaCha8Rng,
    /// The state after each write that is not known to be durable, and after the last that is.
    states: Vec<(WriteId, State)>,
    /// The term in which the entries of each of them were written, or their own last one.
    terms: Vec<Term>,
    /// Chunks that were put since a snapshot was saved.
    arrived: Vec<(ChunkWrite, ChunkId)>,
    durable: ChunkWrite,
    pub(super) torn: usize,
    pub(super) failed: usize,
}

/// A disk, as a run sees it.
pub(super) trait Bench {
    /// What the server that starts now reads and writes.
    fn start(&mut self) -> Box<dyn Storage>;
    /// A fault of a disk that runs; those that it does not know do not happen.
    fn suffer(&mut self, fault: DiskFault);
    fn set_speed(&mut self, speed: DiskSpeed);
    /// The server has ended: nobody has its storage any more.
    fn ended(&mut self, orderly: bool, now: Time);
    /// Whether the term in which the log was changed last outlives a server.
    fn keeps_terms(&self) -> bool;
}

impl Bench for ServerDisk {
    fn start(&mut self) -> Box<dyn Storage> {
        self.storage().expect("no harm was done")
    }

    fn suffer(&mut self, fault: DiskFault) {
        match self {
            // It has no such faults.
            Self::Memory(..) => ServerDisk::set_speed(self, DiskSpeed::default()),
            Self::Simulated(_) => self.inflict(fault, true).unwrap(),
        }
    }

    fn set_speed(&mut self, speed: DiskSpeed) {
        ServerDisk::set_speed(self, speed);
    }

    fn ended(&mut self, orderly: bool, now: Time) {
        ServerDisk::ended(self, orderly, now);
    }

    fn keeps_terms(&self) -> bool {
        matches!(self, Self::Memory(..))
    }
}

pub(super) fn identity(seed: u64) -> Identity {
    Identity { cluster: Uuid::from_u64_pair(0, seed), server: ServerId(1) }
}

pub(super) fn luck(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut luck = ChaCha8Rng::seed_from_u64(seed);
    luck.set_stream(stream);
    luck
}

fn simulated_run(seed: u64, kind: DiskKind) -> Run<ServerDisk> {
    Run::new(seed, ServerDisk::new(kind, identity(seed), founding(), luck(seed, 1)))
}

impl<D: Bench> Run<D> {
    pub(super) fn new(seed: u64, mut disk: D) -> Self {
        let storage = disk.start();
        let (now, luck) = (Time::default(), luck(seed, 2));
        let mut run = Self {
            disk,
            storage,
            now,
            luck,
            states: Vec::new(),
            terms: vec![Term(0)],
            arrived: Vec::new(),
            durable: ChunkWrite(0),
            torn: 0,
            failed: 0,
        };
        run.states = vec![run.state(WriteId(0))];
        run
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.luck.next_u64() % limit
    }

    fn state(&self, write: WriteId) -> (WriteId, State) {
        let kept = self.storage.load().persistent;
        let entries = self.storage.read(kept.base.index, Index(u64::MAX), u64::MAX);
        assert!(kept.log.iter().cloned().eq(entries.iter().map(Entry::meta)));
        assert!(kept.base.index <= kept.snapshot.last_included.index);
        (write, (kept, entries, self.storage.snapshot()))
    }

    fn wrote(&mut self, write: WriteId, replaces_log: bool) {
        let term = match replaces_log {
            true => self.term(),
            false => *self.terms.last().expect("a state"),
        };
        self.states.push(self.state(write));
        self.terms.push(term);
    }

    /// One of a few chunks, some large.
    fn chunk(&mut self) -> (ChunkId, Bytes) {
        let number = self.below(12);
        let length = if number == 0 { 300_000 } else { number as usize * 1_000 };
        let bytes = Bytes::from(vec![number as u8; length]);
        (ChunkId(*blake3::hash(&bytes).as_bytes()), bytes)
    }

    /// Saves a snapshot of chunks that are durable: of the server's own state, or a leader's.
    fn snapshot(&mut self) {
        let (kept, entries, _) = self.state(WriteId(0)).1;
        let there = self.arrived.iter().filter(|(write, _)| *write <= self.durable);
        let mut chunks: Vec<_> = there.map(|(_, id)| *id).collect();
        chunks.extend(self.storage.snapshot().iter().flat_map(|old| old.chunks.iter().take(2)));
        let covered = kept.snapshot.last_included.index;
        let passed = covered - kept.base.index;
        let behind = entries.len() as u64 - passed;
        let own = self.below(4) > 0;
        let last_included = match own {
            true if behind == 0 => return,
            true => {
                let place = self.below(behind);
                let entry = entries.iter().nth((passed + place) as usize).expect("an entry");
                Position::new(entry.term, Index(covered.0 + place + 1))
            }
            // The log may reach further, and conflict.
            false => {
                let index = covered.0 + 1 + self.below(behind + 9);
                Position::new(kept.current_term, Index(index))
            }
        };
        let configuration = Configuration::new([ServerId(1 + self.below(5))]);
        let meta = SnapshotMeta { last_included, configuration, configured_at: Index(0) };
        let write = self.storage.save_snapshot(Snapshot { meta, chunks: chunks.into() }, own);
        self.arrived.clear();
        self.wrote(write, !own);
    }

    fn compact(&mut self) {
        let kept = self.storage.load().persistent;
        let (base, covered) = (kept.base.index, kept.snapshot.last_included.index);
        let to = base.0 + self.below(covered - base + 1);
        self.storage.compact(Index(to));
    }

    fn entries(&mut self) -> Entries {
        let term = self.term();
        let count = 1 + self.below(4);
        let entry = |size: u64| {
            let payload = Payload::Command(Bytes::from(vec![size as u8; size as usize]));
            Entry { term, payload: if size == 0 { Payload::NoOp } else { payload } }
        };
        let longest = [10, 1_000, 40_000][self.below(3) as usize];
        (0..count).map(|_| entry(self.below(longest))).collect()
    }

    fn term(&self) -> Term {
        self.storage.load().persistent.current_term
    }

    pub(super) fn step(&mut self) {
        let choice = self.below(27);
        self.act(choice);
    }

    /// One thing of 27; the last two end the server, mostly.
    pub(super) fn act(&mut self, choice: u64) {
        match choice {
            0..3 => {
                let (term, vote) = (self.term().0 + self.below(2), self.below(6));
                let vote = (vote > 0).then_some(ServerId(vote));
                let write = self.storage.save_vote(Term(term), vote);
                self.wrote(write, false);
            }
            3..10 => {
                let (kept, entries, _) = &self.states.last().expect("a state").1;
                let last = kept.base.index.0 + entries.len() as u64;
                let covered = kept.snapshot.last_included.index.0;
                let first = last + 1 - self.below(3.min(last - covered + 1));
                let entries = self.entries();
                let write = self.storage.append(Index(first), entries);
                self.wrote(write, true);
            }
            10..14 => self.storage.sync(self.now),
            14 => self.disk.suffer(DiskFault::Full),
            15 => self.disk.suffer(DiskFault::Free),
            16 => self.disk.suffer(DiskFault::Mend),
            17 => self.disk.set_speed(DiskSpeed::Latency(Duration::from_millis(30))),
            18 if self.below(3) == 0 => self.disk.suffer(DiskFault::FailSync),
            18 => self.disk.set_speed(DiskSpeed::Stalled),
            19..22 => {
                let (id, bytes) = self.chunk();
                let write = self.storage.put_chunk(id, bytes);
                self.arrived.push((write, id));
            }
            22 | 23 => self.snapshot(),
            24 => self.compact(),
            25 if self.below(4) == 0 => {
                let write = self.storage.save_recovered();
                self.wrote(write, false);
            }
            _ => self.crash(),
        }
        self.now = self.now + Duration::from_millis(self.below(20));
        self.look();
    }

    /// Asks what is durable.
    fn look(&mut self) {
        match self.storage.durable(self.now) {
            Ok(durable) => {
                let known = self.states.partition_point(|(write, _)| *write <= durable.write);
                assert!(known > 0, "what is durable does not go back");
                self.states.drain(..known - 1);
                self.terms.drain(..known - 1);
                let (_, (kept, entries, _)) = &self.states[0];
                assert_eq!(durable.term, self.terms[0]);
                assert_eq!(durable.last, Index(kept.base.index.0 + entries.len() as u64));
                self.durable = durable.chunks;
            }
            Err(_) => {
                self.failed += 1;
                self.end(false);
            }
        }
    }

    fn crash(&mut self) {
        let orderly = self.below(8) == 0;
        match self.below(3) {
            _ if orderly => self.disk.suffer(DiskFault::Mend),
            0 => {}
            _ => self.disk.suffer(DiskFault::Tear),
        }
        self.end(orderly);
    }

    /// Ends the server and starts it again: nothing that was durable is missing, and of the rest
    /// a whole number of writes is there; all of them after an orderly end of a sound disk.
    pub(super) fn end(&mut self, orderly: bool) {
        self.storage = Box::new(MemoryDisk::new(&Persistent::default()));
        self.disk.ended(orderly, self.now);
        self.storage = self.disk.start();
        let kept = self.state(WriteId(0)).1;
        let place = self.states.iter().rposition(|(_, state)| is_found(state, &kept));
        let place = place.expect("what was durable is there");
        assert!(!orderly || place + 1 == self.states.len());
        let read = |id: &ChunkId| self.storage.chunk(id).is_some();
        assert!(kept.2.iter().flat_map(|it| it.chunks.iter()).all(read), "the snapshot is whole");
        let durable = self.arrived.iter().filter(|(write, _)| *write <= self.durable);
        assert!(durable.map(|(_, id)| id).all(read), "what has arrived is there");
        self.torn += usize::from(self.storage.load().torn.is_some());
        let term = match (&kept.0, kept.1.last()) {
            // In memory it is known.
            _ if self.disk.keeps_terms() => self.terms[place],
            (_, Some(entry)) => entry.term,
            (kept, None) => kept.base.term,
        };
        (self.states, self.terms) = (vec![self.state(WriteId(0))], vec![term]);
        self.arrived.retain(|(_, id)| self.storage.has_chunk(id));
        self.durable = ChunkWrite(0);
        self.arrived.iter_mut().for_each(|(write, _)| *write = ChunkWrite(0));
    }
}

/// Whether this is what a server finds after that: the log may begin earlier, if a compaction was
/// lost, or later, if there was one since.
fn is_found((state, log, snapshot): &State, (kept, found, found_snapshot): &State) -> bool {
    let comparable = Persistent { base: kept.base, log: kept.log.clone(), ..state.clone() };
    let base = state.base.index.max(kept.base.index);
    let behind = |start: Position, entries: &Entries| {
        entries.slice((base - start.index) as usize, entries.len())
    };
    let last = |start: Position, entries: &Entries| start.index.0 + entries.len() as u64;
    comparable == *kept
        && snapshot == found_snapshot
        && last(state.base, log) == last(kept.base, found)
        && behind(state.base, log).iter().eq(behind(kept.base, found).iter())
}

#[test]
fn whatever_disks_do_what_was_durable_is_there() {
    let (mut torn, mut failed, mut harmed) = (0, 0, 0);
    let (mut snapshots, mut lost) = (0, 0);
    for seed in 0..60 {
        let mut run = simulated_run(seed, DiskKind::Simulated);
        for _ in 0..150 {
            run.step();
        }
        run.disk.suffer(DiskFault::Mend);
        run.end(true);
        (torn, failed) = (torn + run.torn, failed + run.failed);
        snapshots += usize::from(run.storage.snapshot().is_some_and(|it| !it.chunks.is_empty()));
        // TRAPS 73, 45: harm to it is noticed, whatever it is.
        let harm = [DiskFault::Flip, DiskFault::Lose, DiskFault::Misdirect, DiskFault::Destroy];
        let harm = harm[run.below(4) as usize];
        for _ in 0..1 + run.below(2) {
            harmed += usize::from(run.disk.inflict(harm, false).is_ok());
        }
        match run.disk.storage().err() {
            Some(StorageError::NotFormatted) => assert_eq!(harm, DiskFault::Destroy),
            Some(StorageError::Damaged { .. }) => assert_ne!(harm, DiskFault::Destroy),
            Some(StorageError::ChunkLost { .. }) => {
                assert_eq!(harm, DiskFault::Flip);
                lost += 1;
            }
            other => panic!("seed {seed}, {harm:?}: {other:?}"),
        }
    }
    assert!(torn > 30 && failed > 20 && harmed > 60, "{torn} {failed} {harmed}");
    assert!(snapshots > 30 && lost > 0, "{snapshots} {lost}");
}

#[test]
fn memory_keeps_what_was_durable() {
    for seed in 0..60 {
        let mut run = simulated_run(seed, DiskKind::Memory);
        for _ in 0..300 {
            run.step();
        }
        run.end(true);
    }
}

fn disk(kind: DiskKind, founding: Persistent) -> ServerDisk {
    let identity = Identity { cluster: Uuid::from_u128(7), server: ServerId(2) };
    ServerDisk::new(kind, identity, founding, luck(1, 1))
}

pub(super) fn founding() -> Persistent {
    Persistent::founding(Configuration::new([1, 2, 3].map(ServerId)))
}

/// A disk with eight entries, the first five in a snapshot.
fn with_snapshot(kind: DiskKind) -> (ServerDisk, Snapshot) {
    let disk = disk(kind, founding());
    let mut storage = disk.storage().unwrap();
    storage.save_vote(Term(4), Some(ServerId(3)));
    let entry = |number: u8| Entry {
        term: Term(4),
        payload: Payload::Command(Bytes::from(vec![number; 10])),
    };
    storage.append(Index(1), (1..=8).map(entry).collect());
    let bytes = Bytes::from_static(b"all that the first five did");
    let id = ChunkId(*blake3::hash(&bytes).as_bytes());
    storage.put_chunk(id, bytes);
    storage.sync(Time::default());
    storage.durable(Time::default()).unwrap();
    let meta =
        SnapshotMeta { last_included: Position::new(Term(4), Index(5)), ..founding().snapshot };
    let snapshot = Snapshot { meta, chunks: [id].into() };
    storage.save_snapshot(snapshot.clone(), true);
    storage.compact(Index(5));
    storage.sync(Time::default());
    storage.durable(Time::default()).unwrap();
    (disk, snapshot)
}

/// TRAPS 45: who lost its disk starts again marked as such; who did not keeps it.
#[test]
fn trap_45_only_a_disk_that_is_lost_is_formatted_again() {
    let (mut disk, _) = with_snapshot(DiskKind::Simulated);
    let cluster = Uuid::from_u128(7);
    assert_eq!(disk.reformat(cluster, false), Err(Refused::Sound));
    disk.ended(true, Time::default());
    disk.inflict(DiskFault::Destroy, false).unwrap();
    assert_eq!(disk.reformat(cluster, true), Err(Refused::Running));
    assert_eq!(disk.storage().err(), Some(StorageError::NotFormatted));
    disk.reformat(cluster, false).unwrap();
    let kept = disk.storage().unwrap().load().persistent;
    assert_eq!(kept, Persistent::joining());
    assert_eq!(disk.sizes().snapshot, Position::default());
}

/// Those whose cluster is no more may join the one that was founded in its place.
#[test]
fn a_disk_of_another_cluster_is_formatted_for_the_new_one() {
    for kind in [DiskKind::Memory, DiskKind::Simulated] {
        let (mut disk, _) = with_snapshot(kind);
        disk.reformat(Uuid::from_u128(8), false).unwrap();
        assert_eq!(disk.storage().unwrap().load().persistent, Persistent::joining());
        assert_eq!(disk.reformat(Uuid::from_u128(8), false), Err(Refused::Sound));
    }
}

/// One server that is left founds a cluster of its own with all that it had.
#[test]
fn one_server_that_is_left_starts_alone() {
    for kind in [DiskKind::Memory, DiskKind::Simulated] {
        let (mut disk, snapshot) = with_snapshot(kind);
        disk.ended(false, Time::default());
        let new = Uuid::from_u128(8);
        let server = ServerId(2);
        assert_eq!(disk.salvage(new, true), Err(Unsalvaged::Running));
        let salvage = disk.salvage(new, false).unwrap();
        let at = |index| Position::new(Term(4), Index(index));
        assert_eq!((salvage.term, salvage.last), (Term(4), at(8)));
        assert_eq!((salvage.snapshot, salvage.behind_snapshot), (at(5), 3));
        disk.ended(false, Time::default());
        let storage = disk.storage().unwrap();
        let kept = storage.load().persistent;
        assert_eq!((kept.current_term, kept.voted_for, kept.base), (Term(5), None, at(5)));
        assert_eq!(storage.snapshot(), Some(snapshot.clone()));
        assert!(storage.chunk(&snapshot.chunks[0]).is_some());
        let log = storage.read(Index(5), Index(9), u64::MAX);
        let alone = Payload::Configuration(Configuration::new([server]).into());
        assert_eq!(log.last(), Some(&Entry { term: Term(5), payload: alone }));
        assert_eq!(log.len(), 4);
        if let ServerDisk::Simulated(it) = &disk {
            let old = Identity { cluster: Uuid::from_u128(7), server };
            assert_eq!((it.identity.cluster, salvage.old_cluster), (new, old.cluster));
            let again = SegmentLog::open(it.disk.clone(), old, segments::Options::default());
            assert!(matches!(again.err(), Some(StorageError::Foreign { .. })));
        }
    }
}

#[test]
fn nothing_is_salvaged_from_a_damaged_disk_or_an_empty_one() {
    let (mut damaged, _) = with_snapshot(DiskKind::Simulated);
    damaged.ended(true, Time::default());
    damaged.inflict(DiskFault::Flip, false).unwrap();
    let refused = damaged.salvage(Uuid::nil(), false);
    assert!(matches!(refused, Err(Unsalvaged::Storage(_))));
    for kind in [DiskKind::Memory, DiskKind::Simulated] {
        let mut joining = disk(kind, Persistent::joining());
        let refused = joining.salvage(Uuid::nil(), false);
        assert_eq!(refused, Err(Unsalvaged::Joining));
        assert!(joining.storage().unwrap().load().persistent.recovering, "as it was");
    }
}
