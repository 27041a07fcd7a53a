//! The log on a disk that does exactly what a test says.

mod crashes;
mod in_log;
mod room;
mod snapshots;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::raft::{Configuration, Entry, Payload};
use crate::storage::{DiskError, DiskFiles};

/// A disk whose batches end when and how a test says.
#[derive(Clone, Default)]
struct Plate {
    files: BTreeMap<FileId, Vec<u8>>,
    batch: Option<Vec<Change>>,
    does: Does,
    /// The bytes that files may have, if there is a limit.
    room: Option<u64>,
    /// How many batches were begun.
    begun: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Does {
    #[default]
    Finish,
    Hold,
    /// Finishes one batch and holds the next.
    Step,
    Full,
    Fail,
}

/// The room that a plate with a limit has for short files alone.
const RESERVE: u64 = 528;

impl Plate {
    /// The bytes of the files, when the batch is done.
    fn wants(&self, changes: &[Change]) -> u64 {
        let mut files: BTreeMap<_, _> =
            self.files.iter().map(|(file, bytes)| (*file, bytes.len() as u64)).collect();
        for change in changes {
            match change {
                Change::Create { file, bytes } => drop(files.insert(*file, *bytes)),
                Change::Remove { file } => drop(files.remove(file)),
                Change::Write { .. } => {}
            }
        }
        files.values().sum()
    }

    fn carry_out(&mut self, change: Change) {
        match change {
            Change::Create { file, bytes } => {
                assert!(self.files.insert(file, vec![0; bytes as usize]).is_none(), "{file} again");
            }
            Change::Write { file, at, bytes } => {
                let place = at as usize..at as usize + bytes.len();
                let there = &mut self.files.get_mut(&file).expect("a file")[place];
                assert!(there.iter().all(|byte| *byte == 0), "written twice: {file} at {at}");
                there.copy_from_slice(&bytes);
            }
            Change::Remove { file } => {
                self.files.remove(&file);
            }
        }
    }
}

impl DiskFiles for Plate {
    fn files(&self) -> Result<Vec<FileId>, DiskError> {
        Ok(self.files.keys().copied().collect())
    }

    fn read(&self, file: FileId) -> Result<Bytes, DiskError> {
        Ok(Bytes::copy_from_slice(&self.files[&file]))
    }

    fn read_part(&self, file: FileId, at: u64, length: usize) -> Result<Bytes, DiskError> {
        Ok(self.read(file)?.slice(at as usize..at as usize + length))
    }
}

impl Disk for Plate {
    fn commit(&mut self, changes: Vec<Change>, _: Time) {
        assert!(self.batch.replace(changes).is_none());
        self.begun += 1;
    }

    fn poll(&mut self, _: Time) -> Option<Outcome> {
        if self.does == Does::Hold {
            return None;
        }
        let changes = self.batch.take()?;
        let whole = |it: &Change| matches!(it, Change::Create { bytes, .. } if *bytes >= 256);
        let reserve = if changes.iter().any(whole) { RESERVE } else { 0 };
        if self.room.is_some_and(|room| self.wants(&changes) + reserve > room) {
            return Some(Outcome::Full(changes));
        }
        match self.does {
            Does::Full => return Some(Outcome::Full(changes)),
            Does::Fail => return Some(Outcome::Failed(DiskError::Sync)),
            Does::Step => {
                self.does = Does::Hold;
                changes.into_iter().for_each(|it| self.carry_out(it));
            }
            Does::Finish | Does::Hold => changes.into_iter().for_each(|it| self.carry_out(it)),
        }
        Some(Outcome::Done)
    }

