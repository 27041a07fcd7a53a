//! Bugs of actix-raft, async-raft, openraft and their neighbours. Those that are in the catalogue
//! too are tested there: async-raft 106 is row 1, openraft a48a3282 row 2, 9540c904 rows 4 and 5,
//! 6d53aa12 row 13, d60f1e85 row 22, 6c0ccaf3 row 33, 228077a6 row 54, hashicorp/raft 606 row 62,
//! goraft 44 row 53; hashicorp/raft PR 609 is with the timer.

use jangada::raft::{
    AppendOutcome, Configuration, Effect, Index, Input, Message, Options, Persistent, RoleKind,
    Term, Ticket, Timing, VoteRefusal,
};

use crate::support::cluster::Cluster;
use crate::support::node::*;

/// actix-raft 41 (0.4.3): a deposed leader that hears nobody any more stands again.
#[test]
fn trap_actix_raft_41_a_deposed_leader_stands_again() {
    let mut server = Server::of(3);
    server.establish();
    server.receive(S2, matched(5, 0, 0));
    assert_eq!(server.role(), RoleKind::Follower);
    server.wake();
    assert_eq!(server.role(), RoleKind::PreCandidate);
}

/// The same when it steps down by itself, because no quorum answers.
#[test]
fn trap_actix_raft_41_a_leader_without_a_quorum_stands_again() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.partition(&[&[S1], &[S2, S3]]);
    cluster.run(longest_timeout());
    assert_eq!(cluster.role(S1), RoleKind::Follower);
    cluster.run(longest_timeout());
    assert_eq!(cluster.role(S1), RoleKind::PreCandidate);
}

/// actix-raft 0.4.1: a cluster of one leads again after a crash, in a term of its own, and what it
/// had committed is committed again.
#[test]
fn trap_actix_raft_041_a_single_server_resumes_leadership() {
    let mut cluster = Cluster::new(1);
    for life in 1..=3_u64 {
        cluster.run(longest_timeout());
        assert_eq!(cluster.role(S1), RoleKind::Leader);
        assert_eq!(cluster.status(S1).term.0, life);
        cluster.propose(S1, &["more"]);
        assert_eq!(cluster.committed.len() as u64, 2 * life);
        assert_eq!(cluster.applied(S1).len() as u64, life);
        let read = cluster.read(S1);
        assert_eq!(cluster.reads[&read].outcome, Some(Ok(Index(2 * life))));
        cluster.crash(S1);
        cluster.start(S1);
    }
}

/// actix-raft 0.4.4 (`vote.rs`): servers that the configuration does not name are heard: they may
/// be in a newer one.
#[test]
fn trap_actix_raft_044_unknown_servers_are_heard() {
    let mut server = Server::of(3);
    assert_eq!(vote_of(&server.receive(S5, pre_vote(1, at(0, 0)))).vote, Ok(()));
    assert_eq!(vote_of(&server.receive(S5, request_vote(1, at(0, 0)))).vote, Ok(()));
    server.append(S5, 1, at(0, 0), &[1, 1], 1);
    let status = server.status();
    assert_eq!((status.leader, status.commit_index), (Some(S5), Index(1)));
    assert_eq!(answer_of(&server.persist()).outcome, AppendOutcome::Matched(Index(2)));
}

