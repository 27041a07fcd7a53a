//! What the programs print that are no closed loops, each as one line of JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The middle of many durations, in milliseconds, and their end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half are no longer.
    pub p50: f64,
    /// 99 % are no longer.
    pub p99: f64,
    /// None is longer.
    pub max: f64,
}

impl Spread {
    /// Of these; all 0 if there are none.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |share: f64| {
            let place = (durations.len() as f64 * share).ceil() as usize;
            let duration = durations.get(place.saturating_sub(1));
            duration.map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
        };
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// What many crashes of a leader cost, or many hand-overs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ElectionsReport {
    /// The shortest election timeout, in milliseconds.
    pub election_timeout_min: f64,
    /// The longest, in milliseconds.
    pub election_timeout_max: f64,
    /// Between heartbeats, in milliseconds.
    pub heartbeat: f64,
    /// Two messages, there and back, in milliseconds.
    pub round_trip: f64,
    /// How often.
    pub count: u32,
    /// Without acknowledged writes: from the crash to the next, or the longest time between two
    /// around a hand-over.
    pub outage: Spread,
    /// What must pass: the least election timeout that is left, and three round trips (pre-vote,
    /// vote, first commit). Of a hand-over: one and a half.
    pub floor: Spread,
    /// How much longer the outage was than what had to pass that time.
    pub excess: Spread,
    /// The outage as a client of the file store sees it, which must find the new leader.
    pub client: Spread,
    /// How many took more than one election.
    pub split: u32,
}

/// What writes feel of snapshots.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SnapshotsReport {
    /// Clients that write.
    pub clients: u32,
    /// Bytes of all files.
    pub bytes: u64,
    /// One after the other.
    pub phases: Vec<Phase>,
}

/// What happened meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Phase {
    /// What the servers did beside the writes.
    pub name: String,
    /// For how long.
    pub seconds: f64,
    /// Writes that were answered.
    pub answers: u64,
    /// From a write to its answer.
    pub latency: Spread,
    /// The longest time between two messages of the leader to one follower, in milliseconds.
    pub heartbeat_gap: f64,
}

/// How long a server takes until it has applied everything again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestartReport {
    /// Entries of the log.
    pub entries: u64,
    /// From its whole log, in seconds.
    pub replay_seconds: f64,
    /// From its snapshot, and the log behind it, in seconds.
    pub snapshot_seconds: f64,
    /// Entries behind the snapshot.
    pub behind_snapshot: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_durations_that_occurred() {
        let spread = Spread::of((1..=1000).rev().map(Duration::from_millis).collect());
        assert_eq!(spread, Spread { p50: 500.0, p99: 990.0, max: 1000.0 });
        assert_eq!(Spread::of(vec![]), Spread { p50: 0.0, p99: 0.0, max: 0.0 });
    }
}
