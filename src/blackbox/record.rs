//! What stands in a recording, record by record: format 2.
//!
//! A record is a [`Record`] in the wire format of postcard; the order of the variants and of their
//! fields is the format. `file.rs` says how records stand in a file.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::hashes::Hashes;
use crate::invariants::Stamp;
use crate::raft::{
    ChangeRequest, Configuration, Entries, EntryMeta, Fetched, Index, Input, Message, Node, Part,
    Payload, Position, RoleKind, ServerId, SnapshotMeta, Term, Ticket, Time, Timing,
};

/// One record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum Record {
    /// The whole state of the core. Every file begins with one.
    Checkpoint(Box<Checkpoint>),
    /// Of the writes that the core has asked for, so many are durable.
    Durable(u64),
    /// The state machine has applied every entry up to this one.
    Applied(Index),
    /// The hash of the state after this entry.
    State(Index, u64),
    /// Something entered the core.
    Step(Step),
    /// Where the core stands.
    Mark(Mark),
    /// The server ended, and nothing of this life is missing.
    End,
}

/// The state of a core, and what is known beside it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) node: Node,
    /// Of every entry of its log.
    pub(super) hashes: Hashes,
    /// How many writes the core has asked for in this life, and how many of them are durable.
    pub(super) writes: u64,
    pub(super) durable: u64,
}

/// One step of a core.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    /// By the server's clock, in nanoseconds since the step before in the same file; since the
    /// moment in its header for the first.
    pub(super) later: i64,
    pub(super) given: Given,
    /// The random numbers that it drew.
    pub(super) draws: Vec<u64>,
    /// What it asked for; `None` if it panicked.
    pub(super) digest: Option<Digest>,
}

/// The [`digest`](super::digest::digest) of what a step asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Digest(#[serde(with = "postcard::fixint::le")] pub(super) u32);

/// An [`Input`], without the payloads.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum Given {
    Message { from: ServerId, message: Message, entries: Vec<Logged> },
    Propose(Vec<Command>),
    Read { ticket: Ticket, lease: bool },
    Persisted { term: Term, last: Index },
    Deadline,
    Campaign,
    Retime(Timing),
    Change(ChangeRequest),
    HandOver(Option<ServerId>),
    Snapshotted(SnapshotMeta),
    Fetching { last_included: Position, want: Vec<Part>, have: Fetched },
    Fetched(SnapshotMeta),
    Gone(ServerId),
}

/// An entry, without its payload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Logged {
    pub(super) term: Term,
    pub(super) what: What,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum What {
    Command(Command),
    NoOp,
    Configuration(Arc<Configuration>),
}

/// A command, without itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Command {
    pub(super) bytes: u32,
    /// Half of its xxh3 hash: it tells commands apart, and is no proof against forgery.
    #[serde(with = "postcard::fixint::le")]
    pub(super) hash: u32,
}

/// Where a core stands, in the words of the paper.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) role: RoleKind,
    pub(super) term: Term,
    pub(super) voted_for: Option<ServerId>,
    pub(super) base: Position,
    pub(super) last: Position,
    pub(super) durable: Index,
    pub(super) commit: Index,
    pub(super) applied: Index,
}

