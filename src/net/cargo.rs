//! What servers send each other beside the messages of the protocol.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::raft::{Entries, Index};

/// What travels beside a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cargo {
    /// Nothing does.
    Nothing,
    /// The entries of an `AppendEntries`.
    Entries(Entries),
    /// The part of a snapshot that an `InstallSnapshot` names.
    Part(Bytes),
}

/// What servers say to each other about their states. Losing any of it is part of the model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Audit {
    /// A state that the sender had.
    State {
        /// The entry after which it had it.
        index: Index,
        /// The hash of the state.
        hash: u64,
        /// An answer is wanted even if it is the same.
        vote: bool,
    },
    /// It is the same here.
    Same(Index),
    /// It is another one here. The hashes after the latest entries, of which the first stands here.
    Differs(Index, Arc<[u64]>),
    /// A majority has another state than the receiver, from this entry on.
    Outvoted(Index),
}
