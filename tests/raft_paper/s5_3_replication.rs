//! Section 5.3: log replication.

use std::time::Duration;

use jangada::raft::{AppendOutcome, Effect, Entry, Index, Message, Position};

use crate::support::cluster::{Cluster, Packet};
use crate::support::disk::Disk;
use crate::support::node::*;

fn three(terms: [&[u64]; 3]) -> Cluster {
    let term = terms.iter().flat_map(|log| log.iter()).max().copied().unwrap_or(0);
    let disks = [S1, S2, S3].into_iter().zip(terms.map(|log| Disk::with(term, None, log)));
    Cluster::with(3, &Default::default(), &disks.collect())
}

/// The leader appends a command to its log and sends it to every other server.
#[test]
fn s5_3_a_command_is_appended_and_sent() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    let proposed = cluster.propose(S1, &["x"]);
    assert_eq!(proposed.accepted, [at(1, 2)]);
    assert_eq!(cluster.terms(S1), [1, 1]);
    let carried = |packet: &Packet| (packet.to, packet.entries.clone());
    let sent: Vec<_> = cluster.network.iter().map(carried).collect();
    let entry = vec![cluster.server(S1).log[1].clone()];
    assert_eq!(sent, [(S2, entry.clone()), (S3, entry)]);
}

/// The leader goes on trying until every follower has every entry, long after it has committed
/// and answered; others do not wait for the slow one.
#[test]
fn s5_3_a_crashed_follower_holds_nobody_up_and_gets_everything_later() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.crash(S3);
    cluster.propose(S1, &["x", "y"]);
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x", "y"]);
    cluster.run(Duration::from_secs(60));
    cluster.start(S3);
    cluster.run(Duration::from_millis(60));
    assert_eq!(cluster.applied(S3), ["x", "y"]);
}

/// An entry is committed once a majority has it; not before.
#[test]
fn s5_3_an_entry_is_committed_once_a_majority_has_it() {
    let mut cluster = Cluster::new(5);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.deliver_round();
    for (answer, from) in [S2, S3].into_iter().enumerate() {
        assert!(cluster.applied(S1).is_empty(), "{answer} answers");
        cluster.deliver_if(|packet| packet.from == from);
    }
    assert_eq!(cluster.applied(S1), ["x"]);
}

/// Committing an entry commits everything before it, entries of earlier leaders included.
#[test]
fn s5_3_what_is_before_a_committed_entry_is_committed() {
    let mut cluster = three([&[1, 2, 2], &[1], &[1]]);
    cluster.elect(S1);
    assert_eq!(cluster.terms(S1), [1, 2, 2, 3]);
    assert_eq!(cluster.committed.len(), 4);
}

/// Followers learn the commit index with the next message, heartbeats included, and apply in the
/// order of the log.
#[test]
fn s5_3_followers_learn_what_is_committed() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.propose(S1, &["a", "b", "c"]);
    cluster.deliver_all();
    assert!(cluster.applied(S2).is_empty());
    cluster.beat(S1);
    assert_eq!(cluster.applied(S2), ["a", "b", "c"]);
}

/// Log matching, first half: the same index and term mean the same command, because a leader
/// makes one entry for an index in a term, and never moves one. Second half: and the same logs up
/// to there, because of the consistency check.
#[test]
fn s5_3_log_matching() {
    let mut cluster = Cluster::new(3);
    for (leader, cut_off) in [(S1, S2), (S3, S1), (S2, S3), (S1, S2), (S3, S1)] {
        cluster.heal();
        cluster.pass(shortest_timeout());
        cluster.lose_if(|_| true);
        if cluster.leader() != Some(leader) {
            cluster.elect(leader);
        }
        cluster.cut(leader, cut_off);
        let commands = [format!("{leader}a"), format!("{leader}b")];
        cluster.propose(leader, &commands.each_ref().map(String::as_str));
        cluster.deliver_all();
        cluster.partition(&[&[leader], &[cut_off]]);
        cluster.propose(leader, &["lost"]);
        assert_logs_match(&cluster);
    }
}

fn assert_logs_match(cluster: &Cluster) {
    let logs: Vec<&Vec<Entry>> = cluster.ids().iter().map(|id| &cluster.server(*id).log).collect();
    for one in &logs {
        for other in &logs {
            let mut common = one.iter().zip(other.iter());
            let agree = common.rposition(|(a, b)| a.term == b.term).map_or(0, |place| place + 1);
            assert_eq!(one[..agree], other[..agree]);
        }
    }
}

/// The consistency check: a follower without the entry before the new ones takes none of them.
#[test]
fn s5_3_consistency_check() {
    let prevs = [(at(0, 0), true), (at(1, 1), true), (at(2, 2), true), (at(1, 2), false)];
    for (prev, agrees) in prevs.into_iter().chain([(at(3, 3), false), (at(2, 1), false)]) {
        let mut follower = Server::having(3, 4, &[1, 2]);
        let answers = follower.append(S2, 4, prev, &[4], 0);
        let took = answers.iter().any(|effect| matches!(effect, Effect::Append { .. }));
        assert_eq!(took, agrees, "{prev}");
        if agrees {
            let outcome = answer_of(&follower.persist()).outcome;
            assert_eq!(outcome, AppendOutcome::Matched(prev.index.next()));
        } else {
            let outcome = answer_of(&answers).outcome;
            assert!(matches!(outcome, AppendOutcome::Rejected { prev: refused, .. }
                if refused == prev.index));
        }
    }
}

