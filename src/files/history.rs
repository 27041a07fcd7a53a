//! The changes of late: what watchers follow, and what older versions are rebuilt from.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::file::File;
use super::limits::HistoryLimits;
use super::name::FileName;
use super::refusal::Refusal;

/// One change of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The log index of the entry that made it. A batch makes several.
    pub index: u64,
    /// The file.
    pub uuid: Uuid,
    /// Its name afterwards, or when it was deleted.
    pub name: FileName,
    /// Its revision afterwards, or when it was deleted.
    pub revision: u64,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a file. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was created.
    Created {
        /// Its size in bytes.
        size: u64,
        /// The file that had the name before, deleted by this change.
        replaced: Option<Uuid>,
    },
    /// It has grown.
    Appended {
        /// Bytes added.
        added: u64,
        /// Its size now, in bytes.
        size: u64,
    },
    /// It has another name.
    Renamed {
        /// The name it had.
        from: FileName,
    },
    /// It is gone.
    Deleted {
        /// The size it had, in bytes.
        size: u64,
    },
}

/// A change, and what it takes to undo it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) change: Change,
    pub(super) before: Before,
}

/// What a change has undone.
#[derive(Debug)]
pub(super) enum Before {
    /// Nothing; or a file that is forgotten by now.
    Nothing,
    /// The same file, last changed at this index.
    Changed(u64),
    /// The file that was deleted or replaced.
    Removed(Arc<File>),
}

/// The changes since an index. Bounded by [`HistoryLimits`]; what is beyond them is forgotten, and
/// nothing that is applied depends on it.
#[derive(Debug, Default)]
pub(super) struct History {
    limits: HistoryLimits,
    /// All changes behind this index are here.
    since: u64,
    records: VecDeque<Record>,
    /// How many records were forgotten: the number of the first that is here.
    forgotten: u64,
    /// The numbers of the records that hold a removed file.
    removals: VecDeque<u64>,
    /// Bytes in removed files.
    bytes: u64,
}

impl Record {
    /// What became of a file, which is this one now, or was when it was deleted.
    pub(super) fn new(
        index: u64,
        uuid: Uuid,
        file: &File,
        kind: ChangeKind,
        before: Before,
    ) -> Self {
        let (name, revision) = (file.name.clone(), file.revision());
        Self { change: Change { index, uuid, name, revision, kind }, before }
    }

    fn removed_bytes(&self) -> u64 {
        if let Before::Removed(file) = &self.before { file.size() } else { 0 }
    }
}

impl History {
    /// No changes, since `index`.
    pub(super) fn since(index: u64, limits: HistoryLimits) -> Self {
        Self { limits, since: index, ..Self::default() }
    }

    pub(super) fn limits(&self) -> &HistoryLimits {
        &self.limits
    }

    /// The index behind which all changes are known.
    pub(super) fn first(&self) -> u64 {
        self.since
    }

    /// The changes, oldest first.
    pub(super) fn records(&self) -> &VecDeque<Record> {
        &self.records
    }

    /// Bytes of removed files that are kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the changes of an entry, and forgets what is too much by then.
    pub(super) fn extend(&mut self, records: impl Iterator<Item = Record>) {
        for record in records {
            if matches!(record.before, Before::Removed(_)) {
                self.removals.push_back(self.forgotten + self.records.len() as u64);
                self.bytes += record.removed_bytes();
            }
            self.records.push_back(record);
        }
        while self.records.len() > self.limits.changes {
            self.forget_entry();
        }
        while self.bytes > self.limits.bytes {
            self.forget_content();
        }
    }

    /// Forgets the changes up to and including `index`.
    pub(super) fn forget_before(&mut self, index: u64) {
        while self.records.front().is_some_and(|record| record.change.index <= index) {
            self.forget_entry();
        }
        self.since = self.since.max(index);
    }

