//! Exactly once; what is unknown and what is not done; refusals; sessions; full doors.

use bytes::Bytes;
use jangada::actors::{ClientError, NotDone, Order, Sandbox, SandboxOptions, Servers};
use jangada::files::{self, Answer, Command, FileStore, Limits};
use jangada::raft::{Index, Refusal, ServerId};

use crate::support::*;

/// How many entries of the server's log append to a file.
async fn appends_logged(sandbox: &Sandbox, id: ServerId) -> usize {
    let log = sandbox.log(id, Index(0), Index(u64::MAX)).await.unwrap();
    log.iter().filter(|line| line.command.starts_with("append")).count()
}

/// TRAPS 64: committed, but the leader crashed before it answered; the retry is logged again and
/// applied once.
#[test]
fn trap_64_a_retry_after_the_leaders_crash_is_applied_once() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::ApplyStall(only(first))).await;
        let writer = client.clone();
        let write = tokio::task::spawn_local(async move { append(&writer, "once").await });
        sleep(ms(100)).await;
        let other = others(5, &[first])[0];
        assert_eq!(lines(&client.at(other)).await.unwrap(), ["once"], "committed and applied");
        assert!(!write.is_finished(), "and not answered");
        order(sandbox, Order::Crash(only(first))).await;
        let done = write.await.unwrap().unwrap();
        assert!(matches!(done.answer, Answer::Appended { size: 5, .. }), "{done:?}");
        assert_eq!(appends_logged(sandbox, leader(sandbox).await).await, 2, "it was retried");
        assert_eq!(lines(&client).await.unwrap(), ["once"]);
    });
}

/// What is committed is answered, even if the leader is deposed before it has applied it.
#[test]
fn a_committed_write_is_answered_by_a_leader_that_was_deposed() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::ApplyLatency { servers: only(first), latency: ms(100) }).await;
        let writer = client.at(first);
        let write = tokio::task::spawn_local(async move { append(&writer, "once").await });
        sleep(ms(20)).await;
        order(sandbox, Order::Timeout(only(others(5, &[first])[0]))).await;
        assert_ne!(leader_after(sandbox, first).await, first);
        assert!(!write.is_finished());
        let done = write.await.unwrap().unwrap();
        assert!(matches!(done.answer, Answer::Appended { size: 5, .. }), "{done:?}");
    });
}

/// TRAPS 65: what a lost leader had taken is unknown, whether it then happens...
#[test]
fn trap_65_a_taken_command_is_unknown_and_may_happen() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::ApplyStall(only(first))).await;
        let pinned = client.at(first);
        let write = tokio::task::spawn_local(async move { append(&pinned, "happens").await });
        sleep(ms(10)).await;
        order(sandbox, Order::Crash(only(first))).await;
        assert!(matches!(write.await.unwrap(), Err(ClientError::Unknown)));
        assert_eq!(lines(&client).await.unwrap(), ["happens"]);
    });
}

/// ... or does not.
#[test]
fn trap_65_a_taken_command_is_unknown_and_may_not_happen() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::Partition(vec![vec![first]])).await;
        let taken = append(&client.at(first), "does not").await;
        assert!(matches!(taken, Err(ClientError::Unknown)), "{taken:?}");
        append(&client, "does").await.unwrap();
        order(sandbox, Order::Heal).await;
        assert_converges(sandbox, 5).await;
        assert_eq!(lines(&client).await.unwrap(), ["does"]);
    });
}

/// A leader that steps down says so at once; nobody waits for its patience to end.
#[test]
fn trap_65_stepping_down_answers_every_waiting_call() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::Cut { from: only(first), to: Servers::All }).await;
        let pinned = client.at(first);
        let write = tokio::task::spawn_local(async move { append(&pinned, "taken").await });
        sleep(ms(10)).await;
        order(sandbox, Order::Timeout(only(others(5, &[first])[0]))).await;
        sleep(ms(10)).await;
        assert!(write.is_finished(), "the old leader keeps its caller waiting");
        assert!(matches!(write.await.unwrap(), Err(ClientError::Unknown)));
    });
}

#[test]
fn what_a_server_refuses_does_not_happen() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        for follower in others(5, &[first]) {
            let refused = append(&client.at(follower), "never").await.unwrap_err();
            let ClientError::NotDone(NotDone::Refused { server, refusal }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!((server, refusal), (follower, Refusal::NotLeader(first)));
        }
        order(sandbox, Order::Crash(only(first))).await;
        let down = append(&client.at(first), "never").await.unwrap_err();
        assert!(matches!(down, ClientError::NotDone(NotDone::Down(id)) if id == first));
        append(&client, "once").await.unwrap();
        assert_eq!(lines(&client).await.unwrap(), ["once"]);
    });
}

