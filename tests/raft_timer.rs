//! When the election timer is reset (figure 2, rules for followers): on a message from the current
//! leader, on starting an election, on granting a vote, and on nothing else. And: a message that
//! makes a server step down is handled again in the new role at once.

mod support;

use std::time::Duration;

use jangada::raft::{
    AppendOutcome, Effect, Index, Input, Message, Options, Persistent, RoleKind, ServerId, Term,
    Ticket, Time, Timing, VoteRefusal, Why,
};
use support::node::*;

/// Runs `step` and says whether it reset the timer. A reset is one draw, no more and no less, and
/// the new deadline is one timeout from now.
fn resets(server: &mut Server, step: impl FnOnce(&mut Server)) -> bool {
    server.pass(20);
    let (draws, deadline) = (server.dice.draws, server.node.deadline());
    step(server);
    let drawn = server.dice.draws - draws;
    assert!(drawn <= 1, "one draw a reset, not {drawn}");
    if drawn == 0 {
        assert_eq!(server.node.deadline(), deadline, "the deadline moved without a draw");
        return false;
    }
    let timeout = shortest_timeout() + Duration::from_millis(server.dice.draws);
    assert_eq!(server.node.deadline(), server.now + timeout);
    true
}

/// A follower in term 3, with a log of three entries, that knows no leader.
fn follower() -> Server {
    Server::having(3, 3, &[1, 1, 2])
}

/// The same, following S2.
fn following() -> Server {
    let mut server = follower();
    server.heartbeat(S2, 3);
    server
}

fn candidate() -> Server {
    let mut server = Server::with(3, without_pre_vote(), persistent(2, None, &[1, 1, 2]));
    server.wake();
    assert_eq!((server.role(), server.term()), (RoleKind::Candidate, 3));
    server
}

// (a) A message from the current leader.

#[test]
fn a_heartbeat_of_the_leader_resets() {
    assert!(resets(&mut follower(), |server| drop(server.heartbeat(S2, 3))), "the first of a term");
    assert!(resets(&mut following(), |server| drop(server.heartbeat(S2, 3))), "the next");
    assert!(resets(&mut following(), |server| drop(server.heartbeat(S3, 4))), "a newer leader's");
    assert!(resets(&mut candidate(), |server| drop(server.heartbeat(S2, 3))), "as a candidate");
}

#[test]
fn entries_of_the_leader_reset() {
    assert!(resets(&mut following(), |server| drop(server.append(S2, 3, at(2, 3), &[3], 0))));
}

/// It comes from the leader, whatever it says about the log.
#[test]
fn rejected_entries_of_the_leader_reset_too() {
    assert!(resets(&mut following(), |server| {
        let effects = server.append(S2, 3, at(3, 9), &[3], 0);
        assert!(matches!(answer_of(&effects).outcome, AppendOutcome::Rejected { .. }));
    }));
}

// (b) Starting an election.

#[test]
fn starting_an_election_resets() {
    let mut server = follower();
    assert!(resets(&mut server, |server| drop(server.wake())), "asking for pre-votes");
    assert_eq!(server.role(), RoleKind::PreCandidate);
    assert!(resets(&mut server, |server| drop(server.wake())), "asking again");
    assert!(resets(&mut server, |server| {
        server.receive(S2, vote_reply(4, true, Ok(())));
    }));
    assert_eq!(server.role(), RoleKind::Candidate);
    assert!(resets(&mut server, |server| drop(server.wake())), "after a split vote");
    assert!(resets(&mut follower(), |server| drop(server.step(Input::Campaign))), "by order");
}

/// A timeout is drawn per election, so two servers that timed out together do not again.
#[test]
fn each_election_draws_its_own_timeout() {
    let mut server = candidate();
    let mut timeouts = Vec::new();
    for _ in 0..4 {
        server.wake();
        timeouts.push(server.node.deadline().since(server.now));
    }
    timeouts.dedup();
    assert_eq!(timeouts.len(), 4);
}

// (c) Granting a vote.