    fn finish(&mut self) -> Outcome {
        self.poll(Time::default()).expect("a batch that ends")
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

type Log = SegmentLog<Plate>;
/// Term, vote, and the entries as `term:text`.
type State = (u64, Option<u64>, Vec<String>);

const SMALL: Options = Options {
    segment_bytes: 256,
    backlog_bytes: 4096,
    pack_bytes: 256,
    chunk_backlog_bytes: 4096,
    spare_bytes: 1024,
};

fn identity() -> Identity {
    Identity { cluster: Uuid::from_u128(7), server: ServerId(2) }
}

fn members(count: u64) -> Configuration {
    Configuration::new((1..=count).map(ServerId))
}

fn new_log() -> Log {
    let mut plate = Plate::default();
    let founding = Persistent::founding(members(3));
    SegmentLog::format(&mut plate, &identity(), &founding, SMALL).unwrap();
    open(plate).unwrap()
}

fn open(plate: Plate) -> Result<Log, StorageError> {
    SegmentLog::open(plate, identity(), SMALL)
}

/// What another life of the server would find on this disk.
fn reopened(log: &Log) -> Result<Log, StorageError> {
    open(Plate { batch: None, does: Does::Finish, ..log.disk.clone() })
}

fn ms(milliseconds: u64) -> Time {
    Time::default() + Duration::from_millis(milliseconds)
}

fn entries(term: u64, texts: &[&str]) -> Entries {
    let entry = |text: &&str| Entry {
        term: Term(term),
        payload: match *text {
            "" => Payload::NoOp,
            text => Payload::Command(Bytes::copy_from_slice(text.as_bytes())),
        },
    };
    texts.iter().map(entry).collect()
}

fn state(log: &Log) -> State {
    let read = log.read(log.log.base.index, Index(u64::MAX), u64::MAX);
    let text = |entry: &Entry| match &entry.payload {
        Payload::NoOp => format!("{}:", entry.term),
        Payload::Configuration(members) => format!("{}:{:?}", entry.term, members.voters()),
        Payload::Command(bytes) => format!("{}:{}", entry.term, String::from_utf8_lossy(bytes)),
    };
    let metas = log.load().persistent.log;
    assert_eq!(metas, read.iter().map(Entry::meta).collect::<Vec<_>>());
    (log.vote.term.0, log.vote.voted_for.map(|id| id.0), read.iter().map(text).collect())
}

/// Writes that fill several segments, replace what was written, and have a record larger than a
/// segment among them.
const SCRIPT: [fn(&mut Log) -> WriteId; 9] = [
    |log| log.save_vote(Term(1), Some(ServerId(2))),
    |log| log.append(Index(1), entries(1, &["", "ahoy", "set sail"])),
    |log| log.append(Index(4), entries(1, &["reef the sail"])),
    |log| log.save_vote(Term(2), None),
    |log| log.append(Index(3), entries(2, &["", "to port"])),
    |log| log.append(Index(5), entries(2, &[&"all hands ".repeat(40)])),
    |log| log.save_vote(Term(4), Some(ServerId(1))),
    |log| log.append(Index(5), entries(3, &["to starboard", "steady"])),
    |log| log.append(Index(7), entries(4, &["land"])),
];

/// A log with the first `durable` writes of the script on its disk, and the rest under way. The
/// states after 0, 1, 2 ... of them.
fn script(durable: usize) -> (Log, Vec<State>) {
    let mut log = new_log();
    let mut states = vec![state(&log)];
    for (number, write) in SCRIPT.iter().enumerate() {
        if number == durable {
            log.disk.does = Does::Hold;
        }
        write(&mut log);
        if number < durable {
            log.sync(ms(0));
        }
        states.push(state(&log));
    }
    log.sync(ms(0));
    assert_eq!(log.durable.write == log.written, durable == SCRIPT.len());
    (log, states)
}

#[test]
fn what_was_written_is_read_again() {
    let (log, states) = script(SCRIPT.len());
    assert!(log.disk.files.len() > 2, "several segments");
    let again = reopened(&log).unwrap();
    assert_eq!(state(&again), states[SCRIPT.len()]);
    assert_eq!(again.torn, None);
    assert_eq!(again.durable.last, Index(7));
}

/// TRAPS 3, 4 and 74: the power fails after every single byte of what is under way. A whole
/// number of writes is kept, in order and none that was durable is missing; what is cut off does
/// not come back when the log goes on.
#[test]
fn trap_04_every_crash_point_recovers_to_a_prefix() {
    let mut torn = 0;
    for durable in 0..SCRIPT.len() {
        let (log, states) = script(durable);
        let under_way = log.disk.batch.clone().expect("writes under way");
        let mut plate = Plate { batch: None, does: Does::Finish, ..log.disk.clone() };
        let mut furthest = durable;
        for change in under_way {
            let partial: Vec<Plate> = match &change {
                Change::Remove { .. } => panic!("nothing is compacted"),
                Change::Create { file, bytes } => [0, 1, *bytes as usize - 1]
                    .into_iter()
                    .map(|size| {
                        let mut plate = plate.clone();
                        plate.files.insert(*file, vec![0; size]);
                        plate
                    })
                    .collect(),
                Change::Write { file, at, bytes } => (0..bytes.len())
                    .map(|kept| {
                        let mut plate = plate.clone();
                        let bytes = bytes[..kept].to_vec();
                        plate.carry_out(Change::Write { file: *file, at: *at, bytes });
                        plate
                    })
                    .collect(),
            };
            for plate in partial {
                let mut log = open(plate).expect("a torn tail is no damage");
                let kept = (furthest..states.len()).find(|kept| states[*kept] == state(&log));
                furthest = kept.expect("a whole number of writes, never fewer than before");
                torn += usize::from(log.torn.is_some());
                // The log goes on, and is read once more.
                let next = Index(log.log.last.index.0 + 1);
                log.append(next, entries(9, &["onward"]));
                log.flush(ms(1));
                let again = reopened(&log).unwrap();
                assert_eq!(state(&again), state(&log));
                assert_eq!((again.torn, again.protected), (None, log.written.0));
            }
            plate.carry_out(change);
        }
        assert_eq!(state(&open(plate).unwrap()), states[SCRIPT.len()]);
    }
    assert!(torn > 1000, "{torn} tails were torn");
}

/// TRAPS 73: each bit of the disk is turned around. Either the server does not start, or nothing
/// is missing.
#[test]
fn trap_73_no_flipped_bit_goes_unnoticed() {
    let (mut log, states) = script(SCRIPT.len());
    log.flush(ms(1));
    let (mut refused, mut harmless) = (0, 0);
    for (file, bytes) in log.disk.files.clone() {
        for bit in 0..bytes.len() * 8 {
            let mut plate = log.disk.clone();
            plate.files.get_mut(&file).unwrap()[bit / 8] ^= 1 << (bit % 8);
            match open(plate) {
                Ok(opened) => {
                    assert_eq!(state(&opened), states[SCRIPT.len()], "{file} bit {bit}");
                    harmless += 1;
                }
                Err(StorageError::Damaged { file: found, at, .. }) => {
                    assert!(found <= file && (found < file || at as usize <= bit / 8));
                    refused += 1;
                }
                Err(error) => panic!("{file} bit {bit}: {error}"),
            }
        }
    }
    assert!(refused > 5000 && harmless > 500, "{refused} {harmless}");
}

/// TRAPS 73: sectors of zeros, files that are shorter than they were or gone, and records that
/// went to another place.
#[test]
fn trap_73_lost_and_misdirected_bytes_are_noticed() {
    let (mut log, states) = script(SCRIPT.len());
    log.flush(ms(1));
    let last = *log.disk.files.keys().next_back().unwrap();
    let damaged = |plate: Plate, what: &str| match open(plate) {
        Err(StorageError::Damaged { .. }) => {}
        Err(error) => panic!("{what}: {error}"),
        Ok(log) => panic!("{what}: {:?}", state(&log)),
    };
    for (file, bytes) in &log.disk.files {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        // The last record of all, a mark, may be missing.
        let protected = if *file == last { used - record::size(0) } else { used };
        for at in (0..protected).step_by(8) {
            let mut plate = log.disk.clone();
            let end = bytes.len().min(at + 64);
            plate.files.get_mut(file).unwrap()[at..end].fill(0);
            match open(plate) {
                Err(StorageError::Damaged { .. }) => {}
                // Nothing is left behind that would show it.
                Ok(_) => assert!(*file == last && end > protected, "{file} {at}"),
                Err(error) => panic!("{file} {at}: {error}"),
            }
            let mut plate = log.disk.clone();
            plate.files.get_mut(file).unwrap().copy_within(at..end, (at + 8) % (protected - 64));
            match open(plate) {
                Err(StorageError::Damaged { .. }) => {}
                Ok(log) => assert_eq!(state(&log), states[SCRIPT.len()], "bytes equal to these"),
                Err(error) => panic!("{file} {at}: {error}"),
            }
        }
        for length in HEADER_BYTES..used {
            let mut plate = log.disk.clone();
            plate.files.get_mut(file).unwrap().truncate(length);
            damaged(plate, "cut short");
        }
        if *file != last {
            let mut plate = log.disk.clone();
            plate.files.remove(file);
            damaged(plate, "gone");
        }
    }
}

/// TRAPS 45: a server whose disk is empty, or another's, does not start.
#[test]
fn trap_45_a_disk_that_is_not_this_servers_is_refused() {
    assert!(matches!(open(Plate::default()), Err(StorageError::NotFormatted)));
    let (log, _) = script(3);
    for (cluster, server) in [(7, 3), (8, 2)] {
        let other = Identity { cluster: Uuid::from_u128(cluster), server: ServerId(server) };
        let opened = SegmentLog::open(log.disk.clone(), other, SMALL);
        assert!(matches!(opened, Err(StorageError::Foreign { expected, .. }) if expected == other));
    }
    let mut plate = log.disk.clone();
    let refused = SegmentLog::format(&mut plate, &identity(), &Persistent::joining(), SMALL);
    assert_eq!(refused, Err(StorageError::NotEmpty(FileId::Log(1))));
}

#[test]
fn a_log_of_a_later_format_is_refused_as_such() {
    let mut log = new_log();
    let bytes = log.disk.files.get_mut(&FileId::Log(1)).unwrap();
    bytes[32] = 2;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&0u64.to_le_bytes());
    sum.update(&bytes[4..HEADER_BYTES]);
    let sum = sum.finalize();
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    let format = StorageError::Format { file: FileId::Log(1), found: 2, expected: 1 };
    assert_eq!(reopened(&log).err(), Some(format));
}

/// TRAPS 73: what a client writes is never taken for a record, whatever it looks like.
#[test]
fn trap_73_a_log_inside_a_log_proves_nothing() {
    let (log, _) = script(SCRIPT.len());
    let raw = Bytes::from(log.disk.files.values().flatten().copied().collect::<Vec<u8>>());
    let mut log = new_log();
    log.disk.does = Does::Hold;
    let payload = Payload::Command(raw);
    log.append(Index(1), vec![Entry { term: Term(1), payload }].into());
    log.sync(ms(0));
    for change in log.disk.batch.take().unwrap() {
        log.disk.carry_out(change);
    }
    // The head is torn; the copied records behind it are all there.
    log.disk.files.get_mut(&FileId::Log(2)).unwrap()[HEADER_BYTES] ^= 1;
    let again = reopened(&log).unwrap();
    assert!(again.torn.is_some() && again.log.last.index == Index(0));
}

/// TRAPS 72: a failed sync is not tried again, whatever the disk says later.
#[test]
fn trap_72_a_failed_sync_is_final() {
    let (mut log, _) = script(3);
    log.disk.batch = None;
    let mut log = reopened(&log).unwrap();
    let before = log.durable(ms(0)).unwrap();
    log.disk.does = Does::Fail;
    log.append(Index(5), entries(5, &["lost"]));
    log.sync(ms(1));
    let failed = Err(StorageError::Disk(DiskError::Sync));
    assert_eq!(log.durable(ms(1)), failed);
    log.disk.does = Does::Finish;
    let begun = log.disk.begun;
    log.append(Index(6), entries(5, &["lost, too"]));
    log.sync(ms(2));
    assert_eq!(log.durable(ms(500)), failed);
    log.flush(ms(600));
    assert_eq!(log.disk.begun, begun);
    assert_eq!(reopened(&log).unwrap().durable.last, before.last);
}

/// TRAPS 74: a full disk makes nothing durable and loses nothing; what waits is bounded.
#[test]
fn trap_74_a_full_disk_is_waited_for_within_bounds() {
    let (mut log, _) = script(3);
    log.disk.batch = None;
    let mut log = reopened(&log).unwrap();
    let before = log.durable(ms(0)).unwrap();
    log.disk.does = Does::Full;
    let first = before.last.0 + 1;
    for index in first..first + 5 {
        log.append(Index(index), entries(5, &["patience"]));
        log.sync(ms(0));
        assert_eq!(log.durable(ms(0)), Ok(before));
        assert!(log.is_full());
    }
    assert_eq!(log.deadline(), Some(ms(100)), "it is tried again");
    let begun = log.disk.begun;
    assert_eq!((log.durable(ms(99)), log.disk.begun), (Ok(before), begun), "not before");
    assert_eq!((log.durable(ms(100)), log.disk.begun), (Ok(before), begun + 1));
    log.disk.does = Does::Finish;
    let after = log.durable(ms(200)).unwrap();
    assert_eq!((after.write, after.last), (log.written, Index(first + 4)));
    assert!(!log.is_full());
    assert_eq!(state(&reopened(&log).unwrap()), state(&log));

    log.disk.does = Does::Full;
    log.durable(ms(250)).unwrap();
    assert!(log.disk.batch.is_none() && !log.is_full(), "only the mark waits");
    for index in first + 5.. {
        log.append(Index(index), entries(5, &["a line that nobody will ever acknowledge"]));
        log.sync(ms(300));
        match log.durable(ms(300)) {
            Ok(durable) => assert_eq!(durable, after),
            Err(StorageError::Backlog { bytes, limit }) => {
                assert!(limit == 4096 && bytes > limit && bytes < limit + 200);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// TRAPS 71: nothing is durable before its sync is done, and what is written meanwhile is not
/// covered by it.
#[test]
fn trap_71_a_batch_covers_what_was_written_before_it_began() {
    let mut log = new_log();
    log.disk.does = Does::Hold;
    let vote = log.save_vote(Term(3), Some(ServerId(2)));
    log.sync(ms(0));
    log.append(Index(1), entries(3, &["a"]));
    log.sync(ms(1));
    assert!(log.durable(ms(1)).unwrap().write < vote);
    let mut plate = log.disk.clone();
    plate.batch.take().unwrap().into_iter().for_each(|change| plate.carry_out(change));
    assert_eq!(state(&open(plate).unwrap()), (3, Some(2), vec![]));
    log.disk.does = Does::Finish;
    assert_eq!(log.durable(ms(2)).unwrap().last, Index(1), "the second began with the first's end");
    assert_eq!(log.disk.begun, 3, "with the one that formatted it");
}

/// TRAPS 15: after a restart in the term of a vote, too, its sync says nothing of what that term
/// does to the log.
#[test]
fn trap_15_a_recovered_vote_does_not_speak_for_the_entries_of_its_term() {
    let mut log = new_log();
    log.append(Index(1), entries(1, &["a", "b", "c"]));
    log.save_vote(Term(2), None);
    log.flush(ms(0));
    let mut log = reopened(&log).unwrap();
    log.disk.does = Does::Hold;
    let vote = log.save_vote(Term(2), Some(ServerId(3)));
    log.sync(ms(1));
    log.append(Index(2), entries(2, &["x"]));
    log.disk.does = Does::Finish;
    let durable = Durable { write: vote, term: Term(1), last: Index(3), ..Durable::default() };
    assert_eq!(log.durable(ms(2)), Ok(durable));
}

/// A mark follows when nothing else does, and only once.
#[test]
fn what_was_written_last_is_protected_by_a_mark() {
    let mut log = new_log();
    let at = log.segment.at;
    log.append(Index(1), entries(1, &["a"]));
    log.sync(ms(10));
    assert_eq!(log.deadline(), Some(ms(60)));
    let mut plate = log.disk.clone();
    plate.files.get_mut(&FileId::Log(1)).unwrap()[at as usize + 40] ^= 1;
    let cut = open(plate).unwrap();
    assert!(cut.torn.is_some() && cut.log.last.index == Index(0), "as if a crash had torn it");
    log.durable(ms(60)).unwrap();
    assert_eq!((log.protected, log.deadline()), (log.written.0, None));
    let mut plate = log.disk.clone();
    plate.files.get_mut(&FileId::Log(1)).unwrap()[at as usize + 40] ^= 1;
    let place = StorageError::Damaged { file: FileId::Log(1), at, sequence: 3 };
    assert_eq!(open(plate).err(), Some(place));
    let again = reopened(&log).unwrap();
    assert_eq!(again.deadline(), None, "it is protected already");
}

/// A log that is opened again with an end that nothing protects gets its mark.
#[test]
fn a_recovered_end_is_protected_at_once() {
    let mut log = new_log();
    log.append(Index(1), entries(1, &["a"]));
    log.sync(ms(10));
    let mut again = reopened(&log).unwrap();
    again.durable(ms(0)).unwrap();
    assert_eq!(again.protected, again.written.0);
}
