//! The hashes of the payloads in a log, which the core knows nothing of.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::raft::{Index, Node};

/// A hash for every entry of a log: 4 bytes each.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Hashes {
    /// The entry before the first.
    base: Index,
    hashes: VecDeque<u32>,
}

impl Hashes {
    /// Those of a log behind `base`.
    pub(super) fn new(base: Index, hashes: impl Iterator<Item = u32>) -> Self {
        Self { base, hashes: hashes.collect() }
    }

    /// The log has these from `first` on.
    pub(super) fn replace(&mut self, first: Index, hashes: &[u32]) {
        self.hashes.truncate((first.previous() - self.base) as usize);
        hashes.iter().for_each(|hash| self.hashes.push_back(*hash));
    }

    /// Forgets what the log of the node has forgotten.
    pub(super) fn follow(&mut self, node: &Node) {
        let (base, last) = (node.log_base().index, node.last_log().index);
        if base > self.base {
            let gone = (base - self.base) as usize;
            self.hashes.drain(..gone.min(self.hashes.len()));
            self.base = base;
        }
        // A snapshot took the place of the log.
        self.hashes.truncate((last - self.base) as usize);
    }

    /// Whether there is one for every entry of the node's log.
    pub(super) fn fit(&self, node: &Node) -> bool {
        let (base, last) = (node.log_base().index, node.last_log().index);
        self.base == base && self.hashes.len() as u64 == last - base
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.hashes.iter().copied()
    }

    /// That of the entry at `index`.
    pub(super) fn at(&self, index: Index) -> Option<u32> {
        let place = index.0.checked_sub(self.base.0.checked_add(1)?)?;
        self.hashes.get(usize::try_from(place).ok()?).copied()
    }

    /// The first entry whose hash is another in `other`.
    pub(super) fn difference(&self, other: &Self) -> Option<Index> {
        let mut pairs = (self.base.0 + 1..).zip(self.hashes.iter().zip(&other.hashes));
        pairs.find(|(_, (one, other))| one != other).map(|(index, _)| Index(index))
    }
}
