//! What may happen to a server, and what it asks for in return.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Configuration, EntryMeta, Fetched, Index, Message, Part, Position, RoleKind, ServerId,
    SnapshotMeta, Term, Ticket,
};

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
        /// The leader's lease will do, if it has one (thesis 6.4.1): right as long as no two
        /// clocks run apart by more than a tenth ([`Timing::lease`]).
        lease: bool,
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
    /// The process of another server is gone: its connections were closed, and its machine says
    /// that nobody listens where it did. A hint, which may be wrong: it makes an election come
    /// sooner, and nothing else.
    Gone(ServerId),
    /// From now on these timings hold.
    Retime(Timing),
    /// An operator wants other members. Answered by [`Effect::ChangeAccepted`] or
    /// [`Effect::ChangeRefused`].
    Change(&'a ChangeRequest),
    /// An operator wants another leader: this one, or the best one. Answered by
    /// [`Effect::HandingOver`] or [`Effect::HandoverRefused`].
    HandOver {
        /// To whom.
        to: Option<ServerId>,
    },
    /// The state machine has applied every entry up to this one.
    Applied(Index),
    /// The disk has this snapshot of what was applied here, and needs the log up to its end no
    /// more.
    Snapshotted(&'a SnapshotMeta),
    /// The leader's snapshot was offered, or some of it came: this much is here now, and these
    /// parts are wanted.
    Fetching {
        /// The snapshot that was offered.
        last_included: Position,
        /// What to ask for now.
        want: &'a [Part],
        /// What is here.
        have: Fetched,
    },
    /// All parts of the leader's snapshot are on the disk.
    Fetched(&'a SnapshotMeta),
}

/// Another set of members, and the one that it is meant to change.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// What is to change.
    pub change: Change,
    /// Only if the latest configuration stands at this index of the log (compare and set).
    pub expected: Option<Index>,
}

/// What may change about the members.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Change {
    /// One more voter: a learner until it has caught up.
    Add(ServerId),
    /// One more member that receives the log and never votes; a voter becomes one.
    AddLearner(ServerId),
    /// One member less.
    Remove(ServerId),
    /// These voters and no others. Learners that are not among them stay learners.
    Voters(Vec<ServerId>),
    /// How much a voter is wanted as the leader.
    Priority(ServerId, u8),
}

/// What a server asks its driver to do, in this order. The order is the durability contract: a
/// message listed after a [`SaveVote`](Effect::SaveVote) may leave only when that is on disk.
/// Appended entries do not hold messages back: a follower answers for them, and a leader counts
/// its own copy, when [`Input::Persisted`] says so.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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
    /// Append a [`Payload::Configuration`](super::Payload::Configuration).
    AppendConfiguration {
        /// Its place and term.
        position: Position,
        /// What it carries.
        configuration: Arc<Configuration>,
    },
    /// Note on disk that the server knows again what it may promise. As with
    /// [`SaveVote`](Effect::SaveVote), no message listed after it may leave before that is done.
    SaveRecovered,
    /// Put the snapshot that was fetched in the place of the log and of the state, as one write.
    /// [`Input::Persisted`] speaks for it.
    Install(Box<SnapshotMeta>),
    /// The log up to here is not needed any more; the snapshot covers it. Of the snapshots, those
    /// that end here or later may be on their way to another server.
    Compact(Index),
    /// A leader offers a snapshot: answer with [`Input::Fetching`] what is lacking. Offered again
    /// and again until it is installed.
    Offered {
        /// The last entry that it replaces.
        last_included: Position,
    },
    /// The message of this input brought a part of the snapshot that is being fetched.
    Arrived {
        /// The last entry that the snapshot replaces.
        last_included: Position,
        /// The part.
        part: Part,
    },
    /// Send a message; for an `AppendEntries` with the entries, for an `InstallSnapshot` with the
    /// part that it names.
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
    /// The change of members was begun by the entry at this index. It is done when a
    /// [`Configured`](Effect::Configured) at this index or behind it is not changing any more.
    ChangeAccepted(Index),
    /// Nothing was changed.
    ChangeRefused(ChangeRefusal),
    /// A configuration is committed.
    Configured {
        /// Where its entry stands.
        at: Index,
        /// What it is.
        configuration: Arc<Configuration>,
    },
    /// The leader begins to hand over.
    HandingOver {
        /// To whom.
        to: ServerId,
        /// Why.
        why: HandoverReason,
    },
    /// The leader does not hand over.
    HandoverRefused(HandoverRefusal),
    /// The other did not take over in time; the leader leads on.
    HandoverAborted {
        /// To whom it would have handed over.
        to: ServerId,
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
    /// This leader handed over to it.
    HandedOver(ServerId),
    /// It is no voter any more.
    Removed,
    /// As a leader it could not hand over, and could not go on.
    Stalled(HandoverReason),
}

