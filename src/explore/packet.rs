//! What travels: a message, and the entries that an `AppendEntries` carries.

use std::fmt;

use super::entry::{Entry, Payload};
use super::renaming::Renaming;
use crate::raft::{AppendOutcome, Message, Round, ServerId, VoteRefusal};

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Packet {
    pub(crate) from: ServerId,
    pub(crate) to: ServerId,
    pub(crate) message: Message,
    pub(crate) entries: Vec<Entry>,
}

impl Packet {
    /// A message as the explorer sends it: rounds are not told apart, nor is who told a candidate to
    /// stand.
    pub(crate) fn new(
        from: ServerId,
        to: ServerId,
        mut message: Message,
        entries: Vec<Entry>,
    ) -> Self {
        match &mut message {
            Message::AppendEntries(append) => append.round = Round(0),
            Message::AppendEntriesReply(reply) => reply.round = Round(0),
            Message::TimeoutNow(order) => order.round = Round(0),
            Message::RequestVote(request) => request.forced = None,
            _ => {}
        }
        Self { from, to, message, entries }
    }

    /// The same message between servers of other names.
    pub(crate) fn renamed(&self, renaming: &Renaming) -> Self {
        let mut packet = self.clone();
        packet.from = renaming.name(self.from);
        packet.to = renaming.name(self.to);
        if let Message::RequestVoteReply(reply) = &mut packet.message
            && let Err(VoteRefusal::LeaderAlive(named) | VoteRefusal::AlreadyVoted(named)) =
                &mut reply.vote
        {
            *named = renaming.name(*named);
        }
        for entry in &mut packet.entries {
            if let Payload::Configuration(configuration) = &mut entry.payload {
                *configuration = configuration.renamed(|id| renaming.name(id)).into();
            }
        }
        packet
    }

    pub(crate) fn is_refusal(&self) -> bool {
        match &self.message {
            Message::RequestVoteReply(reply) => reply.vote.is_err(),
            Message::AppendEntriesReply(reply) => {
                matches!(reply.outcome, AppendOutcome::Rejected { .. })
            }
            _ => false,
        }
    }

    /// Whether its receiver has no use for it any more once it has left its term.
    pub(crate) fn is_of_one_term(&self) -> bool {
        matches!(
            self.message,
            Message::RequestVoteReply(_)
                | Message::AppendEntriesReply(_)
                | Message::TimeoutNow(_)
                | Message::Rejoin(_)
                | Message::RejoinReply(_)
        )
    }

    /// Whether it says that its sender recovers.
    pub(crate) fn is_of_a_recovery(&self) -> bool {
        match &self.message {
            Message::AppendEntriesReply(reply) => reply.recovering,
            Message::Rejoin(_) => true,
            _ => false,
        }
    }

    /// Whether whoever receives it in its term begins the next one.
    pub(crate) fn begins_a_term(&self) -> bool {
        matches!(self.message, Message::TimeoutNow(_))
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounds are all the same here.
        let text = self.message.to_string();
        f.write_str(&text.replace(" round=0", ""))
    }
}
