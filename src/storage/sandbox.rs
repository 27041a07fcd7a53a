//! The disk of one server of a sandbox, as its supervisor sees it: it outlives the server.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::harm::{Harm, can_harm, harm};
use super::segments::{Identity, Options, SegmentLog};
use super::simulated::SimulatedDisk;
use super::{DiskFault, DiskFiles, DiskKind, DiskSpeed, MemoryDisk, Storage, StorageError};
use crate::museum::{Bug, on};
use crate::raft::{
    ChunkId, Configuration, Entries, Entry, Index, Payload, Persistent, Position, ServerId, Term,
    Time,
};

/// The disk of a server.
pub(crate) enum ServerDisk {
    Memory(MemoryDisk, Identity),
    Simulated(Box<Simulated>),
}

/// A simulated disk and the log on it.
pub(crate) struct Simulated {
    pub(super) disk: SimulatedDisk,
    pub(super) identity: Identity,
    /// What the disk was formatted with.
    founding: Persistent,
    /// The log that the server writes to; of a server that is down, what it would start from.
    log: Opened,
}

type Opened = Result<Rc<RefCell<SegmentLog<SimulatedDisk>>>, StorageError>;

/// Why something cannot be done to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The disk is plain memory.
    Memory,
    /// Nothing is there that recovery would miss.
    NothingToHarm,
    /// Its server runs.
    Running,
    /// Nothing is wrong with it: its server can start.
    Sound,
}

/// How much room a storage takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// The bytes of the log: of its files, or of its payloads where there are no files.
    pub log_bytes: u64,
    /// The last entry that the latest snapshot covers; 0 at 0 without one.
    pub snapshot: Position,
    /// The bytes of chunks, of all snapshots and of those in the making.
    pub chunk_bytes: u64,
}

/// What one server had left of a cluster that lost its majority. Whatever was acknowledged behind
/// `last` is lost; of what lies between `snapshot` and `last`, some may never have been committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Salvage {
    /// Its term, before.
    pub term: Term,
    /// The last entry that it had.
    pub last: Position,
    /// The last entry that its snapshot covers: up to here, all was committed.
    pub snapshot: Position,
    /// How many entries lie behind the snapshot.
    pub behind_snapshot: u64,
    /// The cluster it belonged to.
    pub old_cluster: Uuid,
    /// The cluster that it is now, alone.
    pub new_cluster: Uuid,
}

/// Why nothing can be salvaged from a disk; then nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unsalvaged {
    /// Its server runs.
    #[error("it is running: stop it first, and every other server of its cluster")]
    Running,
    /// There is not enough to start from.
    #[error("it has no member list yet: it was still joining, and knows of no cluster to save")]
    Joining,
    /// The disk cannot be read, or not be written to.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// A chunk of its snapshot cannot be read.
    #[error("chunk {0} of its snapshot cannot be read; give the salvage another server's disk")]
    Unreadable(ChunkId),
}

/// The whole report, as one line: what may be missing, and what counts as committed now.
impl fmt::Display for Salvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { last, snapshot, behind_snapshot, old_cluster, new_cluster, .. } = self;
        write!(f, "is a cluster of its own, {new_cluster}, and no more of {old_cluster}; ")?;
        write!(f, "whatever was acknowledged behind entry {last} is lost")?;
        match behind_snapshot {
            0 => Ok(()),
            _ => write!(
                f,
                "; the {behind_snapshot} entries behind {} count as committed, whether they were \
                 or not",
                snapshot.index
            ),
        }
    }
}

impl ServerDisk {
    /// The disk of a new server, formatted for a founding member or for one that is to join.
    pub(crate) fn new(
        kind: DiskKind,
        identity: Identity,
        founding: Persistent,
        luck: ChaCha8Rng,
    ) -> Self {
        match kind {
            DiskKind::Memory => Self::Memory(MemoryDisk::new(&founding), identity),
            DiskKind::Simulated => {
                let disk = SimulatedDisk::new(luck);
                let log = Err(StorageError::NotFormatted);
                let mut simulated = Simulated { disk, identity, founding, log };
                simulated.log = simulated.format();
                Self::Simulated(Box::new(simulated))
            }
        }
    }

