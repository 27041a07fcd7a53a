//! Linearizable reads without a log write (ReadIndex: thesis 6.4; section 8).
//!
//! A read may be answered from index `i` if `i` was at least the commit index of the cluster when
//! the read began. The leader's commit index is, once an entry of its own term is committed
//! (TRAPS 24), provided that it still leads: a quorum's answer to a heartbeat round that began
//! after the read proves it. One round serves all the reads that came before it.

use super::node::{Context, Node};
use super::role::{Follower, PendingRead, Role};
use super::{Effect, Message, ReadIndex, ReadIndexReply, Refusal, Round, ServerId, Ticket, Time};
use crate::museum::{Bug, on};

impl Node {
    /// A client of this server wants to read.
    pub(super) fn on_read(&mut self, ticket: Ticket, lease: bool, context: &mut Context<'_>) {
        let limit = self.options.limits.pending_reads;
        let term = self.current_term;
        let by_lease = lease && self.has_lease(context.now);
        match &mut self.role {
            Role::Leader(_) if by_lease => {
                context.effects.push(Effect::ReadReady { ticket, index: self.commit_index });
            }
            Role::Leader(_) => self.await_round(ticket, None, context),
            Role::Follower(_) if on(Bug::FollowersReadLocally) => {
                context.effects.push(Effect::ReadReady { ticket, index: self.commit_index });
            }
            Role::Follower(Follower { leader: Some(leader), .. }) if leader.reads.len() < limit => {
                leader.reads.push_back((ticket, context.now));
                context.send(leader.id, Message::ReadIndex(ReadIndex { term, ticket, lease }));
            }
            Role::Follower(Follower { leader: Some(_), .. }) => {
                context.effects.push(Effect::ReadRefused { ticket, reason: Refusal::Busy });
            }
            _ => {
                let reason = self.refusal().unwrap_or(Refusal::ElectionRunning);
                context.effects.push(Effect::ReadRefused { ticket, reason });
            }
        }
    }

    /// Another server asks on behalf of its client.
    pub(super) fn on_read_index(
        &mut self,
        from: ServerId,
        ReadIndex { term, ticket, lease }: ReadIndex,
        context: &mut Context<'_>,
    ) {
        let index = if !matches!(self.role, Role::Leader(_)) {
            None
        } else if lease && self.has_lease(context.now) {
            Some(self.commit_index)
        } else {
            return self.await_round(ticket, Some(from), context);
        };
        context.send(from, Message::ReadIndexReply(ReadIndexReply { term, ticket, index }));
    }

    /// Whether nobody else can have been elected (thesis 6.4.1): since less than a lease ago a
    /// majority has heard of this leader, and refuses its votes to others for that long. A leader
    /// that was to hand over has no lease until a round that began later is answered (TRAPS 26).
    fn has_lease(&self, now: Time) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let (round, began) = leader.confirmed;
        let held = leader.handover.is_none() && round > leader.no_lease;
        let fresh = now.since(began) < self.options.timing.lease();
        self.options.check_quorum
            && self.options.leases
            && self.commit_index >= leader.first_index
            && (held || on(Bug::LeaseOutlivesHandover))
            && (fresh || on(Bug::LeaseNeverEnds))
    }

    pub(super) fn on_read_index_reply(&mut self, reply: ReadIndexReply, context: &mut Context<'_>) {
        let Role::Follower(Follower { leader: Some(leader), .. }) = &mut self.role else { return };
        let ticket = reply.ticket;
        let Some(place) = leader.reads.iter().position(|(read, _)| *read == ticket) else {
            return; // Answered before, given up, or asked in an earlier life (TRAPS 23).
        };
        leader.reads.remove(place);
        context.effects.push(match reply.index {
            Some(index) => Effect::ReadReady { ticket, index },
            None => Effect::ReadRefused { ticket, reason: Refusal::ElectionRunning },
        });
    }

    /// Lets the read wait for a round that begins after it.
    fn await_round(&mut self, ticket: Ticket, from: Option<ServerId>, context: &mut Context<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reads.len() >= self.options.limits.pending_reads {
            self.refuse_read(ticket, from, Refusal::Busy, context);
            return;
        }
        let round = match on(Bug::ReadsWithoutARound) {
            true => leader.confirmed.0,
            false => Round(leader.round.0 + 1),
        };
        leader.reads.push_back(PendingRead { ticket, from, round });
        // With a round under way the read joins the next, which begins when this one is answered.
        // While the leader gives way it waits for how that ends.
        let idle = leader.confirmed.0 == leader.round;
        if idle && !leader.gives_way() {
            self.begin_round(context);
        }
        if on(Bug::ReadsWithoutARound) {
            self.serve_reads(context);
        }
    }

    /// Answers every read whose round a quorum has heard, and begins a round for the others.
    pub(super) fn serve_reads(&mut self, context: &mut Context<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        let behind = self.commit_index < leader.first_index && !on(Bug::ReadsBeforeNoOp);
        if leader.reads.is_empty() || behind {
            return;
        }
        let index = self.commit_index;
        while let Some(read) = leader.reads.front()
            && read.round <= leader.confirmed.0
        {
            let ticket = read.ticket;
            match read.from {
                None => context.effects.push(Effect::ReadReady { ticket, index }),
                Some(from) => {
                    let term = self.current_term;
                    let reply = ReadIndexReply { term, ticket, index: Some(index) };
                    context.send(from, Message::ReadIndexReply(reply));
                }
            }
            leader.reads.pop_front();
        }
        let idle = leader.confirmed.0 == leader.round;
        if !leader.reads.is_empty() && idle && !leader.gives_way() {
            self.begin_round(context);
        }
    }

    /// Gives up the reads whose question or answer seems lost. A follower with a live leader
    /// hears heartbeats, so this comes in time.
    pub(super) fn expire_reads(&mut self, context: &mut Context<'_>) {
        let patience = self.options.timing.election_timeout_max;
        let Role::Follower(Follower { leader: Some(leader), .. }) = &mut self.role else { return };
        while let Some(&(ticket, asked_at)) = leader.reads.front()
            && context.now.since(asked_at) > patience
        {
            let reason = Refusal::NotLeader(leader.id);
            context.effects.push(Effect::ReadRefused { ticket, reason });
            leader.reads.pop_front();
        }
    }

    /// Refuses every read that waits, because the role that it waited in ends.
    pub(super) fn refuse_reads(&mut self, reason: Refusal, context: &mut Context<'_>) {
        match &mut self.role {
            Role::Leader(leader) => {
                for read in std::mem::take(&mut leader.reads) {
                    self.refuse_read(read.ticket, read.from, reason, context);
                }
            }
            Role::Follower(Follower { leader: Some(leader), .. }) => {
                for (ticket, _) in std::mem::take(&mut leader.reads) {
                    context.effects.push(Effect::ReadRefused { ticket, reason });
                }
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    fn refuse_read(
        &self,
        ticket: Ticket,
        from: Option<ServerId>,
        reason: Refusal,
        context: &mut Context<'_>,
    ) {
        match from {
            None => context.effects.push(Effect::ReadRefused { ticket, reason }),
            Some(from) => {
                let reply = ReadIndexReply { term: self.current_term, ticket, index: None };
                context.send(from, Message::ReadIndexReply(reply));
            }
        }
    }
}
