//! A server's disk: writes are asked for, done later in that order, and lost at a crash if they
//! are not done yet.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use jangada::raft::{
    Configuration, Entry, Index, Payload, Persistent, Position, ServerId, SnapshotMeta, Term,
};

use super::snapshot::{Fetching, Snapshot};

/// What one server keeps, and what it has asked to keep.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    /// On disk: survives a crash.
    pub(crate) term: Term,
    pub(crate) voted_for: Option<ServerId>,
    /// The entry before the first of `log`.
    pub(crate) base: Position,
    pub(crate) log: Vec<Entry>,
    pub(crate) recovering: bool,
    /// Every snapshot that is whole, by its end, and the one that counts.
    pub(crate) snapshots: BTreeMap<Index, Snapshot>,
    pub(crate) current: Index,
    /// What has come of another's snapshot; no write of it waits.
    pub(crate) fetching: Fetching,
    /// Asked for, oldest first.
    pub(crate) staged: VecDeque<Write>,
    /// Writes stay undone until a test says otherwise.
    pub(crate) stalled: bool,
    /// Votes, and the like, ever asked for, and done.
    votes: (u64, u64),
}

/// One write.
#[derive(Clone)]
pub(crate) enum Write {
    Vote { term: Term, voted_for: Option<ServerId> },
    Recovered,
    Log { asked_in: Term, first: Index, entries: Vec<Entry> },
    Snapshot(Snapshot),
    Install { asked_in: Term, end: Position },
    Compact(Position),
}

impl Disk {
    /// A disk that has kept a term, a vote and empty commands of these terms.
    pub(crate) fn with(term: u64, voted_for: Option<ServerId>, terms: &[u64]) -> Self {
        let entry =
            |term: &u64| Entry { term: Term(*term), payload: Payload::Command(Bytes::new()) };
        let log = terms.iter().map(entry).collect();
        Self { term: Term(term), voted_for, log, ..Self::default() }
    }

    /// A disk that was formatted for a server that joins a cluster, or joins it again.
    pub(crate) fn joining() -> Self {
        let mut disk = Self { recovering: true, ..Self::default() };
        disk.keep(Snapshot { meta: SnapshotMeta::default(), state: Vec::new() });
        disk
    }

    /// Makes it one of a founding member, unless it is of another kind.
    pub(crate) fn found(&mut self, configuration: &Configuration) {
        if self.snapshots.is_empty() {
            let meta = SnapshotMeta::founding(configuration.clone());
            self.keep(Snapshot { meta, state: Vec::new() });
        }
    }

    /// Keeps a whole snapshot. Returns whether that is news.
    pub(crate) fn keep(&mut self, snapshot: Snapshot) -> bool {
        self.snapshots.insert(snapshot.meta.last_included.index, snapshot).is_none()
    }

    /// The snapshot that counts.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshots[&self.current]
    }

    pub(crate) fn ask(&mut self, write: Write) {
        if write.holds_messages() {
            self.votes.0 += 1;
        }
        self.staged.push_back(write);
    }

    /// Does the oldest write, and returns it.
    pub(crate) fn do_one(&mut self) -> Option<Write> {
        let write = self.staged.pop_front()?;
        if write.holds_messages() {
            self.votes.1 += 1;
        }
        match &write {
            Write::Vote { term, voted_for } => (self.term, self.voted_for) = (*term, *voted_for),
            Write::Recovered => self.recovering = false,
            Write::Log { first, entries, .. } => {
                self.log.truncate((first.previous() - self.base.index) as usize);
                self.log.extend(entries.iter().cloned());
            }
            Write::Snapshot(snapshot) => {
                self.current = snapshot.meta.last_included.index;
                self.keep(snapshot.clone());
            }
            Write::Install { end, .. } => {
                self.log.clear();
                (self.base, self.current) = (*end, end.index);
                self.snapshots.retain(|at, _| *at >= end.index);
            }
            Write::Compact(to) => {
                self.log.drain(..(to.index - self.base.index) as usize);
                self.base = *to;
                self.snapshots.retain(|at, _| *at >= to.index);
            }
        }
        Some(write)
    }

    /// The term and the vote that it was last asked to keep.
    pub(crate) fn last_vote(&self) -> (Term, Option<ServerId>) {
        let vote = |write: &Write| match write {
            Write::Vote { term, voted_for } => Some((*term, *voted_for)),
            _ => None,
        };
        self.staged.iter().rev().find_map(vote).unwrap_or((self.term, self.voted_for))
    }

    /// How many votes have been asked for: what is said now waits for as many to be done.
    pub(crate) fn votes_asked(&self) -> u64 {
        self.votes.0
    }

    pub(crate) fn votes_done(&self) -> u64 {
        self.votes.1
    }

    pub(crate) fn crash(&mut self) {
        self.staged.clear();
        self.votes.0 = self.votes.1;
    }

    pub(crate) fn load(&self) -> Persistent {
        Persistent {
            current_term: self.term,
            voted_for: self.voted_for,
            snapshot: self.snapshot().meta.clone(),
            base: self.base,
            log: self.log.iter().map(Entry::meta).collect(),
            recovering: self.recovering,
        }
    }

    /// Everything that it can rebuild: the state of its snapshot, and the log behind that.
    pub(crate) fn history(&self) -> Vec<Entry> {
        let state = &self.snapshot().state;
        let covered = state.len() - self.base.index.0 as usize;
        state.iter().chain(self.log.iter().skip(covered)).cloned().collect()
    }
}

impl Write {
    fn holds_messages(&self) -> bool {
        matches!(self, Write::Vote { .. } | Write::Recovered)
    }
}
