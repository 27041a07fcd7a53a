//! Checks every property after every fact.

use std::sync::Arc;

use super::acknowledged_is_kept::AcknowledgedIsKept;
use super::cluster::{Cluster, Vote};
use super::election_safety::ElectionSafety;
use super::leader_completeness::LeaderCompleteness;
use super::log_matching::LogMatching;
use super::one_vote_a_term::OneVoteATerm;
use super::server::Start;
use super::sessions_apply_once::SessionsApplyOnce;
use super::state_hash::StateHash;
use super::violation::{Check, Violation};
use super::{
    Fact, Stamp, committed_is_fixed, configuration, leader_append_only, log_matching,
    memory_bounds, monotonic, stable_storage, state_machine_safety,
};
use crate::raft::{Configuration, Index, RoleKind, ServerId};

/// Watches a cluster from outside: it is told every [`Fact`] and answers at the first that breaks
/// a property. A plain value, without time: whoever drives servers can carry one along.
///
/// Its memory grows with what was ever logged: by 16 bytes for each entry of each server's log,
/// and by about 50 for each index. Of digests it keeps 1,024, of requests as many in each of as
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
    /// A server was salvaged.
    over: bool,
}

impl Monitor {
    /// A monitor of a cluster that these servers found, all of which vote. None has started yet.
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
            over: false,
        }
    }

    /// A monitor of a cluster that is found at work, of which nobody has looked at anything yet:
    /// these entries are committed, from index 1 on, with these configurations among them; before
    /// the first of those `founding` holds. Then every server [starts](Fact::Started).
    pub(crate) fn found(
        founding: Configuration,
        committed: &[Stamp],
        configurations: &[(Index, Arc<Configuration>)],
    ) -> Self {
        let mut monitor = Self::new([]);
        monitor.cluster = Cluster::found(founding, committed, configurations);
        monitor.state_hash.assume(Index(committed.len() as u64));
        monitor
    }

    /// Whether servers may rest on what was not told, so that commits are believed: what a leader
    /// has heard of others' disks may be news to the monitor.
    pub(crate) fn believe(&mut self, believes: bool) {
        self.cluster.believes = believes;
    }

    /// Whether all that any server can rest on has been told.
    pub(crate) fn sees_all(&self) -> bool {
        self.cluster.sees_all()
    }

    /// The last entry that is known to be committed.
    pub(crate) fn commit_index(&self) -> Index {
        self.cluster.commit_index()
    }

    /// Takes a fact in. One about a server that has never started says nothing.
    ///
    /// # Errors
    /// The property that it breaks. What the monitor says of later facts means little.
    pub fn observe(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.over |= matches!(fact, Fact::Salvaged { .. });
        if self.over {
            return Ok(());
        }
        let place = match fact {
            Fact::Started { server, .. } => self.cluster.add(*server),
            fact => match self.cluster.place(fact.server()) {
                Some(place) => place,
                None => return Ok(()),
            },
        };
        self.take(place, fact)
    }

    fn take(&mut self, place: usize, fact: &Fact<'_>) -> Check {
        let cluster = &mut self.cluster;
        let server = &mut cluster.servers[place];
        match *fact {
            Fact::Started {
                term,
                voted_for,
                snapshot,
                configuration,
                base,
                log,
                recovering,
                ..
            } => {
                let vote = Vote { term, voted_for };
                self.start(place, &Start { vote, snapshot, configuration, base, log, recovering })
            }
            Fact::Salvaged { .. } => Ok(()),
            Fact::Unseen { .. } => {
                (server.role, server.unseen) = (RoleKind::Follower, true);
                self.election_safety.left(server.id);
                Ok(())
            }
            Fact::Ended { .. } => {
                (server.role, server.runs) = (RoleKind::Follower, false);
                self.election_safety.left(server.id);
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
                if !replaces {
                    return Ok(());
                }
                if server.configuration.0 >= first {
                    server.configure(&cluster.configurations);
                }
                self.acknowledged_is_kept.check(cluster)
            }
            Fact::WroteSnapshot { server: id, write, last_included, configuration } => {
                let index = last_included.index;
                monotonic::installs(server, index)?;
                leader_append_only::installs(server)?;
                committed_is_fixed::installs(cluster, id, last_included)?;
                configuration::snapshotted(cluster, id, index, configuration)?;
                cluster.install(place, write, index, configuration);
                self.acknowledged_is_kept.check(cluster)
            }
            Fact::WroteRecovered { write, .. } => {
                server.write_recovered(write);
                Ok(())
            }
            Fact::Configures { at, configuration, .. } => {
                configuration::appended(cluster, place, at, configuration)
            }
            Fact::Durable { write, .. } => {
                let recovered = server.synced(write);
                self.election_safety.durable(cluster, &cluster.servers[place])?;
                if recovered { self.acknowledged_is_kept.check(cluster) } else { Ok(()) }
            }
            Fact::Sent { server: id, to, ref message } => {
                stable_storage::sent(server, to, message)?;
                self.one_vote_a_term.sent(id, to, message)
            }
            Fact::Became { role, term, .. } => {
                monotonic::term(server, term)?;
                (server.role, server.vote.term) = (role, term);
                if role != RoleKind::Leader {
                    self.election_safety.left(server.id);
                    return Ok(());
                }
                let server = &cluster.servers[place];
                configuration::elected(cluster, server)?;
                self.election_safety.elected(cluster, server)?;
                self.leader_completeness.elected(cluster, server)
            }
            Fact::Committed { index, .. } => {
                let server = &cluster.servers[place];
                monotonic::commit_index(server, index)?;
                committed_is_fixed::committed(cluster, server, index)?;
                let first_time = index > cluster.commit_index();
                let other_members = cluster.commit(place, index);
                let server = &cluster.servers[place];
                if first_time {
                    self.leader_completeness.committed(cluster, server, index)?;
                }
                if other_members { self.acknowledged_is_kept.check(cluster) } else { Ok(()) }
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
            Fact::Restored { server: id, index, digest } => {
                monotonic::last_applied(server, index)?;
                state_machine_safety::restored(server, index)?;
                server.last_applied = index;
                if !cluster.sees_all() {
                    self.state_hash.assume(index);
                }
                self.state_hash.restored(id, index, digest)
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

    fn start(&mut self, place: usize, start: &Start<'_>) -> Check {
        let cluster = &mut self.cluster;
        let server = &cluster.servers[place];
        let id = server.id;
        committed_is_fixed::started(cluster, id, start)?;
        configuration::snapshotted(cluster, id, start.snapshot, start.configuration)?;
        stable_storage::started(cluster, server, start)?;
        if start.recovering && (start.is_formatted() || server.unseen) {
            self.one_vote_a_term.forget(id);
        }
        cluster.start(place, start);
        let server = &cluster.servers[place];
        // A voter that is alone leads before its vote is durable, and may lead the same term
        // again after a crash. Nobody was told of what the crash took back.
        if server.configuration.1.voters() == [id] {
            self.log_matching.forget_behind(server.last());
        }
        self.state_hash.begins(id, start.snapshot);
        self.log_matching.written(server, start.base.index.next())?;
        self.acknowledged_is_kept.check(cluster)
    }
}

#[cfg(test)]
mod tests;
