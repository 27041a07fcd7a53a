//! A restored store is the store that was frozen, and nothing else passes for a snapshot.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::testing::{Bench, Keeper, cases, create, uuid};
use super::super::{
    Answer, Command, ContentHash, FileStore, Limits, MAX_DATA, Query, Request, close_session,
    open_session,
};
use super::*;

fn chunks(mut frozen: Frozen) -> Vec<(ContentHash, Bytes)> {
    let mut chunks = Vec::new();
    while let Some(chunk) = next_chunk(&mut frozen) {
        chunks.push(chunk);
    }
    chunks
}

/// The next chunk of a store that lets go of nothing.
fn next_chunk(frozen: &mut Frozen) -> Option<(ContentHash, Bytes)> {
    frozen.next_chunk().map(|(id, bytes)| (id, bytes.unwrap()))
}

fn restored(limits: Limits, chunks: &[(ContentHash, Bytes)], index: u64) -> FileStore {
    let mut restore = FileStore::new(limits).restore();
    for (id, chunk) in chunks {
        restore.feed(*id, chunk).unwrap();
    }
    restore.finish(index).unwrap()
}

/// Restores from these chunks, as far as that goes.
fn outcome<'a>(chunks: impl IntoIterator<Item = &'a Bytes>) -> Result<FileStore, RestoreError> {
    let mut restore = FileStore::default().restore();
    for chunk in chunks {
        restore.feed(blake3::hash(chunk).into(), chunk)?;
    }
    restore.finish(100)
}

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| ((i + seed) % 251) as u8).collect()
}

/// A store with everything in it: pieces and tails, answers, an upload with a gap and a base.
fn full() -> Bench {
    let mut bench = Bench::new();
    bench.create(1 << 100, "small", b"hello").unwrap();
    bench.create(2 << 100, "large", &pattern(100_000, 1)).unwrap();
    bench.append("large", &pattern(20_000, 2)).unwrap();
    bench.append("large", b"end").unwrap();
    bench.create(3 << 100, "empty", b"").unwrap();
    let onto = Some(uuid(2 << 100));
    for (offset, length) in [(0, 30_000), (50_000, 40_000), (100_000, 10)] {
        let stage = Command::Stage { upload: uuid(9), offset, onto };
        bench.run(stage, &pattern(length, 3)).unwrap();
    }
    bench.stage(8, 0, b"begin").unwrap();
    bench.run(Command::Delete { file: "nothing".into() }, b"").unwrap_err();
    bench
}

#[test]
fn chunks_are_named_by_their_hash_and_bounded() {
    let bench = full();
    let chunks = chunks(bench.store.freeze());
    for (hash, bytes) in &chunks {
        assert_eq!(*hash, blake3::hash(bytes).into());
        assert!((1..=MAX_DATA).contains(&bytes.len()));
    }
    // Version; files and two pieces; sessions; uploads, a piece and two chunks ahead; end.
    assert_eq!(chunks.len(), 10);
}

#[test]
fn an_empty_store_is_a_snapshot_too() {
    let store = FileStore::default();
    let chunks = chunks(store.freeze());
    assert_eq!(chunks.len(), 2);
    assert_eq!(restored(Limits::default(), &chunks, 0).state_hash(), store.state_hash());
}

#[test]
fn content_is_shared_not_copied() {
    let mut bench = Bench::new();
    bench.create(1, "a", &pattern(100_000, 0)).unwrap();
    let content = |store: &FileStore| {
        let read = Query::Read { uuid: uuid(1), offset: 0, limit: 10 };
        match Answer::decode(&store.query(&read.encode())) {
            Ok(Answer::Content { bytes, .. }) => bytes,
            other => panic!("{other:?}"),
        }
    };
    let chunks = chunks(bench.store.freeze());
    let piece = chunks.iter().find(|(_, bytes)| bytes.len() == 100_000).unwrap();
    let logged = bench.log.last().unwrap();
    assert!(logged.as_ptr_range().contains(&piece.1.as_ptr()));
    let restored = restored(Limits::default(), &chunks, 2);
    assert_eq!(content(&restored), content(&bench.store));
}

/// The store goes on while its snapshot is taken: none of it gets in.
#[test]
fn what_is_applied_later_is_not_in_the_snapshot() {
    let mut bench = full();
    let before = chunks(bench.store.freeze());
    let mut frozen = bench.store.freeze();
    let mut taken = vec![next_chunk(&mut frozen).unwrap()];
    for step in 0.. {
        bench.append("large", b"more").unwrap();
        bench.append("small", &pattern(20_000, step)).unwrap();
        bench.stage(8, 5 + step as u64, b"x").unwrap();
        bench.create((1 << 90) + step as u128, &format!("new{step}"), b"x").unwrap();
        if step == 2 {
            bench.run(Command::Delete { file: "empty".into() }, b"").unwrap();
            bench.open();
        }
        match next_chunk(&mut frozen) {
            Some(chunk) => taken.push(chunk),
            None => break,
        }
    }
    assert_eq!(taken, before);
}

