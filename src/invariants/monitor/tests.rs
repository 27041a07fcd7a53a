//! Of every property, runs that break it and the nearest ones that do not.

mod members;
mod unseen;

use std::sync::Arc;

use super::*;
use crate::invariants::{Property, Stamp};
use crate::raft::{
    AppendEntriesReply, AppendOutcome, Configuration, Entry, Fetched, Index, InstallSnapshotReply,
    Message, Payload, Position, RequestVote, RequestVoteReply, Round, Term,
};

const S1: ServerId = ServerId(1);
const S2: ServerId = ServerId(2);
const S3: ServerId = ServerId(3);

/// Three servers that write straight through to their disks, unless a test says otherwise.
struct Run {
    monitor: Monitor,
    writes: u64,
    found: Check,
}

impl Run {
    fn new() -> Self {
        let mut run = Self { monitor: Monitor::new([S1, S2, S3]), writes: 0, found: Ok(()) };
        for server in [S1, S2, S3] {
            run.start(server, 0, None, &[]);
        }
        run
    }

    /// A run in which S1 leads term 1 and all have its entries, of terms 1 and 1.
    fn settled() -> Self {
        let mut run = Self::new();
        run.lead(S1, 1);
        for server in [S1, S2, S3] {
            run.enter(server, 1);
            run.append(server, 1, &[1, 1]);
        }
        run
    }

    fn tell(&mut self, fact: Fact<'_>) {
        if self.found.is_ok() {
            self.found = self.monitor.observe(&fact);
        }
    }

    fn start(&mut self, server: ServerId, term: u64, voted_for: Option<ServerId>, terms: &[u64]) {
        let log = stamps(terms);
        self.begin(server, Disk { term, voted_for, log: &log, ..Disk::default() });
    }

    fn begin(&mut self, server: ServerId, disk: Disk<'_>) {
        let founding = founding();
        let Disk { term, voted_for, snapshot, base, log, recovering, .. } = disk;
        let (at, configuration) = disk.configuration.unwrap_or((0, &founding));
        self.tell(Fact::Started {
            server,
            term: Term(term),
            voted_for,
            snapshot: Index(snapshot),
            configuration: (Index(at), configuration),
            base,
            log,
            recovering,
        });
    }

    /// A server starts with a new disk, and knows nobody.
    fn join(&mut self, server: ServerId) {
        let nobody = Configuration::default();
        self.begin(server, joining(&nobody));
    }

    /// A snapshot in the place of the log, not durable.
    fn install(&mut self, server: ServerId, last_included: Position, at: u64, of: &Configuration) {
        self.writes += 1;
        let (write, configuration) = (self.writes, (Index(at), of));
        self.tell(Fact::WroteSnapshot { server, write, last_included, configuration });
    }

    fn recover(&mut self, server: ServerId) {
        self.writes += 1;
        self.tell(Fact::WroteRecovered { server, write: self.writes });
    }

    /// A configuration as an entry of this term, durable.
    fn configure(&mut self, server: ServerId, at: u64, term: u64, configuration: &Configuration) {
        self.write(server, at, &[stamp_of(term, configuration)]);
        self.tell(Fact::Configures { server, at: Index(at), configuration });
        self.sync(server);
    }

    fn restore(&mut self, server: ServerId, index: u64, digest: u8) {
        self.tell(Fact::Restored { server, index: Index(index), digest: Some([digest; 32]) });
    }

    fn sync(&mut self, server: ServerId) {
        self.tell(Fact::Durable { server, write: self.writes });
    }

    fn write_vote(&mut self, server: ServerId, term: u64, voted_for: Option<ServerId>) {
        self.writes += 1;
        let (write, term) = (self.writes, Term(term));
        self.tell(Fact::WroteVote { server, write, term, voted_for });
    }

    fn vote(&mut self, server: ServerId, term: u64, candidate: ServerId) {
        self.write_vote(server, term, Some(candidate));
        self.sync(server);
    }

