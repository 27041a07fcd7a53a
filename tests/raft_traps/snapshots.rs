//! Snapshots: rows 6, 7, 8, 14, 41 and 58 to 61, and what openraft got wrong of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jangada::raft::{
    AppendOutcome, Change, Configuration, Effect, EntryMeta, Fetched, Index, Input,
    InstallSnapshot, Limits, Message, Options, Part, Persistent, Position, RoleKind, Round,
    ServerId, SnapshotMeta, Term,
};

use crate::support::cluster::{Cluster, Packet};
use crate::support::node::*;

fn keeping(entries: u64) -> Options {
    let limits = Limits { kept_entries: entries, ..Limits::default() };
    Options { limits, ..Options::default() }
}

/// A cluster of three that keeps no tail. S1 leads, S3 is down and lacks `a` to `e`, and S1 has a
/// snapshot of all that.
fn without_s3() -> Cluster {
    let mut cluster = Cluster::with(3, &keeping(0), &BTreeMap::new());
    cluster.elect(S1);
    cluster.crash(S3);
    cluster.propose(S1, &["a", "b", "c", "d", "e"]);
    cluster.run(longest_timeout() + Duration::from_millis(50));
    assert!(cluster.snapshot(S1));
    assert_eq!(cluster.server(S1).base, at(1, 6));
    cluster
}

fn installs(packet: &Packet) -> bool {
    matches!(packet.message, Message::InstallSnapshot(_))
}

fn meta(last_included: Position, members: &[ServerId], configured_at: u64) -> SnapshotMeta {
    let configuration = Configuration::new(members.iter().copied());
    SnapshotMeta { last_included, configuration, configured_at: Index(configured_at) }
}

/// A follower whose snapshot ends with 5@1, and whose log goes on to 7@1.
fn compacted() -> Server {
    let snapshot = meta(at(1, 5), &[S1, S2, S3], 0);
    let log = metas(&[1, 1]);
    let disk = Persistent { base: at(1, 5), snapshot, log, ..persistent(1, None, &[]) };
    Server::on(Options::default(), disk)
}

fn install(term: u64, last_included: Position, part: Option<Part>) -> Message {
    let (term, round) = (Term(term), Round(1));
    Message::InstallSnapshot(InstallSnapshot { term, last_included, round, part })
}

/// 6 (openraft 44381b0c): what lies before the log's beginning is no conflict.
#[test]
fn trap_06_entries_before_the_base_are_no_conflict() {
    for prev in 0..=5 {
        let mut follower = compacted();
        let entries = metas(&vec![1; 7 - prev]);
        let message =
            append_entries(1, at(u64::from(prev > 0), prev as u64), 7 - prev as u64, 5, 1);
        let effects = follower.step(Input::Message { from: S2, message, entries: &entries });
        assert_eq!(answer_of(&effects).outcome, AppendOutcome::Matched(Index(7)));
        let appended = effects.iter().any(|effect| matches!(effect, Effect::Append { .. }));
        assert!(!appended, "{effects:?}");
        assert_eq!(follower.status().last_log, at(1, 7));
    }
    let mut follower = compacted();
    let effects = follower.append(S2, 1, at(1, 2), &[1, 1], 4);
    assert_eq!(answer_of(&effects).outcome, AppendOutcome::Matched(Index(4)), "all before it");
}

/// 7 (openraft 674e78aa): entries that conflict with a snapshot go with the log, in the one write
/// that installs it.
#[test]
fn trap_07_a_snapshot_takes_the_place_of_a_conflicting_log() {
    let mut follower = Server::having(3, 2, &[1, 2, 2, 2]);
    follower.receive(S2, install(3, at(3, 3), None));
    let snapshot = meta(at(3, 3), &[S1, S2, S3], 0);
    let effects = follower.step(Input::Fetched(&snapshot));
    assert_eq!(effects, [Effect::Install(snapshot.into()), Effect::Commit(Index(3))]);
    let status = follower.status();
    assert_eq!((status.last_log, status.log_base, status.durable_index.0), (at(3, 3), Index(3), 0));
    // What the disk says of the log before is not about the snapshot.
    assert_eq!(follower.step(Input::Persisted { term: Term(2), last: Index(4) }), []);
    let effects = follower.step(Input::Persisted { term: Term(3), last: Index(3) });
    assert_eq!(answer_of(&effects).outcome, AppendOutcome::Matched(Index(3)));
}

/// 8 (openraft eed681d5): a snapshot that the log has overtaken meanwhile is not installed.
#[test]
fn trap_08_a_snapshot_never_goes_back() {
    let mut follower = Server::having(3, 1, &[1, 1]);
    follower.receive(S2, install(1, at(1, 4), None));
    follower.append(S2, 1, at(1, 2), &[1, 1, 1], 5);
    follower.persist();
    let effects = follower.step(Input::Fetched(&meta(at(1, 4), &[S1, S2, S3], 0)));
    assert_eq!(effects, []);
    assert_eq!((follower.commit(), follower.status().last_log), (5, at(1, 5)));
    // Offered again it is taken for what it is: all there.
    let effects = follower.receive(S2, install(1, at(1, 4), Some(Part::List(0))));
    assert_eq!(answer_of(&effects).outcome, AppendOutcome::Matched(Index(4)));
}

