//! What is wrong with a data directory, in words for whoever must see to it.

use std::io;
use std::path::{Path, PathBuf};

use super::Identity;
use crate::storage::{DiskError, StorageError};

/// Why a data directory cannot be made or opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// There is no data directory.
    #[error(
        "{path} is no data directory: it holds no file `identity`. Found a cluster or join one \
         first, or see to it that what was there is back"
    )]
    NotMade {
        /// The directory.
        path: PathBuf,
    },
    /// Something is there already.
    #[error(
        "{path} holds {entry:?} already: a data directory is made in an empty directory or a new \
         one, and none is ever made over another. Move it away if it is not needed"
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        entry: String,
    },
    /// Another process has it.
    #[error(
        "{path} is in use by another process{}: two servers must not share a directory. Stop the \
         other one first",
        .process.map_or(String::new(), |id| format!(" (pid {id})"))
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process.
        process: Option<u32>,
    },
    /// It can be read or written by others.
    #[error(
        "others than its owner have access to {path} (mode {mode:03o}), and so to all that is kept \
         there: `chmod 700 {path}`, then start again"
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file that says what it is cannot be understood.
    #[error(
        "{path} does not say its {what}: it is damaged, or no file of jangada's. Its lines are \
         `format 1`, `cluster UUID` and `server NUMBER`"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        what: &'static str,
    },
    /// It is of another version.
    #[error("{path} has format {found}; this version of jangada reads format {reads}")]
    Format {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format that can be read.
        reads: u32,
    },
    /// It is another server's.
    #[error(
        "{path} is of {found}, and this is {expected}: name the directory of this server, or start \
         the server that it belongs to"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: Identity,
        /// Whose it should be.
        expected: Identity,
    },
    /// Nothing is wrong with it.
    #[error(
        "nothing is wrong with {path}: its server can start from it, and would lose what it has \
         acknowledged if it were made anew"
    )]
    Sound {
        /// The directory.
        path: PathBuf,
    },
    /// The log in it cannot be used.
    #[error("{path}: {error}")]
    Storage {
        /// The folder of the log.
        path: PathBuf,
        /// Whose it is.
        identity: Identity,
        /// Why.
        error: Box<StorageError>,
    },
    /// The system refused something.
    #[error("could not {doing} {path}: {error}")]
    Refused {
        /// What was to be done.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system says.
        error: String,
    },
}

impl DirectoryError {
    pub(super) fn io(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Refused { doing, path: path.to_owned(), error: error.to_string() }
    }

    pub(super) fn storage(path: &Path, identity: Identity, error: impl Into<StorageError>) -> Self {
        match error.into() {
            // It names a path itself.
            StorageError::Disk(DiskError::Refused { doing, path, error }) => {
                Self::Refused { doing, path: path.into(), error }
            }
            error => Self::Storage { path: path.to_owned(), identity, error: Box::new(error) },
        }
    }
}
