//! Section 5.1: servers, terms, RPCs.

use std::time::Duration;

use jangada::raft::{Message, Refusal, RoleKind, VoteRefusal};

use crate::support::cluster::Cluster;
use crate::support::node::*;

/// Followers are passive: they only answer.
#[test]
fn s5_1_a_follower_says_nothing_by_itself() {
    let mut follower = Server::of(3);
    follower.heartbeat(S2, 1);
    follower.pass(100);
    assert_eq!(follower.step(jangada::raft::Input::Deadline), []);
    assert_eq!(sent(&follower.heartbeat(S2, 1)).len(), 1);
}

/// There is at most one leader in normal operation, and everyone else follows it.
#[test]
fn s5_1_in_normal_operation_one_leads_and_the_others_follow() {
    let mut cluster = Cluster::new(5);
    cluster.run(Duration::from_secs(1));
    let leader = cluster.leader().expect("a leader");
    for id in cluster.ids() {
        let role = if id == leader { RoleKind::Leader } else { RoleKind::Follower };
        assert_eq!((cluster.role(id), cluster.status(id).leader), (role, Some(leader)));
    }
}

/// A follower that a client asks sends it to the leader.
#[test]
fn s5_1_a_follower_redirects_clients() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S2);
    assert_eq!(cluster.propose(S1, &["x"]).refused, Some(Refusal::NotLeader(S2)));
}

/// Each server's term grows and never falls, also over restarts.
#[test]
fn s5_1_terms_grow() {
    let mut server = Server::having(3, 4, &[]);
    server.heartbeat(S2, 6);
    server.heartbeat(S3, 5);
    assert_eq!(server.term(), 6);
    server.restart();
    assert_eq!(server.term(), 6);
    server.elect();
    assert_eq!(server.term(), 7);
}

/// Whatever a message is, its term is taken over if it is higher, by leaders, candidates and
/// followers alike. The exceptions only ask, or answer a question about a term that nobody has
/// entered: pre-votes.
#[test]
fn s5_1_terms_are_exchanged_with_every_message() {
    let messages = [
        forced_vote(9, at(0, 0)),
        vote_reply(9, false, Err(VoteRefusal::LogBehind)),
        vote_reply(9, true, Err(VoteRefusal::LogBehind)),
        append_entries(9, at(0, 0), 0, 0, 1),
        matched(9, 0, 1),
        rejected(9, 0, at(0, 0), 1),
        read_index(9, 1),
        read_index_reply(9, 1, None),
    ];
    for message in messages {
        for role in [RoleKind::Follower, RoleKind::PreCandidate, RoleKind::Leader] {
            let mut server = Server::of(3);
            match role {
                RoleKind::Leader => server.establish(),
                RoleKind::PreCandidate => drop(server.wake()),
                _ => {}
            }
            server.receive(S2, message);
            assert_eq!((server.role(), server.term()), (RoleKind::Follower, 9), "{message}");
        }
    }
    let mut server = Server::having(3, 3, &[]);
    server.receive(S2, pre_vote(9, at(0, 0)));
    server.receive(S2, vote_reply(9, true, Ok(())));
    assert_eq!(server.term(), 3, "pre-votes only ask");
}

/// A leader or candidate whose term is out of date reverts to follower at once.
#[test]
fn s5_1_a_deposed_leader_follows_at_once() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.partition(&[&[S1], &[S2, S3]]);
    cluster.pass(shortest_timeout());
    cluster.lose_if(|_| true);
    cluster.elect(S2);
    assert_eq!(cluster.role(S1), RoleKind::Leader);
    cluster.heal();
    cluster.wake(S1);
    cluster.deliver_if(|packet| packet.from == S1 && packet.to == S2);
    cluster.deliver_if(|packet| packet.from == S2);
    let status = cluster.status(S1);
    assert_eq!((status.role, status.term), (RoleKind::Follower, cluster.status(S2).term));
}

/// A request of a stale term is refused, and changes nothing.
#[test]
fn s5_1_stale_term_is_refused() {
    let requests = [
        request_vote(2, at(9, 9)),
        pre_vote(2, at(9, 9)),
        append_entries(2, at(0, 0), 0, 9, 9),
        read_index(2, 1),
    ];
    for request in requests {
        let mut server = Server::having(3, 3, &[1]);
        let before = server.status();
        let replies = sent(&server.receive(S2, request));
        assert!(matches!(replies[..], [(S2, reply)] if reply.term().0 == 3), "{request}");
        assert_eq!(server.status(), before, "{request}");
    }
}

/// Answers of a stale term are ignored.
#[test]
fn s5_1_stale_answers_are_ignored() {
    let mut leader = Server::having(3, 4, &[1]);
    leader.elect();
    leader.persist();
    let before = leader.status();
    for answer in [matched(4, 2, 9), rejected(4, 1, at(0, 0), 9), vote_reply(4, false, Ok(()))] {
        assert_eq!(leader.receive(S2, answer), [], "{answer}");
        assert_eq!(leader.status(), before);
    }
}

/// RPCs that get no answer are tried again.
#[test]
fn s5_1_unanswered_messages_are_tried_again() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.lose_if(|_| true);
    cluster.beat(S1);
    assert_eq!(cluster.status(S1).commit_index, cluster.status(S1).last_log.index);

    let mut cluster = Cluster::new(3);
    cluster.wake(S1);
    cluster.lose_if(|_| true);
    cluster.wake(S1);
    cluster.deliver_all();
    assert_eq!(cluster.role(S1), RoleKind::Leader);
}

/// RPCs go out in parallel: nobody's answer is waited for before the next is asked.
#[test]
fn s5_1_messages_go_out_in_parallel() {
    let mut leader = Server::of(5);
    leader.establish();
    for _ in 0..2 {
        let receivers: Vec<_> = sent(&leader.propose(1)).iter().map(|(to, _)| *to).collect();
        assert_eq!(receivers, [S2, S3, S4, S5]);
    }
    let asks = |(_, message): &(_, Message)| matches!(message, Message::RequestVote(_));
    let asked = sent(&Server::of(5).wake());
    assert_eq!(asked.iter().filter(|message| asks(message)).count(), 4);
}
