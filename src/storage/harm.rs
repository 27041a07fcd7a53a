//! Harm to what is on a disk: what a flipped bit, a lost write or a misdirected one leaves behind.

use super::segments::{Files, Identity, Record, named_once};
use super::simulated::SimulatedDisk;
use super::{FileId, StorageError};

/// What can be done to what is on a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Harm {
    Flip,
    Lose,
    Misdirect,
}

/// Whether there is a place to harm a log where recovery will notice.
pub(super) fn can_harm(disk: &SimulatedDisk, identity: &Identity, harm: Harm) -> bool {
    let is_place = |(_, record): &(FileId, Record)| harm == Harm::Flip || record.kind.is_data();
    protected(disk, identity).is_ok_and(|records| records.iter().any(is_place))
}

/// Harms a log where recovery will notice, if there is such a place.
pub(super) fn harm(disk: &SimulatedDisk, identity: &Identity, harm: Harm) {
    let Ok(mut records) = protected(disk, identity) else { return };
    match harm {
        Harm::Flip => {
            // The chunks of its snapshot are few, and hit as often as not.
            let chunks = named_once(disk, identity).unwrap_or_default();
            if !chunks.is_empty() && disk.draw(2) == 0 {
                records = chunks;
            }
            if records.is_empty() {
                return;
            }
            let (file, record) = records[disk.draw(records.len())];
            let bit = disk.draw((record.end - record.at) * 8);
            disk.harm(file, |bytes| bytes[record.at + bit / 8] ^= 1 << (bit % 8));
        }
        Harm::Lose | Harm::Misdirect => {
            let last = records.iter().rfind(|(_, record)| record.kind.is_data());
            let Some((file, record)) = last else { return };
            let mut bytes = Vec::new();
            disk.harm(*file, |file| {
                let own = &mut file[record.at..record.end];
                bytes = own.to_vec();
                // Segments are written once: what was there before is zeros.
                own.fill(0);
            });
            if harm == Harm::Misdirect {
                misdirect(disk, &records, (*file, record.at), &bytes);
            }
        }
    }
}

/// The records of a log that a later one protects.
fn protected(
    disk: &SimulatedDisk,
    identity: &Identity,
) -> Result<Vec<(FileId, Record)>, StorageError> {
    let mut records = Vec::new();
    let end = Files::read(disk, identity)?.walk(identity, |file, _, record| {
        records.push((file, *record));
        true
    })?;
    records.retain(|(_, record)| record.sequence <= end.synced);
    Ok(records)
}

/// Puts what belongs at `own` over other records, but never over what shows that it is missing.
fn misdirect(
    disk: &SimulatedDisk,
    records: &[(FileId, Record)],
    own: (FileId, usize),
    bytes: &[u8],
) {
    let fits = |(file, record): &&(FileId, Record)| (*file, record.at + bytes.len()) <= own;
    let places: Vec<_> = records.iter().filter(fits).collect();
    if places.is_empty() {
        return;
    }
    let (file, record) = places[disk.draw(places.len())];
    disk.harm(*file, |all| {
        let end = all.len().min(record.at + bytes.len());
        all[record.at..end].copy_from_slice(&bytes[..end - record.at]);
    });
}
