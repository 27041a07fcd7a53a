//! Whether two runs have the same trace, without keeping either.

use std::collections::BTreeMap;

use crate::raft::Time;

/// A trace so far: its lines, and a hash of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    /// How many lines there are.
    pub lines: u64,
    /// FNV-1a of their bytes.
    pub hash: u64,
}

/// What the trace of a timeline is known to be: 8 bytes for every 64 of its lines, and where it
/// was stopped.
#[derive(Clone, Default, Debug)]
pub(super) struct Marks {
    /// The hash after every [`DISTANCE`] lines.
    hashes: Vec<u64>,
    /// The fingerprints at the latest [`MAX_STOPS`] stops.
    stops: BTreeMap<Time, Fingerprint>,
    /// The line up to which the trace of another run differs.
    differs: Option<u64>,
}

/// Lines from one hash to the next.
const DISTANCE: u64 = 64;
/// Most stops that are remembered.
const MAX_STOPS: usize = 1000;

impl Default for Fingerprint {
    fn default() -> Self {
        Self { lines: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Fingerprint {
    /// Takes a line in, without its newline.
    pub(crate) fn add(&mut self, line: &[u8]) {
        const PRIME: u64 = 0x0100_0000_01b3;
        for byte in line.iter().chain(b"\n") {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
        self.lines += 1;
    }
}

impl Marks {
    /// A run has come so far.
    pub(super) fn pass(&mut self, trace: Fingerprint) {
        if !trace.lines.is_multiple_of(DISTANCE) {
            return;
        }
        let place = (trace.lines / DISTANCE - 1) as usize;
        match self.hashes.get(place) {
            Some(known) => self.compare(*known == trace.hash, trace),
            None => self.hashes.push(trace.hash),
        }
    }

    /// A run stops here.
    pub(super) fn stop(&mut self, at: Time, trace: Fingerprint) {
        match self.stops.get(&at) {
            Some(known) => self.compare(*known == trace, trace),
            None => {
                self.stops.insert(at, trace);
                if self.stops.len() > MAX_STOPS {
                    self.stops.pop_first();
                }
            }
        }
    }

    /// What comes later will be another story.
    pub(super) fn fork(&mut self, at: Time, trace: Fingerprint) {
        self.hashes.truncate((trace.lines / DISTANCE) as usize);
        self.stops.retain(|stop, _| *stop < at);
    }

    /// A line of the trace before which two runs differed, if they did; told once.
    pub(super) fn take_difference(&mut self) -> Option<u64> {
        self.differs.take()
    }

    fn compare(&mut self, same: bool, trace: Fingerprint) {
        if !same {
            self.differs.get_or_insert(trace.lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(lines: u64, word: &str) -> Fingerprint {
        let mut trace = Fingerprint::default();
        (0..lines).for_each(|_| trace.add(word.as_bytes()));
        trace
    }

    fn follow(marks: &mut Marks, lines: u64, word: &str) {
        (1..=lines).for_each(|line| marks.pass(trace(line, word)));
        marks.stop(Time::from_nanos(lines), trace(lines, word));
    }

    #[test]
    fn a_run_that_differs_is_told_once() {
        let mut marks = Marks::default();
        follow(&mut marks, 200, "same");
        follow(&mut marks, 200, "same");
        assert_eq!(marks.take_difference(), None);
        follow(&mut marks, 200, "other");
        assert_eq!(marks.take_difference(), Some(64));
        assert_eq!(marks.take_difference(), None);
    }

    #[test]
    fn a_stop_catches_what_lies_between_the_marks() {
        let mut marks = Marks::default();
        follow(&mut marks, 10, "same");
        follow(&mut marks, 10, "other");
        assert_eq!(marks.take_difference(), Some(10));
    }

    #[test]
    fn after_a_fork_another_story_is_no_difference() {
        let mut marks = Marks::default();
        follow(&mut marks, 200, "same");
        marks.fork(Time::from_nanos(0), trace(0, "same"));
        follow(&mut marks, 200, "other");
        assert_eq!(marks.take_difference(), None);
    }
}
