//! A process that writes to a data directory is killed with -9, again and again: whatever it said
//! was durable is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use bytes::Bytes;
use jangada::raft::{
    ChunkId, Configuration, Entry, Index, Payload, Persistent, Position, ServerId, SnapshotMeta,
    Term, Time,
};
use jangada::storage::{DataDir, DirectoryError, Expected, Identity, Snapshot, inspect};

/// Names the directory to the process that is killed.
const CHILD: &str = "JANGADA_TEST_STORAGE_CHILD";
const KILLS: usize = 24;
/// The writer takes a snapshot after so many batches.
const SNAPSHOT: u64 = 50;
/// One entry in so many is large: the latest is a chunk of the snapshot as it stands in the log.
const LARGE: u64 = 10;

fn identity() -> Identity {
    Identity { cluster: uuid::Uuid::from_u128(7), server: ServerId(1) }
}

/// What stands at an index: it tells its place, and how long it is varies.
fn entry(index: u64) -> Entry {
    let large = if index.is_multiple_of(LARGE) { 100 } else { 1 };
    let text = format!("{index} ").repeat((1 + (index * 37 % 200) as usize) * large);
    Entry { term: Term(1), payload: Payload::Command(Bytes::from(text)) }
}

fn chunk(index: u64) -> (ChunkId, Bytes) {
    let bytes = Bytes::from(format!("state at {index} ").repeat(5_000));
    (ChunkId(*blake3::hash(&bytes).as_bytes()), bytes)
}

/// The latest large entry up to this one, and its name as a chunk.
fn large(index: u64) -> (ChunkId, u64) {
    let index = index / LARGE * LARGE;
    let Payload::Command(bytes) = entry(index).payload else { panic!("a command") };
    (ChunkId(*blake3::hash(&bytes).as_bytes()), index)
}

/// Writes for ever, and says on a line of its own each index up to which the log is durable.
#[test]
#[ignore = "runs in a process of its own, until that is killed"]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let (woken, wakes) = channel();
    let wake = Box::new(move || {
        let _ = woken.send(());
    });
    let directory = DataDir::open(Path::new(&path), Expected::default(), wake).unwrap();
    let mut storage = directory.storage();
    let now = Time::default();
    let mut next = storage.durable(now).unwrap().last.0 + 1;
    for batch in 1.. {
        let count = 1 + next % 7;
        storage.append(Index(next), (next..next + count).map(entry).collect());
        next += count;
        if batch % SNAPSHOT == 0 {
            let (id, bytes) = chunk(next - 1);
            let write = storage.put_chunk(id, bytes);
            storage.sync(now);
            while storage.durable(now).unwrap().chunks < write {
                wakes.recv().unwrap();
            }
            let (standing, index) = large(next - 1);
            let entries = storage.read(Index(index - 1), Index(index), u64::MAX);
            let Some(Payload::Command(bytes)) = entries.last().map(|it| it.payload.clone()) else {
                panic!("the log has entry {index}")
            };
            storage.put_chunk(standing, bytes);
            let meta = SnapshotMeta {
                last_included: Position::new(Term(1), Index(next - 1)),
                ..SnapshotMeta::founding(Configuration::new([ServerId(1)]))
            };
            storage.save_snapshot(Snapshot { meta, chunks: [id, standing].into() }, true);
            storage.compact(Index(next - 4));
        }
        storage.sync(now);
        if batch % 3 == 0 {
            wakes.recv().unwrap();
        }
        let durable = storage.durable(now).unwrap();
        // The other process may read it after this one is dead.
        writeln!(std::io::stderr(), "{}", durable.last).unwrap();
    }
}