#[test]
fn a_change_of_one_file_changes_one_block() {
    for (files, size) in [(5000, 100), (400, 15_000)] {
        let mut bench = Bench::new();
        for number in 0..files {
            let (high, low) = ((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), number as u64);
            let uuid = Uuid::from_u64_pair(high, low).as_u128();
            bench.create(uuid, &format!("file/{number}"), &pattern(size, number)).unwrap();
        }
        let names = |chunks: Vec<(ContentHash, Bytes)>| {
            chunks.into_iter().map(|(hash, _)| hash).collect::<BTreeSet<_>>()
        };
        let before = names(chunks(bench.store.freeze()));
        assert!(before.len() > 10, "{} chunks", before.len());
        bench.append("file/250", b"more").unwrap();
        bench.run(Command::Delete { file: "file/77".into() }, b"").unwrap();
        let after = names(chunks(bench.store.freeze()));
        // Two blocks of files, the sessions and the end.
        let new = after.difference(&before).count();
        assert!(new <= 4, "{new} of {} chunks", after.len());
    }
}

#[test]
fn many_answers_of_one_session_span_blocks() {
    let limits = Limits { unacknowledged: 4096, ..Limits::default() };
    let mut bench = Bench::with(limits.clone());
    let name = |number: u64| format!("{number:0>1000}");
    let mut payloads = Vec::new();
    for serial in 0..1500 {
        let command = create(u128::from(serial) + 1, &name(serial), 0);
        let session = bench.session;
        payloads.push(Request { session, serial, acknowledged: 0, command }.encode(b""));
    }
    let replies: Vec<_> = payloads.iter().map(|payload| bench.apply(payload.clone())).collect();
    let chunks = chunks(bench.store.freeze());
    let mut restored = restored(limits, &chunks, 2000);
    assert_eq!(restored.state_hash(), bench.store.state_hash());
    for (payload, reply) in payloads.iter().zip(replies) {
        assert_eq!(Answer::decode(&restored.apply(3000, payload)), reply);
    }
}

#[test]
fn a_missing_a_doubled_and_a_swapped_chunk_are_errors() {
    let chunks: Vec<_> = chunks(full().store.freeze()).into_iter().map(|(_, c)| c).collect();
    outcome(&chunks).unwrap();
    for left_out in 0..chunks.len() {
        let others = chunks.iter().enumerate().filter(|&(place, _)| place != left_out);
        outcome(others.map(|(_, chunk)| chunk)).unwrap_err();
    }
    for doubled in 0..chunks.len() {
        let (front, back) = chunks.split_at(doubled);
        outcome(front.iter().chain(&back[..1]).chain(back)).unwrap_err();
    }
    for place in 1..chunks.len() {
        let mut swapped = chunks.clone();
        swapped.swap(place - 1, place);
        outcome(&swapped).unwrap_err();
    }
    let cut = outcome(&chunks[..chunks.len() - 1]).unwrap_err();
    assert_eq!(cut, RestoreError::Unfinished { chunks: 9 });
}

#[test]
fn damaged_chunks_are_errors() {
    let chunks: Vec<_> = chunks(full().store.freeze()).into_iter().map(|(_, c)| c).collect();
    for (place, chunk) in chunks.iter().enumerate() {
        let step = (chunk.len() / 40).max(1);
        for at in (0..chunk.len()).step_by(step) {
            let mut damaged = chunks.clone();
            damaged[place] = chunk.slice(..at);
            outcome(&damaged).unwrap_err();
            let mut bytes = chunk.to_vec();
            bytes[at] ^= 0x11;
            damaged[place] = bytes.into();
            outcome(&damaged).unwrap_err();
        }
    }
    let huge = Bytes::from(vec![0; MAX_DATA + 1]);
    outcome([&huge]).unwrap_err();
}

#[test]
fn a_snapshot_of_another_version_says_so() {
    let other = record::Record::Header { magic: record::MAGIC, version: 7 };
    let chunk = Bytes::from(postcard::to_stdvec(&other).unwrap());
    assert_eq!(outcome([&chunk]).unwrap_err(), RestoreError::Version { found: 7 });
}