    /// The changes behind `after`, some `limit` of them, and the index to go on behind; `applied`
    /// is the last one there is.
    pub(super) fn changes(
        &self,
        after: u64,
        limit: usize,
        applied: u64,
    ) -> Result<(Vec<Change>, u64), Refusal> {
        if after < self.since {
            return Err(Refusal::HistoryGone { first: self.since });
        }
        let first = self.records.partition_point(|record| record.change.index <= after);
        let mut changes: Vec<Change> = Vec::new();
        let mut next = after;
        for Record { change, .. } in self.records.range(first..) {
            if changes.len() >= limit && change.index != next {
                return Ok((changes, next));
            }
            next = change.index;
            changes.push(change.clone());
        }
        Ok((changes, next.max(applied)))
    }

    /// Forgets the changes of the oldest entry.
    fn forget_entry(&mut self) {
        let Some(first) = self.records.front() else { return };
        self.since = first.change.index;
        while let Some(record) = self.records.front()
            && record.change.index == self.since
        {
            self.bytes -= record.removed_bytes();
            if self.removals.front() == Some(&self.forgotten) {
                self.removals.pop_front();
            }
            self.records.pop_front();
            self.forgotten += 1;
        }
    }

    /// Forgets the file that was removed first; the change stays.
    fn forget_content(&mut self) {
        let Some(number) = self.removals.pop_front() else { return };
        if let Some(record) = self.records.get_mut((number - self.forgotten) as usize) {
            self.bytes -= record.removed_bytes();
            record.before = Before::Nothing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, append, create, uuid};
    use super::super::{Answer, Command, FileStore, Limits, Query};
    use super::*;

    fn bench(changes: usize, bytes: u64) -> Bench {
        let mut bench = Bench::new();
        bench.store = bench.store.with_history(HistoryLimits { changes, bytes });
        bench
    }

    fn changes(bench: &Bench, after: u64, limit: u64) -> Result<(Vec<Change>, u64), Refusal> {
        match bench.query(&Query::Changes { after, limit })? {
            Answer::Changes { changes, next } => Ok((changes, next)),
            other => panic!("{other:?}"),
        }
    }

    fn indexes(bench: &Bench, after: u64, limit: u64) -> Result<(Vec<u64>, u64), Refusal> {
        let (changes, next) = changes(bench, after, limit)?;
        Ok((changes.iter().map(|change| change.index).collect(), next))
    }

    #[test]
    fn every_change_is_told_with_what_it_did() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"12").unwrap();
        bench.append("a", b"345").unwrap();
        bench.append("b", b"refused").unwrap_err();
        bench.run(Command::Rename { file: "a".into(), name: "b".into() }, b"").unwrap();
        let replace = match create(2, "b", 1) {
            Command::Create { uuid, name, size, upload, .. } => {
                Command::Create { uuid, name, size, upload, replace: true }
            }
            other => other,
        };
        bench.run(replace, b"x").unwrap();
        bench.stage(9, 0, b"ab").unwrap();
        let staged = Command::AppendStaged { file: "b".into(), upload: uuid(9), size: 2 };
        bench.run(staged, b"").unwrap();
        bench.run(Command::Delete { file: "b".into() }, b"").unwrap();
        let name = |text| FileName::new(text).unwrap();
        let change = |index, number, name, revision, kind| {
            let uuid = uuid(number);
            Change { index, uuid, name, revision, kind }
        };
        let created = |size, replaced| ChangeKind::Created { size, replaced };
        let all = vec![
            change(2, 1, name("a"), 1, created(2, None)),
            change(3, 1, name("a"), 2, ChangeKind::Appended { added: 3, size: 5 }),
            change(5, 1, name("b"), 3, ChangeKind::Renamed { from: name("a") }),
            change(6, 2, name("b"), 1, created(1, Some(uuid(1)))),
            change(8, 2, name("b"), 2, ChangeKind::Appended { added: 2, size: 3 }),
            change(9, 2, name("b"), 2, ChangeKind::Deleted { size: 3 }),
        ];
        assert_eq!(changes(&bench, 0, 100), Ok((all, 9)));
    }

    #[test]
    fn pages_leave_no_gap_and_tear_no_batch_apart() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        let (batch, data) = Command::batch(vec![(append("a"), &b"x"[..]); 3]);
        bench.run(batch, &data).unwrap();
        bench.append("a", b"y").unwrap();
        bench.append("none", b"").unwrap_err();
        assert_eq!(indexes(&bench, 0, 1), Ok((vec![2], 2)));
        assert_eq!(indexes(&bench, 0, 2), Ok((vec![2, 3, 3, 3], 3)));
        assert_eq!(indexes(&bench, 2, 1), Ok((vec![3, 3, 3], 3)));
        assert_eq!(indexes(&bench, 3, 1), Ok((vec![4], 5)));
        assert_eq!(indexes(&bench, 0, 0), Ok((vec![], 0)));
        // Nothing new, and a server that lags behind the one that was asked before.
        assert_eq!(indexes(&bench, 5, 1), Ok((vec![], 5)));
        assert_eq!(indexes(&bench, 70, 1), Ok((vec![], 70)));
        bench.store.note_applied(80);
        assert_eq!(indexes(&bench, 70, 1), Ok((vec![], 80)));
    }

    #[test]
    fn the_oldest_changes_are_forgotten_first() {
        let mut bench = bench(3, 1000);
        bench.create(1, "a", b"").unwrap();
        for _ in 0..3 {
            bench.append("a", b"x").unwrap();
        }
        assert_eq!(indexes(&bench, 1, 9), Err(Refusal::HistoryGone { first: 2 }));
        assert_eq!(indexes(&bench, 2, 9), Ok((vec![3, 4, 5], 5)));
        // A batch goes as a whole.
        let (batch, data) = Command::batch(vec![(append("a"), &b"x"[..]); 2]);
        bench.run(batch.clone(), &data).unwrap();
        bench.run(batch, &data).unwrap();
        assert_eq!(indexes(&bench, 5, 9), Err(Refusal::HistoryGone { first: 6 }));
        assert_eq!(indexes(&bench, 6, 9), Ok((vec![7, 7], 7)));
    }

    #[test]
    fn content_is_forgotten_before_the_change_that_removed_it() {
        let mut bench = bench(100, 5);
        for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
            bench.create(number, name, b"123").unwrap();
            bench.run(Command::Delete { file: name.into() }, b"").unwrap();
        }
        let (all, _) = indexes(&bench, 1, 100).unwrap();
        assert_eq!(all.len(), 6);
        assert_eq!(bench.store.history().bytes(), 3);
        let read = |file: &str, index| {
            let file = file.to_owned();
            bench.query(&Query::ReadAt { file, index, offset: 0, limit: 9 })
        };
        assert_eq!(read("b", 4), Err(Refusal::HistoryGone { first: 5 }));
        assert!(read("c", 6).is_ok());
        // Before it was created, nothing is missing.
        assert_eq!(read("b", 3), Err(Refusal::NoSuchFile { file: "b".into() }));
    }

    #[test]
    fn forgetting_begins_history_anew() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"1").unwrap();
        bench.append("a", b"2").unwrap();
        bench.run(Command::Delete { file: "a".into() }, b"").unwrap();
        bench.store.forget_before(3);
        assert_eq!(indexes(&bench, 2, 9), Err(Refusal::HistoryGone { first: 3 }));
        assert_eq!(indexes(&bench, 3, 9), Ok((vec![4], 4)));
        bench.store.forget_before(9);
        assert_eq!(bench.store.history().bytes(), 0);
        assert_eq!(indexes(&bench, 4, 9), Err(Refusal::HistoryGone { first: 9 }));
    }

    /// Each server may keep as much as it likes: answers and state are the same.
    #[test]
    fn history_has_no_part_in_what_is_applied() {
        let mut log = Bench::new();
        log.create(1, "a", b"1").unwrap();
        log.append("a", b"2").unwrap();
        log.run(Command::Delete { file: "a".into() }, b"").unwrap();
        log.create(1, "a", b"1").unwrap();
        let none = HistoryLimits { changes: 0, bytes: 0 };
        let mut other = FileStore::new(Limits::default()).with_history(none);
        let mut one = FileStore::new(Limits::default());
        for (index, payload) in (1..).zip(&log.log) {
            assert_eq!(one.apply(index, payload), other.apply(index, payload));
        }
        assert_eq!(one.state_hash(), other.state_hash());
    }
}
