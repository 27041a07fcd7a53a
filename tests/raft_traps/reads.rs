//! Reads: rows 22 to 30. Every answered read of a `Cluster` is also checked against what was
//! committed anywhere when it began.

use std::collections::BTreeMap;
use std::time::Duration;

use jangada::raft::{
    Configuration, Effect, Index, Input, Limits, Message, Options, Persistent, Refusal, RoleKind,
    Ticket, Time, VoteRefusal,
};

use crate::support::cluster::Cluster;
use crate::support::node::*;

fn ready(ticket: u64, index: u64) -> Effect {
    Effect::ReadReady { ticket: Ticket(ticket), index: Index(index) }
}

fn refused(ticket: u64, reason: Refusal) -> Effect {
    Effect::ReadRefused { ticket: Ticket(ticket), reason }
}

/// 22 (etcd and Consul, 2014): a deposed leader on the small side of a split does not answer.
#[test]
fn trap_22_a_leader_without_a_quorum_answers_no_read() {
    let mut cluster = Cluster::new(5);
    cluster.elect(S1);
    cluster.partition(&[&[S1, S2], &[S3, S4, S5]]);
    cluster.run(shortest_timeout());
    cluster.elect(S3);
    cluster.propose(S3, &["news"]);
    cluster.deliver_all();
    assert_eq!(cluster.role(S1), RoleKind::Leader, "it does not know yet");
    let reads = [cluster.read(S1), cluster.read(S2)];
    cluster.deliver_all();
    assert!(reads.iter().all(|read| cluster.reads[read].outcome.is_none()));
    cluster.run(longest_timeout() * 2);
    for read in reads {
        assert!(matches!(cluster.reads[&read].outcome, Some(Err(_))), "refused, not forgotten");
    }
}

/// The same in numbers (openraft d60f1e85): a quorum is a majority, not one less.
#[test]
fn trap_22_one_confirmation_of_five_is_no_quorum() {
    let mut leader = Server::of(5);
    leader.establish();
    assert_eq!(sent(&leader.read(1)).len(), 4, "a round begins at once");
    let (term, round) = (leader.term(), leader.round());
    assert_eq!(leader.receive(S2, matched(term, 1, round)), []);
    assert_eq!(leader.receive(S2, matched(term, 1, round)), [], "the same voice again");
    assert!(leader.receive(S3, matched(term, 1, round)).contains(&ready(1, 1)));
}

/// 23 (etcd 20418, raft PR 397): a late answer to an earlier round confirms no later read.
#[test]
fn trap_23_an_answer_to_an_earlier_round_confirms_no_later_read() {
    let mut leader = Server::of(3);
    leader.establish();
    let (term, before) = (leader.term(), leader.round());
    leader.read(1);
    assert_eq!(leader.round(), before + 1);
    leader.read(2);
    assert_eq!(leader.round(), before + 1, "it joins the next round");
    assert_eq!(leader.receive(S2, matched(term, 1, before)), [], "heard before the reads began");
    let effects = leader.receive(S2, matched(term, 1, before + 1));
    assert!(effects.contains(&ready(1, 1)));
    assert!(!effects.contains(&ready(2, 1)), "its round has only begun: {effects:?}");
    assert_eq!(leader.round(), before + 2);
    assert_eq!(leader.receive(S3, matched(term, 1, before + 1)), []);
    assert_eq!(leader.receive(S3, matched(term, 1, before + 2)), [ready(2, 1)]);
}

/// 23, the follower's side: an answer to a read of an earlier life, or a second one, is dropped.
#[test]
fn trap_23_an_answer_to_another_read_is_dropped() {
    let mut follower = Server::having(3, 1, &[1]);
    follower.heartbeat(S2, 1);
    follower.read(8);
    assert_eq!(follower.receive(S2, read_index_reply(1, 7, Some(1))), []);
    assert_eq!(follower.receive(S2, read_index_reply(1, 8, Some(1))), [ready(8, 1)]);
    assert_eq!(follower.receive(S2, read_index_reply(1, 8, Some(1))), []);
}

