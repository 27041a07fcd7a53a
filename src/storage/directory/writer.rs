//! How a batch is carried out on files.
//!
//! **A new file** is made under another name, gets its full size, is synced and only then renamed:
//! whatever a crash leaves of it, no file has a number and not its size. A segment's zeros are
//! written beforehand, into a spare file, a piece after each small batch: a sync into written zeros
//! changes the bytes of the file and nothing else, where one into room that is merely set aside has
//! to tell the file system's journal, too. A batch that is large does not wait for zeros.
//!
//! **Removals come first**: they make room, and no other change rests on them.
//!
//! **A reserve** is kept for files that are made short, which are those that make room
//! (`segments/room.rs`): no whole one is made without it, and they take it when nothing else is left.
//!
//! **No room** is told apart from a disk that fails only where nothing can have been lost by it:
//! the batch is then tried again from its first byte, new files included. A sync that fails is a
//! failure, whatever it says.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{Folder, RealFolder};
use crate::storage::disk::{Change, DiskError, FileId, Outcome};

/// The name of a new file until it is whole.
const UNFINISHED: &str = "unfinished.new";
/// The name of the file that is to be the next segment.
const SPARE: &str = "spare.new";
/// The name of the file whose room is for those that make room. It has the size of a segment: what
/// waits for room is what a leader sends before it has an answer, which is less.
const RESERVE: &str = "reserve.new";
/// How a name ends that means nothing to a log.
pub(super) const NEW: &str = ".new";
/// Zeros that are written at a time: after a small batch, and when they are waited for.
const PIECE: usize = 256 << 10;
/// A batch that writes more is not made to wait for zeros.
pub(super) const LARGE: usize = 256 << 10;

/// Carries out batches in a folder.
pub(super) struct Writer<F: Folder> {
    folder: F,
    /// Where the folder is, for messages.
    path: PathBuf,
    /// The size of a segment.
    segment_bytes: u64,
    /// The files that are written to.
    open: BTreeMap<FileId, F::File>,
    spare: Spare<F::File>,
    /// The reserve is there.
    has_reserve: bool,
}

/// The next segment.
enum Spare<T> {
    /// There was no room, or an error, which will come up again when the file is needed.
    GivenUp,
    Wanted,
    /// A file of its full size, of which this many bytes are written zeros.
    Begun(T, u64),
}

/// What went wrong.
struct Fault {
    error: DiskError,
    /// There was no room, and nothing is lost.
    full: bool,
}

/// The bytes that a batch writes.
pub(super) fn written(changes: &[Change]) -> usize {
    let written = |change: &Change| match change {
        Change::Write { bytes, .. } => bytes.len(),
        Change::Create { .. } | Change::Remove { .. } => 0,
    };
    changes.iter().map(written).sum()
}

impl Writer<RealFolder> {
    pub(super) fn open(path: &Path, segment_bytes: u64) -> Result<Self, DiskError> {
        let folder = RealFolder::open(path.to_owned());
        let folder = folder.map_err(|error| DiskError::io("open", path, &error))?;
        let mut writer = Self::new(folder, path.to_owned(), segment_bytes);
        // Before anybody else takes it. If there is no room, that comes up with the next file.
        let _ = writer.keep_reserve();
        Ok(writer)
    }
}

impl<F: Folder> Writer<F> {
    pub(super) fn new(folder: F, path: PathBuf, segment_bytes: u64) -> Self {
        let (open, spare) = (BTreeMap::new(), Spare::Wanted);
        Self { folder, path, segment_bytes, open, spare, has_reserve: false }
    }

    /// Carries out a batch and syncs it.
    pub(super) fn carry_out(&mut self, changes: Vec<Change>) -> Outcome {
        match self.attempt(&changes) {
            Ok(()) => Outcome::Done,
            Err(fault) if fault.full => {
                self.give_room_back(&changes);
                Outcome::Full(changes)
            }
            Err(fault) => Outcome::Failed(fault.error),
        }
    }

    /// Writes some of the next segment's zeros.
    pub(super) fn prepare(&mut self) {
        if matches!(self.spare, Spare::Wanted) || self.unwritten() > 0 {
            let prepared = self.spare().and_then(|(file, zeros)| {
                let next = self.segment_bytes.min(zeros + PIECE as u64);
                let zeros = self.write_zeros(&file, zeros, next)?;
                self.spare = Spare::Begun(file, zeros);
                Ok(())
            });
            if prepared.is_err() {
                self.drop_spare();
            }
        }
    }

    /// How many zeros the spare file still lacks.
    fn unwritten(&self) -> u64 {
        match self.spare {
            Spare::Begun(_, zeros) => self.segment_bytes - zeros,
            _ => 0,
        }
    }

    fn attempt(&mut self, changes: &[Change]) -> Result<(), Fault> {
        let large = written(changes) > LARGE;
        let (mut dirty, mut renamed) = (BTreeSet::new(), false);
        for change in changes {
            if let Change::Remove { file } = change {
                self.open.remove(file);
                let removed = self.folder.remove(&file.to_string());
                removed.map_err(|error| self.fault("remove", *file, &error))?;
                renamed = true;
            }
        }
        for change in changes {
            match change {
                Change::Create { file, bytes } => {
                    self.create(*file, *bytes, large)?;
                    renamed = true;
                }
                Change::Write { file, at, bytes } => {
                    self.write(*file, *at, bytes)?;
                    dirty.insert(*file);
                }
                Change::Remove { .. } => {}
            }
        }
        for id in dirty {
            let Some(file) = self.open.get(&id) else { continue };
            self.folder.sync(file).map_err(|error| self.lost(&id.to_string(), &error))?;
        }
        if renamed {
            self.folder.sync_names().map_err(|error| self.lost("", &error))?;
        }
        self.close();
        Ok(())
    }

