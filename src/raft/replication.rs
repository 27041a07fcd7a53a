//! Log replication and commitment: sections 5.3 and 5.4.2.

use super::node::{Context, Node};
use super::progress::{Flow, Progress};
use super::role::{Follower, Leader, Role};
use super::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Effect, EntryMeta, Index, Message, Position,
    Refusal, Round, ServerId, Term, Why,
};
use crate::museum::{Bug, on};

impl Node {
    /// Takes clients' commands into the log, as many as the limits allow, and sends them on.
    pub(super) fn on_propose(&mut self, sizes: &[u32], context: &mut Context<'_>) {
        if let Some(refusal) = self.refusal() {
            context.effects.push(Effect::Refused(refusal));
            return;
        }
        let first = self.log.last().index.next();
        let count = self.room_for(sizes);
        if count > 0 {
            self.log.append_commands(self.current_term, &sizes[..count]);
            context.effects.push(Effect::Append { first, entries: 0..count });
            context.effects.push(Effect::Accepted { first, count });
            self.replicate(context);
        }
        if count < sizes.len() {
            context.effects.push(Effect::Refused(Refusal::Busy));
        }
    }

    /// For how many of these commands the uncommitted tail has room (TRAPS 68). Computed from the
    /// log each time, so that it cannot drift.
    fn room_for(&self, sizes: &[u32]) -> usize {
        let limits = &self.options.limits;
        let last = self.log.last().index;
        let entries = limits.uncommitted_entries.saturating_sub(last - self.commit_index);
        let mut tail = self.log.bytes_between(self.commit_index, last);
        let fits = |bytes: &&u32| {
            let alone = tail == 0;
            tail += u64::from(**bytes);
            alone || tail <= limits.uncommitted_bytes
        };
        let room = usize::try_from(entries).unwrap_or(usize::MAX);
        sizes.iter().take(room).take_while(fits).count()
    }

    /// Sends each peer what it lacks and its window allows.
    pub(super) fn replicate(&mut self, context: &mut Context<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        for place in 0..leader.peers.len() {
            self.replicate_to(place, context);
        }
    }

    pub(super) fn replicate_to(&mut self, place: usize, context: &mut Context<'_>) {
        if self.must_offer(place) {
            return self.offer_to(place, false, context);
        }
        let Role::Leader(Leader { peers, round, .. }) = &mut self.role else { return };
        let peer = &mut peers[place];
        peer.needs_no_snapshot();
        let limits = &self.options.limits;
        let last = self.log.last().index;
        while peer.next_index <= last {
            let prev = peer.next_index.previous();
            let open = match &peer.flow {
                Flow::Probe { waiting } => !waiting,
                Flow::Pipeline { unanswered } => {
                    unanswered.len() < limits.window_messages
                        && self.log.bytes_between(peer.match_index, prev) < limits.window_bytes
                }
                Flow::Snapshot { .. } => false,
            };
            if !open {
                return;
            }
            let end = self.log.batch_end(prev, limits.message_entries, limits.message_bytes);
            peer.sent(end);
            let term = self.log.term_at(prev).expect("invariant: next_index is in the log");
            let append = AppendEntries {
                term: self.current_term,
                prev_log: Position::new(term, prev),
                last: end,
                leader_commit: self.commit_index,
                round: *round,
            };
            context.send(peer.id, Message::AppendEntries(append));
        }
    }

    /// Begins a heartbeat round: every peer hears from the leader, with entries if it lacks some.
    pub(super) fn begin_round(&mut self, context: &mut Context<'_>) {
        let heartbeat = self.options.timing.heartbeat;
        let Role::Leader(leader) = &mut self.role else { return };
        if !leader.gives_way() {
            leader.round = Round(leader.round.0 + 1);
            if leader.rounds.len() == Leader::ROUNDS {
                leader.rounds.pop_front();
            }
            leader.rounds.push_back((leader.round, context.now));
        }
        leader.heartbeat_due = context.now + heartbeat;
        for place in 0..leader.peers.len() {
            let sent = context.effects.len();
            self.replicate_to(place, context);
            if context.effects.len() == sent {
                self.heartbeat_to(place, context);
            }
        }
        self.confirm_round(context);
    }

    /// An `AppendEntries` without entries. It asks about the entry before the next one to send,
    /// so that a lost message shows within one heartbeat.
    fn heartbeat_to(&mut self, place: usize, context: &mut Context<'_>) {
        if self.must_offer(place) {
            return self.offer_to(place, true, context);
        }
        let Role::Leader(leader) = &self.role else { return };
        let peer = &leader.peers[place];
        let prev = peer.next_index.previous();
        let term = self.log.term_at(prev).expect("invariant: next_index is in the log");
        let append = AppendEntries {
            term: self.current_term,
            prev_log: Position::new(term, prev),
            last: prev,
            leader_commit: self.commit_index,
            round: leader.round,
        };
        context.send(peer.id, Message::AppendEntries(append));
    }

