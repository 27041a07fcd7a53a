//! Term, vote and log are on stable storage before anything is said on their strength (figure 2),
//! and stay there.

use super::cluster::Cluster;
use super::server::{Server, Start};
use super::violation::{Check, Property};
use crate::raft::{AppendOutcome, Message, ServerId};

/// A server sends a message.
pub(super) fn sent(server: &Server, to: ServerId, message: &Message) -> Check {
    if server.recovering {
        recovering(server, to, message)?;
    }
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

/// A server that recovers does not know what it promised: it promises nothing and says so.
fn recovering(server: &Server, to: ServerId, message: &Message) -> Check {
    let counts = match message {
        Message::RequestVote(request) => !request.pre_vote,
        Message::RequestVoteReply(reply) => !reply.pre_vote && reply.vote.is_ok(),
        Message::AppendEntriesReply(reply) => !reply.recovering,
        Message::InstallSnapshotReply(reply) => !reply.recovering,
        _ => false,
    };
    Property::StableStorage.holds(!counts, || {
        format!("{} has lost its disk, has not recovered, and tells {to}: {message}", server.id)
    })
}

/// A server is about to start from this disk: all that the disk had is still there. A server must
/// not start from one that lost some of it, unless it lost all, and recovers from a quorum.
pub(super) fn started(cluster: &Cluster, server: &Server, start: &Start<'_>) -> Check {
    // It may have lost all of it unseen, and gone on since.
    if start.recovering && (start.is_formatted() || server.unseen) {
        return Ok(());
    }
    let property = Property::StableStorage;
    let (id, kept, last) = (server.id, server.kept_vote, server.on_disk());
    // What was not committed may have been replaced while nobody looked.
    let last = if server.unseen { last.min(cluster.commit_index()) } else { last };
    let Start { vote, snapshot, base, .. } = *start;
    let logged = start.log.last().is_some_and(|entry| entry.term >= kept.term);
    property.holds(vote.term >= kept.term || logged, || {
        format!("{id} starts in term {}, but its disk had term {}", vote.term, kept.term)
    })?;
    let forgotten =
        vote.term == kept.term && kept.voted_for.is_some() && vote.voted_for != kept.voted_for;
    property.holds(!forgotten, || format!("{id} starts without its vote of term {}", kept.term))?;
    let kept_snapshot = server.kept_snapshot;
    property.holds(snapshot >= kept_snapshot, || {
        format!("{id} starts with a snapshot up to {snapshot}; its disk had one to {kept_snapshot}")
    })?;
    // What its log stands on is committed, and so the same.
    let chain = start.chain(cluster.committed(base.index), last);
    let replaced = server.unseen && !server.has(last, cluster.committed(last));
    let whole = replaced || start.last() >= last && (last <= base.index || server.has(last, chain));
    property.holds(whole, || {
        let entries = start.log.len();
        format!("{id} starts with {entries} entries, but its disk had others, up to {last}")
    })?;
    let recovered = start.recovering || server.may_have_recovered() || server.unseen;
    property.holds(recovered, || format!("{id} starts as if it had recovered, and has not"))?;
    property.holds(!start.recovering || server.recovering, || {
        format!("{id} starts as if it had lost its disk, and has not")
    })
}
