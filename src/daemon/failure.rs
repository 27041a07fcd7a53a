//! Why a server's process ends, and the code that it ends with.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::config::ConfigError;
use crate::net::PeersError;
use crate::net::tls::TlsError;
use crate::storage::{DirectoryError, Identity, StorageError};

/// Why a server cannot start, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// What it was told makes no sense.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// Its data directory cannot be used.
    #[error("{error}{next}", error = .0, next = NextStep::of(.0))]
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
    #[error(
        "the storage in {} failed, and the server ends: {error}{}",
        data.display(),
        NextStep(error.must_join_again().then_some((data, *identity)))
    )]
    Storage {
        /// The data directory.
        data: PathBuf,
        /// Whose it is.
        identity: Identity,
        /// What is wrong.
        error: Box<StorageError>,
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
    /// | 3 | the data directory cannot be used, or not any more | does not help |
    /// | 4 | an address cannot be listened at | may help |
    /// | 5 | the disk failed while the server ran | may help |
    /// | 128 + n | a second signal, of this number, ended it at once | |
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Assertion(_) | Self::System { .. } => 1,
            Self::Config(_) | Self::Tls(_) => 2,
            Self::Directory(_) => 3,
            Self::Storage { error, .. } if error.must_join_again() => 3,
            Self::Peers(_) | Self::Http { .. } => 4,
            Self::Storage { .. } => 5,
        }
    }
}

/// The command for the server of this directory, if it must join again; as the end of a message.
struct NextStep<'a>(Option<(&'a Path, Identity)>);

impl<'a> NextStep<'a> {
    fn of(error: &'a DirectoryError) -> Self {
        Self(match error {
            DirectoryError::Storage { path, identity, error } if error.must_join_again() => {
                path.parent().map(|data| (data, *identity))
            }
            _ => None,
        })
    }
}

impl fmt::Display for NextStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((data, Identity { cluster, server })) = self.0 else { return Ok(()) };
        let (number, data) = (server.0, data.display());
        write!(
            f,
            ". `jangada join --id {number} --data {data} --cluster {cluster} --damaged` puts its \
             log aside and makes it a server that joins: then start it as before"
        )
    }
}
