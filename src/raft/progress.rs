//! What a leader knows of one peer, and how much it may have on the way to it.

use std::collections::VecDeque;

use super::{Index, Round, ServerId};
use crate::museum::{Bug, on};

/// A leader's view of one peer (`next_index` and `match_index` of figure 2). Always
/// `match_index < next_index`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Progress {
    pub(crate) id: ServerId,
    /// The next entry to send. Starts behind the leader's last.
    pub(crate) next_index: Index,
    /// Every entry up to here is on the peer's disk. Starts at 0, never falls.
    pub(crate) match_index: Index,
    /// The latest heartbeat round that the peer has heard.
    pub(crate) round: Round,
    pub(crate) flow: Flow,
}

/// How entries go to a peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Flow {
    /// Where the logs agree is not known: one message, then an answer.
    Probe {
        /// A message is on its way. If it was lost, the answer to a heartbeat tells as much.
        waiting: bool,
    },
    /// The logs agree up to `next_index`: messages follow each other without waiting.
    Pipeline {
        /// The last index of each message that is not answered yet, ascending.
        unanswered: VecDeque<Index>,
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
            flow: Flow::Probe { waiting: false },
        }
    }

    /// The peer's log agrees up to `index`. Returns whether that is news.
    pub(crate) fn matched(&mut self, index: Index) -> bool {
        let news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index.next());
        match &mut self.flow {
            // The peer holds `prev_log`, be it not on its disk yet: nothing is sent again.
            Flow::Probe { .. } => self.flow = Flow::Pipeline { unanswered: VecDeque::new() },
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
        }
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