#[test]
fn without_a_quorum_the_refusal_counts_the_servers() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let down = Servers::Only(vec![ServerId(1), ServerId(3), ServerId(5)]);
        order(sandbox, Order::Crash(down.clone())).await;
        sleep(ms(1000)).await;
        let asked = sandbox.clock().now();
        let refused = append(&client, "refused").await.unwrap_err();
        let NotDone::NoQuorum { up: 2, servers: 5 } = not_done(&refused) else {
            panic!("{refused:?}")
        };
        assert!(refused.to_string().contains("2 of 5 servers are up, 3 are needed"), "{refused}");
        let waited = sandbox.clock().now().since(asked);
        assert!(waited < ms(1600), "hopeless, and yet it went on for {waited:?}");
        order(sandbox, Order::Recover(only(ServerId(3)))).await;
        append(&client, "taken").await.unwrap();
        assert_eq!(lines(&client).await.unwrap(), ["taken"]);
    });
}

fn not_done(error: &ClientError) -> NotDone {
    match error {
        ClientError::NotDone(reason) => *reason,
        error => panic!("not done was expected: {error:?}"),
    }
}

/// A client that asks any server finds the leader, whoever leads.
#[test]
fn every_client_finds_the_leader() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        for id in 1..=5 {
            order(sandbox, Order::Timeout(only(ServerId(id)))).await;
            sleep(ms(5)).await;
            assert_eq!(sandbox.leader(), Some(ServerId(id)));
            append(&client, &format!("known to lead: {id}")).await.unwrap();
            append(&journal_reader(sandbox), &format!("found: {id}")).await.unwrap();
        }
        assert_eq!(lines(&client).await.unwrap().len(), 10);
    });
}

/// Another client, which knows nothing yet.
fn journal_reader(sandbox: &Sandbox) -> jangada::actors::Client {
    sandbox.client()
}

/// A command whose session could not be opened was never sent: it is not done.
#[test]
fn a_session_that_may_be_open_leaves_its_first_command_not_done() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::Partition(vec![vec![first]])).await;
        let fresh = sandbox.client().at(first);
        let outcome = append(&fresh, "never sent").await;
        assert!(matches!(outcome, Err(ClientError::NotDone(_))), "{outcome:?}");
        order(sandbox, Order::Heal).await;
        assert_converges(sandbox, 5).await;
        assert!(lines(&client).await.unwrap().is_empty());
    });
}

#[test]
fn an_expired_session_is_said_and_the_next_command_opens_another() {
    let store = || FileStore::new(Limits { sessions: 2, ..Limits::default() });
    cluster_of(SandboxOptions::default().with_machine(store), async |sandbox| {
        let first = journal(sandbox).await;
        for line in ["of the second", "of the third"] {
            append(&sandbox.client(), line).await.unwrap();
        }
        let expired = append(&first, "refused").await;
        let Err(ClientError::Refused(files::Refusal::SessionExpired { .. })) = expired else {
            panic!("{expired:?}")
        };
        append(&first, "of the first").await.unwrap();
        let expected = ["of the second", "of the third", "of the first"];
        assert_eq!(lines(&first).await.unwrap(), expected);
    });
}

/// Two requests of one client may find out together that its session is gone.
#[test]
fn an_expired_session_confuses_no_numbers() {
    let store = || FileStore::new(Limits { sessions: 2, ..Limits::default() });
    cluster_of(SandboxOptions::default().with_machine(store), async |sandbox| {
        let client = journal(sandbox).await;
        for round in 0..20 {
            for _ in 0..2 {
                append(&sandbox.client(), "of another session").await.unwrap();
            }
            let before = lines(&client).await.unwrap().len();
            let several: Vec<_> = (0..6)
                .map(|number| {
                    let client = client.clone();
                    tokio::task::spawn_local(async move {
                        sleep(ms(number)).await;
                        append(&client, "of this one").await
                    })
                })
                .collect();
            let mut done = 0;
            for one in several {
                match one.await.unwrap() {
                    Ok(_) => done += 1,
                    Err(ClientError::Refused(files::Refusal::SessionExpired { .. })) => {}
                    Err(error) => panic!("round {round}: {error:?}"),
                }
            }
            assert_eq!(lines(&client).await.unwrap().len(), before + done, "round {round}");
        }
    });
}