/// Nor do their answers count, nor harm.
#[test]
fn trap_actix_raft_044_unknown_servers_do_not_count() {
    let mut server = Server::with(3, without_pre_vote(), Persistent::default());
    server.wake();
    server.receive(S5, vote_reply(1, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Candidate);
    server.receive(S2, vote_reply(1, false, Ok(())));
    server.persist();
    server.receive(S5, matched(1, 1, 1));
    assert_eq!(server.commit(), 0);
}

/// async-raft 105 (a missing `else`): every input in every role, and every role is one of the four
/// that may follow it.
#[test]
fn trap_async_raft_105_every_input_in_every_role() {
    let follower = || Server::having(3, 2, &[1]);
    let following = || {
        let mut server = follower();
        server.heartbeat(S2, 2);
        server
    };
    let pre_candidate = || {
        let mut server = follower();
        server.wake();
        server
    };
    let candidate = || {
        let mut server = Server::having(3, 1, &[1]);
        server.step(Input::Campaign);
        server
    };
    let leader = || {
        let mut server = Server::having(3, 1, &[1]);
        server.elect();
        server
    };
    let roles: [&dyn Fn() -> Server; 5] =
        [&follower, &following, &pre_candidate, &candidate, &leader];
    for role in roles {
        for term in 1..=3 {
            for message in [
                request_vote(term, at(1, 1)),
                forced_vote(term, at(1, 1)),
                pre_vote(term, at(1, 1)),
                vote_reply(term, false, Ok(())),
                vote_reply(term, false, Err(VoteRefusal::LogBehind)),
                vote_reply(term, true, Ok(())),
                vote_reply(term, true, Err(VoteRefusal::LogBehind)),
                append_entries(term, at(1, 1), 0, 1, 1),
                append_entries(term, at(1, 5), 0, 1, 1),
                matched(term, 1, 1),
                rejected(term, 1, at(0, 0), 1),
                read_index(term, 1),
                read_index_reply(term, 1, None),
            ] {
                let mut server = role();
                let (was, before) = (server.role(), server.status());
                let appends = matches!(message, Message::AppendEntries(_));
                if was == RoleKind::Leader && appends && term == 2 {
                    continue; // Two leaders of one term: what elections exclude.
                }
                let effects = server.receive(S3, message);
                may_follow(was, server.role(), &format!("{message}"));
                let after = server.status();
                assert!(after.term >= before.term, "{was} given {message}");
                let told = effects.iter().any(|effect| matches!(effect, Effect::Became { .. }));
                let changed = (before.role, before.term, before.leader)
                    != (after.role, after.term, after.leader);
                assert_eq!(told, changed, "{was} given {message}: {effects:?}");
            }
        }
        for input in [
            Input::Propose { sizes: &[1] },
            Input::Propose { sizes: &[] },
            Input::Read { ticket: Ticket(1), lease: false },
            Input::Persisted { term: Term(3), last: Index(1) },
            Input::Campaign,
            Input::Deadline,
            Input::Retime(Timing::default()),
        ] {
            let mut server = role();
            let was = server.role();
            server.now = server.node.deadline();
            server.step(input);
            may_follow(was, server.role(), &format!("{input:?}"));
        }
    }
}

/// The arrows of figure 4, with pre-candidates between followers and candidates. What starts an
/// election is time, an order or a vote; nothing else leads away from following.
fn may_follow(was: RoleKind, is: RoleKind, input: &str) {
    use RoleKind::{Candidate, Follower, Leader, PreCandidate};
    let allowed = match is {
        Follower => true,
        PreCandidate => was == PreCandidate || was != Leader && input == "Deadline",
        Candidate => matches!(was, PreCandidate | Candidate) || input == "Campaign",
        Leader => matches!(was, Candidate | Leader),
    };
    assert!(allowed, "{was} → {is} by {input}");
}

/// async-raft 98: a heartbeat to a follower that lags far behind neither harms it nor is refused
/// for good.
#[test]
fn trap_async_raft_098_a_heartbeat_to_a_lagging_follower() {
    let mut follower = Server::of(3);
    let effects = follower.append(S2, 3, at(3, 1000), &[], 1000);
    let expected = AppendOutcome::Rejected { prev: Index(1000), hint: at(0, 0) };
    assert_eq!(answer_of(&effects).outcome, expected);
    assert_eq!((follower.status().leader, follower.commit()), (Some(S2), 0));
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.partition(&[&[S1, S2], &[S3]]);
    for _ in 0..30 {
        cluster.propose(S1, &["missed"; 10]);
        cluster.deliver_all();
    }
    cluster.heal();
    cluster.beat(S1);
    cluster.beat(S1);
    assert_eq!(cluster.terms(S3).len(), 301);
    assert_eq!(cluster.applied(S3).len(), 300);
}

/// async-raft 0.6.0: when the leader was last heard is remembered, and forgotten in time.
#[test]
fn trap_async_raft_060_the_last_heartbeat_is_remembered() {
    let refused = |milliseconds| {
        let mut follower = Server::having(3, 1, &[1]);
        follower.heartbeat(S2, 1);
        follower.pass(100);
        follower.heartbeat(S2, 1);
        follower.pass(milliseconds);
        vote_of(&follower.receive(S3, pre_vote(2, at(1, 1)))).vote.is_err()
    };
    assert!(refused(0) && refused(149));
    assert!(!refused(150), "the shortest election timeout has passed");
}

/// openraft beb0302b: learners' copies commit nothing and elect nobody.
#[test]
fn trap_openraft_beb0302b_learners_alone_commit_nothing() {
    let configuration = Configuration::joint([], [S1, S2, S3], [S4, S5]);
    let mut server = Server::member(configuration, without_pre_vote(), Persistent::default());
    server.wake();
    for learner in [S4, S5] {
        server.receive(learner, vote_reply(1, false, Ok(())));
    }
    assert_eq!(server.role(), RoleKind::Candidate);
    server.receive(S2, vote_reply(1, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Leader);
    server.persist();
    for learner in [S4, S5] {
        server.receive(learner, matched(1, 1, 1));
    }
    assert_eq!(server.commit(), 0);
    server.receive(S3, matched(1, 1, 1));
    assert_eq!(server.commit(), 1);
}

/// The same for reads and for check-quorum: a leader that only learners hear has no quorum.
#[test]
fn trap_openraft_beb0302b_learners_confirm_no_leader() {
    let configuration = Configuration::joint([], [S1, S2, S3], [S4, S5]);
    let mut server = Server::member(configuration, Options::default(), Persistent::default());
    server.establish();
    let (term, elected) = (server.term(), server.now);
    server.read(1);
    while server.role() == RoleKind::Leader {
        let round = server.round();
        for learner in [S4, S5] {
            assert_eq!(server.receive(learner, matched(term, 1, round)), []);
        }
        server.wake();
    }
    assert_eq!(server.now, elected + longest_timeout());
}

/// etcd 4887: a timeout is drawn once per reset, not at every look at the clock.
#[test]
fn trap_etcd_4887_one_draw_a_reset() {
    let mut server = Server::with(3, Options::default(), Persistent::default());
    assert_eq!(server.dice.draws, 1, "at the start");
    let deadline = server.node.deadline();
    for _ in 0..100 {
        server.pass(1);
        assert_eq!(server.step(Input::Deadline), []);
    }
    assert_eq!((server.dice.draws, server.node.deadline()), (1, deadline));
    for draws in 2..9 {
        server.wake();
        assert_eq!(server.dice.draws, draws);
    }
}