/// The payloads that belong to an input.
pub(crate) enum Payloads<'a> {
    None,
    Entries(&'a Entries),
    Commands(&'a [Bytes]),
}

impl Command {
    pub(super) fn of(command: &[u8]) -> Self {
        let bytes = u32::try_from(command.len()).unwrap_or(u32::MAX);
        Self { bytes, hash: xxh3_64(command) as u32 }
    }
}

impl Logged {
    fn meta(&self) -> EntryMeta {
        match &self.what {
            What::Command(command) => EntryMeta::new(self.term, command.bytes),
            What::NoOp => EntryMeta::new(self.term, 0),
            What::Configuration(configuration) => EntryMeta {
                configuration: Some(configuration.clone()),
                ..EntryMeta::new(self.term, 0)
            },
        }
    }

    /// What tells its payload from others.
    pub(super) fn hash(&self) -> u32 {
        match &self.what {
            What::Command(command) => command.hash,
            What::NoOp => 0,
            What::Configuration(configuration) => of_configuration(configuration),
        }
    }
}

/// What tells the payload of an entry from others.
pub(super) fn of_payload(payload: &Payload) -> u32 {
    match payload {
        Payload::Command(command) => Command::of(command).hash,
        Payload::NoOp => 0,
        Payload::Configuration(configuration) => of_configuration(configuration),
    }
}

/// What tells the payload of a configuration's entry from others.
pub(super) fn of_configuration(configuration: &Configuration) -> u32 {
    xxh3_64(configuration.to_string().as_bytes()) as u32
}

/// An entry as the monitor knows it.
pub(super) fn stamp(term: Term, hash: u32) -> Stamp {
    Stamp { term, payload: u64::from(hash) }
}

impl Given {
    /// What is recorded of an input that comes without payloads.
    pub(super) fn without_payloads(input: &Input<'_>) -> Self {
        match *input {
            Input::Message { from, message, .. } => {
                Self::Message { from, message, entries: Vec::new() }
            }
            Input::Propose { .. } => Self::Propose(Vec::new()),
            Input::Read { ticket, lease } => Self::Read { ticket, lease },
            Input::Persisted { term, last } => Self::Persisted { term, last },
            // The applied index has a record of its own.
            Input::Deadline | Input::Applied(_) => Self::Deadline,
            Input::Campaign => Self::Campaign,
            Input::Retime(timing) => Self::Retime(timing),
            Input::Change(request) => Self::Change(request.clone()),
            Input::HandOver { to } => Self::HandOver(to),
            Input::Snapshotted(meta) => Self::Snapshotted(meta.clone()),
            Input::Fetching { last_included, want, have } => {
                Self::Fetching { last_included, want: want.to_vec(), have }
            }
            Input::Fetched(meta) => Self::Fetched(meta.clone()),
            Input::Gone(server) => Self::Gone(server),
        }
    }

    /// The hashes of the payloads that came with it.
    pub(super) fn hashes(&self) -> Vec<u32> {
        match self {
            Self::Message { entries, .. } => entries.iter().map(Logged::hash).collect(),
            Self::Propose(commands) => commands.iter().map(|command| command.hash).collect(),
            _ => Vec::new(),
        }
    }

    /// Gives the input to `step`.
    pub(super) fn with<T>(&self, step: impl FnOnce(Input<'_>) -> T) -> T {
        match self {
            Self::Message { from, message, entries } => {
                let metas: Vec<_> = entries.iter().map(Logged::meta).collect();
                step(Input::Message { from: *from, message: *message, entries: &metas })
            }
            Self::Propose(commands) => {
                let sizes: Vec<_> = commands.iter().map(|command| command.bytes).collect();
                step(Input::Propose { sizes: &sizes })
            }
            Self::Read { ticket, lease } => step(Input::Read { ticket: *ticket, lease: *lease }),
            Self::Persisted { term, last } => step(Input::Persisted { term: *term, last: *last }),
            Self::Deadline => step(Input::Deadline),
            Self::Campaign => step(Input::Campaign),
            Self::Retime(timing) => step(Input::Retime(*timing)),
            Self::Change(request) => step(Input::Change(request)),
            Self::HandOver(to) => step(Input::HandOver { to: *to }),
            Self::Snapshotted(meta) => step(Input::Snapshotted(meta)),
            Self::Fetching { last_included, want, have } => {
                step(Input::Fetching { last_included: *last_included, want, have: *have })
            }
            Self::Fetched(meta) => step(Input::Fetched(meta)),
            Self::Gone(server) => step(Input::Gone(*server)),
        }
    }
}

impl Mark {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            role: node.role(),
            term: node.term(),
            voted_for: node.voted_for(),
            base: node.log_base(),
            last: node.last_log(),
            durable: node.durable_index(),
            commit: node.commit_index(),
            applied: node.applied(),
        }
    }

    /// What differs from another, in words; empty if nothing does.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let vote = |vote: Option<ServerId>| vote.map_or("nobody".to_owned(), |it| it.to_string());
        let pairs = [
            ("role", self.role.to_string(), other.role.to_string()),
            ("term", self.term.to_string(), other.term.to_string()),
            ("voted_for", vote(self.voted_for), vote(other.voted_for)),
            ("the log's base", self.base.to_string(), other.base.to_string()),
            ("the last entry", self.last.to_string(), other.last.to_string()),
            ("the last durable entry", self.durable.to_string(), other.durable.to_string()),
            ("commit_index", self.commit.to_string(), other.commit.to_string()),
            ("the applied index", self.applied.to_string(), other.applied.to_string()),
        ];
        let differs = pairs.into_iter().filter(|(_, replayed, recorded)| replayed != recorded);
        let words = |(what, replayed, recorded)| format!("{what} {replayed}, recorded {recorded}");
        differs.map(words).collect()
    }
}

/// So long after `before`, which may be negative: clocks can go back.
pub(super) fn moved(before: Time, later: i64) -> Time {
    Time::from_nanos(before.as_nanos().saturating_add_signed(later))
}

/// How much later than `before` a moment is.
#[inline]
pub(super) fn later(now: Time, before: Time) -> i64 {
    now.as_nanos().wrapping_sub(before.as_nanos()) as i64
}
