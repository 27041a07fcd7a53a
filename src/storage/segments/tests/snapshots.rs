//! Snapshots, their chunks and the room they take.

use super::*;
use crate::raft::SnapshotMeta;

pub(super) fn chunk(text: &str) -> (ChunkId, Bytes) {
    let id = ChunkId(*blake3::hash(text.as_bytes()).as_bytes());
    (id, Bytes::copy_from_slice(text.as_bytes()))
}

pub(super) fn put(log: &mut Log, text: &str) -> ChunkWrite {
    let (id, bytes) = chunk(text);
    log.put_chunk(id, bytes)
}

/// A snapshot of these chunks, with a configuration of its own.
pub(super) fn snapshot(index: u64, term: u64, texts: &[&str]) -> Snapshot {
    let meta = SnapshotMeta {
        last_included: Position::new(Term(term), Index(index)),
        configuration: members(index % 5 + 1),
        configured_at: Index(index / 2),
    };
    Snapshot { meta, chunks: texts.iter().map(|text| chunk(text).0).collect() }
}

fn has(log: &Log, text: &str) -> bool {
    let (id, bytes) = chunk(text);
    assert_eq!(log.has_chunk(&id), log.chunk(&id).is_some());
    log.chunk(&id).is_some_and(|kept| kept == bytes)
}

/// A log of `count` entries with a snapshot of all but the last, all durable.
fn with_snapshot(count: u64, texts: &[&str]) -> Log {
    let mut log = new_log();
    extend(&mut log, count);
    save(&mut log, count - 1, texts);
    log
}

pub(super) fn extend(log: &mut Log, count: u64) {
    for _ in 0..count {
        let next = log.log.last.index.next();
        log.append(next, entries(1, &[&format!("this is entry {next}")]));
    }
    log.flush(ms(0));
}

pub(super) fn save(log: &mut Log, index: u64, texts: &[&str]) {
    texts.iter().for_each(|text| {
        put(log, text);
    });
    log.flush(ms(0));
    log.save_snapshot(snapshot(index, 1, texts), true);
    log.flush(ms(0));
}

fn packs(log: &Log) -> Vec<FileId> {
    log.disk.files.keys().copied().filter(|file| matches!(file, FileId::Pack(_))).collect()
}

fn segments(log: &Log) -> usize {
    log.disk.files.len() - packs(log).len()
}

#[test]
fn a_snapshot_is_found_again_with_its_log() {
    let mut log = with_snapshot(9, &["hold", "deck", "hold"]);
    log.compact(Index(5));
    log.flush(ms(1));
    let mut again = reopened(&log).unwrap();
    assert_eq!(again.snapshot(), Some(snapshot(8, 1, &["hold", "deck", "hold"])));
    let kept = again.load().persistent;
    assert_eq!(kept.snapshot, again.snapshot().unwrap().meta);
    assert!(kept.base.index <= Index(5) && again.log.last.index == Index(9));
    assert!(has(&again, "hold") && has(&again, "deck"));
    assert_eq!(packs(&log).len(), 1, "what is the same is kept once");
    assert!(again.read(Index(0), Index(9), u64::MAX).is_empty(), "not from so far back");
    again.compact(Index(8));
    assert_eq!(again.read(Index(8), Index(9), u64::MAX).len(), 1);
    assert!(again.read(Index(7), Index(9), u64::MAX).is_empty());
}

/// A snapshot from a leader takes the place of the whole log.
#[test]
fn a_snapshot_that_is_installed_replaces_the_log() {
    let mut log = with_snapshot(9, &["hold"]);
    log.save_vote(Term(6), None);
    put(&mut log, "cargo");
    log.flush(ms(0));
    let write = log.save_snapshot(snapshot(20, 5, &["hold", "cargo"]), false);
    log.flush(ms(0));
    let durable = Durable { write, term: Term(6), last: Index(20), chunks: ChunkWrite(2) };
    assert_eq!(log.durable(ms(0)), Ok(durable));
    let mut again = reopened(&log).unwrap();
    let kept = again.load().persistent;
    assert_eq!((kept.base, kept.log.len()), (Position::new(Term(5), Index(20)), 0));
    assert_eq!((kept.current_term, again.durable.term), (Term(6), Term(5)));
    assert_eq!(segments(&log), 2, "the snapshot's, and one that says that it is the first");
    again.append(Index(21), entries(6, &["onward"]));
    assert_eq!(again.log.last, Position::new(Term(6), Index(21)));
}

