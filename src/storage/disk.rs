//! What the segment log needs of a disk: numbered files, and one batch of changes at a time that
//! is carried out and synced as a whole.
//!
//! The batch is the group commit. Whoever writes collects what comes while a batch is under way,
//! and hands it over as the next. Nothing waits: a disk of files gives the batch to a thread of
//! its own and answers [`poll`](Disk::poll) when that has reported; the simulated one knows the
//! moment beforehand. Until a batch is done, a crash may leave any part of it.

use std::path::Path;
use std::{fmt, io};

use bytes::Bytes;

use crate::raft::Time;

/// A file of a disk. The numbers of a kind go up from 1; none is used again while the file that
/// had it may be there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileId {
    /// A segment of the log.
    Log(u64),
    /// A pack of chunks.
    Pack(u64),
}

/// One change of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// A new file of this many zero bytes, with its room set aside. It is durable before a later
    /// change of the batch is begun: a file with anything in it has its full size.
    Create { file: FileId, bytes: u64 },
    /// These bytes in the place of those that stand at `at`.
    Write { file: FileId, at: u64, bytes: Vec<u8> },
    /// The file goes; nothing happens if it is gone already. A crash before the batch is done may
    /// leave it, whatever became of other changes.
    Remove { file: FileId },
}

impl Change {
    /// The file that it changes.
    pub(crate) fn file(&self) -> FileId {
        match self {
            Self::Create { file, .. } | Self::Write { file, .. } | Self::Remove { file } => *file,
        }
    }
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All of it is durable, in the directory too, and so is all that was there before.
    Done,
    /// There was no room. Nothing is certain; the changes may be tried again as they are.
    Full(Vec<Change>),
    /// Some of it may be on the disk, and nobody knows what. It must not be tried again: the
    /// system may have thrown away what it could not write, and call the next sync a success.
    Failed(DiskError),
}

/// Why a disk cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// A sync failed.
    #[error("the sync of its disk failed, and what was written may be lost")]
    Sync,
    /// A file that was there is gone.
    #[error("{0} is gone from its disk")]
    Gone(FileId),
    /// The system refused something.
    #[error("could not {doing} {path}: {error}")]
    Refused {
        /// What was to be done.
        doing: &'static str,
        /// The path.
        path: String,
        /// What the system says.
        error: String,
    },
    /// The thread that writes to the disk has ended.
    #[error("the thread that writes to its disk has ended: a bug, please report it")]
    ThreadEnded,
}

impl DiskError {
    pub(super) fn io(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Refused { doing, path: path.display().to_string(), error: error.to_string() }
    }
}

/// What is on a server's disk.
pub(crate) trait DiskFiles {
    /// The files: the log's, then the packs, each in the order of their numbers.
    fn files(&self) -> Result<Vec<FileId>, DiskError>;

    /// The whole of a file. What is read is durable: a disk of files syncs what an earlier process
    /// left unsynced first.
    fn read(&self, file: FileId) -> Result<Bytes, DiskError>;

    /// The first `length` bytes of a file, fewer if it is shorter; as durable as [`read`](Self::read)
    /// makes them.
    fn read_start(&self, file: FileId, length: usize) -> Result<Bytes, DiskError> {
        let bytes = self.read(file)?;
        Ok(bytes.slice(..length.min(bytes.len())))
    }

    /// How many bytes a file has.
    fn size(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.read(file)?.len() as u64)
    }

    /// At most `length` bytes of a file from `at` on; fewer if it is shorter.
    fn read_part(&self, file: FileId, at: u64, length: usize) -> Result<Bytes, DiskError>;
}

/// A server's disk.
pub(crate) trait Disk: DiskFiles {
    /// Begins to carry out a batch, in this order, and to sync it. There must be none under way.
    fn commit(&mut self, changes: Vec<Change>, now: Time);

    /// What became of the batch under way, once, when it has ended.
    fn poll(&mut self, now: Time) -> Option<Outcome>;

    /// Waits for the batch under way, which must be there.
    fn finish(&mut self) -> Outcome;

    /// When the batch under way ends, if the disk knows the moment beforehand.
    fn deadline(&self) -> Option<Time>;
}

impl FileId {
    /// The file with this name, as [`Display`](fmt::Display) writes it.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (number, kind) = name.split_once('.')?;
        let number: u64 = number.parse().ok()?;
        let id = match kind {
            "log" => Self::Log(number),
            "pack" => Self::Pack(number),
            _ => return None,
        };
        (number > 0 && id.to_string() == name).then_some(id)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileId::Log(number) => write!(f, "{number:08}.log"),
            FileId::Pack(number) => write!(f, "{number:08}.pack"),
        }
    }
}
