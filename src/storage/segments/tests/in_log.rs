//! Chunks that stand in the log, and are not written a second time.

use super::snapshots::{chunk, put, snapshot};
use super::*;

/// Payloads that each fill most of a segment.
const TEXTS: [&str; 4] = [
    "the first of the chunks that stand in the log, where they were when they were written to it; \
     no pack has any of its bytes",
    "the second of these chunks, of which nothing is in a pack either, however often a snapshot \
     has its name on its list",
    "the third, in a segment of its own like the others: what comes behind it is too long for the \
     same segment",
    "the fourth and last, which is there to show that others come behind the third, and it is as \
     long as they are",
];

/// A log with these texts as its first entries, and a snapshot of them.
fn with_texts() -> Log {
    let mut log = new_log();
    for (index, text) in (1..).zip(TEXTS) {
        log.append(Index(index), entries(1, &[text]));
    }
    log.flush(ms(0));
    stand(&mut log);
    log.save_snapshot(snapshot(4, 1, &TEXTS), true);
    log.flush(ms(0));
    log
}

/// Has the payloads become chunks.
fn stand(log: &mut Log) {
    for entry in log.read(Index(0), Index(4), u64::MAX).iter() {
        let Payload::Command(bytes) = &entry.payload else { panic!("a command") };
        log.put_chunk(ChunkId(*blake3::hash(bytes).as_bytes()), bytes.clone());
    }
}

fn go_on(log: &mut Log, count: u64) {
    for _ in 0..count {
        let next = log.log.last.index.next();
        log.append(next, entries(1, &["something else that takes some room in the log, and goes"]));
        log.flush(ms(0));
    }
    log.compact(Index(4));
    log.flush(ms(0));
}

fn files(log: &Log) -> Vec<String> {
    log.disk.files.keys().map(FileId::to_string).collect()
}

/// The segment in which a text stands, and where.
fn home(log: &Log, text: &str) -> Option<(FileId, usize)> {
    log.disk.files.iter().find_map(|(file, bytes)| {
        let at = bytes.windows(text.len()).position(|it| it == text.as_bytes())?;
        matches!(file, FileId::Log(_)).then_some((*file, at))
    })
}

fn is_whole(log: &Log, texts: &[&str]) -> bool {
    texts.iter().all(|text| log.chunk(&chunk(text).0).is_some_and(|bytes| bytes == text.as_bytes()))
}

#[test]
fn a_chunk_that_stands_in_the_log_stays_when_the_log_goes() {
    let mut log = with_texts();
    assert!(log.disk.files.keys().all(|file| matches!(file, FileId::Log(_))), "no pack");
    let (first, _) = home(&log, TEXTS[0]).unwrap();
    go_on(&mut log, 10);
    let needed = log.segments.numbers();
    assert!(needed.into_iter().all(|number| FileId::Log(number) > first), "only for its chunk");
    let mut again = reopened(&log).unwrap();
    for log in [&log, &again] {
        assert!(is_whole(log, &TEXTS));
        assert_eq!(home(log, TEXTS[0]).map(|(file, _)| file), Some(first), "{:?}", files(log));
    }
    again.flush(ms(0));
    assert!(is_whole(&reopened(&again).unwrap(), &TEXTS), "another start later");
    // A later snapshot has one of them only, and so has the one after it.
    for (index, texts) in [(8, &TEXTS[2..3]), (9, &TEXTS[2..3]), (10, &TEXTS[2..3])] {
        again.save_snapshot(snapshot(index, 1, texts), true);
        again.flush(ms(0));
    }
    let again = reopened(&again).unwrap();
    assert!(is_whole(&again, &TEXTS[2..3]) && !is_whole(&again, &TEXTS[3..]));
    let homes = TEXTS.map(|text| home(&again, text).is_some());
    assert_eq!(homes, [false, false, true, false], "{:?}", files(&again));
}

/// A segment with little in it that is kept gives that to a pack.
#[test]
fn what_is_left_of_a_segment_is_written_to_a_pack() {
    let mut log = new_log();
    let filler = "nothing that anybody wants to keep for ever ".repeat(3);
    let wanted = "the only part of this segment that is kept";
    log.append(Index(1), entries(1, &[wanted, &filler]));
    log.flush(ms(0));
    let entry = log.read(Index(0), Index(1), u64::MAX);
    let Some(Payload::Command(bytes)) = entry.last().map(|entry| entry.payload.clone()) else {
        panic!("a command")
    };
    log.put_chunk(chunk(wanted).0, bytes);
    log.save_snapshot(snapshot(2, 1, &[wanted]), true);
    assert!(home(&log, wanted).is_some());
    go_on_from(&mut log);
    assert_eq!(home(&log, wanted), None, "{:?}", files(&log));
    assert!(files(&log).contains(&"00000001.pack".to_owned()), "{:?}", files(&log));
    assert!(is_whole(&log, &[wanted]) && is_whole(&reopened(&log).unwrap(), &[wanted]));
}

fn go_on_from(log: &mut Log) {
    log.compact(Index(2));
    for _ in 0..8 {
        let next = log.log.last.index.next();
        log.append(
            next,
            entries(1, &["something else that takes some room in the log, and stays"]),
        );
        log.flush(ms(0));
    }
}

/// Until its record is durable, a chunk is read from memory.
#[test]
fn a_chunk_can_be_read_before_its_record_is_durable() {
    let mut log = new_log();
    log.disk.does = Does::Hold;
    for (index, text) in (1..).zip(TEXTS) {
        log.append(Index(index), entries(1, &[text]));
    }
    log.sync(ms(0));
    stand(&mut log);
    assert!(is_whole(&log, &TEXTS));
    log.disk.does = Does::Finish;
    log.flush(ms(0));
    assert!(log.packs.is_on_disk() && is_whole(&log, &TEXTS));
}

#[test]
fn damage_to_a_chunk_in_a_segment_that_is_kept_is_found() {
    let mut log = with_texts();
    go_on(&mut log, 10);
    let (first, at) = home(&log, TEXTS[0]).unwrap();
    log.disk.files.get_mut(&first).unwrap()[at + 5] ^= 1;
    let lost =
        StorageError::ChunkLost { chunk: chunk(TEXTS[0]).0, unreadable: Some((first, at as u64)) };
    let again = reopened(&log).unwrap();
    assert!(!is_whole(&again, &TEXTS[..1]), "no wrong bytes");
    assert_eq!(again.check_content(), Err(lost));
    log.disk.files.remove(&first);
    let lost = StorageError::ChunkLost { chunk: chunk(TEXTS[0]).0, unreadable: None };
    assert_eq!(reopened(&log).err(), Some(lost));
}

/// What is put as bytes of its own is written, and what is there already is not.
#[test]
fn a_chunk_is_kept_once() {
    let mut log = with_texts();
    let before = log.packs.put_up_to();
    assert_eq!(put(&mut log, TEXTS[1]), before);
    assert!(put(&mut log, "another") > before);
}