    /// Formats the disk of a server that is to join `cluster` again, or another one: it neither
    /// votes nor acknowledges anything until it has recovered from a quorum.
    ///
    /// # Errors
    /// If its server runs, or could go on in that cluster with what is there. Then nothing was
    /// changed.
    pub(crate) fn reformat(&mut self, cluster: Uuid, running: bool) -> Result<(), Refused> {
        let joining = Persistent::joining();
        match self {
            _ if running => Err(Refused::Running),
            Self::Memory(disk, identity) if identity.cluster != cluster => {
                let speed = disk.speed();
                *disk = MemoryDisk::new(&joining);
                disk.set_speed(speed);
                identity.cluster = cluster;
                Ok(())
            }
            Self::Simulated(it) if it.log.is_err() || it.identity.cluster != cluster => {
                it.disk.destroy();
                (it.identity.cluster, it.founding) = (cluster, joining);
                it.log = it.format();
                Ok(())
            }
            _ => Err(Refused::Sound),
        }
    }

    /// Makes a cluster of its own, by a new name, of a server whose old one lost its majority for
    /// ever: the next term, and itself as the only member, at the end of its log. Loud, and a last
    /// resort; the report says what may be missing.
    ///
    /// # Errors
    /// If its server runs, or its disk cannot be read or written. Then nothing was changed.
    pub(crate) fn salvage(
        &mut self,
        new_cluster: Uuid,
        running: bool,
    ) -> Result<Salvage, Unsalvaged> {
        match self {
            _ if running => Err(Unsalvaged::Running),
            Self::Memory(disk, identity) => {
                let salvage = found_alone(disk, identity, new_cluster)?;
                disk.flush();
                identity.cluster = new_cluster;
                Ok(salvage)
            }
            Self::Simulated(it) => it.salvage(new_cluster),
        }
    }

    /// How much room it takes; nothing of what cannot be read.
    pub(crate) fn sizes(&self) -> Sizes {
        match self {
            Self::Memory(disk, _) => disk.sizes(),
            Self::Simulated(it) => {
                it.log.as_ref().map(|log| log.borrow().sizes()).unwrap_or_default()
            }
        }
    }

    /// What a server that starts reads and writes.
    ///
    /// # Errors
    /// If it must not start.
    pub(crate) fn storage(&self) -> Result<Box<dyn Storage>, StorageError> {
        match self {
            Self::Memory(disk, _) => Ok(Box::new(disk.clone())),
            Self::Simulated(it) => Ok(Box::new(it.log.clone()?)),
        }
    }

    /// Its server has ended, and synced everything if it had the time for it.
    pub(crate) fn ended(&mut self, orderly: bool, now: Time) {
        match self {
            Self::Memory(disk, _) if orderly => disk.flush(),
            Self::Memory(disk, _) => disk.crash(),
            Self::Simulated(it) => {
                if let (Ok(log), true) = (&it.log, orderly) {
                    log.borrow_mut().flush(now);
                }
                it.disk.crash();
                it.reopen();
            }
        }
    }

    /// The term, the vote and the last entry, as written.
    pub(crate) fn summary(&self) -> (Term, Option<ServerId>, Position) {
        match self {
            Self::Memory(disk, _) => disk.summary(),
            Self::Simulated(it) => {
                it.log.as_ref().map(|log| log.borrow().summary()).unwrap_or_default()
            }
        }
    }

    /// Entries of its log, as [`Storage::read`].
    pub(crate) fn read(&self, after: Index, last: Index, max_bytes: u64) -> Entries {
        match self {
            Self::Memory(disk, _) => disk.read(after, last, max_bytes),
            Self::Simulated(it) => {
                let read = |log: &Rc<RefCell<SegmentLog<_>>>| log.read(after, last, max_bytes);
                it.log.as_ref().map(read).unwrap_or_default()
            }
        }
    }

    /// How long syncs take.
    pub(crate) fn speed(&self) -> DiskSpeed {
        match self {
            Self::Memory(disk, _) => disk.speed(),
            Self::Simulated(it) => it.disk.speed(),
        }
    }

