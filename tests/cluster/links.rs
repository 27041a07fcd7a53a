//! Partitions, one-way cuts, loss, duplication, reordering and delay.

use jangada::actors::{ClientError, Order, Sandbox, Servers};
use jangada::raft::{RoleKind, ServerId};

use crate::support::*;

/// Two leaders in different terms, and what becomes of the old one's entries.
#[test]
fn a_leader_in_the_minority_stops_accepting_and_its_entries_are_replaced() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let old = leader(sandbox).await;
        let minority = vec![old, others(5, &[old])[0]];
        let majority = others(5, &minority);
        order(sandbox, Order::Partition(vec![minority.clone(), majority.clone()])).await;
        let before = server(sandbox, old).await.last_log.index;
        let taken = append(&sandbox_client(sandbox).await.at(old), "never").await;
        assert!(matches!(taken, Err(ClientError::Unknown | ClientError::NotDone(_))));
        let next = leader_after(sandbox, old).await;
        assert!(majority.contains(&next));
        // Check-quorum: the old leader notices by itself.
        sleep(ms(400)).await;
        assert_ne!(server(sandbox, old).await.role, Some(RoleKind::Leader));
        let refused = append(&client.at(old), "refused").await;
        assert!(matches!(refused, Err(ClientError::NotDone(_))), "{refused:?}");
        append(&client, "by the majority").await.unwrap();
        assert!(server(sandbox, old).await.last_log.index >= before);
        order(sandbox, Order::Heal).await;
        assert_converges(sandbox, 5).await;
        assert_eq!(lines(&client).await.unwrap(), ["by the majority"]);
    });
}

/// A client with an open session, so that its next change is one call.
async fn sandbox_client(sandbox: &Sandbox) -> jangada::actors::Client {
    let client = sandbox.client();
    client.set_patience(ms(300));
    client
}

/// TRAPS 50: a leader that is heard and hears nothing steps down.
#[test]
fn trap_50_a_deaf_leader_steps_down() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let deaf = leader(sandbox).await;
        order(sandbox, Order::Cut { from: Servers::All, to: only(deaf) }).await;
        leader_after(sandbox, deaf).await;
        append(&client, "by another").await.unwrap();
        sleep(ms(1000)).await;
        let before = elections(sandbox);
        sleep(ms(5000)).await;
        assert_eq!(elections(sandbox), before, "the deaf server deposes nobody");
    });
}

/// TRAPS 51: a leader that hears everyone and is not heard is replaced.
#[test]
fn trap_51_a_mute_leader_is_replaced() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let mute = leader(sandbox).await;
        order(sandbox, Order::Cut { from: only(mute), to: Servers::All }).await;
        leader_after(sandbox, mute).await;
        append(&client, "by another").await.unwrap();
    });
}