    fn enter(&mut self, server: ServerId, term: u64) {
        if server != S1 || term > 1 {
            self.write_vote(server, term, None);
            self.sync(server);
        }
    }

    fn write(&mut self, server: ServerId, first: u64, entries: &[Stamp]) {
        self.writes += 1;
        let (write, first) = (self.writes, Index(first));
        self.tell(Fact::WroteEntries { server, write, first, entries });
    }

    /// Entries of these terms, durable.
    fn append(&mut self, server: ServerId, first: u64, terms: &[u64]) {
        self.write(server, first, &stamps(terms));
        self.sync(server);
    }

    fn turn(&mut self, server: ServerId, role: RoleKind, term: u64) {
        self.tell(Fact::Became { server, role, term: Term(term) });
    }

    fn lead(&mut self, server: ServerId, term: u64) {
        self.vote(server, term, server);
        self.turn(server, RoleKind::Leader, term);
    }

    fn commit(&mut self, server: ServerId, index: u64) {
        self.tell(Fact::Committed { server, index: Index(index) });
    }

    fn apply(&mut self, server: ServerId, index: u64, term: u64, answer: &[u8]) {
        let (index, entry) = (Index(index), stamp(term));
        self.tell(Fact::Applied { server, index, entry, answer, request: None });
    }

    fn carry_out(&mut self, server: ServerId, index: u64, request: (u64, u64)) {
        let (index, entry, request) = (Index(index), stamp(1), Some(request));
        self.tell(Fact::Applied { server, index, entry, answer: &[], request });
    }

    fn answer(&mut self, server: ServerId, index: u64) {
        self.tell(Fact::Answered { server, index: Index(index) });
    }

    fn send(&mut self, server: ServerId, to: ServerId, message: impl Into<Message>) {
        self.tell(Fact::Sent { server, to, message: message.into() });
    }

    fn grant(&mut self, server: ServerId, to: ServerId, term: u64) {
        let reply =
            RequestVoteReply { term: Term(term), pre_vote: false, vote: Ok(()), early: false };
        self.send(server, to, reply);
    }

    #[track_caller]
    fn holds(self) {
        assert_eq!(self.found, Ok(()));
    }

    #[track_caller]
    fn violates(self, property: Property, words: &str) {
        let violation = self.found.expect_err("a violation");
        assert_eq!(violation.property, property, "{violation}");
        assert!(violation.text.contains(words), "{violation}");
    }
}

/// What a server finds on its disk.
#[derive(Clone, Copy, Default)]
struct Disk<'a> {
    term: u64,
    voted_for: Option<ServerId>,
    snapshot: u64,
    /// That of the founding members if it is none.
    configuration: Option<(u64, &'a Configuration)>,
    base: Position,
    log: &'a [Stamp],
    recovering: bool,
}

/// A new disk; its server knows nobody.
fn joining(nobody: &Configuration) -> Disk<'_> {
    Disk { configuration: Some((0, nobody)), recovering: true, ..Disk::default() }
}

fn founding() -> Configuration {
    voters(&[1, 2, 3])
}

fn voters(ids: &[u64]) -> Configuration {
    Configuration::new(ids.iter().map(|id| ServerId(*id)))
}

fn joint(from: &[u64], to: &[u64]) -> Configuration {
    Configuration::joint(voters(from).voters(), voters(to).voters(), [])
}

fn stamp_of(term: u64, configuration: &Configuration) -> Stamp {
    let payload = Payload::Configuration(Arc::new(configuration.clone()));
    Stamp::of(&Entry { term: Term(term), payload })
}

fn at(term: u64, index: u64) -> Position {
    Position::new(Term(term), Index(index))
}

/// The one entry that a leader of this term makes.
fn stamp(term: u64) -> Stamp {
    Stamp { term: Term(term), payload: 7 }
}

