//! Elections by order, timings at run time, and orders that cannot be carried out.

use std::time::Duration;

use jangada::actors::{Condition, EventKind, Order, OrderError, SandboxOptions, Servers};
use jangada::raft::{Index, ServerId};

use crate::support::*;

const ABSENT: ServerId = ServerId(9);

#[test]
fn timeout_makes_the_server_lead_at_once() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        for chosen in others(5, &[first]) {
            order(sandbox, Order::Timeout(only(chosen))).await;
            sleep(ms(5)).await;
            assert_eq!(sandbox.leader(), Some(chosen));
        }
    });
}

#[test]
fn a_leader_that_is_told_to_stand_leads_a_later_term() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        let term = server(sandbox, first).await.term;
        order(sandbox, Order::Timeout(only(first))).await;
        sleep(ms(5)).await;
        assert_eq!(sandbox.leader(), Some(first));
        assert!(server(sandbox, first).await.term > term);
    });
}

#[test]
fn election_timeouts_change_at_run_time() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        let slow = Order::ElectionTimeout { min: ms(2000), max: ms(3000) };
        order(sandbox, slow).await;
        assert_eq!(sandbox.status().await.unwrap().timing.election_timeout_max, ms(3000));
        order(sandbox, Order::Crash(only(first))).await;
        sleep(ms(1900)).await;
        assert_eq!(sandbox.leader(), None, "nobody's timer has fired");
        sleep(ms(3000)).await;
        let second = sandbox.leader().expect("a leader after the longest timeout");
        order(sandbox, Order::ElectionTimeout { min: ms(60), max: ms(70) }).await;
        order(sandbox, Order::Crash(only(second))).await;
        sleep(ms(400)).await;
        assert!(sandbox.leader().is_some(), "short timeouts, early elections");
        // A server that starts later has the timings that hold now.
        order(sandbox, Order::Recover(only(first))).await;
        let timer = server(sandbox, first).await.timer.expect("a running server has a timer");
        assert!(timer <= ms(70), "{timer:?}");
    });
}

#[test]
fn heartbeats_change_at_run_time() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        order(sandbox, Order::ElectionTimeout { min: ms(1500), max: ms(3000) }).await;
        order(sandbox, Order::Heartbeat(ms(1000))).await;
        sleep(ms(60)).await;
        let left = server(sandbox, first).await.timer.expect("a leader has a timer");
        assert!(left > ms(900), "the next heartbeat comes after a second, not in {left:?}");
        sleep(ms(10_000)).await;
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        order(sandbox, Order::Heartbeat(ms(10))).await;
        sleep(ms(1)).await;
        let left = server(sandbox, first).await.timer.expect("a leader has a timer");
        assert!(left <= ms(10), "the new heartbeat holds at once, not after {left:?}");
    });
}

#[test]
fn timings_that_cannot_work_are_refused() {
    cluster(async |sandbox| {
        let before = sandbox.status().await.unwrap().timing;
        let bad = [
            Order::ElectionTimeout { min: ms(300), max: ms(200) },
            Order::ElectionTimeout { min: ms(50), max: ms(200) },
            Order::Heartbeat(ms(150)),
            Order::Heartbeat(Duration::ZERO),
        ];
        for order in bad {
            let refused = sandbox.order(order.clone()).await;
            assert!(matches!(refused, Err(OrderError::Timing(_))), "{order}: {refused:?}");
        }
        assert_eq!(sandbox.status().await.unwrap().timing, before);
    });
}

#[test]
fn a_server_that_does_not_exist_is_named() {
    cluster(async |sandbox| {
        let nobody = || only(ABSENT);
        let orders = [
            Order::Speed { servers: nobody(), latency: ms(1) },
            Order::Crash(nobody()),
            Order::Recover(nobody()),
            Order::Pause(nobody()),
            Order::Resume(nobody()),
            Order::Stop(nobody()),
            Order::Start(nobody()),
            Order::Partition(vec![vec![ServerId(1)], vec![ABSENT]]),
            Order::Cut { from: nobody(), to: Servers::All },
            Order::Delay { from: Servers::All, to: nobody(), latency: ms(1), jitter: ms(0) },
            Order::Loss { from: Servers::All, to: nobody(), probability: 0.5 },
            Order::Duplicate { from: nobody(), to: Servers::All, probability: 0.5 },
            Order::Reorder { from: nobody(), to: Servers::All, probability: 0.5 },
            Order::Timeout(nobody()),
            Order::DiskLatency { servers: nobody(), latency: ms(1) },
            Order::DiskStall(nobody()),
            Order::ApplyLatency { servers: nobody(), latency: ms(1) },
            Order::ApplyStall(nobody()),
        ];
        for order in orders {
            let error = sandbox.order(order.clone()).await.unwrap_err();
            let servers = (1..=5).map(ServerId).collect();
            assert_eq!(error, OrderError::NoSuchServer { server: ABSENT, servers }, "{order}");
            assert_eq!(error.to_string(), "there is no S9: the servers are S1 to S5");
        }
        let refused = sandbox.log(ABSENT, Index(0), Index(1)).await;
        assert!(matches!(refused, Err(OrderError::NoSuchServer { .. })));
        // One wrong name among right ones: nothing is done.
        let refused = sandbox.order(Order::Crash(Servers::Only(vec![ServerId(1), ABSENT]))).await;
        assert!(refused.is_err());
        assert_eq!(server(sandbox, ServerId(1)).await.condition, Condition::Running);
    });
}

