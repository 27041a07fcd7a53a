//! The files of a log, read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};

use super::writer::NEW;
use crate::storage::disk::{DiskError, FileId};

/// A multiple of what the system keeps in memory as a whole.
const PAGE: u64 = 64 << 10;

/// Reads files in a folder.
#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    /// Only looks: neither syncs nor asks the disk itself.
    looks: bool,
}

impl Reader {
    /// For a server that is about to start: what it reads is durable.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), looks: false }
    }

    /// For somebody who wants to know what is there, and changes nothing.
    pub(super) fn looking(path: &Path) -> Self {
        Self { path: path.to_owned(), looks: true }
    }

    pub(super) fn path_of(&self, file: FileId) -> PathBuf {
        self.path.join(file.to_string())
    }

    pub(super) fn files(&self) -> Result<Vec<FileId>, DiskError> {
        let failed = |error| DiskError::io("read", &self.path, &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            files.extend(name.to_str().and_then(FileId::of_name));
        }
        files.sort_unstable();
        Ok(files)
    }

    /// The whole of a file. An earlier process may have left some of it unsynced, or seen a sync of
    /// it fail: then memory says one thing and the disk another. So it is synced, forgotten, and
    /// read from the disk.
    pub(super) fn read(&self, id: FileId) -> Result<Bytes, DiskError> {
        self.read_start(id, usize::MAX)
    }

    /// The first `length` bytes of it.
    pub(super) fn read_start(&self, id: FileId, length: usize) -> Result<Bytes, DiskError> {
        let path = self.path_of(id);
        let file = open(id, &path)?;
        if !self.looks {
            file.sync_data().map_err(|error| DiskError::io("sync", &path, &error))?;
            // Not every file system can; then what it read is what it has. Pages go as a whole.
            let pages =
                NonZeroU64::new((length as u64).checked_next_multiple_of(PAGE).unwrap_or_default());
            let _ = fadvise(&file, 0, pages, Advice::DontNeed);
        }
        let mut bytes = Vec::new();
        let mut start = file.take(length as u64);
        start.read_to_end(&mut bytes).map_err(|error| DiskError::io("read", &path, &error))?;
        Ok(bytes.into())
    }

    pub(super) fn size(&self, id: FileId) -> Result<u64, DiskError> {
        let path = self.path_of(id);
        match fs::metadata(&path) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DiskError::Gone(id)),
            Err(error) => Err(DiskError::io("look at", &path, &error)),
        }
    }

    pub(super) fn read_part(&self, id: FileId, at: u64, length: usize) -> Result<Bytes, DiskError> {
        let path = self.path_of(id);
        let file = open(id, &path)?;
        let mut bytes = vec![0; length];
        let mut read = 0;
        while read < length {
            match file.read_at(&mut bytes[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DiskError::io("read", &path, &error)),
            }
        }
        bytes.truncate(read);
        Ok(bytes.into())
    }

    /// Removes what was not finished, and has what is there become durable under its name.
    pub(super) fn clear_up(&self) -> Result<(), DiskError> {
        let failed = |error| DiskError::io("clear up", &self.path, &error);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(NEW)) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

fn open(id: FileId, path: &Path) -> Result<File, DiskError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DiskError::Gone(id),
        _ => DiskError::io("open", path, &error),
    })
}
