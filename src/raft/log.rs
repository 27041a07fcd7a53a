//! What the protocol knows of the log: the term and the size of every entry, and the
//! configurations among them; not the entries.
//!
//! Always true:
//! - indexes run on from the base, which is no entry of this log, to `last().index` without a gap;
//! - terms never fall from one entry to the next;
//! - a run of equal terms is kept once, a size costs 8 bytes an entry;
//! - the first of the configurations holds at the base, and each other one from its entry on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Configuration, EntryMeta, Index, Position, SnapshotMeta, Term};
use crate::museum::{Bug, on};

/// Terms, sizes and configurations of a log.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "Kept", try_from = "Kept")]
pub(crate) struct Log {
    /// Where each term begins: its first entry's position, ascending. The first is the base.
    runs: Vec<Position>,
    /// The bytes of all payloads up to and including each entry behind the base.
    ends: Vec<u64>,
    /// The same at the base.
    bytes_before: u64,
    /// Every configuration that may still hold, with the place of its entry, ascending.
    configurations: Vec<(Index, Arc<Configuration>)>,
}

/// A log as it is written down: sizes, not where they end.
#[derive(Serialize, Deserialize)]
struct Kept {
    runs: Vec<Position>,
    sizes: Vec<u32>,
    bytes_before: u64,
    configurations: Vec<(Index, Arc<Configuration>)>,
}

impl From<Log> for Kept {
    fn from(log: Log) -> Self {
        let Log { runs, mut ends, bytes_before, configurations } = log;
        let starts = std::iter::once(bytes_before).chain(ends.iter().copied());
        let sizes = starts.zip(&ends).map(|(start, end)| (end - start) as u32).collect();
        ends.clear();
        Self { runs, sizes, bytes_before, configurations }
    }
}

impl TryFrom<Kept> for Log {
    type Error = &'static str;

    fn try_from(kept: Kept) -> Result<Self, Self::Error> {
        let Kept { runs, sizes, bytes_before, configurations } = kept;
        let ascend =
            |pair: &[Position]| pair[0].term < pair[1].term && pair[0].index < pair[1].index;
        let (Some(base), Some(latest)) = (runs.first(), runs.last()) else {
            return Err("a log stands on something");
        };
        let last = base.index.0.checked_add(sizes.len() as u64);
        if last.is_none_or(|last| last > u64::MAX / 2 || latest.index.0 > last) {
            return Err("a term begins in the log");
        }
        let ordered = configurations.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if configurations.is_empty() || !ordered || !runs.windows(2).all(ascend) {
            return Err("terms and configurations of a log ascend");
        }
        if bytes_before > u64::MAX / 2 {
            return Err("a log has been longer than any can be");
        }
        let mut log =
            Self { runs, ends: Vec::with_capacity(sizes.len()), bytes_before, configurations };
        log.append_sizes(sizes.into_iter());
        Ok(log)
    }
}

impl Log {
    /// An empty log behind `base`, which the snapshot covers.
    pub(crate) fn new(base: Position, snapshot: &SnapshotMeta) -> Self {
        let configuration = Arc::new(snapshot.configuration.clone());
        Self {
            runs: vec![base],
            ends: Vec::new(),
            bytes_before: 0,
            configurations: vec![(snapshot.configured_at, configuration)],
        }
    }

    /// The entry before the first one.
    pub(crate) fn base(&self) -> Position {
        self.runs[0]
    }

    /// The last entry's position; the base if there is none.
    pub(crate) fn last(&self) -> Position {
        let run = self.runs[self.runs.len() - 1];
        Position::new(run.term, Index(self.base().index.0 + self.ends.len() as u64))
    }

