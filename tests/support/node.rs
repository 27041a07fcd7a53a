//! One server of a cluster, and a test that plays all the others: it says what arrives, when, and
//! what the dice show.

use std::time::Duration;

use jangada::raft::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Configuration, Effect, EntryMeta, Force,
    Index, Input, Luck, Message, Node, Options, Persistent, Position, ReadIndex, ReadIndexReply,
    RequestVote, RequestVoteReply, RoleKind, Round, ServerId, SnapshotMeta, Status, Term, Ticket,
    Time, Timing, VoteRefusal,
};

/// Server 1, under test, and everything outside it.
pub(crate) struct Server {
    pub(crate) node: Node,
    pub(crate) now: Time,
    pub(crate) dice: Dice,
    options: Options,
    /// What its disk was founded with, or its snapshot covers.
    snapshot: SnapshotMeta,
    recovering: bool,
    /// The latest term and vote that it asked its disk to keep.
    vote: (Term, Option<ServerId>),
    /// The entries that it asked its disk to keep.
    log: Vec<EntryMeta>,
    /// The latest round that it began as a leader.
    round: u64,
}

/// Shows 1 ms, 2 ms, ...: no two timeouts are alike, and each draw is counted.
#[derive(Clone, Default)]
pub(crate) struct Dice {
    pub(crate) draws: u64,
}

impl Luck for Dice {
    fn draw(&mut self) -> u64 {
        self.draws += 1;
        self.draws * 1_000_000
    }
}

pub(crate) const S1: ServerId = ServerId(1);
pub(crate) const S2: ServerId = ServerId(2);
pub(crate) const S3: ServerId = ServerId(3);
pub(crate) const S4: ServerId = ServerId(4);
pub(crate) const S5: ServerId = ServerId(5);

impl Server {
    /// A follower that knows no leader, in term 0 with an empty log, one of `size` voters.
    pub(crate) fn of(size: u64) -> Self {
        Self::with(size, Options::default(), Persistent::default())
    }

    /// A follower in `term` whose log has entries of these terms, one of `size` voters.
    pub(crate) fn having(size: u64, term: u64, log: &[u64]) -> Self {
        Self::with(size, Options::default(), persistent(term, None, log))
    }

    pub(crate) fn with(size: u64, options: Options, persistent: Persistent) -> Self {
        let voters = (1..=size).map(ServerId);
        Self::member(Configuration::new(voters), options, persistent)
    }

    pub(crate) fn member(
        configuration: Configuration,
        options: Options,
        persistent: Persistent,
    ) -> Self {
        let snapshot = SnapshotMeta::founding(configuration);
        Self::on(options, Persistent { snapshot, ..persistent })
    }

    /// A server on a disk of any kind. If it has run before, that was long enough ago that it may
    /// vote.
    pub(crate) fn on(options: Options, persistent: Persistent) -> Self {
        let mut dice = Dice::default();
        let vote = (persistent.current_term, persistent.voted_for);
        let log = persistent.log.clone();
        let (snapshot, recovering) = (persistent.snapshot.clone(), persistent.recovering);
        let now = Time::from_nanos(0);
        let node = Node::new(S1, options.clone(), persistent, now, &mut dice);
        let mut server =
            Self { node, now, dice, options, snapshot, recovering, vote, log, round: 0 };
        if server.term() > 0 {
            server.pass(shortest_timeout().as_millis() as u64);
            let timing = server.options.timing;
            server.step(Input::Retime(timing)); // Its timer begins now.
        }
        server
    }

    /// Takes one input now and notes what it has for its disk.
    pub(crate) fn step(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.node.step(self.now, input, &mut self.dice, &mut effects);
        for effect in &effects {
            match effect {
                Effect::SaveVote { term, voted_for } => self.vote = (*term, *voted_for),
                Effect::AppendNoOp { position } => self.log.push(EntryMeta::new(position.term, 0)),
                Effect::AppendConfiguration { position, configuration } => {
                    let configuration = Some(configuration.clone());
                    self.log.push(EntryMeta { configuration, ..EntryMeta::new(position.term, 0) });
                }
                Effect::Append { first, entries } => {
                    self.log.truncate(first.0 as usize - 1);
                    match input {
                        Input::Message { entries: metas, .. } => {
                            self.log.extend_from_slice(&metas[entries.clone()]);
                        }
                        Input::Propose { sizes } => {
                            let meta = |bytes: &u32| EntryMeta::new(self.node.term(), *bytes);
                            self.log.extend(sizes[entries.clone()].iter().map(meta));
                        }
                        _ => panic!("only messages and proposals carry entries"),
                    }
                }
                Effect::SaveRecovered => self.recovering = false,
                Effect::Send { message: Message::AppendEntries(append), .. } => {
                    self.round = append.round.0;
                }
                _ => {}
            }
        }
        effects
    }

