use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};

/// A log in memory: consecutive entries, the first at index `first`.
///
/// The cheapest kind there is, so that what is measured is the library above it. The caller keeps
/// it short by purging what a snapshot covers.
#[derive(Debug)]
pub struct Log<E> {
    first: u64,
    entries: VecDeque<E>,
}

impl<E: Clone> Log<E> {
    /// An empty log whose first entry will have index `first`.
    pub fn starting_at(first: u64) -> Self {
        Self { first, entries: VecDeque::new() }
    }

    /// Index of the first entry held, or of the next one if none is.
    pub fn first_index(&self) -> u64 {
        self.first
    }

    /// Index that the next appended entry will have.
    pub fn next_index(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The entry at `index`, unless it was purged or is yet to come.
    pub fn get(&self, index: u64) -> Option<&E> {
        self.entries.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// The last entry.
    pub fn last(&self) -> Option<&E> {
        self.entries.back()
    }

    /// Appends `entries` at [`Log::next_index`].
    pub fn append(&mut self, entries: impl IntoIterator<Item = E>) {
        self.entries.extend(entries);
    }

    /// The entries of `range` that are held.
    pub fn iter(&self, range: impl RangeBounds<u64>) -> impl Iterator<Item = &E> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last + 1,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        let end = self.offset(end);
        self.entries.range(self.offset(start).min(end)..end)
    }

    /// Drops the entries from `index` on.
    pub fn truncate(&mut self, index: u64) {
        self.entries.truncate(self.offset(index));
    }

    /// Drops the entries before `index`; the log then starts there.
    pub fn purge(&mut self, index: u64) {
        self.entries.drain(..self.offset(index));
        self.first = self.first.max(index);
    }

    fn offset(&self, index: u64) -> usize {
        usize::try_from(index.saturating_sub(self.first))
            .map_or(self.entries.len(), |offset| offset.min(self.entries.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(log: &Log<u64>, range: impl RangeBounds<u64>) -> Vec<u64> {
        log.iter(range).copied().collect()
    }

    #[test]
    fn ranges_are_cut_to_what_is_held() {
        let mut log = Log::starting_at(1);
        log.append(1..=5);
        assert_eq!(held(&log, 2..4), [2, 3]);
        assert_eq!(held(&log, 4..9), [4, 5]);
        assert_eq!(held(&log, ..), [1, 2, 3, 4, 5]);
        assert!(held(&log, 7..9).is_empty());
        log.purge(3);
        assert_eq!(held(&log, 0..=3), [3]);
        assert_eq!((log.get(2), log.get(3), log.get(6)), (None, Some(&3), None));
    }

    #[test]
    fn purging_moves_the_start_and_truncating_the_end() {
        let mut log = Log::starting_at(1);
        log.append(1..=5);
        log.purge(3);
        log.truncate(5);
        assert_eq!((log.first_index(), log.next_index(), log.last()), (3, 5, Some(&4)));
        log.purge(9);
        assert_eq!((log.first_index(), log.next_index(), log.last()), (9, 9, None));
    }
}
