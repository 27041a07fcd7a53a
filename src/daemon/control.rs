//! The server as operators deal with it.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::chaos::{Disturber, disturb};
use super::metrics::encode;
use super::pulse::Pulse;
use super::why::{self, Asker};
use crate::actors::{Door, Observation, OrderError};
use crate::http::{
    self, Admin, AdminError, Answer, ChangeMembers, Member, Membership, Progress, Status,
};
use crate::net::Peers;
use crate::raft::{Change, ChangeRefusal, ChangeRequest, HandoverRefusal, Index, ServerId};

/// What every worker of the HTTP server shares.
pub(super) struct Control {
    pub(super) cluster: Uuid,
    pub(super) door: Door,
    /// Not there before the server listens.
    pub(super) links: Arc<OnceLock<Links>>,
    pub(super) pulse: Pulse,
    pub(super) registry: Registry,
    pub(super) began: Instant,
    /// Where disturbances go, if there may be any.
    pub(super) disturber: Option<Disturber>,
    /// Where questions go.
    pub(super) asker: Asker,
    /// Turns true when the server is told to stop.
    pub(super) stopping: watch::Receiver<bool>,
}

/// The server among the others.
pub(super) struct Links {
    pub(super) peers: Peers,
    /// How clients reach this server over HTTP.
    pub(super) http: String,
    /// How servers reach it.
    pub(super) peer: String,
}

/// A server that has taken no turn for so long does not live.
const SILENT: Duration = Duration::from_secs(10);
/// A server that has so many committed entries to apply is not ready.
const BEHIND: u64 = 10_000;
/// The highest number of a server.
const MAX_NUMBER: u64 = 99;

impl Control {
    fn http_of(&self, id: ServerId) -> Option<String> {
        let links = self.links.get()?;
        match id == self.door.id() {
            true => Some(links.http.clone()),
            false => links.peers.address(id)?.1.http,
        }
    }

    fn member(&self, id: ServerId, seen: &Observation) -> Member {
        let own = id == self.door.id();
        let links = self.links.get();
        let stats = links.and_then(|links| links.peers.stats(id));
        let peer = match links {
            Some(links) if own => Some(links.peer.clone()),
            Some(links) => links.peers.address(id).map(|(address, _)| address),
            None => None,
        };
        let progress = seen.raft.peers.iter().find(|peer| peer.id == id).map(|peer| Progress {
            match_index: peer.match_index.0,
            alive: peer.alive,
            snapshot: peer.fetched.is_some(),
        });
        let round_trip = stats.as_ref().and_then(|stats| stats.round_trip);
        Member {
            id: id.0,
            membership: membership(id, seen),
            http: self.http_of(id),
            peer,
            connected: own || stats.is_some_and(|stats| stats.connected.is_some()),
            round_trip_micros: round_trip.map(|it| it.as_micros() as u64),
            progress,
        }
    }

    fn not_leader(&self) -> AdminError {
        AdminError::NotLeader { leader: self.leader() }
    }

    fn refusal(&self, error: &OrderError) -> AdminError {
        match error {
            OrderError::Change(ChangeRefusal::NotLeader(_))
            | OrderError::Handover(HandoverRefusal::NotLeader(_)) => self.not_leader(),
            OrderError::Unknown | OrderError::Ended => AdminError::Ended,
            error => AdminError::Refused(error.to_string()),
        }
    }
}

impl Admin for Control {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(async {
            let seen = self.door.observe().await.ok_or(AdminError::Ended)?;
            let raft = &seen.raft;
            let members = raft.configuration.members();
            Ok(Status {
                id: raft.id.0,
                cluster: self.cluster.to_string(),
                role: raft.role.to_string(),
                term: raft.term.0,
                leader: raft.leader.map(|leader| leader.0),
                leader_address: raft.leader.and_then(|leader| self.http_of(leader)),
                last_log_index: raft.last_log.index.0,
                last_log_term: raft.last_log.term.0,
                log_base_index: raft.log_base.0,
                commit_index: raft.commit_index.0,
                last_applied: seen.applied.0,
                snapshot_index: raft.snapshot.0,
                recovering: raft.recovering,
                configuration_index: raft.configured_at.0,
                changing: raft.configuration.is_changing(),
                members: members.into_iter().map(|id| self.member(id, &seen)).collect(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                uptime_seconds: self.began.elapsed().as_secs(),
            })
        })
    }

