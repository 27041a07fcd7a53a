//! Log and election safety: rows 1 to 21.

use std::collections::BTreeMap;

use jangada::raft::{
    AppendOutcome, Configuration, Effect, EntryMeta, Index, Input, Limits, Message, Options,
    Persistent, Position, RoleKind, ServerId, Term, VoteRefusal,
};
use proptest::prelude::*;

use crate::support::cluster::Cluster;
use crate::support::disk::Disk;
use crate::support::node::*;

fn disks(disks: &[(ServerId, Disk)]) -> BTreeMap<ServerId, Disk> {
    disks.iter().cloned().collect()
}

/// 1 (figure 8; etcd `TestLeaderOnlyCommitsLogFromCurrentTerm`; async-raft 106): that a majority
/// has an entry of an older term proves nothing.
#[test]
fn trap_01_replicas_of_an_older_term_are_not_counted() {
    let mut leader = Server::having(5, 3, &[1, 2]);
    leader.elect();
    leader.persist();
    for peer in [S2, S3, S4, S5] {
        leader.receive(peer, matched(4, 2, 1));
    }
    assert_eq!(leader.commit(), 0, "everyone has it, and it is not safe");
    leader.receive(S2, matched(4, 3, 1));
    assert_eq!(leader.commit(), 0);
    let effects = leader.receive(S3, matched(4, 3, 1));
    assert_eq!(leader.commit(), 3, "its own entry takes the older ones along");
    assert!(effects.contains(&Effect::Commit(Index(3))));
}

/// 1, as it happens: the entry that was on a majority is overwritten, and nobody had applied it.
#[test]
fn trap_01_figure_8_overwrites_an_entry_of_a_majority() {
    let disks = disks(&[
        (S1, Disk::with(3, None, &[1, 2])),
        (S2, Disk::with(3, None, &[1, 2])),
        (S3, Disk::with(3, None, &[1])),
        (S4, Disk::with(3, None, &[1])),
        (S5, Disk::with(3, None, &[1, 3])),
    ]);
    let options = Options {
        limits: Limits { message_entries: 1, ..Limits::default() },
        ..Options::default()
    };
    let mut cluster = Cluster::with(5, &options, &disks);
    cluster.partition(&[&[S1, S2, S3], &[S4, S5]]);
    cluster.campaign(S1);
    let holds = |cluster: &Cluster, id| cluster.terms(id).starts_with(&[1, 2]);
    while !(holds(&cluster, S1) && holds(&cluster, S2) && holds(&cluster, S3)) {
        cluster.deliver(0);
    }
    assert_eq!(cluster.role(S1), RoleKind::Leader);
    assert_eq!(cluster.status(S1).commit_index, Index(0), "a majority has the entry of term 2");
    cluster.crash(S1);
    cluster.heal();
    cluster.network.clear();
    cluster.campaign(S5);
    cluster.deliver_all();
    assert_eq!(cluster.role(S5), RoleKind::Candidate, "term 4 belongs to S1");
    cluster.elect(S5);
    assert_eq!(cluster.terms(S3), [1, 3, 5], "the entry of term 2 is gone");
}

proptest! {
    /// 2 (openraft a48a3282): last entries are compared by term first, then by index.
    #[test]
    fn trap_02_the_vote_rule_is_lexicographic(
        mine in prop::collection::vec(1_u64..4, 0..6),
        theirs in prop::collection::vec(1_u64..4, 0..6),
    ) {
        let sorted = |mut terms: Vec<u64>| { terms.sort_unstable(); terms };
        let (mine, theirs) = (sorted(mine), sorted(theirs));
        let last = |log: &[u64]| (log.last().copied().unwrap_or(0), log.len() as u64);
        let (term, index) = last(&theirs);
        for message in [request_vote(9, at(term, index)), pre_vote(9, at(term, index))] {
            let mut voter = Server::having(3, 3, &mine);
            let vote = vote_of(&voter.receive(S2, message)).vote;
            let (my_term, my_index) = last(&mine);
            let up_to_date = term > my_term || term == my_term && index >= my_index;
            prop_assert_eq!(vote, if up_to_date { Ok(()) } else { Err(VoteRefusal::LogBehind) });
        }
    }
}

