//! If a log entry is committed in a given term, then that entry will be present in the logs of
//! the leaders for all higher-numbered terms (section 5.4).

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::configurations::{halves, majority};
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{Index, RoleKind, Term};

/// The last entry that was committed in each term that some server has not left yet, and in the
/// last term before those.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct LeaderCompleteness {
    commits: BTreeMap<Term, Index>,
}

impl LeaderCompleteness {
    /// A server leads its term now: it must have what was committed in the terms before.
    pub(super) fn elected(&self, cluster: &Cluster, leader: &Server) -> Check {
        match self.commits.range(..leader.vote.term).next_back() {
            Some((term, index)) => has(cluster, leader, *index, *term),
            None => Ok(()),
        }
    }

    /// Entries up to `index` were committed for the first time, by this server. That is sound if
    /// a majority has them on disk (section 5.3) and the last is of the term in which they are
    /// counted (section 5.4.2, figure 8): only then no later leader can lack them.
    pub(super) fn committed(&mut self, cluster: &Cluster, server: &Server, index: Index) -> Check {
        let property = Property::LeaderCompleteness;
        let (id, term) = (server.id, server.vote.term);
        let Some(link) = server.link(index) else { return Ok(()) };
        if !cluster.sees_all() {
            // Somebody else may have committed it, on disks that nobody has told of, in this term
            // or before: leaders of later terms must have it.
            self.commits.insert(term, index);
            return Ok(());
        }
        property.holds(link.term == term, || {
            format!(
                "{id} commits {index}, an entry of term {}, in term {term}: a later leader may \
                 still replace it",
                link.term
            )
        })?;
        let (_, configuration) = &server.configuration;
        let short = cluster.shortfall(halves(configuration), index, Some(link.chain));
        short.map_or(Ok(()), |short| {
            let text = || {
                format!(
                    "{id} commits {index}, which is on {} of {} disks, not on {}: a later leader \
                     may lack it ({configuration})",
                    short.keepers,
                    short.voters,
                    majority(short.voters)
                )
            };
            property.holds(false, text)
        })?;
        self.commits.insert(term, index);
        let later = |it: &&Server| it.role == RoleKind::Leader && it.vote.term > term;
        for leader in cluster.servers.iter().filter(later) {
            has(cluster, leader, index, term)?;
        }
        self.forget(cluster.lowest_term());
        Ok(())
    }

    /// Forgets all terms before `lowest` but the last.
    fn forget(&mut self, lowest: Term) {
        while let Some(second) = self.commits.keys().nth(1)
            && *second < lowest
        {
            self.commits.pop_first();
        }
    }
}

fn has(cluster: &Cluster, leader: &Server, index: Index, term: Term) -> Check {
    Property::LeaderCompleteness.holds(leader.has(index, cluster.committed(index)), || {
        format!(
            "{} leads term {} without entry {index}, which was committed in term {term}",
            leader.id, leader.vote.term
        )
    })
}