#[test]
fn granting_a_vote_resets() {
    let grants = |message| {
        move |server: &mut Server| assert_eq!(vote_of(&server.receive(S2, message)).vote, Ok(()))
    };
    assert!(resets(&mut follower(), grants(request_vote(3, at(2, 3)))), "in the same term");
    assert!(resets(&mut follower(), grants(request_vote(4, at(2, 3)))), "in a new term");
    assert!(resets(&mut candidate(), grants(request_vote(4, at(2, 3)))), "as a candidate");
}

// What is tempting, and wrong.

#[test]
fn entries_of_a_past_term_do_not_reset() {
    assert!(!resets(&mut follower(), |server| drop(server.heartbeat(S2, 2))));
    assert!(!resets(&mut following(), |server| drop(server.append(S3, 2, at(2, 3), &[2], 0))));
}

#[test]
fn a_refused_vote_does_not_reset() {
    let mut voted = follower();
    voted.receive(S3, request_vote(3, at(2, 3)));
    let refused = |refusal| {
        move |server: &mut Server, message| {
            assert_eq!(vote_of(&server.receive(S2, message)).vote, Err(refusal));
        }
    };
    let already = refused(VoteRefusal::AlreadyVoted(S3));
    assert!(!resets(&mut voted, |server| already(server, request_vote(3, at(2, 3)))));
    let behind = refused(VoteRefusal::LogBehind);
    assert!(!resets(&mut follower(), |server| behind(server, request_vote(3, at(2, 2)))));
    let stale = refused(VoteRefusal::StaleTerm);
    assert!(!resets(&mut follower(), |server| stale(server, request_vote(2, at(2, 3)))));
    let sticky = refused(VoteRefusal::LeaderAlive(S3));
    let mut following = follower();
    following.heartbeat(S3, 3);
    assert!(!resets(&mut following, |server| sticky(server, request_vote(4, at(2, 3)))));
}

/// hashicorp/raft PR 609: or those that ask in turn keep each other from standing.
#[test]
fn a_granted_pre_vote_does_not_reset() {
    assert!(!resets(&mut follower(), |server| {
        assert_eq!(vote_of(&server.receive(S2, pre_vote(4, at(2, 3)))).vote, Ok(()));
    }));
}

#[test]
fn a_refused_pre_vote_does_not_reset() {
    assert!(!resets(&mut follower(), |server| drop(server.receive(S2, pre_vote(4, at(1, 9))))));
    assert!(!resets(&mut follower(), |server| drop(server.receive(S2, pre_vote(2, at(2, 3))))));
}

/// The vote was given when it was first asked for; saying so again gives nothing.
#[test]
fn a_doubled_vote_request_does_not_reset() {
    let mut server = follower();
    server.receive(S2, request_vote(3, at(2, 3)));
    assert!(!resets(&mut server, |server| {
        assert_eq!(vote_of(&server.receive(S2, request_vote(3, at(2, 3)))).vote, Ok(()));
    }));
}

/// A higher term alone is no sign of a leader: it may come from one who cannot be elected.
#[test]
fn learning_of_a_higher_term_does_not_reset() {
    let news = [
        request_vote(4, at(1, 3)),
        vote_reply(4, false, Err(VoteRefusal::LogBehind)),
        vote_reply(4, true, Err(VoteRefusal::StaleTerm)),
        matched(4, 3, 1),
        rejected(4, 3, at(1, 1), 0),
        read_index(4, 1),
        read_index_reply(4, 1, None),
    ];
    for message in news {
        for mut server in [follower(), candidate()] {
            let reset = resets(&mut server, |server| drop(server.receive(S2, message)));
            assert!(!reset, "{message}");
            assert_eq!((server.role(), server.term()), (RoleKind::Follower, 4), "{message}");
        }
    }
}

#[test]
fn vote_replies_do_not_reset() {
    let mut server = Server::with(5, without_pre_vote(), Persistent::default());
    server.wake();
    for vote in [Ok(()), Err(VoteRefusal::AlreadyVoted(S4))] {
        assert!(!resets(&mut server, |server| {
            server.receive(if vote.is_ok() { S2 } else { S3 }, vote_reply(1, false, vote));
        }));
    }
    assert_eq!(server.role(), RoleKind::Candidate, "two of five");
}

