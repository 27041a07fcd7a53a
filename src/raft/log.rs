//! What the protocol knows of the log: the term and the size of every entry, not the entries.
//!
//! Always true:
//! - indexes run from 1 to `last().index` without a gap;
//! - terms never fall from one entry to the next;
//! - a run of equal terms is kept once, a size costs 8 bytes an entry.

use super::{EntryMeta, Index, Position, Term};

/// Terms and sizes of a log, from index 1 on.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Log {
    /// Where each term begins: its first entry's position, ascending.
    runs: Vec<Position>,
    /// The bytes of all payloads up to and including each entry.
    ends: Vec<u64>,
}

impl Log {
    /// The last entry's position; term 0, index 0 if there is none.
    pub(crate) fn last(&self) -> Position {
        let term = self.runs.last().map_or(Term(0), |run| run.term);
        Position::new(term, Index(self.ends.len() as u64))
    }

    /// The term of the entry at `index`: 0 for index 0, `None` behind the end.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index > self.last().index {
            return None;
        }
        Some(self.run_at(index).map_or(Term(0), |run| run.term))
    }

    /// Whether the log has this very entry. By log matching (section 5.3) it then agrees with
    /// every log that has it, up to there.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// The last entry that is no later than `bound` in index and in term.
    pub(crate) fn last_within(&self, bound: Position) -> Position {
        let index = bound.index.min(self.last().index);
        match self.run_at(index) {
            None => Position::default(),
            Some(run) if run.term <= bound.term => Position::new(run.term, index),
            Some(_) => {
                let next = self.runs.partition_point(|run| run.term <= bound.term);
                let end = self.runs[next].index.previous();
                Position::new(self.term_at(end).unwrap_or_default(), end)
            }
        }
    }

    /// The bytes of the payloads behind `after`, up to and including `last`.
    pub(crate) fn bytes_between(&self, after: Index, last: Index) -> u64 {
        self.end_of(last).saturating_sub(self.end_of(after))
    }

    /// The last entry of a batch that starts behind `after`: at most `entries` of them, and at
    /// most `bytes` unless the first alone is larger. `after` itself if the log ends there.
    pub(crate) fn batch_end(&self, after: Index, entries: u64, bytes: u64) -> Index {
        let limit = self.end_of(after).saturating_add(bytes);
        let longest = self.last().index.0.min(after.0.saturating_add(entries));
        if longest <= after.0 {
            return after;
        }
        let candidates = &self.ends[after.0 as usize..longest as usize];
        // Most batches fit whole.
        if candidates.last().is_some_and(|end| *end <= limit) {
            return Index(longest);
        }
        let fitting = candidates.partition_point(|end| *end <= limit) as u64;
        Index(after.0 + fitting.max(1))
    }

    /// Appends an entry.
    pub(crate) fn append(&mut self, entry: EntryMeta) {
        let last = self.last();
        assert!(entry.term >= last.term, "invariant: terms never fall along the log");
        if entry.term > last.term {
            self.runs.push(Position::new(entry.term, last.index.next()));
        }
        self.ends.push(self.end_of(last.index) + u64::from(entry.bytes));
    }

    /// Drops every entry from `first` on.
    pub(crate) fn truncate(&mut self, first: Index) {
        self.ends.truncate(first.previous().0 as usize);
        self.runs.retain(|run| run.index < first);
    }

    fn run_at(&self, index: Index) -> Option<Position> {
        match self.runs.last() {
            Some(run) if run.index <= index => Some(*run),
            _ => {
                let after = self.runs.partition_point(|run| run.index <= index);
                after.checked_sub(1).map(|place| self.runs[place])
            }
        }
    }

    fn end_of(&self, index: Index) -> u64 {
        index.0.checked_sub(1).and_then(|place| self.ends.get(place as usize)).map_or(0, |end| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for term in terms {
            log.append(EntryMeta { term: Term(*term), bytes: 10 });
        }
        log
    }

    fn at(term: u64, index: u64) -> Position {
        Position::new(Term(term), Index(index))
    }

    #[test]
    fn terms_and_ends() {
        let log = log(&[1, 1, 3, 3, 7]);
        assert_eq!(log.last(), at(7, 5));
        let terms: Vec<_> = (0..=6).map(|index| log.term_at(Index(index))).collect();
        assert_eq!(
            terms,
            [Some(0), Some(1), Some(1), Some(3), Some(3), Some(7), None].map(|term| term.map(Term))
        );
        assert!(log.contains(at(3, 4)) && !log.contains(at(3, 5)) && log.contains(at(0, 0)));
        assert_eq!(Log::default().last(), at(0, 0));
    }

    #[test]
    fn truncation_forgets_terms_that_began_behind() {
        let mut log = log(&[1, 1, 3, 3, 7]);
        log.truncate(Index(4));
        assert_eq!(log.last(), at(3, 3));
        log.truncate(Index(3));
        assert_eq!(log.last(), at(1, 2));
        log.truncate(Index(1));
        assert_eq!(log, Log::default());
    }

    #[test]
    fn the_last_entry_within_a_bound() {
        let log = log(&[1, 1, 3, 3, 7]);
        assert_eq!(log.last_within(at(9, 9)), at(7, 5));
        assert_eq!(log.last_within(at(6, 5)), at(3, 4));
        assert_eq!(log.last_within(at(3, 3)), at(3, 3));
        assert_eq!(log.last_within(at(2, 4)), at(1, 2));
        assert_eq!(log.last_within(at(0, 4)), at(0, 0));
        assert_eq!(Log::default().last_within(at(5, 5)), at(0, 0));
    }

    #[test]
    fn batches_are_bounded_in_entries_and_bytes() {
        let log = log(&[1; 10]);
        assert_eq!(log.batch_end(Index(2), 3, 1000), Index(5));
        assert_eq!(log.batch_end(Index(2), 100, 25), Index(4));
        assert_eq!(log.batch_end(Index(2), 100, 1), Index(3), "one at least");
        assert_eq!(log.batch_end(Index(10), 100, 1000), Index(10));
        assert_eq!(log.bytes_between(Index(2), Index(5)), 30);
    }
}
