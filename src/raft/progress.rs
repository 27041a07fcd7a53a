//! What a leader knows of one peer, and how much it may have on the way to it.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    AppendEntriesReply, AppendOutcome, Fetched, Index, Position, Round, ServerId, Ticket, Time,
};
use crate::museum::{Bug, on};

/// A leader's view of one peer (`next_index` and `match_index` of figure 2). Always
/// `match_index < next_index`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) id: ServerId,
    /// The next entry to send. Starts behind the leader's last.
    pub(crate) next_index: Index,
    /// Every entry up to here is on the peer's disk. Starts at 0, never falls.
    pub(crate) match_index: Index,
    /// The latest heartbeat round that the peer has heard.
    pub(crate) round: Round,
    /// Its state machine has applied everything up to here.
    pub(crate) applied: Index,
    /// When it was last heard in this term; `None` if it never was.
    pub(crate) heard_at: Option<Time>,
    pub(crate) standing: Standing,
    /// What it is to have at the end of this round of catching up, and when that began (thesis
    /// 4.2.1); `None` of others than voters-to-be.
    pub(crate) catching_up: Option<(Index, Time)>,
    /// The latest round was quick.
    pub(crate) caught_up: bool,
    /// It is no member any more, and is told so until then.
    pub(crate) leaving: Option<Time>,
    pub(crate) flow: Flow,
}

/// Whether what a peer answers proves anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Standing {
    Counts,
    /// It does not know what it promised in an earlier life, and counts for nothing.
    Suspended,
    /// The same, and it was given this entry: once it has it, and has seen it committed, it counts.
    Given {
        life: Ticket,
        entry: Position,
    },
}

/// How entries go to a peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Flow {
    /// Where the logs agree is not known: one message, then an answer.
    Probe {
        /// A message is on its way. If it was lost, the answer to a heartbeat tells as much.
        waiting: bool,
    },
    /// The logs agree up to `next_index`, or are thought to: messages follow each other without
    /// waiting.
    Pipeline {
        /// The last index of each message that is not answered yet, ascending.
        unanswered: VecDeque<Index>,
    },
    /// The peer lacks entries that the log does not hold any more, and is offered the snapshot
    /// that ends with this entry.
    Snapshot {
        last_included: Position,
        /// What it has of it.
        have: Fetched,
    },
}

impl Progress {
    /// A peer that a new leader, whose last entry is at `last`, knows nothing of.
    pub(crate) fn new(id: ServerId, last: Index) -> Self {
        Self {
            id,
            next_index: last.next(),
            match_index: Index(0),
            round: Round(0),
            applied: Index(0),
            heard_at: None,
            standing: Standing::Counts,
            catching_up: None,
            caught_up: false,
            leaving: None,
            flow: Flow::Probe { waiting: false },
        }
    }

    /// Takes the peer's log for equal until it says otherwise: what comes right after an election
    /// does not wait for the answer to the no-op, a round trip in which nothing could be committed.
    pub(crate) fn trust(&mut self) {
        self.flow = Flow::Pipeline { unanswered: VecDeque::new() };
    }

