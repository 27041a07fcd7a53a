//! What is sent: contents that can be read again, for another attempt.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::error::Error;

/// A content that is to be stored. Clones share what they read from.
#[derive(Clone, Debug)]
pub struct Content {
    from: From,
    size: u64,
    /// What it is called when it cannot be read.
    what: String,
}

#[derive(Clone, Debug)]
enum From {
    Memory(Bytes),
    File(Rc<File>),
}

/// What comes through a pipe stays in memory up to here, in bytes.
const SMALL: u64 = 4 << 20;

impl Content {
    /// These bytes.
    pub fn of_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { size: bytes.len() as u64, from: From::Memory(bytes), what: "memory".to_owned() }
    }

    /// What is in this file. A pipe is read to its end first, like [`of_reader`](Self::of_reader).
    ///
    /// # Errors
    /// It cannot be opened, or is a folder.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::local(path, error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let what = path.display().to_string();
        if !metadata.is_file() {
            return Self::of_reader(file, what);
        }
        Ok(Self { from: From::File(Rc::new(file)), size: metadata.len(), what })
    }

    /// All that can be read from here. It is read at once: more than 4 MiB goes to a file without a
    /// name in the folder for temporary files.
    ///
    /// # Errors
    /// It cannot be read, or not be kept.
    pub fn of_reader(mut reader: impl Read, what: impl Into<String>) -> Result<Self, Error> {
        let what = what.into();
        let mut bytes = Vec::new();
        let mut spool = || {
            reader.by_ref().take(SMALL + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 <= SMALL {
                return Ok(None);
            }
            let mut file = tempfile::tempfile()?;
            file.write_all(&bytes)?;
            io::copy(&mut reader, &mut file)?;
            let size = file.stream_position()?;
            Ok(Some((file, size)))
        };
        match spool() {
            Ok(None) => {
                let bytes = Bytes::from(bytes);
                Ok(Self { size: bytes.len() as u64, from: From::Memory(bytes), what })
            }
            Ok(Some((file, size))) => Ok(Self { from: From::File(Rc::new(file)), size, what }),
            Err(error) => Err(Error::Local { what, error }),
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// Up to `most` bytes from here on; as many as there are left.
    ///
    /// # Errors
    /// It cannot be read, or has become shorter meanwhile.
    pub(super) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        let length = (most as u64).min(self.size - at) as usize;
        match &self.from {
            From::Memory(bytes) => Ok(bytes.slice(at as usize..at as usize + length)),
            From::File(file) => {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, at).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        io::Error::new(error.kind(), "it became shorter while it was read")
                    }
                    _ => error,
                })?;
                Ok(piece.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < content.size() {
            bytes.extend_from_slice(&content.read(bytes.len() as u64, 1 << 20).unwrap());
        }
        bytes
    }

    #[test]
    fn a_pipe_of_any_size_can_be_read_twice() {
        for size in [0, 1, SMALL as usize, SMALL as usize + 1, 3 * SMALL as usize] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let content = Content::of_reader(&bytes[..], "pipe").unwrap();
            assert_eq!(matches!(content.from, From::File(_)), size as u64 > SMALL);
            assert_eq!(content.size(), size as u64);
            assert!(all(&content) == bytes && all(&content) == bytes, "{size}");
        }
    }

    #[test]
    fn a_file_that_becomes_shorter_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"abcdef").unwrap();
        let content = Content::of_file(&path).unwrap();
        assert_eq!(all(&content), b"abcdef");
        std::fs::write(&path, b"abc").unwrap();
        assert!(content.read(0, 100).unwrap_err().to_string().contains("shorter"));
        assert!(Content::of_file(folder.path()).is_err());
    }
}
