//! Whether the servers' states are equal, as they must be.
//!
//! A state machine keeps the hash of its state after each of the latest entries. Along with its
//! heartbeats a leader tells the others one of its own; whoever has another there answers with all
//! that it has, and so the first entry after which they differ is found. Then every voter is asked
//! about that one, and whoever differs from the majority is out of service, be it the leader.
//! What is lost is asked again with a later heartbeat. No term matters: what an applied entry leads
//! to is the same for ever.

use std::collections::BTreeMap;

use actix::prelude::{Context, Handler, Message as ActixMessage};

use super::Server;
use crate::actors::record::EventKind;
use crate::net::Audit;
use crate::raft::{Index, RoleKind, ServerId};
use crate::storage::StorageError;

/// An [`Audit`] from another server.
#[derive(ActixMessage)]
#[rtype(result = "()")]
pub(crate) struct AuditFrom {
    pub(crate) from: ServerId,
    pub(crate) audit: Audit,
}

/// What a leader asks, and is answered.
#[derive(Default)]
pub(super) struct Auditor {
    /// The hash that it is going to tell: that of a while ago, for the others to be as far.
    next: Option<(Index, u64)>,
    /// The one that it told last.
    told: Option<(Index, u64)>,
    /// The first entry at which somebody differs, and the hashes of those who answered.
    vote: Option<(Index, BTreeMap<ServerId, u64>)>,
}

impl Server {
    /// Tells the others what the state was at the heartbeat before this one.
    pub(super) fn audit(&mut self) {
        if self.node.role() != RoleKind::Leader {
            self.auditor = Auditor::default();
            return;
        }
        let due = std::mem::replace(&mut self.auditor.next, self.life.latest_state());
        if due != self.auditor.told
            && let Some((index, hash)) = due
        {
            self.auditor.told = due;
            self.auditor.vote = None;
            self.tell_others(&Audit::State { index, hash, vote: false });
        }
    }

    fn tell_others(&self, audit: &Audit) {
        for peer in self.node.configuration().members() {
            if peer != self.id {
                self.network.audit(self.id, peer, audit.clone());
            }
        }
    }

    fn on_audit(&mut self, from: ServerId, audit: Audit) {
        match audit {
            Audit::State { index, hash, vote } => match self.life.state_at(index) {
                Some(own) if own != hash => {
                    let (first, hashes) = self.life.states();
                    self.network.audit(self.id, from, Audit::Differs(first, hashes));
                }
                Some(_) if vote => self.network.audit(self.id, from, Audit::Same(index)),
                // Not here yet, or not any more: another time.
                _ => {}
            },
            Audit::Same(index) => {
                if let Some(own) = self.life.state_at(index) {
                    self.count(from, index, own);
                }
            }
            Audit::Differs(first, hashes) => self.on_difference(from, first, &hashes),
            Audit::Outvoted(index) => self.diverged(index),
        }
    }

    /// Has all vote on the first entry after which a peer's state differs.
    fn on_difference(&mut self, from: ServerId, first: Index, hashes: &[u64]) {
        if self.node.role() != RoleKind::Leader {
            return;
        }
        let mut theirs = (first.0..).map(Index).zip(hashes.iter().copied());
        let differs = |(index, hash): &(Index, u64)| {
            self.life.state_at(*index).is_some_and(|own| own != *hash)
        };
        let Some((index, hash)) = theirs.find(differs) else { return };
        let Some(own) = self.life.state_at(index) else { return };
        if self.auditor.vote.as_ref().is_none_or(|(at, _)| index < *at) {
            self.auditor.vote = Some((index, [(self.id, own)].into()));
            self.tell_others(&Audit::State { index, hash: own, vote: true });
        }
        self.count(from, index, hash);
    }

    /// Counts a vote. Whoever differs from a majority of the voters is out of service.
    fn count(&mut self, from: ServerId, index: Index, hash: u64) {
        let Some((at, votes)) = &mut self.auditor.vote else { return };
        if *at != index {
            return;
        }
        votes.insert(from, hash);
        let voters = self.node.configuration().voters();
        let agree =
            |hash: u64| voters.iter().filter(|voter| votes.get(voter) == Some(&hash)).count();
        let right = votes.values().copied().find(|hash| agree(*hash) > voters.len() / 2);
        let Some(right) = right else { return };
        let wrong: Vec<_> = votes.iter().filter(|(_, hash)| **hash != right).collect();
        let wrong: Vec<_> = wrong.into_iter().map(|(server, _)| *server).collect();
        for server in wrong {
            match server == self.id {
                true => self.diverged(index),
                false => self.network.audit(self.id, server, Audit::Outvoted(index)),
            }
        }
    }

    fn diverged(&mut self, index: Index) {
        if self.failure.is_none() {
            self.recorder.record(EventKind::Diverged { server: self.id, index });
            self.failure = Some(StorageError::Diverged(index));
        }
    }
}

impl Handler<AuditFrom> for Server {
    type Result = ();

    fn handle(&mut self, AuditFrom { from, audit }: AuditFrom, ctx: &mut Context<Self>) {
        if !self.life.ended() {
            self.on_audit(from, audit);
            self.rest(ctx);
        }
    }
}
