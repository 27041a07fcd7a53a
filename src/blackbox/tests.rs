use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::file::{Fault, HEADER_BYTES, Header, Records, file_of};
use super::record::{Command, Given, Record, Step};
use super::*;
use crate::raft::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Configuration, Entries, Entry, Index, Input,
    Message, Payload, Position, Round, ServerId, Term, TimeoutNow,
};
use small::{SERVERS, Small, replayed};

mod cut;
mod small;

const LARGE: u64 = 64 << 20;
/// A file of format 2, for ever.
const GOLDEN: &[u8] = include_bytes!("../../tests/golden/blackbox/v2.box");
/// One of format 1.
const FORMER: &[u8] = include_bytes!("../../tests/golden/blackbox/v1.box");

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files
}

fn first_file(folder: &TempDir, server: ServerId) -> PathBuf {
    files(&folder.path().join(server.to_string())).swap_remove(0)
}

/// All records of a file, and why there are no more.
fn read(bytes: Vec<u8>) -> Result<(Header, Vec<Record>, Option<Fault>), Fault> {
    let (header, mut records) = Records::of(bytes)?;
    let mut all = Vec::new();
    while let Some(next) = records.next() {
        match next {
            Ok((_, record)) => all.push(record),
            Err(fault) => return Ok((header, all, Some(fault))),
        }
    }
    Ok((header, all, None))
}

/// The records of a file, byte by byte.
fn records_of(file: &[u8]) -> Vec<u8> {
    let (mut rest, mut records) = (&file[HEADER_BYTES..], Vec::new());
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let end = 12 + u32::from_le_bytes(*length) as usize;
        records.extend(&rest[12..end]);
        rest = &rest[end..];
    }
    records
}

/// Changes the first record that `change` can change, and seals it again.
fn tamper(path: &Path, mut change: impl FnMut(&mut Record) -> bool) -> usize {
    let (header, mut records, _) = read(fs::read(path).unwrap()).unwrap();
    let place = records.iter_mut().position(&mut change).unwrap();
    fs::write(path, file_of(&header, &records)).unwrap();
    place
}

fn some_work() -> TempDir {
    let mut small = Small::start(LARGE);
    small.propose(700);
    let leader = small.leader();
    small.restart(leader, true);
    for _ in 0..30 {
        small.go_on();
    }
    small.propose(200);
    small.end()
}

#[test]
fn what_was_recorded_happens_again() {
    let folder = some_work();
    let report = replayed(&folder);
    assert!(report.is_equal(), "{report}");
    assert!(report.notes.is_empty(), "{report}");
    for track in &report.tracks {
        assert!(track.steps > 900 && track.marks > 1, "{report}");
        assert_eq!((track.from_the_dark, track.missing.len()), (0, 0), "{report}");
    }
    assert_eq!(report.tracks.iter().map(|track| track.lives).sum::<u64>(), 4);
}

#[test]
fn the_ring_is_never_larger_and_what_is_left_of_it_can_be_replayed() {
    const BYTES: u64 = 192 << 10;
    let mut small = Small::start(BYTES);
    for _ in 0..40 {
        small.propose(100);
        for server in small.servers.values() {
            let bytes = server.black_box.counters().bytes();
            assert!(bytes <= BYTES, "{bytes} B");
        }
    }
    let folder = small.end();
    for id in SERVERS {
        let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
        let bytes: u64 = files(&folder.path().join(id.to_string())).iter().map(size).sum();
        assert!(bytes <= BYTES, "{bytes} B");
    }
    let report = replayed(&folder);
    assert!(report.is_equal() && report.notes.is_empty(), "{report}");
    for track in &report.tracks {
        assert!(track.checkpoints > 1, "{report}");
        assert_ne!(first_file(&folder, track.server).file_name().unwrap(), "00000001.box");
    }
}

