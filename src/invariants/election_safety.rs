//! At most one server can be elected leader in a given term (section 5.2).

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{ServerId, Term};

/// The leader of every term that some server has not left yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, ServerId>,
}

impl ElectionSafety {
    /// A server leads its term now.
    pub(super) fn elected(&mut self, cluster: &Cluster, server: &Server) -> Check {
        let (id, term) = (server.id, server.vote.term);
        let leader = *self.leaders.entry(term).or_insert(id);
        Property::ElectionSafety
            .holds(leader == id, || format!("{leader} and {id} both lead term {term}"))?;
        // Nobody can be elected in a term that all have left.
        self.leaders = self.leaders.split_off(&cluster.lowest_term());
        Ok(())
    }
}
