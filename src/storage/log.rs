//! The entries of a log in memory: every storage reads from there, whatever it writes to.

use std::collections::VecDeque;

use crate::raft::{Entries, EntryMeta, Index, Position, Term};

/// The entries, as the runs in which they came.
#[derive(Default)]
pub(super) struct MemoryLog {
    /// Each run with the index of its first entry, ascending and without a gap.
    runs: VecDeque<(Index, Entries)>,
    pub(super) last: Position,
}

impl MemoryLog {
    pub(super) fn append(&mut self, first: Index, entries: Entries) {
        assert_eq!(first, self.last.index.next(), "invariant: a log has no gap");
        let Some(last) = entries.last() else { return };
        let index = Index(self.last.index.0 + entries.len() as u64);
        self.last = Position::new(last.term, index);
        self.runs.push_back((first, entries));
    }

    /// Drops every entry from `first` on and returns them.
    pub(super) fn truncate(&mut self, first: Index) -> Entries {
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
        let term = self.runs.back().and_then(|(_, run)| run.last()).map_or(Term(0), |e| e.term);
        self.last = Position::new(term, first.previous());
        removed
    }

    pub(super) fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        let last = last.min(self.last.index);
        let mut result = Entries::default();
        if after >= last {
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
                bytes += u64::from(entry.meta().bytes);
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

    pub(super) fn metas(&self) -> impl Iterator<Item = EntryMeta> {
        self.runs.iter().flat_map(|(_, run)| run.iter()).map(crate::raft::Entry::meta)
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
