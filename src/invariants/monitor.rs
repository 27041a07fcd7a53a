//! Checks every property after every fact.

use super::acknowledged_is_kept::AcknowledgedIsKept;
use super::cluster::{Cluster, Vote};
use super::election_safety::ElectionSafety;
use super::leader_completeness::LeaderCompleteness;
use super::log_matching::LogMatching;
use super::one_vote_a_term::OneVoteATerm;
use super::sessions_apply_once::SessionsApplyOnce;
use super::state_hash::StateHash;
use super::violation::{Check, Violation};
use super::{
    Fact, committed_is_fixed, leader_append_only, log_matching, memory_bounds, monotonic,
    stable_storage, state_machine_safety,
};
use crate::raft::{Index, RoleKind, ServerId};

/// Watches a cluster from outside: it is told every [`Fact`] and answers at the first that breaks
/// a property. A plain value, without time: whoever drives servers can carry one along.
///
/// Its memory grows with what was ever logged: by 16 bytes for each entry of each server's log,
/// and by about 40 for each index. Of digests it keeps 1,024, of requests as many in each of as
/// many sessions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Monitor {
    cluster: Cluster,
    election_safety: ElectionSafety,
    log_matching: LogMatching,
    leader_completeness: LeaderCompleteness,
    one_vote_a_term: OneVoteATerm,
    acknowledged_is_kept: AcknowledgedIsKept,
    sessions_apply_once: SessionsApplyOnce,
    state_hash: StateHash,
}

impl Monitor {
    /// A monitor of a cluster of these servers, all of which vote. None has started yet.
    pub fn new(servers: impl IntoIterator<Item = ServerId>) -> Self {
        Self {
            cluster: Cluster::new(servers),
            election_safety: ElectionSafety::default(),
            log_matching: LogMatching::default(),
            leader_completeness: LeaderCompleteness::default(),
            one_vote_a_term: OneVoteATerm::default(),
            acknowledged_is_kept: AcknowledgedIsKept::default(),
            sessions_apply_once: SessionsApplyOnce::default(),
            state_hash: StateHash::default(),
        }
    }

    /// Takes a fact in. One about a server that is not of the cluster says nothing.
    ///
    /// # Errors
    /// The property that it breaks. What the monitor says of later facts means little.
    pub fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        match self.cluster.place(fact.server()) {
            Some(place) => self.take(place, fact),
            None => Ok(()),
        }
    }

    fn take(&mut self, place: usize, fact: &Fact<'_>) -> Check {
        let cluster = &mut self.cluster;
        // A server that is alone leads before its vote is durable, and may lead the same term
        // again after a crash. Nobody was told of what the crash took back.
        let alone = cluster.servers.len() == 1;
        let server = &mut cluster.servers[place];
        match *fact {
            Fact::Started { server: id, term, voted_for, log, .. } => {
                stable_storage::started(server, Vote { term, voted_for }, log)?;
                if alone {
                    self.log_matching = LogMatching::default();
                }
                server.start(term, voted_for, log);
                self.state_hash.started(id);
                self.log_matching.written(server, Index(1))?;
                self.acknowledged_is_kept.check(cluster)
            }
            Fact::WroteSnapshot { .. }
            | Fact::WroteRecovered { .. }
            | Fact::Configures { .. }
            | Fact::Restored { .. } => Ok(()),
            Fact::Ended { .. } => {
                server.role = RoleKind::Follower;
                Ok(())
            }
            Fact::WroteVote { write, term, voted_for, .. } => {
                let vote = Vote { term, voted_for };
                monotonic::term(server, term)?;
                OneVoteATerm::written(server, vote)?;
                server.write_vote(write, vote);
                Ok(())
            }
            Fact::WroteEntries { write, first, entries, .. } => {
                log_matching::replaced(server, first)?;
                leader_append_only::check(server, first, entries)?;
                committed_is_fixed::replaced(server, first)?;
                let replaces = first <= server.last();
                server.write_entries(write, first, entries);
                self.log_matching.written(server, first)?;
                if replaces { self.acknowledged_is_kept.check(cluster) } else { Ok(()) }
            }
            Fact::Durable { write, .. } => {
                server.synced(write);
                Ok(())
            }
            Fact::Sent { server: id, to, ref message } => {
                stable_storage::sent(server, to, message)?;
                self.one_vote_a_term.sent(id, to, message)
            }
            Fact::Became { role, term, .. } => {
                monotonic::term(server, term)?;
                (server.role, server.vote.term) = (role, term);
                if role != RoleKind::Leader {
                    return Ok(());
                }
                let server = &cluster.servers[place];
                self.election_safety.elected(cluster, server)?;
                self.leader_completeness.elected(cluster, server)
            }
            Fact::Committed { index, .. } => {
                let server = &cluster.servers[place];
                monotonic::commit_index(server, index)?;
                committed_is_fixed::committed(cluster, server, index)?;
                let first_time = index > cluster.commit_index();
                cluster.commit(place, index);
                let server = &cluster.servers[place];
                if first_time {
                    self.leader_completeness.committed(cluster, server, index)?;
                }
                Ok(())
            }
            Fact::Applied { server: id, index, entry, answer, request } => {
                let server = &cluster.servers[place];
                state_machine_safety::check(cluster, server, index, entry)?;
                cluster.servers[place].last_applied = index;
                self.state_hash.applied(id, index, answer)?;
                match request {
                    Some(request) => self.sessions_apply_once.carried_out(id, index, request),
                    None => Ok(()),
                }
            }
            Fact::Digest { server: id, index, digest } => self.state_hash.digest(id, index, digest),
            Fact::Answered { server: id, index } => {
                self.acknowledged_is_kept.answered(cluster, id, index)
            }
            Fact::Holds { server: id, what, count, limit } => {
                memory_bounds::check(id, what, count, limit)
            }
        }
    }
}

#[cfg(test)]
mod tests;