/// With the right checksum, too.
#[test]
fn a_changed_input_is_found_out() {
    let one = ServerId(1);
    let cases: [fn(&mut Record) -> bool; 2] = [
        |record| match record {
            Record::Step(Step { given: Given::Message { message, .. }, .. }) => match message {
                Message::AppendEntries(append) => {
                    append.leader_commit.0 += 1;
                    true
                }
                Message::AppendEntriesReply(reply) => {
                    reply.round.0 += 1;
                    true
                }
                _ => false,
            },
            _ => false,
        },
        |record| match record {
            Record::Mark(mark) => {
                mark.commit.0 += 1;
                true
            }
            _ => false,
        },
    ];
    for change in cases {
        let folder = some_work();
        let place = tamper(&first_file(&folder, one), change);
        let report = replayed(&folder);
        let found = report.differences.first().unwrap_or_else(|| panic!("{report}"));
        assert_eq!((found.server, found.file), (one, 1), "{report}");
        assert_eq!(found.record, place as u64, "{report}");
        assert!(!report.is_equal());
    }
}

/// The core never sees a payload; the monitor compares what the servers have.
#[test]
fn another_payload_is_found_out() {
    let folder = some_work();
    let other = |record: &mut Record| match record {
        Record::Step(Step { given: Given::Message { entries, .. }, .. }) if !entries.is_empty() => {
            let command = Command { bytes: 0, hash: 0 };
            match &mut entries[0].what {
                super::record::What::Command(it) => {
                    *it = Command { bytes: it.bytes, hash: it.hash ^ 1 };
                    *it != command
                }
                _ => false,
            }
        }
        _ => false,
    };
    // One of them follows.
    let changed = SERVERS.into_iter().find(|server| {
        let path = first_file(&folder, *server);
        let (header, mut records, _) = read(fs::read(&path).unwrap()).unwrap();
        let found = records.iter_mut().any(other);
        fs::write(&path, file_of(&header, &records)).unwrap();
        found
    });
    let report = replayed(&folder);
    let violation = report.violation.as_ref().unwrap_or_else(|| panic!("{report}"));
    assert_eq!(Some(violation.server), changed);
    assert!(violation.text.contains("log_matching is violated"), "{report}");
}

/// A server that lost what it had and says nothing of it.
#[test]
fn a_broken_promise_is_found_out() {
    let mut small = Small::start(LARGE);
    small.propose(20);
    let leader = small.leader();
    let follower = SERVERS.into_iter().find(|id| *id != leader).unwrap();
    small.restart(follower, false);
    small.propose(5);
    let report = replayed(&small.end());
    let violation = report.violation.as_ref().unwrap_or_else(|| panic!("{report}"));
    assert_eq!(violation.server, follower);
    assert!(violation.text.contains("stable_storage is violated"), "{report}");
    assert!(report.differences.is_empty(), "the cores did what they did: {report}");
}

#[test]
fn a_torn_end_is_the_end_and_a_damaged_record_is_named() {
    let folder = some_work();
    let last = files(&folder.path().join("S2")).pop().unwrap();
    let whole = fs::read(&last).unwrap();
    fs::write(&last, &whole[..whole.len() - 20]).unwrap();
    let report = replayed(&folder);
    assert!(report.is_equal(), "{report}");
    assert!(report.to_string().contains("has no end: killed, or it still runs"), "{report}");

    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    fs::write(&last, damaged).unwrap();
    let report = replayed(&folder);
    assert!(!report.is_equal(), "{report}");
    let damage = &report.tracks[1].damage[..];
    assert!(matches!(damage, [it] if it.contains(".box: record ")), "{report}");
    assert!(report.differences.is_empty() && report.violation.is_none(), "{report}");
}

