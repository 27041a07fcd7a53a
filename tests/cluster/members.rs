//! Members: added, removed, handed the leadership, joining again without their disk.

use jangada::actors::{EventKind, Order, OrderError, Sandbox, SandboxOptions, Servers};
use jangada::raft::{ChangeRefusal, Configuration, ServerId};
use jangada::storage::{DiskFault, DiskKind};

use crate::support::*;

/// Waits until the leader knows that these voters, and no change, are committed.
async fn members(sandbox: &Sandbox, voters: &[u64]) {
    let wanted = Configuration::new(voters.iter().copied().map(ServerId));
    for _ in 0..5000 {
        let events = sandbox.events().latest(usize::MAX);
        let latest = events.iter().filter_map(|event| match &event.kind {
            EventKind::Configured { at, configuration, .. } => Some((*at, configuration.clone())),
            _ => None,
        });
        if latest.max_by_key(|(at, _)| *at).is_some_and(|(_, found)| *found == wanted) {
            return;
        }
        sleep(ms(1)).await;
    }
    panic!("no {wanted} within five seconds: {:#?}", sandbox.events().latest(20));
}

#[test]
fn a_cluster_grows_from_one_to_five_and_back_while_it_is_used() {
    let options = SandboxOptions { servers: 1, ..SandboxOptions::default() };
    cluster_of(options, async |sandbox| {
        let client = journal(sandbox).await;
        let mut voters = vec![1];
        for new in 2..=5 {
            order(sandbox, Order::Add { server: ServerId(new), learner: false }).await;
            voters.push(new);
            append(&client, &format!("with {new}")).await.unwrap();
            members(sandbox, &voters).await;
        }
        assert_converges(sandbox, 5).await;
        for old in [2, 1, 3, 4] {
            order(sandbox, Order::Remove(only(ServerId(old)))).await;
            voters.retain(|id| *id != old);
            append(&client, &format!("without {old}")).await.unwrap();
            members(sandbox, &voters).await;
        }
        assert_eq!(sandbox.leader(), Some(ServerId(5)));
    });
}

#[test]
fn a_whole_set_is_changed_at_once() {
    let options = SandboxOptions { servers: 3, ..SandboxOptions::default() };
    cluster_of(options, async |sandbox| {
        let client = journal(sandbox).await;
        order(sandbox, Order::Members([4, 5, 6].map(ServerId).to_vec())).await;
        members(sandbox, &[4, 5, 6]).await;
        append(&client, "elsewhere").await.unwrap();
        assert!(sandbox.leader().unwrap() >= ServerId(4));
    });
}

#[test]
fn what_would_lose_the_majority_is_refused() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        journal(sandbox).await;
        let down = &others(5, &[first])[..2];
        order(sandbox, Order::Crash(Servers::Only(down.to_vec()))).await;
        sleep(ms(500)).await;
        let removed = others(5, &[first, down[0], down[1]])[0];
        let refused = sandbox.order(Order::Remove(only(removed))).await;
        let Err(OrderError::Change(ChangeRefusal::LosesMajority { needed, .. })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(needed, 3);
        order(sandbox, Order::Remove(only(down[0]))).await;
        let voters: Vec<_> = others(5, &[down[0]]).iter().map(|id| id.0).collect();
        members(sandbox, &voters).await;
    });
}

#[test]
fn the_leader_hands_over_by_order_by_priority_and_before_it_stops() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        journal(sandbox).await;
        let second = others(5, &[first])[0];
        order(sandbox, Order::Transfer(Some(second))).await;
        assert_eq!(leader_after(sandbox, first).await, second);
        let third = others(5, &[first, second])[0];
        order(sandbox, Order::Priority { servers: only(third), priority: 9 }).await;
        assert_eq!(leader_after(sandbox, second).await, third);
        order(sandbox, Order::Stop(only(third))).await;
        sandbox.wait_for_leader(ms(1)).await.expect("the next led before the last one stopped");
    });
}

/// TRAPS 45: without its disk a server is nobody, until a quorum has recovered it.
#[test]
fn trap_45_a_server_that_lost_its_disk_joins_again() {
    let options = SandboxOptions { disks: DiskKind::Simulated, ..SandboxOptions::default() };
    cluster_of(options, async |sandbox| {
        let first = leader(sandbox).await;
        let client = journal(sandbox).await;
        let lost = others(5, &[first])[0];
        order(sandbox, Order::Crash(only(lost))).await;
        let fault = DiskFault::Destroy;
        order(sandbox, Order::DiskFault { servers: only(lost), fault }).await;
        assert!(sandbox.order(Order::Recover(only(lost))).await.is_err());
        order(sandbox, Order::Rejoin(only(lost))).await;
        append(&client, "without it").await.unwrap();
        assert_converges(sandbox, 5).await;
        let recovered = EventKind::Recovered { server: lost };
        sleep(ms(500)).await;
        assert!(sandbox.events().latest(100).iter().any(|event| event.kind == recovered));
        let others = others(5, &[first, lost])[..2].to_vec();
        order(sandbox, Order::Crash(Servers::Only(others))).await;
        append(&client, "with it: three of five are needed").await.unwrap();
    });
}

#[test]
fn one_survivor_is_made_a_cluster_of_its_own() {
    let options = SandboxOptions { servers: 3, ..SandboxOptions::default() };
    cluster_of(options, async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "kept").await.unwrap();
        sleep(ms(200)).await;
        let survivor = ServerId(2);
        order(sandbox, Order::Crash(Servers::All)).await;
        order(sandbox, Order::Salvage(survivor)).await;
        let leader = leader(sandbox).await;
        assert_eq!(leader, survivor);
        order(sandbox, Order::Recover(Servers::Only(vec![ServerId(1), ServerId(3)]))).await;
        let survivor = client.at(survivor);
        assert_eq!(get(&survivor, FILE).await.unwrap(), "kept\n".as_bytes());
        append(&survivor, "and on").await.unwrap();
    });
}
