//! The configurations in the logs, and what their quorums are. Counted here, and not by the core:
//! what is to be checked cannot be the measure.

use std::sync::Arc;

use super::cluster::Link;
use crate::raft::{Configuration, Index, ServerId};

/// A configuration, and where in the log it stands; at 0 the one that the cluster was founded
/// with.
pub(super) type Placed = (Index, Arc<Configuration>);

/// Every configuration that some log has held as an entry, by place: three or four for each change
/// that was ever asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Configurations {
    seen: Vec<Seen>,
}

/// A configuration as an entry of some log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Seen {
    at: Index,
    /// The entry's chain.
    chain: u64,
    /// The configuration before it, in every log that has it.
    after: (Index, u64),
    pub(super) configuration: Arc<Configuration>,
}

impl Configurations {
    /// The last one, up to `index`, that stands in a log whose links are these.
    pub(super) fn latest(
        &self,
        index: Index,
        link: impl Fn(Index) -> Option<Link>,
    ) -> Option<Placed> {
        let known = &self.seen[..self.seen.partition_point(|seen| seen.at <= index)];
        let stands = |seen: &&Seen| link(seen.at).is_some_and(|link| link.chain == seen.chain);
        let seen = known.iter().rev().find(stands)?;
        Some((seen.at, seen.configuration.clone()))
    }

    /// What the entry at `at` with this chain says, if it is known.
    pub(super) fn get(&self, at: Index, chain: u64) -> Option<&Configuration> {
        let place = self.place(at, chain).ok()?;
        Some(&self.seen[place].configuration)
    }

    /// The first log holds this one.
    pub(super) fn add(
        &mut self,
        (at, chain): (Index, u64),
        after: (Index, u64),
        configuration: Arc<Configuration>,
    ) {
        if let Err(place) = self.place(at, chain) {
            self.seen.insert(place, Seen { at, chain, after, configuration });
        }
    }

    fn place(&self, at: Index, chain: u64) -> Result<usize, usize> {
        self.seen.binary_search_by_key(&(at, chain), |seen| (seen.at, seen.chain))
    }

    /// All that some log had right behind the one at this place, with this chain.
    pub(super) fn right_behind(&self, after: (Index, u64)) -> impl Iterator<Item = &Seen> {
        self.behind(after.0).filter(move |seen| seen.after == after)
    }

    /// All that some log had behind `index`.
    pub(super) fn behind(&self, index: Index) -> impl Iterator<Item = &Seen> {
        self.seen[self.seen.partition_point(|seen| seen.at <= index)..].iter()
    }
}

/// The sets of voters of which decisions need a majority each (section 6).
pub(super) fn halves(configuration: &Configuration) -> impl Iterator<Item = &[ServerId]> {
    let outgoing = Some(configuration.outgoing()).filter(|half| !half.is_empty());
    std::iter::once(configuration.incoming()).chain(outgoing)
}

/// How many of so many are more than half.
pub(super) fn majority(servers: usize) -> usize {
    servers / 2 + 1
}

/// Whether every quorum of one configuration has a server in common with every quorum of another:
/// two of their halves are so alike that any two majorities meet.
pub(super) fn quorums_meet(one: &Configuration, other: &Configuration) -> bool {
    let meet = |one: &[ServerId], other: &[ServerId]| {
        let new = other.iter().filter(|server| !one.contains(server)).count();
        majority(one.len()) + majority(other.len()) > one.len() + new
    };
    halves(one).any(|half| halves(other).any(|other| meet(half, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(servers: &[u64]) -> Configuration {
        Configuration::new(servers.iter().map(|id| ServerId(*id)))
    }

    #[test]
    fn quorums_meet_or_not() {
        let meet = |one: &[u64], other: &[u64]| {
            let (one, other) = (of(one), of(other));
            assert_eq!(quorums_meet(&one, &other), quorums_meet(&other, &one));
            quorums_meet(&one, &other)
        };
        assert!(meet(&[1, 2, 3], &[1, 2, 3]));
        assert!(meet(&[1, 2, 3], &[1, 2, 3, 4]), "one more");
        assert!(meet(&[1, 2, 3, 4], &[1, 2, 3]), "one less");
        assert!(!meet(&[1, 2, 3], &[1, 2, 4]), "{{1, 3}} and {{2, 4}}");
        assert!(!meet(&[1, 2, 3, 4], &[1, 2, 5]), "{{2, 3, 4}} and {{1, 5}}");
        assert!(!meet(&[1, 2, 3, 4, 5], &[2, 3, 4]), "{{1, 2, 5}} and {{3, 4}}");
        assert!(!meet(&[1], &[2]));
    }

    #[test]
    fn a_joint_configuration_meets_both_ends() {
        let servers = |ids: &[u64]| of(ids).voters();
        let joint = Configuration::joint(servers(&[1, 2, 3]), servers(&[4, 5]), []);
        assert!(quorums_meet(&joint, &of(&[1, 2, 3])) && quorums_meet(&of(&[4, 5]), &joint));
        assert!(!quorums_meet(&joint, &of(&[1, 4, 6])));
        let other = Configuration::joint(servers(&[1, 2, 3]), servers(&[7, 8, 9]), []);
        assert!(quorums_meet(&joint, &other), "of two leaders, from the same configuration");
    }
}
