//! Sections 5.5 (crashes), 5.6 (timing) and 8 (clients).

use std::time::Duration;

use jangada::raft::{Index, Message, Refusal, RoleKind};

use crate::support::cluster::{Cluster, Packet};
use crate::support::node::*;

/// 5.5: a follower that restarts gets the messages that failed meanwhile, in some form.
#[test]
fn s5_5_messages_to_a_crashed_server_are_tried_until_it_is_back() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.crash(S2);
    cluster.propose(S1, &["x"]);
    for _ in 0..20 {
        cluster.beat(S1);
    }
    cluster.start(S2);
    cluster.beat(S1);
    cluster.beat(S1);
    assert_eq!(cluster.applied(S2), ["x"]);
}

/// 5.5: a candidate's requests to a crashed voter are made again in its next election.
#[test]
fn s5_5_a_vote_is_asked_for_until_it_comes() {
    let mut cluster = Cluster::new(3);
    cluster.crash(S2);
    cluster.crash(S3);
    for _ in 0..5 {
        cluster.wake(S1);
        cluster.deliver_all();
    }
    cluster.start(S3);
    cluster.wake(S1);
    cluster.deliver_all();
    assert_eq!(cluster.role(S1), RoleKind::Leader);
}

/// 5.5: a server that has done what a message asks, and crashes before it answers, gets the
/// message again. RPCs are idempotent: nothing changes the second time, and the answer is the
/// same.
#[test]
fn s5_5_messages_are_idempotent() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    let copies: Vec<Packet> = cluster.network.clone();
    cluster.deliver_round();
    cluster.lose_if(|_| true);
    cluster.crash(S2);
    cluster.start(S2);
    let log = cluster.server(S2).log.clone();
    for copy in copies.into_iter().filter(|packet| packet.to == S2) {
        cluster.inject(copy);
    }
    cluster.deliver_round();
    assert_eq!(cluster.server(S2).log, log);
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x"]);

    let mut voter = Server::of(3);
    let first = vote_of(&voter.receive(S2, request_vote(1, at(0, 0))));
    voter.restart();
    assert_eq!(vote_of(&voter.receive(S2, request_vote(1, at(0, 0)))), first);
}

/// 5.6: while messages are much faster than the election timeout, a leader is elected and stays.
#[test]
fn s5_6_a_steady_leader_while_messages_are_fast() {
    let mut cluster = Cluster::new(5);
    slow_for(&mut cluster, Duration::from_secs(1), Duration::from_millis(5));
    let (leader, term) = (cluster.leader().expect("a leader"), terms(&cluster));
    slow_for(&mut cluster, Duration::from_secs(20), Duration::from_millis(5));
    assert_eq!((cluster.leader(), terms(&cluster)), (Some(leader), term));
}

/// 5.6: safety does not depend on timing. With messages slower than the election timeout no
/// leader lasts, and nothing bad happens (the cluster asserts it at each step); when they are
/// fast again the cluster goes on.
#[test]
fn s5_6_safety_does_not_depend_on_timing() {
    let mut cluster = Cluster::new(5);
    cluster.elect(S1);
    cluster.propose(S1, &["before"]);
    cluster.deliver_all();
    slow_for(&mut cluster, Duration::from_secs(20), Duration::from_millis(400));
    cluster.run(Duration::from_secs(2));
    let leader = cluster.leader().expect("a leader");
    cluster.propose(leader, &["after"]);
    cluster.deliver_all();
    assert_eq!(cluster.applied(leader), ["before", "after"]);
}

/// Lets time pass with messages that take `delay`.
fn slow_for(cluster: &mut Cluster, duration: Duration, delay: Duration) {
    let end = cluster.now + duration;
    while cluster.now < end {
        cluster.pass(delay);
        cluster.deliver_round();
    }
}

fn terms(cluster: &Cluster) -> Vec<u64> {
    cluster.ids().into_iter().map(|id| cluster.status(id).term.0).collect()
}

/// 8: a client that asks any server is told who leads; while nobody does, it is told so.
#[test]
fn s8_any_server_names_the_leader() {
    let mut cluster = Cluster::new(3);
    assert_eq!(cluster.propose(S3, &["x"]).refused, Some(Refusal::ElectionRunning));
    cluster.elect(S2);
    for id in [S1, S3] {
        assert_eq!(cluster.propose(id, &["x"]).refused, Some(Refusal::NotLeader(S2)));
    }
    assert_eq!(cluster.propose(S2, &["x"]).refused, None);
}

