//! One server's state, the one door into it, and every change of role.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::log::Log;
use super::progress::{Flow, Progress};
use super::promise::Promise;
use super::rejoin::Recovery;
use super::role::{Campaign, Follower, Following, Leader, Pace, Role};
use super::timers::draw_election_timeout;
use super::{
    AppendOutcome, Configuration, Effect, EntryMeta, Force, Index, Input, Message, Position,
    ReadIndexReply, Refusal, RequestVoteReply, RoleKind, Round, ServerId, SnapshotMeta, Status,
    Term, Ticket, Time, Timing, VoteRefusal, Why,
};
use crate::museum::{Bug, on};

/// One Raft server, as a plain value: no clock, no disk, no network, no randomness of its own.
/// [`step`](Node::step) is the only way in; what it asks for comes out as [`Effect`]s.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Node {
    pub(super) id: ServerId,
    pub(super) options: Options,
    /// Persistent (figure 2): the latest term this server has seen. Never falls.
    pub(super) current_term: Term,
    /// Persistent: who got its vote in `current_term`.
    pub(super) voted_for: Option<ServerId>,
    /// Persistent: terms, sizes and configurations of the log; the entries are with the driver.
    pub(super) log: Log,
    /// Persistent: what the snapshot on this server's disk covers.
    pub(super) snapshot: SnapshotMeta,
    /// Persistent: what this server promised in an earlier life is not known.
    pub(super) recovery: Option<Recovery>,
    /// Every entry up to here is on this server's disk.
    pub(super) durable_index: Index,
    /// The term in which entries were last replaced; writes of earlier ones may be undone.
    pub(super) truncated_in: Term,
    /// Volatile: every entry up to here is committed. Starts at the snapshot's end, never falls.
    pub(super) commit_index: Index,
    /// Volatile: the state machine has applied every entry up to here.
    pub(super) applied: Index,
    /// What it owes to a leader that it follows no more.
    pub(super) promise: Promise,
    /// The leader's process was seen to be gone, and until then a campaign that is not won is soon
    /// followed by another: who has not seen it yet will see it in a moment.
    pub(super) bereft_until: Time,
    /// From then on no timer can be too far ahead of a clock that only goes forward.
    pub(super) mended_from: Time,
    pub(super) role: Role,
}

/// How a server behaves. Equal on all servers of a cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Options {
    /// Timeouts; may be changed while the server runs ([`Input::Retime`]).
    pub timing: Timing,
    /// Ask before standing (thesis 9.6), so that a server that was cut off deposes nobody when
    /// it returns.
    pub pre_vote: bool,
    /// A leader that hears from no majority for `election_timeout_max` steps down, and a server
    /// that heard from a leader within `election_timeout_min` gives nobody else its vote
    /// (thesis 4.2.3 and 6.2).
    pub check_quorum: bool,
    /// A leader answers reads by its lease (thesis 6.4.1) where that will do. Without leases such
    /// reads take a round as others do, and whoever sees that the leader's process is gone
    /// ([`Input::Gone`]) need not wait until a lease must be over.
    pub leases: bool,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of what one server has under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Most entries of one `AppendEntries`.
    pub message_entries: u64,
    /// Most bytes of payload in one `AppendEntries`; a single larger entry goes alone.
    pub message_bytes: u64,
    /// Most unanswered `AppendEntries` to one peer.
    pub window_messages: usize,
    /// Unanswered bytes to one peer at which nothing more is sent.
    pub window_bytes: u64,
    /// Most entries a leader holds that are not committed yet; beyond it proposals are refused.
    pub uncommitted_entries: u64,
    /// The same in bytes of payload; a single larger command is accepted alone.
    pub uncommitted_bytes: u64,
    /// Most reads waiting for confirmation.
    pub pending_reads: usize,
    /// Most entries before the end of a snapshot that stay in the log, for followers that are a
    /// little behind.
    pub kept_entries: u64,
    /// The same in bytes of payload.
    pub kept_bytes: u64,
}

