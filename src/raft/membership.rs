//! Changes of the members: section 6, with the catching up of thesis 4.2.1.
//!
//! A change is a walk through configurations, each an entry of the log. What the next one is can
//! be read from the latest one, so whoever leads goes on where another left off, and a crash at
//! any moment leaves a configuration that works.

use std::sync::Arc;

use super::configuration::majority;
use super::node::{Context, Node};
use super::progress::Progress;
use super::role::{Leader, Role};
use super::{
    ChangeRefusal, ChangeRequest, Configuration, Effect, EntryMeta, HandoverReason, Index,
    Position, Refusal, ServerId, Time, Why,
};
use crate::museum::{Bug, on};

/// Most members of a configuration.
const MAX_MEMBERS: usize = 64;

/// For how many election timeouts a server that leaves is sent the entry that says so.
const FAREWELL: u32 = 4;

impl Node {
    /// An operator wants other members.
    pub(super) fn on_change(&mut self, request: &ChangeRequest, context: &mut Context<'_>) {
        match self.plan(request, context.now) {
            Ok(next) if next == **self.log.configuration() => {
                context.effects.push(Effect::ChangeAccepted(self.log.configured_at()));
            }
            Ok(next) => {
                let at = self.append_configuration(next, context);
                context.effects.push(Effect::ChangeAccepted(at));
                self.replicate(context);
            }
            Err(refusal) => context.effects.push(Effect::ChangeRefused(refusal)),
        }
    }

    /// The first configuration on the way to what is asked for.
    fn plan(&self, request: &ChangeRequest, now: Time) -> Result<Configuration, ChangeRefusal> {
        if let Some(refusal) = self.refusal() {
            return Err(ChangeRefusal::NotLeader(refusal));
        }
        let Role::Leader(leader) = &self.role else {
            return Err(ChangeRefusal::NotLeader(Refusal::ElectionRunning));
        };
        let (at, current) = (self.log.configured_at(), self.log.configuration());
        let one_by_one = on(Bug::ChangesOneByOne);
        if self.commit_index < leader.first_index && !one_by_one {
            return Err(ChangeRefusal::TooEarly);
        }
        if (at > self.commit_index && !one_by_one) || current.is_joint() {
            return Err(ChangeRefusal::UnderWay);
        }
        if let Some(expected) = request.expected.filter(|expected| *expected != at) {
            return Err(ChangeRefusal::Changed { expected, found: at });
        }
        let wanted = current.wanting(&request.change)?;
        if wanted.members().len() > MAX_MEMBERS {
            return Err(ChangeRefusal::TooMany(MAX_MEMBERS));
        }
        let voters = if wanted.target().is_empty() { wanted.incoming() } else { wanted.target() };
        if voters.iter().all(|voter| wanted.priority(*voter) == 0) {
            return Err(ChangeRefusal::NobodyLeads);
        }
        self.check_majority(leader, &wanted, now)?;
        if one_by_one && wanted.is_changing() {
            return Ok(wanted.jointly().decided());
        }
        // Without new members there is nobody to wait for.
        let known = wanted.target().iter().all(|voter| current.is_voter(*voter));
        Ok(if wanted.is_changing() && known { wanted.jointly() } else { wanted })
    }

    /// Whether a majority of the voters-to-be answers. New ones are given the benefit of the
    /// doubt: they do not vote before they have caught up.
    fn check_majority(
        &self,
        leader: &Leader,
        wanted: &Configuration,
        now: Time,
    ) -> Result<(), ChangeRefusal> {
        let patience = self.options.timing.election_timeout_max;
        let answers = |voter: &ServerId| match leader.peer(*voter) {
            Some(peer) if self.log.configuration().is_member(*voter) => {
                peer.is_alive(now, patience) && peer.counts()
            }
            _ => true,
        };
        let voters = match wanted.target() {
            [] => return Ok(()),
            target => target.to_vec(),
        };
        let alive: Vec<_> = voters.iter().copied().filter(answers).collect();
        let needed = majority(voters.len());
        match alive.len() >= needed || on(Bug::LetsGoOfTheMajority) {
            true => Ok(()),
            false => Err(ChangeRefusal::LosesMajority { voters, alive, needed }),
        }
    }