/// As good as lost: not even its sender is believed.
#[test]
fn entries_that_are_not_those_named_do_not_reset() {
    assert!(!resets(&mut following(), |server| {
        let message = append_entries(3, at(2, 3), 2, 0, 1);
        let effects = server.step(Input::Message { from: S2, message, entries: &metas(&[3]) });
        assert_eq!(effects, []);
    }));
}

#[test]
fn clients_and_the_disk_do_not_reset() {
    let mut server = following();
    server.append(S2, 3, at(2, 3), &[3], 0);
    assert!(!resets(&mut server, |server| drop(server.persist())));
    assert!(!resets(&mut server, |server| drop(server.propose(1))));
    assert!(!resets(&mut server, |server| drop(server.read(1))));
    assert!(!resets(&mut server, |server| drop(server.receive(S2, read_index_reply(3, 1, None)))));
    assert!(!resets(&mut server, |server| drop(server.receive(S3, read_index(3, 7)))));
}

#[test]
fn waking_too_early_does_not_reset() {
    for mut server in [follower(), candidate()] {
        assert!(!resets(&mut server, |server| assert_eq!(server.step(Input::Deadline), [])));
    }
}

/// actix-raft 41: a leader has no election timer, so one that steps down must start it.
#[test]
fn a_leader_that_steps_down_starts_the_timer() {
    let mut server = Server::of(3);
    server.establish();
    let term = server.term();
    assert!(resets(&mut server, |server| drop(server.receive(S2, matched(term + 1, 0, 0)))));
    assert_eq!(server.role(), RoleKind::Follower);
}

// A message that makes a server step down is handled in the new role at once.

/// A server in each role, in term 3, without leader stickiness so that any message is heard.
fn in_each_role() -> Vec<Server> {
    let start = |options| Server::with(3, options, persistent(2, None, &[1, 1, 2]));
    let mut candidate = start(Options { pre_vote: false, ..without_check_quorum() });
    candidate.wake();
    let mut leader = start(without_check_quorum());
    leader.elect();
    let mut follower = start(without_check_quorum());
    follower.heartbeat(S2, 3);
    let mut pre_candidate = start(without_check_quorum());
    pre_candidate.heartbeat(S2, 3);
    pre_candidate.wake();
    let all = vec![follower, pre_candidate, candidate, leader];
    let roles: Vec<_> = all.iter().map(|server| (server.role(), server.term())).collect();
    let expected =
        [RoleKind::Follower, RoleKind::PreCandidate, RoleKind::Candidate, RoleKind::Leader];
    assert_eq!(roles, expected.map(|role| (role, 3)));
    all
}

/// Gives `message` to a server in each role, checks that it entered term 5 as a follower, its
/// higher term on disk first, and hands what it said to `check`.
fn steps_down(from: ServerId, message: Message, check: impl Fn(&Server, &[Effect])) {
    for mut server in in_each_role() {
        let was = server.role();
        let effects = server.receive(from, message);
        let expected = (RoleKind::Follower, Term(5));
        let status = server.status();
        assert_eq!((status.role, status.term), expected, "{was} given {message}");
        let saved = effects
            .iter()
            .position(|effect| matches!(effect, Effect::SaveVote { term: Term(5), .. }));
        let said = effects.iter().position(|effect| match effect {
            Effect::Send { message, .. } => message.term() == Term(5),
            _ => false,
        });
        assert!(saved.is_some() && said.is_none_or(|said| saved < Some(said)), "{effects:?}");
        let why = Why::HigherTerm(from);
        let became =
            |effect: &&Effect| matches!(effect, Effect::Became { why: w, .. } if *w == why);
        assert_eq!(effects.iter().filter(became).count(), 1, "{was} given {message}");
        check(&server, &effects);
    }
}