/// 3 (figure 2): term and vote are on disk before anything that depends on them is said.
#[test]
fn trap_03_the_vote_is_saved_before_it_is_told() {
    let saved_first = |effects: &[Effect], term, voted_for| {
        let wanted = Effect::SaveVote { term: Term(term), voted_for };
        let saved = effects.iter().rposition(|effect| *effect == wanted);
        let said = effects.iter().position(|effect| match effect {
            Effect::Send { message: Message::RequestVote(request), .. } => !request.pre_vote,
            Effect::Send { .. } => true,
            _ => false,
        });
        assert!(saved.is_some() && said.is_some() && saved < said, "{effects:?}");
    };
    let mut voter = Server::of(3);
    saved_first(&voter.receive(S2, request_vote(1, at(0, 0))), 1, Some(S2));
    let mut refuser = Server::having(3, 1, &[1]);
    saved_first(&refuser.receive(S2, request_vote(2, at(0, 0))), 2, None);
    let mut candidate = Server::with(3, without_pre_vote(), Persistent::default());
    saved_first(&candidate.wake(), 1, Some(S1));
    let mut follower = Server::of(3);
    saved_first(&follower.heartbeat(S2, 1), 1, None);
}

/// 3, as it happens: what a slow disk has not kept was never said, so a second vote is no harm.
#[test]
fn trap_03_a_vote_that_a_crash_loses_was_never_told() {
    let mut cluster = Cluster::new(3);
    cluster.server_mut(S3).disk.stalled = true;
    cluster.campaign(S1);
    cluster.deliver_if(|packet| packet.to == S3);
    assert_eq!(cluster.status(S3).voted_for, Some(S1));
    assert_eq!(cluster.lose_if(|packet| packet.from == S3), 0, "nothing has left");
    cluster.crash(S3);
    cluster.start(S3);
    assert_eq!(cluster.status(S3).voted_for, None);
    cluster.persist_all(S3);
    assert_eq!(cluster.lose_if(|packet| packet.from == S3), 0, "nor ever will");
}

/// 4 (openraft 9540c904): entries that match are never removed, and the removal of those that do
/// not is one write with what replaces them.
#[test]
fn trap_04_only_what_conflicts_is_replaced_and_in_one_write() {
    let mut follower = Server::having(3, 2, &[1, 1, 1, 2, 2]);
    let effects = follower.append(S2, 3, at(0, 0), &[1, 1, 1, 3], 0);
    let writes: Vec<_> =
        effects.iter().filter(|effect| matches!(effect, Effect::Append { .. })).collect();
    assert_eq!(writes, [&Effect::Append { first: Index(4), entries: 3..4 }]);
    assert_eq!(follower.log(), [1, 1, 1, 3]);
}

/// 5 (openraft 9540c904; figure 2, AppendEntries step 3): a shorter message that arrives late cuts
/// nothing off.
#[test]
fn trap_05_a_delayed_duplicate_cuts_nothing() {
    let mut follower = Server::having(3, 1, &[1]);
    follower.append(S2, 1, at(1, 1), &[1, 1, 1], 2);
    follower.persist();
    for (prev, terms) in
        [(at(1, 1), &[1][..]), (at(1, 1), &[1, 1]), (at(1, 3), &[]), (at(0, 0), &[])]
    {
        let effects = follower.append(S2, 1, prev, terms, 2);
        let last = prev.index.0 + terms.len() as u64;
        assert_eq!(answer_of(&effects).outcome, AppendOutcome::Matched(Index(last)));
        assert_eq!(follower.log(), [1, 1, 1, 1]);
    }
}

/// 9 (LogCabin 160): a message whose entries are not those that it names is as good as lost.
#[test]
fn trap_09_entries_that_do_not_fit_their_names_are_refused() {
    let mut follower = Server::having(3, 1, &[1]);
    for (named, carried) in [(2, 1), (1, 2), (0, 1), (1, 0)] {
        let entries = vec![EntryMeta::new(Term(1), 1); carried];
        let message = append_entries(1, at(1, 1), named, 9, 1);
        let effects = follower.step(Input::Message { from: S2, message, entries: &entries });
        assert_eq!(effects, [], "{named} named, {carried} carried");
        assert_eq!((follower.log(), follower.commit()), (vec![1], 0));
    }
}