/// A length that is damaged would end the file, and say nothing of it.
#[test]
fn a_damaged_length_is_no_torn_end() {
    let second = HEADER_BYTES + 12 + {
        let length = GOLDEN[HEADER_BYTES..].first_chunk().unwrap();
        u32::from_le_bytes(*length) as usize
    };
    for byte in 0..4 {
        let mut damaged = GOLDEN.to_vec();
        damaged[second + byte] ^= 0x40;
        let (_, records, fault) = read(damaged).unwrap();
        assert_eq!((records.len(), fault), (1, Some(Fault::Sum(1))), "byte {byte}");
    }
    for length in [second + 5, second + 12, second + 13] {
        let (_, records, fault) = read(GOLDEN[..length].to_vec()).unwrap();
        assert_eq!((records.len(), fault), (1, Some(Fault::Torn(1))), "{length} B");
    }
}

#[test]
fn the_input_that_the_core_panicked_at_is_the_last_record() {
    let mut small = Small::start(LARGE);
    small.propose(3);
    let server = small.servers.get_mut(&SERVERS[0]).unwrap();
    let now = server.node.deadline();
    let stepped = catch_unwind(AssertUnwindSafe(|| {
        let mut broken = || -> u64 { panic!("no luck") };
        let (given, effects) = (Input::Campaign, &mut Vec::new());
        server.black_box.step(&mut server.node, now, given, &Payloads::None, &mut broken, effects);
    }));
    assert!(stepped.is_err());
    let folder = small.end();
    let (_, records, _) = read(fs::read(first_file(&folder, SERVERS[0])).unwrap()).unwrap();
    let last = records.last().unwrap();
    assert!(
        matches!(last, Record::Step(Step { given: Given::Campaign, digest: None, .. })),
        "{last:?}"
    );
    let report = replayed(&folder);
    let text = &report.differences[0].text;
    assert_eq!(text, "the core panicked then, and does not now");
}

#[test]
fn what_the_disk_does_not_take_is_counted_and_nobody_waits() {
    let mut small = Small::start(150);
    small.propose(50);
    let counters = small.servers[&SERVERS[0]].black_box.counters();
    drop(small.end());
    assert!(counters.lost() > 50, "{}", counters.lost());
    assert!(counters.bytes() <= 150);
}

#[test]
fn recordings_that_do_not_belong_together_are_refused() {
    let folder = some_work();
    let path = folder.path().join("S1");
    let open = || Recording::open(&path).unwrap();
    let error = replay(&[open(), open()], None).unwrap_err();
    assert_eq!(error.to_string(), "two of the recordings are of the same server");
    let other = first_file(&folder, ServerId(2));
    fs::copy(other, path.join("00000009.box")).unwrap();
    let error = Recording::open(&path).unwrap_err().to_string();
    assert!(error.contains("00000009.box is of S2"), "{error}");
}

/// `JANGADA_BLESS=1` writes the file anew, which no release may do.
#[test]
fn format_2_is_read_for_ever() {
    if std::env::var_os("JANGADA_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/blackbox/v2.box");
        fs::copy(first_file(&some_work(), ServerId(1)), path).unwrap();
    }
    let (header, records, fault) = read(GOLDEN.to_vec()).unwrap();
    assert_eq!((header.server, header.cluster), (ServerId(1), uuid::Uuid::from_u128(7)));
    assert_eq!(fault, None);
    let kinds = |wanted: fn(&Record) -> bool| records.iter().filter(|it| wanted(it)).count();
    assert!(kinds(|it| matches!(it, Record::Step(_))) > 100);
    assert!(kinds(|it| matches!(it, Record::Mark(_))) > 0);
    assert!(kinds(|it| matches!(it, Record::State(..))) > 0);
    assert_eq!(kinds(|it| matches!(it, Record::End)), 1);
    // What is written by hand is what postcard makes of it.
    let mut again = Vec::new();
    records.iter().for_each(|it| encode::record(&mut again, it));
    assert!(records_of(GOLDEN) == again, "the same bytes again");
}

#[test]
fn format_1_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("00000001.box"), FORMER).unwrap();
    let error = Recording::open(folder.path()).unwrap_err().to_string();
    let why = "00000001.box: its format is 1, and this version reads format 2 alone: replay it with \
               the version that recorded it";
    assert!(error.ends_with(why), "{error}");
}

