//! Much at once: consensus never waits behind clients, and payloads are not copied.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use jangada::actors::{ClientError, Machine, Order, SandboxOptions, Servers};
use jangada::raft::{Index, RoleKind};

use crate::support::*;

const PROPOSALS: usize = 100_000;

fn quiet() -> SandboxOptions {
    let options = SandboxOptions { record_commands: false, ..SandboxOptions::default() };
    options.with_machine(Tally::default)
}

#[test]
fn a_hundred_thousand_queued_proposals_are_answered_without_an_election() {
    cluster_of(quiet(), async |sandbox| {
        let client = sandbox.client();
        client.change(any_command(), &[]).await.unwrap();
        let first = leader(sandbox).await;
        // Time must pass while they are carried out, or no timer could fire.
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(100) }).await;
        let calls = at_once(PROPOSALS, || {
            let client = client.at(first);
            async move { client.change(any_command(), &[]).await }
        });
        let calls = calls.await;
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        let applied = server(sandbox, first).await.applied_index;
        // A no-op, the opening of the session and the first command came before.
        assert_eq!(applied, Index(3 + PROPOSALS as u64));
        assert_converges(sandbox, 5).await;
    });
}

/// A message that arrives behind 100,000 proposals is handled after a turn of them, not after all.
#[test]
fn consensus_does_not_queue_behind_proposals() {
    cluster_of(quiet(), async |sandbox| {
        let client = sandbox.client();
        client.change(any_command(), &[]).await.unwrap();
        let first = leader(sandbox).await;
        let calls = at_once(PROPOSALS, || {
            let client = client.at(first);
            async move { client.change(any_command(), &[]).await }
        });
        let calls = calls.await;
        let next = others(5, &[first])[0];
        order(sandbox, Order::Timeout(only(next))).await;
        sleep(ms(1)).await;
        assert_eq!(server(sandbox, first).await.role, Some(RoleKind::Follower));
        let (mut done, mut taken, mut not_done) = (0, 0, 0);
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => (done, taken) = (done + 1, taken + 1),
                Err(ClientError::Unknown) => (taken, not_done) = (taken + 1, not_done + 1),
                Err(_) => not_done += 1,
            }
        }
        assert_eq!(done + not_done, PROPOSALS);
        // Those that were taken in stand before the no-op of the next term, or nowhere.
        assert!(taken < PROPOSALS / 4, "{taken} were taken in before the candidate was heard");
    });
}

#[test]
fn sixty_four_mebibytes_cross_a_slow_network_without_an_election() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let (from, to) = (Servers::All, Servers::All);
        order(sandbox, Order::Delay { from, to, latency: ms(30), jitter: ms(10) }).await;
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(10) }).await;
        order(sandbox, Order::ApplyLatency { servers: Servers::All, latency: ms(5) }).await;
        let content: Vec<u8> = (0..64u32 << 20).map(|place| (place >> 10) as u8).collect();
        let content = Bytes::from(content);
        put(&client, "large", content.clone()).await.unwrap();
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        assert_eq!(get(&client, "large").await.unwrap(), content);
        order(sandbox, Order::Heal).await;
        assert_converges(sandbox, 5).await;
    });
}

/// Notes where the bytes of each command lie.
struct Witness(Rc<RefCell<BTreeMap<Index, Vec<usize>>>>);

impl Machine for Witness {
    fn apply(&mut self, index: Index, command: &Bytes) -> Bytes {
        let place = command.as_ptr() as usize;
        self.0.borrow_mut().entry(index).or_default().push(place);
        Tally::default().apply(index, command)
    }

    fn query(&self, query: &Bytes) -> Bytes {
        Tally::default().query(query)
    }

    fn digest(&self) -> [u8; 32] {
        [0; 32]
    }

    fn describe(&self, _: &Bytes) -> String {
        String::new()
    }
}

/// A command is in memory once, however many servers of the process have it in their logs.
#[test]
fn payloads_are_shared_between_the_logs_of_a_process() {
    let places = Rc::new(RefCell::new(BTreeMap::new()));
    let machines = places.clone();
    let options = SandboxOptions::default().with_machine(move || Witness(machines.clone()));
    cluster_of(options, async |sandbox| {
        let client = sandbox.client();
        for _ in 0..10 {
            client.change(any_command(), &[7; 100_000]).await.unwrap();
        }
        sleep(ms(200)).await;
    });
    let places = places.borrow();
    assert_eq!(places.len(), 11);
    for (index, places) in places.iter() {
        assert_eq!(places.len(), 5);
        assert!(places.iter().all(|place| *place == places[0]), "{index} was copied: {places:?}");
    }
}