    fn change_members(&self, change: ChangeMembers) -> Answer<'_, ()> {
        Box::pin(async move {
            let request = change_request(change)?;
            self.door.change(request).await.map_err(|error| self.refusal(&error))
        })
    }

    fn transfer(&self, to: Option<u64>) -> Answer<'_, ()> {
        Box::pin(async move {
            let to = to.map(number).transpose()?;
            self.door.hand_over(to).await.map_err(|error| self.refusal(&error))
        })
    }

    fn snapshot(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.door.take_snapshot();
            Ok(())
        })
    }

    fn chaos(&self, order: String) -> Answer<'_, ()> {
        Box::pin(async move {
            let without = || AdminError::Forbidden("the server was started without --chaos".into());
            disturb(self.disturber.as_ref().ok_or_else(without)?, &order).await
        })
    }

    fn why(&self, question: String) -> Answer<'_, String> {
        Box::pin(async move { why::answer(&self.asker, &question).await })
    }

    fn leader(&self) -> Option<(u64, Option<String>)> {
        let leader = self.door.roster().leader?;
        Some((leader.0, self.http_of(leader)))
    }

    fn live(&self) -> http::Condition {
        let silent = match self.pulse.latest() {
            Some(look) => look.at.elapsed(),
            None => self.began.elapsed(),
        };
        match silent > SILENT {
            true => Err(vec![format!("the server has taken no turn for {} s", silent.as_secs())]),
            false => Ok(()),
        }
    }

    fn ready(&self) -> http::Condition {
        let mut reasons = self.live().err().unwrap_or_default();
        if *self.stopping.borrow() {
            reasons.push("the server was told to stop".to_owned());
        }
        match self.pulse.latest() {
            None => reasons.push("the server has just begun".to_owned()),
            Some(look) => {
                let (raft, applied) = (&look.seen.raft, look.seen.applied);
                let behind = raft.commit_index - applied;
                if raft.leader.is_none() {
                    reasons.push("the server knows of no leader".to_owned());
                }
                if raft.recovering {
                    reasons.push("a quorum has yet to recover the server".to_owned());
                }
                if behind > BEHIND {
                    reasons.push(format!("the server has {behind} entries to apply"));
                }
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn metrics(&self) -> String {
        encode(&self.registry)
    }

    fn stopping(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut stopping = self.stopping.clone();
        Box::pin(async move {
            // If nobody can tell any more, it has ended.
            let _ = stopping.wait_for(|stops| *stops).await;
        })
    }
}

fn membership(id: ServerId, seen: &Observation) -> Membership {
    let known = &seen.raft.configuration;
    let stays = match known.target() {
        [] => known.incoming().contains(&id),
        target => target.contains(&id),
    };
    match (known.is_voter(id), stays) {
        (true, true) => Membership::Voter,
        (true, false) => Membership::Leaving,
        (false, true) => Membership::Joining,
        (false, false) => Membership::Learner,
    }
}

fn number(number: u64) -> Result<ServerId, AdminError> {
    match number {
        1..=MAX_NUMBER => Ok(ServerId(number)),
        _ => Err(AdminError::Invalid(format!("a server's number is from 1 to {MAX_NUMBER}"))),
    }
}

fn change_request(change: ChangeMembers) -> Result<ChangeRequest, AdminError> {
    let ChangeMembers { voters, add, remove, priority, expected } = change;
    let change = match (voters, add, remove, priority) {
        (Some(voters), None, None, None) => {
            Change::Voters(voters.into_iter().map(number).collect::<Result<_, _>>()?)
        }
        (None, Some(new), None, None) if new.learner => Change::AddLearner(number(new.id)?),
        (None, Some(new), None, None) => Change::Add(number(new.id)?),
        (None, None, Some(id), None) => Change::Remove(number(id)?),
        (None, None, None, Some(wanted)) => Change::Priority(number(wanted.id)?, wanted.priority),
        _ => {
            let wanted = "exactly one of `voters`, `add`, `remove` and `priority` is wanted";
            return Err(AdminError::Invalid(wanted.to_owned()));
        }
    };
    Ok(ChangeRequest { change, expected: expected.map(Index) })
}