fn stamps(terms: &[u64]) -> Vec<Stamp> {
    terms.iter().map(|term| stamp(*term)).collect()
}

fn matched(term: u64, index: u64) -> AppendEntriesReply {
    let outcome = AppendOutcome::Matched(Index(index));
    AppendEntriesReply {
        term: Term(term),
        round: Round(1),
        outcome,
        applied: Index(0),
        recovering: false,
    }
}

fn candidacy(term: u64, pre_vote: bool) -> RequestVote {
    RequestVote { term: Term(term), last_log: Position::default(), pre_vote, forced: None }
}

#[test]
fn election_safety() {
    let mut run = Run::new();
    run.lead(S1, 1);
    run.lead(S2, 2);
    run.lead(S1, 3);
    run.turn(S1, RoleKind::Leader, 3);
    run.holds();

    let mut run = Run::new();
    run.lead(S1, 1);
    run.lead(S2, 2);
    run.lead(S3, 1);
    run.violates(Property::ElectionSafety, "S1 and S3 both lead term 1");
}

#[test]
fn leader_append_only() {
    let mut run = Run::settled();
    run.append(S1, 3, &[1]);
    run.enter(S1, 2);
    run.turn(S1, RoleKind::Follower, 2);
    run.append(S1, 3, &[2]);
    run.holds();

    let mut run = Run::settled();
    run.append(S1, 2, &[1]);
    run.violates(Property::LeaderAppendOnly, "S1 leads term 1 and replaces its entries 2 to 2");

    let mut run = Run::settled();
    run.lead(S2, 2);
    run.append(S2, 3, &[1]);
    run.violates(Property::LeaderAppendOnly, "another term");
}

#[test]
fn log_matching() {
    let mut run = Run::settled();
    run.lead(S2, 2);
    run.append(S2, 3, &[2]);
    run.append(S1, 3, &[1]);
    run.append(S3, 3, &[2]);
    run.holds();

    // One payload differs.
    let mut run = Run::settled();
    run.append(S1, 3, &[1]);
    run.write(S3, 3, &[Stamp { term: Term(1), payload: 8 }]);
    run.violates(Property::LogMatching, "S3 has another entry 3 of term 1");

    // The entries are equal, what is before them is not.
    let mut run = Run::new();
    run.lead(S1, 1);
    run.append(S1, 1, &[1]);
    run.lead(S2, 2);
    run.append(S2, 1, &[2]);
    run.lead(S3, 3);
    run.append(S3, 1, &[3]);
    run.enter(S1, 3);
    run.turn(S1, RoleKind::Follower, 3);
    run.append(S3, 2, &[3]);
    run.append(S1, 2, &[3]);
    run.violates(Property::LogMatching, "S1 has another entry 2 of term 3, or others before it");

    let mut run = Run::settled();
    run.enter(S2, 3);
    run.append(S2, 3, &[3, 2]);
    run.violates(Property::LogMatching, "term 2 at 4, behind one of term 3");
}

#[test]
fn leader_completeness() {
    let mut run = Run::settled();
    run.commit(S1, 2);
    run.lead(S2, 2);
    run.holds();

    // S3 was elected without entry 3, which was committed before.
    let mut run = Run::settled();
    run.append(S1, 3, &[1]);
    run.append(S2, 3, &[1]);
    run.commit(S1, 3);
    run.lead(S3, 2);
    run.violates(Property::LeaderCompleteness, "S3 leads term 2 without entry 3");

    // It was elected first, by votes that prove that 3 could not be committed any more.
    let mut run = Run::settled();
    run.append(S1, 3, &[1]);
    run.append(S2, 3, &[1]);
    run.lead(S3, 2);
    run.commit(S1, 3);
    run.violates(Property::LeaderCompleteness, "S3 leads term 2 without entry 3");

    // Of two leaders at a time, the older one need not have what the newer commits.
    let mut run = Run::settled();
    run.lead(S2, 3);
    run.append(S2, 3, &[3]);
    run.enter(S1, 3);
    run.turn(S1, RoleKind::Follower, 3);
    run.append(S1, 3, &[3]);
    run.commit(S2, 3);
    run.lead(S3, 2);
    run.holds();
}

