//! What servers say to each other: the RPCs of figure 2, each way a message of its own, because
//! nobody waits for an answer. Losing, doubling, delaying or reordering any of them is part of
//! the model.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ChunkId, Index, Position, Round, ServerId, Term};

/// Asks for a vote (section 5.2), or whether one would be given (pre-vote, thesis 9.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RequestVote {
    /// The candidate's term; for a pre-vote, the term it would stand in.
    pub term: Term,
    /// The candidate's last entry (section 5.4.1).
    pub last_log: Position,
    /// Only asks: nobody's term or vote changes by it.
    pub pre_vote: bool,
    /// Told to stand: servers that hear from a leader answer all the same (thesis 4.2.3).
    pub forced: Option<Force>,
}

/// Who tells a server to stand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Force {
    /// An operator.
    Operator,
    /// The leader of the term before, which hands over (thesis 3.10). It has begun no round after
    /// this one, and whoever has heard of a later one knows that it leads on.
    Leader(Round),
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
    /// Granted although the voter hears from a leader, because the candidate was told to stand:
    /// that leader may count on it a while longer.
    pub early: bool,
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
    /// The voter does not know what it promised in an earlier life.
    Recovering,
    /// The voter has started less than the shortest election timeout ago, and may have heard from
    /// a leader just before.
    JustStarted,
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
    /// The follower's state machine has applied everything up to here.
    pub applied: Index,
    /// The follower does not know what it promised in an earlier life: its answer proves nothing.
    pub recovering: bool,
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
    /// The leader's lease will do (thesis 6.4.1).
    pub lease: bool,
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

/// Offers a snapshot to a follower that lacks entries which the leader's log does not hold any
/// more, or brings a part of it (section 7). The bytes travel beside it. Offers are repeated as
/// heartbeats are; parts come when the follower asks for them, so that it is never sent what it
/// has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct InstallSnapshot {
    /// The leader's term.
    pub term: Term,
    /// The last entry that the snapshot replaces.
    pub last_included: Position,
    /// The heartbeat round it belongs to.
    pub round: Round,
    /// Which part it brings; `None` offers.
    pub part: Option<Part>,
}

/// A part of a snapshot on its way, at most 1 MiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Part {
    /// A page of the list of its chunks, from 0 on.
    List(u32),
    /// A chunk.
    Chunk(ChunkId),
}

/// The answer to [`InstallSnapshot`]. The last one is an [`AppendEntriesReply`], when the snapshot
/// is on the follower's disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct InstallSnapshotReply {
    /// The follower's term.
    pub term: Term,
    /// The latest round of this leader that the follower has heard.
    pub round: Round,
    /// The snapshot that was offered.
    pub last_included: Position,
    /// A part that the follower lacks.
    pub want: Option<Part>,
    /// How much of it the follower has.
    pub have: Fetched,
    /// As in [`AppendEntriesReply`].
    pub recovering: bool,
}

/// How much of a snapshot has come, in chunks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Fetched {
    /// What is here.
    pub chunks: u64,
    /// All of it; 0 as long as that is not known.
    pub of: u64,
}

/// The leader hands over: stand for election now (thesis 3.10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
    /// The leader's last entry: whoever does not have it would not win.
    pub last_log: Position,
    /// The leader's latest round.
    pub round: Round,
}

/// A server whose disk was formatted after the cluster was founded asks to be told, by an entry,
/// when it may vote.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Rejoin {
    /// The asking server's term.
    pub term: Term,
    /// Its life, never used before.
    pub life: Ticket,
}

/// The answer to [`Rejoin`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RejoinReply {
    /// The leader's term.
    pub term: Term,
    /// The life that asked.
    pub life: Ticket,
    /// An entry that was begun after it had asked. It is committed without its help, and once it
    /// is, no promise that it made in an earlier life can elect or commit anything any more.
    pub entry: Position,
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
    /// See [`InstallSnapshot`].
    InstallSnapshot(InstallSnapshot),
    /// See [`InstallSnapshotReply`].
    InstallSnapshotReply(InstallSnapshotReply),
    /// See [`TimeoutNow`].
    TimeoutNow(TimeoutNow),
    /// See [`Rejoin`].
    Rejoin(Rejoin),
    /// See [`RejoinReply`].
    RejoinReply(RejoinReply),
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
            Message::InstallSnapshot(message) => message.term,
            Message::InstallSnapshotReply(message) => message.term,
            Message::TimeoutNow(message) => message.term,
            Message::Rejoin(message) => message.term,
            Message::RejoinReply(message) => message.term,
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
    InstallSnapshot InstallSnapshotReply TimeoutNow Rejoin RejoinReply
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
            Message::InstallSnapshot(message) => message.fmt(f),
            Message::InstallSnapshotReply(message) => message.fmt(f),
            Message::TimeoutNow(message) => message.fmt(f),
            Message::Rejoin(message) => message.fmt(f),
            Message::RejoinReply(message) => message.fmt(f),
        }
    }
}

impl fmt::Display for RequestVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.pre_vote { "RequestPreVote" } else { "RequestVote" };
        write!(f, "{name} term={} last={}", self.term, self.last_log)?;
        match self.forced {
            None => Ok(()),
            Some(Force::Operator) => f.write_str(" forced"),
            Some(Force::Leader(round)) => write!(f, " handed over in round={round}"),
        }
    }
}

impl fmt::Display for RequestVoteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.pre_vote { "RequestPreVoteReply" } else { "RequestVoteReply" };
        write!(f, "{name} term={} ", self.term)?;
        match self.vote {
            Ok(()) if self.early => f.write_str("granted early"),
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
            VoteRefusal::JustStarted => f.write_str("has just started"),
            VoteRefusal::Recovering => f.write_str("recovering: what it promised is not known"),
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
        write!(f, " round={}", self.round)?;
        if self.recovering { f.write_str(" recovering") } else { Ok(()) }
    }
}

impl fmt::Display for ReadIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadIndex term={} read={}", self.term, self.ticket.0)?;
        if self.lease { f.write_str(" lease") } else { Ok(()) }
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

impl fmt::Display for InstallSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstallSnapshot term={} last={}", self.term, self.last_included)?;
        if let Some(part) = self.part {
            write!(f, " {part}")?;
        }
        write!(f, " round={}", self.round)
    }
}

impl fmt::Display for InstallSnapshotReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstallSnapshotReply term={} last={}", self.term, self.last_included)?;
        if let Some(part) = self.want {
            write!(f, " wants {part}")?;
        }
        write!(f, " has={}/{} round={}", self.have.chunks, self.have.of, self.round)?;
        if self.recovering { f.write_str(" recovering") } else { Ok(()) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::List(page) => write!(f, "list={page}"),
            Part::Chunk(id) => write!(f, "chunk={id}"),
        }
    }
}

impl fmt::Display for TimeoutNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeoutNow term={} last={} round={}", self.term, self.last_log, self.round)
    }
}

impl fmt::Display for Rejoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rejoin term={} life={}", self.term, self.life.0)
    }
}

impl fmt::Display for RejoinReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RejoinReply term={} life={} entry={}", self.term, self.life.0, self.entry)
    }
}