    /// The peer's log agrees up to `index`. Returns whether that is news.
    pub(crate) fn matched(&mut self, index: Index) -> bool {
        let news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index.next());
        match &mut self.flow {
            Flow::Snapshot { last_included, .. } if index < last_included.index => {}
            // The peer holds `prev_log`, be it not on its disk yet: nothing is sent again.
            Flow::Probe { .. } | Flow::Snapshot { .. } => {
                self.flow = Flow::Pipeline { unanswered: VecDeque::new() }
            }
            Flow::Pipeline { unanswered } => {
                while unanswered.front().is_some_and(|last| *last <= self.match_index) {
                    unanswered.pop_front();
                }
            }
        }
        news
    }

    /// The peer refused `prev`; the logs may agree up to `agreed`. Returns whether this is an
    /// answer to what the leader believes now, and not a late one.
    pub(crate) fn rejected(&mut self, prev: Index, agreed: Index) -> bool {
        let current = match self.flow {
            Flow::Probe { .. } => prev == self.next_index.previous(),
            Flow::Pipeline { .. } if on(Bug::LostEntriesStayLost) => false,
            Flow::Pipeline { .. } => prev > self.match_index && prev < self.next_index,
            Flow::Snapshot { .. } => false,
        };
        let too_many = on(Bug::ManyConflictsLivelock) && self.next_index - agreed > 50;
        if current && !too_many {
            let next = agreed.max(self.match_index).next();
            // A peer that denies what it once confirmed has lost its disk: it is asked again with
            // the next heartbeat, not at once and for ever.
            self.flow = Flow::Probe { waiting: next == self.next_index };
            self.next_index = next;
        }
        current
    }

    /// Entries up to `last` are on their way.
    pub(crate) fn sent(&mut self, last: Index) {
        match &mut self.flow {
            Flow::Probe { waiting } => *waiting = true,
            Flow::Pipeline { unanswered } => {
                unanswered.push_back(last);
                self.next_index = last.next();
            }
            Flow::Snapshot { .. } => {}
        }
    }

    /// The entries that it lacks are not in the log any more.
    pub(crate) fn offer(&mut self, last_included: Position) {
        let again = matches!(self.flow, Flow::Snapshot { last_included: offered, .. }
            if offered == last_included);
        if !again {
            self.flow = Flow::Snapshot { last_included, have: Fetched::default() };
        }
    }

    /// Begins anew with a peer that has lost what it had.
    pub(crate) fn forget(&mut self, last: Index) {
        (self.match_index, self.next_index) = (Index(0), last.next());
        (self.applied, self.caught_up) = (Index(0), false);
        self.flow = Flow::Probe { waiting: false };
    }

    /// The log holds what comes next for it after all.
    pub(crate) fn needs_no_snapshot(&mut self) {
        if matches!(self.flow, Flow::Snapshot { .. }) {
            self.flow = Flow::Probe { waiting: false };
        }
    }

    /// Notes what an answer says of the peer itself.
    pub(crate) fn hear(&mut self, reply: &AppendEntriesReply, last: Index, now: Time) {
        self.heard_at = Some(now);
        let matched = match reply.outcome {
            AppendOutcome::Matched(index) => Some(index),
            AppendOutcome::Rejected { .. } => None,
        };
        match (reply.recovering, self.standing) {
            (true, Standing::Counts) => self.standing = Standing::Suspended,
            // It cannot have this entry in its earlier life.
            (false, Standing::Given { entry, .. }) if matched >= Some(entry.index) => {
                self.standing = Standing::Counts;
            }
            // Maybe of its earlier life: what it said in this one counted for nothing.
            (false, Standing::Suspended) => {
                self.forget(last);
                self.standing = Standing::Counts;
            }
            // It is as it was; or it has not got its entry, and until then nothing that it has
            // counts: maybe it is of its earlier life.
            (true, _) | (false, Standing::Counts | Standing::Given { .. }) => {}
        }
        self.applied = self.applied.max(reply.applied);
    }

    /// Every entry up to here is on the disk of a peer that counts.
    pub(crate) fn acknowledged(&self) -> Index {
        match self.counts() || on(Bug::CountsRecoveringServers) {
            true => self.match_index,
            false => Index(0),
        }
    }

    pub(crate) fn counts(&self) -> bool {
        self.standing == Standing::Counts
    }

    /// Whether it was heard within `patience`.
    pub(crate) fn is_alive(&self, now: Time, patience: Duration) -> bool {
        self.heard_at.is_some_and(|at| now.since(at) <= patience)
    }

    /// Whether it has been sent everything up to `last`, as far as is known.
    pub(crate) fn has_been_sent(&self, last: Index) -> bool {
        matches!(self.flow, Flow::Pipeline { .. }) && self.next_index > last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipelined(matched: u64, sent: &[u64]) -> Progress {
        let mut progress = Progress::new(ServerId(2), Index(matched));
        progress.matched(Index(matched));
        for last in sent {
            progress.sent(Index(*last));
        }
        progress
    }

    /// TRAPS 12: however late and contradictory the answers, next stays above match.
    #[test]
    fn trap_12_next_is_always_above_match() {
        let mut progress = pipelined(5, &[8, 10]);
        assert!(!progress.rejected(Index(4), Index(0)), "a late answer: 5 is known to match");
        assert!(progress.rejected(Index(10), Index(2)), "an answer to a lost message");
        assert_eq!(progress.next_index, Index(6));
        assert!(!progress.rejected(Index(10), Index(2)), "the same answer, doubled");
        assert!(progress.matched(Index(10)));
        assert_eq!((progress.match_index, progress.next_index), (Index(10), Index(11)));
        assert!(!progress.matched(Index(7)), "a late answer is no news");
        assert_eq!((progress.match_index, progress.next_index), (Index(10), Index(11)));
    }

    /// A peer that lost its disk refuses for ever. Asked at once each time, it would keep itself and
    /// the leader busy without end.
    #[test]
    fn a_peer_that_denies_what_it_had_is_asked_once_a_heartbeat() {
        let mut progress = pipelined(5, &[8]);
        assert!(progress.rejected(Index(8), Index(0)));
        assert_eq!(progress.flow, Flow::Probe { waiting: false });
        assert!(progress.rejected(Index(5), Index(0)), "5 was known to match");
        assert_eq!((progress.next_index, progress.flow), (Index(6), Flow::Probe { waiting: true }));
    }

    #[test]
    fn answers_free_the_window() {
        let mut progress = pipelined(5, &[6, 7, 8]);
        progress.matched(Index(7));
        assert_eq!(progress.flow, Flow::Pipeline { unanswered: VecDeque::from([Index(8)]) });
    }
}
