//! How a data directory comes to be: once, for a founding member or for a server that joins.

use std::path::{Path, PathBuf};

use crate::raft::{Configuration, Persistent, ServerId};
use crate::storage::{DataDir, DirectoryError, Identity};

/// Why a data directory was not made; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// A founding member votes.
    #[error("{0} founds the cluster, so it must be among the voters")]
    NotAmongVoters(ServerId),
    /// The directory.
    #[error("{0}")]
    Directory(#[from] DirectoryError),
}

/// Makes the data directory of a founding member. Every founding member must be made with the same
/// cluster and the same voters, once: servers of other clusters do not listen to each other.
///
/// # Errors
/// If something is there already, or the disk does not take it.
pub fn found(data: &Path, identity: &Identity, voters: &[ServerId]) -> Result<(), BootstrapError> {
    if !voters.contains(&identity.server) {
        return Err(BootstrapError::NotAmongVoters(identity.server));
    }
    let founding = Persistent::founding(Configuration::new(voters.iter().copied()));
    Ok(DataDir::create(data, identity, &founding)?)
}

/// Makes the data directory of a server that joins a cluster, or joins it again after its disk was
/// lost: it neither votes nor counts until a quorum has recovered it.
///
/// # Errors
/// If something is there already, or the disk does not take it.
pub fn join(data: &Path, identity: &Identity) -> Result<(), BootstrapError> {
    Ok(DataDir::create(data, identity, &Persistent::joining())?)
}

/// Makes the log anew of a server that cannot start from what it has. What was there is put aside,
/// in the folder that is returned.
///
/// # Errors
/// If the server can start from what it has.
pub fn rejoin(data: &Path, identity: &Identity) -> Result<Option<PathBuf>, BootstrapError> {
    Ok(DataDir::reformat_joining(data, Some(identity.cluster))?)
}