/// TRAPS 45: whoever is to join is marked so until it says otherwise.
#[test]
fn trap_45_the_mark_of_a_server_that_joins_survives() {
    let mut plate = Plate::default();
    SegmentLog::format(&mut plate, &identity(), &Persistent::joining(), SMALL).unwrap();
    let mut log = open(plate).unwrap();
    log.save_vote(Term(3), None);
    log.flush(ms(0));
    let mut log = reopened(&log).unwrap();
    assert!(log.load().persistent.recovering);
    log.append(Index(1), entries(1, &["a", "b"]));
    save(&mut log, 1, &["hold"]);
    assert!(reopened(&log).unwrap().load().persistent.recovering);
    log.save_recovered();
    assert!(reopened(&log).unwrap().load().persistent.recovering, "not durable yet");
    log.flush(ms(0));
    assert!(!reopened(&log).unwrap().load().persistent.recovering);
}

/// TRAPS 55: a vote that is written behind many chunks waits for one batch, not for all.
#[test]
fn trap_55_the_log_does_not_wait_for_chunks() {
    const BIG: usize = 400 << 10;
    let options = Options { backlog_bytes: 4096, ..Options::default() };
    let mut plate = Plate::default();
    SegmentLog::format(&mut plate, &identity(), &Persistent::default(), options).unwrap();
    let mut log = SegmentLog::open(plate, identity(), options).unwrap();
    log.disk.does = Does::Hold;
    for byte in 0..20 {
        let bytes = vec![byte; BIG];
        log.put_chunk(ChunkId(*blake3::hash(&bytes).as_bytes()), bytes.into());
    }
    log.sync(ms(0));
    let vote = log.save_vote(Term(1), None);
    log.sync(ms(0));
    log.disk.does = Does::Step;
    assert!(log.durable(ms(1)).unwrap().write < vote);
    log.disk.does = Does::Step;
    let durable = log.durable(ms(2)).unwrap();
    assert_eq!((durable.write, durable.chunks), (vote, ChunkWrite(4)), "two in a batch");
    let bytes = |change: &Change| match change {
        Change::Write { bytes, .. } => bytes.len(),
        Change::Create { .. } | Change::Remove { .. } => 0,
    };
    let batch: usize = log.disk.batch.iter().flatten().map(bytes).sum();
    assert!(batch > BIG && batch < 1 << 20, "{batch}");
    log.disk.does = Does::Finish;
    assert_eq!(log.durable(ms(3)).unwrap().chunks, ChunkWrite(20));
}

/// A batch of chunks alone says nothing of the log: the mark still follows.
#[test]
fn chunks_do_not_protect_the_log() {
    let mut log = new_log();
    log.append(Index(1), entries(1, &["a"]));
    log.sync(ms(0));
    for moment in [0, 10, 20] {
        put(&mut log, &moment.to_string());
        log.sync(ms(moment));
        assert_eq!(log.deadline(), Some(ms(moment + 50)));
    }
    log.durable(ms(70)).unwrap();
    assert_eq!((log.protected, log.deadline()), (log.written.0, None));
    let (at, file) = (HEADER_BYTES + 40, FileId::Log(1));
    log.disk.files.get_mut(&file).unwrap()[at] ^= 1;
    assert!(matches!(reopened(&log).err(), Some(StorageError::Damaged { .. })));
}

/// TRAPS 74: of a full disk no chunk is durable, none is lost, and no more wait than may.
#[test]
fn trap_74_chunks_wait_for_a_full_disk_within_bounds() {
    let mut log = new_log();
    log.disk.does = Does::Full;
    put(&mut log, "hold");
    log.sync(ms(0));
    put(&mut log, "deck");
    log.append(Index(1), entries(1, &["a"]));
    log.sync(ms(0));
    assert_eq!(log.durable(ms(200)).unwrap().chunks, ChunkWrite(0));
    assert!(has(&log, "hold") && has(&log, "deck"));
    log.disk.does = Does::Finish;
    assert_eq!(log.durable(ms(400)).unwrap().chunks, ChunkWrite(2));
    let again = reopened(&log).unwrap();
    assert!(has(&again, "hold") && has(&again, "deck") && again.log.last.index == Index(1));
    log.disk.does = Does::Full;
    for number in 0..5 {
        put(&mut log, &format!("{number}").repeat(1000));
    }
    let (bytes, limit) = (5000, 4096);
    assert_eq!(log.durable(ms(500)), Err(StorageError::Backlog { bytes, limit }));
}

