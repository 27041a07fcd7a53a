//! Term, vote and log are on stable storage before anything is said on their strength (figure 2),
//! and stay there.

use super::cluster::{Server, Vote};
use super::fact::Stamp;
use super::violation::{Check, Property};
use crate::raft::{AppendOutcome, Message, ServerId};

/// A server sends a message.
pub(super) fn sent(server: &Server, to: ServerId, message: &Message) -> Check {
    let property = Property::StableStorage;
    let (id, kept) = (server.id, server.kept_vote);
    let candidate = match message {
        // Asks or answers about a term that the sender need not have entered.
        Message::RequestVote(request) if request.pre_vote => return Ok(()),
        Message::RequestVoteReply(reply) if reply.pre_vote => return Ok(()),
        Message::RequestVote(_) => Some(id),
        Message::RequestVoteReply(reply) if reply.vote.is_ok() => Some(to),
        Message::AppendEntriesReply(reply) => {
            if let AppendOutcome::Matched(index) = reply.outcome {
                let last = server.on_disk();
                property.holds(index <= last, || {
                    format!("{id} tells {to} that it has {index}, but its disk has up to {last}")
                })?;
            }
            None
        }
        _ => None,
    };
    let term = message.term();
    property.holds(term <= kept.term, || {
        format!("{id} speaks to {to} in term {term}, but its disk has term {}", kept.term)
    })?;
    // A vote of an earlier term was there before that of the later one.
    let voted = candidate.is_none() || term < kept.term || candidate == kept.voted_for;
    property.holds(voted, || {
        let candidate = candidate.unwrap_or(to);
        format!("{id} votes for {candidate} in term {term}, but the vote is not on its disk")
    })
}

/// A server is about to start from this disk: all that the disk had is still there. A server must
/// not start from one that lost some of it.
pub(super) fn started(server: &Server, vote: Vote, log: &[Stamp]) -> Check {
    let property = Property::StableStorage;
    let (id, kept, last) = (server.id, server.kept_vote, server.on_disk());
    let logged = log.last().is_some_and(|entry| entry.term >= kept.term);
    property.holds(vote.term >= kept.term || logged, || {
        format!("{id} starts in term {}, but its disk had term {}", vote.term, kept.term)
    })?;
    let forgotten =
        vote.term == kept.term && kept.voted_for.is_some() && vote.voted_for != kept.voted_for;
    property.holds(!forgotten, || format!("{id} starts without its vote of term {}", kept.term))?;
    let chain = log.iter().take(last.0 as usize).fold(0, |before, entry| entry.chain(before));
    let whole = log.len() as u64 >= last.0 && server.has(last, Some(chain));
    property.holds(whole, || {
        format!("{id} starts with {} entries, but its disk had others, up to {last}", log.len())
    })
}
