//! What a client was told of is committed, and on the disks of a majority ever after (section 8:
//! the leader answers once the command is committed and applied).

use super::cluster::Cluster;
use super::violation::{Check, Property};
use crate::raft::{Index, ServerId};

/// The last entry that a client was told of.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct AcknowledgedIsKept {
    last: Index,
}

impl AcknowledgedIsKept {
    /// A client is told that `index` was carried out.
    pub(super) fn answered(&mut self, cluster: &Cluster, server: ServerId, index: Index) -> Check {
        let committed = cluster.commit_index();
        Property::AcknowledgedIsKept.holds(index <= committed, || {
            format!("{server} answers for {index}, but {committed} is the last that is committed")
        })?;
        if index > self.last {
            self.last = index;
            self.check(cluster)?;
        }
        Ok(())
    }

    /// A log is not what it was. The disk of a server that is down counts for what it had: it is
    /// for the server not to start from it if it is harmed.
    pub(super) fn check(&self, cluster: &Cluster) -> Check {
        let index = self.last;
        let committed = cluster.committed(index);
        let keepers = cluster.keepers(index, committed);
        Property::AcknowledgedIsKept.holds(keepers >= cluster.majority(), || {
            format!(
                "entry {index}, which a client was told of, is on {keepers} of {} disks",
                cluster.servers.len()
            )
        })
    }
}
