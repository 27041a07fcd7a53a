//! Snapshots: section 7.
//!
//! The protocol decides who needs one and when it takes effect; it never looks into it. Offers go
//! out in place of heartbeats. The follower asks for the parts that it lacks, a few at a time, and
//! the leader sends each when it is asked: whatever is lost is asked for again, what comes twice
//! changes nothing, and what has come stays when the leader changes or either side crashes.

use super::node::{Context, Node};
use super::progress::Flow;
use super::role::{Follower, Leader, Role};
use super::{
    AppendOutcome, Effect, Fetched, Index, InstallSnapshot, InstallSnapshotReply, Message, Part,
    Position, ServerId, SnapshotMeta,
};
use crate::museum::{Bug, on};

impl Node {
    /// Whether the log does not hold any more what comes next for this peer.
    pub(super) fn must_offer(&self, place: usize) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        leader.peers[place].next_index <= self.log.base().index
    }

    /// Offers the snapshot to a peer; again only with a heartbeat.
    pub(super) fn offer_to(&mut self, place: usize, again: bool, context: &mut Context<'_>) {
        let base = self.log.base().index;
        let Role::Leader(Leader { peers, round, .. }) = &mut self.role else { return };
        let peer = &mut peers[place];
        // A transfer under way goes on as long as the log goes on where its snapshot ends.
        let offered = match peer.flow {
            Flow::Snapshot { last_included, .. } if last_included.index >= base => {
                Some(last_included)
            }
            _ => None,
        };
        if offered.is_some() && !again {
            return;
        }
        let last_included = offered.unwrap_or(self.snapshot.last_included);
        peer.offer(last_included);
        let term = self.current_term;
        let offer = InstallSnapshot { term, last_included, round: *round, part: None };
        context.send(peer.id, Message::InstallSnapshot(offer));
    }

    pub(super) fn on_install_snapshot_reply(
        &mut self,
        from: ServerId,
        reply: InstallSnapshotReply,
        context: &mut Context<'_>,
    ) {
        let (term, base) = (self.current_term, self.log.base().index);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.iter_mut().find(|peer| peer.id == from) else { return };
        peer.heard_at = Some(context.now);
        let heard = peer.counts() && !reply.recovering && reply.round > peer.round;
        if heard {
            peer.round = reply.round;
        }
        if let Flow::Snapshot { last_included, have } = &mut peer.flow
            && *last_included == reply.last_included
        {
            *have = reply.have;
            // With the log before the base, the snapshots before it may be gone.
            if let Some(part) = reply.want.filter(|_| reply.last_included.index >= base) {
                let (last_included, round) = (reply.last_included, leader.round);
                let part = InstallSnapshot { term, last_included, round, part: Some(part) };
                context.send(from, Message::InstallSnapshot(part));
            }
        }
        if heard {
            self.confirm_round(context);
        }
    }

    pub(super) fn on_install_snapshot(
        &mut self,
        from: ServerId,
        install: InstallSnapshot,
        context: &mut Context<'_>,
    ) {
        assert!(
            !matches!(self.role, Role::Leader(_)),
            "invariant: one leader a term, but {from} and {} both lead term {}",
            self.id,
            self.current_term
        );
        self.follow(from, install.round, context);
        let last_included = install.last_included;
        if self.covers(last_included) {
            return self.take_as_matched(last_included.index, context);
        }
        context.effects.push(match install.part {
            None => Effect::Offered { last_included },
            Some(part) => Effect::Arrived { last_included, part },
        });
    }

    /// Whether all that the snapshot covers is here, and committed here or by the snapshot.
    fn covers(&self, last_included: Position) -> bool {
        let older = last_included.index <= self.commit_index;
        older || self.log.contains(last_included)
    }

    /// The log agrees with the leader's up to `index`, and all that is committed.
    fn take_as_matched(&mut self, index: Index, context: &mut Context<'_>) {
        self.commit_to(index, context);
        let durable = self.durable_index;
        let Role::Follower(Follower { leader: Some(leader), .. }) = &mut self.role else { return };
        leader.matched = leader.matched.max(index);
        leader.owes_answer = leader.matched > durable;
        self.answer_leader(AppendOutcome::Matched(index.min(durable)), context);
        self.mind_recovery(context);
    }

    /// What the driver has of the snapshot that it was offered, and what it lacks.
    pub(super) fn on_fetching(
        &mut self,
        last_included: Position,
        want: &[Part],
        have: Fetched,
        context: &mut Context<'_>,
    ) {
        let Role::Follower(Follower { leader: Some(leader), .. }) = &self.role else { return };
        let (to, round, term) = (leader.id, leader.round, self.current_term);
        let recovering = self.recovery.is_some();
        let reply = |want| {
            let (term, round) = (term, round);
            InstallSnapshotReply { term, round, last_included, want, have, recovering }
        };
        if want.is_empty() {
            context.send(to, Message::InstallSnapshotReply(reply(None)));
        }
        for part in want {
            context.send(to, Message::InstallSnapshotReply(reply(Some(*part))));
        }
    }

    /// All of the snapshot is on the disk. It takes the place of the log, unless the log has come
    /// as far meanwhile (TRAPS 8): then it is not needed.
    pub(super) fn on_fetched(&mut self, snapshot: &SnapshotMeta, context: &mut Context<'_>) {
        let last_included = snapshot.last_included;
        if matches!(self.role, Role::Leader(_)) {
            return;
        }
        if self.covers(last_included) {
            return;
        }
        let kept = on(Bug::DisjointMajoritiesAfterSnapshot).then(|| self.log.clone());
        self.log = super::log::Log::new(last_included, snapshot);
        if let Some(before) = kept {
            self.log.keep_configuration_of(&before);
        }
        self.snapshot = snapshot.clone();
        (self.durable_index, self.truncated_in) = (Index(0), self.current_term);
        let before = std::mem::replace(&mut self.commit_index, last_included.index);
        context.effects.push(Effect::Install(Box::new(snapshot.clone())));
        context.effects.push(Effect::Commit(last_included.index));
        if snapshot.configured_at > before {
            let (at, configuration) = (self.log.configured_at(), self.log.configuration().clone());
            context.effects.push(Effect::Configured { at, configuration });
        }
        if let Role::Follower(Follower { leader: Some(leader), .. }) = &mut self.role {
            leader.matched = last_included.index;
            leader.owes_answer = true;
        }
    }

    /// A snapshot of this server's own state is on its disk: the log before it may go, but for a
    /// tail, and for what a transfer under way goes on with, or those need who had the last one
    /// (TRAPS 59). So the log reaches back to the last snapshot at the most.
    pub(super) fn on_snapshotted(&mut self, snapshot: &SnapshotMeta, context: &mut Context<'_>) {
        let end = snapshot.last_included;
        let before = self.snapshot.last_included.index;
        if end.index <= before || !self.log.contains(end) {
            return; // Another was installed meanwhile.
        }
        assert!(end.index <= self.commit_index, "invariant: only what is committed is applied");
        self.snapshot = snapshot.clone();
        let limits = &self.options.limits;
        let tail = self.log.tail_start(end.index, limits.kept_entries, limits.kept_bytes);
        let patience = self.options.timing.election_timeout_max;
        let needed = match &self.role {
            Role::Leader(leader) => leader
                .peers
                .iter()
                .filter(|peer| peer.is_alive(context.now, patience))
                .map(|peer| match peer.flow {
                    Flow::Snapshot { last_included, .. } => last_included.index,
                    Flow::Probe { .. } | Flow::Pipeline { .. } => peer.match_index,
                })
                .filter(|needed| *needed >= before)
                .min(),
            _ => None,
        };
        let to = needed.map_or(tail, |needed| needed.min(tail));
        if to > self.log.base().index {
            self.log.compact(to);
            context.effects.push(Effect::Compact(to));
        }
    }
}