/// 8: a leader installs nothing.
#[test]
fn trap_08_a_leader_installs_nothing() {
    let mut leader = Server::of(3);
    leader.establish();
    assert_eq!(leader.step(Input::Fetched(&meta(at(1, 9), &[S1, S2, S3], 0))), []);
    let (want, have) = (&[Part::List(0)], Fetched::default());
    let last_included = at(1, 9);
    assert_eq!(leader.step(Input::Fetching { last_included, want, have }), []);
}

/// 14 (etcd raft 76f1249, RATIS-2507): a rejection that comes after compaction leads to a snapshot.
#[test]
fn trap_14_a_rejection_after_compaction_leads_to_a_snapshot() {
    let mut leader = Server::with(3, keeping(0), Persistent::default());
    leader.establish();
    leader.propose(4);
    leader.persist();
    let round = leader.round();
    leader.receive(S2, matched(1, 5, round));
    assert_eq!(leader.commit(), 5);
    leader.step(Input::Applied(Index(5)));
    leader.pass(400);
    leader.receive(S2, matched(1, 5, round));
    let snapshot = leader.node.snapshot_at(Index(5)).expect("5 is in the log");
    let effects = leader.step(Input::Snapshotted(&snapshot));
    assert_eq!(effects, [Effect::Compact(Index(5))]);
    let effects = leader.receive(S3, rejected(1, 1, at(0, 0), round));
    let offered = sent(&effects).iter().any(|(to, message)| {
        *to == S3 && matches!(message, Message::InstallSnapshot(it) if it.last_included == at(1, 5))
    });
    let probed = sent(&effects);
    assert!(offered || probed.is_empty(), "{probed:?}");
    let effects = leader.receive(S3, rejected(1, 5, at(0, 0), round));
    assert!(sent(&effects).iter().all(|(_, it)| !matches!(it, Message::AppendEntries(_))));
    assert_eq!(leader.role(), RoleKind::Leader);
}

/// 41 (NuRaft f9c7462): of the configurations in a snapshot and in the log behind it the latest
/// holds.
#[test]
fn trap_41_the_latest_configuration_holds() {
    let entry = EntryMeta {
        configuration: Some(Configuration::new([S1, S2]).into()),
        ..EntryMeta::new(Term(1), 0)
    };
    for (configured_at, latest) in [(0, 6), (7, 7)] {
        let snapshot = meta(at(1, configured_at.max(5)), &[S1, S2, S3], configured_at);
        let log = vec![entry.clone(), EntryMeta::new(Term(1), 1)];
        let disk = Persistent { base: at(1, 5), snapshot, log, ..persistent(1, None, &[]) };
        let server = Server::on(Options::default(), disk);
        assert_eq!(server.status().configured_at, Index(latest));
        assert_eq!(server.status().configuration.incoming().len(), if latest == 6 { 2 } else { 3 });
    }
}

/// openraft dba24036 and 447dc11c: the members survive one compaction after the other.
#[test]
fn trap_openraft_dba24036_members_survive_two_compactions() {
    let mut cluster = Cluster::with(3, &keeping(0), &BTreeMap::new());
    cluster.elect(S1);
    cluster.change(S1, Change::Remove(S3)).expect("S1 leads");
    cluster.run(Duration::from_secs(2));
    for command in ["x", "y"] {
        cluster.propose(S1, &[command]);
        cluster.run(Duration::from_millis(100));
        assert!(cluster.snapshot(S1));
    }
    cluster.crash(S1);
    cluster.start(S1);
    assert_eq!(cluster.status(S1).configuration.incoming(), [S1, S2]);
    assert_eq!(cluster.status(S1).log_base, cluster.status(S1).last_log.index);
}

/// openraft 1808: a configuration of the log that a snapshot takes the place of is gone: majorities
/// that share nobody would be the end of it.
#[test]
fn trap_openraft_1808_a_snapshot_brings_its_configuration() {
    let uncommitted = EntryMeta {
        configuration: Some(Configuration::new([S1, S4, S5]).into()),
        ..EntryMeta::new(Term(2), 0)
    };
    let mut log = metas(&[1]);
    log.push(uncommitted);
    let disk = Persistent { log, ..persistent(2, None, &[]) };
    let mut follower = Server::with(3, Options::default(), disk);
    assert_eq!(follower.status().configuration.incoming(), [S1, S4, S5]);
    follower.receive(S2, install(3, at(3, 4), None));
    follower.step(Input::Fetched(&meta(at(3, 4), &[S1, S2, S3], 0)));
    assert_eq!(follower.status().configuration.incoming(), [S1, S2, S3]);
    assert_eq!(follower.status().configured_at, Index(0));
}

