//! Where descriptions of Raft are wrong, partial or disagree.

use std::time::Duration;

use jangada::raft::{
    Effect, Input, Options, Persistent, Refusal, RoleKind, ServerId, Term, Timing, VoteRefusal,
};

use crate::support::node::*;

/// "Reset them, or store and load them": `commit_index`, the role and the leader start afresh;
/// term, vote and log do not.
#[test]
fn trap_volatile_state_at_recovery() {
    let mut server = Server::having(3, 1, &[1, 1]);
    server.append(S2, 2, at(1, 2), &[2], 3);
    server.receive(S3, forced_vote(3, at(2, 3)));
    assert_eq!((server.commit(), server.status().voted_for), (3, Some(S3)));
    server.restart();
    let status = server.status();
    assert_eq!((status.commit_index.0, status.role, status.leader), (0, RoleKind::Follower, None));
    assert_eq!((status.term, status.voted_for), (Term(3), Some(S3)));
    assert_eq!((status.last_log, status.durable_index.0), (at(2, 3), 3));
    let refused = vote_of(&server.receive(S2, request_vote(3, at(2, 3)))).vote;
    assert_eq!(refused, Err(VoteRefusal::AlreadyVoted(S3)));
}

/// A log may have outlived the record of its term; the term is then at least the log's.
#[test]
fn trap_volatile_state_a_term_is_never_below_the_logs() {
    let server = Server::with(3, Options::default(), persistent(1, Some(S2), &[1, 4]));
    assert_eq!((server.term(), server.status().voted_for), (4, None));
}

/// "First come, first served" is half of the rule: the log must be up-to-date as well, and a
/// higher term first frees the vote.
#[test]
fn trap_vote_rule() {
    let mut voter = Server::having(3, 2, &[1, 2]);
    let ask = |voter: &mut Server, from, message| vote_of(&voter.receive(from, message)).vote;
    let behind = Err(VoteRefusal::LogBehind);
    assert_eq!(ask(&mut voter, S2, request_vote(2, at(1, 7))), behind, "first, and not served");
    assert_eq!(ask(&mut voter, S3, request_vote(2, at(2, 2))), Ok(()));
    let voted = Err(VoteRefusal::AlreadyVoted(S3));
    assert_eq!(ask(&mut voter, S2, request_vote(2, at(2, 9))), voted);
    assert_eq!(ask(&mut voter, S2, request_vote(3, at(2, 2))), Ok(()), "a new term, a new vote");
}

/// "Leader → candidate": a leader that meets a higher term becomes a follower.
#[test]
fn trap_a_leader_that_meets_a_higher_term_follows() {
    let mut leader = Server::of(3);
    leader.establish();
    leader.receive(S2, rejected(7, 0, at(0, 0), 0));
    assert_eq!((leader.role(), leader.term()), (RoleKind::Follower, 7));
    assert_eq!(leader.status().voted_for, None);
}

/// "The same numbers number the voting sessions": terms and indexes count different things.
#[test]
fn trap_entry_numbers_are_not_terms() {
    let mut server = Server::with(3, without_pre_vote(), persistent(1, None, &[1]));
    for _ in 0..5 {
        server.wake();
    }
    assert_eq!((server.term(), server.status().last_log), (6, at(1, 1)), "failed elections");
    server.elect();
    server.propose(3);
    assert_eq!((server.term(), server.status().last_log), (7, at(7, 5)), "entries");
}

/// −1 or 0 for "nobody": nobody is nobody, and any number is a server's.
#[test]
fn trap_votedfor_encoding() {
    for id in [0, 1 << 63, u64::MAX] {
        let candidate = ServerId(id);
        let mut voter = Server::of(3);
        assert_eq!(voter.status().voted_for, None);
        assert_eq!(vote_of(&voter.receive(candidate, request_vote(1, at(0, 0)))).vote, Ok(()));
        assert_eq!(voter.status().voted_for, Some(candidate));
        voter.restart();
        let refused = vote_of(&voter.receive(S2, request_vote(1, at(0, 0)))).vote;
        assert_eq!(refused, Err(VoteRefusal::AlreadyVoted(candidate)));
    }
}

/// 150–350, 150–300, [T, 2T]: the range is an option, and both its ends are drawn.
#[test]
fn trap_timer_range() {
    let milliseconds = Duration::from_millis;
    let timing = Timing {
        election_timeout_min: milliseconds(500),
        election_timeout_max: milliseconds(501),
        heartbeat: milliseconds(100),
    };
    let options = Options { timing, ..Options::default() };
    let mut server = Server::with(3, options, Persistent::default());
    for (drawn, timeout) in
        [(0, 500_000_000), (1_000_000, 501_000_000), (1_000_001, 500_000_000), (7, 500_000_007)]
    {
        let mut luck = || drawn;
        let message = append_entries(1, at(0, 0), 0, 0, 1);
        let input = Input::Message { from: S2, message, entries: &[] };
        server.node.step(server.now, input, &mut luck, &mut Vec::new());
        assert_eq!(server.node.deadline(), server.now + Duration::from_nanos(timeout));
    }
}

/// New timings hold at once: a follower that waited for long does not wait out the old timeout.
#[test]
fn trap_timer_range_can_be_changed() {
    let mut server = Server::of(3);
    let timing = Timing {
        election_timeout_min: Duration::from_millis(10),
        election_timeout_max: Duration::from_millis(10),
        heartbeat: Duration::from_millis(2),
    };
    server.step(Input::Retime(timing));
    assert_eq!(server.node.deadline(), server.now + Duration::from_millis(10));
    server.establish();
    server.wake();
    assert_eq!(server.node.deadline(), server.now + Duration::from_millis(2));
}

/// What a client is told when nobody can take its command: why.
#[test]
fn trap_what_is_reported_to_the_client() {
    let mut server = Server::of(5);
    let refusal = |server: &mut Server| match server.propose(1)[..] {
        [Effect::Refused(refusal)] => refusal,
        ref other => panic!("a refusal expected, not {other:?}"),
    };
    assert_eq!(refusal(&mut server), Refusal::ElectionRunning);
    server.wake();
    server.receive(S2, vote_reply(0, true, Err(VoteRefusal::LogBehind)));
    assert_eq!(refusal(&mut server), Refusal::ElectionRunning, "the first election is open");
    server.wake();
    assert_eq!(refusal(&mut server), Refusal::NoQuorum { heard: 2, voters: 5 });
    server.receive(S2, vote_reply(0, true, Err(VoteRefusal::LogBehind)));
    server.receive(S3, vote_reply(0, true, Err(VoteRefusal::LogBehind)));
    assert_eq!(refusal(&mut server), Refusal::ElectionRunning, "three of five are there");
    server.heartbeat(S4, 1);
    assert_eq!(refusal(&mut server), Refusal::NotLeader(S4));
}