/// Figure 7: whatever a follower's log looks like, it becomes the leader's; missing entries come,
/// extra ones go.
#[test]
fn s5_3_figure_7_followers_logs_become_the_leaders() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [&[u64]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for follower in followers {
        let mut cluster = three([leader, follower, &[1, 1, 1]]);
        let term = cluster.status(S1).term.0.max(7);
        cluster.server_mut(S1).disk.term.0 = term;
        cluster.crash(S1);
        cluster.start(S1);
        cluster.elect(S1);
        let mut expected = leader.to_vec();
        expected.push(term + 1);
        assert_eq!(cluster.terms(S2), expected, "{follower:?}");
        assert_eq!(cluster.terms(S1), expected, "the leader's own log only grows");
    }
}

/// A rejection moves `next_index` back over a whole term: one message for each term in conflict,
/// not for each entry.
#[test]
fn s5_3_one_rejection_for_each_conflicting_term() {
    let mut ours = vec![1];
    let mut theirs = vec![1];
    for term in 1..=5 {
        ours.extend([term * 2 + 1; 100]);
        theirs.extend([term * 2; 100]);
    }
    let mut cluster = three([&ours, &theirs, &[1]]);
    cluster.campaign(S1);
    let mut rejections = 0;
    while !cluster.network.is_empty() {
        let rejected = |packet: &Packet| match packet.message {
            Message::AppendEntriesReply(reply) => {
                packet.from == S2 && matches!(reply.outcome, AppendOutcome::Rejected { .. })
            }
            _ => false,
        };
        rejections += cluster.network.iter().filter(|packet| rejected(packet)).count();
        cluster.deliver_round();
    }
    assert_eq!(cluster.terms(S2), cluster.terms(S1));
    assert!(rejections <= 6, "{rejections} rejections for 5 terms of 100 entries");
}

/// Leader append-only: a leader never overwrites or deletes entries of its own log, whatever the
/// followers answer.
#[test]
fn s5_3_a_leader_only_appends() {
    let mut leader = Server::having(3, 3, &[1, 2, 3]);
    leader.elect();
    leader.propose(2);
    let log = leader.log();
    let answers = [
        rejected(4, 3, at(9, 9), 1),
        rejected(4, 1, at(0, 0), 1),
        rejected(4, 5, at(1, 1), 1),
        matched(4, 2, 1),
        rejected(4, 0, at(0, 0), 1),
    ];
    for answer in answers {
        leader.receive(S2, answer);
        leader.receive(S3, answer);
        leader.wake();
        assert_eq!(leader.log(), log, "{answer}");
    }
}

/// Once a follower's log agrees it stays so for the rest of the term: no more rejections.
#[test]
fn s5_3_agreement_lasts_for_the_term() {
    let mut cluster = three([&[1, 1, 3], &[1, 2, 2, 2], &[1]]);
    cluster.elect(S1);
    for _ in 0..10 {
        cluster.propose(S1, &["x"]);
        cluster.deliver_round();
        for packet in &cluster.network {
            let Message::AppendEntriesReply(reply) = packet.message else { continue };
            assert!(matches!(reply.outcome, AppendOutcome::Matched(_)));
        }
        cluster.deliver_all();
    }
    assert_eq!(cluster.terms(S2), cluster.terms(S1));
}

/// A follower answers for what is on its disk, but takes more than that: what it holds already is
/// not sent again because its disk is slow.
#[test]
fn s5_3_what_a_slow_disk_has_not_written_is_not_sent_again() {
    let mut leader = Server::having(3, 2, &[1, 1, 2]);
    leader.elect();
    let effects = leader.receive(S2, matched(3, 1, 1));
    assert_eq!(sent(&effects), [], "2 to 4 are on their way, or in its memory");
}

/// In the normal case one round of messages to a majority commits; a single slow follower costs
/// nothing.
#[test]
fn s5_3_one_round_commits() {
    let mut cluster = Cluster::new(5);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.deliver_if(|packet| packet.to == S2 || packet.to == S3);
    cluster.deliver_if(|packet| packet.to == S1);
    assert_eq!(cluster.applied(S1), ["x"]);
    assert_eq!(cluster.status(S1).commit_index, Index(2));
}

/// An entry's position never changes: what a server is asked to append goes behind `prev_log`.
#[test]
fn s5_3_entries_keep_their_positions() {
    let mut follower = Server::having(3, 2, &[1]);
    let effects = follower.append(S2, 2, at(1, 1), &[1, 2], 0);
    assert!(effects.contains(&Effect::Append { first: Index(2), entries: 0..2 }));
    assert_eq!(follower.status().last_log, Position::new(jangada::raft::Term(2), Index(3)));
}
