//! What survives a crash and what does not; stops and starts of one server and of everyone.

use bytes::Bytes;
use jangada::actors::{Condition, Order, SandboxOptions, Servers};
use jangada::raft::{Index, ServerId};

use crate::support::*;

#[test]
fn files_survive_the_crash_of_their_leader() {
    cluster(async |sandbox| {
        let first = leader(sandbox).await;
        let client = sandbox.client();
        let content = Bytes::from(vec![7u8; 3_000_000]);
        put(&client, FILE, content.clone()).await.unwrap();
        order(sandbox, Order::Crash(only(first))).await;
        append(&client, "hi").await.unwrap();
        assert_eq!(get(&client, FILE).await.unwrap(), [&content[..], b"hi\n"].concat());
        order(sandbox, Order::Recover(only(first))).await;
        assert_converges(sandbox, 5).await;
    });
}

/// TRAPS "Volatile state at recovery": commit and applied restart at 0 and come back.
#[test]
fn trap_volatile_state_is_gone_after_a_crash() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        for line in 0..10 {
            append(&client, &line.to_string()).await.unwrap();
        }
        sleep(ms(200)).await;
        let first = leader(sandbox).await;
        for crashed in [first, others(5, &[first])[0]] {
            let before = server(sandbox, crashed).await;
            assert!(before.commit_index >= Index(12) && before.applied_index >= Index(12));
            order(sandbox, Order::Crash(only(crashed))).await;
            let dead = server(sandbox, crashed).await;
            assert_eq!((dead.condition, dead.role, dead.timer), (Condition::Crashed, None, None));
            assert_eq!((dead.commit_index, dead.applied_index), (Index(0), Index(0)));
            leader(sandbox).await;
            order(sandbox, Order::Recover(only(crashed))).await;
            let back = server(sandbox, crashed).await;
            assert_eq!((back.commit_index, back.applied_index), (Index(0), Index(0)));
            assert_eq!((back.term, back.voted_for), (before.term, before.voted_for));
            assert_eq!(back.last_log, before.last_log);
            assert_converges(sandbox, 5).await;
            assert!(server(sandbox, crashed).await.applied_index >= before.applied_index);
        }
    });
}

/// TRAPS "Kill vs crash vs slow": what was in flight to the server when it crashed is lost, even
/// if it is back before it would have arrived.
#[test]
fn trap_messages_in_flight_to_a_crashed_server_are_lost() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let [crashed, witness] = others(5, &[first])[..2] else { unreachable!() };
        sleep(ms(100)).await;
        let to = || Servers::Only(vec![crashed, witness]);
        let delay = Order::Delay { from: only(first), to: to(), latency: ms(100), jitter: ms(0) };
        order(sandbox, delay).await;
        let entry = append(&client, "in flight").await.unwrap().index;
        order(sandbox, Order::Crash(only(crashed))).await;
        order(sandbox, Order::Recover(only(crashed))).await;
        order(sandbox, Order::Cut { from: Servers::All, to: to() }).await;
        sleep(ms(120)).await;
        assert!(server(sandbox, witness).await.last_log.index >= entry, "it was on its way");
        assert!(server(sandbox, crashed).await.last_log.index < entry, "and was lost");
        order(sandbox, Order::Heal).await;
        assert_converges(sandbox, 5).await;
    });
}

/// TRAPS "Kill vs crash vs slow" again: nor is what lay in its mailbox handled any more, which
/// would write to the disk that its next life reads.
#[test]
fn trap_a_crashed_server_handles_nothing_from_its_mailbox() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let crashed = others(5, &[first])[0];
        sleep(ms(100)).await;
        let before = server(sandbox, crashed).await.last_log;
        // The leader has its turn, then the supervisor, then the follower.
        let write = at_once(1, || {
            let client = client.clone();
            async move { append(&client, "in the mailbox").await }
        });
        let write = write.await.remove(0);
        order(sandbox, Order::Crash(only(crashed))).await;
        sleep(ms(10)).await;
        let entry = write.await.unwrap().unwrap().index;
        assert!(entry > before.index);
        assert_eq!(server(sandbox, crashed).await.last_log, before, "written by a dead server");
    });
}

#[test]
fn a_crash_loses_what_no_sync_covered() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let victim = others(5, &[first])[0];
        order(sandbox, Order::DiskStall(only(victim))).await;
        let entry = append(&client, "on the disks of the others").await.unwrap().index;
        assert!(server(sandbox, victim).await.last_log.index >= entry, "it was written");
        order(sandbox, Order::Crash(only(victim))).await;
        assert!(server(sandbox, victim).await.last_log.index < entry, "but never synced");
        order(sandbox, Order::DiskLatency { servers: only(victim), latency: ms(0) }).await;
        order(sandbox, Order::Recover(only(victim))).await;
        assert_converges(sandbox, 5).await;
    });
}

