//! What may happen to a server, and what it asks for in return.

use std::ops::Range;
use std::time::Duration;

use super::{EntryMeta, Index, Message, Position, RoleKind, ServerId, Term, Ticket};

/// Something that happened to a server: the one thing that [`Node::step`](super::Node::step)
/// takes.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A message arrived.
    Message {
        /// The sender.
        from: ServerId,
        /// What it says.
        message: Message,
        /// The entries that an `AppendEntries` carries; empty for the others.
        entries: &'a [EntryMeta],
    },
    /// Clients ask for these commands, of these sizes in bytes, to be logged in this order.
    /// Answered by [`Effect::Accepted`] for those at the front and [`Effect::Refused`] for the
    /// rest, if any.
    Propose {
        /// The size of each command.
        sizes: &'a [u32],
    },
    /// A client wants to read. Answered by [`Effect::ReadReady`] or [`Effect::ReadRefused`].
    Read {
        /// The read's number, never used before by this server, in this life or an earlier one.
        ticket: Ticket,
    },
    /// The disk has every entry up to `last` that it was asked to keep while the server was in
    /// `term`, or before. Writes end in the order in which they were asked for, so the last of
    /// several speaks for all.
    Persisted {
        /// The server's term when the write was asked for; not the entry's.
        term: Term,
        /// The last entry of the write.
        last: Index,
    },
    /// The moment that [`Node::deadline`](super::Node::deadline) named is here (or past, or not
    /// yet come: waking too early does nothing).
    Deadline,
    /// An operator makes the server stand for election now.
    Campaign,
    /// From now on these timings hold.
    Retime(Timing),
}

/// What a server asks its driver to do, in this order. The order is the durability contract: a
/// message listed after a [`SaveVote`](Effect::SaveVote) may leave only when that is on disk.
/// Appended entries do not hold messages back: a follower answers for them, and a leader counts
/// its own copy, when [`Input::Persisted`] says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Put `current_term` and `voted_for` on disk.
    SaveVote {
        /// The new `current_term`.
        term: Term,
        /// The new `voted_for`.
        voted_for: Option<ServerId>,
    },
    /// Drop every entry from `first` on and append those of this step's input in their place, as
    /// one write: a crash leaves the old entries or the new, never a gap.
    Append {
        /// Where the first of them goes.
        first: Index,
        /// Which entries of the input, by their place in it.
        entries: Range<usize>,
    },
    /// Append a [`Payload::NoOp`](super::Payload::NoOp).
    AppendNoOp {
        /// Its place and term.
        position: Position,
    },
    /// Send a message; for an `AppendEntries`, with the entries that it names.
    Send {
        /// The receiver.
        to: ServerId,
        /// What to say.
        message: Message,
    },
    /// Every entry up to this one is committed: apply them in order.
    Commit(Index),
    /// The commands of the proposal were appended at `first` and on, in the current term. Their
    /// outcome is known when they are applied, or unknown when leadership is lost before.
    Accepted {
        /// The index of the first.
        first: Index,
        /// How many were accepted.
        count: usize,
    },
    /// The commands of the proposal that were not accepted are refused: they will never happen.
    Refused(Refusal),
    /// The read may be answered by a state machine that has applied this index.
    ReadReady {
        /// The read.
        ticket: Ticket,
        /// The index to wait for.
        index: Index,
    },
    /// The read was not confirmed; it may be asked again.
    ReadRefused {
        /// The read.
        ticket: Ticket,
        /// Why.
        reason: Refusal,
    },
    /// The role, the term or the leader that the server knows changed.
    Became {
        /// The new role.
        role: RoleKind,
        /// The term now.
        term: Term,
        /// The leader it follows now, if it knows one.
        leader: Option<ServerId>,
        /// Why, in a few words.
        why: Why,
    },
}

/// Why a server changed its role, its term or its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It heard nothing from a leader for an election timeout.
    ElectionTimeout,
    /// It was told to stand.
    Forced,
    /// A majority said that it would vote for it.
    PreVotesWon,
    /// A majority voted for it.
    VotesWon,
    /// This server spoke of a higher term.
    HigherTerm(ServerId),
    /// It heard from the leader of its term.
    HeardLeader,
    /// As a leader it heard from no majority for an election timeout (check-quorum).
    QuorumLost,
    /// It gave its vote to another.
    Voted(ServerId),
}

/// Why a proposal or a read is refused; it did not happen and will not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    /// This server leads; ask it.
    NotLeader(ServerId),
    /// Nobody leads yet; an election is on its way.
    ElectionRunning,
    /// Nobody can lead: this server heard from too few in its last election.
    NoQuorum {
        /// Servers heard from, itself included.
        heard: usize,
        /// Servers that vote.
        voters: usize,
    },
    /// Too much is under way already; ask again later.
    Busy,
}

/// How patient a server is (section 5.6: broadcast time ≪ election timeout ≪ time between
/// failures).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timing {
    /// The shortest election timeout, and how long a server that heard from a leader refuses
    /// its vote to others.
    pub election_timeout_min: Duration,
    /// The longest election timeout, and how long a leader goes on without a majority.
    pub election_timeout_max: Duration,
    /// The time between a leader's heartbeats.
    pub heartbeat: Duration,
}

impl Default for Timing {
    /// 150 to 350 ms, heartbeats every 50 ms.
    fn default() -> Self {
        Self {
            election_timeout_min: Duration::from_millis(150),
            election_timeout_max: Duration::from_millis(350),
            heartbeat: Duration::from_millis(50),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NotLeader(leader) => write!(f, "not the leader; {leader} is"),
            Refusal::ElectionRunning => f.write_str("no leader yet: an election is running"),
            Refusal::NoQuorum { heard, voters } => {
                write!(f, "no quorum: heard from {heard} of {voters} servers in the last election")
            }
            Refusal::Busy => f.write_str("busy: too much is under way"),
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::ElectionTimeout => f.write_str("heard no leader for an election timeout"),
            Why::Forced => f.write_str("was told to stand"),
            Why::PreVotesWon => f.write_str("a majority would vote for it"),
            Why::VotesWon => f.write_str("a majority voted for it"),
            Why::HigherTerm(server) => write!(f, "{server} has a higher term"),
            Why::HeardLeader => f.write_str("heard from the leader"),
            Why::QuorumLost => f.write_str("heard from no majority for an election timeout"),
            Why::Voted(candidate) => write!(f, "voted for {candidate}"),
        }
    }
}