    pub(super) fn on_append_entries(
        &mut self,
        from: ServerId,
        append: AppendEntries,
        entries: &[EntryMeta],
        context: &mut Context<'_>,
    ) {
        assert!(
            !matches!(self.role, Role::Leader(_)),
            "invariant: one leader a term, but {from} and {} both lead term {}",
            self.id,
            self.current_term
        );
        if append.prev_log.index.0.checked_add(entries.len() as u64) != Some(append.last.0) {
            return; // Not the entries that it names (TRAPS 9): as good as lost.
        }
        self.follow(from, append.round, context);
        // What lies before the base is committed, and the leader has it too (TRAPS 6).
        let base = self.log.base().index;
        let covered = (base - append.prev_log.index).min(entries.len() as u64) as usize;
        let agrees = append.prev_log.index < base
            || self.log.contains(append.prev_log)
            || on(Bug::HeartbeatsSkipTheLogCheck) && entries.is_empty()
            || on(Bug::PrevTermNotChecked) && self.log.term_at(append.prev_log.index).is_some();
        if !agrees {
            let hint = self.log.last_within(append.prev_log);
            let prev = append.prev_log.index;
            self.answer_leader(AppendOutcome::Rejected { prev, hint }, context);
            return;
        }
        let prev = append.prev_log.index.max(base);
        let written = append.last > base && self.write_new(prev, entries, covered, context);
        // Only what this message proves to be the leader's may be committed (TRAPS 17).
        let proven = match on(Bug::CommitsUnmatchedTail) {
            true => self.log.last().index,
            false => append.last,
        };
        self.commit_to(append.leader_commit.min(proven), context);
        let durable = match on(Bug::AnswersBeforeDurable) {
            true => append.last,
            false => self.durable_index,
        };
        if let Role::Follower(Follower { leader: Some(leader), .. }) = &mut self.role {
            leader.matched = leader.matched.max(append.last);
            leader.owes_answer = leader.matched > durable;
            if !written || on(Bug::AnswersBeforeDurable) {
                let matched = append.last.min(durable);
                self.answer_leader(AppendOutcome::Matched(matched), context);
            }
        }
        self.mind_recovery(context);
    }

    /// Takes `from` for the leader of this term and resets the election timer.
    pub(super) fn follow(&mut self, from: ServerId, round: Round, context: &mut Context<'_>) {
        if self.leader() != Some(from) {
            self.become_follower(self.current_term, Some(from), Why::HeardLeader, context);
        }
        let deadline = self.new_election_deadline(context);
        self.bereft_until = context.now;
        let Role::Follower(follower) = &mut self.role else { return };
        follower.election_deadline = deadline;
        if let Some(leader) = &mut follower.leader {
            leader.heard_at = context.now;
            leader.gone = false;
            leader.round = leader.round.max(round);
        }
        self.expire_reads(context);
        self.ask_to_rejoin(context);
    }

    /// Keeps the entries that the log has already (a delayed message must not cut what a later
    /// one brought, TRAPS 5), replaces it from the first that differs, and appends the rest.
    /// Returns whether anything is to be written.
    ///
    /// The first `covered` of the entries lie before `prev`.
    fn write_new(
        &mut self,
        prev: Index,
        entries: &[EntryMeta],
        covered: usize,
        context: &mut Context<'_>,
    ) -> bool {
        let entries = &entries[covered..];
        let last = self.log.last().index;
        let at = |place: usize| Index(prev.0 + 1 + place as u64);
        let known = if prev == last || on(Bug::DeletesAfterPrevLog) {
            0
        } else {
            let same = |place: &usize| {
                let term = self.log.term_at(at(*place));
                term == Some(entries[*place].term)
                    || on(Bug::KeepsConflictingEntries) && term.is_some()
            };
            (0..entries.len()).take_while(same).count()
        };
        let cuts = on(Bug::CutsWhatFollows) && at(known) <= last;
        if known == entries.len() && !cuts {
            return false;
        }
        let first = at(known);
        if first <= last {
            assert!(first > self.commit_index, "invariant: committed entries are never removed");
            self.log.truncate(first);
            self.durable_index = self.durable_index.min(first.previous());
            self.truncated_in = self.current_term;
        }
        self.log.append(&entries[known..]);
        let entries = covered + known..covered + entries.len();
        context.effects.push(Effect::Append { first, entries });
        true
    }

    /// Tells the leader it follows how the logs compare.
    pub(super) fn answer_leader(&self, outcome: AppendOutcome, context: &mut Context<'_>) {
        let Role::Follower(Follower { leader: Some(leader), .. }) = &self.role else { return };
        context.send(leader.id, self.append_reply(leader.round, outcome));
    }

    /// Answers a server that believes that it leads; no round of it was heard.
    pub(super) fn answer_stranger(
        &self,
        from: ServerId,
        outcome: AppendOutcome,
        context: &mut Context<'_>,
    ) {
        context.send(from, self.append_reply(Round(0), outcome));
    }

    fn append_reply(&self, round: Round, outcome: AppendOutcome) -> Message {
        let (term, applied, recovering) =
            (self.current_term, self.applied, self.recovery.is_some());
        let reply = AppendEntriesReply { term, round, outcome, applied, recovering };
        Message::AppendEntriesReply(reply)
    }

