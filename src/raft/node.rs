//! One server's state, the one door into it, and every change of role.

use super::log::Log;
use super::progress::Progress;
use super::role::{Campaign, Follower, Following, Leader, Role};
use super::{
    AppendEntriesReply, AppendOutcome, Configuration, Effect, EntryMeta, Index, Input, Message,
    Position, ReadIndexReply, Refusal, RequestVoteReply, RoleKind, Round, ServerId, SnapshotMeta, Status, Term,
    Time, Timing, VoteRefusal, Why,
};
use crate::museum::{Bug, on};

/// One Raft server, as a plain value: no clock, no disk, no network, no randomness of its own.
/// [`step`](Node::step) is the only way in; what it asks for comes out as [`Effect`]s.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    pub(super) id: ServerId,
    pub(super) options: Options,
    pub(super) configuration: Configuration,
    /// Persistent (figure 2): the latest term this server has seen. Never falls.
    pub(super) current_term: Term,
    /// Persistent: who got its vote in `current_term`.
    pub(super) voted_for: Option<ServerId>,
    /// Persistent: terms and sizes of the log; the entries are with the driver.
    pub(super) log: Log,
    /// Every entry up to here is on this server's disk.
    pub(super) durable_index: Index,
    /// The term in which entries were last replaced; writes of earlier ones may be undone.
    pub(super) truncated_in: Term,
    /// Volatile: every entry up to here is committed. Starts at 0, never falls.
    pub(super) commit_index: Index,
    pub(super) role: Role,
}

/// How a server behaves. Equal on all servers of a cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of what one server has under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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
        }
    }
}

