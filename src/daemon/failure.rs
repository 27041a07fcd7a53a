//! Why a server's process ends, and the code that it ends with.

use std::io;

use super::config::ConfigError;
use crate::net::PeersError;
use crate::net::tls::TlsError;
use crate::storage::{DirectoryError, StorageError};

/// Why a server cannot start, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// What it was told makes no sense.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// Its data directory cannot be used.
    #[error("{0}")]
    Directory(#[from] DirectoryError),
    /// It cannot listen for other servers.
    #[error("{0}")]
    Peers(#[from] PeersError),
    /// Its certificates cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// It cannot listen for HTTP clients.
    #[error("cannot serve HTTP at {address}: {error}")]
    Http {
        /// Where.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// Its storage failed while it ran.
    #[error("the storage in {data} failed, and the server ends: {error}")]
    Storage {
        /// The data directory.
        data: String,
        /// What is wrong.
        error: StorageError,
    },
    /// One of its actors died.
    #[error("an assertion does not hold, and the server ends: {0}")]
    Assertion(String),
    /// The system refuses what every process needs.
    #[error("the system refuses {what}: {error}")]
    System {
        /// What it refuses.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
}

impl Failure {
    /// The exit code of the process.
    ///
    /// | code | meaning | starting again |
    /// |---|---|---|
    /// | 0 | it was told to stop, and did in good order | |
    /// | 1 | an assertion failed, or the system refuses something | may help |
    /// | 2 | the settings make no sense, or the certificates | does not help |
    /// | 3 | the data directory cannot be used | does not help |
    /// | 4 | an address cannot be listened at | may help |
    /// | 5 | the storage failed while the server ran | may help: it says whether it can start |
    /// | 128 + n | a second signal, of this number, ended it at once | |
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Assertion(_) | Self::System { .. } => 1,
            Self::Config(_) | Self::Tls(_) => 2,
            Self::Directory(_) => 3,
            Self::Peers(_) | Self::Http { .. } => 4,
            Self::Storage { .. } => 5,
        }
    }
}
