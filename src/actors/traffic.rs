//! What became of the messages between servers, counted.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::raft::{AppendOutcome, Message, RoleKind, ServerId, Time};

/// Counts of the messages between the servers of a sandbox, and a digest of them.
#[derive(Clone, Default, Debug)]
pub struct Traffic {
    /// Not sent on because the link was cut.
    pub cut: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Delivered a second time, later.
    pub doubled: u64,
    /// Held back so that later ones could overtake them.
    pub overtaken: u64,
    received: [[u64; Traffic::KINDS.len()]; Traffic::ROLES.len()],
    digest: DefaultHasher,
}

impl Traffic {
    /// The kinds of messages that are told apart.
    pub const KINDS: [&'static str; 16] = [
        "pre-vote request",
        "vote request",
        "pre-vote reply",
        "vote reply",
        "heartbeat",
        "entries",
        "matched",
        "rejected",
        "read index",
        "read index reply",
        "snapshot offer",
        "snapshot part",
        "snapshot reply",
        "timeout now",
        "rejoin",
        "rejoin reply",
    ];

    /// The roles of their receivers.
    pub const ROLES: [RoleKind; 4] =
        [RoleKind::Follower, RoleKind::PreCandidate, RoleKind::Candidate, RoleKind::Leader];

    /// How many messages of each kind (the second index, as in [`KINDS`](Self::KINDS)) were
    /// delivered to servers of each role (the first, as in [`ROLES`](Self::ROLES)).
    pub fn received(&self) -> &[[u64; Traffic::KINDS.len()]; Traffic::ROLES.len()] {
        &self.received
    }

    /// A number that two runs share only if the same messages were delivered at the same moments
    /// in the same order.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    pub(super) fn deliver(
        &mut self,
        at: Time,
        from: ServerId,
        to: ServerId,
        role: Option<RoleKind>,
        message: &Message,
    ) {
        if let Some(place) = Self::ROLES.iter().position(|known| Some(*known) == role) {
            self.received[place][kind(message)] += 1;
        }
        (at, from, to, message).hash(&mut self.digest);
    }
}

/// The place of a message's kind among [`Traffic::KINDS`].
fn kind(message: &Message) -> usize {
    match message {
        Message::RequestVote(request) => usize::from(!request.pre_vote),
        Message::RequestVoteReply(reply) => 2 + usize::from(!reply.pre_vote),
        Message::AppendEntries(append) => 4 + usize::from(append.last > append.prev_log.index),
        Message::AppendEntriesReply(reply) => match reply.outcome {
            AppendOutcome::Matched(_) => 6,
            AppendOutcome::Rejected { .. } => 7,
        },
        Message::ReadIndex(_) => 8,
        Message::ReadIndexReply(_) => 9,
        Message::InstallSnapshot(install) => 10 + usize::from(install.part.is_some()),
        Message::InstallSnapshotReply(_) => 12,
        Message::TimeoutNow(_) => 13,
        Message::Rejoin(_) => 14,
        Message::RejoinReply(_) => 15,
    }
}