    /// Appends a configuration, which holds at once. Returns where.
    pub(super) fn append_configuration(
        &mut self,
        configuration: Configuration,
        context: &mut Context<'_>,
    ) -> Index {
        let configuration = Arc::new(configuration);
        let position = Position::new(self.current_term, self.log.last().index.next());
        self.log.append(&[EntryMeta {
            configuration: Some(configuration.clone()),
            ..EntryMeta::new(position.term, 0)
        }]);
        context.effects.push(Effect::AppendConfiguration { position, configuration });
        self.refresh_peers(context.now);
        position.index
    }

    /// Sees to it that the leader sends to the members of the latest configuration, and for a
    /// while to those that are none any more, so that they know.
    pub(super) fn refresh_peers(&mut self, now: Time) {
        let last = self.log.last().index;
        let farewell = self.options.timing.election_timeout_max * FAREWELL;
        let Role::Leader(Leader { peers, .. }) = &mut self.role else { return };
        let configuration = self.log.configuration();
        for id in configuration.members() {
            if id != self.id && peers.iter().all(|peer| peer.id != id) {
                peers.push(Progress::new(id, last));
            }
        }
        peers.sort_unstable_by_key(|peer| peer.id);
        for peer in peers {
            peer.leaving = match configuration.is_member(peer.id) {
                true => None,
                false => peer.leaving.or(Some(now + farewell)),
            };
            let joins =
                configuration.target().contains(&peer.id) && !configuration.is_voter(peer.id);
            peer.catching_up = match joins {
                true => peer.catching_up.or(Some((last, now))),
                false => None,
            };
            peer.caught_up &= joins;
        }
    }

    /// A new member has caught up when it takes less than the shortest election timeout to bring
    /// it what came meanwhile: as a voter it holds nobody up (thesis 4.2.1, TRAPS 38).
    pub(super) fn mind_catching_up(&mut self, from: ServerId, context: &mut Context<'_>) {
        let quick = self.options.timing.election_timeout_min;
        let last = self.log.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.iter_mut().find(|peer| peer.id == from) else { return };
        let Some((goal, began)) = peer.catching_up else { return };
        if !peer.counts() || peer.match_index < goal {
            return;
        }
        peer.caught_up = context.now.since(began) <= quick;
        peer.catching_up = Some((last, context.now));
        self.mind_members(context);
    }

    /// Takes the next step of a change, when the one before is committed.
    pub(super) fn mind_members(&mut self, context: &mut Context<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        let (at, configuration) = (self.log.configured_at(), self.log.configuration());
        if at > self.commit_index || leader.gives_way() {
            return;
        }
        // It has applied the entry, so it knows that it is committed; or it cannot be told.
        leader.peers.retain(|peer| {
            peer.leaving.is_none_or(|until| context.now < until && peer.applied < at)
        });
        let next = if configuration.is_joint() {
            configuration.decided()
        } else if !configuration.target().is_empty() {
            let patience = self.options.timing.election_timeout_max;
            let ready = |voter: &ServerId| {
                let caught_up = |peer: &Progress| {
                    (peer.caught_up || on(Bug::PromotesLaggards))
                        && peer.counts()
                        && peer.is_alive(context.now, patience)
                };
                configuration.is_voter(*voter) || leader.peer(*voter).is_some_and(caught_up)
            };
            if !configuration.target().iter().all(ready) {
                return;
            }
            configuration.jointly()
        } else if !configuration.is_voter(self.id) && leader.handover.is_none() {
            return self.leave(context);
        } else {
            return;
        };
        self.append_configuration(next, context);
        if on(Bug::RemovedLeaderLeavesEarly) && !self.log.configuration().is_voter(self.id) {
            return self.become_follower(self.current_term, None, Why::Removed, context);
        }
        self.replicate(context);
        // Alone, it is committed at once.
        self.advance_commit(context);
    }

    /// The configuration without this leader is committed (TRAPS 40): another takes over.
    fn leave(&mut self, context: &mut Context<'_>) {
        match self.successor(context.now) {
            Some(to) => self.hand_over(to, HandoverReason::Removed, context),
            None => self.become_follower(self.current_term, None, Why::Removed, context),
        }
    }
}

impl Leader {
    pub(super) fn peer(&self, id: ServerId) -> Option<&Progress> {
        self.peers.iter().find(|peer| peer.id == id)
    }
}
