//! Slow and stalled disks and state machines delay answers, and nothing else; disks that fail
//! stop their server, and nobody else.

use jangada::actors::{
    ClientError, Condition, Event, EventKind, NotDone, Order, OrderError, Sandbox, SandboxOptions,
    Servers,
};
use jangada::raft::{HandoverReason, Index, Refusal, ServerId};
use jangada::storage::{DiskFault, DiskKind, StorageError};

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

/// TRAPS 56: the leader's own disk stands still; the others' majority commits without it, and after
/// an election timeout it gives way to one whose disk works.
#[test]
fn trap_56_a_leader_with_a_stalled_disk_gives_way() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::DiskStall(only(first))).await;
        append(&client, "on the others' disks").await.unwrap();
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        sleep(ms(1000)).await;
        assert_ne!(sandbox.leader(), Some(first));
        let why = HandoverReason::DiskStalled;
        let gave_way = |event: &Event| {
            matches!(event.kind, EventKind::HandingOver { server, why: told, .. }
                if (server, told) == (first, why))
        };
        assert!(sandbox.events().latest(100).iter().any(gave_way));
        sleep(ms(5000)).await;
        assert_eq!(elections(sandbox), 2, "the next one stays");
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

/// Runs `test` on five servers with the segment log on simulated disks.
fn simulated(test: impl AsyncFnOnce(&Sandbox)) {
    cluster_of(SandboxOptions { disks: DiskKind::Simulated, ..SandboxOptions::default() }, test);
}

fn happens(servers: Servers, fault: DiskFault) -> Order {
    Order::DiskFault { servers, fault }
}

/// A follower of a cluster that has written something.
async fn follower(sandbox: &Sandbox) -> ServerId {
    others(5, &[leader(sandbox).await])[0]
}

#[test]
fn the_segment_log_keeps_what_was_acknowledged() {
    simulated(async |sandbox| {
        let client = journal(sandbox).await;
        for number in 0..20 {
            append(&client, &number.to_string()).await.unwrap();
            if number % 5 == 0 {
                order(sandbox, Order::Crash(Servers::All)).await;
                order(sandbox, Order::Recover(Servers::All)).await;
            }
        }
        let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(lines(&client).await.unwrap(), expected);
        order(sandbox, Order::Stop(Servers::All)).await;
        order(sandbox, Order::Start(Servers::All)).await;
        assert_eq!(lines(&client).await.unwrap(), expected);
        assert_converges(sandbox, 5).await;
    });
}

/// TRAPS 72: a server whose sync fails ends at once, says why, and starts again from what its
/// disk kept.
#[test]
fn trap_72_a_failed_sync_ends_the_server() {
    simulated(async |sandbox| {
        let client = journal(sandbox).await;
        for victim in [follower(sandbox).await, leader(sandbox).await] {
            order(sandbox, happens(only(victim), DiskFault::FailSync)).await;
            append(&client, "on the others' disks").await.unwrap();
            sleep(ms(100)).await;
            let status = server(sandbox, victim).await;
            assert_eq!(status.condition, Condition::Failed);
            assert!(matches!(status.failure, Some(StorageError::Disk(_))));
            let failed = |event: &Event| match &event.kind {
                EventKind::Failed { server, .. } => *server == victim,
                _ => false,
            };
            assert!(sandbox.events().latest(1000).iter().any(failed));
            order(sandbox, Order::Recover(only(victim))).await;
            assert_eq!(server(sandbox, victim).await.failure, None);
        }
        assert_converges(sandbox, 5).await;
        assert_eq!(lines(&client).await.unwrap().len(), 2);
    });
}

/// TRAPS 74: a server without room follows and answers, acknowledges nothing, and goes on when
/// there is room.
#[test]
fn trap_74_a_full_disk_is_no_reason_to_stop() {
    simulated(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, happens(Servers::All, DiskFault::Full)).await;
        let writer = client.clone();
        let write = tokio::task::spawn_local(async move { append(&writer, "patience").await });
        sleep(ms(3000)).await;
        assert!(!write.is_finished(), "no disk has it");
        assert_eq!((sandbox.leader(), elections(sandbox)), (Some(first), 1));
        assert!(lines(&client).await.unwrap().is_empty(), "reads are answered");
        order(sandbox, happens(Servers::All, DiskFault::Free)).await;
        sleep(ms(200)).await;
        write.await.unwrap().unwrap();
        assert_eq!(lines(&client).await.unwrap(), ["patience"]);
        assert_converges(sandbox, 5).await;
    });
}

/// TRAPS 74: a leader without room says why it takes no writes, answers reads, and gives way.
#[test]
fn trap_74_a_leader_with_a_full_disk_refuses_and_gives_way() {
    simulated(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, happens(only(first), DiskFault::Full)).await;
        append(&client, "on the others' disks").await.unwrap();
        let refused = append(&client.at(first), "here").await;
        let Err(ClientError::NotDone(not_done)) = &refused else { panic!("{refused:?}") };
        let why = NotDone::Refused { server: first, refusal: Refusal::DiskFull };
        assert_eq!(*not_done, why);
        assert_eq!(lines(&client.at(first)).await.unwrap(), ["on the others' disks"]);
        sleep(ms(1000)).await;
        assert_ne!(sandbox.leader(), Some(first));
        append(&client, "elsewhere").await.unwrap();
        order(sandbox, happens(only(first), DiskFault::Free)).await;
        sleep(ms(200)).await;
        assert_eq!(lines(&client).await.unwrap(), ["on the others' disks", "elsewhere"]);
        assert_converges(sandbox, 5).await;
    });
}

