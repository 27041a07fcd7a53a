//! A run with everything in it, and a crash wherever there can be one.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::snapshots::{chunk, put, snapshot};
use super::*;

/// All that a storage says, with the whole log: what is compacted may come back.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Moment {
    vote: Vote,
    snapshot: Snapshot,
    /// Where the log began, had nothing been compacted.
    base: Index,
    log: Vec<Entry>,
}

impl Moment {
    fn append(&mut self, first: Index, entries: &Entries) {
        self.log.truncate((first.previous() - self.base) as usize);
        self.log.extend(entries.iter().cloned());
    }

    /// Whether this is what another life finds, if it asked for no more than `compacted`.
    fn is(&self, log: &Log, compacted: Index) -> bool {
        let base = log.log.base.index;
        let read = log.read(base, Index(u64::MAX), u64::MAX);
        let known = (base - self.base) as usize;
        let snapshot = log.snapshots.latest();
        (log.vote, snapshot) == (self.vote, &self.snapshot)
            && base >= self.base
            && base <= compacted.max(self.base)
            && base <= snapshot.meta.last_included.index
            && self.log.get(known..).is_some_and(|log| log.iter().eq(read.iter()))
            && snapshot.chunks.iter().all(|id| log.chunk(id).is_some())
    }
}

/// One thing that a server does, and what is the state after it if it is a write.
enum Act {
    Vote(u64, Option<u64>),
    Append(u64, Entries),
    Put(&'static str),
    /// A chunk that is part of the payload of this entry.
    Stands(u64, &'static str),
    /// Last included, its term, chunks, and whether the log stays.
    Snapshot(u64, u64, &'static [&'static str], bool),
    Compact(u64),
    Recovered,
    /// Waits until all is durable.
    Wait,
}

const BIG: &str = "a chunk that is larger than a pack: so it has one of its own, of just the right \
    size, and no other chunk is ever written to that pack, however small. It takes a few more \
    words than one would think to fill a pack of two hundred and fifty six bytes, which is small.";

const FLAG: &str = "let it fly from the highest mast there is";
const WEATHER: &str = "for the weather is about to change";

/// This part of the payload of an entry, as it is in the memory of the log.
fn part_of(log: &Log, index: u64, text: &str) -> Bytes {
    let entries = log.read(Index(index - 1), Index(index), u64::MAX);
    let Some(Payload::Command(bytes)) = entries.last().map(|entry| &entry.payload) else {
        panic!("a command")
    };
    let at = bytes.windows(text.len()).position(|it| it == text.as_bytes());
    bytes.slice(at.unwrap()..at.unwrap() + text.len())
}

fn script() -> Vec<Act> {
    use Act::*;
    let words = |term, texts: &[&str]| entries(term, texts);
    let members = |term, count| -> Entries {
        let payload = Payload::Configuration(members(count).into());
        vec![Entry { term: Term(term), payload }].into()
    };
    vec![
        Vote(1, Some(2)),
        Append(1, words(1, &["", "ahoy", "set sail"])),
        Append(4, words(1, &["hoist the flag and let it fly from the highest mast there is"])),
        Put("hold"),
        Append(5, words(1, &["reef the sail", "lost in a storm", "as are these"])),
        Stands(4, FLAG),
        Put("deck"),
        Put("sails"),
        Vote(2, None),
        Append(6, words(2, &["", "to port"])),
        Append(8, members(2, 5)),
        Wait,
        Snapshot(5, 1, &["hold", "deck", FLAG, "sails", "deck"], true),
        Append(9, words(2, &["all hands on deck, for the weather is about to change"])),
        Wait,
        Compact(3),
        Append(10, words(2, &["now the log begins later", "and later"])),
        Vote(3, Some(3)),
        Compact(5),
        Append(11, words(3, &["one who cuts off the tail of the log writes this instead of it"])),
        Put(BIG),
        Put("crew"),
        Wait,
        Stands(9, WEATHER),
        Snapshot(10, 2, &[WEATHER, FLAG, "hold", BIG, "crew", FLAG], true),
        Append(12, words(3, &["a third of the chunks are those of before"])),
        Compact(9),
        Put("cargo"),
        Wait,
        Append(13, words(3, &["a snapshot", "and what it covers", "are not all that is there"])),
        Snapshot(12, 3, &["hold", "cargo", FLAG, "crew"], true),
        Recovered,
        Compact(12),
        Wait,
        Put("half of a snapshot that is on its way"),
        Put("the other half, which is a bit longer than the first half"),
        Append(14, words(4, &["this conflicts", "and this, too", "and what follows"])),
        Wait,
        Snapshot(14, 7, &["half of a snapshot that is on its way", FLAG, "hold", "crew"], false),
        Vote(8, Some(1)),
        Append(15, words(8, &["", "onward", "to an island that is on no map of these waters"])),
        Wait,
        Snapshot(16, 8, &["hold"], true),
        Compact(16),
        Append(18, words(8, &["land"])),
        Wait,
    ]
}

/// TRAPS 7, 74: the power fails in every batch, at every place: whatever is left, all that was
/// durable is there, the rest is there up to some write, and the snapshot is whole.
#[test]
fn trap_74_every_crash_point_of_snapshots_and_compaction_recovers() {
    for seed in 0..4 {
        let mut run = Run::new(seed);
        for act in script() {
            run.act(act);
        }
        let Run { log, torn, removed, crashes, .. } = run;
        assert_eq!(log.log.base, Position::new(Term(8), Index(16)));
        assert!(torn > 300 && removed > 200 && crashes > 600, "{torn} {removed} {crashes}");
        let packs = log.disk.files.keys().filter(|file| matches!(file, FileId::Pack(_))).count();
        assert!(packs <= 4 && log.disk.files.len() - packs <= 4, "{:?}", log.disk.files.keys());
    }
}

struct Run {
    luck: ChaCha8Rng,
    log: Log,
    /// The state after each write.
    moments: Vec<(WriteId, Moment)>,
    compacted: Index,
    /// What was seen in other lives.
    torn: usize,
    removed: usize,
    crashes: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut plate = Plate::default();
        let founding = Persistent { recovering: true, ..Persistent::founding(members(3)) };
        SegmentLog::format(&mut plate, &identity(), &founding, SMALL).unwrap();
        let mut log = open(plate).unwrap();
        log.disk.does = Does::Hold;
        let snapshot = Snapshot { meta: founding.snapshot, ..Snapshot::default() };
        let first = Moment { vote: log.vote, snapshot, base: Index(0), log: Vec::new() };
        let moments = vec![(WriteId(0), first)];
        let luck = ChaCha8Rng::seed_from_u64(seed);
        Self { luck, log, moments, compacted: Index(0), torn: 0, removed: 0, crashes: 0 }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.luck.next_u64() % limit as u64) as usize
    }

    fn act(&mut self, act: Act) {
        let log = &mut self.log;
        let mut moment = self.moments.last().unwrap().1.clone();
        let write = match act {
            Act::Vote(term, server) => {
                let (term, voted_for) = (Term(term), server.map(ServerId));
                moment.vote = Vote { term, voted_for, ..moment.vote };
                Some(log.save_vote(term, voted_for))
            }
            Act::Append(first, entries) => {
                moment.append(Index(first), &entries);
                Some(log.append(Index(first), entries))
            }
            Act::Put(text) => {
                put(log, text);
                None
            }
            Act::Stands(index, text) => {
                let bytes = part_of(log, index, text);
                let put = log.packs.put_up_to();
                assert_eq!(log.put_chunk(chunk(text).0, bytes), put, "it is not written again");
                None
            }
            Act::Snapshot(index, term, texts, keep_log) => {
                let saved = snapshot(index, term, texts);
                moment.snapshot = saved.clone();
                if !keep_log {
                    (moment.base, moment.log) = (Index(index), Vec::new());
                }
                Some(log.save_snapshot(saved, keep_log))
            }
            Act::Compact(to) => {
                log.compact(Index(to));
                self.compacted = Index(to);
                None
            }
            Act::Recovered => {
                moment.vote.recovering = false;
                Some(log.save_recovered())
            }
            Act::Wait => {
                while self.log.wanted || !self.log.queue.is_empty() || self.log.batch.is_some() {
                    self.log.sync(ms(0));
                    self.crash_and_go_on();
                }
                assert_eq!(self.log.durable.write, self.log.written);
                assert_eq!(self.log.durable.chunks, self.log.packs.put_up_to());
                return;
            }
        };
        self.moments.extend(write.map(|write| (write, moment)));
        if self.below(2) == 0 {
            self.log.sync(ms(0));
            self.crash_and_go_on();
        }
    }

    /// Tries out every crash in the batch under way, then lets it end.
    fn crash_and_go_on(&mut self) {
        let Some(changes) = self.log.disk.batch.clone() else { return };
        let before = Plate { batch: None, does: Does::Hold, ..self.log.disk.clone() };
        let mut plate = before.clone();
        for change in &changes {
            if let Change::Write { file, at, bytes } = change {
                for kept in (0..bytes.len()).step_by(13) {
                    let mut plate = plate.clone();
                    let bytes = bytes[..kept].to_vec();
                    plate.carry_out(Change::Write { file: *file, at: *at, bytes });
                    self.check(plate);
                }
            }
            self.check(plate.clone());
            plate.carry_out(change.clone());
        }
        for _ in 0..10 {
            let torn = self.torn(before.clone(), &changes);
            self.check(torn);
        }
        self.log.disk.does = Does::Step;
        self.log.durable(ms(0)).unwrap();
        self.check(Plate { batch: None, ..self.log.disk.clone() });
    }

    /// The disk after a crash that leaves any part of a batch.
    fn torn(&mut self, mut plate: Plate, changes: &[Change]) -> Plate {
        for change in changes {
            match (self.below(3), change.clone()) {
                (0, Change::Create { .. }) => break,
                (0, _) => {}
                (1, Change::Write { file, at, bytes }) => {
                    let from = self.below(bytes.len()) / 8 * 8;
                    let bytes = bytes[from..].to_vec();
                    plate.carry_out(Change::Write { file, at: at + from as u64, bytes });
                }
                (_, change) => plate.carry_out(change),
            }
        }
        plate
    }

    /// What another life finds on this disk, and another after it.
    fn check(&mut self, plate: Plate) {
        self.crashes += 1;
        let mut log = self.find(plate);
        self.torn += usize::from(log.torn.is_some());
        // It crashes while it clears up.
        log.disk.does = Does::Hold;
        log.sync(ms(1));
        let changes = log.disk.batch.clone().unwrap_or_default();
        let removals = changes.iter().filter(|it| matches!(it, Change::Remove { .. })).count();
        self.removed += removals;
        let before = Plate { batch: None, ..log.disk.clone() };
        let plate = self.torn(before, &changes);
        let mut log = self.find(plate);
        // What was cut off does not come back.
        let last = log.log.last;
        log.append(last.index.next(), entries(9, &["onward"]));
        log.disk.does = Does::Finish;
        log.flush(ms(2));
        let again = reopened(&log).unwrap();
        assert_eq!((state(&again), again.torn), (state(&log), None));
        assert_eq!(again.log.base, log.log.base);
        assert_eq!(again.snapshot(), log.snapshot());
    }

    fn find(&self, plate: Plate) -> Log {
        let log = open(plate).unwrap_or_else(|error| panic!("a crash is no damage: {error}"));
        let durable = self.log.durable.write;
        let known = self.moments.iter().rposition(|(write, _)| *write <= durable).unwrap();
        let kept = self.moments[known..].iter().any(|(_, it)| it.is(&log, self.compacted));
        assert!(kept, "{:?} of {:#?}", state(&log), &self.moments[known..]);
        log
    }
}

#[test]
fn what_the_script_puts_is_what_its_snapshots_name() {
    let mut there = Vec::new();
    for act in script() {
        match act {
            Act::Put(text) | Act::Stands(_, text) => there.push(chunk(text).0),
            Act::Snapshot(_, _, texts, _) => {
                assert!(texts.iter().all(|text| there.contains(&chunk(text).0)));
            }
            _ => {}
        }
    }
}