#[test]
fn leader_completeness_needs_a_majority_of_disks() {
    let mut run = Run::settled();
    run.append(S1, 3, &[1]);
    run.write(S2, 3, &stamps(&[1]));
    run.commit(S1, 3);
    run.violates(Property::LeaderCompleteness, "commits 3, which is on 1 of 3 disks, not on 2");

    let mut run = Run::settled();
    run.append(S1, 3, &[1]);
    run.write(S2, 3, &stamps(&[1]));
    run.sync(S2);
    run.commit(S1, 3);
    run.holds();
}

/// Figure 8: an entry of term 2 is on a majority, and the leader of term 4 counts it.
#[test]
fn leader_completeness_forbids_counting_older_terms() {
    let figure_8 = || {
        let mut run = Run::new();
        run.lead(S1, 2);
        run.append(S1, 1, &[2]);
        run.lead(S3, 3);
        run.append(S3, 1, &[3]);
        run.lead(S1, 4);
        run.append(S2, 1, &[2]);
        run
    };
    let mut run = figure_8();
    run.commit(S1, 1);
    run.violates(Property::LeaderCompleteness, "commits 1, an entry of term 2, in term 4");

    let mut run = figure_8();
    run.append(S1, 2, &[4]);
    run.append(S2, 2, &[4]);
    run.commit(S1, 2);
    run.holds();
}

#[test]
fn state_machine_safety() {
    let mut run = Run::settled();
    run.commit(S1, 2);
    run.apply(S1, 1, 1, b"");
    run.apply(S1, 2, 1, b"");
    run.start(S1, 1, Some(S1), &[1, 1]);
    run.commit(S1, 2);
    run.apply(S1, 1, 1, b"");
    run.holds();

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.apply(S1, 2, 1, b"");
    run.violates(Property::StateMachineSafety, "S1 applies 2 right after 0");

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.apply(S1, 1, 2, b"");
    run.violates(Property::StateMachineSafety, "another entry 1");

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.apply(S2, 1, 1, b"");
    run.violates(Property::StateMachineSafety, "knows of commits up to 0");
}

#[test]
fn one_vote_a_term() {
    let mut run = Run::new();
    run.vote(S3, 1, S1);
    run.grant(S3, S1, 1);
    run.grant(S3, S1, 1);
    run.vote(S3, 2, S2);
    run.grant(S3, S2, 2);
    run.holds();

    // The disk lost the vote, and nobody says so but the vote itself.
    let mut run = Run::new();
    run.vote(S3, 1, S1);
    run.grant(S3, S1, 1);
    run.tell(Fact::Ended { server: S3 });
    run.monitor.cluster.servers[2].kept_vote = Vote::default();
    run.start(S3, 0, None, &[]);
    run.vote(S3, 1, S2);
    run.grant(S3, S2, 1);
    run.violates(Property::OneVoteATerm, "S3 votes for S2 and for S1 in term 1");

    let mut run = Run::new();
    run.vote(S3, 1, S3);
    run.send(S3, S1, candidacy(1, false));
    run.vote(S3, 1, S2);
    run.violates(Property::OneVoteATerm, "S3 changes its vote of term 1");
}

#[test]
fn monotonic() {
    let mut run = Run::settled();
    run.commit(S1, 1);
    run.commit(S1, 2);
    run.enter(S1, 4);
    run.turn(S1, RoleKind::Follower, 4);
    run.commit(S1, 2);
    run.holds();

    let mut run = Run::settled();
    run.enter(S2, 4);
    run.enter(S2, 3);
    run.violates(Property::Monotonic, "S2 goes back from term 4 to 3");

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.commit(S1, 1);
    run.violates(Property::Monotonic, "from 2 to 1");

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.start(S1, 1, Some(S1), &[1, 1]);
    run.commit(S1, 1);
    run.holds();
}

