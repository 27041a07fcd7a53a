//! Files of the host: read in chunks, written all at once or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::actors::{ClockKind, Source};
use crate::files::{CHUNK_BYTES, Limits, Size};

/// Why a file of the host cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is nothing at this path.
    #[error("no such file on this host: {}", .0.display())]
    NotFound(PathBuf),
    /// It is a directory.
    #[error("{} is a directory: name a file", .0.display())]
    Directory(PathBuf),
    /// It is a pipe, a device or the like, which has no size.
    #[error("{} is not a regular file: copy its content into one first", .0.display())]
    Irregular(PathBuf),
    /// It is larger than a file may be.
    #[error(
        "{} has {size} bytes; the limit of a file is {limit} ({})",
        path.display(),
        Size(*limit)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The most it may have.
        limit: u64,
    },
    /// The host refuses.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl HostError {
    /// An error about `path`.
    pub(super) fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound(path),
            _ => Self::Io { what, path, error },
        }
    }
}

/// A file of the host that is about to be read.
pub(super) struct Input {
    file: File,
    pub(super) size: u64,
}

impl Input {
    /// Opens a file for the cluster: a regular one, not larger than files may be.
    pub(super) fn open(path: &Path) -> Result<Self, HostError> {
        let limit = Limits::default().file_bytes;
        // Looked at before it is opened: to open a pipe would wait for its writer.
        let metadata = fs::metadata(path).map_err(|error| HostError::io("read", path, error))?;
        if metadata.is_dir() {
            return Err(HostError::Directory(path.to_owned()));
        }
        if !metadata.is_file() {
            return Err(HostError::Irregular(path.to_owned()));
        }
        let size = metadata.len();
        if size > limit {
            return Err(HostError::TooLarge { path: path.to_owned(), size, limit });
        }
        let file = File::open(path).map_err(|error| HostError::io("read", path, error))?;
        Ok(Self { file, size })
    }

    /// All of it, if it is not larger than `limit`.
    pub(super) fn whole(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        if self.size > limit as u64 {
            return Ok(None);
        }
        // One byte more than it should have shows that it grew.
        let mut bytes = Vec::with_capacity(self.size as usize);
        (&self.file).take(self.size + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes.into()))
    }

    /// Its chunks. In real time another thread reads them, so that a slow disk delays no
    /// heartbeat; in virtual time there is no other thread to wait for, and nothing to delay.
    pub(super) fn chunks(self, clock: ClockKind) -> Chunks {
        match clock {
            ClockKind::Virtual => Chunks::Direct(self.file),
            ClockKind::Real => Chunks::Ahead(read_ahead(self.file)),
        }
    }
}

/// Bytes for the cluster, in chunks.
pub(super) enum Chunks {
    /// They are all there.
    Whole(Bytes),
    /// Read when they are asked for.
    Direct(File),
    /// Read ahead by another thread.
    Ahead(mpsc::Receiver<io::Result<Bytes>>),
}

impl Source for Chunks {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Whole(bytes) => bytes.next().await,
            Self::Direct(file) => next_chunk(file),
            Self::Ahead(chunks) => chunks.recv().await.transpose(),
        }
    }
}

/// Reads a file on a thread of its own, a few chunks ahead. The thread ends with the file, or
/// when nobody wants the chunks any more.
#[expect(clippy::disallowed_methods, reason = "only in real time, where no seed governs")]
fn read_ahead(mut file: File) -> mpsc::Receiver<io::Result<Bytes>> {
    /// Chunks read and not yet taken.
    const AHEAD: usize = 4;
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        while let Some(chunk) = next_chunk(&mut file).transpose() {
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

fn next_chunk(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    file.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok((!chunk.is_empty()).then(|| chunk.into()))
}

/// A file of the host that is being written beside its place. Dropped before it is kept, it
/// leaves nothing behind.
pub(super) struct Output {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl Output {
    /// Begins a file that will be at `target`, in the place of any other file there.
    pub(super) fn create(target: &Path) -> Result<Self, HostError> {
        let Some(name) = target.file_name().filter(|_| !target.is_dir()) else {
            return Err(HostError::Directory(target.to_owned()));
        };
        let mut number = 0;
        loop {
            let temporary =
                target.with_file_name(format!(".{}.{number}.part", name.to_string_lossy()));
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    return Ok(Self { file, temporary, target: target.to_owned(), kept: false });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 99 => {
                    number += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let error = io::Error::new(error.kind(), "its directory does not exist");
                    return Err(HostError::Io { what: "write", path: target.to_owned(), error });
                }
                Err(error) => return Err(HostError::io("write", target, error)),
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Has it written piece by piece.
    pub(super) fn write_with(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffered = BufWriter::new(&self.file);
        write(&mut buffered)?;
        buffered.flush()
    }

    /// Puts the file in its place.
    pub(super) fn keep(mut self) -> Result<(), HostError> {
        fs::rename(&self.temporary, &self.target)
            .map_err(|error| HostError::io("write", &self.target, error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.kept {
            // It is worth nothing; if it cannot be removed either, it does no harm.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