    fn write(&mut self, id: FileId, at: u64, bytes: &[u8]) -> Result<(), Fault> {
        if !self.open.contains_key(&id) {
            let opened = self.folder.open(&id.to_string());
            let file = opened.map_err(|error| self.fault("open", id, &error))?;
            self.open.insert(id, file);
        }
        let file = &self.open[&id];
        self.folder.write(file, at, bytes).map_err(|error| self.fault("write to", id, &error))
    }

    /// Makes a file of this many zeros, durable but for its name.
    fn create(&mut self, id: FileId, bytes: u64, large: bool) -> Result<(), Fault> {
        let is_segment = matches!(id, FileId::Log(_)) && bytes == self.segment_bytes;
        let name = if is_segment { SPARE } else { UNFINISHED };
        let made = (|| {
            let is_short = bytes < self.segment_bytes;
            if !is_short {
                self.keep_reserve()?;
            }
            if is_segment {
                let (file, zeros) = self.spare()?;
                if !large {
                    self.write_zeros(&file, zeros, bytes)?;
                }
                return Ok(file);
            }
            let made = match self.reserved(name, bytes) {
                Err(error) if is_short => {
                    self.give_reserve_up(error)?;
                    self.reserved(name, bytes)
                }
                made => made,
            };
            made.map(|(file, _)| file)
        })();
        let made = made.and_then(|file| self.folder.rename(name, &id.to_string()).map(|()| file));
        let file = made.map_err(|error| self.fault("make", id, &error))?;
        if is_segment {
            self.spare = Spare::Wanted;
        }
        self.open.insert(id, file);
        Ok(())
    }

    /// Sets the reserve aside, if it is not.
    fn keep_reserve(&mut self) -> io::Result<()> {
        if !self.has_reserve {
            self.reserved(RESERVE, self.segment_bytes)?;
            self.has_reserve = true;
        }
        Ok(())
    }

    /// Gives the room of the reserve to whoever found none.
    fn give_reserve_up(&mut self, error: io::Error) -> io::Result<()> {
        if !(is_full(&error) && std::mem::take(&mut self.has_reserve)) {
            return Err(error);
        }
        self.folder.remove(RESERVE)
    }

    /// The spare file, and how much of it is written zeros.
    fn spare(&mut self) -> io::Result<(F::File, u64)> {
        match std::mem::replace(&mut self.spare, Spare::Wanted) {
            Spare::Begun(file, zeros) => Ok((file, zeros)),
            Spare::Wanted | Spare::GivenUp => self.reserved(SPARE, self.segment_bytes),
        }
    }

    /// A new file of this size, synced, and how much of it is written zeros: all or nothing.
    fn reserved(&mut self, name: &str, bytes: u64) -> io::Result<(F::File, u64)> {
        let file = self.folder.create(name)?;
        if self.folder.reserve(&file, bytes)? {
            self.folder.sync(&file)?;
            return Ok((file, 0));
        }
        let zeros = self.write_zeros(&file, 0, bytes)?;
        Ok((file, zeros))
    }

    /// Writes zeros from `from` up to `to`, or the end of a segment, and syncs them.
    fn write_zeros(&mut self, file: &F::File, from: u64, to: u64) -> io::Result<u64> {
        static ZEROS: [u8; PIECE] = [0; PIECE];
        let mut at = from;
        while at < to {
            let piece = (to - at).min(PIECE as u64);
            self.folder.write(file, at, &ZEROS[..piece as usize])?;
            at += piece;
        }
        if at > from {
            self.folder.sync(file)?;
        }
        Ok(at)
    }

    fn drop_spare(&mut self) {
        self.spare = Spare::GivenUp;
        // Whoever opens the folder next removes what is left.
        let _ = self.folder.remove(SPARE);
    }

    /// What a batch that had no room made is made again: until then it takes none.
    fn give_room_back(&mut self, changes: &[Change]) {
        self.open.clear();
        self.drop_spare();
        let _ = self.folder.remove(UNFINISHED);
        for change in changes {
            if let Change::Create { file, .. } = change {
                let _ = self.folder.remove(&file.to_string());
            }
        }
    }

    /// Keeps open what is written to next: the last segment and the last pack.
    fn close(&mut self) {
        let last_log = self.open.keys().rfind(|id| matches!(id, FileId::Log(_))).copied();
        let last_pack = self.open.keys().rfind(|id| matches!(id, FileId::Pack(_))).copied();
        self.open.retain(|id, _| Some(*id) == last_log || Some(*id) == last_pack);
    }

    fn fault(&self, doing: &'static str, id: FileId, error: &io::Error) -> Fault {
        let path = self.path.join(id.to_string());
        Fault { error: DiskError::io(doing, &path, error), full: is_full(error) }
    }

    fn lost(&self, name: &str, error: &io::Error) -> Fault {
        let path = self.path.join(name);
        Fault { error: DiskError::io("sync", &path, error), full: false }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