/// openraft 2eccb9e1: the parts of a snapshot come doubled, in any order, and in part not at all.
#[test]
fn trap_openraft_2eccb9e1_parts_come_in_any_order() {
    let mut dropped = 0;
    for seed in 0..50_usize {
        let mut cluster = without_s3();
        cluster.start(S3);
        for turn in 0..400 {
            if cluster.network.is_empty() {
                cluster.wake(S1);
            }
            let place = (turn * 7 + seed * 13) % cluster.network.len();
            let packet = cluster.network[place].clone();
            if installs(&packet) && (turn + seed) % 3 == 0 {
                cluster.inject(packet);
                cluster.deliver(place);
            } else if installs(&packet) && (turn + seed) % 5 == 0 {
                cluster.network.remove(place);
                dropped += 1;
            } else {
                cluster.deliver(place);
            }
        }
        cluster.run(Duration::from_millis(200));
        assert_eq!(cluster.applied(S3), ["a", "b", "c", "d", "e"], "seed {seed}");
    }
    assert!(dropped > 50, "{dropped}");
}

/// 58 (openraft 808, RATIS-2152): a peer that needs a snapshot and is not there blocks nothing.
#[test]
fn trap_58_a_snapshot_to_nobody_blocks_nothing() {
    let mut cluster = without_s3();
    cluster.propose(S1, &["f"]);
    cluster.run(Duration::from_secs(1));
    assert!(cluster.applied(S1).contains(&"f".to_owned()));
    assert!(cluster.snapshot(S1), "nor the next snapshot");
    assert_eq!(cluster.server(S1).base, at(1, 7), "nor compaction");
}

/// 59 (hashicorp 1.3.0): snapshots come faster than one travels. The log is kept from where the
/// transfer under way ends, and the follower catches up by it.
#[test]
fn trap_59_the_log_is_kept_for_a_transfer() {
    let mut cluster = without_s3();
    cluster.start(S3);
    cluster.wake(S1);
    for _ in 0..4 {
        cluster.deliver_if(|packet| packet.to == S3);
        cluster.deliver_if(|packet| packet.from == S3);
    }
    assert!(!cluster.server(S3).applied.contains(&cluster.committed[5]));
    cluster.propose(S1, &["f"]);
    cluster.deliver_if(|packet| packet.to == S2);
    cluster.deliver_if(|packet| packet.from == S2);
    assert!(cluster.snapshot(S1));
    assert_eq!(cluster.server(S1).base, at(1, 6), "kept");
    let newer = |packet: &Packet| matches!(packet.message, Message::InstallSnapshot(it) if it.last_included == at(1, 7));
    for _ in 0..5 {
        assert_eq!(cluster.deliver_if(newer), 0, "no second transfer");
        cluster.run(Duration::from_millis(50));
    }
    assert_eq!(cluster.applied(S3), ["a", "b", "c", "d", "e", "f"]);
}

/// 59: nor is cut what a follower still lacks that had the last snapshot.
#[test]
fn trap_59_the_log_is_kept_for_whoever_catches_up() {
    let mut cluster = without_s3();
    cluster.start(S3);
    cluster.run(Duration::from_millis(200));
    cluster.server_mut(S3).disk.stalled = true;
    cluster.propose(S1, &["f", "g"]);
    cluster.run(Duration::from_millis(100));
    assert!(cluster.snapshot(S1));
    assert_eq!(cluster.server(S1).base, at(1, 6));
}

/// 60 (LogCabin 174, NuRaft 6ae69b0): either side restarts in the middle.
#[test]
fn trap_60_a_transfer_survives_restarts() {
    for victim in [S1, S3] {
        for rounds in 1..8 {
            let mut cluster = without_s3();
            cluster.start(S3);
            cluster.wake(S1);
            for _ in 0..rounds {
                cluster.deliver_round();
            }
            cluster.crash(victim);
            cluster.start(victim);
            cluster.run(Duration::from_secs(2));
            assert_eq!(cluster.applied(S3), ["a", "b", "c", "d", "e"], "{victim} after {rounds}");
        }
    }
}

/// 61 (etcd 18055): two snapshots come in a short time, in either order: the newer one stays.
#[test]
fn trap_61_of_two_snapshots_the_newer_stays() {
    for order in [[3, 5], [5, 3]] {
        let mut follower = Server::having(3, 1, &[1]);
        for index in order {
            follower.receive(S2, install(1, at(1, index), None));
        }
        for index in order {
            follower.step(Input::Fetched(&meta(at(1, index), &[S1, S2, S3], 0)));
        }
        let status = follower.status();
        assert_eq!(
            (status.last_log, status.commit_index, status.snapshot),
            (at(1, 5), Index(5), Index(5))
        );
    }
}
