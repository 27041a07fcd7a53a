//! A server's disk: writes are asked for, done later in that order, and lost at a crash if they
//! are not done yet.

use std::collections::VecDeque;

use bytes::Bytes;
use jangada::raft::{Entry, Index, Payload, Persistent, ServerId, Term};

/// What one server keeps, and what it has asked to keep.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    /// On disk: survives a crash.
    pub(crate) term: Term,
    pub(crate) voted_for: Option<ServerId>,
    pub(crate) log: Vec<Entry>,
    /// Asked for, oldest first.
    pub(crate) staged: VecDeque<Write>,
    /// Writes stay undone until a test says otherwise.
    pub(crate) stalled: bool,
    /// Votes ever asked for, and done.
    votes: (u64, u64),
}

/// One write.
#[derive(Clone)]
pub(crate) enum Write {
    Vote { term: Term, voted_for: Option<ServerId> },
    Log { asked_in: Term, first: Index, entries: Vec<Entry> },
}

impl Disk {
    /// A disk that has kept a term, a vote and empty commands of these terms.
    pub(crate) fn with(term: u64, voted_for: Option<ServerId>, terms: &[u64]) -> Self {
        let entry =
            |term: &u64| Entry { term: Term(*term), payload: Payload::Command(Bytes::new()) };
        let log = terms.iter().map(entry).collect();
        Self { term: Term(term), voted_for, log, ..Self::default() }
    }

    pub(crate) fn ask(&mut self, write: Write) {
        if matches!(write, Write::Vote { .. }) {
            self.votes.0 += 1;
        }
        self.staged.push_back(write);
    }

    /// Does the oldest write, and returns it.
    pub(crate) fn do_one(&mut self) -> Option<Write> {
        let write = self.staged.pop_front()?;
        match &write {
            Write::Vote { term, voted_for } => {
                (self.term, self.voted_for) = (*term, *voted_for);
                self.votes.1 += 1;
            }
            Write::Log { first, entries, .. } => {
                self.log.truncate(first.previous().0 as usize);
                self.log.extend(entries.iter().cloned());
            }
        }
        Some(write)
    }

    /// The term and the vote that it was last asked to keep.
    pub(crate) fn last_vote(&self) -> (Term, Option<ServerId>) {
        let vote = |write: &Write| match write {
            Write::Vote { term, voted_for } => Some((*term, *voted_for)),
            Write::Log { .. } => None,
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
            log: self.log.iter().map(Entry::meta).collect(),
        }
    }
}
