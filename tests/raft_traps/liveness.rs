//! Membership as far as elections go, and liveness: rows 36 to 62. Clusters run in virtual time,
//! their messages delivered at once unless a link is cut.

use std::collections::BTreeMap;
use std::time::Duration;

use jangada::raft::{
    Configuration, Effect, Index, Input, Message, Options, Persistent, RoleKind, ServerId, Term,
    VoteRefusal,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::support::cluster::Cluster;
use crate::support::disk::Disk;
use crate::support::node::*;

/// Cuts the links of these pairs, both ways.
fn cut(cluster: &mut Cluster, pairs: &[(ServerId, ServerId)]) {
    for (one, other) in pairs {
        cluster.cut(*one, *other);
        cluster.cut(*other, *one);
    }
}

/// Runs the cluster for a while, and asserts that `leader` led all along in the term it had.
fn stays(cluster: &mut Cluster, leader: ServerId, duration: Duration) {
    let term = cluster.status(leader).term;
    for _ in 0..20 {
        cluster.run(duration / 20);
        let status = cluster.status(leader);
        assert_eq!((status.role, status.term), (RoleKind::Leader, term));
        assert_eq!(cluster.leader(), Some(leader), "and nobody in a higher term");
    }
}

/// Whether the cluster's leader gets a command committed now.
fn progresses(cluster: &mut Cluster) -> bool {
    let before = cluster.committed.len();
    let Some(leader) = cluster.leader() else { return false };
    cluster.propose(leader, &["progress"]);
    cluster.run(Duration::from_millis(100));
    cluster.committed.len() > before
}

/// 36 (thesis 4.2.3; CockroachDB PR 104042): one who was removed and not told stands again and
/// again, in ever higher terms. Whoever hears the leader does not listen.
#[test]
fn trap_36_a_removed_server_disturbs_nobody() {
    let mut follower = Server::having(3, 1, &[1]);
    follower.heartbeat(S2, 1);
    let mut leader = Server::of(3);
    leader.establish();
    for server in [&mut follower, &mut leader] {
        for term in 2..9 {
            let before = server.status();
            for message in [pre_vote(term, at(1, 9)), request_vote(term, at(1, 9))] {
                let reply = vote_of(&server.receive(S5, message));
                assert!(matches!(reply.vote, Err(VoteRefusal::LeaderAlive(_))), "{message}");
                assert_eq!(reply.term, Term(1));
            }
            assert_eq!(server.status(), before);
        }
    }
    follower.pass(shortest_timeout().as_millis() as u64);
    assert_eq!(vote_of(&follower.receive(S5, request_vote(9, at(1, 9)))).vote, Ok(()), "not ever");
}

/// 37 (hashicorp/raft GH-398, NuRaft 470799d, raft-rs 74f6aa4): only voters stand.
#[test]
fn trap_37_a_learner_never_stands() {
    let configuration = Configuration::joint([], [S2, S3], [S1]);
    for options in [Options::default(), without_pre_vote()] {
        let mut learner = Server::member(configuration.clone(), options, Persistent::default());
        for _ in 0..5 {
            let effects = learner.wake();
            assert_eq!(sent(&effects), []);
        }
        assert_eq!(learner.step(Input::Campaign), []);
        assert_eq!((learner.role(), learner.term()), (RoleKind::Follower, 0));
    }
}

/// 39 (openraft 4d58a51e): a learner that does not answer holds up neither commits nor reads.
#[test]
fn trap_39_a_silent_learner_blocks_nothing() {
    let configuration = Configuration::joint([], [S1, S2], [S3]);
    let mut cluster = Cluster::of(&configuration, &Options::default(), &BTreeMap::new());
    cluster.crash(S3);
    cluster.elect(S1);
    assert!(progresses(&mut cluster));
    stays(&mut cluster, S1, longest_timeout() * 4);
    let read = cluster.read(S1);
    cluster.deliver_all();
    assert!(matches!(cluster.reads[&read].outcome, Some(Ok(_))));
}

/// 43 (etcd raft `campaign_learner_must_vote.txt`): one that was made a voter and does not know it
/// yet votes all the same.
#[test]
fn trap_43_whoever_is_asked_votes() {
    let configuration = Configuration::joint([], [S2, S3], [S1]);
    let mut learner = Server::member(configuration, Options::default(), Persistent::default());
    assert_eq!(vote_of(&learner.receive(S2, pre_vote(1, at(0, 0)))).vote, Ok(()));
    assert_eq!(vote_of(&learner.receive(S2, request_vote(1, at(0, 0)))).vote, Ok(()));
}

/// 46 (Cloudflare, 2020-11-02): a switch fails by half. S1 and S2 do not see each other, both see
/// S3: whoever leads goes on.
#[test]
fn trap_46_half_a_broken_switch_deposes_nobody() {
    for leader in [S1, S3] {
        let mut cluster = Cluster::new(3);
        cluster.elect(leader);
        cut(&mut cluster, &[(S1, S2)]);
        stays(&mut cluster, leader, Duration::from_secs(10));
        assert!(progresses(&mut cluster));
    }
}

/// 47 (decentralizedthoughts, 2020-12-12): five servers, of which S4 sees only S2, and S5 only S3.
#[test]
fn trap_47_servers_that_see_only_one_other_depose_nobody() {
    let mut cluster = Cluster::new(5);
    cluster.elect(S1);
    cut(&mut cluster, &[(S4, S1), (S4, S3), (S4, S5), (S5, S1), (S5, S2)]);
    stays(&mut cluster, S1, Duration::from_secs(10));
    assert!(progresses(&mut cluster));
}

/// 48 (etcd raft d4471b2): a pre-vote is answered in the term that was asked for, or a candidate
/// whose term is behind would take each grant for news of a higher term.
#[test]
fn trap_48_a_candidate_with_a_lower_term_completes_its_pre_vote() {
    let mut voter = Server::having(3, 1, &[1]);
    let reply = vote_of(&voter.receive(S2, pre_vote(4, at(1, 1))));
    assert_eq!((reply.term, reply.vote), (Term(4), Ok(())));
    let mut behind = Server::having(3, 3, &[1]);
    behind.wake();
    behind.receive(S2, vote_reply(4, true, Ok(())));
    assert_eq!((behind.role(), behind.term()), (RoleKind::Candidate, 4));
    // And as it happens: S1, the only one with the entries, is three terms behind.
    let disks = [(S1, Disk::with(2, None, &[1, 2])), (S2, Disk::with(5, None, &[1]))];
    let mut cluster = Cluster::with(3, &Options::default(), &disks.into_iter().collect());
    cluster.crash(S3);
    cluster.run(longest_timeout() * 4);
    assert_eq!(cluster.leader(), Some(S1));
}

/// 48: a pre-vote for a term that the voter is in already is refused: it could not be won.
#[test]
fn trap_48_a_pre_vote_for_a_term_that_has_begun_is_refused() {
    let mut voter = Server::having(3, 4, &[1]);
    let reply = vote_of(&voter.receive(S2, pre_vote(4, at(1, 1))));
    assert_eq!((reply.term, reply.vote), (Term(4), Err(VoteRefusal::StaleTerm)));
}

/// 48: however late they come, answers to pre-votes are not votes.
#[test]
fn trap_48_pre_votes_elect_nobody() {
    let mut candidate = Server::with(3, without_pre_vote(), Persistent::default());
    candidate.wake();
    for term in [1, 2] {
        candidate.receive(S2, vote_reply(term, true, Ok(())));
        candidate.receive(S3, vote_reply(term, true, Ok(())));
    }
    assert_eq!((candidate.role(), candidate.term()), (RoleKind::Candidate, 1));
}

/// 49 (etcd raft 3c7359d; raft-rs PR 42): some ask before they stand and some do not: a leader is
/// found, and found again.
#[test]
fn trap_49_servers_with_and_without_pre_vote_agree() {
    for without in [S1, S2, S3] {
        let mut cluster = Cluster::new(3);
        cluster.crash(without);
        cluster.server_mut(without).options = without_pre_vote();
        cluster.start(without);
        for _ in 0..3 {
            cluster.run(longest_timeout() * 4);
            let leader = cluster.leader().expect("a leader");
            assert!(progresses(&mut cluster));
            cluster.crash(leader);
            cluster.run(longest_timeout() * 4);
            assert!(cluster.leader().is_some(), "{without} without pre-vote, {leader} crashed");
            cluster.start(leader);
        }
    }
}

/// 50 (CockroachDB PR 104042; openraft t14): a leader that is heard and hears nobody steps down.
#[test]
fn trap_50_a_deaf_leader_is_replaced() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.cut(S2, S1);
    cluster.cut(S3, S1);
    cluster.run(longest_timeout());
    assert_eq!(cluster.role(S1), RoleKind::Follower);
    cluster.run(longest_timeout());
    assert!(cluster.leader().is_some_and(|leader| leader != S1));
    assert!(progresses(&mut cluster));
}

