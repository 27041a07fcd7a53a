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
    /// A server may lead its term now. Whoever elects itself alone leads once its vote is on its
    /// disk: until then nobody can hear of it, and a crash ends it without a trace.
    pub(super) fn elected(&mut self, cluster: &Cluster, server: &Server) -> Check {
        let (id, term) = (server.id, server.vote.term);
        if server.kept_vote != server.vote || self.leaders.get(&term) == Some(&id) {
            return Ok(());
        }
        let leader = *self.leaders.entry(term).or_insert(id);
        Property::ElectionSafety
            .holds(leader == id, || format!("{leader} and {id} both lead term {term}"))?;
        // Nobody can be elected in a term that all have left.
        self.leaders = self.leaders.split_off(&cluster.lowest_term());
        Ok(())
    }
}