/// What comes with every write is written by hand, and read by what postcard derives.
#[test]
fn a_step_is_read_as_it_was_written() {
    let position = |term, index| Position::new(Term(term), Index(index));
    let entry = |payload| Entry { term: Term(300), payload };
    let configuration = Arc::new(Configuration::new([1, 2, 300].map(ServerId)));
    let entries: Entries = vec![
        entry(Payload::NoOp),
        entry(Payload::Command(Bytes::from(vec![7; 200]))),
        entry(Payload::Configuration(configuration)),
    ]
    .into();
    let commands = [Bytes::from_static(b"one"), Bytes::new()];
    let append = AppendEntries {
        term: Term(300),
        prev_log: position(1, 1 << 40),
        last: Index(127),
        leader_commit: Index(128),
        round: Round(u64::MAX),
    };
    let reply = |outcome| AppendEntriesReply {
        term: Term(3),
        round: Round(9),
        outcome,
        applied: Index(1000),
        recovering: true,
    };
    let rejected = AppendOutcome::Rejected { prev: Index(400), hint: position(2, 300) };
    let from = ServerId(200);
    let message = |message| Input::Message { from, message, entries: &[] };
    let inputs = [
        (message(append.into()), Payloads::Entries(&entries)),
        (message(reply(AppendOutcome::Matched(Index(129))).into()), Payloads::None),
        (message(reply(rejected).into()), Payloads::None),
        (
            message(TimeoutNow { term: Term(1), last_log: position(1, 2), round: Round(3) }.into()),
            Payloads::None,
        ),
        (Input::Propose { sizes: &[] }, Payloads::Commands(&commands)),
        (Input::Persisted { term: Term(200), last: Index(70_000) }, Payloads::None),
        (Input::Deadline, Payloads::None),
        (Input::Gone(from), Payloads::None),
    ];
    for (input, payloads) in inputs {
        for (later, draws, digest) in [(-70_000, &[][..], Some(5)), (1, &[1, u64::MAX], None)] {
            let (mut bytes, mut hashes) = (Vec::new(), vec![1]);
            encode::step_begins(&mut bytes, later, &input, &payloads, &mut hashes);
            encode::step_ends(&mut bytes, draws, digest);
            let (record, rest) = postcard::take_from_bytes::<Record>(&bytes).unwrap();
            let mut again = Vec::new();
            encode::record(&mut again, &record);
            assert_eq!((rest, &again), (&[][..], &bytes), "{record:?}");
            let Record::Step(step) = record else { panic!("{record:?}") };
            assert_eq!((step.later, &step.draws[..]), (later, draws));
            assert_eq!(step.digest.map(|it| it.0), digest);
            assert_eq!(step.given.hashes(), hashes);
            let told = match &payloads {
                Payloads::None => 0,
                Payloads::Entries(entries) => entries.len(),
                Payloads::Commands(commands) => commands.len(),
            };
            assert_eq!(hashes.len(), told);
            step.given.with(|given| match (given, input) {
                (Input::Message { message: one, .. }, Input::Message { message: other, .. }) => {
                    assert_eq!(one, other);
                }
                (given, input) => {
                    assert_eq!(std::mem::discriminant(&given), std::mem::discriminant(&input));
                }
            });
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_are_read_with_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&bytes);
    }

    /// Records whose sums are right, whatever they say.
    #[test]
    fn no_record_is_read_with_a_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = GOLDEN.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(HEADER_BYTES + cut.index(bytes.len() - HEADER_BYTES));
        fuzz(&bytes);
        // The damaged record is the first that is not there.
        if let Ok((_, records, _)) = read(bytes) {
            let (_, all, _) = read(GOLDEN.to_vec()).unwrap();
            prop_assert!(all.starts_with(&records));
        }
    }
}