#[test]
fn stepping_down_answers_the_same_vote_request() {
    steps_down(S2, request_vote(5, at(4, 9)), |server, effects| {
        let reply = vote_of(effects);
        assert_eq!((reply.term, reply.vote), (Term(5), Ok(())));
        assert_eq!(server.status().voted_for, Some(S2));
    });
    steps_down(S2, request_vote(5, at(1, 1)), |server, effects| {
        let reply = vote_of(effects);
        assert_eq!((reply.term, reply.vote), (Term(5), Err(VoteRefusal::LogBehind)));
        assert_eq!(server.status().voted_for, None);
    });
}

#[test]
fn stepping_down_follows_the_same_leader_and_takes_its_entries() {
    for mut server in in_each_role() {
        let was = server.role();
        server.append(S3, 5, at(2, 3), &[5, 5], 0);
        assert_eq!(server.log(), [1, 1, 2, 5, 5], "{was}");
        let status = server.status();
        assert_eq!((status.role, status.leader), (RoleKind::Follower, Some(S3)), "{was}");
        let answer = answer_of(&server.persist());
        assert_eq!(answer.outcome, AppendOutcome::Matched(Index(5)), "{was}");
    }
    steps_down(S3, append_entries(5, at(4, 9), 0, 0, 1), |_, effects| {
        let answer = answer_of(effects);
        assert_eq!(answer.term, Term(5));
        assert!(matches!(answer.outcome, AppendOutcome::Rejected { .. }));
    });
}

#[test]
fn stepping_down_answers_the_same_read() {
    steps_down(S3, read_index(5, 7), |_, effects| {
        let expected = read_index_reply(5, 7, None);
        assert_eq!(sent(effects).last(), Some(&(S3, expected)));
    });
}

/// Answers that bring a higher term are news of that term, and of nothing else.
#[test]
fn stepping_down_over_an_answer_says_nothing() {
    let answers = [
        vote_reply(5, false, Ok(())),
        vote_reply(5, false, Err(VoteRefusal::LogBehind)),
        vote_reply(5, true, Err(VoteRefusal::StaleTerm)),
        matched(5, 3, 1),
        rejected(5, 3, at(1, 1), 1),
        read_index_reply(5, 7, Some(9)),
    ];
    for answer in answers {
        steps_down(S3, answer, |_, effects| assert_eq!(sent(effects), [], "{answer}"));
    }
}

/// A pre-vote speaks of a term that nobody has entered: it is answered, and nobody steps down.
#[test]
fn a_pre_vote_makes_nobody_step_down() {
    for mut server in in_each_role() {
        let was = server.role();
        for message in [pre_vote(5, at(4, 9)), vote_reply(5, true, Ok(()))] {
            let effects = server.receive(S2, message);
            assert_eq!((server.role(), server.term()), (was, 3), "{message}");
            let saved = |effect: &Effect| matches!(effect, Effect::SaveVote { .. });
            assert!(!effects.iter().any(saved), "{message}");
        }
    }
}

// A clock that goes back. It should not; where it does, no timer waits for it to catch up.

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Sets the clock back by an hour, and wakes the server.
fn turn_back(server: &mut Server) -> Vec<Effect> {
    server.now = Time::from_nanos(server.now.as_nanos() - HOUR.as_nanos() as u64);
    server.step(Input::Deadline)
}

#[test]
fn a_clock_that_goes_back_has_every_role_set_its_timer_again() {
    for mut server in in_each_role() {
        let was = server.role();
        server.now = server.now + HOUR;
        match was {
            RoleKind::Follower => drop(server.heartbeat(S2, 3)),
            _ => drop(server.wake()),
        }
        assert_eq!(server.role(), was, "an hour later");
        let effects = turn_back(&mut server);
        assert!(server.node.deadline() <= server.now + longest_timeout(), "{was}");
        assert_eq!(server.role(), was, "nothing is over because of it");
        let heartbeats = if was == RoleKind::Leader { 2 } else { 0 };
        assert_eq!(sent(&effects).len(), heartbeats, "{was}");
    }
}