/// TRAPS 46, 47 and 52: chains and bridges keep a leader once they have one.
#[test]
fn trap_46_47_52_partial_partitions_settle() {
    let both = |a: u64, b: u64| [(a, b), (b, a)];
    let all: Vec<(u64, u64)> =
        (1..=5).flat_map(|a| (1..=5).map(move |b| (a, b))).filter(|(a, b)| a != b).collect();
    let chain: Vec<_> = (1..=4).flat_map(|a| both(a, a + 1)).collect();
    let star: Vec<_> = (2..=5).flat_map(|a| both(1, a)).collect();
    let lonely: Vec<_> = [both(1, 2), both(1, 3), both(2, 3), both(4, 2), both(5, 3)].concat();
    let half_switch: Vec<_> =
        all.iter().copied().filter(|link| !both(1, 2).contains(link)).collect();
    let quorum_needs_a_middle = [
        ("star: only the middle one can lead", star),
        ("two servers with one neighbour each", lonely),
        ("one pair cut off from each other", half_switch),
    ];
    for (shape, links) in quorum_needs_a_middle {
        cluster(async |sandbox| {
            let client = journal(sandbox).await;
            for (from, to) in all.iter().filter(|link| !links.contains(link)) {
                let (from, to) = (only(ServerId(*from)), only(ServerId(*to)));
                order(sandbox, Order::Cut { from, to }).await;
            }
            append(&client, shape).await.unwrap_or_else(|error| panic!("{shape}: {error}"));
            sleep(ms(3000)).await;
            let before = elections(sandbox);
            sleep(ms(10_000)).await;
            assert_eq!(elections(sandbox), before, "{shape}: leaders keep falling");
            append(&client, shape).await.unwrap_or_else(|error| panic!("{shape}: {error}"));
        });
    }
    // In a chain of five, the three in the middle hear two neighbours: each may lead.
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        for (from, to) in all.iter().filter(|link| !chain.contains(link)) {
            let (from, to) = (only(ServerId(*from)), only(ServerId(*to)));
            order(sandbox, Order::Cut { from, to }).await;
        }
        append(&client, "chain").await.unwrap();
        order(sandbox, Order::Heal).await;
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn appends_arrive_once_and_in_order_whatever_the_links_do() {
    let all = || Servers::All;
    let rules = [
        vec![Order::Loss { from: all(), to: all(), probability: 0.2 }],
        vec![Order::Duplicate { from: all(), to: all(), probability: 0.7 }],
        vec![Order::Reorder { from: all(), to: all(), probability: 0.7 }],
        vec![Order::Delay { from: all(), to: all(), latency: ms(20), jitter: ms(20) }],
        vec![
            Order::Loss { from: all(), to: all(), probability: 0.1 },
            Order::Duplicate { from: all(), to: all(), probability: 0.3 },
            Order::Reorder { from: all(), to: all(), probability: 0.3 },
            Order::Delay { from: all(), to: all(), latency: ms(5), jitter: ms(10) },
        ],
    ];
    for rules in rules {
        cluster(async |sandbox| {
            let client = journal(sandbox).await;
            client.set_patience(ms(60_000));
            for rule in rules {
                order(sandbox, rule).await;
            }
            let wanted: Vec<String> = (0..60).map(|line| line.to_string()).collect();
            for line in &wanted {
                append(&client, line).await.unwrap();
            }
            assert_eq!(lines(&client).await.unwrap(), wanted);
            order(sandbox, Order::Heal).await;
            assert_converges(sandbox, 5).await;
            assert_eq!(lines(&client).await.unwrap(), wanted);
        });
    }
}

#[test]
fn loss_of_everything_is_a_cut_and_heal_ends_it() {
    cluster(async |sandbox| {
        leader(sandbox).await;
        let all = || Servers::All;
        order(sandbox, Order::Loss { from: all(), to: all(), probability: 1.0 }).await;
        sleep(ms(3000)).await;
        assert_eq!(sandbox.leader(), None);
        assert_eq!(server(sandbox, ServerId(1)).await.links.len(), 4);
        order(sandbox, Order::Heal).await;
        leader(sandbox).await;
        assert_eq!(server(sandbox, ServerId(1)).await.links.len(), 0);
    });
}

/// Heal also frees the links of what a long delay still keeps on the way.
#[test]
fn after_heal_nothing_waits_behind_a_delayed_message() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let (from, to) = (Servers::All, Servers::All);
        order(sandbox, Order::Delay { from, to, latency: ms(60_000), jitter: ms(0) }).await;
        sleep(ms(2000)).await;
        assert_eq!(sandbox.leader(), None);
        order(sandbox, Order::Heal).await;
        leader(sandbox).await;
        append(&client, "soon").await.unwrap();
        assert_converges(sandbox, 5).await;
    });
}

/// The same for a server that was slow: fast means fast.
#[test]
fn a_server_that_is_fast_again_is_so_at_once() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        order(sandbox, Order::Speed { servers: Servers::All, latency: ms(60_000) }).await;
        sleep(ms(2000)).await;
        assert_eq!(sandbox.leader(), None);
        order(sandbox, Order::Speed { servers: Servers::All, latency: ms(0) }).await;
        leader(sandbox).await;
        append(&client, "soon").await.unwrap();
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn a_delayed_link_keeps_the_order_of_its_messages() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let jitter =
            Order::Delay { from: only(first), to: Servers::All, latency: ms(10), jitter: ms(30) };
        order(sandbox, jitter).await;
        for line in 0..50 {
            append(&client, &line.to_string()).await.unwrap();
        }
        assert_eq!(elections(sandbox), 1);
        assert_eq!(lines(&client).await.unwrap().len(), 50);
    });
}
