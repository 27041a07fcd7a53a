//! A disk that fails as disks do, by a seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::DiskSpeed;
use super::disk::{Change, Disk, DiskError, DiskFiles, FileId, Outcome};
use crate::raft::Time;

/// A handle to a simulated disk.
#[derive(Clone)]
pub(super) struct SimulatedDisk(Rc<RefCell<Medium>>);

struct Medium {
    files: BTreeMap<FileId, Vec<u8>>,
    /// The batch under way, and when it began.
    batch: Option<(Vec<Change>, Time)>,
    speed: DiskSpeed,
    full: bool,
    sync_fails: bool,
    crash_tears: bool,
    luck: ChaCha8Rng,
}

/// What a disk writes as a whole.
const SECTOR: usize = 512;

impl SimulatedDisk {
    pub(super) fn new(luck: ChaCha8Rng) -> Self {
        Self(Rc::new(RefCell::new(Medium {
            files: BTreeMap::new(),
            batch: None,
            speed: DiskSpeed::default(),
            full: false,
            sync_fails: false,
            crash_tears: false,
            luck,
        })))
    }

    pub(super) fn speed(&self) -> DiskSpeed {
        self.0.borrow().speed
    }

    /// Changes how long a batch takes, the one under way included.
    pub(super) fn set_speed(&self, speed: DiskSpeed) {
        self.0.borrow_mut().speed = speed;
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.borrow().full
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    pub(super) fn fail_next_sync(&self) {
        self.0.borrow_mut().sync_fails = true;
    }

    pub(super) fn tear_next_crash(&self) {
        self.0.borrow_mut().crash_tears = true;
    }

    /// Room, no latency, no stall, nothing to go wrong.
    pub(super) fn mend(&self) {
        let medium = &mut *self.0.borrow_mut();
        medium.speed = DiskSpeed::default();
        (medium.full, medium.sync_fails, medium.crash_tears) = (false, false, false);
    }

    /// Loses the batch under way, or tears it.
    pub(super) fn crash(&self) {
        let medium = &mut *self.0.borrow_mut();
        let batch = medium.batch.take();
        if std::mem::take(&mut medium.crash_tears) {
            for change in batch.into_iter().flat_map(|(changes, _)| changes) {
                if !medium.tear(change) {
                    break;
                }
            }
        }
    }

    /// Loses everything.
    pub(super) fn destroy(&self) {
        self.0.borrow_mut().files.clear();
    }

    /// An empty disk on which nothing goes wrong, with luck of its own.
    pub(super) fn blank(&self) -> Self {
        let medium = &mut *self.0.borrow_mut();
        let mut seed = [0; 32];
        medium.luck.fill_bytes(&mut seed);
        Self::new(ChaCha8Rng::from_seed(seed))
    }

    /// Has the files of `other` in place of its own.
    pub(super) fn take_files(&self, other: &Self) {
        self.0.borrow_mut().files = std::mem::take(&mut other.0.borrow_mut().files);
    }

    /// Changes a file behind everybody's back.
    pub(super) fn harm(&self, file: FileId, harm: impl FnOnce(&mut [u8])) {
        if let Some(bytes) = self.0.borrow_mut().files.get_mut(&file) {
            harm(bytes);
        }
    }

    /// Any number below `limit`, which is above zero.
    pub(super) fn draw(&self, limit: usize) -> usize {
        self.0.borrow_mut().below(limit)
    }
}

impl DiskFiles for SimulatedDisk {
    fn files(&self) -> Result<Vec<FileId>, DiskError> {
        Ok(self.0.borrow().files.keys().copied().collect())
    }

    fn read(&self, file: FileId) -> Result<Bytes, DiskError> {
        let medium = self.0.borrow();
        let bytes = medium.files.get(&file).ok_or(DiskError::Gone(file))?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn read_part(&self, file: FileId, at: u64, length: usize) -> Result<Bytes, DiskError> {
        let medium = self.0.borrow();
        let bytes = medium.files.get(&file).ok_or(DiskError::Gone(file))?;
        let start = bytes.len().min(at as usize);
        let end = bytes.len().min(start + length);
        Ok(Bytes::copy_from_slice(&bytes[start..end]))
    }
}

impl Disk for SimulatedDisk {
    fn commit(&mut self, changes: Vec<Change>, now: Time) {
        let medium = &mut *self.0.borrow_mut();
        assert!(medium.batch.is_none(), "invariant: one batch at a time");
        medium.batch = Some((changes, now));
    }

    fn poll(&mut self, now: Time) -> Option<Outcome> {
        let medium = &mut *self.0.borrow_mut();
        let (_, began) = medium.batch.as_ref()?;
        match medium.speed {
            DiskSpeed::Latency(latency) if *began + latency <= now => medium.end_batch(),
            _ => None,
        }
    }

    fn finish(&mut self) -> Outcome {
        let outcome = self.0.borrow_mut().end_batch();
        outcome.expect("invariant: somebody waits for the batch under way")
    }

    fn deadline(&self) -> Option<Time> {
        let medium = self.0.borrow();
        let (_, began) = medium.batch.as_ref()?;
        match medium.speed {
            DiskSpeed::Latency(latency) => Some(*began + latency),
            DiskSpeed::Stalled => None,
        }
    }
}

impl Medium {
    fn end_batch(&mut self) -> Option<Outcome> {
        let (changes, _) = self.batch.take()?;
        if self.full {
            return Some(Outcome::Full(changes));
        }
        let fails = std::mem::take(&mut self.sync_fails);
        for change in changes {
            if !fails || self.below(2) == 0 {
                self.carry_out(change);
            }
        }
        Some(if fails { Outcome::Failed(DiskError::Sync) } else { Outcome::Done })
    }

    fn carry_out(&mut self, change: Change) {
        match change {
            Change::Create { file, bytes } => {
                self.files.insert(file, vec![0; bytes as usize]);
            }
            Change::Write { file, at, bytes } => self.put(file, at as usize, &bytes),
            Change::Remove { file } => {
                self.files.remove(&file);
            }
        }
    }

    /// Writes as much as there is room for: a file may have been lost, or cut short.
    fn put(&mut self, file: FileId, at: usize, bytes: &[u8]) {
        let Some(file) = self.files.get_mut(&file) else { return };
        let end = file.len().min(at + bytes.len());
        if at < end {
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
    }

    /// A change of which the crash leaves nothing, all, the beginning, or some sectors. Returns
    /// whether later ones may have been begun: before a new file is durable they are not.
    fn tear(&mut self, change: Change) -> bool {
        match (self.below(4), change) {
            (0, change) => return !matches!(change, Change::Create { .. }),
            (1, change) | (_, change @ Change::Remove { .. }) => self.carry_out(change),
            (_, Change::Create { file, bytes }) => {
                let bytes = self.below(bytes as usize);
                self.files.insert(file, vec![0; bytes]);
                return false;
            }
            (2, Change::Write { file, at, bytes }) => {
                let kept = self.below(bytes.len());
                self.put(file, at as usize, &bytes[..kept]);
            }
            (_, Change::Write { file, at, bytes }) => {
                let (mut at, mut rest) = (at as usize, &bytes[..]);
                while !rest.is_empty() {
                    let (sector, behind) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if self.below(2) == 0 {
                        self.put(file, at, sector);
                    }
                    (at, rest) = (at + sector.len(), behind);
                }
            }
        }
        true
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.luck.next_u64() % limit as u64) as usize
    }
}
