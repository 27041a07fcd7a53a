//! Data directories that earlier versions wrote, decoded for ever.
//!
//! `tests/golden/storage/v1` was written by the first version that had real disks. It is never
//! written again: a format that changes gets a number and a folder of its own, and this one is
//! still read, or refused as what it is. `v1-content` is of the same format; of the chunks of its
//! snapshot, one stands in the log, and one did until its segment had little else in it.

use super::*;
use crate::raft::{ChunkId, Position, SnapshotMeta};
use crate::storage::Snapshot;

const SMALL: Options = Options {
    segment_bytes: 1024,
    backlog_bytes: 1 << 20,
    pack_bytes: 1024,
    chunk_backlog_bytes: 1 << 20,
    spare_bytes: 1 << 20,
};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/storage/v1")
}

fn golden_content() -> PathBuf {
    golden().with_file_name("v1-content")
}

fn members() -> Configuration {
    let voters = [1, 2, 3].map(ServerId);
    Configuration::new(voters)
}

fn command(term: u64, text: &str) -> Entry {
    let payload = Payload::Command(Bytes::copy_from_slice(text.as_bytes()));
    Entry { term: Term(term), payload }
}

fn chunks() -> [(ChunkId, Bytes); 2] {
    ["all that the first five entries did", "and the rest of it"].map(|text| {
        (ChunkId(*blake3::hash(text.as_bytes()).as_bytes()), Bytes::from_static(text.as_bytes()))
    })
}

fn snapshot() -> Snapshot {
    let meta = SnapshotMeta {
        last_included: Position::new(Term(2), Index(5)),
        configuration: members(),
        configured_at: Index(4),
    };
    Snapshot { meta, chunks: chunks().map(|(id, _)| id).into() }
}

/// The one that takes its place: half of it is the same.
fn second() -> Snapshot {
    let last_included = Position::new(Term(3), Index(18));
    let first = snapshot();
    Snapshot {
        meta: SnapshotMeta { last_included, ..first.meta },
        chunks: [first.chunks[1]].into(),
    }
}

/// Entries that are no commands.
fn others(term: u64) -> [Entry; 3] {
    let ids = |ids: [u64; 3]| ids.map(ServerId);
    let joint = Configuration::joint(ids([1, 2, 4]), ids([1, 2, 3]), [ServerId(5)]);
    let joint = Payload::Configuration(joint.into());
    let decided = Payload::Configuration(members().into());
    [joint, decided, Payload::NoOp].map(|payload| Entry { term: Term(term), payload })
}

/// The log behind the first snapshot.
fn log() -> Vec<Entry> {
    let text = |index| format!("entry {index}, as it was acknowledged");
    (6..=30).map(|index| command(3, &text(index))).chain(others(3)).collect()
}

/// Written once, for the format of this version.
#[test]
#[ignore = "writes the golden files of the current format, which are there"]
fn write_golden_files() {
    let path = golden().join("data");
    fs::create_dir_all(golden()).unwrap();
    DataDir::create_with(&path, &identity(), &founding(), SMALL).unwrap();
    let directory = DataDir::open_with(&path, Expected::default(), Box::new(|| {}), SMALL).unwrap();
    let mut storage = directory.storage();
    storage.save_vote(Term(1), Some(ServerId(3)));
    let no_op = Entry { term: Term(1), payload: Payload::NoOp };
    storage.append(Index(1), vec![no_op, command(1, "ahoy"), command(1, "to go")].into());
    storage.save_vote(Term(2), None);
    let [joint, changed, _] = others(2);
    storage.append(Index(3), vec![joint, changed, command(2, "in its place")].into());
    chunks().into_iter().for_each(|(id, bytes)| {
        storage.put_chunk(id, bytes);
    });
    flush(&mut *storage);
    storage.save_snapshot(snapshot(), true);
    storage.compact(Index(5));
    storage.save_vote(Term(3), Some(ServerId(2)));
    for (entry, index) in log().into_iter().zip(6..) {
        if index == 20 {
            storage.save_snapshot(second(), true);
            storage.compact(Index(18));
        }
        storage.append(Index(index), vec![entry].into());
        if index % 5 == 0 {
            flush(&mut *storage);
        }
    }
    drop(storage);
    close_golden(directory, &golden());
}

fn close_golden(directory: DataDir, folder: &Path) {
    directory.close().unwrap();
    let path = folder.join("data");
    fs::remove_file(path.join(LOCK)).unwrap();
    fs::remove_file(path.join(LOG).join("spare.new")).unwrap();
    fs::write(folder.join("dump.txt"), dump(&path)).unwrap();
}

/// What files hold, as it came in the log, each with what came before it in its entry.
const CONTENTS: [(&str, &str); 2] = [
    ("create a: ", "the content of a file, which stays in the segment that it came in"),
    ("create b: ", "what another file holds, in a segment that the log still needs"),
];

fn content_name(text: &str) -> ChunkId {
    ChunkId(*blake3::hash(text.as_bytes()).as_bytes())
}

