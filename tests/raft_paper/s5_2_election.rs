//! Section 5.2: leader election.

use std::collections::BTreeSet;
use std::time::Duration;

use jangada::raft::{AppendOutcome, Luck, Message, RoleKind, Timing, VoteRefusal};
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::support::cluster::Cluster;
use crate::support::node::*;

/// Servers start as followers, also those that led when they crashed.
#[test]
fn s5_2_servers_start_as_followers() {
    let mut server = Server::of(3);
    assert_eq!(server.role(), RoleKind::Follower);
    server.establish();
    server.restart();
    assert_eq!((server.role(), server.status().leader), (RoleKind::Follower, None));
}

/// A server stays a follower as long as it hears a leader.
#[test]
fn s5_2_a_follower_that_hears_a_leader_stays_one() {
    let mut follower = Server::of(3);
    for _ in 0..100 {
        follower.pass(140);
        follower.step(jangada::raft::Input::Deadline);
        follower.heartbeat(S2, 1);
    }
    assert_eq!((follower.role(), follower.term()), (RoleKind::Follower, 1));
}

/// Leaders send heartbeats to all followers, whether there is anything to say or not.
#[test]
fn s5_2_heartbeats_keep_authority() {
    let mut cluster = Cluster::new(5);
    cluster.elect(S3);
    let term = cluster.status(S3).term;
    cluster.run(Duration::from_secs(10));
    assert_eq!((cluster.leader(), cluster.status(S3).term), (Some(S3), term));
}

/// Whoever gets the votes of a majority of the full cluster wins, and nobody with fewer: of
/// every size, for every number of votes.
#[test]
fn s5_2_a_majority_of_the_full_cluster_wins() {
    for size in 1..=9 {
        for granted in 0..size {
            let mut server = Server::with(size, without_pre_vote(), persistent(0, None, &[]));
            server.wake();
            for voter in 2..=size {
                let vote = if voter < granted + 2 { Ok(()) } else { Err(VoteRefusal::LogBehind) };
                server.receive(jangada::raft::ServerId(voter), vote_reply(1, false, vote));
            }
            let wins = granted + 1 > size / 2;
            let role = if wins { RoleKind::Leader } else { RoleKind::Candidate };
            assert_eq!(server.role(), role, "{granted} other votes of {size}");
        }
    }
}

