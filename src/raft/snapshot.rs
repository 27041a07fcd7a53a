//! What takes the place of the log's beginning (section 7).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Configuration, Index, Position};

/// What a snapshot covers: the state after the entry `last_included`, and the configuration that
/// held there. The state itself is chunks that the protocol never looks into.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The last entry that it replaces (`lastIncludedIndex`, `lastIncludedTerm`).
    pub last_included: Position,
    /// The latest configuration up to there. It has to survive here: the entry that brought it
    /// may be gone.
    pub configuration: Configuration,
    /// Where in the log that entry stood; 0 for the one that the cluster was founded with.
    pub configured_at: Index,
}

/// The name of a chunk of a snapshot: a hash of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ChunkId(pub [u8; 32]);

impl SnapshotMeta {
    /// Where the log of a new cluster of these members begins.
    pub fn founding(configuration: Configuration) -> Self {
        Self { configuration, ..Self::default() }
    }
}

/// The first eight hexadecimal digits: enough to tell chunks apart in a trace.
impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
