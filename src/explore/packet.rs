//! What travels: a message, and the entries that an `AppendEntries` carries.

use std::fmt;

use super::renaming::Renaming;
use crate::invariants::Stamp;
use crate::raft::{AppendOutcome, EntryMeta, Message, Round, ServerId, VoteRefusal};

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Packet {
    pub(crate) from: ServerId,
    pub(crate) to: ServerId,
    pub(crate) message: Message,
    pub(crate) entries: Vec<Stamp>,
}

/// What the protocol knows of an entry. Its payload is the number of a client's command, or 0 for
/// a no-op.
pub(crate) fn meta(entry: &Stamp) -> EntryMeta {
    EntryMeta::new(entry.term, u32::from(entry.payload > 0))
}

impl Packet {
    /// A message as the explorer sends it: rounds are not told apart.
    pub(crate) fn new(
        from: ServerId,
        to: ServerId,
        mut message: Message,
        entries: Vec<Stamp>,
    ) -> Self {
        match &mut message {
            Message::AppendEntries(append) => append.round = Round(0),
            Message::AppendEntriesReply(reply) => reply.round = Round(0),
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

    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.message, Message::RequestVoteReply(_) | Message::AppendEntriesReply(_))
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounds are all the same here.
        let text = self.message.to_string();
        f.write_str(text.strip_suffix(" round=0").unwrap_or(&text))
    }
}
