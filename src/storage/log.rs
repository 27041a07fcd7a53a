//! The entries of a log in memory: every storage reads from there, whatever it writes to.

use std::collections::VecDeque;

use crate::museum::{Bug, on};
use crate::raft::{Entries, Entry, EntryMeta, Index, Position, Term};

/// The entries behind a base, as the runs in which they came.
#[derive(Default)]
pub(super) struct MemoryLog {
    /// Each run with the index of its first entry, ascending and without a gap.
    runs: Runs,
    /// The entry before the first.
    pub(super) base: Position,
    pub(super) last: Position,
    /// The bytes of all payloads.
    bytes: u64,
}

type Runs = VecDeque<(Index, Entries)>;

/// What [`MemoryLog::compact`] dropped.
pub(super) struct Front {
    base: Position,
    runs: Runs,
}

impl MemoryLog {
    /// The empty log behind `base`.
    pub(super) fn behind(base: Position) -> Self {
        Self { runs: Runs::new(), base, last: base, bytes: 0 }
    }

    pub(super) fn append(&mut self, first: Index, entries: Entries) {
        assert_eq!(first, self.last.index.next(), "invariant: a log has no gap");
        let Some(last) = entries.last() else { return };
        let index = Index(self.last.index.0 + entries.len() as u64);
        self.last = Position::new(last.term, index);
        self.bytes += entries.bytes();
        self.runs.push_back((first, entries));
    }

    /// Drops every entry up to `to`, which must be in the log or its base.
    pub(super) fn compact(&mut self, to: Index) -> Front {
        let base = Position::new(self.term_at(to), to);
        let whole =
            self.runs.partition_point(|(first, run)| first.0 + run.len() as u64 <= to.0 + 1);
        let rest = self.runs.split_off(whole);
        let mut runs = std::mem::replace(&mut self.runs, rest);
        if let Some((first, run)) = self.runs.front_mut()
            && *first <= to
        {
            let cut = (to.next() - *first) as usize;
            runs.push_back((*first, run.slice(0, cut)));
            (*first, *run) = (to.next(), run.slice(cut, run.len()));
        }
        self.bytes -= runs.iter().map(|(_, run)| run.bytes()).sum::<u64>();
        Front { base: std::mem::replace(&mut self.base, base), runs }
    }

    /// Takes the last [`compact`](Self::compact) back.
    pub(super) fn restore(&mut self, front: Front) {
        self.base = front.base;
        for (first, run) in front.runs.into_iter().rev() {
            self.bytes += run.bytes();
            self.runs.push_front((first, run));
        }
    }

    /// Whether the log stays when a snapshot of its beginning is saved, and it may.
    pub(super) fn keeps(&self, last_included: Position, keep_log: bool) -> bool {
        let conflicts = on(Bug::KeepsLogBehindInstall) && last_included.index < self.last.index;
        keep_log || conflicts && last_included.index >= self.base.index
    }

    /// The term of an entry that must be in the log, or its base.
    fn term_at(&self, index: Index) -> Term {
        assert!(
            (self.base.index..=self.last.index).contains(&index),
            "invariant: entry {index} is in the log from {} to {}",
            self.base,
            self.last
        );
        if index == self.base.index {
            return self.base.term;
        }
        let (first, run) = &self.runs[self.run_of(index)];
        let entry = run.iter().nth((index - *first) as usize);
        entry.expect("invariant: runs have no gap").term
    }

    /// Drops every entry from `first` on, which lies behind the base, and returns them.
    pub(super) fn truncate(&mut self, first: Index) -> Entries {
        assert!(first > self.base.index, "invariant: what a snapshot covers is never replaced");
        let mut removed = Entries::default();
        if first > self.last.index {
            return removed;
        }
        let place = self.run_of(first);
        for (run_first, entries) in self.runs.split_off(place) {
            let keep = (first - run_first) as usize;
            if keep > 0 {
                self.runs.push_back((run_first, entries.slice(0, keep)));
            }
            removed.extend(entries.slice(keep, entries.len()));
        }
        let last = self.runs.back().and_then(|(_, run)| run.last());
        let term = last.map_or(self.base.term, |entry| entry.term);
        self.last = Position::new(term, first.previous());
        self.bytes -= removed.bytes();
        removed
    }

    /// As [`Storage::read`](super::Storage::read).
    pub(super) fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        let last = last.min(self.last.index);
        let mut result = Entries::default();
        if after >= last || after < self.base.index {
            return result;
        }
        let mut next = after.next();
        if max_bytes == u64::MAX
            && let Some((first, run)) = self.runs.get(self.run_of(next))
            && last - *first < run.len() as u64
        {
            // Nearly every message is one run.
            return run.slice((next - *first) as usize, (last.next() - *first) as usize);
        }
        let mut bytes = 0;
        for (first, run) in self.runs.range(self.run_of(next)..) {
            let start = (next - *first) as usize;
            let end = run.len().min((last.next() - *first) as usize);
            let mut fitting = if max_bytes == u64::MAX { end } else { start };
            for entry in run.iter().skip(fitting).take(end - fitting) {
                bytes += entry.bytes();
                if bytes > max_bytes && (fitting > start || !result.is_empty()) {
                    break;
                }
                fitting += 1;
            }
            result.extend(run.slice(start, fitting));
            next = Index(first.0 + fitting as u64);
            if fitting < end || next > last || bytes >= max_bytes {
                break;
            }
        }
        result
    }

    /// The bytes of all payloads.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn metas(&self) -> impl Iterator<Item = EntryMeta> {
        self.runs.iter().flat_map(|(_, run)| run.iter()).map(Entry::meta)
    }

    /// The place of the run that holds `index`, which must be in the log.
    fn run_of(&self, index: Index) -> usize {
        // Nearly every read is of what was written lately: look twice as far back each time, then
        // search what lies between.
        let starts_behind = |place: usize| self.runs[place].0 > index;
        let mut end = self.runs.len();
        let mut step = 1;
        while end > step && starts_behind(end - step) {
            end -= step;
            step *= 2;
        }
        let mut start = end.saturating_sub(step);
        while end - start > 1 {
            let middle = start + (end - start) / 2;
            if starts_behind(middle) {
                end = middle;
            } else {
                start = middle;
            }
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::Payload;

    fn run(sizes: &[usize]) -> Entries {
        let payload = |size: &usize| Payload::Command(Bytes::from(vec![0; *size]));
        sizes.iter().map(|size| Entry { term: Term(1), payload: payload(size) }).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_entries_that_are_there() {
        let mut log = MemoryLog::behind(Position::default());
        log.append(Index(1), run(&[1, 10, 100]));
        log.append(Index(4), run(&[1000, 10_000]));
        assert_eq!(log.bytes(), 11_111);
        log.truncate(Index(5));
        assert_eq!(log.bytes(), 1111);
        let front = log.compact(Index(2));
        assert_eq!(log.bytes(), 1100);
        log.truncate(Index(4));
        assert_eq!(log.bytes(), 100);
        log.append(Index(4), run(&[5]));
        log.compact(Index(3));
        assert_eq!(log.bytes(), 5);
        drop(front);
        let mut log = MemoryLog::behind(Position::default());
        log.append(Index(1), run(&[1, 10]));
        let front = log.compact(Index(1));
        log.restore(front);
        assert_eq!(log.bytes(), 11);
    }
}