/// TRAPS 60: what has arrived of a snapshot is there after a crash, up to a bound.
#[test]
fn trap_60_an_interrupted_transfer_goes_on_where_it_was() {
    let mut log = with_snapshot(3, &["hold"]);
    put(&mut log, "arrived");
    log.flush(ms(0));
    put(&mut log, "under way");
    let mut log = reopened(&log).unwrap();
    assert!(has(&log, "arrived") && !has(&log, "under way"));
    assert_eq!(put(&mut log, "arrived"), ChunkWrite(0), "nothing to wait for");
    let many: Vec<String> = (0..40).map(|number| format!("{number:060}")).collect();
    let texts: Vec<&str> = many.iter().map(String::as_str).collect();
    texts.iter().for_each(|text| {
        put(&mut log, text);
        log.flush(ms(0));
    });
    let mut log = reopened(&log).unwrap();
    let kept = texts.iter().filter(|text| has(&log, text)).count();
    assert!((5..20).contains(&kept), "{kept} fit into {} bytes", SMALL.spare_bytes);
    log.discard_chunks([chunk("arrived").0].into());
    assert!(has(&log, "arrived") && has(&log, "hold"));
    assert!(!texts.iter().any(|text| has(&log, text)));
    save(&mut log, 2, &["hold"]);
    assert!(has(&log, "arrived"), "it is still on its way");
    log.discard_chunks(BTreeSet::new());
    assert!(!has(&log, "arrived") && has(&log, "hold"));
}

/// What a snapshot that replaces the log was made of is expected no more.
#[test]
fn what_was_expected_is_dropped_with_the_snapshot_that_it_was_for() {
    let mut log = with_snapshot(3, &["hold"]);
    put(&mut log, "cargo");
    log.discard_chunks([chunk("cargo").0, chunk("hold").0].into());
    log.flush(ms(0));
    log.save_snapshot(snapshot(9, 1, &["cargo"]), false);
    for index in [12, 15] {
        extend(&mut log, 6);
        save(&mut log, index, &["deck"]);
    }
    assert!(!has(&log, "cargo") && !has(&log, "hold") && has(&log, "deck"));
}

/// A snapshot that is on its way to a peer when the next is taken can be read to its end.
#[test]
fn the_chunks_of_the_snapshot_before_are_kept() {
    let mut log = with_snapshot(9, &["hold", "one"]);
    extend(&mut log, 9);
    save(&mut log, 12, &["hold", "two"]);
    assert!(has(&log, "one") && has(&log, "two"));
    save(&mut log, 15, &["hold", "three"]);
    assert!(!has(&log, "one") && has(&log, "two") && has(&log, "three") && has(&log, "hold"));
}

/// Until the record of the next snapshot is durable, a crash goes back to the one before.
#[test]
fn chunks_are_kept_until_no_crash_goes_back_to_them() {
    let mut log = with_snapshot(9, &["one"]);
    for text in ["two", "three", "four"] {
        put(&mut log, text);
    }
    log.flush(ms(0));
    log.disk.does = Does::Hold;
    for (index, text) in [(6, "two"), (7, "three"), (8, "four")] {
        log.save_snapshot(snapshot(index, 1, &[text]), true);
        log.sync(ms(0));
        assert!(has(&log, "one"));
    }
    let again = reopened(&log).unwrap();
    assert_eq!(again.snapshot(), Some(snapshot(8, 1, &["one"])));
    log.disk.does = Does::Finish;
    log.flush(ms(0));
    assert!(!has(&log, "one") && !has(&log, "two") && has(&log, "three") && has(&log, "four"));
}

