//! The system calls that a batch is made of. Tests put something in their place that fails, or
//! that loses what was not synced.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// The files of a log in one folder, by name.
pub(super) trait Folder {
    type File;

    /// Makes an empty file, in the place of one that is there.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// A file that is there, to be written to.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// Gives a file this size, with room set aside, and reads as zeros. Returns false if the file
    /// system cannot do that without writing the zeros.
    fn reserve(&mut self, file: &Self::File, bytes: u64) -> io::Result<bool>;

    fn write(&mut self, file: &Self::File, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Waits until the bytes of the file, and its size, are durable (`fdatasync`).
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another name, that of a file which is there included.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// A file that is gone already is no error.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Waits until the names are durable: what was made, renamed and removed.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A folder of the file system.
pub(super) struct RealFolder {
    path: PathBuf,
    /// The folder, opened: to sync it.
    names: File,
}

impl RealFolder {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let names = File::open(&path)?;
        Ok(Self { path, names })
    }
}

impl Folder for RealFolder {
    type File = File;

    fn create(&mut self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(self.path.join(name))
    }

    fn open(&mut self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join(name))
    }

    fn reserve(&mut self, file: &File, bytes: u64) -> io::Result<bool> {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.names.sync_all()
    }
}
