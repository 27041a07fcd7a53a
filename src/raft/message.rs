//! What servers say to each other: the RPCs of figure 2, each way a message of its own, because
//! nobody waits for an answer. Losing, doubling, delaying or reordering any of them is part of
//! the model.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Index, Position, Round, ServerId, Term};

/// Asks for a vote (section 5.2), or whether one would be given (pre-vote, thesis 9.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RequestVote {
    /// The candidate's term; for a pre-vote, the term it would stand in.
    pub term: Term,
    /// The candidate's last entry (section 5.4.1).
    pub last_log: Position,
    /// Only asks: nobody's term or vote changes by it.
    pub pre_vote: bool,
    /// Told to stand by an operator or by the leader itself: servers that hear from a leader
    /// answer all the same (thesis 4.2.3).
    pub forced: bool,
}

/// The answer to [`RequestVote`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RequestVoteReply {
    /// The voter's term; for a granted pre-vote, the term that was asked for.
    pub term: Term,
    /// Whether a pre-vote is answered.
    pub pre_vote: bool,
    /// Granted, or refused and why.
    pub vote: Result<(), VoteRefusal>,
}

/// Why a server does not give its vote.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum VoteRefusal {
    /// The candidate's term is over.
    StaleTerm,
    /// The voter hears from a leader.
    LeaderAlive(ServerId),
    /// The vote of this term went to another.
    AlreadyVoted(ServerId),
    /// The candidate's log lacks entries that the voter has (section 5.4.1).
    LogBehind,
}

/// Replicates entries; without any it is the heartbeat (section 5.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// The entry before the first one sent (`prev_log_index`, `prev_log_term`).
    pub prev_log: Position,
    /// The last entry sent: the message carries those of indexes `prev_log.index + 1..=last`.
    pub last: Index,
    /// The leader's `commit_index`.
    pub leader_commit: Index,
    /// The heartbeat round it belongs to.
    pub round: Round,
}

/// The answer to [`AppendEntries`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The follower's term.
    pub term: Term,
    /// The latest round of this leader that the follower has heard.
    pub round: Round,
    /// How the logs compare.
    pub outcome: AppendOutcome,
}

/// How a follower's log compares to its leader's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// Every entry up to here is the leader's and is on the follower's disk.
    Matched(Index),
    /// The follower's log does not hold `prev_log`.
    Rejected {
        /// The index of the `prev_log` that was refused.
        prev: Index,
        /// The follower's last entry that may agree: it is no later than `prev_log` in index and
        /// in term. The leader skips to it at once (end of section 5.3).
        hint: Position,
    },
}

/// Asks the leader from which index on a read is linearizable (thesis 6.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ReadIndex {
    /// The asking server's term.
    pub term: Term,
    /// The read, as its server knows it.
    pub ticket: Ticket,
}

/// The answer to [`ReadIndex`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ReadIndexReply {
    /// The answering server's term.
    pub term: Term,
    /// The read that was asked for.
    pub ticket: Ticket,
    /// A state machine that has applied this index has everything that was committed when the
    /// read began; `None` if the asked server cannot tell because it does not lead.
    pub index: Option<Index>,
}

/// A read's number, unique among all reads that one server ever begins.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Ticket(pub u64);

/// Any message between servers. The entries of an `AppendEntries` travel beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Message {
    /// See [`RequestVote`].
    RequestVote(RequestVote),
    /// See [`RequestVoteReply`].
    RequestVoteReply(RequestVoteReply),
    /// See [`AppendEntries`].
    AppendEntries(AppendEntries),
    /// See [`AppendEntriesReply`].
    AppendEntriesReply(AppendEntriesReply),
    /// See [`ReadIndex`].
    ReadIndex(ReadIndex),
    /// See [`ReadIndexReply`].
    ReadIndexReply(ReadIndexReply),
}

impl Message {
    /// The term that every message carries (section 5.1).
    pub fn term(&self) -> Term {
        match self {
            Message::RequestVote(message) => message.term,
            Message::RequestVoteReply(message) => message.term,
            Message::AppendEntries(message) => message.term,
            Message::AppendEntriesReply(message) => message.term,
            Message::ReadIndex(message) => message.term,
            Message::ReadIndexReply(message) => message.term,
        }
    }
}

macro_rules! message_from {
    ($($kind:ident)*) => {
        $(impl From<$kind> for Message {
            fn from(message: $kind) -> Self {
                Message::$kind(message)
            }
        })*
    };
}

message_from! {
    RequestVote RequestVoteReply AppendEntries AppendEntriesReply ReadIndex ReadIndexReply
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::RequestVote(message) => message.fmt(f),
            Message::RequestVoteReply(message) => message.fmt(f),
            Message::AppendEntries(message) => message.fmt(f),
            Message::AppendEntriesReply(message) => message.fmt(f),
            Message::ReadIndex(message) => message.fmt(f),
            Message::ReadIndexReply(message) => message.fmt(f),
        }
    }
}

impl fmt::Display for RequestVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.pre_vote { "RequestPreVote" } else { "RequestVote" };
        write!(f, "{name} term={} last={}", self.term, self.last_log)?;
        if self.forced { f.write_str(" forced") } else { Ok(()) }
    }
}

impl fmt::Display for RequestVoteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.pre_vote { "RequestPreVoteReply" } else { "RequestVoteReply" };
        write!(f, "{name} term={} ", self.term)?;
        match self.vote {
            Ok(()) => f.write_str("granted"),
            Err(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

impl fmt::Display for VoteRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VoteRefusal::StaleTerm => f.write_str("stale term"),
            VoteRefusal::LeaderAlive(leader) => write!(f, "{leader} leads"),
            VoteRefusal::AlreadyVoted(candidate) => write!(f, "voted for {candidate}"),
            VoteRefusal::LogBehind => f.write_str("candidate's log is behind"),
        }
    }
}

impl fmt::Display for AppendEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendEntries term={} prev={}", self.term, self.prev_log)?;
        if self.last > self.prev_log.index {
            write!(f, " entries={}..{}", self.prev_log.index.next(), self.last)?;
        }
        write!(f, " commit={} round={}", self.leader_commit, self.round)
    }
}

impl fmt::Display for AppendEntriesReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendEntriesReply term={} ", self.term)?;
        match self.outcome {
            AppendOutcome::Matched(index) => write!(f, "matched={index}")?,
            AppendOutcome::Rejected { prev, hint } => write!(f, "rejected={prev} hint={hint}")?,
        }
        write!(f, " round={}", self.round)
    }
}

impl fmt::Display for ReadIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadIndex term={} read={}", self.term, self.ticket.0)
    }
}

impl fmt::Display for ReadIndexReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadIndexReply term={} read={} ", self.term, self.ticket.0)?;
        match self.index {
            Some(index) => write!(f, "index={index}"),
            None => f.write_str("refused"),
        }
    }
}
