//! What a client asks of one server, and what it is told.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::raft::{Index, Refusal};

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Log this command and apply it.
    Write(Bytes),
    /// Answer this query.
    Read(Bytes, Consistency),
}

/// What a read may miss.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Consistency {
    /// Nothing that was answered before it began, whatever clocks do (thesis 6.4).
    #[default]
    Linearizable,
    /// The same, as long as no two servers' clocks run apart by more than a tenth and none jumps;
    /// without asking a majority each time (thesis 6.4.1).
    Lease,
    /// Whatever the asked server has not applied yet. The answer says how far it is.
    Stale,
}

/// The answer to a call that was carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// Where the command stands in the log; for a read, the index that the state had applied at
    /// least.
    pub index: Index,
    /// What the state machine said.
    pub answer: Bytes,
}

/// Why a call to one server brought no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum CallError {
    /// The server refused it: it did not happen and will not.
    #[error("{0}")]
    Refused(Refusal),
    /// The server is down: it did not happen and will not.
    #[error("the server is down")]
    Unreachable,
    /// The server was lost, or lost its leadership, after it had taken the call: a write may
    /// have happened or may still happen.
    #[error("outcome unknown")]
    Unknown,
}

impl Request {
    /// The size of the command or query, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Request::Write(bytes) | Request::Read(bytes, _) => bytes.len(),
        }
    }
}
