//! Slow and stalled disks and state machines: they delay answers, and nothing else.

use jangada::actors::{Order, Servers};
use jangada::raft::Index;

use crate::support::*;

/// TRAPS 55: disks are not on the heartbeats' path, however slow all of them are.
#[test]
fn trap_55_slow_disks_cause_no_election() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(600) }).await;
        for line in 0..10 {
            append(&client, &line.to_string()).await.unwrap();
        }
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        let expected: Vec<String> = (0..10).map(|line| line.to_string()).collect();
        assert_eq!(lines(&client).await.unwrap(), expected);
    });
}

#[test]
fn trap_55_stalled_disks_cause_no_election() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::DiskStall(Servers::All)).await;
        let writer = client.clone();
        let write = tokio::task::spawn_local(async move { append(&writer, "patience").await });
        sleep(ms(3000)).await;
        assert!(!write.is_finished(), "no disk has it");
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(0) }).await;
        sleep(ms(1)).await;
        write.await.unwrap().unwrap();
        assert_eq!(lines(&client).await.unwrap(), ["patience"], "retried, and applied once");
        assert_converges(sandbox, 5).await;
    });
}

/// TRAPS 56: the leader's own disk stands still; the others' majority commits without it.
#[test]
fn trap_56_a_leader_with_a_stalled_disk_commits_through_the_others() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::DiskStall(only(first))).await;
        append(&client, "on the others' disks").await.unwrap();
        sleep(ms(5000)).await;
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        // Its copy is on no disk, and nobody needs it.
        order(sandbox, Order::Crash(only(first))).await;
        assert_eq!(lines(&client).await.unwrap(), ["on the others' disks"]);
    });
}

/// A vote must be on disk before it is said: with stalled disks nobody is elected.
#[test]
fn a_vote_that_is_not_durable_is_not_given() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        order(sandbox, Order::DiskStall(Servers::All)).await;
        order(sandbox, Order::Crash(only(first))).await;
        sleep(ms(3000)).await;
        assert_eq!(sandbox.leader(), None);
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(30) }).await;
        leader(sandbox).await;
    });
}

/// TRAPS "Applying entries blocked the leader": a state machine that stands still does not keep
/// its server from leading.
#[test]
fn trap_applying_does_not_block_the_leader() {
    for stalled in [false, true] {
        cluster(async |sandbox| {
            let client = journal(sandbox).await;
            let first = leader(sandbox).await;
            let slow = if stalled {
                Order::ApplyStall(Servers::All)
            } else {
                Order::ApplyLatency { servers: Servers::All, latency: ms(700) }
            };
            order(sandbox, slow).await;
            let write = tokio::task::spawn_local({
                let client = client.clone();
                async move { append(&client, "slowly").await }
            });
            sleep(ms(400)).await;
            let status = server(sandbox, first).await;
            assert!(status.commit_index > status.applied_index, "committed, not applied");
            assert!(!write.is_finished(), "answered before it was applied");
            sleep(ms(3000)).await;
            order(sandbox, Order::ApplyLatency { servers: Servers::All, latency: ms(0) }).await;
            write.await.unwrap().unwrap();
            assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
            assert_eq!(lines(&client).await.unwrap(), ["slowly"]);
            assert_converges(sandbox, 5).await;
        });
    }
}

#[test]
fn a_slow_state_machine_on_a_follower_delays_only_its_own_reads() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let slow = others(5, &[first])[0];
        order(sandbox, Order::ApplyStall(only(slow))).await;
        append(&client, "fast").await.unwrap();
        assert_eq!(lines(&client.at(first)).await.unwrap(), ["fast"]);
        let reader = client.at(slow);
        let read = tokio::task::spawn_local(async move { lines(&reader).await });
        sleep(ms(1000)).await;
        assert!(!read.is_finished(), "read from a state that lacks what was answered");
        order(sandbox, Order::ApplyLatency { servers: only(slow), latency: ms(1) }).await;
        assert_eq!(read.await.unwrap().unwrap(), ["fast"]);
    });
}

/// A stalled state machine loses its place when its server crashes, and applies all again.
#[test]
fn a_recovered_state_machine_applies_the_log_from_the_start() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let victim = others(5, &[first])[0];
        order(sandbox, Order::ApplyStall(only(victim))).await;
        append(&client, "later").await.unwrap();
        order(sandbox, Order::Crash(only(victim))).await;
        order(sandbox, Order::Recover(only(victim))).await;
        sleep(ms(1000)).await;
        let stalled = server(sandbox, victim).await;
        assert_eq!(stalled.applied_index, Index(0), "the order outlives the crash");
        order(sandbox, Order::ApplyLatency { servers: only(victim), latency: ms(0) }).await;
        assert_converges(sandbox, 5).await;
    });
}