fn content_snapshot() -> Snapshot {
    let [first, second] = CONTENTS.map(|(_, text)| content_name(text));
    let meta = SnapshotMeta { last_included: Position::new(Term(1), Index(20)), ..snapshot().meta };
    Snapshot { meta, chunks: [first, chunks()[0].0, second].into() }
}

/// Written once, as the others.
#[test]
#[ignore = "writes the golden files of the current format, which are there"]
fn write_golden_files_with_content() {
    let path = golden_content().join("data");
    fs::create_dir_all(golden_content()).unwrap();
    DataDir::create_with(&path, &identity(), &founding(), SMALL).unwrap();
    let directory = DataDir::open_with(&path, Expected::default(), Box::new(|| {}), SMALL).unwrap();
    let mut storage = directory.storage();
    storage.save_vote(Term(1), Some(ServerId(3)));
    for index in 1..=24 {
        let (place, text) = (index as usize % 19, format!("entry {index}, of some length"));
        let content = (place == 1).then(|| CONTENTS[index as usize / 19]);
        let text = content.map_or(text, |(command, content)| format!("{command}{content}"));
        storage.append(Index(index), vec![command(1, &text)].into());
        if let Some((command, content)) = content {
            let entry = storage.read(Index(index - 1), Index(index), u64::MAX);
            let Some(Payload::Command(bytes)) = entry.last().map(|entry| &entry.payload) else {
                panic!("a command")
            };
            storage.put_chunk(content_name(content), bytes.slice(command.len()..));
        }
        flush(&mut *storage);
    }
    let (id, bytes) = chunks()[0].clone();
    storage.put_chunk(id, bytes);
    flush(&mut *storage);
    storage.save_snapshot(content_snapshot(), true);
    flush(&mut *storage);
    storage.compact(Index(19));
    for index in 25..=50 {
        storage.append(Index(index), vec![command(1, &format!("entry {index}"))].into());
        flush(&mut *storage);
    }
    drop(storage);
    close_golden(directory, &golden_content());
}

/// What `jangada log dump` says.
fn dump(path: &Path) -> String {
    let mut text = String::new();
    let inspection = inspect(path, |line| text += &format!("{line}\n")).unwrap();
    assert_eq!((inspection.damage, inspection.in_use), (None, None));
    format!("{text}{}\n{}\n", inspection.identity, inspection.survey)
}

/// A copy of a golden directory, of which `log dump` says what it said when it was made.
fn copied(golden: &Path, to: &Path) -> PathBuf {
    let said = fs::read_to_string(golden.join("dump.txt")).unwrap();
    assert_eq!(dump(&golden.join("data")), said);
    let path = to.join("data");
    DirBuilder::new().recursive(true).mode(0o700).create(path.join(LOG)).unwrap();
    for name in [label::LABEL, LOG] {
        let from = golden.join("data").join(name);
        let files = match name {
            LOG => fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()).collect(),
            _ => vec![from],
        };
        for file in files {
            let inner = file.strip_prefix(golden.join("data")).unwrap();
            fs::copy(&file, path.join(inner)).unwrap();
        }
    }
    path
}

#[test]
fn golden_files_with_content_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = copied(&golden_content(), folder.path());
    for _ in 0..2 {
        let directory =
            DataDir::open_with(&path, Expected::default(), Box::new(|| {}), SMALL).unwrap();
        let mut storage = directory.storage();
        assert_eq!(storage.snapshot(), Some(content_snapshot()));
        for text in CONTENTS
            .map(|(_, text)| text)
            .into_iter()
            .chain(["all that the first five entries did"])
        {
            assert_eq!(storage.chunk(&content_name(text)).unwrap(), text);
        }
        let last =
            storage.load().persistent.log.len() as u64 + storage.load().persistent.base.index.0;
        storage.append(Index(last + 1), vec![command(1, "onward")].into());
        drop(storage);
        directory.close().unwrap();
    }
}

#[test]
fn golden_files_of_format_1_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = copied(&golden(), folder.path());
    let expected = Expected { cluster: Some(Uuid::from_u128(7)), server: Some(ServerId(2)) };
    let open = || DataDir::open_with(&path, expected, Box::new(|| {}), SMALL).unwrap();
    for _ in 0..2 {
        let directory = open();
        let mut storage = directory.storage();
        let kept = storage.load();
        let state = kept.persistent;
        assert_eq!((state.current_term, state.voted_for), (Term(3), Some(ServerId(2))));
        assert!(!state.recovering && kept.torn.is_none());
        assert_eq!(storage.snapshot(), Some(second()));
        let (id, bytes) = chunks()[1].clone();
        assert_eq!(storage.chunk(&id), Some(bytes));
        let read = storage.read(Index(18), Index(33), u64::MAX);
        assert!(read.iter().eq(&log()[18 - 5..]));
        // It goes on from there.
        storage.append(Index(34), entries(&["onward"]));
        drop(storage);
        directory.close().unwrap();
    }
}