    pub(crate) fn receive(&mut self, from: ServerId, message: Message) -> Vec<Effect> {
        self.step(Input::Message { from, message, entries: &[] })
    }

    /// An `AppendEntries` of `from`, with entries of these terms behind `prev`.
    pub(crate) fn append(
        &mut self,
        from: ServerId,
        term: u64,
        prev: Position,
        terms: &[u64],
        leader_commit: u64,
    ) -> Vec<Effect> {
        let entries = metas(terms);
        let message = append_entries(term, prev, terms.len() as u64, leader_commit, 1);
        self.step(Input::Message { from, message, entries: &entries })
    }

    /// A heartbeat of `from` that fits any log, and the first round's.
    pub(crate) fn heartbeat(&mut self, from: ServerId, term: u64) -> Vec<Effect> {
        self.append(from, term, Position::default(), &[], 0)
    }

    pub(crate) fn propose(&mut self, count: usize) -> Vec<Effect> {
        self.step(Input::Propose { sizes: &vec![10; count] })
    }

    pub(crate) fn read(&mut self, ticket: u64) -> Vec<Effect> {
        self.step(Input::Read { ticket: Ticket(ticket), lease: false })
    }

    /// The disk has finished everything it was asked for.
    pub(crate) fn persist(&mut self) -> Vec<Effect> {
        let status = self.status();
        self.step(Input::Persisted { term: status.term, last: status.last_log.index })
    }

    pub(crate) fn pass(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
    }

    /// Lets time pass until the server wants to be woken, and wakes it.
    pub(crate) fn wake(&mut self) -> Vec<Effect> {
        self.now = self.now.max(self.node.deadline());
        self.step(Input::Deadline)
    }

    /// Lets it stand, and the others vote for it.
    pub(crate) fn elect(&mut self) -> Vec<Effect> {
        let mut effects = self.wake();
        for pre_vote in [true, false] {
            for voter in self.status().configuration.voters() {
                let status = self.status();
                let term = status.term.0 + u64::from(pre_vote);
                let standing = match status.role {
                    RoleKind::PreCandidate => pre_vote,
                    RoleKind::Candidate => !pre_vote,
                    RoleKind::Follower | RoleKind::Leader => false,
                };
                if voter != S1 && standing {
                    effects.extend(self.receive(voter, vote_reply(term, pre_vote, Ok(()))));
                }
            }
        }
        assert_eq!(self.role(), RoleKind::Leader);
        effects
    }

    /// Elects it, and lets its no-op be written and matched by everyone: it leads, in order.
    pub(crate) fn establish(&mut self) {
        self.elect();
        self.persist();
        self.match_all();
    }

    /// Every peer answers that it has the whole log, and has heard the latest round.
    pub(crate) fn match_all(&mut self) -> Vec<Effect> {
        let (term, last, round) = (self.term(), self.status().last_log.index.0, self.round);
        let peers: Vec<_> = self.status().peers.iter().map(|peer| peer.id).collect();
        let answer = |peer| self.receive(peer, matched(term, last, round));
        peers.into_iter().flat_map(answer).collect()
    }

    /// Kills it and starts it again with what it asked its disk to keep.
    pub(crate) fn restart(&mut self) {
        let persistent = Persistent {
            current_term: self.vote.0,
            voted_for: self.vote.1,
            snapshot: self.snapshot.clone(),
            base: Position::default(),
            log: self.log.clone(),
            recovering: self.recovering,
        };
        let options = self.options.clone();
        self.node = Node::new(S1, options, persistent, self.now, &mut self.dice);
    }

    pub(crate) fn status(&self) -> Status {
        self.node.status(self.now)
    }

    pub(crate) fn role(&self) -> RoleKind {
        self.node.role()
    }

    pub(crate) fn term(&self) -> u64 {
        self.status().term.0
    }

    pub(crate) fn commit(&self) -> u64 {
        self.status().commit_index.0
    }