/// However long it goes on, there are a few segments and at most twice the chunks.
#[test]
fn room_is_made() {
    let mut log = new_log();
    let mut largest = 0;
    for round in 1..60u64 {
        extend(&mut log, 10);
        let texts: Vec<String> =
            (round.saturating_sub(6)..round).map(|number| format!("{number:090}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        save(&mut log, round * 10 - 2, &texts);
        log.compact(Index(round * 10 - 5));
        log.flush(ms(0));
        assert!(segments(&log) <= 12, "{} segments in round {round}", segments(&log));
        largest = largest.max(packs(&log).len());
        let again = reopened(&log).unwrap();
        assert!(texts.iter().all(|text| has(&again, text)));
        assert!(again.log.base.index.0 + 19 > round * 10);
    }
    assert!((7..=14).contains(&largest), "{largest} packs of one chunk each");
    let sizes = log.sizes();
    assert_eq!(sizes.snapshot, Position::new(Term(1), Index(588)));
    let all: usize = log.disk.files.values().map(Vec::len).sum();
    assert_eq!(sizes.chunk_bytes, packs(&log).len() as u64 * 256);
    assert_eq!(sizes.log_bytes + sizes.chunk_bytes, all as u64);
}

/// The first segment that is needed begins with entries that follow on others which are gone; they
/// were replaced later in the same segment.
#[test]
fn what_was_replaced_needs_nothing_that_is_gone() {
    let mut log = new_log();
    let text = "8 bytes.";
    let full = |log: &Log| log.segment.at + 64 > log.segment.bytes;
    while log.log.last.index < Index(8) || !full(&log) {
        let next = log.log.last.index.next();
        log.append(next, entries(1, &[text]));
    }
    let (last, segment) = (log.log.last.index, log.segment.number + 1);
    log.append(last.next(), entries(1, &[text]));
    log.append(last, entries(2, &[text]));
    assert_eq!(log.segment.number, segment, "both in one");
    log.flush(ms(0));
    let base = last.previous();
    log.save_snapshot(snapshot(base.0, 1, &[]), true);
    log.compact(base);
    log.flush(ms(0));
    let first = log.disk.files.keys().next();
    assert_eq!(first, Some(&FileId::Log(segment)), "the others are gone");
    let again = reopened(&log).unwrap();
    assert_eq!((again.log.base.index, again.log.last), (base, Position::new(Term(2), last)));
}

/// Of packs in which little is left, the rest is written again.
#[test]
fn packs_that_are_mostly_dead_are_rewritten() {
    let mut log = new_log();
    extend(&mut log, 9);
    // One chunk in each pack stays, two go.
    let texts: Vec<String> = (0..12).map(|number| format!("{number:030}")).collect();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let some: Vec<&str> = all.iter().step_by(3).copied().collect();
    save(&mut log, 2, &all);
    assert_eq!(packs(&log).len(), 6);
    let all_packs = packs(&log);
    save(&mut log, 3, &some);
    save(&mut log, 4, &some);
    assert!(packs(&log).len() <= 4 && packs(&log) != all_packs, "{:?}", packs(&log));
    let again = reopened(&log).unwrap();
    assert!(some.iter().all(|text| has(&again, text)));
}

/// TRAPS 73: each bit of the packs is turned around. Either the server does not start, naming the
/// file and a place before the bit, or the bit was in no chunk of the snapshot.
#[test]
fn trap_73_no_flipped_bit_of_a_snapshot_goes_unnoticed() {
    let mut log = with_snapshot(5, &["hold", "deck", "cargo"]);
    put(&mut log, "spare");
    log.flush(ms(0));
    let (mut refused, mut harmless) = (0, 0);
    for file in packs(&log) {
        for bit in 0..log.disk.files[&file].len() * 8 {
            let mut plate = log.disk.clone();
            plate.files.get_mut(&file).unwrap()[bit / 8] ^= 1 << (bit % 8);
            match open(plate) {
                Ok(opened) => {
                    assert_eq!(opened.snapshot(), log.snapshot());
                    assert!(["hold", "deck", "cargo"].iter().all(|text| has(&opened, text)));
                    harmless += 1;
                }
                Err(StorageError::ChunkLost { unreadable: Some((found, at)), .. }) => {
                    assert!(found == file && at as usize <= bit / 8);
                    refused += 1;
                }
                Err(error) => panic!("{file} bit {bit}: {error}"),
            }
        }
    }
    assert!(refused >= 3 * 64 * 8 && harmless > 500, "{refused} {harmless}");
}

/// TRAPS 73: packs, segments and the record of the snapshot that are gone.
#[test]
fn trap_73_a_snapshot_that_is_gone_is_noticed() {
    let mut log = with_snapshot(30, &["hold", "deck"]);
    log.compact(Index(25));
    log.flush(ms(0));
    extend(&mut log, 9);
    let again = reopened(&log).unwrap();
    assert!(again.log.base.index > Index(15), "{}", again.log.base);
    let without = |file| {
        let mut plate = log.disk.clone();
        plate.files.remove(&file);
        open(plate).err().expect("not without it")
    };
    // Without the last segment it looks like a log that ends before.
    let last = log.segment.number;
    for file in log.disk.files.keys().copied().filter(|file| *file != FileId::Log(last)) {
        match (file, without(file)) {
            (FileId::Pack(_), StorageError::ChunkLost { unreadable: None, .. }) => {}
            (FileId::Log(_), StorageError::Damaged { file: found, .. }) => assert!(found <= file),
            (_, error) => panic!("{file}: {error}"),
        }
    }
}

/// A chunk that was harmed while the server runs is not handed out.
#[test]
fn trap_73_a_damaged_chunk_is_not_read() {
    let mut log = with_snapshot(5, &["hold"]);
    let pack = packs(&log)[0];
    log.disk.files.get_mut(&pack).unwrap()[57] ^= 1;
    assert!(log.chunk(&chunk("hold").0).is_none());
}

#[test]
fn a_disk_without_room_is_not_formatted() {
    let mut plate = Plate { does: Does::Full, ..Plate::default() };
    let refused = SegmentLog::format(&mut plate, &identity(), &Persistent::joining(), SMALL);
    assert_eq!(refused, Err(StorageError::NoRoom { bytes: 256 }));
}
