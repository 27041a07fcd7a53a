//! Each server will vote for at most one candidate in a given term (section 5.2), whatever
//! crashes and whatever its disk remembers: what counts is what it told others.

use std::collections::BTreeMap;

use super::cluster::Vote;
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{Message, ServerId, Term};

/// The latest vote that each server gave.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct OneVoteATerm {
    given: BTreeMap<ServerId, (Term, ServerId)>,
}

impl OneVoteATerm {
    /// A server sends a message, which may give its vote to another, or show that it stands
    /// itself.
    pub(super) fn sent(&mut self, voter: ServerId, to: ServerId, message: &Message) -> Check {
        let (term, candidate) = match message {
            Message::RequestVote(request) if !request.pre_vote => (request.term, voter),
            Message::RequestVoteReply(reply) if !reply.pre_vote && reply.vote.is_ok() => {
                (reply.term, to)
            }
            _ => return Ok(()),
        };
        let property = Property::OneVoteATerm;
        if let Some((latest, earlier)) = self.given.get(&voter) {
            property.holds(term >= *latest, || {
                format!("{voter} votes in term {term} after it voted in term {latest}")
            })?;
            property.holds(term > *latest || candidate == *earlier, || {
                format!("{voter} votes for {candidate} and for {earlier} in term {term}")
            })?;
        }
        self.given.insert(voter, (term, candidate));
        Ok(())
    }

    /// A server has lost its disk and says so. Until it has recovered from a quorum it gives no
    /// vote; then nobody wins any more with one that it gave before.
    pub(super) fn forget(&mut self, server: ServerId) {
        self.given.remove(&server);
    }

    /// A server is about to write its vote.
    pub(super) fn written(server: &Server, vote: Vote) -> Check {
        let unset = vote.term != server.vote.term || server.vote.voted_for.is_none();
        Property::OneVoteATerm.holds(unset || vote.voted_for == server.vote.voted_for, || {
            format!("{} changes its vote of term {}", server.id, vote.term)
        })
    }
}
