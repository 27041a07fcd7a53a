//! Clocks of servers that run wrong, or jump. The files do not care: no time of one server is
//! ever compared with another's, and nothing is promised by the clock alone.

use std::time::Duration;

use jangada::actors::{Order, OrderError, Sandbox, Servers};
use jangada::raft::{Index, RoleKind};

use crate::support::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn jump(servers: Servers, by: Duration, back: bool) -> Order {
    Order::ClockJump { servers, by, back }
}

/// Ends what a test began: one more line, and all servers agree.
async fn assert_goes_on(sandbox: &Sandbox) {
    let client = sandbox.client();
    append(&client, "it goes on").await.unwrap();
    assert_eq!(lines(&client).await.unwrap().last().unwrap(), "it goes on");
    assert_converges(sandbox, 5).await;
}

/// A leader that waited for its clock to catch up would send no heartbeat for a day.
#[test]
fn a_leader_whose_clock_goes_back_a_day_leads_on() {
    cluster(async |sandbox| {
        journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, jump(only(first), DAY, true)).await;
        sleep(ms(2000)).await;
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        assert_goes_on(sandbox).await;
    });
}

/// It still finds out, by the time that passes from then on, that nobody answers.
#[test]
fn a_leader_whose_clock_goes_back_steps_down_without_a_quorum() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        order(sandbox, Order::Partition(vec![vec![first]])).await;
        order(sandbox, jump(only(first), DAY, true)).await;
        sleep(ms(600)).await;
        assert_ne!(server(sandbox, first).await.role, Some(RoleKind::Leader));
    });
}

/// Nobody waits a day to stand, or believes for a day in a leader that is gone.
#[test]
fn followers_whose_clocks_go_back_a_day_elect_another_leader_at_once() {
    cluster(async |sandbox| {
        journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, jump(Servers::Followers, DAY, true)).await;
        order(sandbox, Order::Crash(only(first))).await;
        leader_after(sandbox, first).await;
        order(sandbox, Order::Recover(only(first))).await;
        assert_goes_on(sandbox).await;
    });
}

/// A leader that finds itself a day later has heard from nobody for a day, for all it knows.
#[test]
fn a_leader_whose_clock_goes_forward_a_day_gives_way_and_nothing_is_lost() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "kept").await.unwrap();
        let first = leader(sandbox).await;
        order(sandbox, jump(only(first), DAY, false)).await;
        sleep(ms(1)).await;
        assert_eq!(server(sandbox, first).await.role, Some(RoleKind::Follower));
        assert_eq!(lines(&client).await.unwrap(), ["kept"]);
        assert_goes_on(sandbox).await;
    });
}

/// Pre-vote and stickiness keep a server whose timer fires too soon from deposing the leader.
#[test]
fn a_follower_with_a_fast_clock_disturbs_nobody() {
    cluster(async |sandbox| {
        journal(sandbox).await;
        let first = leader(sandbox).await;
        let fast = others(5, &[first])[0];
        order(sandbox, Order::ClockRate { servers: only(fast), rate: 20.0 }).await;
        sleep(ms(5000)).await;
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        let clock = server(sandbox, fast).await.clock.expect("a clock that is wrong");
        assert_eq!((clock.rate, clock.ahead.as_secs()), (20.0, 95));
        // Right again, but for what it has gained.
        order(sandbox, Order::ClockRate { servers: Servers::All, rate: 1.0 }).await;
        sleep(ms(1000)).await;
        let clock = server(sandbox, fast).await.clock.expect("a clock that is ahead");
        assert_eq!((clock.rate, clock.ahead.as_secs()), (1.0, 95));
        assert_eq!(server(sandbox, first).await.clock, None);
        assert_goes_on(sandbox).await;
    });
}

/// Twenty times slower, a leader's heartbeats come once a second.
#[test]
fn a_leader_with_a_slow_clock_loses_its_leadership() {
    cluster(async |sandbox| {
        journal(sandbox).await;
        let slow = leader(sandbox).await;
        order(sandbox, Order::ClockRate { servers: only(slow), rate: 0.05 }).await;
        leader_after(sandbox, slow).await;
        assert_goes_on(sandbox).await;
    });
}

/// A clock is the machine's, not the process's.
#[test]
fn a_crash_does_not_set_the_clock_right() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        order(sandbox, jump(only(first), ms(2500), true)).await;
        order(sandbox, Order::Crash(only(first))).await;
        order(sandbox, Order::Recover(only(first))).await;
        let status = server(sandbox, first).await;
        assert_eq!(status.clock.unwrap().to_string(), "2.5 s behind");
        let timer = status.timer.unwrap();
        assert!((ms(150)..=ms(350)).contains(&timer), "{timer:?}");
    });
}

/// The disk spins by itself: a sync of 100 ms takes 100 ms, whatever the server believes.
#[test]
fn a_disk_is_as_fast_as_before_when_its_servers_clock_is_wrong() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(100) }).await;
        let followers = Servers::Only(others(5, &[first]));
        order(sandbox, Order::ClockRate { servers: followers, rate: 0.2 }).await;
        let began = sandbox.clock().now();
        append(&client, "on disk").await.unwrap();
        let took = sandbox.clock().now().since(began);
        assert!((ms(100)..ms(250)).contains(&took), "{took:?}");
        assert!(server(sandbox, first).await.commit_index > Index(2));
    });
}

#[test]
fn a_clock_that_cannot_be_is_refused() {
    cluster(async |sandbox| {
        for rate in [0.0, 0.001, 100.1, -1.0, f64::NAN, f64::INFINITY] {
            let refused = sandbox.order(Order::ClockRate { servers: Servers::All, rate }).await;
            assert_eq!(refused, Err(OrderError::ClockRate), "{rate}");
        }
        // As far as it goes.
        journal(sandbox).await;
        for back in [true, false] {
            order(sandbox, jump(Servers::All, Duration::MAX, back)).await;
            sleep(ms(1000)).await;
            assert_goes_on(sandbox).await;
        }
    });
}
