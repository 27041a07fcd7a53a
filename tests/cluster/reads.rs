//! Linearizable reads from every server.

use jangada::actors::{ClientError, Order, SandboxOptions, Servers};
use jangada::files::Query;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::*;

#[test]
fn every_server_answers_with_the_last_write() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        for line in 0..20usize {
            append(&client, &line.to_string()).await.unwrap();
            for id in others(5, &[]) {
                assert_eq!(lines(&client.at(id)).await.unwrap().len(), line + 1, "{id}");
            }
        }
    });
}

/// Followers apply in batches what nobody waits for; a read is not kept waiting for a batch.
#[test]
fn a_followers_read_has_the_entries_applied_that_were_gathered() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let [follower, rest @ ..] = &others(5, &[first])[..] else { unreachable!() };
        append(&client, "committed").await.unwrap();
        order(sandbox, Order::DiskStall(Servers::Only(rest.to_vec()))).await;
        let writer = client.clone();
        let behind = tokio::task::spawn_local(async move { append(&writer, "stuck").await });
        sleep(ms(1)).await;
        let status = server(sandbox, *follower).await;
        assert_eq!(status.commit_index.next(), status.last_log.index);
        assert!(status.applied_index < status.commit_index, "gathered: {status:?}");
        assert_eq!(lines(&client.at(*follower)).await.unwrap(), ["committed"]);
        behind.abort();
    });
}

#[test]
fn a_followers_read_is_answered_by_the_commit_it_waits_for() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let reader = client.at(others(5, &[leader(sandbox).await])[0]);
        let (from, to, latency, jitter) = (Servers::All, Servers::All, ms(5), ms(0));
        order(sandbox, Order::Delay { from, to, latency, jitter }).await;
        let write = |line| {
            let writer = client.clone();
            tokio::task::spawn_local(async move { append(&writer, line).await })
        };
        // Committed after the read's round began, before it ends: the read is to wait for it.
        let one = write("one");
        sleep(ms(1)).await;
        let stat = Query::Stat { file: FILE.to_owned() };
        let read = tokio::task::spawn_local(async move { reader.query(stat).await });
        sleep(ms(16)).await;
        assert!(one.is_finished());
        // Its message brings that commit, and an entry that is not committed.
        let two = write("two");
        sleep(ms(6)).await;
        assert!(read.is_finished() && !two.is_finished());
    });
}

/// TRAPS 24: a leader answers no read before an entry of its term is committed.
#[test]
fn trap_24_a_new_leader_reads_what_the_old_one_answered() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        for id in others(5, &[]) {
            append(&client, "before").await.unwrap();
            let wanted = lines(&client).await.unwrap().len();
            order(sandbox, Order::Timeout(only(id))).await;
            for reader in others(5, &[]) {
                if let Ok(lines) = lines(&client.at(reader)).await {
                    assert_eq!(lines.len(), wanted, "{reader} after {id} was elected");
                }
            }
        }
    });
}

/// TRAPS 22: a leader that was cut off answers no read.
#[test]
fn trap_22_a_leader_in_the_minority_answers_no_read() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::Partition(vec![vec![first]])).await;
        let read = lines(&client.at(first)).await;
        assert!(matches!(read, Err(ClientError::NotDone(_))), "{read:?}");
    });
}

/// TRAPS 23: an answer to a round that began before the read proves nothing to it, however late
/// the answer comes.
#[test]
fn trap_23_a_late_answer_to_an_earlier_round_confirms_no_read() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "old").await.unwrap();
        let old = leader(sandbox).await;
        let next = others(5, &[old])[0];
        let (from, to) = (Servers::All, only(old));
        order(sandbox, Order::Delay { from, to, latency: ms(250), jitter: ms(0) }).await;
        sleep(ms(1000)).await;
        assert_eq!(sandbox.leader(), Some(old), "answered steadily, if late");
        // Another leads; the old leader hears of it later than of its own last rounds.
        order(sandbox, Order::Timeout(only(next))).await;
        sleep(ms(5)).await;
        append(&client.at(next), "new").await.unwrap();
        assert!(server(sandbox, old).await.leads());
        let read = lines(&client.at(old)).await;
        assert!(matches!(read, Err(ClientError::NotDone(_))), "{read:?}");
    });
}