/// It was heard at a moment that is yet to come, and still counts as heard just now, no longer.
#[test]
fn a_clock_that_goes_back_lets_a_follower_believe_in_its_leader_for_one_timeout() {
    let mut server = following();
    server.now = server.now + HOUR;
    server.heartbeat(S2, 3);
    turn_back(&mut server);
    let vote = |server: &mut Server| vote_of(&server.receive(S3, request_vote(4, at(4, 9)))).vote;
    assert_eq!(vote(&mut server), Err(VoteRefusal::LeaderAlive(S2)));
    server.now = server.now + shortest_timeout();
    assert_eq!(vote(&mut server), Ok(()));
}

#[test]
fn a_clock_that_goes_back_lets_a_leader_without_a_quorum_lead_for_one_timeout() {
    let mut server = Server::of(3);
    server.now = server.now + HOUR;
    server.establish();
    turn_back(&mut server);
    let end = server.now + longest_timeout();
    while server.node.deadline() < end {
        server.wake();
        assert_eq!(server.role(), RoleKind::Leader);
    }
    server.wake();
    assert_eq!((server.role(), server.now), (RoleKind::Follower, end));
}

// A leader whose process is gone.

/// A follower of S2 in term 3, which was heard 20 ms ago; with leases, or without.
fn bereft(leases: bool) -> Server {
    let options = Options { leases, ..Options::default() };
    let mut server = Server::with(3, options, persistent(3, None, &[1, 1, 2]));
    server.heartbeat(S2, 3);
    server.pass(20);
    server
}

#[test]
fn without_leases_nobody_waits_for_a_leader_that_is_gone() {
    let mut server = bereft(false);
    let vote = |server: &mut Server| vote_of(&server.receive(S3, pre_vote(4, at(2, 3)))).vote;
    assert_eq!(vote(&mut server), Err(VoteRefusal::LeaderAlive(S2)));
    server.step(Input::Gone(S3));
    assert_eq!(vote(&mut server), Err(VoteRefusal::LeaderAlive(S2)), "another one is gone");
    server.step(Input::Gone(S2));
    assert_eq!(vote(&mut server), Ok(()), "another voter has seen it first");
    let soon = Timing::default().heartbeat / 8;
    assert_eq!(server.node.deadline(), server.now + soon, "S1 is the first of those left");
    let asked = |effects: Vec<Effect>| !sent(&effects).is_empty();
    assert!(asked(server.wake()));
    assert_eq!(server.role(), RoleKind::PreCandidate);
    server.receive(S3, vote_reply(3, true, Err(VoteRefusal::LeaderAlive(S2))));
    let asked_at = server.now;
    assert!(asked(server.wake()), "S3 had not seen it yet");
    assert!(server.now <= asked_at + 2 * Timing::default().heartbeat);
}

#[test]
fn with_leases_a_promise_to_a_leader_that_is_gone_is_kept() {
    let mut server = bereft(true);
    let left = shortest_timeout() - Duration::from_millis(20);
    server.step(Input::Gone(S2));
    let vote = vote_of(&server.receive(S3, request_vote(4, at(2, 3)))).vote;
    assert_eq!(vote, Err(VoteRefusal::LeaderAlive(S2)));
    let free = server.now + left;
    assert!(server.node.deadline() > free, "no lease is in the way then");
    assert!(server.node.deadline() <= free + Timing::default().heartbeat);
}

#[test]
fn a_leader_that_is_heard_again_was_not_gone() {
    let mut server = bereft(false);
    server.step(Input::Gone(S2));
    assert!(resets(&mut server, |server| drop(server.heartbeat(S2, 3))));
    let vote = vote_of(&server.receive(S3, request_vote(4, at(2, 3)))).vote;
    assert_eq!(vote, Err(VoteRefusal::LeaderAlive(S2)));
}

#[test]
fn a_leader_without_leases_asks_a_majority_for_every_read() {
    let options = Options { leases: false, ..Options::default() };
    let mut leader = Server::with(3, options, Persistent::default());
    leader.establish();
    for _ in 0..2 {
        leader.wake();
        leader.match_all();
    }
    let effects = leader.step(Input::Read { ticket: Ticket(1), lease: true });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. })));
    let ready = Effect::ReadReady { ticket: Ticket(1), index: Index(1) };
    assert!(leader.match_all().contains(&ready), "once a majority has answered");
}