/// TRAPS 73: harm to what was synced keeps a server from starting, and is said as such.
#[test]
fn trap_73_a_damaged_server_does_not_start() {
    for fault in [DiskFault::Flip, DiskFault::Lose, DiskFault::Misdirect] {
        simulated(async |sandbox| {
            let client = journal(sandbox).await;
            let victim = follower(sandbox).await;
            append(&client, "before").await.unwrap();
            sleep(ms(100)).await;
            order(sandbox, happens(only(victim), fault)).await;
            append(&client, "the server goes on: it reads nothing").await.unwrap();
            order(sandbox, Order::Crash(only(victim))).await;
            let refused = sandbox.order(Order::Recover(only(victim))).await;
            let Err(OrderError::Failed(server, error)) = refused else { panic!("{refused:?}") };
            assert!(server == victim && matches!(error, StorageError::Damaged { .. }), "{error}");
            // The others start; this one is said to have failed.
            order(sandbox, Order::Recover(Servers::All)).await;
            let status = self::server(sandbox, victim).await;
            assert_eq!((status.condition, status.failure), (Condition::Failed, Some(error)));
            append(&client, "without it").await.unwrap();
            assert_converges(sandbox, 4).await;
        });
    }
}

/// TRAPS 45: a server whose disk is lost never comes back as an empty one.
#[test]
fn trap_45_a_lost_disk_is_not_an_empty_one() {
    simulated(async |sandbox| {
        journal(sandbox).await;
        let victim = follower(sandbox).await;
        let destroy = happens(only(victim), DiskFault::Destroy);
        assert_eq!(sandbox.order(destroy.clone()).await, Err(OrderError::MustBeDown(victim)));
        order(sandbox, Order::Crash(only(victim))).await;
        order(sandbox, destroy).await;
        let lost = OrderError::Failed(victim, StorageError::NotFormatted);
        // It says what to do.
        assert!(lost.to_string().ends_with(&format!("; `rejoin {}` has it do so", victim.0)));
        assert_eq!(sandbox.order(Order::Recover(only(victim))).await, Err(lost));
    });
}

#[test]
fn a_torn_tail_is_cut_off_and_said() {
    simulated(async |sandbox| {
        let client = journal(sandbox).await;
        let mut torn = 0;
        for round in 0..20 {
            append(&client, &format!("kept {round}")).await.unwrap();
            order(sandbox, Order::DiskStall(Servers::All)).await;
            order(sandbox, happens(Servers::All, DiskFault::Tear)).await;
            let writer = client.clone();
            let write = tokio::task::spawn_local(async move { append(&writer, "torn").await });
            sleep(ms(20)).await;
            order(sandbox, Order::Crash(Servers::All)).await;
            order(sandbox, happens(Servers::All, DiskFault::Mend)).await;
            order(sandbox, Order::Recover(Servers::All)).await;
            // Whether it was kept is for the disks to say.
            let _ = write.await.unwrap();
        }
        for event in sandbox.events().latest(10_000) {
            torn += usize::from(matches!(event.kind, EventKind::Torn { .. }));
        }
        assert!(torn > 5, "{torn}");
        let lines = lines(&client).await.unwrap();
        let kept: Vec<_> = lines.iter().filter(|line| line.starts_with("kept")).collect();
        let expected: Vec<_> = (0..20).map(|round| format!("kept {round}")).collect();
        assert_eq!(kept, expected.iter().collect::<Vec<_>>());
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn disks_in_memory_have_no_faults() {
    cluster(async |sandbox| {
        let refused = sandbox.order(happens(Servers::All, DiskFault::Full)).await;
        assert_eq!(refused, Err(OrderError::MemoryDisk(ServerId(1))));
        order(sandbox, Order::DiskStall(Servers::All)).await;
        order(sandbox, happens(Servers::All, DiskFault::Mend)).await;
        journal(sandbox).await;
    });
}

/// Nothing but the header is there: no harm could be told from a torn tail.
#[test]
fn what_nothing_protects_is_not_harmed() {
    simulated(async |sandbox| {
        let refused = sandbox.order(happens(only(ServerId(1)), DiskFault::Flip)).await;
        assert_eq!(refused, Err(OrderError::NothingToHarm(ServerId(1))));
    });
}

/// An order that is refused for one of the servers that it names has changed nothing.
#[test]
fn a_fault_that_one_disk_refuses_happens_to_none() {
    simulated(async |sandbox| {
        let victim = follower(sandbox).await;
        let running = others(5, &[victim])[0];
        order(sandbox, Order::Crash(only(victim))).await;
        let destroy = happens(Servers::Only(vec![victim, running]), DiskFault::Destroy);
        assert_eq!(sandbox.order(destroy).await, Err(OrderError::MustBeDown(running)));
        order(sandbox, Order::Recover(only(victim))).await;
        order(sandbox, Order::Crash(only(victim))).await;
        order(sandbox, happens(Servers::All, DiskFault::Destroy)).await;
        let lost = Err(OrderError::Failed(victim, StorageError::NotFormatted));
        assert_eq!(sandbox.order(Order::Recover(only(victim))).await, lost, "all that can");
    });
}