/// TRAPS 23: an answer to a read of the server's earlier life is no answer to one of this life.
#[test]
fn trap_23_an_answer_to_an_earlier_life_confirms_no_read() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "old").await.unwrap();
        let first = leader(sandbox).await;
        let reborn = others(5, &[first])[0];
        order(sandbox, Order::Heartbeat(ms(10))).await;
        for (from, to) in [(only(first), only(reborn)), (only(reborn), only(first))] {
            order(sandbox, Order::Delay { from, to, latency: ms(50), jitter: ms(0) }).await;
        }
        sleep(ms(200)).await;
        let earlier = client.at(reborn);
        let earlier = tokio::task::spawn_local(async move { lines(&earlier).await });
        sleep(ms(1)).await;
        order(sandbox, Order::Crash(only(reborn))).await;
        order(sandbox, Order::Recover(only(reborn))).await;
        assert!(earlier.await.unwrap().is_err());
        // The leader hears the question at 50 ms; its answer will be there at 100 ms.
        sleep(ms(54)).await;
        append(&client.at(first), "new").await.unwrap();
        sleep(ms(15)).await;
        assert_eq!(lines(&client.at(reborn)).await.unwrap(), ["old", "new"]);
    });
}

/// TRAPS 30: a follower's read is answered or refused, whatever becomes of its leader.
#[test]
fn trap_30_a_read_forwarded_by_a_follower_is_never_lost() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let follower = others(5, &[first])[0];
        let troubles = [
            Order::Pause(only(first)),
            Order::Resume(only(first)),
            Order::Cut { from: only(follower), to: only(first) },
            Order::Heal,
            Order::Cut { from: only(first), to: only(follower) },
            Order::Heal,
            Order::Crash(only(first)),
        ];
        for trouble in troubles {
            order(sandbox, trouble.clone()).await;
            let asked = sandbox.clock().now();
            let _ = lines(&client.at(follower)).await;
            let waited = sandbox.clock().now().since(asked);
            assert!(waited < ms(1500), "{trouble}: it took {waited:?}");
        }
    });
}

/// A read that begins after a write was answered sees it, from every server, whoever is cut off.
#[test]
fn reads_see_every_answered_write_under_partitions() {
    for seed in 0..20 {
        let options = SandboxOptions { seed, ..SandboxOptions::default() };
        cluster_of(options, async |sandbox| {
            let mut luck = ChaCha8Rng::seed_from_u64(seed);
            let client = journal(sandbox).await;
            client.set_patience(ms(2000));
            let mut answered = Vec::new();
            for round in 0..30 {
                let groups = luck.next_u64();
                let group = |bit: u64| {
                    others(5, &[]).into_iter().filter(|id| groups >> id.0 & 1 == bit).collect()
                };
                let trouble = match groups % 4 {
                    0 => Order::Heal,
                    1 => Order::Partition(vec![group(0), group(1)]),
                    2 => Order::Cut { from: Servers::Only(group(0)), to: Servers::Leader },
                    _ => Order::Cut { from: Servers::Leader, to: Servers::Only(group(0)) },
                };
                let _ = sandbox.order(trouble).await;
                let line = format!("{round}");
                if append(&client, &line).await.is_ok() {
                    answered.push(line);
                }
                for id in others(5, &[]) {
                    let Ok(seen) = lines(&client.at(id)).await else { continue };
                    let missing = answered.iter().find(|line| !seen.contains(line));
                    assert_eq!(missing, None, "seed {seed}, round {round}: {id} lacks a line");
                }
            }
            order(sandbox, Order::Heal).await;
            assert_converges(sandbox, 5).await;
        });
    }
}