/// Why a leader hands over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum HandoverReason {
    /// It was told to.
    Ordered,
    /// The other has a higher priority.
    Priority,
    /// The leader is no voter any more.
    Removed,
    /// The leader's disk has not written anything for an election timeout; the other's has.
    DiskStalled,
    /// The leader's state machine has not applied anything for an election timeout; the other's
    /// has.
    ApplyStalled,
}

/// Why a change of members is refused; nothing was changed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ChangeRefusal {
    /// Only the leader changes members.
    #[error("{0}")]
    NotLeader(Refusal),
    /// The change before is not committed yet (TRAPS 44).
    #[error("another change of members is under way; wait until it is done")]
    UnderWay,
    /// The leader has not committed an entry of its own term yet (TRAPS 31).
    #[error("the leader has just been elected; try again in a moment")]
    TooEarly,
    /// The configuration is not the expected one.
    #[error(
        "the members have changed meanwhile: the configuration stands at index {found}, not \
         {expected}; look at them and decide anew"
    )]
    Changed {
        /// Where it was expected.
        expected: Index,
        /// Where it stands.
        found: Index,
    },
    /// A cluster needs a voter.
    #[error("a cluster needs at least one voter")]
    NoVoters,
    /// A cluster needs a voter that may lead.
    #[error("every voter would have priority 0, and nobody could lead")]
    NobodyLeads,
    /// More members than a configuration may have.
    #[error("a cluster has at most {0} members")]
    TooMany(usize),
    /// Not a member.
    #[error("{0} is not a member")]
    NotMember(ServerId),
    /// A majority of the new voters would have to answer, and does not.
    #[error(
        "of the voters {} only {} would answer, and {needed} must: the cluster would stand \
         still. Start those that are down, or leave out others",
        listed(voters),
        listed(alive)
    )]
    LosesMajority {
        /// The voters-to-be.
        voters: Vec<ServerId>,
        /// Those of them that answer, or are new.
        alive: Vec<ServerId>,
        /// How many must.
        needed: usize,
    },
}

/// Why a leader does not hand over; it leads on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum HandoverRefusal {
    /// Only the leader can hand over.
    #[error("{0}")]
    NotLeader(Refusal),
    /// It leads already.
    #[error("{0} leads already")]
    Leads(ServerId),
    /// Only voters lead.
    #[error("{0} is not a voter")]
    NotVoter(ServerId),
    /// Its priority is 0.
    #[error("{0} has priority 0 and never leads")]
    NeverLeads(ServerId),
    /// The other has not been heard for an election timeout.
    #[error("{0} does not answer")]
    Silent(ServerId),
    /// There is nobody else.
    #[error("there is no other voter that answers")]
    Nobody,
    /// It hands over already.
    #[error("the leader hands over to {0} already")]
    UnderWay(ServerId),
}

fn listed(servers: &[ServerId]) -> String {
    match servers {
        [] => "nobody".to_owned(),
        servers => servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Why a proposal or a read is refused; it did not happen and will not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
    /// The leader hands over to this server; ask again in a moment.
    HandingOver(ServerId),
    /// The disk of the leader is full: it takes no writes, and hands over as soon as it can.
    DiskFull,
}

/// How patient a server is (section 5.6: broadcast time ≪ election timeout ≪ time between
/// failures).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// The shortest election timeout, and how long a server that heard from a leader refuses
    /// its vote to others.
    pub election_timeout_min: Duration,
    /// The longest election timeout, and how long a leader goes on without a majority.
    pub election_timeout_max: Duration,
    /// The time between a leader's heartbeats.
    pub heartbeat: Duration,
}

impl Timing {
    /// How long a majority's answer to a heartbeat lets a leader serve reads without asking again
    /// (thesis 6.4.1), from the moment at which the heartbeat left. For the shortest election
    /// timeout no voter elects another; a tenth is left to clocks that run apart.
    pub fn lease(&self) -> Duration {
        self.election_timeout_min * 9 / 10
    }
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
            Refusal::HandingOver(to) => write!(f, "the leader hands over to {to}"),
            Refusal::DiskFull => f.write_str("the leader's disk is full: make room"),
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
            Why::HandedOver(leader) => write!(f, "{leader} handed over to it"),
            Why::Removed => f.write_str("is no voter any more"),
            Why::Stalled(reason) => write!(f, "{reason}, and nobody took over"),
        }
    }
}

impl std::fmt::Display for HandoverReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            HandoverReason::Ordered => "told to",
            HandoverReason::Priority => "a higher priority",
            HandoverReason::Removed => "no voter any more",
            HandoverReason::DiskStalled => "its disk has stalled",
            HandoverReason::ApplyStalled => "its state machine has stalled",
        })
    }
}