/// 9, the sender's side: messages to one peer follow each other without gap or overlap.
#[test]
fn trap_09_messages_follow_each_other_without_a_gap() {
    let limits = Limits { message_entries: 3, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut leader = Server::with(3, options, Persistent::default());
    leader.establish();
    let mut next = leader.status().last_log.index;
    for (to, message) in sent(&leader.propose(10)) {
        let Message::AppendEntries(append) = message else { panic!("{message}") };
        if to == S2 {
            assert_eq!(append.prev_log.index, next);
            assert!(append.last - append.prev_log.index <= 3);
            next = append.last;
        }
    }
    assert_eq!(next, leader.status().last_log.index, "all ten are under way");
}

/// 10 (hashicorp/raft 163a55f): in a cluster of even size half is no majority.
#[test]
fn trap_10_half_of_an_even_cluster_is_no_quorum() {
    let mut server = Server::with(4, without_pre_vote(), Persistent::default());
    server.wake();
    server.receive(S2, vote_reply(1, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Candidate, "two votes of four");
    server.receive(S3, vote_reply(1, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Leader, "three votes of four");
    server.persist();
    server.receive(S2, matched(1, 1, 1));
    assert_eq!(server.commit(), 0, "two copies of four");
    server.receive(S3, matched(1, 1, 1));
    assert_eq!(server.commit(), 1, "three copies of four");
}

proptest! {
    /// 11 (etcd raft 8ecce32, 2e0653d): whatever is doubled, delayed or reordered, what is
    /// committed only grows, and only within the log.
    #[test]
    fn trap_11_the_commit_index_only_grows(
        messages in prop::collection::vec((0_u64..8, 0_u64..4, 0_u64..12), 1..40),
    ) {
        let leader_log = [1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3];
        let mut follower = Server::having(3, 3, &[1, 1, 1, 1]);
        let mut commit = Index(0);
        for (prev, count, leader_commit) in messages {
            let (prev, count) = (prev as usize, count as usize);
            let term = if prev == 0 { 0 } else { leader_log[prev - 1] };
            let entries = &leader_log[prev..prev + count];
            let effects = follower.append(S2, 3, at(term, prev as u64), entries, leader_commit);
            for effect in effects {
                if let Effect::Commit(index) = effect {
                    prop_assert!(index > commit);
                    commit = index;
                }
            }
            let log = follower.log();
            prop_assert_eq!(commit.0, follower.commit());
            prop_assert!(commit.0 as usize <= log.len());
            prop_assert_eq!(&log[..commit.0 as usize], &leader_log[..commit.0 as usize]);
        }
    }

    /// 12 (etcd raft PR 149; RATIS-1883): however answers are doubled, delayed or invented, the
    /// next entry to send stays behind the last one that matches, and within the log.
    #[test]
    fn trap_12_next_stays_behind_match(
        answers in prop::collection::vec((any::<bool>(), 0_u64..6, 0_u64..6, 0_u64..4), 1..40),
    ) {
        let mut leader = Server::having(3, 2, &[1, 1, 2]);
        leader.elect();
        leader.propose(2);
        for (fits, index, prev, hint_term) in answers {
            let answer = if fits {
                matched(3, index, 1)
            } else {
                rejected(3, prev, at(hint_term, index), 1)
            };
            leader.receive(S2, answer);
            let status = leader.status();
            let peer = &status.peers[0];
            prop_assert!(peer.next_index > peer.match_index);
            prop_assert!(peer.next_index <= status.last_log.index.next());
        }
    }
}

/// 13 (openraft 6d53aa12; hashicorp/raft 8023e5e; 6.5840 `TestBackup3B`): a follower with far more
/// conflicting entries than fit a message is repaired in as many probes as there are terms.
#[test]
fn trap_13_many_conflicting_entries_are_repaired_in_few_exchanges() {
    let theirs: Vec<u64> = (0..600).map(|place| 2 + 2 * (place / 100)).collect();
    let ours: Vec<u64> = (0..900).map(|place| 1 + 2 * (place / 100)).collect();
    let disks = disks(&[
        (S1, Disk::with(17, None, &ours)),
        (S2, Disk::with(17, None, &theirs)),
        (S3, Disk::with(17, None, &ours)),
    ]);
    let limits = Limits { message_entries: 50, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut cluster = Cluster::with(3, &options, &disks);
    cluster.campaign(S1);
    let mut rejections = 0;
    while !cluster.network.is_empty() {
        let answer = cluster.network[0].message;
        if let Message::AppendEntriesReply(reply) = answer {
            rejections += u32::from(matches!(reply.outcome, AppendOutcome::Rejected { .. }));
        }
        cluster.deliver(0);
    }
    assert_eq!(cluster.terms(S2), cluster.terms(S1));
    assert!((1..=15).contains(&rejections), "{rejections} probes for 15 terms");
}

/// 15 (etcd raft `async_storage_writes_append_aba_race.txt`): the disk's word for entries that were
/// replaced since is ignored, also when the same entries have come back.
#[test]
fn trap_15_the_disk_speaks_for_what_was_replaced() {
    let mut follower = Server::having(5, 1, &[1]);
    let done = |term, last| Input::Persisted { term: Term(term), last: Index(last) };
    follower.append(S2, 2, at(1, 1), &[2], 0);
    follower.append(S3, 3, at(1, 1), &[3], 0);
    assert_eq!(follower.step(done(2, 2)), [], "replaced meanwhile");
    assert_eq!(follower.status().durable_index, Index(1));
    follower.append(S4, 4, at(1, 1), &[2, 4], 0);
    assert_eq!(follower.step(done(2, 2)), [], "come back, but the last write is not done");
    assert_eq!(follower.step(done(3, 2)), []);
    assert_eq!(follower.status().durable_index, Index(1));
    let answer = answer_of(&follower.step(done(4, 3)));
    assert_eq!(answer.outcome, AppendOutcome::Matched(Index(3)));
}

/// 15, the other way round: entries that an earlier leader brought and the new one shares are
/// answered for as soon as the disk has them.
#[test]
fn trap_15_the_disk_speaks_for_what_a_new_leader_shares() {
    let mut follower = Server::having(3, 1, &[1]);
    follower.append(S2, 2, at(1, 1), &[2, 2], 0);
    let effects = follower.append(S3, 3, at(2, 3), &[], 0);
    assert_eq!(answer_of(&effects).outcome, AppendOutcome::Matched(Index(1)), "on disk so far");
    let done = Input::Persisted { term: Term(2), last: Index(3) };
    assert_eq!(answer_of(&follower.step(done)).outcome, AppendOutcome::Matched(Index(3)));
}

/// 16 (etcd, "tocommit is out of range"): a server that lost its unwritten tail believes no commit
/// index beyond its log.
#[test]
fn trap_16_a_lost_tail_is_not_committed_by_hearsay() {
    let mut follower = Server::having(3, 1, &[1, 1]);
    follower.append(S2, 1, at(1, 2), &[], 5);
    assert_eq!(follower.commit(), 2);
    let effects = follower.append(S2, 1, at(1, 5), &[], 5);
    assert!(matches!(answer_of(&effects).outcome, AppendOutcome::Rejected { .. }));
    assert_eq!(follower.commit(), 2);
    follower.append(S2, 1, at(1, 2), &[1, 1, 1], 5);
    assert_eq!(follower.commit(), 5);
}

/// 17 (figure 2, AppendEntries step 5): committed is min(leaderCommit, index of the last *new*
/// entry); what lies behind it may not be the leader's.
#[test]
fn trap_17_an_unmatched_tail_is_not_committed() {
    let mut follower = Server::having(3, 2, &[1, 1, 2, 2]);
    follower.append(S2, 3, at(1, 1), &[1], 4);
    assert_eq!(follower.commit(), 2, "entries 3 and 4 may conflict with the leader's");
    follower.append(S2, 3, at(1, 1), &[], 4);
    assert_eq!(follower.commit(), 2);
}

/// 19 (openraft a80579ef, 4015cc38): answers to what one was are nothing to what one is.
#[test]
fn trap_19_answers_to_a_former_role_are_dropped() {
    let mut server = Server::of(3);
    server.establish();
    let term = server.term();
    while server.role() == RoleKind::Leader {
        server.wake();
    }
    assert_eq!(server.term(), term, "no quorum was heard: it stepped down, in its term");
    for answer in [
        matched(term, 1, 9),
        rejected(term, 1, at(0, 0), 9),
        vote_reply(term, false, Ok(())),
        vote_reply(term + 1, true, Ok(())),
    ] {
        assert_eq!(server.receive(S2, answer), [], "{answer}");
        assert_eq!((server.role(), server.term()), (RoleKind::Follower, term));
    }
    server.elect();
    for answer in [matched(term, 2, 9), rejected(term, 1, at(0, 0), 9)] {
        assert_eq!(server.receive(S2, answer), [], "an answer to its earlier leadership: {answer}");
    }
    assert_eq!(server.status().peers[0].match_index, Index(0));
}

/// 20 (6.5840 `TestRejoin3B`): entries of a leader whose term is over have no effect.
#[test]
fn trap_20_entries_of_a_past_leader_have_no_effect() {
    let mut follower = Server::having(3, 1, &[1]);
    follower.heartbeat(S2, 1);
    follower.receive(S3, forced_vote(2, at(1, 1)));
    let before = follower.status();
    let effects = follower.append(S2, 1, at(1, 1), &[1], 2);
    assert_eq!(follower.status(), before);
    let answer = answer_of(&effects);
    assert_eq!(answer.term, Term(2));
    assert!(matches!(answer.outcome, AppendOutcome::Rejected { .. }));
}

/// 21 (NuRaft 92fce2f; etcd CVE-2020-15106): numbers at the end of their range are refused or
/// harmless; they neither overflow nor panic, and the server can still be elected.
#[test]
fn trap_21_the_largest_numbers_do_no_harm() {
    const MAX: u64 = u64::MAX;
    let far = at(MAX, MAX);
    let in_term = |term: u64| {
        let entries = Message::AppendEntries(jangada::raft::AppendEntries {
            term: Term(term),
            prev_log: Position::new(Term(1), Index(MAX)),
            last: Index(0),
            leader_commit: Index(MAX),
            round: jangada::raft::Round(MAX),
        });
        [
            (request_vote(term, far), 0),
            (forced_vote(term, far), 0),
            (pre_vote(term, far), 0),
            (vote_reply(term, false, Ok(())), 0),
            (vote_reply(term, true, Ok(())), 0),
            (vote_reply(term, true, Err(VoteRefusal::StaleTerm)), 0),
            (entries, 1),
            (append_entries(term, at(1, MAX), 0, MAX, MAX), 0),
            (append_entries(term, at(0, 0), 0, MAX, MAX), 0),
            (rejected(term, MAX, far, MAX), 0),
            (rejected(term, 0, far, MAX), 0),
            (read_index(term, MAX), 0),
            (read_index_reply(term, MAX, Some(MAX)), 0),
        ]
    };
    for term in [3, 4, MAX] {
        for (message, count) in in_term(term) {
            let mut leader = Server::having(5, 2, &[1]);
            leader.elect();
            let mut candidate = Server::having(5, 2, &[1]);
            candidate.step(Input::Campaign);
            let pre_candidate = {
                let mut server = Server::having(5, 3, &[1]);
                server.wake();
                server
            };
            for mut server in [Server::having(5, 3, &[1]), pre_candidate, candidate, leader] {
                let is_entries = matches!(message, Message::AppendEntries(_));
                if server.role() == RoleKind::Leader && is_entries && term == server.term() {
                    continue; // Two leaders of one term: what elections exclude.
                }
                let entries = vec![EntryMeta::new(Term(1), u32::MAX); count];
                server.step(Input::Message { from: S2, message, entries: &entries });
                if server.role() != RoleKind::Leader {
                    server.elect();
                }
            }
        }
    }
}

/// 10 and 33 (openraft 6c0ccaf3), from the first moment on: a server that starts in a joint
/// configuration, one half of which it is alone, neither leads nor commits alone.
#[test]
fn trap_33_a_joint_configuration_holds_from_the_start() {
    let joint = Configuration::joint([S1], [S1, S2, S3], []);
    let mut server = Server::member(joint, without_pre_vote(), Persistent::default());
    server.wake();
    assert_eq!(server.role(), RoleKind::Candidate);
    server.receive(S2, vote_reply(1, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Leader);
    server.persist();
    assert_eq!(server.commit(), 0);
    server.receive(S3, matched(1, 1, 1));
    assert_eq!(server.commit(), 1);
}

/// 33: and the half that is on its way out is needed like the one that comes.
#[test]
fn trap_33_both_halves_of_a_joint_configuration_are_needed() {
    for (outgoing, voters) in [([S1, S4, S5], [S1, S2, S3]), ([S1, S2, S3], [S1, S4, S5])] {
        let joint = Configuration::joint(outgoing, voters, []);
        let mut server = Server::member(joint, without_pre_vote(), Persistent::default());
        server.wake();
        server.receive(S2, vote_reply(1, false, Ok(())));
        server.receive(S3, vote_reply(1, false, Ok(())));
        assert_eq!(server.role(), RoleKind::Candidate);
        server.receive(S4, vote_reply(1, false, Ok(())));
        assert_eq!(server.role(), RoleKind::Leader);
        server.persist();
        server.receive(S4, matched(1, 1, 1));
        server.receive(S5, matched(1, 1, 1));
        assert_eq!(server.commit(), 0);
        server.receive(S3, matched(1, 1, 1));
        assert_eq!(server.commit(), 1);
    }
}