impl Node {
    /// A server that starts, or starts again, as a follower, with what its disk kept and nothing
    /// else. Its election timer runs from `now`.
    pub fn new(
        id: ServerId,
        configuration: Configuration,
        options: Options,
        persistent: Persistent,
        now: Time,
        luck: &mut dyn Luck,
    ) -> Self {
        let mut log = Log::default();
        for entry in persistent.log {
            log.append(entry);
        }
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
        let commit_index = if on(Bug::CommitsItsLogAtRestart) { durable_index } else { Index(0) };
        let election_deadline = now + draw_election_timeout(&options.timing, luck);
        Self {
            id,
            options,
            configuration,
            current_term,
            voted_for,
            log,
            durable_index,
            truncated_in: Term(0),
            commit_index,
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
        let context = &mut Context { now, luck, effects };
        self.mend_timers(context);
        match input {
            Input::Message { from, message, entries } => {
                self.on_message(from, message, entries, context);
            }
            Input::Propose { sizes } => self.on_propose(sizes, context),
            Input::Read { ticket } => self.on_read(ticket, context),
            Input::Persisted { term, last } => self.on_persisted(term, last, context),
            Input::Deadline => self.on_deadline(context),
            Input::Campaign => {
                if self.configuration.is_voter(self.id) {
                    self.become_candidate(true, Why::Forced, context);
                }
            }
            Input::Retime(timing) => self.retime(timing, context),
        }
    }

    /// When the server next wants [`Input::Deadline`].
    pub fn deadline(&self) -> Time {
        match &self.role {
            Role::Follower(follower) => follower.election_deadline,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => campaign.election_deadline,
            Role::Leader(leader) => leader.heartbeat_due.min(self.quorum_deadline(leader)),
        }
    }

    /// All there is to see of the server.
    pub fn status(&self) -> Status {
        Status::of(self)
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

    /// The leader of the current term, if this server knows it.
    pub fn leader(&self) -> Option<ServerId> {
        match &self.role {
            Role::Follower(follower) => follower.leader.as_ref().map(|leader| leader.id),
            Role::Leader(_) => Some(self.id),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Forgets what decides nothing without check-quorum and without reads: the rounds that a
    /// leader has begun, the refusals that a candidate has had, and the order of the votes. To
    /// the explorer, servers that differ in these alone are one.
    pub(crate) fn forget_what_decides_nothing(&mut self) {
        match &mut self.role {
            Role::Follower(_) => {}
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                campaign.votes.retain(|(_, granted)| *granted);
                campaign.votes.sort_unstable();
                campaign.heard_before = None;
            }
            Role::Leader(leader) => {
                leader.round = Round(0);
                leader.rounds.clear();
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
        if term > self.current_term {
            match &message {
                // Only asks, or only answers about a term that nobody has entered.
                Message::RequestVote(request) if request.pre_vote => {}
                Message::RequestVoteReply(reply) if reply.pre_vote && reply.vote.is_ok() => {}
                // Leader stickiness: whoever hears a leader does not even learn the term.
                Message::RequestVote(request)
                    if !request.forced && self.live_leader(from, context.now).is_some() => {}
                _ => self.become_follower(term, None, Why::HigherTerm(from), context),
            }
        } else if term < self.current_term && !self.takes_past(&message) {
            self.refuse_stale(from, &message, context);
            return;
        }
        match message {
            Message::RequestVote(request) => self.on_request_vote(from, request, context),
            Message::RequestVoteReply(reply) => self.on_request_vote_reply(from, reply, context),
            Message::AppendEntries(append) => {
                self.on_append_entries(from, append, entries, context);
            }
            Message::AppendEntriesReply(reply) => {
                self.on_append_entries_reply(from, reply, context);
            }
            Message::ReadIndex(read) => self.on_read_index(from, read.ticket, context),
            Message::ReadIndexReply(reply) => self.on_read_index_reply(reply, context),
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
            Message::RequestVote(_) | Message::ReadIndex(_) | Message::ReadIndexReply(_) => false,
        }
    }

    /// Tells whoever speaks of a past term what the term is. Answers of a past term are dropped.
    fn refuse_stale(&self, from: ServerId, message: &Message, context: &mut Context<'_>) {
        let term = self.current_term;
        match message {
            Message::RequestVote(request) => {
                let vote = Err(VoteRefusal::StaleTerm);
                let reply = RequestVoteReply { term, pre_vote: request.pre_vote, vote };
                context.send(from, Message::RequestVoteReply(reply));
            }
            Message::AppendEntries(append) => {
                let prev = append.prev_log.index;
                let outcome = AppendOutcome::Rejected { prev, hint: Position::default() };
                let reply = AppendEntriesReply { term, round: Round(0), outcome };
                context.send(from, Message::AppendEntriesReply(reply));
            }
            Message::ReadIndex(read) => {
                let reply = ReadIndexReply { term, ticket: read.ticket, index: None };
                context.send(from, Message::ReadIndexReply(reply));
            }
            Message::RequestVoteReply(_)
            | Message::AppendEntriesReply(_)
            | Message::ReadIndexReply(_) => {}
        }
    }

    /// Lets no timer wait for a clock that went back to catch up. A clock should be monotonic;
    /// where it is not, a server must neither fall silent nor believe in its leader, or in its
    /// own leadership, for longer than the timings allow from now on.
    fn mend_timers(&mut self, context: &mut Context<'_>) {
        let (now, timing) = (context.now, &self.options.timing);
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
                leader.confirmed.1 = now.min(leader.confirmed.1);
                leader.rounds.iter_mut().for_each(|(_, began)| *began = now.min(*began));
            }
        }
    }

    fn on_deadline(&mut self, context: &mut Context<'_>) {
        if context.now < self.deadline() {
            return;
        }
        match &self.role {
            Role::Leader(leader) if context.now >= self.quorum_deadline(leader) => {
                self.become_follower(self.current_term, None, Why::QuorumLost, context);
            }
            Role::Leader(_) => self.begin_round(context),
            _ if !self.configuration.is_voter(self.id) => self.lose_leader(context),
            _ if self.options.pre_vote => self.become_pre_candidate(context),
            _ => self.become_candidate(false, Why::ElectionTimeout, context),
        }
    }

    /// What an election timeout means to a server that may not stand: its leader is gone, and
    /// with it the answers to its reads.
    fn lose_leader(&mut self, context: &mut Context<'_>) {
        if self.leader().is_some() {
            self.become_follower(self.current_term, None, Why::ElectionTimeout, context);
        }
        let deadline = self.new_election_deadline(context);
        if let Role::Follower(follower) = &mut self.role {
            follower.election_deadline = deadline;
        }
    }

    fn retime(&mut self, timing: Timing, context: &mut Context<'_>) {
        self.options.timing = timing;
        let deadline = self.new_election_deadline(context);
        match &mut self.role {
            Role::Follower(follower) => follower.election_deadline = deadline,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                campaign.election_deadline = deadline;
            }
            Role::Leader(leader) => {
                leader.heartbeat_due = leader.heartbeat_due.min(context.now + timing.heartbeat);
            }
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
        if term > self.current_term {
            let kept = self.voted_for.filter(|_| on(Bug::KeepsVoteAcrossTerms));
            self.save_vote(term, kept, context);
        }
        let leader = leader.map(|id| Following {
            id,
            heard_at: context.now,
            round: Round(0),
            matched: Index(0),
            owes_answer: false,
            reads: Default::default(),
        });
        self.role = Role::Follower(Follower { election_deadline, leader });
        self.report(why, context);
    }

    fn become_pre_candidate(&mut self, context: &mut Context<'_>) {
        assert!(!matches!(self.role, Role::Leader(_)), "invariant: a leader does not stand");
        self.refuse_reads(Refusal::ElectionRunning, context);
        let campaign = self.new_campaign(context);
        self.role = Role::PreCandidate(campaign);
        self.report(Why::ElectionTimeout, context);
        self.solicit_votes(false, context);
    }

    /// Enters the next term as a candidate and votes for itself. `forced` asks even those that
    /// hear from a leader.
    pub(super) fn become_candidate(&mut self, forced: bool, why: Why, context: &mut Context<'_>) {
        assert!(self.configuration.is_voter(self.id), "invariant: only voters stand");
        self.refuse_reads(Refusal::ElectionRunning, context);
        let campaign = self.new_campaign(context);
        self.save_vote(self.current_term.next(), Some(self.id), context);
        self.role = Role::Candidate(campaign);
        self.report(why, context);
        self.solicit_votes(forced, context);
    }

    /// Leads the current term, which it was elected for. The no-op lets it find out and commit
    /// what earlier terms left (sections 5.4.2 and 8).
    pub(super) fn become_leader(&mut self, context: &mut Context<'_>) {
        assert!(matches!(self.role, Role::Candidate(_)), "invariant: only candidates win");
        assert_eq!(self.voted_for, Some(self.id), "invariant: a candidate voted for itself");
        if on(Bug::NewLeaderDropsUncommitted) {
            self.log.truncate(self.commit_index.next());
            self.durable_index = self.durable_index.min(self.commit_index);
        }
        let last = self.log.last().index;
        let peers = self.configuration.members().into_iter().filter(|id| *id != self.id);
        self.role = Role::Leader(Leader {
            peers: peers.map(|id| Progress::new(id, last)).collect(),
            first_index: last.next(),
            heartbeat_due: context.now,
            round: Round(0),
            rounds: Default::default(),
            confirmed: (Round(0), context.now),
            reads: Default::default(),
        });
        self.report(Why::VotesWon, context);
        let position = Position::new(self.current_term, last.next());
        self.log.append(EntryMeta { term: position.term, bytes: 0 });
        context.effects.push(Effect::AppendNoOp { position });
        self.begin_round(context);
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

    fn new_campaign(&self, context: &mut Context<'_>) -> Campaign {
        let heard_before = match &self.role {
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => Some(campaign.votes.len()),
            Role::Follower(_) | Role::Leader(_) => None,
        };
        Campaign {
            election_deadline: self.new_election_deadline(context),
            votes: vec![(self.id, true)],
            heard_before,
        }
    }

    pub(super) fn new_election_deadline(&self, context: &mut Context<'_>) -> Time {
        context.now + draw_election_timeout(&self.options.timing, context.luck)
    }

    /// Why a proposal or a read cannot be taken here. `None` for a leader.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match &self.role {
            Role::Leader(_) => None,
            Role::Follower(follower) => Some(match &follower.leader {
                Some(leader) => Refusal::NotLeader(leader.id),
                None => Refusal::ElectionRunning,
            }),
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                let voters = self.configuration.voters().len();
                Some(match campaign.heard_before.map(|heard| heard.max(campaign.votes.len())) {
                    Some(heard) if heard <= voters / 2 => Refusal::NoQuorum { heard, voters },
                    _ => Refusal::ElectionRunning,
                })
            }
        }
    }

    /// A leader other than `candidate` that this server has reason to believe alive: it leads
    /// itself, or has heard one within the shortest election timeout.
    pub(super) fn live_leader(&self, candidate: ServerId, now: Time) -> Option<ServerId> {
        if !self.options.check_quorum {
            return None;
        }
        match &self.role {
            Role::Leader(_) => Some(self.id),
            Role::Follower(Follower { leader: Some(leader), .. })
                if leader.id != candidate
                    && now.since(leader.heard_at) < self.options.timing.election_timeout_min =>
            {
                Some(leader.id)
            }
            _ => None,
        }
    }

    fn quorum_deadline(&self, leader: &Leader) -> Time {
        let patience = if self.options.check_quorum && !on(Bug::NoCheckQuorum) {
            self.options.timing.election_timeout_max
        } else {
            std::time::Duration::MAX
        };
        leader.confirmed.1 + patience
    }

    /// The role's name.
    pub fn role(&self) -> RoleKind {
        self.role.kind()
    }
}

/// Longer than any run: the time of a timer that the museum does not start.
const A_WEEK: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

/// One draw from the range, both ends included (section 5.2).
fn draw_election_timeout(timing: &Timing, luck: &mut dyn Luck) -> std::time::Duration {
    let (min, max) = (timing.election_timeout_min, timing.election_timeout_max);
    let width = u64::try_from(max.saturating_sub(min).as_nanos()).unwrap_or(u64::MAX - 1);
    let draw = if on(Bug::TimersDrawnAlike) { 0 } else { luck.draw() };
    min + std::time::Duration::from_nanos(draw % (width + 1))
}
