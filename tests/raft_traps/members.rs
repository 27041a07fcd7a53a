//! Membership, disks that were lost, and handing over: rows 31 to 45, 56 and 63, and what the
//! actix-raft line and its neighbours got wrong of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jangada::raft::{
    Change, ChangeRefusal, Configuration, Effect, Force, HandoverReason, Index, Input, Limits,
    Message, Options, Persistent, RejoinReply, RequestVote, RoleKind, Round, ServerId,
    SnapshotMeta, Term, TimeoutNow, VoteRefusal,
};

use crate::support::cluster::{Cluster, Packet};
use crate::support::node::*;

const S6: ServerId = ServerId(6);

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A cluster that S1 leads, with `x` committed.
fn led(size: u64) -> Cluster {
    let mut cluster = Cluster::new(size);
    cluster.elect(S1);
    cluster.propose(S1, &["x"]);
    cluster.deliver_all();
    cluster
}

fn voters(cluster: &Cluster, id: ServerId) -> Vec<ServerId> {
    let configuration = cluster.status(id).configuration;
    assert!(!configuration.is_changing(), "{configuration}");
    configuration.incoming().to_vec()
}

/// 31 (Ongaro on raft-dev, 2015): no change before an entry of the leader's own term is committed.
#[test]
fn trap_31_a_new_leader_changes_nothing_before_its_no_op() {
    let mut cluster = led(4);
    cluster.crash(S1);
    cluster.run(milliseconds(140));
    cluster.campaign(S2);
    cluster.deliver_round();
    cluster.deliver_round();
    assert_eq!(cluster.role(S2), RoleKind::Leader);
    assert_eq!(cluster.change(S2, Change::Add(S5)), Err(ChangeRefusal::TooEarly));
    cluster.run(milliseconds(200));
    assert!(cluster.change(S2, Change::Add(S5)).is_ok());
}

/// 31, the same without timing: two leaders that each change one server decide nothing apart,
/// because each change needs a majority of the voters before it.
#[test]
fn trap_31_two_changes_of_two_leaders_share_a_quorum() {
    let mut cluster = led(4);
    cluster.partition(&[&[S1, S2], &[S3, S4]]);
    cluster.change(S1, Change::Remove(S4)).expect("S3 and S4 were heard just now");
    cluster.run(milliseconds(300));
    assert!(cluster.status(S1).configured_at > cluster.status(S1).commit_index);
    assert!(cluster.leader().is_none() || cluster.leader() == Some(S1), "two of four elect nobody");
}

