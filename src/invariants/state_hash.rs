//! The same entries bring every server to the same answers and to the same state (section 2:
//! replicated state machines are deterministic).

use std::collections::BTreeMap;

use super::hash::{hash, mix};
use super::violation::{Check, Property};
use crate::raft::{Index, ServerId};

/// What the first server to get there found: a rolling hash of all answers at every index (8
/// bytes each), and the digests of the state at some.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct StateHash {
    answers: Vec<u64>,
    digests: BTreeMap<Index, [u8; 32]>,
    /// The rolling hash of each server.
    rolling: BTreeMap<ServerId, u64>,
}

/// Most digests that are kept; the oldest go first.
const DIGESTS: usize = 1024;

impl StateHash {
    /// A server begins with the state after this entry; 0 for an empty one.
    pub(super) fn begins(&mut self, server: ServerId, index: Index) {
        let place = index.0.checked_sub(1);
        let rolling = place.and_then(|place| self.answers.get(place as usize));
        self.rolling.insert(server, rolling.copied().unwrap_or_default());
    }

    /// A server takes the state after this entry from a snapshot.
    pub(super) fn restored(
        &mut self,
        server: ServerId,
        index: Index,
        digest: Option<[u8; 32]>,
    ) -> Check {
        let reached = self.answers.len() as u64;
        Property::StateHash.holds(index.0 <= reached, || {
            format!(
                "{server} restores the state after {index}, but nobody has applied more than \
                 {reached}"
            )
        })?;
        self.begins(server, index);
        digest.map_or(Ok(()), |digest| self.digest(server, index, digest))
    }

    /// What nobody saw: all answered alike, up to this entry.
    pub(super) fn assume(&mut self, index: Index) {
        let mut rolling = self.answers.last().copied().unwrap_or_default();
        while (self.answers.len() as u64) < index.0 {
            rolling = mix(rolling, hash(&[]));
            self.answers.push(rolling);
        }
    }

    /// A server applied the entry at `index`, behind the one it applied before, and answers this.
    pub(super) fn applied(&mut self, server: ServerId, index: Index, answer: &[u8]) -> Check {
        let rolling = self.rolling.entry(server).or_default();
        *rolling = mix(*rolling, hash(answer));
        match self.answers.get(index.previous().0 as usize) {
            Some(first) => Property::StateHash.holds(first == rolling, || {
                format!("{server} answers {index} otherwise than the first server did")
            }),
            None => {
                self.answers.push(*rolling);
                Ok(())
            }
        }
    }

    /// A server that has applied `index` says what its state is.
    pub(super) fn digest(&mut self, server: ServerId, index: Index, digest: [u8; 32]) -> Check {
        let first = *self.digests.entry(index).or_insert(digest);
        if self.digests.len() > DIGESTS {
            self.digests.pop_first();
        }
        Property::StateHash.holds(first == digest, || {
            format!("{server} has another state at {index} than the first server had there")
        })
    }
}
