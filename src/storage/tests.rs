//! One server's disk by the seed: writes, syncs, faults and crashes at random, then harm.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::*;
use crate::raft::{Configuration, Entry, Payload, Persistent};

/// What a server would start from, and its entries.
type State = (Persistent, Entries);

struct Run {
    disk: ServerDisk,
    storage: Box<dyn Storage>,
    now: Time,
    luck: ChaCha8Rng,
    /// The state after each write that is not known to be durable, and after the last that is.
    states: Vec<(WriteId, State)>,
    /// The term in which the entries of each of them were written, or their own last one.
    terms: Vec<Term>,
    torn: usize,
    failed: usize,
}

fn luck(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut luck = ChaCha8Rng::seed_from_u64(seed);
    luck.set_stream(stream);
    luck
}

impl Run {
    fn new(seed: u64) -> Self {
        let identity = Identity { cluster: Uuid::from_u64_pair(0, seed), server: ServerId(1) };
        let founding = Persistent::founding(Configuration::new([1, 2, 3].map(ServerId)));
        let disk = ServerDisk::new(DiskKind::Simulated, identity, founding, luck(seed, 1));
        let storage = disk.storage().unwrap();
        let (now, luck) = (Time::default(), luck(seed, 2));
        let mut run = Self {
            disk,
            storage,
            now,
            luck,
            states: Vec::new(),
            terms: vec![Term(0)],
            torn: 0,
            failed: 0,
        };
        run.states = vec![run.state(WriteId(0))];
        run
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.luck.next_u64() % limit
    }

    fn state(&self, write: WriteId) -> (WriteId, State) {
        let entries = self.storage.read(Index(0), Index(u64::MAX), u64::MAX);
        (write, (self.storage.load().persistent, entries))
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

    fn step(&mut self) {
        match self.below(20) {
            0..3 => {
                let (term, vote) = (self.term().0 + self.below(2), self.below(6));
                let vote = (vote > 0).then_some(ServerId(vote));
                let write = self.storage.save_vote(Term(term), vote);
                self.states.push(self.state(write));
                self.terms.push(*self.terms.last().expect("a state"));
            }
            3..10 => {
                let last = self.states.last().expect("a state").1.1.len() as u64;
                let first = last + 1 - self.below(3.min(last + 1));
                let entries = self.entries();
                let write = self.storage.append(Index(first), entries);
                self.states.push(self.state(write));
                self.terms.push(self.term());
            }
            10..14 => self.storage.sync(self.now),
            14 => self.inflict(DiskFault::Full),
            15 => self.inflict(DiskFault::Free),
            16 => self.inflict(DiskFault::Mend),
            17 => self.disk.set_speed(DiskSpeed::Latency(Duration::from_millis(30))),
            18 if self.below(3) == 0 => self.inflict(DiskFault::FailSync),
            18 => self.disk.set_speed(DiskSpeed::Stalled),
            _ => self.crash(),
        }
        self.now = self.now + Duration::from_millis(self.below(20));
        self.look();
    }

    fn inflict(&mut self, fault: DiskFault) {
        self.disk.inflict(fault, true).unwrap();
    }

    /// Asks what is durable.
    fn look(&mut self) {
        match self.storage.durable(self.now) {
            Ok(durable) => {
                let known = self.states.partition_point(|(write, _)| *write <= durable.write);
                assert!(known > 0, "what is durable does not go back");
                self.states.drain(..known - 1);
                self.terms.drain(..known - 1);
                let (_, (_, entries)) = &self.states[0];
                assert_eq!(durable.term, self.terms[0]);
                assert_eq!(durable.last, Index(entries.len() as u64));
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
            _ if orderly => self.inflict(DiskFault::Mend),
            0 => {}
            _ => self.inflict(DiskFault::Tear),
        }
        self.end(orderly);
    }

    /// Ends the server and starts it again: nothing that was durable is missing, and of the rest
    /// a whole number of writes is there; all of them after an orderly end of a sound disk.
    fn end(&mut self, orderly: bool) {
        self.disk.ended(orderly, self.now);
        self.storage = self.disk.storage().expect("no harm was done");
        let kept = self.state(WriteId(0)).1;
        let place = self.states.iter().rposition(|(_, state)| *state == kept);
        let place = place.expect("what was durable is there");
        assert!(!orderly || place + 1 == self.states.len());
        self.torn += usize::from(self.storage.load().torn.is_some());
        self.states = vec![self.state(WriteId(0))];
        self.terms = vec![self.states[0].1.1.last().map_or(Term(0), |entry| entry.term)];
    }
}

#[test]
fn whatever_disks_do_what_was_durable_is_there() {
    let (mut torn, mut failed, mut harmed) = (0, 0, 0);
    for seed in 0..60 {
        let mut run = Run::new(seed);
        for _ in 0..100 {
            run.step();
        }
        run.inflict(DiskFault::Mend);
        run.end(true);
        (torn, failed) = (torn + run.torn, failed + run.failed);
        // TRAPS 73, 45: harm to it is noticed, whatever it is.
        let harm = [DiskFault::Flip, DiskFault::Lose, DiskFault::Misdirect, DiskFault::Destroy];
        let harm = harm[run.below(4) as usize];
        for _ in 0..1 + run.below(2) {
            harmed += usize::from(run.disk.inflict(harm, false).is_ok());
        }
        match run.disk.storage().err() {
            Some(StorageError::NotFormatted) => assert_eq!(harm, DiskFault::Destroy),
            Some(StorageError::Damaged { .. }) => assert_ne!(harm, DiskFault::Destroy),
            other => panic!("seed {seed}, {harm:?}: {other:?}"),
        }
    }
    assert!(torn > 30 && failed > 20 && harmed > 60, "{torn} {failed} {harmed}");
}