/// 50: what keeps a leader is when the answered message left, not when its answer came.
#[test]
fn trap_50_late_answers_keep_no_leader() {
    let mut leader = Server::of(3);
    leader.establish();
    leader.wake();
    let (asked, round) = (leader.now, leader.round());
    leader.pass(longest_timeout().as_millis() as u64 - 1);
    leader.receive(S2, matched(1, 1, round));
    assert_eq!(leader.role(), RoleKind::Leader);
    while leader.role() == RoleKind::Leader {
        leader.wake();
    }
    assert_eq!(leader.now, asked + longest_timeout());
}

/// 51: a leader that hears and is not heard is replaced too, and follows when it is heard again.
#[test]
fn trap_51_a_mute_leader_is_replaced() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.cut(S1, S2);
    cluster.cut(S1, S3);
    cluster.run(longest_timeout() * 2);
    let leader = cluster.leader().expect("a leader");
    assert_ne!(leader, S1);
    assert!(progresses(&mut cluster));
    cluster.heal();
    stays(&mut cluster, leader, Duration::from_secs(2));
    assert_eq!(cluster.status(S1).leader, Some(leader));
}

/// 52 (Omni-Paxos, EuroSys'23): a chain, of which only the middle can lead for good, and the loss
/// of a quorum that leaves all to one server in the middle.
#[test]
fn trap_52_whoever_reaches_a_majority_leads() {
    let mut chain = Cluster::new(3);
    cut(&mut chain, &[(S1, S3)]);
    chain.run(longest_timeout() * 4);
    let leader = chain.leader().expect("a leader");
    stays(&mut chain, leader, Duration::from_secs(5));
    assert!(progresses(&mut chain));

    let mut star = Cluster::new(5);
    star.elect(S1);
    assert!(progresses(&mut star));
    let rim = [S1, S2, S4, S5];
    let pairs: Vec<_> =
        rim.iter().flat_map(|one| rim.iter().map(move |other| (*one, *other))).collect();
    cut(&mut star, &pairs);
    star.run(longest_timeout() * 4);
    stays(&mut star, S3, Duration::from_secs(5));
    assert!(progresses(&mut star));
}

