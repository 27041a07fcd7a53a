//! Section 5.4: safety.

use jangada::raft::{Position, RoleKind, ServerId, VoteRefusal};

use crate::support::cluster::Cluster;
use crate::support::disk::Disk;
use crate::support::node::*;

/// 5.4.1: a voter denies its vote if its own log is more up-to-date: the later last term wins,
/// then the longer log. Every pair of logs of up to three entries and three terms.
#[test]
fn s5_4_1_votes_go_to_logs_that_are_at_least_as_up_to_date() {
    let logs = logs_up_to(3, 3);
    for own in &logs {
        for other in &logs {
            let theirs = last(other);
            let mut voter = Server::having(3, 3, own);
            let pre = vote_of(&voter.receive(S2, pre_vote(4, theirs))).vote;
            let vote = vote_of(&voter.receive(S2, request_vote(4, theirs))).vote;
            let term = |log: &[u64]| log.last().copied().unwrap_or(0);
            let up_to_date =
                term(other) > term(own) || (term(other) == term(own) && other.len() >= own.len());
            let expected = if up_to_date { Ok(()) } else { Err(VoteRefusal::LogBehind) };
            assert_eq!((vote, pre), (expected, expected), "{own:?} asked by {other:?}");
        }
    }
}

fn last(log: &[u64]) -> Position {
    at(log.last().copied().unwrap_or(0), log.len() as u64)
}

/// Every log whose terms do not fall.
fn logs_up_to(length: usize, terms: u64) -> Vec<Vec<u64>> {
    let mut logs = vec![vec![]];
    let mut longest = logs.clone();
    for _ in 0..length {
        let longer = |log: &Vec<u64>| {
            let from = log.last().copied().unwrap_or(1);
            let with = |term| log.iter().copied().chain([term]).collect::<Vec<_>>();
            (from..=terms).map(with).collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        logs.extend(longest.iter().cloned());
    }
    logs
}

/// 5.4.1: a candidate that lacks a committed entry cannot win. Whichever majority of five has
/// the entry, and whoever stands: only who has it is elected.
#[test]
fn s5_4_1_only_who_has_every_committed_entry_wins() {
    for majority in 0_u64..32 {
        let has = |id: ServerId| majority & (1 << (id.0 - 1)) != 0;
        if majority.count_ones() < 3 {
            continue;
        }
        for candidate in [S1, S2, S3, S4, S5] {
            let log = |id| if has(id) { vec![1, 2] } else { vec![1] };
            let disk = |id| (id, Disk::with(2, None, &log(id)));
            let disks = [S1, S2, S3, S4, S5].map(disk);
            let mut cluster = Cluster::with(5, &Default::default(), &disks.into());
            cluster.campaign(candidate);
            cluster.deliver_all();
            let won = cluster.role(candidate) == RoleKind::Leader;
            assert_eq!(won, has(candidate), "{candidate} of {majority:05b}");
        }
    }
}

/// 5.4.2: entries of earlier terms are not committed by counting replicas.
#[test]
fn s5_4_2_entries_of_earlier_terms_are_not_counted() {
    let mut leader = Server::having(3, 3, &[1, 2]);
    leader.elect();
    leader.persist();
    leader.receive(S2, matched(4, 1, 1));
    leader.receive(S3, matched(4, 2, 1));
    leader.receive(S2, matched(4, 2, 1));
    assert_eq!(leader.commit(), 0);
}

/// 5.4.2: once an entry of the current term is committed that way, all before it are.
#[test]
fn s5_4_2_an_entry_of_the_current_term_commits_all_before_it() {
    let mut leader = Server::having(3, 3, &[1, 2]);
    leader.elect();
    leader.persist();
    leader.receive(S2, matched(4, 2, 1));
    leader.receive(S2, matched(4, 3, 1));
    assert_eq!(leader.commit(), 3);
}

/// 5.4.2: entries keep their terms when a later leader replicates them.
#[test]
fn s5_4_2_entries_keep_their_terms() {
    let disks = [(S1, Disk::with(2, None, &[1, 2, 2]))];
    let mut cluster = Cluster::with(3, &Default::default(), &disks.into());
    cluster.elect(S1);
    assert_eq!(cluster.terms(S2), [1, 2, 2, 3]);
    assert_eq!(cluster.terms(S3), [1, 2, 2, 3]);
}

/// 5.4.3, leader completeness: what one leader commits is in the log of every later leader,
/// through any line of leaders.
#[test]
fn s5_4_3_committed_entries_are_in_every_later_leaders_log() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.cut(S1, S3);
    cluster.propose(S1, &["x"]);
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x"]);
    cluster.crash(S1);
    cluster.campaign(S3);
    cluster.deliver_all();
    assert_eq!(cluster.role(S3), RoleKind::Candidate, "S3 lacks x");
    cluster.elect(S2);
    cluster.start(S1);
    for leader in [S3, S1, S2, S3] {
        cluster.run(shortest_timeout());
        cluster.elect(leader);
        assert!(cluster.applied(leader).contains(&"x".to_owned()), "{leader}");
    }
}

/// 5.4.3, state machine safety: no two servers apply different commands at one index. (Asserted
/// by the cluster at each commit, in every test; here over divergent logs.)
#[test]
fn s5_4_3_servers_apply_the_same_commands() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.partition(&[&[S1], &[S2, S3]]);
    cluster.propose(S1, &["never"]);
    cluster.pass(shortest_timeout());
    cluster.lose_if(|_| true);
    cluster.elect(S2);
    cluster.propose(S2, &["first", "second"]);
    cluster.deliver_all();
    cluster.heal();
    cluster.run(longest_timeout());
    for id in cluster.ids() {
        assert_eq!(cluster.applied(id), ["first", "second"]);
    }
}