/// 8: a client whose leader crashed tries others, and finds the new one.
#[test]
fn s8_after_a_leader_crash_the_new_one_serves() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.deliver_all();
    cluster.crash(S1);
    cluster.run(longest_timeout());
    let leader = cluster.leader().expect("a leader");
    assert_eq!(cluster.propose(leader, &["y"]).refused, None);
    cluster.deliver_all();
    assert_eq!(cluster.applied(leader), ["x", "y"]);
}

/// 8: a leader begins its term with a no-op, without which it would not know what is committed.
#[test]
fn s8_a_leader_begins_with_a_no_op() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.deliver_all();
    cluster.crash(S1);
    assert_eq!(cluster.status(S2).commit_index, Index(1), "S2 does not know of x");
    cluster.pass(shortest_timeout());
    cluster.elect(S2);
    assert_eq!(cluster.terms(S2), [1, 1, 2]);
    assert_eq!(cluster.status(S2).commit_index, Index(3));
    assert_eq!(cluster.applied(S2), ["x"]);
}

/// 8: reads log nothing.
#[test]
fn s8_reads_are_not_logged() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    let log = cluster.terms(S1);
    let reads = [cluster.read(S1), cluster.read(S2)];
    cluster.deliver_all();
    assert_eq!(cluster.terms(S1), log);
    for read in reads {
        assert_eq!(cluster.reads[&read].outcome, Some(Ok(Index(1))));
    }
}

/// 8: before a leader answers a read, a majority answers a heartbeat that left after the read
/// came; one that left before proves nothing.
#[test]
fn s8_a_read_waits_for_a_heartbeat_round_of_its_own() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.wake(S1);
    cluster.deliver_if(|packet| packet.to == S2);
    let read = cluster.read(S1);
    cluster.deliver_if(|packet| packet.from == S2);
    assert_eq!(cluster.reads[&read].outcome, None, "S2 answered a heartbeat from before");
    cluster.deliver_if(|packet| packet.to == S2);
    cluster.deliver_if(|packet| packet.from == S2);
    assert_eq!(cluster.reads[&read].outcome, Some(Ok(Index(1))));
}

/// 8: a leader that has been deposed without knowing it answers no read.
#[test]
fn s8_a_deposed_leader_answers_no_read() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.partition(&[&[S1], &[S2, S3]]);
    cluster.pass(shortest_timeout());
    cluster.lose_if(|_| true);
    cluster.elect(S2);
    cluster.propose(S2, &["y"]);
    cluster.deliver_all();
    let read = cluster.read(S1);
    cluster.run(Duration::from_millis(100));
    assert_eq!((cluster.role(S1), cluster.reads[&read].outcome), (RoleKind::Leader, None));
    cluster.heal();
    cluster.run(Duration::from_millis(100));
    let outcome = cluster.reads[&read].outcome;
    assert!(matches!(outcome, Some(Err(_))), "{outcome:?}");
}

/// 8: a new leader serves reads only after an entry of its own term is committed, whatever
/// heartbeats are answered.
#[test]
fn s8_a_new_leader_reads_only_after_its_no_op() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.deliver_all();
    cluster.crash(S1);
    cluster.campaign(S2);
    cluster.deliver_round();
    cluster.deliver_round();
    let carries_entries = |packet: &Packet| !packet.entries.is_empty();
    cluster.lose_if(carries_entries);
    let read = cluster.read(S2);
    cluster.server_mut(S3).disk.stalled = true;
    for _ in 0..3 {
        cluster.wake(S2);
        cluster.deliver_all();
    }
    assert_eq!(cluster.reads[&read].outcome, None);
    cluster.persist_all(S3);
    cluster.run(shortest_timeout());
    assert_eq!(cluster.reads[&read].outcome, Some(Ok(Index(3))));
}

/// 8: a follower's client is served too: the leader names the index that its server waits for.
#[test]
fn s8_a_follower_serves_reads_with_the_leaders_index() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.deliver_all();
    let read = cluster.read(S3);
    let asked = cluster.network.iter().map(|packet| packet.message).collect::<Vec<_>>();
    assert!(matches!(asked[..], [Message::ReadIndex(_)]));
    cluster.deliver_all();
    assert_eq!(cluster.reads[&read].outcome, Some(Ok(Index(2))));
}