/// A caller that gives up (its future is dropped) leaves nothing behind that clogs its session.
#[test]
fn requests_that_were_given_up_do_not_clog_the_session() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        append(&client, "before").await.unwrap();
        order(sandbox, Order::Speed { servers: Servers::Leader, latency: ms(20) }).await;
        for _ in 0..300 {
            let impatient = tokio::time::timeout(ms(2), append(&client, "given up"));
            assert!(impatient.await.is_err());
        }
        order(sandbox, Order::Speed { servers: Servers::All, latency: ms(0) }).await;
        for _ in 0..300 {
            append(&client, "after").await.unwrap();
        }
    });
}

/// TRAPS 68: the uncommitted tail is bounded, the rest is told so, and the counter returns.
#[test]
fn trap_68_the_uncommitted_tail_is_bounded_and_drains() {
    let mut options = SandboxOptions::default();
    options.raft.limits.uncommitted_entries = 4;
    cluster_of(options, async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let tail = server(sandbox, first).await.last_log.index;
        for round in 0..3 {
            order(sandbox, Order::DiskStall(Servers::All)).await;
            let calls: Vec<_> = (0..10)
                .map(|number| {
                    let client = client.at(first);
                    let line = format!("{round}.{number}");
                    tokio::task::spawn_local(async move { append(&client, &line).await })
                })
                .collect();
            sleep(ms(1000)).await;
            order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(0) }).await;
            let (mut done, mut busy) = (0, 0);
            for call in calls {
                match call.await.unwrap() {
                    Ok(_) => done += 1,
                    Err(error) => {
                        let reason = not_done(&error);
                        let refusal = Refusal::Busy;
                        assert_eq!(reason, NotDone::Refused { server: first, refusal });
                        busy += 1;
                    }
                }
            }
            assert_eq!((done, busy), (4, 6), "round {round}");
        }
        assert_eq!(server(sandbox, first).await.last_log.index - tail, 12);
        assert_eq!(lines(&client).await.unwrap().len(), 12);
    });
}

/// TRAPS 69: the door of one server holds 64 MiB; whoever comes then is told to come later.
#[test]
fn trap_69_a_full_door_answers_busy() {
    let mut options = SandboxOptions::default();
    // The log would take them all.
    options.raft.limits.uncommitted_bytes = u64::MAX;
    cluster_of(options, async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        let data = Bytes::from(vec![0u8; 1 << 20]);
        let calls = at_once(100, || {
            let (client, data) = (client.at(first), data.clone());
            let file = FILE.to_owned();
            async move { client.change(Command::Append { file }, &data).await }
        });
        let (mut done, mut busy) = (0, 0);
        for call in calls.await {
            match call.await.unwrap() {
                Ok(_) => done += 1,
                Err(error) => {
                    let refusal = Refusal::Busy;
                    assert_eq!(not_done(&error), NotDone::Refused { server: first, refusal });
                    busy += 1;
                }
            }
        }
        assert!(busy >= 30, "{done} were taken, {busy} refused");
        assert_eq!(get(&client, FILE).await.unwrap().len(), done << 20);
    });
}

/// TRAPS 69: callers whose answers wait for a stalled state machine are bounded too.
#[test]
fn trap_69_what_waits_to_be_applied_is_bounded() {
    const AT_ONCE: usize = 50_000;
    const MOST: u64 = 1 << 17;
    let options = SandboxOptions { record_commands: false, ..SandboxOptions::default() };
    cluster_of(options.with_machine(Tally::default), async |sandbox| {
        let client = sandbox.client();
        client.change(any_command(), &[]).await.unwrap();
        let first = leader(sandbox).await;
        order(sandbox, Order::ApplyStall(only(first))).await;
        let before = server(sandbox, first).await.last_log.index;
        let pinned = client.at(first);
        for _ in 0..3 {
            let writer = pinned.clone();
            at_once(AT_ONCE, || {
                let writer = writer.clone();
                async move { writer.change(any_command(), &[]).await }
            })
            .await;
            sleep(ms(10)).await;
        }
        let taken = server(sandbox, first).await.last_log.index - before;
        assert!(taken <= MOST, "{taken} writes were taken while none could be answered");
        let refused = pinned.change(any_command(), &[]).await.unwrap_err();
        let refusal = Refusal::Busy;
        assert_eq!(not_done(&refused), NotDone::Refused { server: first, refusal });
        order(sandbox, Order::ApplyLatency { servers: Servers::All, latency: ms(0) }).await;
        sleep(ms(100)).await;
        pinned.change(any_command(), &[]).await.unwrap();
    });
}

