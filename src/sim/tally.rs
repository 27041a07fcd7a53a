//! How much of what happened.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Fault;
use crate::actors::Traffic;

/// What happened in one world, or in many together.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// Worlds.
    pub seeds: u64,
    /// Virtual time in all of them.
    pub virtual_time: Duration,
    /// Faults that began, by kind; those that could not be ordered at their moment do not count.
    pub faults: BTreeMap<&'static str, u64>,
    /// What links did to messages.
    pub messages: BTreeMap<&'static str, u64>,
    /// Servers that became leaders.
    pub elections: u64,
    /// Changes of the files that clients were told of.
    pub writes: u64,
    /// Linearizable reads that were answered.
    pub reads: u64,
    /// Calls whose outcome their client does not know.
    pub unknown: u64,
    /// Worlds with calls that were not checked for linearizability, because there were too many
    /// or their contents were too long.
    pub unchecked: u64,
    /// Worlds of which the check did not find out whether they are linearizable.
    pub undecided: u64,
    /// Messages delivered, by the role of the receiver and the kind of message.
    pub received: BTreeMap<String, u64>,
    /// A number that depends on every message delivered in every world, in any order of worlds.
    pub digest: u64,
}

impl Tally {
    /// A tally in which nothing happened yet, but every kind of fault has a place.
    pub fn new() -> Self {
        let mut tally = Self::default();
        tally.faults.extend(Fault::ALL.iter().map(|fault| (fault.name(), 0)));
        tally
    }

    /// Adds another.
    pub fn add(&mut self, other: &Tally) {
        self.seeds += other.seeds;
        self.virtual_time += other.virtual_time;
        add(&mut self.faults, &other.faults);
        add(&mut self.messages, &other.messages);
        self.elections += other.elections;
        self.writes += other.writes;
        self.reads += other.reads;
        self.unknown += other.unknown;
        self.unchecked += other.unchecked;
        self.undecided += other.undecided;
        add(&mut self.received, &other.received);
        self.digest = self.digest.wrapping_add(other.digest);
    }

    pub(super) fn add_traffic(&mut self, traffic: &Traffic) {
        for (fate, count) in [
            ("cut", traffic.cut),
            ("lost", traffic.lost),
            ("doubled", traffic.doubled),
            ("overtaken", traffic.overtaken),
        ] {
            *self.messages.entry(fate).or_default() += count;
        }
        for (role, counts) in Traffic::ROLES.iter().zip(traffic.received()) {
            for (kind, count) in Traffic::KINDS.iter().zip(counts) {
                if *count > 0 {
                    *self.received.entry(format!("{role}: {kind}")).or_default() += count;
                }
            }
        }
        self.digest = self.digest.wrapping_add(traffic.digest());
    }

    /// Of all pairs of a role and a kind of message, how many were seen, and how many there are.
    pub fn coverage(&self) -> (usize, usize) {
        (self.received.len(), Traffic::ROLES.len() * Traffic::KINDS.len())
    }
}

fn add<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}
