//! Frozen servers, and slow ones.

use jangada::actors::{ClientError, Condition, Order, Servers};
use jangada::raft::RoleKind;

use crate::support::*;

/// Normal (0.5 s) and slow (1 s): the leader must be fast.
#[test]
fn a_slow_leader_loses_its_leadership_while_the_files_stay_available() {
    for latency in [ms(500), ms(1000)] {
        cluster(async |sandbox| {
            let client = journal(sandbox).await;
            let slow = leader(sandbox).await;
            order(sandbox, Order::Speed { servers: only(slow), latency }).await;
            append(&client, "while it falls").await.unwrap();
            let next = leader_after(sandbox, slow).await;
            sleep(ms(3000)).await;
            assert_eq!(server(sandbox, slow).await.role, Some(RoleKind::Follower));
            append(&client, "after it fell").await.unwrap();
            let before = elections(sandbox);
            order(sandbox, Order::Speed { servers: only(slow), latency: ms(0) }).await;
            sleep(ms(3000)).await;
            assert_eq!((sandbox.leader(), elections(sandbox)), (Some(next), before));
            assert_eq!(lines(&client).await.unwrap(), ["while it falls", "after it fell"]);
            assert_converges(sandbox, 5).await;
        });
    }
}

#[test]
fn a_slow_follower_disturbs_nobody_and_keeps_up() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let slow = Servers::Only(others(5, &[first])[..2].to_vec());
        order(sandbox, Order::Speed { servers: slow, latency: ms(1000) }).await;
        for line in 0..50 {
            append(&client, &line.to_string()).await.unwrap();
            sleep(ms(100)).await;
        }
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        sleep(ms(3000)).await;
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn a_paused_follower_goes_on_where_it_was() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let frozen = others(5, &[first])[0];
        sleep(ms(100)).await;
        let before = server(sandbox, frozen).await;
        order(sandbox, Order::Pause(only(frozen))).await;
        append(&client, "meanwhile").await.unwrap();
        sleep(ms(5000)).await;
        let during = server(sandbox, frozen).await;
        assert_eq!(during.condition, Condition::Paused);
        assert_eq!((during.last_log, during.term), (before.last_log, before.term));
        order(sandbox, Order::Resume(only(frozen))).await;
        sleep(ms(100)).await;
        let after = server(sandbox, frozen).await;
        assert!(after.applied_index > before.applied_index);
        sleep(ms(1000)).await;
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1), "a late timer only");
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn a_paused_leader_is_replaced_and_follows_when_it_wakes() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::Pause(only(first))).await;
        append(&client, "under the next").await.unwrap();
        let next = leader_after(sandbox, first).await;
        sleep(ms(3000)).await;
        let asleep = server(sandbox, first).await;
        assert!(asleep.leads() && asleep.stale, "it does not know yet");
        order(sandbox, Order::Resume(only(first))).await;
        sleep(ms(200)).await;
        assert_eq!(server(sandbox, first).await.role, Some(RoleKind::Follower));
        assert_eq!(sandbox.leader(), Some(next));
        assert_converges(sandbox, 5).await;
    });
}

/// A frozen server does nothing, whatever it is told.
#[test]
fn a_paused_server_does_not_stand_for_election() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        let frozen = others(5, &[first])[0];
        order(sandbox, Order::Pause(only(frozen))).await;
        let _ = sandbox.order(Order::Timeout(only(frozen))).await;
        order(sandbox, Order::Heartbeat(ms(40))).await;
        sleep(ms(3000)).await;
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        order(sandbox, Order::Timeout(Servers::All)).await;
        sleep(ms(3000)).await;
        assert_ne!(sandbox.leader(), Some(frozen));
    });
}

/// What stands at the door of a server when it freezes waits there.
#[test]
fn a_paused_server_takes_no_calls_in() {
    let options = jangada::actors::SandboxOptions { record_commands: false, ..Default::default() };
    cluster_of(options.with_machine(Tally::default), async |sandbox| {
        let client = sandbox.client();
        client.change(any_command(), &[]).await.unwrap();
        let first = leader(sandbox).await;
        let before = server(sandbox, first).await.last_log.index;
        let calls = at_once(120_000, || {
            let client = client.at(first);
            async move { client.change(any_command(), &[]).await }
        });
        let calls = calls.await;
        order(sandbox, Order::Pause(only(first))).await;
        sleep(ms(100)).await;
        let taken = server(sandbox, first).await.last_log.index - before;
        assert!(taken < 120_000, "the frozen leader took {taken} proposals in");
        order(sandbox, Order::Resume(only(first))).await;
        for call in calls {
            call.await.unwrap().unwrap();
        }
    });
}

/// TRAPS 29: a leader that was frozen while another was elected does not answer a read from what
/// it knew before.
#[test]
fn trap_29_a_paused_leader_answers_no_stale_read_on_waking() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "old").await.unwrap();
        let first = leader(sandbox).await;
        order(sandbox, Order::Pause(only(first))).await;
        leader_after(sandbox, first).await;
        append(&client, "new").await.unwrap();
        let reader = sandbox.client().at(first);
        let read = tokio::task::spawn_local(async move { lines(&reader).await });
        sleep(ms(50)).await;
        order(sandbox, Order::Resume(only(first))).await;
        match read.await.unwrap() {
            Ok(lines) => assert_eq!(lines, ["old", "new"]),
            Err(error) => assert!(matches!(error, ClientError::NotDone(_)), "{error}"),
        }
    });
}

/// TRAPS 29 again: the read was taken in before the freeze, and the leader is cut off as well.
#[test]
fn trap_29_a_read_taken_before_the_pause_is_confirmed_after_it_or_refused() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "old").await.unwrap();
        let first = leader(sandbox).await;
        order(sandbox, Order::Cut { from: only(first), to: Servers::All }).await;
        let reader = sandbox.client().at(first);
        let read = tokio::task::spawn_local(async move { lines(&reader).await });
        sleep(ms(1)).await;
        order(sandbox, Order::Pause(only(first))).await;
        leader_after(sandbox, first).await;
        append(&client, "new").await.unwrap();
        order(sandbox, Order::Resume(only(first))).await;
        let answer = read.await.unwrap();
        assert!(matches!(answer, Err(ClientError::NotDone(_))), "{answer:?}");
    });
}
