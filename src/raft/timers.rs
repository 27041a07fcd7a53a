//! The one timer of each role: when it is due, what it does then, and how it is set anew.

use std::time::Duration;

use super::node::{Context, Luck, Node};
use super::role::{Follower, Leader, Role};
use super::{ServerId, Time, Timing, Why};
use crate::museum::{Bug, on};

impl Node {
    /// When the server next wants [`Input::Deadline`](super::Input::Deadline).
    pub fn deadline(&self) -> Time {
        match &self.role {
            Role::Follower(follower) => follower.election_deadline,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => campaign.election_deadline,
            Role::Leader(leader) => {
                let handover = leader.handover.as_ref().map(|handover| handover.until);
                let others = [handover, leader.commits_from].into_iter().flatten();
                others.fold(leader.heartbeat_due.min(self.quorum_deadline(leader)), Time::min)
            }
        }
    }

    /// Lets no timer wait for a clock that went back to catch up. A clock should be monotonic;
    /// where it is not, a server must neither fall silent nor believe in its leader, or in its
    /// own leadership, for longer than the timings allow from now on.
    pub(super) fn mend_timers(&mut self, context: &mut Context<'_>) {
        let (now, timing) = (context.now, &self.options.timing);
        if now >= self.mended_from {
            self.mended_from = now;
            return;
        }
        self.promise.until = self.promise.until.min(now + timing.election_timeout_min);
        self.bereft_until = self.bereft_until.min(now + timing.election_timeout_min);
        let longest = match self.role {
            Role::Leader(_) => timing.heartbeat,
            _ => timing.election_timeout_max,
        };
        if self.deadline() <= now + longest || on(Bug::NoTimerAfterSteppingDown) {
            return;
        }
        let election_deadline = self.new_election_deadline(context);
        match &mut self.role {
            Role::Follower(follower) => {
                follower.election_deadline = election_deadline;
                if let Some(leader) = &mut follower.leader {
                    leader.heard_at = now.min(leader.heard_at);
                    leader
                        .reads
                        .iter_mut()
                        .for_each(|(_, asked_at)| *asked_at = now.min(*asked_at));
                }
            }
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                campaign.election_deadline = election_deadline;
            }
            Role::Leader(leader) => {
                leader.heartbeat_due = now;
                // How long ago a round began is not known any more (TRAPS 25).
                leader.no_lease = leader.round;
                leader.since = now.min(leader.since);
                leader.settled_until = now.min(leader.settled_until);
                if let Some(from) = &mut leader.commits_from {
                    *from = now + timing.election_timeout_max;
                }
                if let Some(handover) = &mut leader.handover {
                    handover.until = now;
                }
                for peer in &mut leader.peers {
                    peer.heard_at = peer.heard_at.map(|at| now.min(at));
                    peer.leaving = peer.leaving.map(|_| now);
                    peer.catching_up = peer.catching_up.map(|(goal, _)| (goal, now));
                }
                leader.confirmed.1 = now.min(leader.confirmed.1);
                leader.rounds.iter_mut().for_each(|(_, began)| *began = now.min(*began));
            }
        }
    }

    pub(super) fn on_deadline(&mut self, context: &mut Context<'_>) {
        if context.now < self.deadline() {
            return;
        }
        match &self.role {
            Role::Leader(leader) if context.now >= self.quorum_deadline(leader) => {
                self.become_follower(self.current_term, None, Why::QuorumLost, context);
            }
            Role::Leader(Leader { handover: Some(handover), .. })
                if context.now >= handover.until =>
            {
                self.abort_handover(context);
            }
            Role::Leader(Leader { commits_from: Some(from), .. }) if context.now >= *from => {
                self.advance_commit(context);
            }
            Role::Leader(_) => {
                self.begin_round(context);
                self.mind_members(context);
                self.mind_leadership(context);
            }
            _ if !self.may_stand() => self.lose_leader(context),
            _ if self.options.pre_vote => self.become_pre_candidate(context),
            _ => self.become_candidate(None, Why::ElectionTimeout, context),
        }
    }

    /// The process of the leader that it follows is gone. It stands as soon as no lease can be in
    /// the way: the first of the others at once, each further one a little later, so that votes do
    /// not split. Nobody is overruled: whoever still hears the leader votes for nobody.
    pub(super) fn on_gone(&mut self, gone: ServerId, context: &mut Context<'_>) {
        let timing = &self.options.timing;
        let before = |voter: &ServerId| *voter < self.id && *voter != gone;
        let rank = self.log.configuration().voters().into_iter().filter(before).count() as u32;
        let may_stand = self.may_stand();
        let Role::Follower(follower) = &mut self.role else { return };
        let Some(leader) = follower.leader.as_mut().filter(|leader| leader.id == gone) else {
            return;
        };
        leader.gone = true;
        if !may_stand {
            return;
        }
        let free = match self.options.leases && self.options.check_quorum {
            true => leader.heard_at + timing.election_timeout_min,
            false => context.now,
        };
        let free = free.max(context.now);
        let turn = free + timing.heartbeat * (1 + 2 * rank) / 8;
        follower.election_deadline = follower.election_deadline.min(turn);
        self.bereft_until = free + timing.election_timeout_min;
    }

    /// When to stand again after the leader's process has gone: between half a heartbeat's time from
    /// now and one and a half.
    pub(super) fn soon(&self, context: &mut Context<'_>) -> Time {
        let heartbeat = self.options.timing.heartbeat;
        let nanos = u64::try_from(heartbeat.as_nanos()).unwrap_or(u64::MAX).max(1);
        context.now + heartbeat / 2 + Duration::from_nanos(context.luck.draw() % nanos)
    }

    /// What an election timeout means to a server that may not stand: its leader is gone, and
    /// with it the answers to its reads.
    fn lose_leader(&mut self, context: &mut Context<'_>) {
        if !matches!(self.role, Role::Follower(Follower { leader: None, .. })) {
            self.become_follower(self.current_term, None, Why::ElectionTimeout, context);
        }
        let deadline = self.new_election_deadline(context);
        if let Role::Follower(follower) = &mut self.role {
            follower.election_deadline = deadline;
        }
    }

    pub(super) fn retime(&mut self, timing: Timing, context: &mut Context<'_>) {
        // What was set by the timing before is over by then.
        let before = std::mem::replace(&mut self.options.timing, timing);
        self.mended_from = self.mended_from + before.election_timeout_max.max(before.heartbeat);
        let deadline = self.new_election_deadline(context);
        match &mut self.role {
            Role::Follower(follower) => follower.election_deadline = deadline,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                campaign.election_deadline = deadline;
            }
            Role::Leader(leader) => {
                leader.heartbeat_due = leader.heartbeat_due.min(context.now + timing.heartbeat);
                // What was promised before was promised for another time.
                leader.no_lease = leader.round;
            }
        }
    }

    pub(super) fn new_election_deadline(&self, context: &mut Context<'_>) -> Time {
        context.now + draw_election_timeout(&self.options.timing, context.luck)
    }

    fn quorum_deadline(&self, leader: &Leader) -> Time {
        let patience = if self.options.check_quorum && !on(Bug::NoCheckQuorum) {
            self.options.timing.election_timeout_max
        } else {
            Duration::MAX
        };
        leader.confirmed.1 + patience
    }
}

/// One draw from the range, both ends included (section 5.2).
pub(super) fn draw_election_timeout(timing: &Timing, luck: &mut dyn Luck) -> Duration {
    let (min, max) = (timing.election_timeout_min, timing.election_timeout_max);
    let width = u64::try_from(max.saturating_sub(min).as_nanos()).unwrap_or(u64::MAX - 1);
    let draw = if on(Bug::TimersDrawnAlike) { 0 } else { luck.draw() };
    min + Duration::from_nanos(draw % (width + 1))
}