/// 53 (hashicorp/raft cda1ee8; goraft 44; etcd raft PR 50): with dice of their own, servers do not
/// split their votes for long, though a message takes a tenth of the shortest timeout.
#[test]
fn trap_53_split_votes_end_in_a_few_rounds() {
    for seed in 0..200 {
        let mut cluster = Cluster::with(5, &without_pre_vote(), &BTreeMap::new());
        for id in cluster.ids() {
            let mut stream = ChaCha8Rng::seed_from_u64(seed * 8 + id.0);
            cluster.server_mut(id).dice.otherwise = Box::new(move || stream.next_u64());
            cluster.crash(id);
        }
        for id in cluster.ids() {
            cluster.start(id);
        }
        while cluster.leader().is_none() {
            cluster.pass(Duration::from_millis(15));
            cluster.deliver_round();
        }
        let term = cluster.ids().iter().map(|id| cluster.status(*id).term).max();
        assert!(term < Some(Term(6)), "seed {seed}: {term:?} elections");
    }
}

/// 54 (openraft 228077a6): after a cold start of all, a leader within two election timeouts.
#[test]
fn trap_54_a_cold_start_elects_within_two_timeouts() {
    let mut cluster = Cluster::new(5);
    cluster.elect(S2);
    assert!(progresses(&mut cluster));
    for id in cluster.ids() {
        cluster.crash(id);
    }
    for id in cluster.ids() {
        cluster.start(id);
    }
    cluster.run(longest_timeout() * 2);
    assert!(cluster.leader().is_some());
    assert_eq!(cluster.committed.len(), 3, "and what was committed is again");
}

