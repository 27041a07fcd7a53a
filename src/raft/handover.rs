//! A leader hands over (thesis 3.10): because it is told to, because another is wanted more, or
//! because it cannot do its work.
//!
//! The other is told to stand as soon as everything has been sent to it, with the last entry that
//! it must have. From then on the leader takes no writes and begins no rounds, for the shortest
//! election timeout at the most; if nobody has been elected by then it leads on (TRAPS 63).

use super::node::{Context, Node};
use super::progress::Progress;
use super::role::{Handover, Leader, Role};
use super::{
    Effect, Force, HandoverReason, HandoverRefusal, Index, Message, Refusal, ServerId, Time,
    TimeoutNow, Why,
};
use crate::museum::{Bug, on};

/// For how many election timeouts a leader that could not hand over does not try again by itself.
const SETTLED: u32 = 10;

impl Node {
    /// An operator wants another leader.
    pub(super) fn on_hand_over(&mut self, to: Option<ServerId>, context: &mut Context<'_>) {
        match self.chosen(to, context.now) {
            Ok(to) => self.hand_over(to, HandoverReason::Ordered, context),
            Err(refusal) => context.effects.push(Effect::HandoverRefused(refusal)),
        }
    }

    fn chosen(&self, to: Option<ServerId>, now: Time) -> Result<ServerId, HandoverRefusal> {
        let Role::Leader(leader) = &self.role else {
            let refusal = self.refusal().unwrap_or(Refusal::ElectionRunning);
            return Err(HandoverRefusal::NotLeader(refusal));
        };
        if let Some(handover) = &leader.handover {
            return Err(HandoverRefusal::UnderWay(handover.to));
        }
        let Some(to) = to else { return self.successor(now).ok_or(HandoverRefusal::Nobody) };
        let configuration = self.log.configuration();
        let patience = self.options.timing.election_timeout_max;
        match leader.peer(to) {
            _ if to == self.id => Err(HandoverRefusal::Leads(to)),
            _ if !configuration.is_voter(to) => Err(HandoverRefusal::NotVoter(to)),
            _ if configuration.priority(to) == 0 => Err(HandoverRefusal::NeverLeads(to)),
            Some(peer) if peer.is_alive(now, patience) && peer.counts() => Ok(to),
            _ => Err(HandoverRefusal::Silent(to)),
        }
    }

    /// The voter that would do best: of the highest priority, then with the longest log.
    pub(super) fn successor(&self, now: Time) -> Option<ServerId> {
        let Role::Leader(leader) = &self.role else { return None };
        let rank = |peer: &&Progress| {
            let priority = self.log.configuration().priority(peer.id);
            (priority, peer.match_index, std::cmp::Reverse(peer.id))
        };
        self.candidates(leader, now).max_by_key(rank).map(|peer| peer.id)
    }

