//! A property that does not hold.

use std::fmt;

/// What must always hold, named as in the paper (figure 3) where it names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Property {
    /// At most one server leads a term (section 5.2).
    ElectionSafety,
    /// A leader never overwrites or removes entries of its log (section 5.3).
    LeaderAppendOnly,
    /// Logs that have an entry of the same index and term are equal up to there (section 5.3).
    LogMatching,
    /// What is committed in a term is in the logs of all leaders of later terms (section 5.4).
    LeaderCompleteness,
    /// No two servers apply different entries at an index, and none skips one (section 5.4.3).
    StateMachineSafety,
    /// A server gives one vote a term, crashes or not (section 5.2).
    OneVoteATerm,
    /// Terms never go back, nor does a commit index in one life of a server (figure 2).
    Monotonic,
    /// What a server says is on its disk, and its disk keeps it (figure 2: "updated on stable
    /// storage before responding").
    StableStorage,
    /// What a client was told of is on the disks of a majority, for ever (section 8).
    AcknowledgedIsKept,
    /// Only voters lead, and all quorums that may decide have a server in common (section 6).
    Configuration,
    /// The entry that is committed at an index is the same for every server and for ever.
    CommittedIsFixed,
    /// A request of a session is carried out at one place of the log only (section 8).
    SessionsApplyOnce,
    /// The same entries bring every server to the same answers and the same state.
    StateHash,
    /// Nothing outgrows its bound.
    MemoryBounds,
    /// What the code itself asserts: no part of a server panics.
    Assertion,
}

/// A property that was broken, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("{property} is violated: {text}")]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// What was seen, with the servers, terms and indexes concerned.
    pub text: String,
}

/// What a look at one property finds.
pub(super) type Check = Result<(), Violation>;

impl Property {
    /// Its name, as its file's.
    pub fn name(self) -> &'static str {
        match self {
            Self::ElectionSafety => "election_safety",
            Self::LeaderAppendOnly => "leader_append_only",
            Self::LogMatching => "log_matching",
            Self::LeaderCompleteness => "leader_completeness",
            Self::StateMachineSafety => "state_machine_safety",
            Self::OneVoteATerm => "one_vote_a_term",
            Self::Monotonic => "monotonic",
            Self::StableStorage => "stable_storage",
            Self::AcknowledgedIsKept => "acknowledged_is_kept",
            Self::Configuration => "configuration",
            Self::CommittedIsFixed => "committed_is_fixed",
            Self::SessionsApplyOnce => "sessions_apply_once",
            Self::StateHash => "state_hash",
            Self::MemoryBounds => "memory_bounds",
            Self::Assertion => "assertion",
        }
    }

    /// The property holds, or is violated as `text` says.
    pub(super) fn holds(self, holds: bool, text: impl FnOnce() -> String) -> Check {
        if holds { Ok(()) } else { Err(Violation { property: self, text: text() }) }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
