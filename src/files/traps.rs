//! One test for each trap of replicated services that concerns the state machine, by its number
//! in the project's catalogue of traps.

use bytes::Bytes;
use proptest::prelude::*;

use super::testing::{Bench, append, cases, create, uuid};
use super::{Answer, Command, FileStore, Query, Refusal, Request, close_session};

/// The answer to a request was lost and the client sends it again.
#[test]
fn trap_64_retry_is_applied_once() {
    let mut bench = Bench::new();
    bench.create(1, "notes.txt", b"a").unwrap();
    let payload = bench.request(append("notes.txt"), b"b");
    let first = bench.store.apply(100, &payload);
    for index in 101..104 {
        assert_eq!(bench.store.apply(index, &payload), first, "byte for byte");
    }
    assert_eq!(bench.cat("notes.txt").unwrap(), b"ab");
    assert_eq!(bench.stat("notes.txt").unwrap().index, 100);
}

/// A refusal is an answer too: the retry gets it, though the command would succeed by now.
#[test]
fn trap_64_retry_of_a_refused_request_is_refused_again() {
    let mut bench = Bench::new();
    let early = bench.request(append("notes.txt"), b"b");
    let refused = bench.apply(early.clone());
    assert!(matches!(refused, Err(Refusal::NoSuchFile { .. })));
    let Bench { session, serial, .. } = bench;
    let command = create(1, "notes.txt", 0);
    let pipelined = Request { session, serial: serial + 1, acknowledged: serial, command };
    bench.apply(pipelined.encode(b"")).unwrap();
    assert_eq!(bench.apply(early), refused);
    assert_eq!(bench.cat("notes.txt").unwrap(), b"");
}

/// The retry is delayed until the client has long had its answer, or closed its session.
#[test]
fn trap_64_late_retry_is_never_applied() {
    let mut bench = Bench::new();
    bench.create(1, "notes.txt", b"a").unwrap();
    let payload = bench.request(append("notes.txt"), b"b");
    let (session, serial) = (bench.session, bench.serial);
    bench.apply(payload.clone()).unwrap();
    bench.append("notes.txt", b"c").unwrap();
    let acknowledged = serial + 1;
    let late = bench.apply(payload.clone());
    assert_eq!(late, Err(Refusal::AlreadyAcknowledged { serial, acknowledged }));
    bench.apply(close_session(session)).unwrap();
    assert_eq!(bench.apply(payload), Err(Refusal::SessionExpired { session }));
    assert_eq!(bench.cat("notes.txt").unwrap(), b"abc");
}

/// The server that answered was restored from a snapshot meanwhile, and so has the log no more.
#[test]
fn trap_64_retry_after_a_snapshot_is_applied_once() {
    let mut bench = Bench::new();
    bench.create(1, "notes.txt", b"a").unwrap();
    let payload = bench.request(append("notes.txt"), b"b");
    let first = bench.apply(payload.clone());
    bench.restart_from_snapshot();
    assert_eq!(bench.apply(payload), first);
    assert_eq!(bench.cat("notes.txt").unwrap(), b"ab");
}

/// Servers hold the entry in different memory (a frame from the network, a segment from disk) and
/// are asked different questions in between: none of it may show.
#[test]
fn trap_66_apply_depends_on_the_log_alone() {
    let mut bench = Bench::new();
    bench.create(1, "a", &[1; 40_000]).unwrap();
    for _ in 0..100 {
        bench.append("a", &[2; 1000]).unwrap();
    }
    bench.stage(9, 1000, &[3; 20_000]).unwrap();
    bench.stage(9, 0, &[3; 1000]).unwrap();
    let (file, upload, size) = ("a".into(), uuid(9), 21_000);
    let append_staged = Command::AppendStaged { file, upload, size };
    bench.run(append_staged, b"").unwrap();
    bench.create(1, "b", b"").unwrap_err();

    let mut other = FileStore::default();
    let mut replies = Vec::new();
    for (i, payload) in bench.log.iter().enumerate() {
        let frame = Bytes::from([b"frame", &payload[..], b"end"].concat());
        let payload = frame.slice(5..frame.len() - 3);
        replies.push(other.apply(i as u64 + 1, &payload));
        other.query(&Query::Checksum.encode());
    }
    let mut again = FileStore::default();
    for ((i, payload), reply) in bench.log.iter().enumerate().zip(replies) {
        assert_eq!(again.apply(i as u64 + 1, payload), reply);
    }
    assert_eq!(other.digest(), bench.store.digest());
    assert_eq!(again.digest(), bench.store.digest());
}

proptest! {
    #![proptest_config(cases(256))]

    /// Whatever a committed entry holds, every server must get past it.
    #[test]
    fn trap_67_no_payload_stops_the_store(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..32),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..64),
    ) {
        let mut bench = Bench::new();
        bench.create(1, "a", b"x").unwrap();
        for payload in payloads {
            let _ = bench.apply(payload.clone());
            let _ = bench.store.query(&payload.into());
        }
        for (turn, (place, bits)) in flips.into_iter().enumerate() {
            let parts = [(append("a").if_revision("a", 1), &b"y"[..]), (append("a"), b"z")];
            let (command, data) = match turn % 2 {
                0 => (append("a"), Bytes::from_static(b"y")),
                _ => Command::batch(parts),
            };
            let mut payload = bench.request(command, &data).to_vec();
            let place = place.index(payload.len());
            payload[place] ^= bits;
            let _ = bench.apply(payload);
        }
        let served = matches!(bench.query(&Query::Checksum), Ok(Answer::Checksum { .. }));
        prop_assert!(served);
    }
}

/// The most tempting poison: numbers at the edge of their range.
#[test]
fn trap_67_extreme_numbers_are_refused() {
    let mut bench = Bench::new();
    bench.create(1, "a", b"x").unwrap();
    assert!(matches!(bench.stage(2, u64::MAX, b"xy"), Err(Refusal::FileTooLarge { .. })));
    let upload = uuid(2);
    bench.stage(2, 0, b"xy").unwrap();
    let huge = Command::AppendStaged { file: "a".into(), upload, size: u64::MAX };
    assert!(matches!(bench.run(huge, b""), Err(Refusal::FileTooLarge { .. })));
    let read = Query::Read { uuid: uuid(1), offset: u64::MAX, limit: u64::MAX };
    assert!(matches!(bench.query(&read), Ok(Answer::Content { bytes, .. }) if bytes.is_empty()));
    let Bench { session, .. } = bench;
    let command = append("a");
    let last = Request { session, serial: u64::MAX, acknowledged: u64::MAX, command };
    bench.apply(last.encode(b"y")).unwrap();
    assert_eq!(bench.cat("a").unwrap(), b"xy");
}
