//! The small numbers of the protocol, each a type of its own so that they cannot be mixed up.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A server's number in the cluster, from 1. Shown as `S1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ServerId(pub u64);

/// A term: the logical clock of section 5.1. 0 is "before the first election".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Term(pub u64);

/// A position in the log, from 1 (section 5.3). 0 is "before the first entry".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Index(pub u64);

/// The term and the index of one entry. Ordered by term first, then by index, which is the
/// comparison of section 5.4.1 ("more up-to-date").
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Position {
    /// The entry's term.
    pub term: Term,
    /// The entry's index.
    pub index: Index,
}

/// A heartbeat round of one leader: every message of round `r` left after round `r` began, so an
/// answer to it proves that the leader still led at some time since. Never reused within a term.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Round(pub u64);

/// A moment, in nanoseconds since some fixed one of the server's own (monotonic) clock.
/// Moments of different servers are never compared.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Time(u64);

impl Term {
    /// No cluster gets so far: a message that speaks of a later term is garbage, and counting on
    /// from this one cannot overflow.
    pub(crate) const LAST: Self = Self(u64::MAX / 2);

    /// The term after this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Index {
    /// The index after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before this one, 0 at the start.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Position {
    /// An entry's term and index.
    pub fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl Time {
    /// The moment `nanoseconds` after the clock's beginning.
    pub fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the clock's beginning.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// In seconds since the clock's beginning, such as `12.345`: what is less than a millisecond is cut.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 / 1_000_000;
        f.pad(&format!("{}.{:03}", millis / 1_000, millis % 1_000))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanoseconds))
    }
}

impl Sub<Index> for Index {
    type Output = u64;

    /// How many entries lie between; 0 if `other` is later.
    fn sub(self, other: Index) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}", self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Position {
    /// `index@term`, as in `7@3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