/// Only votes of the same term count, and each server's once.
#[test]
fn s5_2_votes_count_once_and_in_their_term() {
    let mut server = Server::with(5, without_pre_vote(), persistent(0, None, &[]));
    server.wake();
    server.wake();
    assert_eq!(server.term(), 2);
    for _ in 0..3 {
        server.receive(S2, vote_reply(2, false, Ok(())));
    }
    server.receive(S3, vote_reply(1, false, Ok(())));
    server.receive(S4, vote_reply(2, true, Ok(())));
    assert_eq!(server.role(), RoleKind::Candidate);
    server.receive(S3, vote_reply(2, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Leader);
}

/// The same goes for pre-votes: one that was given for another term says nothing.
#[test]
fn s5_2_pre_votes_count_in_their_term() {
    let mut server = Server::having(3, 3, &[]);
    server.wake();
    for term in [3, 5] {
        server.receive(S2, vote_reply(term, true, Ok(())));
        assert_eq!((server.role(), server.term()), (RoleKind::PreCandidate, 3));
    }
    server.receive(S2, vote_reply(4, true, Ok(())));
    assert_eq!((server.role(), server.term()), (RoleKind::Candidate, 4));
}

/// A late refusal, to the question of an earlier campaign, does not outweigh a vote.
#[test]
fn s5_2_a_vote_outweighs_a_late_refusal() {
    let mut server = Server::of(3);
    server.wake();
    server.wake();
    server.receive(S2, vote_reply(0, true, Err(VoteRefusal::LogBehind)));
    assert_eq!(server.role(), RoleKind::PreCandidate);
    server.receive(S2, vote_reply(1, true, Ok(())));
    assert_eq!(server.role(), RoleKind::Candidate);
}

/// Each server gives one vote a term, to the first who asks.
#[test]
fn s5_2_first_come_first_served() {
    let mut voter = Server::of(3);
    assert_eq!(vote_of(&voter.receive(S2, request_vote(1, at(0, 0)))).vote, Ok(()));
    let second = vote_of(&voter.receive(S3, request_vote(1, at(5, 5)))).vote;
    assert_eq!(second, Err(VoteRefusal::AlreadyVoted(S2)));
    assert_eq!(vote_of(&voter.receive(S3, request_vote(2, at(0, 0)))).vote, Ok(()));
}

/// The winner sends heartbeats to everyone, and that ends the election.
#[test]
fn s5_2_the_winner_ends_the_election() {
    let mut cluster = Cluster::with(5, &without_pre_vote(), &Default::default());
    cluster.server_mut(S2).dice.next.push_back(Duration::from_millis(1));
    cluster.wake(S2);
    cluster.wake(S1);
    cluster.deliver_if(|packet| packet.from == S1);
    cluster.deliver_all();
    assert_eq!(cluster.leader(), Some(S1));
    let roles: Vec<_> = cluster.ids().into_iter().map(|id| cluster.role(id)).collect();
    assert_eq!(roles.iter().filter(|role| **role == RoleKind::Follower).count(), 4);
}

/// A candidate that hears a leader of its term, or a later one, follows it.
#[test]
fn s5_2_a_candidate_follows_a_legitimate_leader() {
    for term in [1, 2] {
        let mut candidate = Server::with(3, without_pre_vote(), persistent(0, None, &[]));
        candidate.wake();
        candidate.heartbeat(S2, term);
        let status = candidate.status();
        assert_eq!((status.role, status.leader), (RoleKind::Follower, Some(S2)));
        assert_eq!(status.term.0, term);
    }
}

/// A candidate that hears a leader of an earlier term refuses it and stays a candidate.
#[test]
fn s5_2_a_candidate_refuses_a_leader_of_the_past() {
    let mut candidate = Server::with(3, without_pre_vote(), persistent(4, None, &[]));
    candidate.wake();
    let answer = answer_of(&candidate.heartbeat(S2, 4));
    assert!(matches!(answer.outcome, AppendOutcome::Rejected { .. }) && answer.term.0 == 5);
    assert_eq!(candidate.role(), RoleKind::Candidate);
}

/// When votes are split each candidate times out, and stands again for the next term.
#[test]
fn s5_2_a_split_vote_ends_with_the_timer() {
    let mut cluster = Cluster::with(4, &without_pre_vote(), &Default::default());
    cluster.server_mut(S2).dice.next.push_back(Duration::from_millis(150));
    cluster.wake(S1);
    cluster.wake(S2);
    cluster.deliver_if(|packet| (packet.from, packet.to) == (S1, S3));
    cluster.deliver_if(|packet| (packet.from, packet.to) == (S2, S4));
    cluster.deliver_all();
    assert_eq!((cluster.role(S1), cluster.role(S2)), (RoleKind::Candidate, RoleKind::Candidate));
    cluster.wake(S1);
    cluster.deliver_all();
    assert_eq!((cluster.leader(), cluster.status(S1).term.0), (Some(S1), 2));
}

/// Election timeouts are drawn from an interval, both ends of which occur, anew for each
/// election.
#[test]
fn s5_2_timeouts_are_random_within_their_interval() {
    let Timing { election_timeout_min: min, election_timeout_max: max, .. } = Timing::default();
    let mut server = Server::of(3);
    let mut timeouts = BTreeSet::new();
    for _ in 0..1000 {
        let before = server.now.max(server.status().deadline);
        server.wake();
        timeouts.insert(server.status().deadline.since(before));
    }
    assert!(timeouts.iter().all(|timeout| (min..=max).contains(timeout)));
    assert!(timeouts.len() >= 200, "1 ms apart, so that no two are alike");

    for (draw, timeout) in [(0, min), (200_000_000, max), (200_000_001, min)] {
        let mut luck = || draw;
        let luck: &mut dyn Luck = &mut luck;
        let now = jangada::raft::Time::from_nanos(7);
        let node = jangada::raft::Node::new(S1, Default::default(), Default::default(), now, luck);
        assert_eq!(node.deadline().since(now), timeout);
    }
}

/// With random timeouts splits are rare and end soon: a thousand clusters, each with dice of its
/// own and messages that take 5 ms, elect a leader within a few timeouts.
#[test]
fn s5_2_random_timeouts_elect_a_leader_soon() {
    let timing = Timing::default();
    let mut late = 0;
    for seed in 0..1000 {
        let mut cluster = Cluster::new(5);
        for id in cluster.ids() {
            let mut dice = ChaCha12Rng::seed_from_u64(seed * 16 + id.0);
            cluster.server_mut(id).dice.otherwise = Box::new(move || dice.next_u64());
            cluster.crash(id);
            cluster.start(id);
        }
        let start = cluster.now;
        while cluster.leader().is_none() {
            cluster.pass(Duration::from_millis(5));
            cluster.deliver_round();
            assert!(cluster.now.since(start) < timing.election_timeout_max * 10, "seed {seed}");
        }
        late += u64::from(cluster.now.since(start) > timing.election_timeout_max * 2);
    }
    assert!(late <= 50, "{late} of 1000 elections took more than two timeouts");
}

/// A candidate asks all others in parallel, not one after the other.
#[test]
fn s5_2_a_candidate_asks_everyone_at_once() {
    let mut cluster = Cluster::with(5, &without_pre_vote(), &Default::default());
    cluster.wake(S1);
    let asked: Vec<_> = cluster.network.iter().map(|packet| packet.to).collect();
    assert_eq!(asked, [S2, S3, S4, S5]);
    let request = |message: &Message| matches!(message, Message::RequestVote(_));
    assert!(cluster.network.iter().all(|packet| request(&packet.message)));
}