/// A base that has changed since cannot be carried on; the hash must be right all the same.
#[test]
fn an_upload_onto_a_file_goes_on_after_a_restore() {
    for interfering in [false, true] {
        let mut bench = full();
        let mut plain = bench.cat("large").unwrap();
        if interfering {
            bench.append("large", b"!").unwrap();
            plain.push(b'!');
        }
        bench.restart_from_snapshot();
        let onto = Some(uuid(2 << 100));
        for (offset, length) in [(30_000, 20_000), (90_000, 10_000)] {
            let stage = Command::Stage { upload: uuid(9), offset, onto };
            bench.run(stage, &pattern(length, 4)).unwrap();
        }
        let (file, upload, size) = ("large".to_owned(), uuid(9), 100_010);
        bench.run(Command::AppendStaged { file, upload, size }, b"").unwrap();
        for (length, seed) in [(30_000, 3), (20_000, 4), (40_000, 3), (10_000, 4), (10, 3)] {
            plain.extend(pattern(length, seed));
        }
        assert_eq!(bench.cat("large").unwrap(), plain);
        assert_eq!(bench.stat("large").unwrap().hash, blake3::hash(&plain).into());
    }
}

/// The file is deleted, and later has the content again that the upload began with.
#[test]
fn an_upload_onto_a_file_that_came_back_hashes_right_after_a_restore() {
    let mut bench = Bench::new();
    let (old, staged) = (pattern(40_000, 1), pattern(30_000, 2));
    bench.create(1, "a", &old).unwrap();
    let onto = Some(uuid(1));
    bench.run(Command::Stage { upload: uuid(9), offset: 0, onto }, &staged).unwrap();
    bench.run(Command::Delete { file: "a".into() }, b"").unwrap();
    bench.create(1, "a", b"other").unwrap();
    bench.restart_from_snapshot();
    bench.run(Command::Delete { file: "a".into() }, b"").unwrap();
    bench.create(1, "a", &old).unwrap();
    let append = Command::AppendStaged { file: "a".into(), upload: uuid(9), size: 30_000 };
    bench.run(append, b"").unwrap();
    let hash = blake3::hash(&[old, staged].concat()).into();
    assert_eq!(bench.stat("a").unwrap().hash, hash);
}

/// What a client may send, over few names, uuids and uploads, so that commands collide.
fn command() -> impl Strategy<Value = (Command, Vec<u8>)> {
    let name = || (0..4_u8).prop_map(|name| format!("dir/{name}"));
    let number = || (1..6_u128).prop_map(|number| uuid(number << 100));
    let data = || {
        let length = prop_oneof![0..300_usize, 15_000..18_000_usize];
        (length, 0..250_usize).prop_map(|(length, seed)| pattern(length, seed))
    };
    let leaf = prop_oneof![
        3 => (number(), name(), data(), any::<bool>()).prop_map(|(uuid, name, data, replace)| {
            let size = data.len() as u64;
            (Command::Create { uuid, name, size, upload: None, replace }, data)
        }),
        4 => (name(), data()).prop_map(|(file, data)| (Command::Append { file }, data)),
        1 => name().prop_map(|file| (Command::Delete { file }, Vec::new())),
        1 => (name(), name()).prop_map(|(file, name)| (Command::Rename { file, name }, Vec::new())),
        6 => (number(), 0..4_u64, prop::option::of(number())).prop_map(|(upload, place, onto)| {
            (Command::Stage { upload, offset: place * 9000, onto }, pattern(9000, 5))
        }),
        1 => number().prop_map(|upload| (Command::Discard { upload }, Vec::new())),
        2 => (name(), number(), 1..4_u64).prop_map(|(file, upload, places)| {
            (Command::AppendStaged { file, upload, size: places * 9000 }, Vec::new())
        }),
        2 => (number(), name(), number(), 1..4_u64, any::<bool>()).prop_map(
            |(uuid, name, upload, places, replace)| {
                let (upload, size) = (Some(upload), places * 9000);
                (Command::Create { uuid, name, size, upload, replace }, Vec::new())
            }
        ),
    ];
    let condition = prop::option::weighted(0.3, (name(), 0..4_u64));
    let maybe = (leaf, condition).prop_map(|((command, data), condition)| match condition {
        Some((file, revision)) => (command.if_revision(file, revision), data),
        None => (command, data),
    });
    prop_oneof![
        5 => maybe.clone(),
        1 => prop::collection::vec(maybe, 0..5).prop_map(|commands| {
            let commands = commands.iter().map(|(command, data)| (command.clone(), &data[..]));
            let (command, data) = Command::batch(commands);
            (command, data.to_vec())
        }),
    ]
}

/// An entry of the log, in terms of what came before it.
#[derive(Clone, Debug)]
enum Step {
    /// A request of one of the sessions opened last, sometimes repeated or out of order.
    Request {
        command: Command,
        data: Vec<u8>,
        session: usize,
        back: u64,
        acknowledged: u64,
    },
    Open,
    Close {
        session: usize,
    },
    Garbage(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let request = (command(), 0..SESSIONS, 0..3_u64, 0..5_u64).prop_map(
        |((command, data), session, back, acknowledged)| Step::Request {
            command,
            data,
            session,
            back,
            acknowledged,
        },
    );
    prop_oneof![
        40 => request,
        1 => Just(Step::Open),
        1 => (0..SESSIONS).prop_map(|session| Step::Close { session }),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Garbage),
    ]
}