/// 24 (etcd raft f9382a4; section 8): before an entry of its term is committed, a leader does not
/// know what is.
#[test]
fn trap_24_a_new_leader_reads_only_after_its_no_op() {
    let mut leader = Server::having(3, 1, &[1, 1]);
    leader.elect();
    leader.persist();
    assert_eq!(leader.read(1), [], "it joins the round of the election");
    let (term, mut round) = (leader.term(), leader.round());
    for _ in 0..3 {
        let effects = leader.receive(S2, rejected(term, 2, at(1, 1), round));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. })));
        leader.pass(50);
        leader.wake();
        round = leader.round();
    }
    assert!(leader.receive(S2, matched(term, 3, round)).contains(&ready(1, 3)));
}

/// 27 (etcd 3879): a server that replays its log after a restart answers from no state of its own.
#[test]
fn trap_27_a_restarted_server_reads_only_what_the_leader_confirms() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["a", "b"]);
    cluster.deliver_all();
    cluster.beat(S1);
    cluster.crash(S3);
    cluster.propose(S1, &["c"]);
    cluster.deliver_all();
    cluster.start(S3);
    let early = cluster.read(S3);
    assert_eq!(cluster.reads[&early].outcome, Some(Err(Refusal::ElectionRunning)));
    cluster.beat(S1);
    let read = cluster.read(S3);
    cluster.deliver_all();
    assert_eq!(cluster.reads[&read].outcome, Some(Ok(Index(4))));
}

/// 28 (Redis-Raft): what is not committed is not visible, though the log has it.
#[test]
fn trap_28_a_read_sees_nothing_uncommitted() {
    let mut leader = Server::of(3);
    leader.establish();
    leader.propose(3);
    leader.persist();
    leader.read(1);
    let (term, round) = (leader.term(), leader.round());
    assert!(leader.receive(S2, matched(term, 1, round)).contains(&ready(1, 1)));
}

/// 29 (etcd 20418; dqlite raft 99): a leader that was paused trusts nothing from before.
#[test]
fn trap_29_a_paused_leader_answers_nothing_when_it_wakes() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    let queued = cluster.read(S1);
    cluster.lose_if(|packet| packet.from == S1);
    cluster.propose(S1, &["unheard"]);
    cluster.lose_if(|packet| packet.from == S1);
    // S1 sleeps: its deadlines pass unheeded, and the others go on.
    cluster.now = cluster.now + longest_timeout() * 3;
    cluster.campaign(S2);
    while cluster.deliver_if(|packet| packet.to != S1) > 0 {}
    assert_eq!(cluster.role(S2), RoleKind::Leader);
    assert_eq!((cluster.role(S1), cluster.committed.len()), (RoleKind::Leader, 2));
    let fresh = cluster.read(S1);
    for read in [queued, fresh] {
        assert_eq!(cluster.reads[&read].outcome, None);
    }
    cluster.wake(S1);
    assert_eq!(cluster.role(S1), RoleKind::Follower, "no quorum for far too long");
    for read in [queued, fresh] {
        assert_eq!(cluster.reads[&read].outcome, Some(Err(Refusal::ElectionRunning)));
    }
}

/// 30 (raft-rs 0e6fe65, e6784ab): a follower's read is answered, or fails within a known time.
#[test]
fn trap_30_a_read_whose_question_is_lost_fails_in_time() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    let answered = cluster.read(S2);
    cluster.deliver_all();
    assert_eq!(cluster.reads[&answered].outcome, Some(Ok(Index(1))));
    let lost = cluster.read(S2);
    let question = |message: &Message| matches!(message, Message::ReadIndex(_));
    assert_eq!(cluster.lose_if(|packet| question(&packet.message)), 1);
    cluster.run(longest_timeout() + shortest_timeout());
    assert_eq!(cluster.reads[&lost].outcome, Some(Err(Refusal::NotLeader(S1))));
}

/// 30, for a learner, which has no election to end its wait.
#[test]
fn trap_30_a_learners_read_is_answered_or_fails() {
    let configuration = Configuration::joint([], [S1, S2], [S3]);
    let mut cluster = Cluster::of(&configuration, &Options::default(), &BTreeMap::new());
    cluster.elect(S1);
    let answered = cluster.read(S3);
    cluster.deliver_all();
    assert_eq!(cluster.reads[&answered].outcome, Some(Ok(Index(1))));
    cluster.crash(S1);
    cluster.crash(S2);
    let lost = cluster.read(S3);
    cluster.run(longest_timeout() * 2);
    assert_eq!(cluster.reads[&lost].outcome, Some(Err(Refusal::ElectionRunning)));
    assert_eq!(cluster.status(S3).leader, None);
}

