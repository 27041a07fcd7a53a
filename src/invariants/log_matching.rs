//! If two logs contain an entry with the same index and term, then the logs are identical in all
//! entries up through the given index (section 5.3).

use smallvec::{SmallVec, smallvec};

use super::cluster::Link;
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{Index, Term};

/// Every entry that any log has ever held: 24 bytes for most indexes, more for one that several
/// terms have fought for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct LogMatching {
    seen: Vec<SmallVec<[Link; 1]>>,
}

/// A server is about to replace its log from `first` on.
pub(super) fn replaced(server: &Server, first: Index) -> Check {
    let (id, last) = (server.id, server.last());
    Property::LogMatching.holds(Index(1) <= first && first <= last.next(), || {
        format!("{id} writes entries from {first} on and leaves a gap behind {last}")
    })
}

impl LogMatching {
    /// A server has a new log from `first` on.
    pub(super) fn written(&mut self, server: &Server, first: Index) -> Check {
        let mut before = server.link(first.previous()).map_or(Term(0), |link| link.term);
        for index in (first.0..=server.last().0).map(Index) {
            let Some(link) = server.link(index) else { break };
            let (id, term) = (server.id, link.term);
            Property::LogMatching.holds(term >= before, || {
                format!("{id} has an entry of term {term} at {index}, behind one of term {before}")
            })?;
            before = term;
            Property::LogMatching.holds(self.is_the_one(index, link), || {
                format!(
                    "{id} has another entry {index} of term {term}, or others before it, than \
                     the first log that had it"
                )
            })?;
        }
        Ok(())
    }

    /// Nobody was told of what was behind this index.
    pub(super) fn forget_behind(&mut self, index: Index) {
        self.seen.truncate(index.0 as usize);
    }

    /// Whether no other entry of this index and term was seen, with no other entries before it.
    fn is_the_one(&mut self, index: Index, link: Link) -> bool {
        let place = index.previous().0 as usize;
        if place == self.seen.len() {
            self.seen.push(smallvec![link]);
            return true;
        }
        if place > self.seen.len() {
            // Forgotten, but held by another log.
            self.seen.resize(place + 1, SmallVec::new());
        }
        let seen = &mut self.seen[place];
        match seen.iter().find(|other| other.term == link.term) {
            Some(other) => other.chain == link.chain,
            None => {
                seen.push(link);
                true
            }
        }
    }
}
