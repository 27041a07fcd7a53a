//! What a client was told of is committed, and on the disks of a majority ever after (section 8:
//! the leader answers once the command is committed and applied).

use super::cluster::Cluster;
use super::configurations::halves;
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

    /// A log, or who counts, is not what it was. The disk of a server that is down counts for what
    /// it had: it is for the server not to start from it if it is harmed.
    ///
    /// Majorities are those of the latest committed configuration. While that is a joint one, its
    /// old voters have to keep what stands before it; what comes behind it may be committed by the
    /// new ones alone, as soon as their own configuration is in the leader's log (section 6).
    pub(super) fn check(&self, cluster: &Cluster) -> Check {
        let index = self.last;
        let (at, configuration) = &cluster.configuration;
        let sets = halves(configuration).take(if index <= *at { 2 } else { 1 });
        let Some(short) = cluster.shortfall(sets, index, cluster.committed(index)) else {
            return Ok(());
        };
        Property::AcknowledgedIsKept.holds(false, || {
            format!(
                "entry {index}, which a client was told of, is on {} of {} disks of {configuration}",
                short.keepers, short.voters
            )
        })
    }
}