    /// The disk has what was asked for up to `last`, unless that was replaced since: the same
    /// entries may even have come back (TRAPS 15). Whatever replaced them is confirmed later,
    /// and speaks for them too. Within one term nothing that was asked for is replaced.
    pub(super) fn on_persisted(&mut self, term: Term, last: Index, context: &mut Context<'_>) {
        let replaced = term < self.truncated_in && !on(Bug::TrustsStaleDiskReports);
        if replaced || last <= self.durable_index {
            return;
        }
        self.durable_index = last.min(self.log.last().index);
        match &mut self.role {
            Role::Leader(_) => self.advance_commit(context),
            Role::Follower(Follower { leader: Some(leader), .. }) if leader.owes_answer => {
                leader.owes_answer = leader.matched > last;
                let matched = leader.matched.min(last);
                self.answer_leader(AppendOutcome::Matched(matched), context);
            }
            _ => {}
        }
        self.mind_recovery(context);
    }

    pub(super) fn on_append_entries_reply(
        &mut self,
        from: ServerId,
        reply: AppendEntriesReply,
        context: &mut Context<'_>,
    ) {
        let last = self.log.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.iter_mut().find(|peer| peer.id == from) else { return };
        let round = if on(Bug::EarlierRoundConfirms) { leader.round } else { reply.round };
        peer.hear(&reply, last, context.now);
        let heard = peer.counts() && round > peer.round;
        if heard {
            peer.round = round;
        }
        match reply.outcome {
            AppendOutcome::Matched(index) => {
                assert!(
                    index <= last,
                    "invariant: {from} cannot have an entry of this term that {} never sent",
                    self.id
                );
                let index = match on(Bug::MatchesWhatWasSent) {
                    true => peer.next_index.previous(),
                    false => index,
                };
                if peer.matched(index) && index > self.commit_index {
                    self.advance_commit(context);
                }
            }
            AppendOutcome::Rejected { prev, hint } => {
                let agreed = self.log.last_within(hint).index;
                if reply.recovering {
                    // What it has lost it is sent again.
                    peer.match_index = peer.match_index.min(agreed);
                }
                peer.rejected(prev, agreed);
            }
        }
        // With a commit, those who leave may be gone.
        if let Role::Leader(leader) = &self.role
            && let Some(place) = leader.peers.iter().position(|peer| peer.id == from)
        {
            self.replicate_to(place, context);
        }
        if heard {
            self.confirm_round(context);
        }
        self.mind_handover(from, context);
        self.mind_catching_up(from, context);
    }

    /// Commits what a quorum has, if it is of this term: counting replicas of an older term's
    /// entry proves nothing (section 5.4.2, figure 8).
    pub(super) fn advance_commit(&mut self, context: &mut Context<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.commits_from.is_some_and(|from| context.now < from) {
            return;
        }
        leader.commits_from = None;
        let replicated = self.log.configuration().reached_by_quorum(|server| {
            if server == self.id {
                let unsynced = on(Bug::CountsOwnUnsyncedCopy);
                return if unsynced { self.log.last().index } else { self.durable_index };
            }
            let peer = leader.peers.iter().find(|peer| peer.id == server);
            peer.map_or(Index(0), Progress::acknowledged)
        });
        let of_this_term = self.log.term_at(replicated) == Some(self.current_term);
        if replicated > self.commit_index && (of_this_term || on(Bug::CountsOldCopies)) {
            self.commit_to(replicated, context);
            self.serve_reads(context);
            self.mind_members(context);
        }
    }

    pub(super) fn commit_to(&mut self, index: Index, context: &mut Context<'_>) {
        if index <= self.commit_index {
            return;
        }
        assert!(index <= self.log.last().index, "invariant: what is committed is in the log");
        let before = std::mem::replace(&mut self.commit_index, index);
        context.effects.push(Effect::Commit(index));
        if self.log.configured_at() <= before {
            return;
        }
        let (at, configuration) = self.log.configuration_at(index);
        if *at > before {
            let (at, configuration) = (*at, configuration.clone());
            context.effects.push(Effect::Configured { at, configuration });
        }
    }

    /// Notes the latest round that a quorum has heard: the leader led after it began.
    pub(super) fn confirm_round(&mut self, context: &mut Context<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        let heard = self.log.configuration().reached_by_quorum(|server| {
            let first = leader.peers.first().is_some_and(|peer| peer.id == server);
            let taken_for_granted = on(Bug::ReadQuorumOneShort) && first;
            if server == self.id || taken_for_granted {
                return leader.round;
            }
            let peer = leader.peers.iter().find(|peer| peer.id == server);
            peer.map_or(Round(0), |peer| peer.round)
        });
        if heard <= leader.confirmed.0 {
            return;
        }
        while let Some(&(round, began)) = leader.rounds.front()
            && round <= heard
        {
            leader.confirmed = (round, began);
            leader.rounds.pop_front();
        }
        self.serve_reads(context);
    }
}
