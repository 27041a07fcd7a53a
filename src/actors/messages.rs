//! What actors say to each other.
//!
//! | message | from | to | losing it is |
//! |---|---|---|---|
//! | [`FromPeer`], [`Replicate`], [`Transfer`] | server | server | part of the model |
//! | [`Gone`] | connections | server | part of the model |
//! | [`Knock`] | network | server | a bug: calls wait at the door |
//! | [`Tick`] | the server's timer | server | a bug |
//! | [`Synced`] | the disk's thread | server | a bug |
//! | [`Wake`], [`Disrupt`], [`Retime`] | supervisor | server | a bug |
//! | [`Observe`], [`Ask`], [`Snap`], [`End`] | supervisor | server | a bug |
//! | [`Apply`], [`Query`], [`Inspect`] | server, supervisor | state machine | a bug |
//! | [`Picture`] | server | state machine | a bug |
//! | [`Applied`], [`Developed`] | state machine | server | a bug |

use std::time::Duration;

use actix::Message;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::call::Reply;
use super::supervisor::OrderError;
use crate::raft::{
    AppendEntries, ChangeRequest, ChunkId, Entries, Index, InstallSnapshot, ServerId, Status,
    Timing,
};

/// A message of the protocol, from another server.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromPeer<M> {
    pub(crate) from: ServerId,
    pub(crate) message: M,
}

/// An `AppendEntries` with its entries, from another server.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Replicate {
    pub(crate) from: ServerId,
    pub(crate) append: AppendEntries,
    pub(crate) entries: Entries,
}

/// An `InstallSnapshot` with the part that it names, from another server.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Transfer {
    pub(crate) from: ServerId,
    pub(crate) install: InstallSnapshot,
    pub(crate) part: Bytes,
}

/// What an operator wants of the leader. Always answered.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ask {
    pub(crate) asked: Asked,
    pub(crate) reply: oneshot::Sender<Result<(), OrderError>>,
}

/// See [`Ask`].
pub(crate) enum Asked {
    /// Another set of members; answered when it has begun.
    Change(ChangeRequest),
    /// Another leader; answered when it has begun.
    HandOver(Option<ServerId>),
    /// Another leader, before this server ends; answered when it leads no more, or cannot hand
    /// over.
    Leave,
}

/// Take a snapshot now.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Snap;

/// What a server wants of its state machine for the sake of snapshots.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Picture {
    /// Begin a snapshot of the state as it is.
    Take,
    /// The next chunk of it.
    Next,
    /// The snapshot that was taken is durable: what it holds need not be in memory any more, nor be
    /// remembered what happened up to this entry.
    Saved {
        /// The last entry of the snapshot before it, if there is one.
        outdated: Option<Index>,
    },
    /// Begin anew with the state of a snapshot that ends with this entry.
    Restore(Index),
    /// Its next chunk; `None` behind the last.
    Feed(Option<(ChunkId, Bytes)>),
}

/// What a state machine answers to a [`Picture`].
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Developed {
    /// The snapshot that it begins ends with this entry; `None` if it has no snapshots.
    Began(Option<Index>),
    /// The next chunk, or `None` behind the last; without its bytes, if the snapshot before has it.
    Chunk(Option<(ChunkId, Option<Bytes>)>),
    /// It waits for the next chunk of what it restores.
    Hungry,
    /// It holds the state of the snapshot.
    Restored,
    /// The chunks are not those of a snapshot, and why.
    Inedible(String),
    /// A chunk of the state cannot be read any more.
    Lost(ChunkId),
}

/// Calls wait at the door.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Knock;

/// Something that a timer depends on changed: the disk's speed, or a pause is over.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// The disk has done something.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Synced;

/// The time has come that the server's timer was set to.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Tick;

/// Stand for election now.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Disrupt;

/// The process of this server is gone. If this is lost, the election comes later.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Gone(pub(crate) ServerId);

/// End now.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct End;

/// Other timings hold from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Retime(pub(crate) Timing);

/// How is the server?
#[derive(Message)]
#[rtype(result = "Observation")]
pub(crate) struct Observe;

/// What a server says of itself.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Its view of the cluster.
    pub raft: Status,
    /// `last_applied`.
    pub applied: Index,
}

/// Apply these committed entries, of which the first stands at `first`.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Apply {
    pub(crate) first: Index,
    pub(crate) entries: Entries,
    /// Who waits for the answer to which of them, ascending.
    pub(crate) replies: Vec<(Index, Reply)>,
    /// Whether the server waits for it to be done. The progress shows in
    /// [`Life`](super::network::Life) anyway; a message nobody waits for costs a turn of the
    /// server.
    pub(crate) report: bool,
}

/// Entries that the server waits for were applied.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Applied;

/// Answer this query from the state as it is.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Query {
    pub(crate) query: Bytes,
    pub(crate) index: Index,
    pub(crate) reply: Reply,
}

/// How far is the state, and what is it?
#[derive(Message)]
#[rtype(result = "Inspection")]
pub(crate) struct Inspect;

/// What a state machine says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Inspection {
    pub(crate) applied: Index,
    pub(crate) digest: [u8; 32],
}

/// How long to take for each batch of entries; `None` applies nothing.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SetPace(pub(crate) Option<Duration>);
