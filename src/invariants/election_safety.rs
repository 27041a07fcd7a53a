//! At most one server can be elected leader in a given term (section 5.2).

use std::collections::BTreeMap;

use super::cluster::{Cluster, Vote};
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{ServerId, Term};

/// The leader of every term that some server has not left yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, ServerId>,
    /// Those who elected themselves alone, and whose vote is not on their disk yet: nobody can
    /// have heard of them, and a crash ends it without a trace.
    unheard: BTreeMap<ServerId, Term>,
}

impl ElectionSafety {
    /// A server leads its term now.
    pub(super) fn elected(&mut self, cluster: &Cluster, server: &Server) -> Check {
        let (id, term) = (server.id, server.vote.term);
        if server.kept_vote != server.vote {
            self.unheard.insert(id, term);
            return Ok(());
        }
        self.leads(cluster, id, term)
    }

    /// A server leads no more, or has ended.
    pub(super) fn left(&mut self, server: ServerId) {
        self.unheard.remove(&server);
    }

    /// The disk of a server has written something.
    pub(super) fn durable(&mut self, cluster: &Cluster, server: &Server) -> Check {
        let Some(term) = self.unheard.get(&server.id).copied() else { return Ok(()) };
        if server.kept_vote != (Vote { term, voted_for: Some(server.id) }) {
            return Ok(());
        }
        self.unheard.remove(&server.id);
        self.leads(cluster, server.id, term)
    }

    fn leads(&mut self, cluster: &Cluster, id: ServerId, term: Term) -> Check {
        let leader = *self.leaders.entry(term).or_insert(id);
        Property::ElectionSafety
            .holds(leader == id, || format!("{leader} and {id} both lead term {term}"))?;
        // Nobody can be elected in a term that all have left.
        self.leaders = self.leaders.split_off(&cluster.lowest_term());
        Ok(())
    }
}
