//! The disk of one server of a sandbox, as its supervisor sees it: it outlives the server.

use std::cell::RefCell;
use std::rc::Rc;

use rand_chacha::ChaCha8Rng;

use super::harm::{Harm, can_harm, harm};
use super::segments::{Identity, Options, SegmentLog};
use super::simulated::SimulatedDisk;
use super::{DiskFault, DiskKind, DiskSpeed, MemoryDisk, Storage, StorageError};
use crate::raft::{Entries, Index, Position, ServerId, Term, Time};

/// The disk of a server.
pub(crate) enum ServerDisk {
    Memory(MemoryDisk),
    Simulated(Simulated),
}

/// A simulated disk and the log on it.
pub(crate) struct Simulated {
    disk: SimulatedDisk,
    identity: Identity,
    /// The log that the server writes to; of a server that is down, what it would start from.
    log: Result<Rc<RefCell<SegmentLog<SimulatedDisk>>>, StorageError>,
}

/// Why something cannot be done to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The disk is plain memory.
    Memory,
    /// Nothing is there that recovery would miss.
    NothingToHarm,
    /// Its server runs.
    Running,
}

impl ServerDisk {
    /// The disk of a new server, formatted.
    pub(crate) fn new(kind: DiskKind, identity: Identity, luck: ChaCha8Rng) -> Self {
        match kind {
            DiskKind::Memory => Self::Memory(MemoryDisk::default()),
            DiskKind::Simulated => {
                let mut disk = SimulatedDisk::new(luck);
                let formatted = SegmentLog::format(&mut disk, &identity, Options::default());
                let open = |()| open(&disk, identity);
                let log = formatted.and_then(open);
                Self::Simulated(Simulated { disk, identity, log })
            }
        }
    }

    /// What a server that starts reads and writes.
    ///
    /// # Errors
    /// If it must not start.
    pub(crate) fn storage(&self) -> Result<Box<dyn Storage>, StorageError> {
        match self {
            Self::Memory(disk) => Ok(Box::new(disk.clone())),
            Self::Simulated(it) => Ok(Box::new(it.log.clone()?)),
        }
    }

    /// Its server has ended, and synced everything if it had the time for it.
    pub(crate) fn ended(&mut self, orderly: bool, now: Time) {
        match self {
            Self::Memory(disk) if orderly => disk.flush(),
            Self::Memory(disk) => disk.crash(),
            Self::Simulated(it) => {
                if let (Ok(log), true) = (&it.log, orderly) {
                    log.borrow_mut().flush(now);
                }
                it.disk.crash();
                it.log = open(&it.disk, it.identity);
            }
        }
    }

    /// The term, the vote and the last entry, as written.
    pub(crate) fn summary(&self) -> (Term, Option<ServerId>, Position) {
        match self {
            Self::Memory(disk) => disk.summary(),
            Self::Simulated(it) => {
                it.log.as_ref().map(|log| log.borrow().summary()).unwrap_or_default()
            }
        }
    }

    /// Entries of its log, as [`Storage::read`].
    pub(crate) fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        match self {
            Self::Memory(disk) => disk.read(after, last, max_bytes),
            Self::Simulated(it) => {
                let read = |log: &Rc<RefCell<SegmentLog<_>>>| log.read(after, last, max_bytes);
                it.log.as_ref().map(read).unwrap_or_default()
            }
        }
    }

    /// How long syncs take.
    pub(crate) fn speed(&self) -> DiskSpeed {
        match self {
            Self::Memory(disk) => disk.speed(),
            Self::Simulated(it) => it.disk.speed(),
        }
    }

    /// Changes how long syncs take, the one under way included.
    pub(crate) fn set_speed(&self, speed: DiskSpeed) {
        match self {
            Self::Memory(disk) => disk.set_speed(speed),
            Self::Simulated(it) => it.disk.set_speed(speed),
        }
    }

    /// Whether there is no room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Simulated(it) if it.disk.is_full())
    }

    /// Whether something can happen to the disk now. Changes nothing.
    pub(crate) fn can_suffer(&self, fault: DiskFault, running: bool) -> Result<(), Refused> {
        match (self, harm_of(fault)) {
            (Self::Memory(_), _) if fault != DiskFault::Mend => Err(Refused::Memory),
            (Self::Simulated(_), _) if fault == DiskFault::Destroy && running => {
                Err(Refused::Running)
            }
            (Self::Simulated(it), Some(harm)) if !can_harm(&it.disk, &it.identity, harm) => {
                Err(Refused::NothingToHarm)
            }
            _ => Ok(()),
        }
    }

    /// Has something happen to the disk.
    ///
    /// # Errors
    /// As [`can_suffer`](Self::can_suffer) says; then nothing has happened.
    pub(crate) fn inflict(&mut self, fault: DiskFault, running: bool) -> Result<(), Refused> {
        self.can_suffer(fault, running)?;
        let it = match self {
            Self::Simulated(it) => it,
            Self::Memory(disk) => {
                disk.set_speed(DiskSpeed::default());
                return Ok(());
            }
        };
        match fault {
            DiskFault::Full => it.disk.set_full(true),
            DiskFault::Free => it.disk.set_full(false),
            DiskFault::FailSync => it.disk.fail_next_sync(),
            DiskFault::Tear => it.disk.tear_next_crash(),
            DiskFault::Mend => it.disk.mend(),
            DiskFault::Flip | DiskFault::Lose | DiskFault::Misdirect => {
                if let Some(kind) = harm_of(fault) {
                    harm(&it.disk, &it.identity, kind);
                }
                if !running {
                    it.log = open(&it.disk, it.identity);
                }
            }
            DiskFault::Destroy => {
                it.disk.destroy();
                it.log = open(&it.disk, it.identity);
            }
        }
        Ok(())
    }
}

/// The faults that need something that recovery would miss.
fn harm_of(fault: DiskFault) -> Option<Harm> {
    match fault {
        DiskFault::Flip => Some(Harm::Flip),
        DiskFault::Lose => Some(Harm::Lose),
        DiskFault::Misdirect => Some(Harm::Misdirect),
        _ => None,
    }
}

fn open(
    disk: &SimulatedDisk,
    identity: Identity,
) -> Result<Rc<RefCell<SegmentLog<SimulatedDisk>>>, StorageError> {
    let log = SegmentLog::open(disk.clone(), identity, Options::default())?;
    Ok(Rc::new(RefCell::new(log)))
}