    /// Changes how long syncs take, the one under way included.
    pub(crate) fn set_speed(&self, speed: DiskSpeed) {
        match self {
            Self::Memory(disk, _) => disk.set_speed(speed),
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
            (Self::Memory(..), _) if fault != DiskFault::Mend => Err(Refused::Memory),
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
            Self::Memory(disk, _) => {
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
                    it.reopen();
                }
            }
            DiskFault::Destroy => {
                it.disk.destroy();
                it.reopen();
            }
        }
        Ok(())
    }
}

impl Simulated {
    fn format(&self) -> Opened {
        SegmentLog::format(
            &mut self.disk.clone(),
            &self.identity,
            &self.founding,
            Options::default(),
        )?;
        open(&self.disk, self.identity)
    }

    fn reopen(&mut self) {
        let lost = || self.disk.files().is_ok_and(|files| files.is_empty());
        self.log = match on(Bug::FormatsALostDisk) && lost() {
            true => self.format(),
            false => open(&self.disk, self.identity),
        };
    }

    /// Writes all that is there to an empty disk, as the new cluster's, and takes that over when
    /// it is whole.
    fn salvage(&mut self, new_cluster: Uuid) -> Result<Salvage, Unsalvaged> {
        let old = self.log.clone()?;
        let identity = Identity { cluster: new_cluster, ..self.identity };
        let kept = old.load().persistent;
        let mut founding = Persistent { snapshot: kept.snapshot, ..Persistent::default() };
        (founding.current_term, founding.voted_for) = (kept.current_term, kept.voted_for);
        let mut disk = self.disk.blank();
        SegmentLog::format(&mut disk, &identity, &founding, Options::default())?;
        let mut fresh = SegmentLog::open(disk.clone(), identity, Options::default())?;
        if let Some(snapshot) = old.snapshot() {
            for id in &*snapshot.chunks {
                let bytes = old.chunk(id).ok_or(Unsalvaged::Unreadable(*id))?;
                fresh.put_chunk(*id, bytes);
                fresh.flush(Time::default());
            }
            fresh.save_snapshot(snapshot, true);
        }
        let last_included = founding.snapshot.last_included.index;
        let behind = old.read(last_included, Index(u64::MAX), u64::MAX);
        if !behind.is_empty() {
            fresh.append(last_included.next(), behind);
        }
        let salvage = found_alone(&mut fresh, &self.identity, new_cluster)?;
        fresh.flush(Time::default());
        fresh.durable(Time::default())?;
        self.disk.take_files(&disk);
        self.identity = identity;
        self.log = open(&self.disk, identity);
        Ok(salvage)
    }
}

/// Makes a server the only member of its cluster, in the next term, and says what it has.
fn found_alone(
    storage: &mut impl Storage,
    old: &Identity,
    new_cluster: Uuid,
) -> Result<Salvage, Unsalvaged> {
    let kept = storage.load().persistent;
    let last = match kept.log.last() {
        Some(entry) => Position::new(entry.term, Index(kept.base.index.0 + kept.log.len() as u64)),
        None => kept.base,
    };
    let snapshot = kept.snapshot.last_included;
    if last.index == Index(0) && kept.snapshot.configuration == Configuration::default() {
        return Err(Unsalvaged::Joining);
    }
    let term = Term(kept.current_term.0 + 1);
    storage.save_vote(term, None);
    let alone = Configuration::new([old.server]);
    let entry = Entry { term, payload: Payload::Configuration(alone.into()) };
    storage.append(last.index.next(), vec![entry].into());
    storage.save_recovered();
    let (term, behind_snapshot) = (kept.current_term, last.index - snapshot.index);
    let old_cluster = old.cluster;
    Ok(Salvage { term, last, snapshot, behind_snapshot, old_cluster, new_cluster })
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

fn open(disk: &SimulatedDisk, identity: Identity) -> Opened {
    let log = SegmentLog::open(disk.clone(), identity, Options::default())?;
    log.check_content()?;
    Ok(Rc::new(RefCell::new(log)))
}
