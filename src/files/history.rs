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
