//! Snapshots: taken while work goes on, restarted from, sent to those who lack what is gone.

use bytes::Bytes;
use jangada::actors::{EventKind, Order, Sandbox, SandboxOptions, SnapshotPolicy};
use jangada::raft::{Index, ServerId};
use jangada::storage::DiskKind;

use crate::support::*;

/// A snapshot every 40 entries, on disks that write what real ones would, and a short tail.
fn often() -> SandboxOptions {
    let mut options = SandboxOptions {
        snapshots: SnapshotPolicy { entries: 40, bytes: u64::MAX },
        disks: DiskKind::Simulated,
        ..SandboxOptions::default()
    };
    options.raft.limits.kept_entries = 5;
    options
}

fn snapshots_of(sandbox: &Sandbox, id: ServerId) -> Vec<Index> {
    let events = sandbox.events().latest(usize::MAX);
    let taken = events.iter().filter_map(|event| match &event.kind {
        EventKind::Snapshotted { server, last_included } if *server == id => {
            Some(last_included.index)
        }
        _ => None,
    });
    taken.collect()
}

fn installed(sandbox: &Sandbox) -> Vec<(ServerId, (u64, u64))> {
    let events = sandbox.events().latest(usize::MAX);
    let installed = events.iter().filter_map(|event| match &event.kind {
        EventKind::Installed { server, chunks, .. } => Some((*server, *chunks)),
        _ => None,
    });
    installed.collect()
}

#[test]
fn logs_are_compacted_and_servers_restart_from_their_snapshots() {
    cluster_of(often(), async |sandbox| {
        let client = journal(sandbox).await;
        for line in 0..200 {
            append(&client, &line.to_string()).await.unwrap();
        }
        let whole = get(&client, FILE).await.unwrap();
        for id in (1..=5).map(ServerId) {
            assert!(snapshots_of(sandbox, id).len() >= 4, "{id}");
        }
        order(sandbox, Order::Crash(jangada::actors::Servers::All)).await;
        order(sandbox, Order::Recover(jangada::actors::Servers::All)).await;
        assert_eq!(get(&client, FILE).await.unwrap(), whole);
        append(&client, "and on").await.unwrap();
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn content_that_is_not_in_memory_is_read_after_snapshots_and_restarts() {
    cluster_of(often(), async |sandbox| {
        let client = journal(sandbox).await;
        let mut large: Bytes =
            (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
        put(&client, "large", large.clone()).await.unwrap();
        for round in 0..3_u8 {
            order(sandbox, Order::Snapshot(jangada::actors::Servers::All)).await;
            sleep(ms(500)).await;
            assert!(get(&client, "large").await.unwrap() == large, "after snapshot {round}");
            if round == 1 {
                order(sandbox, Order::Crash(jangada::actors::Servers::All)).await;
                order(sandbox, Order::Recover(jangada::actors::Servers::All)).await;
                assert!(get(&client, "large").await.unwrap() == large, "after a restart");
            }
            let more = Bytes::from(vec![round; 70_000]);
            client.append("large", 70_000, more.clone(), |_| {}).await.unwrap();
            large = [large, more].concat().into();
        }
        assert!(get(&client, "large").await.unwrap() == large);
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn a_server_that_was_down_too_long_is_sent_what_it_lacks_of_the_snapshot() {
    cluster_of(often(), async |sandbox| {
        let first = leader(sandbox).await;
        let client = journal(sandbox).await;
        let large: Bytes =
            (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
        put(&client, "large", large).await.unwrap();
        sleep(ms(100)).await;
        order(sandbox, Order::Snapshot(jangada::actors::Servers::All)).await;
        sleep(ms(500)).await;
        let late = others(5, &[first])[0];
        order(sandbox, Order::Crash(only(late))).await;
        for line in 0..100 {
            append(&client, &line.to_string()).await.unwrap();
        }
        order(sandbox, Order::Recover(only(late))).await;
        assert_converges(sandbox, 5).await;
        let installs = installed(sandbox);
        let [(server, (sent, all))] = installs[..] else { panic!("{installs:?}") };
        assert_eq!(server, late);
        assert!(sent < all / 2, "most of the large file was there: {sent} of {all} were sent");
    });
}
