//! Figure 2: the state, the two RPCs, the rules for servers.

use std::time::Duration;

use jangada::raft::{AppendOutcome, Effect, Index, Message, RoleKind, VoteRefusal};

use crate::support::cluster::Cluster;
use crate::support::disk::Disk;
use crate::support::node::*;

/// A server that starts for the first time: term 0, no vote, nothing committed.
#[test]
fn figure_2_state_at_first_boot() {
    let status = Server::of(3).status();
    assert_eq!((status.term.0, status.voted_for), (0, None));
    assert_eq!((status.last_log, status.commit_index), (at(0, 0), Index(0)));
}

/// `current_term` and `voted_for` are on disk before an RPC is answered.
#[test]
fn figure_2_a_vote_is_on_disk_before_it_is_given() {
    let effects = Server::of(3).receive(S2, request_vote(1, at(0, 0)));
    let place = |wanted: fn(&Effect) -> bool| effects.iter().rposition(wanted);
    let saved = place(|effect| matches!(effect, Effect::SaveVote { voted_for: Some(S2), .. }));
    let sent = place(|effect| matches!(effect, Effect::Send { .. }));
    assert!(saved.is_some() && saved < sent, "{effects:?}");

    let mut cluster = Cluster::new(3);
    cluster.server_mut(S2).disk.stalled = true;
    cluster.campaign(S1);
    cluster.deliver_round();
    let votes =
        |cluster: &Cluster| cluster.network.iter().filter(|packet| packet.from == S2).count();
    assert_eq!(votes(&cluster), 0);
    cluster.persist_all(S2);
    assert_eq!(votes(&cluster), 1);
}

/// A candidate's own vote is on disk before it asks for others.
#[test]
fn figure_2_a_candidates_term_and_vote_are_on_disk_before_it_asks() {
    let mut cluster = Cluster::new(3);
    cluster.server_mut(S1).disk.stalled = true;
    cluster.campaign(S1);
    assert!(cluster.network.is_empty());
    cluster.persist_all(S1);
    assert_eq!(cluster.network.len(), 2);
}

/// Entries are on disk before they are answered for.
#[test]
fn figure_2_entries_are_on_disk_before_they_are_answered_for() {
    let mut follower = Server::of(3);
    assert_eq!(sent(&follower.append(S2, 1, at(0, 0), &[1], 0)), []);
    assert_eq!(answer_of(&follower.persist()).outcome, AppendOutcome::Matched(Index(1)));
}

/// `commit_index` is volatile: it starts at 0 in each life, while term, vote and log come back.
#[test]
fn figure_2_what_is_volatile_starts_anew() {
    let mut server = Server::of(3);
    server.append(S2, 1, at(0, 0), &[1, 1], 2);
    server.receive(S3, request_vote(2, at(1, 2)));
    let before = server.status();
    server.restart();
    let after = server.status();
    assert_eq!((after.term, after.voted_for), (before.term, before.voted_for));
    assert_eq!(after.last_log, before.last_log);
    assert_eq!((before.commit_index, after.commit_index), (Index(2), Index(0)));
}

/// A new leader starts with `next_index` behind its last entry and `match_index` 0, after each
/// election; the no-op has been sent by then, and nobody's answer is waited for.
#[test]
fn figure_2_next_and_match_index_start_anew_with_each_election() {
    let mut server = Server::having(3, 1, &[1, 1]);
    let fresh = |server: &Server, next: u64| {
        let peers = server.status().peers;
        let fresh = |peer: &jangada::raft::PeerStatus| {
            (peer.next_index, peer.match_index) == (Index(next), Index(0))
        };
        peers.len() == 2 && peers.iter().all(fresh)
    };
    server.elect();
    assert!(fresh(&server, 3 + 1));
    server.persist();
    server.match_all();
    assert!(!fresh(&server, 3 + 1));
    server.heartbeat(S2, 9);
    server.elect();
    assert!(fresh(&server, 4 + 1));
}

/// AppendEntries 1: refused if its term is lower than the receiver's.
#[test]
fn figure_2_append_entries_1_stale_term_is_refused() {
    let mut follower = Server::having(3, 5, &[1]);
    let answer = answer_of(&follower.append(S2, 4, at(1, 1), &[4], 2));
    assert_eq!(answer.term.0, 5);
    assert!(matches!(answer.outcome, AppendOutcome::Rejected { .. }));
    assert_eq!((follower.log(), follower.commit()), (vec![1], 0));
}

