//! What a server counts and measures while it works, for whoever keeps the numbers.

use std::time::Duration;

use crate::raft::Refusal;

/// Keeps the numbers of one server. Told in the middle of its turns: it must take no time.
pub trait Meter {
    /// The state machine applied so many entries, and took so long for it.
    fn applied(&self, entries: usize, took: Duration);

    /// A call was refused.
    fn refused(&self, refusal: Refusal);
}