/// 55 (LogCabin 200): disks are not on the heartbeats' path, however slow and whosever they are.
#[test]
fn trap_55_stalled_disks_depose_nobody() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    for id in cluster.ids() {
        cluster.server_mut(id).disk.stalled = true;
    }
    for _ in 0..40 {
        cluster.propose(S1, &["waits"]);
        stays(&mut cluster, S1, Duration::from_millis(100));
    }
    assert_eq!(cluster.committed.len(), 1, "and nothing is committed that is on no disk");
    for id in cluster.ids() {
        cluster.persist_all(id);
    }
    cluster.deliver_all();
    assert_eq!(cluster.committed.len(), 41);
}

/// 56 (etcd 20418): when only the leader's disk stalls, the others' copies commit; the leader's
/// own does not count.
#[test]
fn trap_56_a_leader_with_a_stalled_disk_still_commits() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.server_mut(S1).disk.stalled = true;
    assert!(progresses(&mut cluster));
    cluster.crash(S3);
    cluster.propose(S1, &["on one disk"]);
    cluster.run(Duration::from_millis(100));
    assert_eq!(cluster.committed.len(), 2, "two have it, one of them on disk");
    cluster.persist_all(S1);
    assert_eq!(cluster.committed.len(), 3);
}

/// 62 (hashicorp/raft 497108f) and hashicorp/raft 606: the leader that one follows may stand
/// again; it is others that are refused.
#[test]
fn trap_62_the_leader_itself_may_ask_for_pre_votes() {
    let mut follower = Server::having(3, 1, &[1]);
    follower.heartbeat(S2, 1);
    assert_eq!(vote_of(&follower.receive(S2, pre_vote(2, at(1, 1)))).vote, Ok(()));
    let refused = Err(VoteRefusal::LeaderAlive(S2));
    assert_eq!(vote_of(&follower.receive(S3, pre_vote(2, at(1, 1)))).vote, refused);
    assert_eq!(vote_of(&follower.receive(S2, request_vote(2, at(1, 1)))).vote, Ok(()));
}

/// Forced elections reach those that hear a leader, and the leader itself (thesis 4.2.3).
#[test]
fn trap_62_a_forced_election_passes_stickiness() {
    let mut leader = Server::of(3);
    leader.establish();
    let effects = leader.receive(S2, forced_vote(2, at(1, 1)));
    assert_eq!(vote_of(&effects).vote, Ok(()));
    assert_eq!(leader.role(), RoleKind::Follower);
    let mut follower = Server::having(3, 1, &[1]);
    follower.heartbeat(S2, 1);
    let forced = |effects: &[Effect]| {
        let forced = |message: &Message| match message {
            Message::RequestVote(request) => request.forced.is_some() && !request.pre_vote,
            _ => false,
        };
        sent(effects).iter().filter(|(_, message)| forced(message)).count()
    };
    assert_eq!(forced(&follower.step(Input::Campaign)), 2);
    assert_eq!(follower.status().last_log.index, Index(1));
}