/// AppendEntries 2: refused if the log has no entry of `prev_log_term` at `prev_log_index`.
#[test]
fn figure_2_append_entries_2_unknown_prev_log_is_refused() {
    for prev in [at(1, 3), at(2, 2), at(9, 9)] {
        let mut follower = Server::having(3, 9, &[1, 1]);
        let answer = answer_of(&follower.append(S2, 9, prev, &[9], 9));
        assert!(matches!(answer.outcome, AppendOutcome::Rejected { .. }), "{prev}");
        assert_eq!((follower.log(), follower.commit()), (vec![1, 1], 0), "{prev}");
    }
}

/// AppendEntries 3: an entry that conflicts with a new one goes, and all that follow it.
#[test]
fn figure_2_append_entries_3_conflicting_entries_go() {
    let mut follower = Server::having(3, 4, &[1, 2, 2, 2]);
    follower.append(S2, 4, at(1, 1), &[2, 3], 0);
    assert_eq!(follower.log(), [1, 2, 3]);
}

/// AppendEntries 4: only entries that the log does not have are appended; a message that it has
/// altogether changes nothing.
#[test]
fn figure_2_append_entries_4_known_entries_stay() {
    let mut follower = Server::having(3, 4, &[1, 2, 2, 2]);
    let effects = follower.append(S2, 4, at(1, 1), &[2, 2], 0);
    assert_eq!(follower.log(), [1, 2, 2, 2]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Append { .. })));
    let effects = follower.append(S2, 4, at(2, 3), &[2, 4], 0);
    assert!(effects.contains(&Effect::Append { first: Index(5), entries: 1..2 }));
}

/// AppendEntries 5: `commit_index` becomes the lower of `leader_commit` and the last *new* entry.
#[test]
fn figure_2_append_entries_5_commit_stops_at_the_last_new_entry() {
    let mut follower = Server::having(3, 4, &[1, 2, 2, 2]);
    follower.append(S2, 4, at(1, 1), &[2], 4);
    assert_eq!(follower.commit(), 2, "3 and 4 may not be the leader's");
    follower.append(S2, 4, at(2, 2), &[2, 2], 3);
    assert_eq!(follower.commit(), 3);
    follower.append(S2, 4, at(1, 1), &[], 1);
    assert_eq!(follower.commit(), 3, "it never falls");
}

/// RequestVote 1: refused if its term is lower than the receiver's.
#[test]
fn figure_2_request_vote_1_stale_term_is_refused() {
    let mut voter = Server::having(3, 5, &[]);
    let reply = vote_of(&voter.receive(S2, request_vote(4, at(4, 9))));
    assert_eq!((reply.term.0, reply.vote), (5, Err(VoteRefusal::StaleTerm)));
}

/// RequestVote 2: granted if the vote of the term is free or the candidate's already, and its log
/// is at least as up-to-date.
#[test]
fn figure_2_request_vote_2_one_vote_for_a_log_that_is_up_to_date() {
    let mut voter = Server::having(3, 5, &[5]);
    let mut ask = |from, last| vote_of(&voter.receive(from, request_vote(6, last))).vote;
    assert_eq!(ask(S2, at(0, 0)), Err(VoteRefusal::LogBehind));
    assert_eq!(ask(S3, at(5, 1)), Ok(()));
    assert_eq!(ask(S3, at(5, 1)), Ok(()));
    assert_eq!(ask(S2, at(5, 1)), Err(VoteRefusal::AlreadyVoted(S3)));
}

/// All servers: entries are applied up to `commit_index`, each once and in order.
#[test]
fn figure_2_committed_entries_are_applied_once_and_in_order() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    for commands in [["a", "b"], ["c", "d"]] {
        cluster.propose(S1, &commands);
        cluster.deliver_all();
    }
    cluster.beat(S1);
    for id in [S1, S2, S3] {
        assert_eq!(cluster.applied(id), ["a", "b", "c", "d"]);
    }
}