#[test]
fn only_running_servers_end_and_only_ended_ones_start() {
    cluster(async |sandbox| {
        let (up, down) = (ServerId(1), ServerId(2));
        order(sandbox, Order::Crash(only(down))).await;
        for order in [Order::Recover, Order::Start] {
            assert_eq!(sandbox.order(order(only(up))).await, Err(OrderError::Running(up)));
        }
        let needs_life = [Order::Crash, Order::Stop, Order::Pause, Order::Resume, Order::Timeout];
        for order in needs_life {
            assert_eq!(sandbox.order(order(only(down))).await, Err(OrderError::Down(down)));
        }
        let both = Servers::Only(vec![up, down]);
        assert_eq!(sandbox.order(Order::Crash(both)).await, Err(OrderError::Down(down)));
        assert_eq!(server(sandbox, up).await.condition, Condition::Running);
        // Of all, those that can are meant.
        order(sandbox, Order::Crash(Servers::All)).await;
        assert_eq!(sandbox.status().await.unwrap().up(), 0);
        order(sandbox, Order::Recover(Servers::All)).await;
        assert_eq!(sandbox.status().await.unwrap().up(), 5);
    });
}

#[test]
fn a_server_named_twice_starts_once() {
    cluster(async |sandbox| {
        let twice = || Servers::Only(vec![ServerId(1), ServerId(1)]);
        order(sandbox, Order::Crash(twice())).await;
        order(sandbox, Order::Recover(twice())).await;
        let started = |event: &&jangada::actors::Event| {
            event.kind == jangada::actors::EventKind::Started(ServerId(1))
        };
        sleep(ms(1)).await;
        let events = sandbox.events().latest(usize::MAX);
        assert_eq!(events.iter().filter(started).count(), 2, "at first, and at the recovery");
    });
}

#[test]
fn without_a_leader_nobody_is_meant_by_leader() {
    cluster(async |sandbox| {
        let refused = sandbox.order(Order::Crash(Servers::Leader)).await;
        assert_eq!(refused, Err(OrderError::NoLeader));
        let first = leader(sandbox).await;
        order(sandbox, Order::Crash(Servers::Leader)).await;
        assert_eq!(server(sandbox, first).await.condition, Condition::Crashed);
        order(sandbox, Order::Crash(Servers::Followers)).await;
        assert_eq!(sandbox.status().await.unwrap().up(), 0);
    });
}

/// Numbers that only a program would give.
#[test]
fn a_refused_order_changes_nothing_and_is_recorded_as_refused() {
    cluster(async |sandbox| {
        leader(sandbox).await;
        let ids = |numbers: &[u64]| numbers.iter().map(|id| ServerId(*id)).collect::<Vec<_>>();
        let twice = Order::Partition(vec![ids(&[1, 2]), ids(&[2, 3])]);
        let refused = sandbox.order(twice).await;
        assert_eq!(refused, Err(OrderError::NamedTwice(ServerId(2))));
        let status = sandbox.status().await.unwrap();
        assert!(status.servers.iter().all(|server| server.links.is_empty()));
        let events = sandbox.events().latest(1);
        assert!(matches!(&events[0].kind, EventKind::OrderRefused(OrderError::NamedTwice(_))));
    });
}

#[test]
fn absurd_numbers_are_refused_or_harmless() {
    cluster(async |sandbox| {
        let all = || Servers::All;
        for probability in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            for order in [
                Order::Loss { from: all(), to: all(), probability },
                Order::Duplicate { from: all(), to: all(), probability },
                Order::Reorder { from: all(), to: all(), probability },
            ] {
                let refused = sandbox.order(order).await;
                assert!(matches!(refused, Err(OrderError::Probability)), "{refused:?}");
            }
        }
        leader(sandbox).await;
        let most = Duration::MAX;
        order(sandbox, Order::Duplicate { from: all(), to: all(), probability: 1.0 }).await;
        let delay = Order::Delay { from: all(), to: all(), latency: most, jitter: most };
        order(sandbox, delay).await;
        order(sandbox, Order::Speed { servers: all(), latency: most }).await;
        order(sandbox, Order::DiskLatency { servers: all(), latency: most }).await;
        order(sandbox, Order::ApplyLatency { servers: all(), latency: most }).await;
        order(sandbox, Order::ElectionTimeout { min: most, max: most }).await;
        sleep(ms(1000)).await;
        let log = sandbox.log(ServerId(1), Index(u64::MAX), Index(u64::MAX)).await.unwrap();
        assert!(log.is_empty());
    });
    for servers in [0, 1, 2] {
        cluster_of(SandboxOptions { servers, ..SandboxOptions::default() }, async |sandbox| {
            sleep(ms(2000)).await;
            assert_eq!(sandbox.leader().is_some(), servers > 0, "{servers} servers");
            let written = put(&sandbox.client(), FILE, Default::default()).await;
            assert_eq!(written.is_ok(), servers > 0, "{servers} servers: {written:?}");
        });
    }
}