/// What a server's disk kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Persistent {
    /// `current_term`.
    pub current_term: Term,
    /// `voted_for`.
    pub voted_for: Option<ServerId>,
    /// What its snapshot covers; without one, what the cluster was founded with, at index 0.
    pub snapshot: SnapshotMeta,
    /// The entry before the first of `log`; no later than the last that the snapshot covers.
    pub base: Position,
    /// The log behind `base`.
    pub log: Vec<EntryMeta>,
    /// The disk was formatted for a server that joins, or joins again, a cluster that exists: what
    /// it promised in an earlier life is not known. It neither votes nor acknowledges entries
    /// until a quorum has taken an entry without it.
    pub recovering: bool,
}

impl Persistent {
    /// What the disk of a founding member keeps before anything has happened.
    pub fn founding(configuration: Configuration) -> Self {
        Self { snapshot: SnapshotMeta::founding(configuration), ..Self::default() }
    }

    /// For the museum: whoever receives the log votes.
    fn forget_who_learns(&mut self) {
        let entries = self.log.iter_mut().filter_map(|entry| entry.configuration.as_mut());
        entries.for_each(|it| *it = std::sync::Arc::new(Configuration::new(it.members())));
        self.snapshot.configuration = Configuration::new(self.snapshot.configuration.members());
    }

    /// What the disk of a server keeps that is to join a cluster that exists.
    pub fn joining() -> Self {
        Self { recovering: true, ..Self::default() }
    }
}

/// A source of random numbers, handed to every step: election timeouts are drawn from it. It
/// must differ from server to server, or they time out together for ever.
pub trait Luck {
    /// Any number, all equally likely.
    fn draw(&mut self) -> u64;
}

impl<F: FnMut() -> u64> Luck for F {
    fn draw(&mut self) -> u64 {
        self()
    }
}

/// What every part of one step needs.
pub(super) struct Context<'a> {
    pub(super) now: Time,
    pub(super) luck: &'a mut dyn Luck,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Context<'_> {
    pub(super) fn send(&mut self, to: ServerId, message: Message) {
        self.effects.push(Effect::Send { to, message });
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timing: Timing::default(),
            pre_vote: true,
            check_quorum: true,
            leases: true,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_entries: 4096,
            message_bytes: 1 << 20,
            window_messages: 64,
            window_bytes: 8 << 20,
            uncommitted_entries: 1 << 17,
            uncommitted_bytes: 64 << 20,
            pending_reads: 1 << 16,
            kept_entries: 1 << 12,
            kept_bytes: 8 << 20,
        }
    }
}

impl Node {
    /// A server that starts, or starts again, as a follower, with what its disk kept and nothing
    /// else. Its election timer runs from `now`.
    pub fn new(
        id: ServerId,
        options: Options,
        mut persistent: Persistent,
        now: Time,
        luck: &mut dyn Luck,
    ) -> Self {
        if on(Bug::LearnersVoteAfterRestart) {
            persistent.forget_who_learns();
        }
        let mut log = Log::new(persistent.base, &persistent.snapshot);
        log.append(&persistent.log);
        let durable_index = log.last().index;
        // A log may hold entries of a term that the separate record of the term did not outlive.
        let logged = log.last().term;
        let term_is_lost = logged > persistent.current_term || on(Bug::ForgetsTermAtRestart);
        let (current_term, voted_for) = if term_is_lost {
            (logged, None)
        } else {
            let voted_for = persistent.voted_for.filter(|_| !on(Bug::ForgetsVoteAtRestart));
            (persistent.current_term, voted_for)
        };
        let included = persistent.snapshot.last_included.index;
        let commit_index = if on(Bug::CommitsItsLogAtRestart) { durable_index } else { included };
        let election_deadline = now + draw_election_timeout(&options.timing, luck);
        let lived_before = current_term > Term(0) && !on(Bug::RestartEndsPromises);
        let bound = if lived_before { options.timing.election_timeout_min } else { Duration::ZERO };
        let recovery = persistent.recovering.then(|| Recovery::new(Ticket(luck.draw())));
        Self {
            id,
            options,
            current_term,
            voted_for,
            log,
            snapshot: persistent.snapshot,
            recovery,
            durable_index,
            truncated_in: Term(0),
            commit_index,
            applied: included,
            promise: Promise { to: None, until: now + bound },
            bereft_until: now,
            mended_from: now,
            role: Role::Follower(Follower { election_deadline, leader: None }),
        }
    }