/// All servers: a higher term in a request or an answer is entered, as a follower.
#[test]
fn figure_2_a_higher_term_makes_a_follower() {
    let mut leader = Server::of(3);
    leader.establish();
    leader.receive(S2, rejected(7, 0, at(0, 0), 0));
    assert_eq!((leader.role(), leader.term()), (RoleKind::Follower, 7));
}

/// Followers: whoever hears no leader and gives no vote for an election timeout stands.
#[test]
fn figure_2_a_follower_stands_after_an_election_timeout() {
    let options = without_pre_vote();
    let mut follower = Server::with(3, options, persistent(0, None, &[]));
    follower.pass(140);
    follower.heartbeat(S2, 1);
    let deadline = follower.status().deadline;
    assert!(deadline.since(follower.now) >= shortest_timeout());
    follower.wake();
    assert_eq!((follower.role(), follower.term()), (RoleKind::Candidate, 2));
}

/// Candidates: on standing, the term is increased, the own vote cast, the timer reset, and
/// everyone asked.
#[test]
fn figure_2_a_candidate_votes_for_itself_and_asks_everyone() {
    let mut server = Server::with(5, without_pre_vote(), persistent(3, None, &[1, 3]));
    let before = server.status().deadline;
    let effects = server.wake();
    let status = server.status();
    assert_eq!((status.term.0, status.voted_for), (4, Some(S1)));
    assert!(status.deadline > before + shortest_timeout());
    assert_eq!(sent(&effects), [S2, S3, S4, S5].map(|peer| (peer, request_vote(4, at(3, 2)))));
}

/// Leaders: heartbeats go out at once after the election, and again before anyone times out.
#[test]
fn figure_2_a_leader_speaks_at_once_and_then_again_and_again() {
    let mut leader = Server::of(3);
    let elected = sent(&leader.elect());
    for peer in [S2, S3] {
        assert!(
            elected.iter().any(|(to, message)| {
                *to == peer && matches!(message, Message::AppendEntries(_))
            })
        );
    }
    for _ in 0..5 {
        let before = leader.now;
        let beat = sent(&leader.wake());
        assert!(leader.now.since(before) < shortest_timeout() / 2);
        assert_eq!(beat.len(), 2);
        leader.match_all();
    }
}

/// Leaders: if a peer lacks entries, it is sent those from `next_index` on; on success its
/// indexes advance, on failure `next_index` goes back and the rest is tried again.
#[test]
fn figure_2_next_index_advances_and_goes_back() {
    let mut leader = Server::having(3, 2, &[1, 1, 2]);
    leader.elect();
    let retry = leader.receive(S2, rejected(3, 3, at(1, 1), 1));
    assert_eq!(sent(&retry), [(S2, append_entries(3, at(1, 1), 3, 0, 1))]);
    leader.receive(S2, matched(3, 4, 1));
    let peer = &leader.status().peers[0];
    assert_eq!((peer.next_index, peer.match_index), (Index(5), Index(4)));
}

/// Leaders: what a majority matches, and is of the current term, is committed.
#[test]
fn figure_2_a_leader_commits_what_a_majority_has() {
    let mut leader = Server::of(5);
    leader.elect();
    leader.persist();
    leader.receive(S2, matched(1, 1, 1));
    assert_eq!(leader.commit(), 0, "two of five");
    leader.receive(S3, matched(1, 1, 1));
    assert_eq!(leader.commit(), 1, "three of five");
}

/// A client's command is answered when its entry is applied: not before it is committed.
#[test]
fn figure_2_a_command_is_applied_only_once_it_is_committed() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    assert!(cluster.applied(S1).is_empty());
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x"]);
}

/// A log that lags behind by any distance is repaired, also in messages of one entry.
#[test]
fn figure_2_a_log_is_repaired_entry_by_entry_if_need_be() {
    let mut options = jangada::raft::Options::default();
    options.limits.message_entries = 1;
    let disks = [
        (S1, Disk::with(4, None, &[1, 1, 3, 4, 4])),
        (S2, Disk::with(4, None, &[1, 1, 3, 4, 4])),
        (S3, Disk::with(2, None, &[1, 2, 2, 2, 2, 2])),
    ];
    let mut cluster = Cluster::with(3, &options, &disks.into());
    cluster.elect(S1);
    cluster.run(Duration::from_millis(60));
    assert_eq!(cluster.terms(S3), [1, 1, 3, 4, 4, 5]);
}