/// TRAPS 69: nor does the way to a slow or a frozen server hold any number of calls.
#[test]
fn trap_69_calls_on_their_way_are_bounded() {
    cluster_of(SandboxOptions::default().with_machine(Tally::default), async |sandbox| {
        let client = sandbox.client();
        client.change(any_command(), &[]).await.unwrap();
        let first = leader(sandbox).await;
        for (trouble, most) in [
            (Order::Pause(only(first)), 1 << 12),
            (Order::Speed { servers: only(first), latency: ms(100_000) }, 1 << 18),
        ] {
            order(sandbox, trouble).await;
            let calls = at_once(most + 1000, || {
                let client = client.at(first);
                async move { client.query(files::Query::Checksum).await }
            });
            let mut busy = 0;
            for call in calls.await {
                let refused = call.await.unwrap().unwrap_err();
                let refusal = Refusal::Busy;
                let expected = NotDone::Refused { server: first, refusal };
                busy += usize::from(not_done(&refused) == expected);
            }
            assert!((1000..1100).contains(&busy), "{busy} were turned away");
            order(sandbox, Order::Resume(Servers::All)).await;
        }
    });
}

/// TRAPS 30: however a call is lost with its server, the caller hears of it at once.
#[test]
fn trap_30_a_call_to_a_crashed_server_never_hangs() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let query = || files::Query::Checksum;
        let ways = ["in flight", "held while paused", "waiting for the disk", "for the state"];
        for way in ways {
            let first = leader(sandbox).await;
            append(&client, way).await.unwrap();
            let trouble = match way {
                "in flight" => Order::Speed { servers: only(first), latency: ms(50) },
                "held while paused" => Order::Pause(only(first)),
                "waiting for the disk" => Order::DiskStall(Servers::All),
                _ => Order::ApplyStall(Servers::All),
            };
            order(sandbox, trouble).await;
            let (writer, reader) = (client.at(first), client.at(first));
            let write = tokio::task::spawn_local(async move { append(&writer, "lost").await });
            sleep(ms(1)).await;
            let read = tokio::task::spawn_local(async move { reader.query(query()).await });
            sleep(ms(10)).await;
            assert!(!write.is_finished(), "{way}");
            order(sandbox, Order::Crash(only(first))).await;
            sleep(ms(1)).await;
            assert!(write.is_finished() && read.is_finished(), "{way}: the caller still waits");
            assert!(matches!(write.await.unwrap(), Err(ClientError::Unknown)), "{way}");
            if let Err(error) = read.await.unwrap() {
                not_done(&error);
            }
            order(sandbox, Order::Speed { servers: Servers::All, latency: ms(0) }).await;
            order(sandbox, Order::DiskLatency { servers: Servers::All, latency: ms(0) }).await;
            order(sandbox, Order::ApplyLatency { servers: Servers::All, latency: ms(0) }).await;
            order(sandbox, Order::Recover(only(first))).await;
        }
    });
}

/// A pinned caller is told how long it really waited.
#[test]
fn silence_is_measured() {
    cluster(async |sandbox| {
        let client = journal(sandbox).await;
        let first = leader(sandbox).await;
        order(sandbox, Order::Pause(only(first))).await;
        client.set_patience(ms(700));
        let asked = sandbox.clock().now();
        let silence = client.at(first).query(files::Query::Checksum).await.unwrap_err();
        let waited = sandbox.clock().now().since(asked);
        assert_eq!(not_done(&silence), NotDone::Silence(waited));
        assert_eq!(waited, ms(700));
    });
}

/// What a lost chunk was for has not been asked for: the load did not happen.
#[test]
fn a_load_whose_chunks_are_lost_is_not_done() {
    cluster(async |sandbox| {
        leader(sandbox).await;
        let client = sandbox.client();
        client.load_bytes("small", "x").await.unwrap();
        client.set_patience(ms(300));
        order(sandbox, Order::ApplyStall(Servers::All)).await;
        let lost = client.load_bytes("large", vec![7; 1 << 20]).await;
        assert!(matches!(lost, Err(ClientError::NotDone(NotDone::UploadLost))), "{lost:?}");
        order(sandbox, Order::ApplyLatency { servers: Servers::All, latency: ms(0) }).await;
        let names = client.list().await.unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
    });
}
