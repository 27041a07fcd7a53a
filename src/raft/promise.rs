//! What a server owes to the leaders that it has heard from: for a while, to elect nobody else.

use serde::{Deserialize, Serialize};

use super::node::Node;
use super::role::{Follower, Role};
use super::{Force, RequestVote, ServerId, Time, VoteRefusal};

/// That a server elects nobody else for a while after it has heard from a leader (leader
/// stickiness, thesis 4.2.3). The leader's lease rests on it, so it outlives a new term, and a
/// restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(super) struct Promise {
    /// To whom; `None` if that was before it started, and is not known.
    pub(super) to: Option<ServerId>,
    pub(super) until: Time,
}

impl Node {
    /// Why electing `candidate` would break a promise: this server leads itself, or has heard from
    /// another leader within the shortest election timeout, or may have before it started.
    pub(super) fn bound_to_another(&self, candidate: ServerId, now: Time) -> Option<VoteRefusal> {
        match &self.role {
            _ if !self.options.check_quorum => None,
            Role::Leader(_) => Some(VoteRefusal::LeaderAlive(self.id)),
            Role::Follower(Follower { leader: Some(leader), .. })
                if leader.id != candidate
                    && (!leader.gone || self.options.leases)
                    && now.since(leader.heard_at) < self.options.timing.election_timeout_min =>
            {
                Some(VoteRefusal::LeaderAlive(leader.id))
            }
            _ => self.bound_before(candidate, now),
        }
    }

    /// The same, for the leaders that it follows no more.
    pub(super) fn bound_before(&self, candidate: ServerId, now: Time) -> Option<VoteRefusal> {
        let Promise { to, until } = self.promise;
        let bound = self.options.check_quorum && now < until && to != Some(candidate);
        bound.then(|| to.map_or(VoteRefusal::JustStarted, VoteRefusal::LeaderAlive))
    }

    /// Keeps what it promised to the leader whom it is about to forget.
    pub(super) fn note_promise(&mut self) {
        if let Role::Follower(Follower { leader: Some(leader), .. }) = &self.role
            && self.options.check_quorum
            && (!leader.gone || self.options.leases)
        {
            let until = leader.heard_at + self.options.timing.election_timeout_min;
            if until >= self.promise.until {
                self.promise = Promise { to: Some(leader.id), until };
            }
        }
    }

    /// Why a candidate is not even heard: another leader counts on this server, and did not tell
    /// the candidate to stand. An operator may overrule it.
    pub(super) fn objection(
        &self,
        candidate: ServerId,
        request: &RequestVote,
        now: Time,
    ) -> Option<VoteRefusal> {
        // What was given in this term is given; the vote itself says to whom.
        if !request.pre_vote && request.term == self.current_term && self.voted_for.is_some() {
            return None;
        }
        let round = match request.forced {
            None => return self.bound_to_another(candidate, now),
            Some(Force::Operator) => return None,
            // Whoever hands over in a later term has no other leader's lease to mind.
            Some(Force::Leader(_)) if request.term != self.current_term.next() => return None,
            Some(Force::Leader(round)) => round,
        };
        let (leader, latest) = match &self.role {
            Role::Leader(leader) => (self.id, leader.round),
            Role::Follower(Follower { leader: Some(leader), .. }) => (leader.id, leader.round),
            // It may have heard of a later round, and does not know.
            _ => return self.bound_before(candidate, now),
        };
        // Late: the leader has led on since, and may have a lease again.
        let led_on = self.options.check_quorum && latest > round;
        led_on.then_some(VoteRefusal::LeaderAlive(leader))
    }
}