const SESSIONS: usize = 3;

/// The log that the steps make, behind the opening of its sessions.
fn log(steps: &[Step]) -> Vec<Bytes> {
    let mut log = vec![open_session(); SESSIONS];
    let mut sessions: Vec<u64> = (1..=SESSIONS as u64).collect();
    for step in steps {
        let index = log.len() as u64 + 1;
        let latest = |session: usize| sessions[sessions.len() - 1 - session];
        let payload = match step {
            Step::Request { command, data, session, back, acknowledged } => {
                let serial = index - back;
                let acknowledged = serial.saturating_sub(*acknowledged);
                let (session, command) = (latest(*session), command.clone());
                Request { session, serial, acknowledged, command }.encode(data)
            }
            Step::Open => open_session(),
            Step::Close { session } => close_session(latest(*session)),
            Step::Garbage(bytes) => bytes.clone().into(),
        };
        if matches!(step, Step::Open) {
            sessions.push(index);
        }
        log.push(payload);
    }
    log
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn a_restored_store_cannot_be_told_from_the_one_it_was_taken_of(
        steps in prop::collection::vec(step(), 1..120),
        at in any::<prop::sample::Index>(),
    ) {
        let limits = || Limits {
            sessions: SESSIONS, unacknowledged: 6, uploads: 4, file_bytes: 120_000,
            store_bytes: 300_000, ..Limits::default()
        };
        let log = log(&steps);
        let at = at.index(log.len());
        let (before, after) = log.split_at(at);
        let mut live = FileStore::new(limits());
        for (index, payload) in (1..).zip(before) {
            live.apply(index, payload);
        }
        let frozen = live.freeze();
        let (hash, digest) = (live.state_hash(), live.digest());
        let next = at as u64 + 1;
        let replies: Vec<_> =
            (next..).zip(after).map(|(index, payload)| live.apply(index, payload)).collect();
        let mut copy = restored(limits(), &chunks(frozen), at as u64);
        prop_assert_eq!((copy.state_hash(), copy.digest()), (hash, digest));
        for ((index, payload), reply) in (next..).zip(after).zip(replies) {
            prop_assert_eq!(copy.apply(index, payload), reply, "at {}", index);
        }
        prop_assert_eq!(copy.state_hash(), live.state_hash());
        prop_assert_eq!(copy.digest(), live.digest());
        prop_assert_eq!(chunks(copy.freeze()), chunks(live.freeze()));
        let changes = Query::Changes { after: at as u64, limit: 1000 }.encode();
        prop_assert_eq!(copy.query(&changes), live.query(&changes));
    }

    /// Snapshots are taken, content is let go, and servers start again: nobody can tell.
    #[test]
    fn a_store_that_lets_go_cannot_be_told_from_one_that_keeps(
        steps in prop::collection::vec(step(), 1..120),
        taken in prop::collection::btree_set(0..120_usize, 0..6),
        restored in prop::collection::btree_set(0..120_usize, 0..3),
    ) {
        let limits = || Limits { sessions: SESSIONS, unacknowledged: 6, ..Limits::default() };
        let (mut one, mut other) = (FileStore::new(limits()), FileStore::new(limits()));
        let keeper = Keeper::default();
        other.keep_content_in(Box::new(keeper.clone()));
        for (index, payload) in (1..).zip(&log(&steps)) {
            prop_assert_eq!(one.apply(index, payload), other.apply(index, payload));
            let (take, restore) = (index as usize, restored.contains(&(index as usize)));
            if restore || taken.contains(&take) {
                keeper.take(&other);
            }
            if restore {
                other = keeper.restored(&other, index);
            }
            for file in 0..4 {
                let file = format!("dir/{file}");
                let fetch = Query::Fetch { file, offset: index * 100, limit: 40_000 }.encode();
                prop_assert_eq!(one.query(&fetch), other.query(&fetch));
            }
        }
        prop_assert_eq!((one.state_hash(), one.digest()), (other.state_hash(), other.digest()));
    }

    #[test]
    fn any_bytes_are_an_error(
        garbage in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
        behind in 0..10_usize,
    ) {
        let chunks: Vec<_> = chunks(full().store.freeze()).into_iter().map(|(_, c)| c).collect();
        let garbage: Vec<_> = garbage.into_iter().map(Bytes::from).collect();
        prop_assert!(outcome(chunks[..behind].iter().chain(&garbage)).is_err());
    }
}