/// 32 (etcd raft e515a67): the joint configuration is in the snapshot, and holds after a restart.
#[test]
fn trap_32_a_snapshot_keeps_a_joint_configuration() {
    let joint = Configuration::joint([S1, S2, S3], [S1, S4, S5], []);
    let snapshot = SnapshotMeta {
        last_included: at(1, 5),
        configuration: joint.clone(),
        configured_at: Index(4),
    };
    let persistent = Persistent { base: at(1, 5), snapshot, ..persistent(1, None, &[]) };
    let mut server = Server::on(without_pre_vote(), persistent);
    assert_eq!(server.status().configuration, joint);
    server.wake();
    for voter in [S4, S5] {
        server.receive(voter, vote_reply(2, false, Ok(())));
    }
    assert_eq!(server.role(), RoleKind::Candidate, "a majority of the new voters is not enough");
    server.receive(S2, vote_reply(2, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Leader);
}

/// 35 (canonical/raft 323 and 250): a configuration that is cut off gives way to the one below.
#[test]
fn trap_35_a_truncated_configuration_is_taken_back() {
    let mut cluster = led(3);
    cluster.partition(&[&[S1], &[S2, S3]]);
    cluster.change(S1, Change::Voters(vec![S1, S2])).expect("S1 leads");
    assert_eq!(cluster.status(S1).configured_at, Index(3));
    cluster.run(milliseconds(500));
    cluster.heal();
    cluster.run(milliseconds(500));
    for id in [S1, S2, S3] {
        assert_eq!(cluster.status(id).configured_at, Index(0));
        assert_eq!(voters(&cluster, id), [S1, S2, S3]);
    }
}

/// 36: a removed server that was never told asks again and again, and the leader leads on in its
/// term.
#[test]
fn trap_36_a_server_that_was_removed_while_cut_off_disturbs_nobody() {
    let mut cluster = led(3);
    cluster.partition(&[&[S1, S2], &[S3]]);
    cluster.change(S1, Change::Remove(S3)).expect("S1 leads");
    cluster.run(Duration::from_secs(3));
    assert_eq!(voters(&cluster, S1), [S1, S2]);
    cluster.heal();
    let term = cluster.status(S1).term;
    cluster.run(Duration::from_secs(3));
    assert_eq!((cluster.leader(), cluster.status(S1).term), (Some(S1), term));
}

/// 37 (NuRaft 470799d): whoever has priority 0 stands for nobody: not by its timer, not when it is
/// told to. A cluster in which nobody could lead is refused.
#[test]
fn trap_37_a_voter_of_priority_0_never_leads() {
    let mut cluster = led(3);
    for id in [S2, S3] {
        cluster.change(id_of_leader(&cluster), Change::Priority(id, 0)).expect("S1 leads");
        cluster.run(milliseconds(100));
    }
    let refused = cluster.change(S1, Change::Priority(S1, 0));
    assert_eq!(refused, Err(ChangeRefusal::NobodyLeads));
    cluster.crash(S1);
    cluster.campaign(S2);
    cluster.run(Duration::from_secs(2));
    assert_eq!((cluster.role(S2), cluster.role(S3)), (RoleKind::Follower, RoleKind::Follower));
}

fn id_of_leader(cluster: &Cluster) -> ServerId {
    cluster.leader().expect("a leader")
}

/// 38 (etcd's learners; RATIS-2283): a server that does not catch up stays a learner, and holds up
/// no commit.
#[test]
fn trap_38_a_laggard_is_not_promoted() {
    let mut cluster = led(3);
    cluster.join(S4);
    cluster.change(S1, Change::Add(S4)).expect("S1 leads");
    cluster.server_mut(S4).disk.stalled = true;
    cluster.run(Duration::from_secs(2));
    assert!(!cluster.status(S1).configuration.is_voter(S4));
    cluster.propose(S1, &["y"]);
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x", "y"]);
    cluster.server_mut(S4).disk.stalled = false;
    cluster.persist_all(S4);
    cluster.run(Duration::from_secs(1));
    assert_eq!(voters(&cluster, S1), [S1, S2, S3, S4]);
}

/// openraft 39690593 (actix-raft 0.6.1): a learner is one after a restart, too.
#[test]
fn trap_actix_raft_061_a_learner_restarts_as_a_learner() {
    let mut cluster = led(3);
    cluster.join(S4);
    cluster.change(S1, Change::AddLearner(S4)).expect("S1 leads");
    cluster.run(milliseconds(300));
    cluster.crash(S4);
    cluster.start(S4);
    assert_eq!(cluster.status(S4).configuration.learners(), [S4]);
    cluster.partition(&[&[S1, S2, S3], &[S4]]);
    cluster.run(Duration::from_secs(2));
    assert_eq!(cluster.role(S4), RoleKind::Follower);
}

/// 39: a member that leaves and is down holds up neither the change nor what follows it.
#[test]
fn trap_39_a_leaving_member_blocks_nothing() {
    let mut cluster = led(5);
    cluster.crash(S4);
    cluster.crash(S5);
    cluster.run(milliseconds(400));
    cluster.change(S1, Change::Voters(vec![S1, S2, S3])).expect("three of three answer");
    cluster.deliver_all();
    assert_eq!(voters(&cluster, S1), [S1, S2, S3]);
    cluster.propose(S1, &["y"]);
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x", "y"]);
    cluster.run(Duration::from_secs(2));
    let peers = cluster.status(S1).peers;
    assert_eq!(peers.iter().map(|peer| peer.id).collect::<Vec<_>>(), [S2, S3], "in the end");
}

/// 40 (openraft 0023cff1): a leader that is removed leads until that is committed, and does not
/// count itself.
#[test]
fn trap_40_a_removed_leader_stays_until_it_is_committed() {
    let mut cluster = led(3);
    cluster.change(S1, Change::Remove(S1)).expect("S1 leads");
    cluster.deliver_all();
    let leader = id_of_leader(&cluster);
    assert_ne!(leader, S1, "handed over");
    assert_eq!(voters(&cluster, leader), [S2, S3]);

    let mut cluster = led(3);
    cluster.change(S1, Change::Remove(S1)).expect("S1 leads");
    cluster.deliver_if(|packet| packet.from == S1);
    cluster.deliver_if(|packet| packet.from == S2);
    assert_eq!(cluster.status(S1).configuration.incoming(), [S2, S3]);
    cluster.partition(&[&[S1, S2], &[S3]]);
    cluster.run(milliseconds(100));
    assert_eq!(cluster.role(S1), RoleKind::Leader);
    let status = cluster.status(S1);
    assert!(status.commit_index < status.configured_at, "S2 alone is no majority of S2 and S3");
}

/// Thesis 4.2.2: whoever leaves may be needed, with the longest log, until that is committed.
#[test]
fn trap_40_whoever_leaves_stands_until_it_is_committed() {
    let entry = jangada::raft::EntryMeta {
        configuration: Some(Configuration::new([S2, S3]).into()),
        ..jangada::raft::EntryMeta::new(Term(1), 0)
    };
    let joint = Configuration::joint([S1, S2, S3], [S2, S3], []);
    let disk = Persistent { log: vec![entry], ..persistent(1, None, &[]) };
    let mut server = Server::member(joint, without_pre_vote(), disk);
    server.wake();
    assert_eq!(server.role(), RoleKind::Candidate);
    server.receive(S2, vote_reply(2, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Candidate, "its own vote does not count");
    server.receive(S3, vote_reply(2, false, Ok(())));
    assert_eq!(server.role(), RoleKind::Leader);
}

/// 44 (etcd raft `confchange_disable_validation.txt`): one change at a time. And 2.: only to the
/// configuration that is expected.
#[test]
fn trap_44_a_second_change_waits_for_the_first() {
    let mut cluster = led(3);
    cluster.change(S1, Change::AddLearner(S4)).expect("S1 leads");
    assert_eq!(cluster.change(S1, Change::Add(S5)), Err(ChangeRefusal::UnderWay));
    cluster.deliver_all();
    let request =
        jangada::raft::ChangeRequest { change: Change::Add(S5), expected: Some(Index(0)) };
    let done = cluster.step(S1, Input::Change(&request), &[]);
    let changed = ChangeRefusal::Changed { expected: Index(0), found: Index(3) };
    assert_eq!(done.change, Some(Err(changed)));
    assert!(cluster.change(S1, Change::Add(S5)).is_ok());
}

/// A change that would leave too few who answer is refused, with names; also when those who answer
/// do not know what they promised.
#[test]
fn a_change_that_loses_the_majority_is_refused() {
    let mut cluster = led(5);
    cluster.crash(S3);
    cluster.run(milliseconds(400));
    cluster.join(S4);
    cluster.beat(S1);
    assert!(cluster.status(S4).recovering, "it answers, and has not recovered yet");
    let refused = cluster.change(S1, Change::Voters(vec![S1, S3, S4]));
    let refusal =
        ChangeRefusal::LosesMajority { voters: vec![S1, S3, S4], alive: vec![S1], needed: 2 };
    assert_eq!(refused, Err(refusal));
}

/// 34 and 45 (RethinkDB 2.2.3, FAST'18): x is on S1 and S3. S3 loses its disk, S1 is down: S2, which
/// lacks x, is not elected.
#[test]
fn trap_34_a_server_without_its_disk_elects_nobody() {
    let mut cluster = Cluster::new(3);
    cluster.elect(S1);
    cluster.cut(S1, S2);
    cluster.propose(S1, &["x"]);
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x"]);
    cluster.crash(S1);
    cluster.join(S3);
    cluster.heal();
    cluster.campaign(S2);
    cluster.run(Duration::from_secs(2));
    assert_eq!(cluster.leader(), None);
    cluster.start(S1);
    cluster.run(Duration::from_secs(2));
    assert_eq!(cluster.leader(), Some(S1));
    assert!(!cluster.status(S3).recovering, "recovered from S1 and S2");
    assert_eq!(cluster.applied(S3), ["x"]);
    assert_eq!(cluster.status(S3).configuration.incoming(), [S1, S2, S3], "it knows the founders");
}

/// 45: nor does what it acknowledges commit anything, before a quorum has recovered it.
#[test]
fn trap_45_a_server_without_its_disk_commits_nothing() {
    let mut cluster = led(3);
    cluster.partition(&[&[S1, S3], &[S2]]);
    cluster.join(S3);
    cluster.propose(S1, &["y"]);
    cluster.run(milliseconds(200));
    assert_eq!(cluster.server(S3).log.len(), cluster.server(S1).log.len(), "it has all of it");
    assert_eq!(cluster.applied(S1), ["x"]);
    assert!(cluster.status(S3).recovering);
    cluster.heal();
    cluster.elect_if_none();
    cluster.run(milliseconds(500));
    assert!(!cluster.status(S3).recovering);
    assert_eq!(cluster.applied(id_of_leader(&cluster)), ["x", "y"]);
}

/// 45: it has recovered when the entry that it waits for is committed and on its disk, in any order.
#[test]
fn trap_45_a_server_recovers_with_the_entry_on_its_disk() {
    let recovered = |effects: &[Effect]| effects.contains(&Effect::SaveRecovered);
    for committed_first in [true, false] {
        let mut server = Server::on(Options::default(), Persistent::joining());
        let effects = server.append(S2, 1, at(0, 0), &[1], 0);
        let [(S2, Message::Rejoin(asked)), (S2, Message::AppendEntriesReply(_))] =
            sent(&[&effects[..], &server.persist()[..]].concat())[..]
        else {
            panic!("it asks the leader, and answers: {effects:?}");
        };
        let (term, life, entry) = (Term(1), asked.life, at(1, 2));
        server.receive(S2, Message::RejoinReply(RejoinReply { term, life, entry }));
        assert!(!recovered(&server.append(S2, 1, at(1, 1), &[1], 1)));
        let (first, second) = if committed_first {
            (server.append(S2, 1, at(1, 2), &[], 2), server.persist())
        } else {
            (server.persist(), server.append(S2, 1, at(1, 2), &[], 2))
        };
        assert!(!recovered(&first), "{first:?}");
        assert!(recovered(&second), "{second:?}");
    }
}

/// 45: a server that recovers while nobody hears it never says again that it has the entry, if it is
/// asked for what comes before: it goes on from there all the same.
#[test]
fn trap_45_a_server_recovers_unheard() {
    let limits = Limits { message_entries: 1, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut cluster = Cluster::with(3, &options, &BTreeMap::new());
    cluster.elect(S1);
    cluster.propose(S1, &["x", "y"]);
    cluster.deliver_all();
    cluster.crash(S3);
    cluster.join(S3);
    let answers = |packet: &Packet| {
        packet.from == S3 && matches!(packet.message, Message::AppendEntriesReply(_))
    };
    cluster.wake(S1);
    while cluster.deliver_if(|packet| !answers(packet)) > 0 {}
    assert_eq!(cluster.status(S1).commit_index, Index(4), "the entry that S3 waits for");
    // It says that it has nothing, then that it has the first entry, and is sent the others. One of
    // them is doubled and overtakes; that it does not fit is what S1 hears last.
    cluster.deliver_if(answers);
    cluster.deliver_if(|packet| packet.to == S3);
    cluster.deliver_if(answers);
    let [.., third, _] = &cluster.network[..] else {
        panic!("entries 2, 3 and 4 are on their way")
    };
    cluster.inject(third.clone());
    cluster.deliver(cluster.network.len() - 1);
    let rejection = cluster.network.pop().expect("S3 lacks entry 2");
    cluster.cut(S3, S1);
    cluster.run(Duration::from_secs(1));
    assert!(!cluster.status(S3).recovering && cluster.leader() == Some(S1));
    cluster.heal();
    cluster.inject(rejection);
    cluster.run(milliseconds(500));
    cluster.crash(S2);
    cluster.propose(S1, &["z"]);
    cluster.run(milliseconds(100));
    assert_eq!(cluster.applied(S1), ["x", "y", "z"]);
}

/// 45: the entry that it waits for may come as a part of a snapshot.
#[test]
fn trap_45_a_server_recovers_by_a_snapshot_too() {
    let mut server = Server::on(Options::default(), Persistent::joining());
    let [.., (S2, Message::Rejoin(asked)), _] = sent(&server.append(S2, 1, at(1, 9), &[], 0))[..]
    else {
        panic!("it asks the leader, and answers");
    };
    let (term, life, entry) = (Term(1), asked.life, at(1, 4));
    server.receive(S2, Message::RejoinReply(RejoinReply { term, life, entry }));
    let snapshot = SnapshotMeta {
        last_included: at(1, 6),
        ..SnapshotMeta::founding(Configuration::new([S1, S2, S3]))
    };
    let installed = server.step(Input::Fetched(&snapshot));
    assert!(!installed.contains(&Effect::SaveRecovered), "{installed:?}");
    let durable = server.step(Input::Persisted { term, last: Index(6) });
    assert!(durable.contains(&Effect::SaveRecovered), "{durable:?}");
}

/// 56: a leader whose disk stands still while the others write gives way, and says why. Alone in
/// that it stays: there is nobody better.
#[test]
fn trap_56_a_leader_whose_disk_stalls_gives_way() {
    for all in [false, true] {
        let mut cluster = led(3);
        cluster.recording = true;
        for id in if all { vec![S1, S2, S3] } else { vec![S1] } {
            cluster.server_mut(id).disk.stalled = true;
        }
        cluster.propose(S1, &["y"]);
        cluster.run(Duration::from_secs(1));
        assert_eq!(cluster.leader() == Some(S1), all);
        let said = cluster.take_events().iter().any(|line| line.contains("its disk has stalled"));
        assert_eq!(said, !all);
    }
}

/// canonical/raft 203: a handover does not stop at a pre-vote, though all hear the leader.
#[test]
fn trap_canonical_203_pre_vote_does_not_block_a_handover() {
    let mut cluster = led(3);
    cluster.hand_over(S1, Some(S3));
    cluster.deliver_all();
    assert_eq!((cluster.leader(), cluster.status(S3).term), (Some(S3), Term(2)));
}

/// 63 and openraft 2088: the target is dead. No write is taken meanwhile; after the shortest election
/// timeout the old leader serves again, in its term.
#[test]
fn trap_63_a_failed_handover_ends_soon() {
    let mut cluster = led(3);
    cluster.hand_over(S1, Some(S3));
    cluster.crash(S3);
    let refused = cluster.propose(S1, &["y"]).refused;
    assert_eq!(refused, Some(jangada::raft::Refusal::HandingOver(S3)));
    cluster.run(shortest_timeout());
    assert_eq!((cluster.leader(), cluster.status(S1).term), (Some(S1), Term(1)));
    cluster.propose(S1, &["y"]);
    cluster.deliver_all();
    assert_eq!(cluster.applied(S1), ["x", "y"]);
}

/// An order to stand that comes late is not followed: by whoever has heard that the leader led on,
/// nor by whoever has just started and may have.
#[test]
fn a_late_order_to_stand_is_refused() {
    let order = |round| {
        let (term, last_log) = (Term(1), at(1, 1));
        Message::TimeoutNow(TimeoutNow { term, last_log, round: Round(round) })
    };
    let mut server = Server::having(3, 1, &[1]);
    server.step(Input::Message {
        from: S2,
        message: append_entries(1, at(1, 1), 0, 1, 4),
        entries: &[],
    });
    assert_eq!(server.receive(S2, order(3)), []);
    server.restart();
    assert_eq!(server.receive(S2, order(3)), []);
    server.heartbeat(S2, 1);
    server.receive(S2, order(3));
    assert_eq!(server.role(), RoleKind::Candidate);
}

/// Nor is the vote given that such a server asks for.
#[test]
fn a_late_handover_elects_nobody() {
    let handed_over = |round| {
        let forced = Some(Force::Leader(Round(round)));
        Message::RequestVote(RequestVote {
            term: Term(2),
            last_log: at(1, 1),
            pre_vote: false,
            forced,
        })
    };
    let mut voter = Server::having(3, 1, &[1]);
    voter.step(Input::Message {
        from: S2,
        message: append_entries(1, at(1, 1), 0, 1, 4),
        entries: &[],
    });
    let refused = vote_of(&voter.receive(S3, handed_over(3)));
    assert_eq!((refused.term, refused.vote), (Term(1), Err(VoteRefusal::LeaderAlive(S2))));
    voter.restart();
    let refused = vote_of(&voter.receive(S3, handed_over(3)));
    assert_eq!((refused.term, refused.vote), (Term(1), Err(VoteRefusal::JustStarted)));
    voter.heartbeat(S2, 1);
    assert_eq!(vote_of(&voter.receive(S3, handed_over(4))).vote, Ok(()));
}

/// A voter of a higher priority that has caught up leads in the end, and the cluster then rests.
#[test]
fn priorities_are_followed_once() {
    let mut cluster = led(3);
    cluster.change(S1, Change::Priority(S3, 2)).expect("S1 leads");
    cluster.run(Duration::from_secs(1));
    assert_eq!(cluster.leader(), Some(S3));
    let term = cluster.status(S3).term;
    cluster.run(Duration::from_secs(10));
    assert_eq!((cluster.leader(), cluster.status(S3).term), (Some(S3), term));
}

/// Everyone may be exchanged, with service throughout.
#[test]
fn any_set_follows_any_set() {
    let mut cluster = led(3);
    for id in [S4, S5, S6] {
        cluster.join(id);
    }
    cluster.change(S1, Change::Voters(vec![S4, S5, S6])).expect("S1 leads");
    for count in 0..40 {
        cluster.run(milliseconds(25));
        let Some(leader) = cluster.leader() else { continue };
        let label = count.to_string();
        cluster.propose(leader, &[label.as_str()]);
    }
    cluster.run(milliseconds(500));
    let leader = id_of_leader(&cluster);
    assert_eq!(voters(&cluster, leader), [S4, S5, S6]);
    assert_eq!(cluster.applied(leader).len(), 41, "nothing was refused");
}

/// Growth from one server, which was founded alone.
#[test]
fn one_server_becomes_five() {
    let mut cluster = Cluster::new(1);
    cluster.run(milliseconds(200));
    for id in [S2, S3, S4, S5] {
        cluster.join(id);
        cluster.change(S1, Change::Add(id)).expect("S1 leads");
        cluster.run(milliseconds(500));
    }
    assert_eq!(voters(&cluster, S1), [S1, S2, S3, S4, S5]);
    cluster.change(S1, Change::Voters(vec![S1])).expect("S1 leads");
    cluster.run(milliseconds(100));
    assert_eq!(voters(&cluster, S1), [S1]);
}

/// The effect says why a leader hands over.
#[test]
fn a_handover_says_why() {
    let mut server = Server::of(3);
    server.establish();
    let effects = server.step(Input::HandOver { to: Some(S2) });
    let begun = Effect::HandingOver { to: S2, why: HandoverReason::Ordered };
    assert!(effects.contains(&begun), "{effects:?}");
}