    /// Takes one input and lists, in `effects`, what is to be done about it.
    pub fn step(
        &mut self,
        now: Time,
        input: Input<'_>,
        luck: &mut dyn Luck,
        effects: &mut Vec<Effect>,
    ) {
        // Nothing follows from that at once, and it comes often.
        if let Input::Applied(index) = input {
            self.applied = self.applied.max(index);
            return;
        }
        let context = &mut Context { now, luck, effects };
        // That comes often too, and decides nothing by a timer.
        if !matches!(input, Input::Persisted { .. }) {
            self.mend_timers(context);
        }
        match input {
            Input::Message { from, message, entries } => {
                self.on_message(from, message, entries, context);
            }
            Input::Propose { sizes } => self.on_propose(sizes, context),
            Input::Read { ticket, lease } => self.on_read(ticket, lease, context),
            Input::Persisted { term, last } => self.on_persisted(term, last, context),
            Input::Deadline => self.on_deadline(context),
            Input::Campaign => {
                if self.may_stand() {
                    self.become_candidate(Some(Force::Operator), Why::Forced, context);
                }
            }
            Input::Gone(server) => self.on_gone(server, context),
            Input::Retime(timing) => self.retime(timing, context),
            Input::Change(request) => self.on_change(request, context),
            Input::HandOver { to } => self.on_hand_over(to, context),
            Input::Applied(_) => {}
            Input::Snapshotted(snapshot) => self.on_snapshotted(snapshot, context),
            Input::Fetching { last_included, want, have } => {
                self.on_fetching(last_included, want, have, context);
            }
            Input::Fetched(snapshot) => self.on_fetched(snapshot, context),
        }
    }

    /// All there is to see of the server at this moment.
    pub fn status(&self, now: Time) -> Status {
        Status::of(self, now)
    }

    /// `current_term`.
    pub fn term(&self) -> Term {
        self.current_term
    }

    /// `commit_index`.
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// The bounds of what the server has under way.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The index of the last entry in the log, committed or not.
    pub fn last_log_index(&self) -> Index {
        self.log.last().index
    }

    /// The latest configuration in the log, committed or not.
    pub fn configuration(&self) -> &Configuration {
        self.log.configuration()
    }

    /// What a snapshot covers that ends with the entry at `index`; `None` if that is not in the
    /// log any more, or this server does not know who the members were.
    pub fn snapshot_at(&self, index: Index) -> Option<SnapshotMeta> {
        let term = self.log.term_at(index)?;
        let (configured_at, configuration) = self.log.configuration_at(index);
        let known = !configuration.incoming().is_empty();
        known.then(|| SnapshotMeta {
            last_included: Position::new(term, index),
            configuration: Configuration::clone(configuration),
            configured_at: *configured_at,
        })
    }

    /// The bytes of the payloads behind `after`, up to and including `last`.
    pub(crate) fn bytes_between(&self, after: Index, last: Index) -> u64 {
        self.log.bytes_between(after, last)
    }

    /// How much of the log the snapshot does not cover yet, up to `index`: entries, and bytes of
    /// their payloads.
    pub fn behind_snapshot(&self, index: Index) -> (u64, u64) {
        let included = self.snapshot.last_included.index;
        (index - included, self.log.bytes_between(included, index))
    }

    /// Whether another server is being sent a snapshot.
    pub fn sends_snapshot(&self, now: Time) -> bool {
        let patience = self.options.timing.election_timeout_max;
        let fetches = |peer: &Progress| {
            matches!(peer.flow, Flow::Snapshot { .. }) && peer.is_alive(now, patience)
        };
        matches!(&self.role, Role::Leader(leader) if leader.peers.iter().any(fetches))
    }

