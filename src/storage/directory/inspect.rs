//! A data directory, looked at without a server.

use std::path::Path;

use super::lock::Lock;
use super::reader::Reader;
use super::{DirectoryError, Expected, Identity, LOG, ON_FILES, label};
use crate::storage::segments::{LogLine, Survey, survey};
use crate::storage::{Bytes, DiskError, DiskFiles, FileId, StorageError};

/// What a data directory holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// Whose it is.
    pub identity: Identity,
    /// What stands in its log, as far as it can be read.
    pub survey: Survey,
    /// Why a server must not start from it, if it must not.
    pub damage: Option<StorageError>,
    /// Whether a server has it now, and the number of its process, if that can be read. What it
    /// writes meanwhile looks torn, and files may go.
    pub in_use: Option<Option<u32>>,
}

/// Reads a data directory and changes nothing; `tell` is given every record of the log, in order.
/// The log is read whole, and twice.
///
/// # Errors
/// If there is none, or it is of another format.
pub fn inspect(path: &Path, mut tell: impl FnMut(&LogLine)) -> Result<Inspection, DirectoryError> {
    let identity = label::read(path, Expected::default())?;
    let in_use = Lock::holder(path);
    let disk = Looking(Reader::looking(&path.join(LOG)));
    let (survey, damage) = survey(&disk, &identity, &ON_FILES, &mut tell);
    Ok(Inspection { identity, survey, damage, in_use })
}

/// The files of a folder, to be looked at.
struct Looking(Reader);

impl DiskFiles for Looking {
    fn files(&self) -> Result<Vec<FileId>, DiskError> {
        self.0.files()
    }

    fn read(&self, file: FileId) -> Result<Bytes, DiskError> {
        self.0.read(file)
    }

    fn read_start(&self, file: FileId, length: usize) -> Result<Bytes, DiskError> {
        self.0.read_start(file, length)
    }

    fn size(&self, file: FileId) -> Result<u64, DiskError> {
        self.0.size(file)
    }

    fn read_part(&self, file: FileId, at: u64, length: usize) -> Result<Bytes, DiskError> {
        self.0.read_part(file, at, length)
    }
}