fn spawn(path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    command.args(["--ignored", "--exact", "child", "--nocapture"]).env(CHILD, path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("a child")
}

#[test]
fn what_was_durable_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let founding = Persistent::founding(Configuration::new([ServerId(1)]));
    DataDir::create(&path, &identity(), &founding).unwrap();
    let (mut acknowledged, mut torn, mut snapshots) = (0, 0, 0);
    for kill in 0..KILLS {
        let mut child = spawn(&path);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..20 + kill * 7 % 90 {
            let line = lines.next().expect("it goes on until it is killed").unwrap();
            acknowledged = line.parse().unwrap_or_else(|_| panic!("it says: {line}"));
        }
        if kill == 0 {
            let refused = DataDir::open(&path, Expected::default(), Box::new(|| {})).err();
            let process = Some(child.id());
            assert_eq!(refused, Some(DirectoryError::InUse { path: path.clone(), process }));
            assert_eq!(inspect(&path, |_| {}).unwrap().in_use, Some(process));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            acknowledged = line.unwrap().parse().unwrap();
        }
        let inspection = inspect(&path, |_| {}).unwrap();
        assert_eq!((inspection.damage, inspection.in_use), (None, None));
        torn += usize::from(inspection.survey.torn.is_some());
        let directory = DataDir::open(&path, Expected::default(), Box::new(|| {})).unwrap();
        let storage = directory.storage();
        let kept = storage.load().persistent;
        let last = kept.base.index.0 + kept.log.len() as u64;
        assert!(last >= acknowledged, "{acknowledged} was durable, {last} is the last");
        let read = storage.read(kept.base.index, Index(last), u64::MAX);
        assert!(read.iter().cloned().eq((kept.base.index.0 + 1..=last).map(entry)));
        if let Some(snapshot) = storage.snapshot() {
            let (id, bytes) = chunk(snapshot.meta.last_included.index.0);
            let (standing, index) = large(snapshot.meta.last_included.index.0);
            assert_eq!(&*snapshot.chunks, [id, standing]);
            assert_eq!(storage.chunk(&id), Some(bytes));
            let found = storage.chunk(&standing).map(Payload::Command);
            assert_eq!(found, Some(entry(index).payload));
            snapshots += 1;
        }
        drop(storage);
        if kill % 2 == 0 {
            directory.close().unwrap();
        }
    }
    assert!(acknowledged > 1000 && snapshots > 0, "{acknowledged} {snapshots} {torn}");
    println!("{KILLS} kills, {acknowledged} entries, {torn} torn tails");
}

/// For a small file system, which `JANGADA_TEST_SMALL_DISK` names: 48 MiB are enough, more than
/// 1 GiB is refused. As root: `mount -t tmpfs -o size=48M none DIR`.
#[test]
#[ignore = "needs a small file system of its own"]
fn a_full_file_system_is_a_state() {
    let folder = std::env::var("JANGADA_TEST_SMALL_DISK").expect("the folder of the file system");
    let path = Path::new(&folder).join("data");
    let founding = Persistent::founding(Configuration::new([ServerId(1)]));
    DataDir::create(&path, &identity(), &founding).unwrap();
    let (woken, wakes) = channel();
    let wake = Box::new(move || {
        let _ = woken.send(());
    });
    let directory = DataDir::open(&path, Expected::default(), wake).unwrap();
    let mut storage = directory.storage();
    let ballast = Path::new(&folder).join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    let mut room = 1024;
    while room > 0 && file.write_all(&[1; 1 << 20]).is_ok() {
        room -= 1;
    }
    assert!(room > 0, "it is not small");
    let (mut next, mut moment) = (1, 0);
    let mut write = storage.append(Index(next), vec![entry(next)].into());
    while !storage.is_full() {
        moment += 1;
        let now = Time::from_nanos(moment);
        storage.sync(now);
        while !storage.is_full() && storage.durable(now).unwrap().write < write {
            wakes.recv().unwrap();
        }
        if !storage.is_full() {
            next += 1;
            write = storage.append(Index(next), vec![entry(next)].into());
        }
    }
    let durable = storage.durable(Time::default()).unwrap();
    assert!(directory.is_full() && durable.last < Index(next) && next > 10_000, "{next}");
    assert_eq!(storage.read(Index(next - 1), Index(next), u64::MAX).len(), 1, "reads go on");
    std::fs::remove_file(&ballast).unwrap();
    while storage.durable(Time::from_nanos(u64::MAX)).unwrap().write < write {
        wakes.recv().unwrap();
    }
    assert!(!directory.is_full());
    drop(storage);
    directory.close().unwrap();
    let directory = DataDir::open(&path, Expected::default(), Box::new(|| {})).unwrap();
    let kept = directory.storage().load().persistent;
    assert_eq!(kept.log.len() as u64, next);
}
