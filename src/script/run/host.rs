//! Files of the host: read in chunks, written all at once or not at all.

use std::io;
use std::path::PathBuf;

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
    #[error("{} is not a regular file: only regular files can be read", .0.display())]
    Irregular(PathBuf),
    /// It is larger than a file may be.
    #[error(
        "{} has {size} bytes; the limit of a file is {limit} ({})",
        path.display(),
        crate::files::Size(*limit)
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