    /// The latest round that it began as a leader.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// The terms of the log that it keeps, as its disk would.
    pub(crate) fn log(&self) -> Vec<u64> {
        let terms: Vec<u64> = self.log.iter().map(|entry| entry.term.0).collect();
        assert_eq!(self.status().last_log.index.0, terms.len() as u64, "the disk has its log");
        terms
    }
}

pub(crate) fn persistent(term: u64, voted_for: Option<ServerId>, log: &[u64]) -> Persistent {
    let (current_term, log) = (Term(term), metas(log));
    Persistent { current_term, voted_for, log, ..Persistent::default() }
}

pub(crate) fn metas(terms: &[u64]) -> Vec<EntryMeta> {
    terms.iter().map(|term| EntryMeta::new(Term(*term), 10)).collect()
}

pub(crate) fn at(term: u64, index: u64) -> Position {
    Position::new(Term(term), Index(index))
}

pub(crate) fn without_pre_vote() -> Options {
    Options { pre_vote: false, ..Options::default() }
}

/// Neither check-quorum nor leader stickiness.
pub(crate) fn without_check_quorum() -> Options {
    Options { check_quorum: false, ..Options::default() }
}

pub(crate) fn shortest_timeout() -> Duration {
    Timing::default().election_timeout_min
}

pub(crate) fn longest_timeout() -> Duration {
    Timing::default().election_timeout_max
}

pub(crate) fn request_vote(term: u64, last_log: Position) -> Message {
    let term = Term(term);
    Message::RequestVote(RequestVote { term, last_log, pre_vote: false, forced: None })
}

pub(crate) fn forced_vote(term: u64, last_log: Position) -> Message {
    let term = Term(term);
    let forced = Some(Force::Operator);
    Message::RequestVote(RequestVote { term, last_log, pre_vote: false, forced })
}

pub(crate) fn pre_vote(term: u64, last_log: Position) -> Message {
    let term = Term(term);
    Message::RequestVote(RequestVote { term, last_log, pre_vote: true, forced: None })
}

pub(crate) fn vote_reply(term: u64, pre_vote: bool, vote: Result<(), VoteRefusal>) -> Message {
    let (term, early) = (Term(term), false);
    Message::RequestVoteReply(RequestVoteReply { term, pre_vote, vote, early })
}

pub(crate) fn append_entries(
    term: u64,
    prev_log: Position,
    count: u64,
    leader_commit: u64,
    round: u64,
) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_log,
        last: Index(prev_log.index.0 + count),
        leader_commit: Index(leader_commit),
        round: Round(round),
    })
}

pub(crate) fn matched(term: u64, index: u64, round: u64) -> Message {
    append_reply(term, round, AppendOutcome::Matched(Index(index)))
}

pub(crate) fn rejected(term: u64, prev: u64, hint: Position, round: u64) -> Message {
    append_reply(term, round, AppendOutcome::Rejected { prev: Index(prev), hint })
}

fn append_reply(term: u64, round: u64, outcome: AppendOutcome) -> Message {
    Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(term),
        round: Round(round),
        outcome,
        applied: Index(0),
        recovering: false,
    })
}

pub(crate) fn read_index(term: u64, ticket: u64) -> Message {
    Message::ReadIndex(ReadIndex { term: Term(term), ticket: Ticket(ticket), lease: false })
}

pub(crate) fn read_index_reply(term: u64, ticket: u64, index: Option<u64>) -> Message {
    let (term, ticket) = (Term(term), Ticket(ticket));
    Message::ReadIndexReply(ReadIndexReply { term, ticket, index: index.map(Index) })
}

/// The messages among the effects.
pub(crate) fn sent(effects: &[Effect]) -> Vec<(ServerId, Message)> {
    let message = |effect: &Effect| match effect {
        Effect::Send { to, message } => Some((*to, *message)),
        _ => None,
    };
    effects.iter().filter_map(message).collect()
}

/// The one vote reply among the effects.
pub(crate) fn vote_of(effects: &[Effect]) -> RequestVoteReply {
    match sent(effects)[..] {
        [(_, Message::RequestVoteReply(reply))] => reply,
        ref other => panic!("one vote reply expected, not {other:?}"),
    }
}

/// The one answer to an `AppendEntries` among the effects.
pub(crate) fn answer_of(effects: &[Effect]) -> AppendEntriesReply {
    match sent(effects)[..] {
        [(_, Message::AppendEntriesReply(reply))] => reply,
        ref other => panic!("one answer expected, not {other:?}"),
    }
}
