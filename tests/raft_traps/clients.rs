//! Clients' calls and what is bounded: rows 65, 68 and 69.

use jangada::raft::{Effect, Index, Limits, Message, Options, Persistent, Refusal, RoleKind};

use crate::support::node::*;

fn limited(limits: Limits) -> Server {
    let options = Options { limits, ..Options::default() };
    let mut leader = Server::with(3, options, Persistent::default());
    leader.establish();
    leader
}

fn accepted(effects: &[Effect]) -> usize {
    let count = |effect: &Effect| match effect {
        Effect::Accepted { count, .. } => Some(*count),
        _ => None,
    };
    effects.iter().find_map(count).unwrap_or(0)
}

fn busy(effects: &[Effect]) -> bool {
    effects.contains(&Effect::Refused(Refusal::Busy))
}

/// 65 (openraft 43dd8b6f): what was accepted may still be committed by the next leader, so that
/// stepping down refuses nothing.
#[test]
fn trap_65_an_accepted_command_is_never_called_refused() {
    let mut leader = Server::of(3);
    leader.establish();
    assert_eq!(accepted(&leader.propose(1)), 1);
    let effects = leader.append(S2, 2, at(1, 1), &[2], 1);
    assert_eq!(leader.role(), RoleKind::Follower);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Refused(_))), "{effects:?}");
    assert_eq!(leader.propose(1), [Effect::Refused(Refusal::NotLeader(S2))], "a new one is");
}

/// 68 (etcd raft 2598fca, a370b6f, 4967cff): the uncommitted tail is bounded in entries; what is
/// committed makes room again, all of it.
#[test]
fn trap_68_the_uncommitted_tail_is_bounded_in_entries() {
    let mut leader = limited(Limits { uncommitted_entries: 4, ..Limits::default() });
    for _ in 0..3 {
        let effects = leader.propose(6);
        assert_eq!((accepted(&effects), busy(&effects)), (4, true));
        let effects = leader.propose(1);
        assert_eq!((accepted(&effects), busy(&effects)), (0, true));
        assert_eq!(effects.len(), 1, "refused, and nothing else: {effects:?}");
        leader.persist();
        leader.match_all();
    }
    assert_eq!(leader.commit(), 13);
}

/// 68: bounded in bytes too, but a command larger than the whole bound goes through alone.
#[test]
fn trap_68_the_uncommitted_tail_is_bounded_in_bytes() {
    let mut leader = limited(Limits { uncommitted_bytes: 25, ..Limits::default() });
    assert_eq!(accepted(&leader.propose(3)), 2, "10 bytes each");
    leader.persist();
    leader.match_all();
    let huge = |leader: &mut Server| leader.step(jangada::raft::Input::Propose { sizes: &[1000] });
    assert_eq!(accepted(&huge(&mut leader)), 1);
    let effects = huge(&mut leader);
    assert_eq!((accepted(&effects), busy(&effects)), (0, true));
    leader.persist();
    leader.match_all();
    assert_eq!(accepted(&leader.propose(3)), 2, "the counter is back at 0");
}

/// 68: a tail that a new leader removed no longer counts.
#[test]
fn trap_68_a_tail_that_was_replaced_no_longer_counts() {
    let mut leader = limited(Limits { uncommitted_entries: 4, ..Limits::default() });
    leader.propose(4);
    leader.append(S2, 2, at(1, 1), &[2], 2);
    leader.persist();
    leader.establish();
    assert_eq!(accepted(&leader.propose(6)), 4);
}

/// 69: without check-quorum a leader may go on alone for ever, and grows no larger.
#[test]
fn trap_69_a_lonely_leader_does_not_grow() {
    let mut leader = Server::with(3, without_check_quorum(), Persistent::default());
    leader.establish();
    let beat = |leader: &mut Server, times| {
        for _ in 0..times {
            leader.wake();
        }
        format!("{:?}", leader.node).len()
    };
    let grown = beat(&mut leader, 2000);
    assert!(beat(&mut leader, 2000) < grown + grown / 10, "its numbers grow, but not their count");
    leader.read(1);
    leader.wake();
    let round = leader.round();
    let effects = leader.receive(S2, matched(1, 1, round));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. })));
}

/// 69 (NATS; RATIS-2416): what is under way to a peer that does not answer is bounded in messages
/// and in bytes, and only a heartbeat follows.
#[test]
fn trap_69_the_window_to_a_silent_peer_is_bounded() {
    let entries = |effects: &[Effect]| {
        let carries = |message: &Message| match message {
            Message::AppendEntries(append) => append.last > append.prev_log.index,
            _ => false,
        };
        let sent = sent(effects);
        sent.iter().filter(|(to, message)| *to == S2 && carries(message)).count()
    };
    let mut leader = limited(Limits { window_messages: 3, ..Limits::default() });
    let sent: usize = (0..9).map(|_| entries(&leader.propose(1))).sum();
    assert_eq!(sent, 3);
    let mut leader = limited(Limits { window_bytes: 45, message_entries: 1, ..Limits::default() });
    assert_eq!(entries(&leader.propose(9)), 5, "the fifth of 10 bytes each crosses 45");
    leader.pass(50);
    assert_eq!(entries(&leader.wake()), 0, "a heartbeat, and nothing more");
    let effects = leader.receive(S2, matched(1, 3, leader.round()));
    assert_eq!(entries(&effects), 2, "an answer for two makes room for two");
    assert_eq!(leader.status().peers[0].match_index, Index(3));
}