#[test]
fn a_stop_loses_nothing() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let victim = others(5, &[first])[0];
        order(sandbox, Order::DiskStall(only(victim))).await;
        let entry = append(&client, "flushed at the stop").await.unwrap().index;
        order(sandbox, Order::Stop(only(victim))).await;
        let stopped = server(sandbox, victim).await;
        assert_eq!(stopped.condition, Condition::Stopped);
        assert!(stopped.last_log.index >= entry);
        order(sandbox, Order::Start(only(victim))).await;
        assert!(server(sandbox, victim).await.last_log.index >= entry);
    });
}

/// TRAPS 71: an answer means that a majority has it on disk, so the power may fail right then.
#[test]
fn trap_71_what_was_answered_survives_a_power_failure() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(20) }).await;
        let mut answered = Vec::new();
        for round in 0..10 {
            leader(sandbox).await;
            let line = format!("round {round}");
            append(&client, &line).await.unwrap();
            answered.push(line);
            order(sandbox, Order::Crash(Servers::All)).await;
            order(sandbox, Order::Recover(Servers::All)).await;
            leader(sandbox).await;
            assert_eq!(lines(&client).await.unwrap(), answered);
        }
    });
}

/// With every disk stalled nothing is answered, and nothing of it is there after a crash of all.
#[test]
fn what_no_majority_synced_is_not_answered() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "kept").await.unwrap();
        order(sandbox, Order::DiskStall(Servers::All)).await;
        client.set_patience(ms(500));
        append(&client, "nowhere").await.unwrap_err();
        order(sandbox, Order::Crash(Servers::All)).await;
        order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(0) }).await;
        order(sandbox, Order::Recover(Servers::All)).await;
        leader(sandbox).await;
        assert_eq!(lines(&client).await.unwrap(), ["kept"]);
    });
}

/// TRAPS 54, and a scenario of the sources: the start of the whole cluster.
#[test]
fn trap_54_a_cold_start_elects_within_two_election_timeouts() {
    for seed in 0..30 {
        let options = SandboxOptions { seed, ..SandboxOptions::default() };
        let longest = options.raft.timing.election_timeout_max;
        cluster_of(options, async |sandbox| {
            assert!(sandbox.wait_for_leader(2 * longest).await.is_some(), "seed {seed}: first");
            for (end, begin) in [
                (Order::Stop as fn(Servers) -> Order, Order::Start as fn(Servers) -> Order),
                (Order::Crash, Order::Recover),
            ] {
                order(sandbox, end(Servers::All)).await;
                assert_eq!(sandbox.leader(), None);
                sleep(ms(1000)).await;
                order(sandbox, begin(Servers::All)).await;
                let found = sandbox.wait_for_leader(2 * longest).await;
                assert!(found.is_some(), "seed {seed}: again");
            }
        });
    }
}

#[test]
fn one_server_alone_leads_and_remembers() {
    cluster_of(SandboxOptions { servers: 1, ..SandboxOptions::default() }, async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "alone").await.unwrap();
        for (end, begin) in [
            (Order::Crash as fn(Servers) -> Order, Order::Recover as fn(Servers) -> Order),
            (Order::Stop, Order::Start),
        ] {
            order(sandbox, end(only(ServerId(1)))).await;
            order(sandbox, begin(only(ServerId(1)))).await;
            leader(sandbox).await;
            assert_eq!(lines(&client).await.unwrap(), ["alone"]);
        }
    });
}

/// Crashed servers take no part: no leader with three of five, and service with the fourth.
#[test]
fn three_of_five_crashed_and_one_back() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let crashed = [ServerId(1), ServerId(2), ServerId(3)];
        order(sandbox, Order::Crash(Servers::Only(crashed.to_vec()))).await;
        sleep(ms(3000)).await;
        let status = sandbox.status().await.unwrap();
        assert_eq!((status.up(), status.leader().map(|leader| leader.id)), (2, None));
        order(sandbox, Order::Recover(only(crashed[0]))).await;
        leader(sandbox).await;
        append(&client, "three are enough").await.unwrap();
        order(sandbox, Order::Recover(Servers::All)).await;
        assert_converges(sandbox, 5).await;
    });
}