    /// The voters that answer, and could be elected.
    fn candidates<'a>(
        &'a self,
        leader: &'a Leader,
        now: Time,
    ) -> impl Iterator<Item = &'a Progress> {
        let configuration = self.log.configuration();
        let patience = self.options.timing.election_timeout_max;
        leader.peers.iter().filter(move |peer| {
            configuration.is_voter(peer.id)
                && configuration.priority(peer.id) > 0
                && peer.counts()
                && peer.is_alive(now, patience)
        })
    }

    pub(super) fn hand_over(
        &mut self,
        to: ServerId,
        why: HandoverReason,
        context: &mut Context<'_>,
    ) {
        let until = context.now + self.options.timing.election_timeout_max;
        let Role::Leader(leader) = &mut self.role else { return };
        leader.handover = Some(Handover { to, why, until, told: false });
        context.effects.push(Effect::HandingOver { to, why });
        self.mind_handover(to, context);
    }

    /// Tells the server to stand that the leader hands over to, as soon as it can be elected; and
    /// again when it has everything, should the order have been lost.
    pub(super) fn mind_handover(&mut self, to: ServerId, context: &mut Context<'_>) {
        let last_log = self.log.last();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(handover) = leader.handover.as_mut().filter(|it| it.to == to) else { return };
        let Some(peer) = leader.peers.iter().find(|peer| peer.id == to) else { return };
        let ready = match handover.told {
            true => peer.match_index == last_log.index,
            false => peer.has_been_sent(last_log.index),
        };
        // The lease of a leader that an operator deposed binds its successor's successor too.
        if !ready || leader.commits_from.is_some() {
            return;
        }
        if !handover.told {
            handover.told = true;
            handover.until = context.now + self.options.timing.election_timeout_min;
        }
        let (term, round) = (self.current_term, leader.round);
        let order = TimeoutNow { term, last_log, round };
        context.send(to, Message::TimeoutNow(order));
        if on(Bug::LeavesBeforeItIsReplaced) {
            self.become_follower(term, None, Why::Removed, context);
        }
    }

    /// Nobody has taken over in time.
    pub(super) fn abort_handover(&mut self, context: &mut Context<'_>) {
        let settled = self.options.timing.election_timeout_max * SETTLED;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(handover) = leader.handover.take() else { return };
        leader.no_lease = leader.round;
        leader.settled_until = context.now + settled;
        context.effects.push(Effect::HandoverAborted { to: handover.to });
        let why = match handover.why {
            HandoverReason::Ordered | HandoverReason::Priority => {
                return self.begin_round(context);
            }
            HandoverReason::Removed => Why::Removed,
            stalled => Why::Stalled(stalled),
        };
        self.become_follower(self.current_term, None, why, context);
    }

    /// The leader hands over to this server.
    pub(super) fn on_timeout_now(
        &mut self,
        from: ServerId,
        order: TimeoutNow,
        context: &mut Context<'_>,
    ) {
        let Role::Follower(follower) = &self.role else { return };
        // Late: the leader has led on since, or may have.
        let led_on = match &follower.leader {
            Some(leader) => leader.round > order.round,
            None => self.bound_before(from, context.now).is_some(),
        };
        if led_on || !self.may_stand() || self.log.last() < order.last_log {
            return;
        }
        if on(Bug::PreVoteBlocksHandover) {
            return self.become_pre_candidate(context);
        }
        let forced = Some(Force::Leader(order.round));
        self.become_candidate(forced, Why::HandedOver(from), context);
    }

    /// Gives way to a voter that does what this leader cannot do, or that is wanted more. Looked
    /// at with every heartbeat.
    pub(super) fn mind_leadership(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let patience = self.options.timing.election_timeout_max;
        let (last, durable) = (self.log.last().index, self.durable_index);
        let (applied, committed) = (self.applied, self.commit_index);
        let Role::Leader(leader) = &mut self.role else { return };
        let disk_stalled = leader.disk.stalled(now, durable, last) > patience;
        let machine_stalled = leader.machine.stalled(now, applied, committed) > patience;
        if leader.handover.is_some() || on(Bug::StalledLeaderStays) {
            return;
        }
        let best = |works: fn(&Progress) -> Index, than: Index| {
            let Role::Leader(leader) = &self.role else { return None };
            let best = self.candidates(leader, now).max_by_key(|peer| works(peer));
            best.filter(|peer| works(peer) > than).map(|peer| peer.id)
        };
        if disk_stalled && let Some(to) = best(|peer| peer.match_index, durable) {
            self.hand_over(to, HandoverReason::DiskStalled, context);
        } else if machine_stalled && let Some(to) = best(|peer| peer.applied, applied) {
            self.hand_over(to, HandoverReason::ApplyStalled, context);
        } else if let Some(to) = self.preferred(now) {
            self.hand_over(to, HandoverReason::Priority, context);
        }
    }

    /// A voter of a higher priority that has caught up, once this leader has led for a while and
    /// has nothing else to do than to lead.
    fn preferred(&self, now: Time) -> Option<ServerId> {
        let Role::Leader(leader) = &self.role else { return None };
        let configuration = self.log.configuration();
        let own = configuration.priority(self.id);
        let busy = now < leader.settled_until
            || self.commit_index < leader.first_index
            || configuration.is_changing();
        let to = self.successor(now).filter(|to| !busy && configuration.priority(*to) > own)?;
        let peer = leader.peer(to)?;
        let caught_up = peer.match_index >= self.commit_index && peer.applied >= self.applied;
        (caught_up && peer.has_been_sent(self.log.last().index)).then_some(to)
    }
}