/// 30: a leader that steps down tells those who asked it, its own clients and other servers.
#[test]
fn trap_30_a_deposed_leader_refuses_the_reads_that_wait() {
    let mut leader = Server::of(3);
    leader.establish();
    let term = leader.term();
    leader.read(1);
    leader.receive(S3, read_index(term, 9));
    let effects = leader.receive(S2, matched(term + 1, 0, 0));
    assert!(effects.contains(&refused(1, Refusal::ElectionRunning)));
    assert_eq!(sent(&effects), [(S3, read_index_reply(term, 9, None))]);
}

/// 30: beyond the limit reads are refused at once, at the leader and at a follower.
#[test]
fn trap_30_too_many_reads_are_refused() {
    let limits = Limits { pending_reads: 2, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut follower = Server::with(3, options.clone(), Persistent::default());
    follower.heartbeat(S2, 1);
    let mut leader = Server::with(3, options, Persistent::default());
    leader.establish();
    for server in [&mut follower, &mut leader] {
        server.read(1);
        server.read(2);
        assert_eq!(server.read(3), [refused(3, Refusal::Busy)]);
    }
    let effects = leader.receive(S3, read_index(leader.term(), 9));
    assert_eq!(sent(&effects), [(S3, read_index_reply(leader.term(), 9, None))]);
}

/// 25 (raft-rs 40157d8): a clock that goes back ends the lease: how old it is is not known.
#[test]
fn trap_25_a_clock_that_goes_back_ends_the_lease() {
    let mut leader = Server::of(3);
    leader.pass(5000);
    leader.establish();
    for _ in 0..2 {
        leader.wake();
        leader.match_all();
    }
    let lease = |leader: &mut Server, ticket| {
        let effects = leader.step(Input::Read { ticket: Ticket(ticket), lease: true });
        effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. }))
    };
    leader.now = leader.now + Duration::from_millis(100);
    assert!(lease(&mut leader, 1), "in time");
    leader.now = Time::from_nanos(leader.now.as_nanos() - 3_000_000_000);
    assert!(!lease(&mut leader, 2), "the clock went back");
}

/// 26: no lease while leadership is being handed over, nor by what was answered before that ended.
#[test]
fn trap_26_a_leader_that_hands_over_has_no_lease() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    let served = |cluster: &mut Cluster| {
        let read = cluster.read_by(S1, true);
        cluster.reads[&read].outcome.is_some()
    };
    cluster.run(Duration::from_millis(60));
    assert!(served(&mut cluster));
    cluster.cut(S1, S2);
    cluster.hand_over(S1, Some(S2));
    assert!(!served(&mut cluster));
    cluster.pass(shortest_timeout());
    assert_eq!(cluster.role(S1), RoleKind::Leader);
    assert!(!served(&mut cluster), "given up, but S2 may stand still");
    cluster.deliver_all();
    assert!(served(&mut cluster));
}

/// 29 (dqlite 99): a leader that was paused wakes long after its lease, and has none.
#[test]
fn trap_29_a_paused_leader_has_no_lease_when_it_wakes() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.run(Duration::from_millis(60));
    cluster.partition(&[&[S1], &[S2, S3]]);
    cluster.now = cluster.now + Duration::from_millis(136);
    let read = cluster.read_by(S1, true);
    assert_eq!(cluster.reads[&read].outcome, None);
}

/// The promise that a lease rests on outlives the term in which it was given: a server that hears of
/// a higher term between elects nobody else for as long as it promised.
#[test]
fn a_promise_to_a_leader_outlives_its_term() {
    let mut voter = Server::having(3, 1, &[1]);
    voter.heartbeat(S2, 1);
    voter.pass(20);
    // A late answer to a pre-vote, for one, brings the term.
    voter.receive(S3, vote_reply(2, true, Err(VoteRefusal::StaleTerm)));
    assert_eq!((voter.term(), voter.status().leader), (2, None));
    let refused = vote_of(&voter.receive(S3, request_vote(2, at(1, 1)))).vote;
    assert_eq!(refused, Err(VoteRefusal::LeaderAlive(S2)));
    let early = vote_of(&voter.receive(S3, forced_vote(2, at(1, 1))));
    assert_eq!((early.vote, early.early), (Ok(()), true), "an operator may, and it is said");
}