    /// The leader of the current term, if this server knows it.
    pub fn leader(&self) -> Option<ServerId> {
        match &self.role {
            Role::Follower(follower) => follower.leader.as_ref().map(|leader| leader.id),
            Role::Leader(_) => Some(self.id),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Forgets what decides nothing without check-quorum, without reads and while time stands
    /// still: the rounds that a leader has begun, who told a candidate to stand, the refusals that
    /// it has had, and the order of the votes. Whoever is asked for is taken to be alive. To the
    /// explorer, servers that differ in these alone are one.
    pub(crate) fn forget_what_decides_nothing(&mut self) {
        match &mut self.role {
            Role::Follower(follower) => {
                follower.leader.iter_mut().for_each(|leader| leader.round = Round(0));
            }
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                campaign.votes.retain(|(_, granted)| *granted);
                campaign.votes.sort_unstable();
                (campaign.heard_before, campaign.forced, campaign.early) = (None, None, false);
            }
            Role::Leader(leader) => {
                let now = Time::default();
                (leader.round, leader.no_lease) = (Round(0), Round(0));
                leader.rounds.clear();
                leader.confirmed = (Round(0), now);
                (leader.disk, leader.machine) = (Pace::new(now), Pace::new(now));
                for peer in &mut leader.peers {
                    peer.heard_at = Some(now);
                    if peer.caught_up {
                        // Every later round is as quick.
                        peer.catching_up = peer.catching_up.map(|_| (Index(0), now));
                    }
                }
            }
        }
    }

    /// The term rule (section 5.1), once for all roles; then the message in the role that holds
    /// after it, so that stepping down handles the same message again.
    fn on_message(
        &mut self,
        from: ServerId,
        message: Message,
        entries: &[EntryMeta],
        context: &mut Context<'_>,
    ) {
        let term = message.term();
        if term > Term::LAST {
            return; // As good as lost (TRAPS 21).
        }
        // Both before the term that may come with it makes this server forget whom it follows.
        let (mut objection, mut early) = (None, false);
        if let Message::RequestVote(request) = &message {
            objection = self.objection(from, request, context.now);
            early = self.bound_to_another(from, context.now).is_some();
        }
        if term > self.current_term {
            match &message {
                // Only asks, or only answers about a term that nobody has entered.
                Message::RequestVote(request) if request.pre_vote => {}
                Message::RequestVoteReply(reply) if reply.pre_vote && reply.vote.is_ok() => {}
                // Leader stickiness: whoever hears a leader does not even learn the term.
                Message::RequestVote(_) if objection.is_some() => {}
                _ => self.become_follower(term, None, Why::HigherTerm(from), context),
            }
        } else if term < self.current_term && !self.takes_past(&message) {
            self.refuse_stale(from, &message, context);
            return;
        }
        match message {
            Message::RequestVote(request) => {
                self.on_request_vote(from, request, objection, early, context);
            }
            Message::RequestVoteReply(reply) => self.on_request_vote_reply(from, reply, context),
            Message::AppendEntries(append) => {
                self.on_append_entries(from, append, entries, context);
            }
            Message::AppendEntriesReply(reply) => {
                self.on_append_entries_reply(from, reply, context);
            }
            Message::ReadIndex(read) => self.on_read_index(from, read, context),
            Message::ReadIndexReply(reply) => self.on_read_index_reply(reply, context),
            Message::InstallSnapshot(install) => self.on_install_snapshot(from, install, context),
            Message::InstallSnapshotReply(reply) => {
                self.on_install_snapshot_reply(from, reply, context);
            }
            Message::TimeoutNow(order) => self.on_timeout_now(from, order, context),
            Message::Rejoin(rejoin) => self.on_rejoin(from, rejoin, context),
            Message::RejoinReply(reply) => self.on_rejoin_reply(reply),
        }
    }

    /// Whether a message of a past term is handled as if it were of the current one. It never is,
    /// but for the museum.
    fn takes_past(&self, message: &Message) -> bool {
        match message {
            Message::RequestVoteReply(_) => on(Bug::CountsVotesOfEarlierTerms),
            Message::AppendEntries(_) => {
                on(Bug::FollowsOldLeaders) && !matches!(self.role, Role::Leader(_))
            }
            Message::AppendEntriesReply(_) => on(Bug::CountsAnswersOfEarlierTerms),
            _ => false,
        }
    }

    /// Tells whoever speaks of a past term what the term is. Answers of a past term are dropped.
    fn refuse_stale(&self, from: ServerId, message: &Message, context: &mut Context<'_>) {
        let term = self.current_term;
        match message {
            Message::RequestVote(request) => {
                let (vote, early) = (Err(VoteRefusal::StaleTerm), false);
                let reply = RequestVoteReply { term, pre_vote: request.pre_vote, vote, early };
                context.send(from, Message::RequestVoteReply(reply));
            }
            Message::AppendEntries(append) => {
                let prev = append.prev_log.index;
                let outcome = AppendOutcome::Rejected { prev, hint: Position::default() };
                self.answer_stranger(from, outcome, context);
            }
            // Whoever offers a snapshot believes that it leads.
            Message::InstallSnapshot(install) => {
                let prev = install.last_included.index;
                let outcome = AppendOutcome::Rejected { prev, hint: Position::default() };
                self.answer_stranger(from, outcome, context);
            }
            Message::ReadIndex(read) => {
                let reply = ReadIndexReply { term, ticket: read.ticket, index: None };
                context.send(from, Message::ReadIndexReply(reply));
            }
            Message::RequestVoteReply(_)
            | Message::AppendEntriesReply(_)
            | Message::ReadIndexReply(_)
            | Message::InstallSnapshotReply(_)
            | Message::TimeoutNow(_)
            | Message::Rejoin(_)
            | Message::RejoinReply(_) => {}
        }
    }

    // The changes of role. Nothing else assigns `role`, `current_term` or `voted_for`, but for
    // `vote_for`.

    /// Enters `term` (the current one, or a later one) as a follower of `leader`, if it is known.
    /// A running election timer runs on; a leader, which has none, starts one.
    pub(super) fn become_follower(
        &mut self,
        term: Term,
        leader: Option<ServerId>,
        why: Why,
        context: &mut Context<'_>,
    ) {
        assert!(term >= self.current_term, "invariant: the term never falls");
        let election_deadline = match &self.role {
            Role::Follower(follower) => follower.election_deadline,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => campaign.election_deadline,
            Role::Leader(_) if on(Bug::NoTimerAfterSteppingDown) => context.now + A_WEEK,
            Role::Leader(_) => self.new_election_deadline(context),
        };
        self.refuse_reads(Refusal::ElectionRunning, context);
        self.note_promise();
        if let Some(recovery) = &mut self.recovery {
            recovery.begin_anew();
        }
        if term > self.current_term {
            let kept = self.voted_for.filter(|_| on(Bug::KeepsVoteAcrossTerms));
            self.save_vote(term, kept, context);
        }
        let leader = leader.map(|id| Following {
            id,
            heard_at: context.now,
            gone: false,
            round: Round(0),
            matched: Index(0),
            owes_answer: false,
            reads: Default::default(),
        });
        self.role = Role::Follower(Follower { election_deadline, leader });
        self.report(why, context);
    }

    pub(super) fn become_pre_candidate(&mut self, context: &mut Context<'_>) {
        assert!(!matches!(self.role, Role::Leader(_)), "invariant: a leader does not stand");
        self.refuse_reads(Refusal::ElectionRunning, context);
        let campaign = self.new_campaign(None, context);
        self.note_promise();
        self.role = Role::PreCandidate(campaign);
        self.report(Why::ElectionTimeout, context);
        self.solicit_votes(context);
    }

    /// Enters the next term as a candidate and votes for itself. If it was told to stand, even
    /// those are asked that hear from a leader.
    pub(super) fn become_candidate(
        &mut self,
        forced: Option<Force>,
        why: Why,
        context: &mut Context<'_>,
    ) {
        assert!(self.may_stand(), "invariant: only voters stand, and know what they promised");
        self.refuse_reads(Refusal::ElectionRunning, context);
        let campaign = self.new_campaign(forced, context);
        self.note_promise();
        self.save_vote(self.current_term.next(), Some(self.id), context);
        self.role = Role::Candidate(campaign);
        self.report(why, context);
        self.solicit_votes(context);
    }

    /// Whether it may stand for election: as a voter that knows what it promised, and is wanted.
    /// Whoever leaves may be needed until that is committed, with the longest log of all (thesis
    /// 4.2.2).
    pub(super) fn may_stand(&self) -> bool {
        let wanted = |it: &Configuration| it.is_voter(self.id) && it.priority(self.id) > 0;
        let at = self.log.configured_at();
        let leaves = || {
            let (_, before) = self.log.configuration_at(at.previous());
            at > self.commit_index && wanted(before)
        };
        self.recovery.is_none() && (wanted(self.log.configuration()) || leaves())
    }

    /// Leads the current term, which it was elected for. The no-op lets it find out and commit
    /// what earlier terms left (sections 5.4.2 and 8).
    pub(super) fn become_leader(&mut self, context: &mut Context<'_>) {
        let Role::Candidate(campaign) = &self.role else {
            panic!("invariant: only candidates win");
        };
        // Whoever hands over has given up its lease; whom an operator deposes has not.
        let deposes = campaign.early && campaign.forced == Some(Force::Operator);
        let lease = self.options.timing.election_timeout_min * 10 / 9;
        let commits_from =
            (deposes && !on(Bug::ForcedElectionsBreakLeases)).then(|| context.now + lease);
        assert_eq!(self.voted_for, Some(self.id), "invariant: a candidate voted for itself");
        if on(Bug::NewLeaderDropsUncommitted) {
            self.log.truncate(self.commit_index.next());
            self.durable_index = self.durable_index.min(self.commit_index);
        }
        let last = self.log.last().index;
        self.role = Role::Leader(Leader {
            peers: Vec::new(),
            first_index: last.next(),
            heartbeat_due: context.now,
            round: Round(0),
            rounds: Default::default(),
            confirmed: (Round(0), context.now),
            reads: Default::default(),
            since: context.now,
            commits_from,
            handover: None,
            no_lease: Round(0),
            settled_until: context.now + self.options.timing.election_timeout_max,
            disk: Pace::new(context.now),
            machine: Pace::new(context.now),
        });
        self.refresh_peers(context.now);
        if let Role::Leader(leader) = &mut self.role {
            leader.peers.iter_mut().for_each(Progress::trust);
        }
        self.report(Why::VotesWon, context);
        self.append_no_op(context);
        self.begin_round(context);
    }

    /// Appends a no-op of the current term, which it leads.
    pub(super) fn append_no_op(&mut self, context: &mut Context<'_>) -> Position {
        let position = Position::new(self.current_term, self.log.last().index.next());
        self.log.append(&[EntryMeta::new(position.term, 0)]);
        context.effects.push(Effect::AppendNoOp { position });
        position
    }

    fn report(&self, why: Why, context: &mut Context<'_>) {
        let (role, term, leader) = (self.role.kind(), self.current_term, self.leader());
        context.effects.push(Effect::Became { role, term, leader, why });
    }

    pub(super) fn save_vote(
        &mut self,
        term: Term,
        voted_for: Option<ServerId>,
        context: &mut Context<'_>,
    ) {
        let unset = term > self.current_term || self.voted_for.is_none();
        let twice = on(Bug::VotesTwice) || on(Bug::PreVoteIsAVote);
        assert!(unset || self.voted_for == voted_for || twice, "invariant: one vote a term");
        self.current_term = term;
        self.voted_for = voted_for;
        if on(Bug::OwnVoteNotSaved) && voted_for == Some(self.id) {
            return;
        }
        context.effects.push(Effect::SaveVote { term, voted_for });
    }

    fn new_campaign(&self, forced: Option<Force>, context: &mut Context<'_>) -> Campaign {
        let heard_before = match &self.role {
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => Some(campaign.votes.len()),
            Role::Follower(_) | Role::Leader(_) => None,
        };
        let election_deadline = match context.now < self.bereft_until {
            true => self.soon(context),
            false => self.new_election_deadline(context),
        };
        Campaign {
            election_deadline,
            votes: vec![(self.id, true)],
            heard_before,
            forced,
            early: self.bound_to_another(self.id, context.now).is_some(),
        }
    }

    /// Why a proposal or a read cannot be taken here. `None` for a leader.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match &self.role {
            Role::Leader(Leader { handover: Some(handover), .. })
                if handover.told && !on(Bug::TakesWritesWhileHandingOver) =>
            {
                Some(Refusal::HandingOver(handover.to))
            }
            Role::Leader(_) => None,
            Role::Follower(follower) => Some(match &follower.leader {
                Some(leader) => Refusal::NotLeader(leader.id),
                None => Refusal::ElectionRunning,
            }),
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                let voters = self.log.configuration().voters().len();
                Some(match campaign.heard_before.map(|heard| heard.max(campaign.votes.len())) {
                    Some(heard) if heard <= voters / 2 => Refusal::NoQuorum { heard, voters },
                    _ => Refusal::ElectionRunning,
                })
            }
        }
    }

    /// The role's name.
    pub fn role(&self) -> RoleKind {
        self.role.kind()
    }
}

/// Longer than any run: the time of a timer that the museum does not start.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