#[test]
fn stable_storage_of_votes() {
    let mut run = Run::new();
    run.write_vote(S3, 1, Some(S1));
    run.sync(S3);
    run.grant(S3, S1, 1);
    // The answer to a pre-vote promises nothing, nor does the question.
    run.send(
        S3,
        S1,
        RequestVoteReply { term: Term(9), pre_vote: true, vote: Ok(()), early: false },
    );
    run.send(S3, S1, candidacy(9, true));
    // What was said in an earlier term may leave late.
    run.enter(S3, 2);
    run.grant(S3, S1, 1);
    run.holds();

    let mut run = Run::new();
    run.write_vote(S3, 1, Some(S1));
    run.grant(S3, S1, 1);
    run.violates(Property::StableStorage, "in term 1, but its disk has term 0");

    let mut run = Run::new();
    run.enter(S3, 1);
    run.write_vote(S3, 1, Some(S1));
    run.grant(S3, S1, 1);
    run.violates(Property::StableStorage, "S3 votes for S1 in term 1, but the vote is not");

    let mut run = Run::new();
    run.write_vote(S3, 1, Some(S3));
    run.send(S3, S1, candidacy(1, false));
    run.violates(Property::StableStorage, "disk has term 0");
}

#[test]
fn stable_storage_of_entries() {
    let mut run = Run::settled();
    run.write(S2, 3, &stamps(&[1]));
    run.send(S2, S1, matched(1, 2));
    run.sync(S2);
    run.send(S2, S1, matched(1, 3));
    run.holds();

    let mut run = Run::settled();
    run.write(S2, 3, &stamps(&[1]));
    run.send(S2, S1, matched(1, 3));
    run.violates(Property::StableStorage, "S2 tells S1 that it has 3, but its disk has up to 2");

    // A write that is under way replaces what the disk has.
    let mut run = Run::settled();
    run.append(S2, 3, &[1, 1]);
    run.enter(S2, 2);
    run.write(S2, 3, &stamps(&[2]));
    run.send(S2, S1, matched(2, 3));
    run.violates(Property::StableStorage, "S2 tells S1 that it has 3, but its disk has up to 2");

    // The earlier of two writes is done; the later one replaces it.
    let mut run = Run::settled();
    run.write(S2, 3, &stamps(&[1, 1]));
    let first = run.writes;
    run.write_vote(S2, 2, None);
    run.write(S2, 3, &stamps(&[2]));
    run.tell(Fact::Durable { server: S2, write: first + 1 });
    run.send(S2, S1, matched(2, 3));
    run.violates(Property::StableStorage, "S2 tells S1 that it has 3, but its disk has up to 2");
}

#[test]
fn stable_storage_across_a_crash() {
    let mut run = Run::settled();
    run.write(S2, 3, &stamps(&[1]));
    run.tell(Fact::Ended { server: S2 });
    run.start(S2, 1, None, &[1, 1]);
    run.holds();

    let mut run = Run::settled();
    run.tell(Fact::Ended { server: S2 });
    run.start(S2, 1, None, &[1]);
    run.violates(Property::StableStorage, "S2 starts with 1 entries");

    let mut run = Run::settled();
    run.start(S2, 0, None, &[]);
    run.violates(Property::StableStorage, "S2 starts in term 0, but its disk had term 1");

    let mut run = Run::settled();
    run.start(S1, 1, None, &[1, 1]);
    run.violates(Property::StableStorage, "S1 starts without its vote of term 1");
}

