//! Bytes that nobody meant, as a log: for `fuzz/` and for the properties.

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::record::{self, HEADER_BYTES, Kind, Seal};
use super::survey::survey;
use super::{Identity, Options, SegmentLog, Storage};
use crate::raft::{
    ChunkId, Configuration, Entries, Entry, Index, Payload, Persistent, Position, ServerId,
    SnapshotMeta, Term, Time,
};
use crate::storage::disk::{Change, Disk, DiskFiles, Outcome};
use crate::storage::simulated::SimulatedDisk;
use crate::storage::{FileId, Snapshot};

const SMALL: Options = Options {
    segment_bytes: 1024,
    backlog_bytes: 1 << 20,
    pack_bytes: 512,
    chunk_backlog_bytes: 1 << 20,
    spare_bytes: 1 << 20,
};

/// Has a log recovered from bytes: either from a sound one with some of its bytes changed, or from
/// records whose sums are right, whatever they say. Recovery refuses it, or finds what was written
/// up to some record and goes on from there; it never panics.
pub fn log_recovery(data: &[u8]) {
    match data.split_first() {
        Some((mode, edits)) if mode % 2 == 0 => edited(edits),
        Some((_, records)) => sealed(records),
        None => {}
    }
}

fn identity() -> Identity {
    Identity { cluster: Uuid::from_u128(7), server: ServerId(2) }
}

fn founding() -> Persistent {
    Persistent::founding(Configuration::new([1, 2, 3].map(ServerId)))
}

fn formatted() -> SimulatedDisk {
    let mut disk = SimulatedDisk::new(ChaCha8Rng::seed_from_u64(1));
    let made = SegmentLog::format(&mut disk, &identity(), &founding(), SMALL);
    made.expect("invariant: nothing is wrong with the disk");
    disk
}

/// Sound, with everything in it: several segments, replaced entries, a snapshot with chunks.
fn sound() -> SimulatedDisk {
    let disk = formatted();
    let log = SegmentLog::open(disk.clone(), identity(), SMALL);
    let mut log = log.expect("invariant: it was made a moment ago");
    log.save_vote(Term(1), Some(ServerId(2)));
    log.append(Index(1), (1..=20).map(command).collect());
    log.append(Index(19), (19..=24).map(command).collect());
    let bytes = Bytes::from_static(&[7; 300]);
    let id = ChunkId(*blake3::hash(&bytes).as_bytes());
    log.put_chunk(id, bytes);
    log.flush(Time::default());
    let last_included = Position::new(Term(1), Index(12));
    let meta = SnapshotMeta { last_included, ..founding().snapshot };
    log.save_snapshot(Snapshot { meta, chunks: [id].into() }, true);
    log.compact(Index(10));
    for index in 25..=40 {
        log.append(Index(index), vec![command(index)].into());
        log.flush(Time::default());
    }
    disk
}

/// The entry at an index, always the same.
fn command(index: u64) -> Entry {
    Entry { term: Term(1), payload: Payload::Command(Bytes::from(vec![index as u8; 40])) }
}

/// Each edit: which file, where (two bytes), what.
fn edited(edits: &[u8]) {
    let disk = sound();
    let files = disk.files().expect("invariant: nothing is wrong with the disk");
    let (edits, _) = edits.as_chunks::<4>();
    for &[file, high, low, byte] in edits {
        let at = usize::from(u16::from_be_bytes([high, low]));
        disk.harm(files[usize::from(file) % files.len()], |bytes| {
            let at = at % bytes.len();
            bytes[at] = byte;
        });
    }
    let _ = survey(&disk, &identity(), &SMALL, |_| {});
    let Ok(log) = SegmentLog::open(disk, identity(), SMALL) else { return };
    let base = log.load().persistent.base.index;
    let entries = log.read(base, Index(u64::MAX), u64::MAX);
    // Of what nothing protected yet, the end may be gone.
    for (entry, index) in entries.iter().zip(base.0 + 1..) {
        assert_eq!(*entry, command(index), "nothing is made up");
    }
}

/// Each record: kind, lag, length, payload.
fn sealed(mut data: &[u8]) {
    let mut disk = formatted();
    let file = FileId::Log(1);
    let bytes = disk.read(file).expect("invariant: it was made a moment ago");
    let seal = Seal::new(&identity(), file);
    let founded = record::Record::read(&bytes, HEADER_BYTES, seal);
    let mut at = founded.expect("invariant: it was made a moment ago").end as u64;
    let mut sequence = 2;
    while let [kind, lag, length, rest @ ..] = data {
        let (payload, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        data = behind;
        let kinds = [Kind::Vote, Kind::Entries, Kind::Mark, Kind::Snapshot, Kind::Header];
        sequence += 1;
        let synced = sequence - u64::from(*lag).clamp(1, sequence);
        let numbers = (kinds[usize::from(*kind) % kinds.len()], sequence, synced);
        let mut bytes = Vec::new();
        record::write(&mut bytes, seal, at, numbers, |out| out.extend(payload));
        if at as usize + bytes.len() > SMALL.segment_bytes as usize {
            break;
        }
        let next = at + bytes.len() as u64;
        disk.commit(vec![Change::Write { file, at, bytes }], Time::default());
        assert!(matches!(disk.finish(), Outcome::Done));
        at = next;
    }
    let _ = survey(&disk, &identity(), &SMALL, |_| {});
    let Ok(mut log) = SegmentLog::open(disk.clone(), identity(), SMALL) else { return };
    let before = log.load().persistent;
    let last = Index(before.base.index.0.saturating_add(before.log.len() as u64));
    if last.0 > u64::MAX / 2 {
        return;
    }
    let next: Entries = vec![command(last.0 + 1)].into();
    log.append(last.next(), next.clone());
    log.flush(Time::default());
    let again = SegmentLog::open(disk, identity(), SMALL).expect("it goes on from there");
    let after = again.load().persistent;
    assert_eq!((after.current_term, after.snapshot), (before.current_term, before.snapshot));
    assert_eq!(again.read(last, Index(u64::MAX), u64::MAX), next);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_recovery_panic(data in proptest::collection::vec(any::<u8>(), 0..400)) {
            log_recovery(&data);
        }

        /// Payloads that are nearly right.
        #[test]
        fn no_numbers_make_recovery_panic(
            records in proptest::collection::vec(
                (0u8..5, 0u8..4, proptest::collection::vec(0u64..4, 0..8), 0usize..9),
                0..8,
            )
        ) {
            let mut data = vec![1];
            for (kind, lag, numbers, cut) in records {
                let payload: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
                let payload = &payload[..payload.len().saturating_sub(cut)];
                data.extend([kind, lag, payload.len() as u8]);
                data.extend(payload);
            }
            log_recovery(&data);
        }
    }

    #[test]
    fn what_nobody_changed_is_whole() {
        let log = SegmentLog::open(sound(), identity(), SMALL).unwrap();
        let kept = log.load().persistent;
        assert_eq!(kept.base.index.0 + kept.log.len() as u64, 40);
        assert!(kept.base.index > Index(0) && log.snapshot().is_some());
        log_recovery(&[0]);
        log_recovery(&[1]);
    }
}