    /// The term of the entry at `index`, which may be the base; `None` before it and behind the
    /// end.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index > self.last().index {
            return None;
        }
        self.run_at(index).map(|run| run.term)
    }

    /// Whether the log has this very entry. By log matching (section 5.3) it then agrees with
    /// every log that has it, up to there.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// The last entry that is no later than `bound` in index and in term; none if that lies before
    /// the base.
    pub(crate) fn last_within(&self, bound: Position) -> Position {
        let index = bound.index.min(self.last().index);
        match self.run_at(index) {
            None => Position::default(),
            Some(run) if run.term <= bound.term => Position::new(run.term, index),
            Some(_) => match self.runs.partition_point(|run| run.term <= bound.term) {
                0 => Position::default(),
                next => Position::new(self.runs[next - 1].term, self.runs[next].index.previous()),
            },
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
        let candidates = &self.ends[self.place(after)..self.place(Index(longest))];
        // Most batches fit whole.
        if candidates.last().is_some_and(|end| *end <= limit) {
            return Index(longest);
        }
        let fitting = candidates.partition_point(|end| *end <= limit) as u64;
        Index(after.0 + fitting.max(1))
    }

    /// The earliest entry that may be the base, so that no more than these entries and bytes stand
    /// between it and `end`.
    pub(crate) fn tail_start(&self, end: Index, entries: u64, bytes: u64) -> Index {
        let base = self.base().index;
        let earliest = Index(end.0.saturating_sub(entries)).max(base);
        let limit = self.end_of(end).saturating_sub(bytes);
        let candidates = &self.ends[self.place(earliest)..self.place(end)];
        if self.end_of(earliest) >= limit {
            return earliest;
        }
        Index(earliest.0 + 1 + candidates.partition_point(|at| *at < limit) as u64).min(end)
    }

    /// For the museum: goes by the configuration of a log that is gone.
    pub(crate) fn keep_configuration_of(&mut self, before: &Log) {
        self.configurations = vec![(self.configured_at(), before.configuration().clone())];
    }

    /// The latest configuration in the log, committed or not: it is the one that counts
    /// (section 6).
    pub(crate) fn configuration(&self) -> &Arc<Configuration> {
        &self.configurations[self.configurations.len() - 1].1
    }

    /// Where the latest configuration stands.
    pub(crate) fn configured_at(&self) -> Index {
        self.configurations[self.configurations.len() - 1].0
    }

    /// All configurations that may still hold.
    pub(crate) fn configurations(&self) -> &[(Index, Arc<Configuration>)] {
        &self.configurations
    }

    /// The configuration that holds behind the entry at `index`, and where it stands.
    pub(crate) fn configuration_at(&self, index: Index) -> &(Index, Arc<Configuration>) {
        let later = self.configurations.partition_point(|(at, _)| *at <= index);
        &self.configurations[later.saturating_sub(1)]
    }

    /// Appends entries.
    pub(crate) fn append(&mut self, entries: &[EntryMeta]) {
        let Position { mut term, index } = self.last();
        self.append_sizes(entries.iter().map(|entry| entry.bytes));
        for (entry, at) in entries.iter().zip((index.0 + 1..).map(Index)) {
            if entry.term != term {
                term = entry.term;
                self.begin_run(Position::new(term, at));
            }
            // What a snapshot brought may be later than the entries that are read behind its base.
            if let Some(configuration) = &entry.configuration
                && at > self.configured_at()
            {
                self.configurations.push((at, configuration.clone()));
            }
        }
    }

    /// Appends commands of these sizes in bytes, created in `term`.
    pub(crate) fn append_commands(&mut self, term: Term, sizes: &[u32]) {
        let last = self.last();
        if term != last.term && !sizes.is_empty() {
            self.begin_run(Position::new(term, last.index.next()));
        }
        self.append_sizes(sizes.iter().copied());
    }

    fn begin_run(&mut self, first: Position) {
        let before = self.runs[self.runs.len() - 1].term;
        assert!(first.term > before, "invariant: terms never fall along the log");
        self.runs.push(first);
    }

    fn append_sizes(&mut self, sizes: impl Iterator<Item = u32>) {
        let mut end = self.ends.last().copied().unwrap_or(self.bytes_before);
        let ends = sizes.map(|bytes| {
            end += u64::from(bytes);
            end
        });
        self.ends.extend(ends);
    }

    /// Drops every entry from `first` on, and with them the configurations that they brought: the
    /// one before holds again (TRAPS 35).
    pub(crate) fn truncate(&mut self, first: Index) {
        self.ends.truncate(self.place(first.previous()));
        let base = self.base();
        self.runs.retain(|run| run.index < first || *run == base);
        if !on(Bug::KeepsTruncatedConfigurations) {
            let kept = self.configurations.partition_point(|(at, _)| *at < first);
            self.configurations.truncate(kept.max(1));
        }
    }

    /// Forgets every entry up to and including the one at `to`.
    pub(crate) fn compact(&mut self, to: Index) {
        let Some(term) = self.term_at(to) else { return };
        self.bytes_before = self.end_of(to);
        self.ends.drain(..self.place(to));
        self.runs.retain(|run| run.index > to);
        self.runs.insert(0, Position::new(term, to));
        let superseded = self.configurations.partition_point(|(at, _)| *at <= to).max(1) - 1;
        self.configurations.drain(..superseded);
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

    /// How many entries stand behind the base up to `index`.
    fn place(&self, index: Index) -> usize {
        (index - self.base().index) as usize
    }

    fn end_of(&self, index: Index) -> u64 {
        match self.place(index).checked_sub(1) {
            None => self.bytes_before,
            Some(place) => self.ends.get(place).copied().unwrap_or(self.bytes_before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Log {
        Log::new(Position::default(), &SnapshotMeta::default())
    }

    fn log(terms: &[u64]) -> Log {
        let mut log = empty();
        for term in terms {
            log.append(&[EntryMeta::new(Term(*term), 10)]);
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
        assert_eq!(empty().last(), at(0, 0));
    }

    #[test]
    fn truncation_forgets_terms_that_began_behind() {
        let mut log = log(&[1, 1, 3, 3, 7]);
        log.truncate(Index(4));
        assert_eq!(log.last(), at(3, 3));
        log.truncate(Index(3));
        assert_eq!(log.last(), at(1, 2));
        log.truncate(Index(1));
        assert_eq!(log, empty());
    }

    #[test]
    fn the_last_entry_within_a_bound() {
        let log = log(&[1, 1, 3, 3, 7]);
        assert_eq!(log.last_within(at(9, 9)), at(7, 5));
        assert_eq!(log.last_within(at(6, 5)), at(3, 4));
        assert_eq!(log.last_within(at(3, 3)), at(3, 3));
        assert_eq!(log.last_within(at(2, 4)), at(1, 2));
        assert_eq!(log.last_within(at(0, 4)), at(0, 0));
        assert_eq!(empty().last_within(at(5, 5)), at(0, 0));
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

    #[test]
    fn a_compacted_log_knows_what_it_has_and_says_nothing_of_the_rest() {
        let mut log = log(&[1, 1, 3, 3, 7]);
        let whole = log.clone();
        log.compact(Index(3));
        assert_eq!((log.base(), log.last()), (at(3, 3), at(7, 5)));
        let terms: Vec<_> = (2..=6).map(|index| log.term_at(Index(index))).collect();
        assert_eq!(terms, [None, Some(Term(3)), Some(Term(3)), Some(Term(7)), None]);
        assert_eq!(log.last_within(at(2, 4)), at(0, 0), "what lies before the base is not known");
        assert_eq!(log.last_within(at(3, 9)), at(3, 4));
        for after in 3..=5 {
            let end = |log: &Log| log.batch_end(Index(after), 9, 15);
            assert_eq!(end(&log), end(&whole));
            let bytes = |log: &Log| log.bytes_between(Index(after), Index(5));
            assert_eq!(bytes(&log), bytes(&whole));
        }
        log.truncate(Index(4));
        assert_eq!(log.last(), at(3, 3));
        log.append(&[EntryMeta::new(Term(9), 10)]);
        assert_eq!((log.last(), log.bytes_between(Index(3), Index(4))), (at(9, 4), 10));
        log.compact(Index(4));
        assert_eq!((log.base(), log.last()), (at(9, 4), at(9, 4)));
    }

    /// TRAPS 35 and 41: the latest configuration in the log holds; a removed one gives way to the
    /// one below, a snapshot's to a later entry, an earlier entry's to the snapshot's.
    #[test]
    fn trap_35_the_latest_configuration_in_the_log_holds() {
        let of = |server: u64| Configuration::new([super::super::ServerId(server)]);
        let entry = |server: u64| EntryMeta {
            configuration: Some(Arc::new(of(server))),
            ..EntryMeta::new(Term(1), 0)
        };
        let configured_at = Index(2);
        let snapshot =
            SnapshotMeta { last_included: at(1, 3), configuration: of(9), configured_at };
        let mut log = Log::new(at(0, 0), &snapshot);
        log.append(&[entry(1), entry(9), EntryMeta::new(Term(1), 5)]);
        assert_eq!((log.configured_at(), &**log.configuration()), (Index(2), &of(9)));
        log.append(&[entry(4), entry(5)]);
        assert_eq!(**log.configuration(), of(5));
        assert_eq!(*log.configuration_at(Index(4)).1, of(4));
        log.truncate(Index(5));
        assert_eq!((log.configured_at(), &**log.configuration()), (Index(4), &of(4)));
        log.compact(Index(4));
        assert_eq!(**log.configuration(), of(4), "the entry is gone, what it said is not");
        log.truncate(Index(5));
        assert_eq!(**log.configuration(), of(4));
    }
}
