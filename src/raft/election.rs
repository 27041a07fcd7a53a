//! Elections: sections 5.2 and 5.4.1, pre-vote and leader stickiness (thesis 9.6 and 4.2.3).

use super::configuration::VoteCount;
use super::node::{Context, Node};
use super::role::Role;
use super::{
    Force, Message, Position, RequestVote, RequestVoteReply, ServerId, Term, VoteRefusal, Why,
};
use crate::museum::{Bug, on};

impl Node {
    /// Asks every other voter for its vote, and counts the ones there are: alone, its own is a
    /// majority.
    pub(super) fn solicit_votes(&mut self, context: &mut Context<'_>) {
        let (pre_vote, forced) = match &self.role {
            Role::PreCandidate(_) => (true, None),
            Role::Candidate(campaign) => (false, campaign.forced),
            Role::Follower(_) | Role::Leader(_) => return,
        };
        let term = if pre_vote { self.current_term.next() } else { self.current_term };
        let request = RequestVote { term, last_log: self.log.last(), pre_vote, forced };
        for voter in self.log.configuration().voters() {
            if voter != self.id {
                context.send(voter, Message::RequestVote(request));
            }
        }
        self.count_votes(context);
    }

    pub(super) fn on_request_vote(
        &mut self,
        from: ServerId,
        request: RequestVote,
        objection: Option<VoteRefusal>,
        early: bool,
        context: &mut Context<'_>,
    ) {
        let vote = match self.reason_to_refuse(from, &request, objection) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        };
        if vote.is_ok() && (!request.pre_vote || on(Bug::PreVoteIsAVote)) {
            self.vote_for(from, context);
        }
        // A granted pre-vote speaks of the term that was asked for, or a candidate that is behind
        // would take it for news of a higher term (TRAPS 48).
        let granted_pre_vote = vote.is_ok() && request.pre_vote;
        let term: Term = if granted_pre_vote { request.term } else { self.current_term };
        let early = early && vote.is_ok() && request.forced == Some(Force::Operator);
        let reply = RequestVoteReply { term, pre_vote: request.pre_vote, vote, early };
        context.send(from, Message::RequestVoteReply(reply));
    }

    fn reason_to_refuse(
        &self,
        candidate: ServerId,
        request: &RequestVote,
        objection: Option<VoteRefusal>,
    ) -> Option<VoteRefusal> {
        if self.recovery.is_some() {
            return Some(VoteRefusal::Recovering);
        }
        if objection.is_some() {
            return objection;
        }
        if self.is_ahead_of(request.last_log) && !on(Bug::VotesForAnyLog) {
            return Some(VoteRefusal::LogBehind);
        }
        if request.pre_vote {
            let past = request.term <= self.current_term;
            return past.then_some(VoteRefusal::StaleTerm);
        }
        match self.voted_for {
            Some(voted_for) if voted_for != candidate && !on(Bug::VotesTwice) => {
                Some(VoteRefusal::AlreadyVoted(voted_for))
            }
            _ => None,
        }
    }

    /// Whether this server's log is more up-to-date than one that ends with `last_log`
    /// (section 5.4.1).
    fn is_ahead_of(&self, last_log: Position) -> bool {
        let own = self.log.last();
        if on(Bug::ComparesLengthFirst) {
            return (own.index, own.term) > (last_log.index, last_log.term);
        }
        own > last_log
    }

    /// Gives its vote of this term; one of the three things that reset the election timer. To a
    /// candidate that has it already nothing is given: a doubled request buys no time.
    fn vote_for(&mut self, candidate: ServerId, context: &mut Context<'_>) {
        if self.voted_for == Some(candidate) {
            return;
        }
        self.save_vote(self.current_term, Some(candidate), context);
        if !matches!(self.role, Role::Follower(_)) {
            self.become_follower(self.current_term, None, Why::Voted(candidate), context);
        }
        let deadline = self.new_election_deadline(context);
        if let Role::Follower(follower) = &mut self.role {
            follower.election_deadline = deadline;
        }
    }

    pub(super) fn on_request_vote_reply(
        &mut self,
        from: ServerId,
        reply: RequestVoteReply,
        context: &mut Context<'_>,
    ) {
        let term = self.current_term;
        let (campaign, asked_for) = match &mut self.role {
            Role::PreCandidate(campaign) if reply.pre_vote => (campaign, term.next()),
            Role::Candidate(campaign) if !reply.pre_vote || on(Bug::CountsPreVotes) => {
                (campaign, term)
            }
            _ => return,
        };
        let of_another_term = reply.term != asked_for && !on(Bug::CountsVotesOfEarlierTerms);
        if reply.vote.is_ok() && of_another_term {
            return;
        }
        campaign.note_vote(from, reply.vote.is_ok());
        campaign.early |= reply.early;
        self.count_votes(context);
    }

    /// A lost election is left to the timer: a leader may be heard, or the next one be won.
    fn count_votes(&mut self, context: &mut Context<'_>) {
        let (Role::PreCandidate(campaign) | Role::Candidate(campaign)) = &self.role else {
            return;
        };
        let mut count = self.log.configuration().count_votes(|voter| campaign.vote_of(voter));
        if on(Bug::CountsAVoteTwice)
            && campaign.ballots() > self.log.configuration().voters().len() / 2
        {
            count = VoteCount::Won;
        }
        match (count, &self.role) {
            (VoteCount::Won, Role::PreCandidate(_)) => {
                self.become_candidate(None, Why::PreVotesWon, context);
            }
            (VoteCount::Won, _) => self.become_leader(context),
            (VoteCount::Lost | VoteCount::Open, _) => {}
        }
    }
}