#[test]
fn acknowledged_is_kept() {
    let committed = || {
        let mut run = Run::settled();
        run.append(S1, 3, &[1]);
        run.append(S2, 3, &[1]);
        run.commit(S1, 3);
        run
    };
    let mut run = committed();
    run.answer(S1, 3);
    run.tell(Fact::Ended { server: S2 });
    run.start(S2, 1, None, &[1, 1, 1]);
    run.holds();

    let mut run = Run::settled();
    run.commit(S1, 1);
    run.answer(S1, 2);
    run.violates(Property::AcknowledgedIsKept, "S1 answers for 2, but 1 is the last");

    // S2 does not know yet that 3 is committed, but it has told the leader that it has it.
    let mut run = committed();
    run.answer(S1, 3);
    run.enter(S2, 2);
    run.append(S2, 3, &[2]);
    run.violates(Property::AcknowledgedIsKept, "entry 3, which a client was told of, is on 1");
}

#[test]
fn committed_is_fixed() {
    let mut run = Run::settled();
    run.commit(S1, 2);
    run.commit(S2, 1);
    run.commit(S2, 2);
    run.append(S3, 2, &[1]);
    run.holds();

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.enter(S3, 2);
    run.append(S3, 2, &[2]);
    run.commit(S3, 2);
    run.violates(Property::CommittedIsFixed, "S3 commits another entry 2");

    let mut run = Run::settled();
    run.commit(S2, 2);
    run.enter(S2, 2);
    run.append(S2, 2, &[2]);
    run.violates(Property::CommittedIsFixed, "S2 replaces its log from 2 on");

    let mut run = Run::settled();
    run.commit(S1, 3);
    run.violates(Property::CommittedIsFixed, "S1 commits up to 3, but its log ends at 2");
}

#[test]
fn sessions_apply_once() {
    let mut run = Run::settled();
    for server in [S1, S2] {
        run.commit(server, 2);
        run.carry_out(server, 1, (5, 1));
        run.carry_out(server, 2, (5, 2));
    }
    run.start(S1, 1, Some(S1), &[1, 1]);
    run.commit(S1, 2);
    run.carry_out(S1, 1, (5, 1));
    run.holds();

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.carry_out(S1, 1, (5, 1));
    run.carry_out(S1, 2, (5, 1));
    run.violates(Property::SessionsApplyOnce, "request 1 of session 5 out at 2");
}

#[test]
fn state_hash() {
    let committed = || {
        let mut run = Run::settled();
        for server in [S1, S2] {
            run.commit(server, 2);
        }
        run.apply(S1, 1, 1, b"yes");
        run.apply(S1, 2, 1, b"");
        run
    };
    let mut run = committed();
    run.apply(S2, 1, 1, b"yes");
    run.tell(Fact::Digest { server: S1, index: Index(2), digest: [1; 32] });
    run.tell(Fact::Digest { server: S2, index: Index(2), digest: [1; 32] });
    run.holds();

    let mut run = committed();
    run.apply(S2, 1, 1, b"no");
    run.violates(Property::StateHash, "S2 answers 1 otherwise");

    let mut run = committed();
    run.tell(Fact::Digest { server: S1, index: Index(2), digest: [1; 32] });
    run.tell(Fact::Digest { server: S2, index: Index(2), digest: [2; 32] });
    run.violates(Property::StateHash, "S2 has another state at 2");
}

#[test]
fn memory_bounds() {
    let holds = |count| Fact::Holds { server: S1, what: "calls", count, limit: 10 };
    let mut run = Run::new();
    run.tell(holds(10));
    run.holds();

    let mut run = Run::new();
    run.tell(holds(11));
    run.violates(Property::MemoryBounds, "S1 holds 11 calls; 10 is the most");
}

/// All have entries 1 and 2 of term 1, S1 has committed both and S2 has applied them.
fn applied() -> Run {
    let mut run = Run::settled();
    run.commit(S1, 2);
    run.commit(S2, 2);
    run.apply(S2, 1, 1, b"");
    run.apply(S2, 2, 1, b"");
    run
}
