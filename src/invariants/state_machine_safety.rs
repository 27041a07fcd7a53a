//! If a server has applied a log entry at a given index to its state machine, no other server
//! will ever apply a different log entry for the same index (section 5.4.3).

use super::cluster::Cluster;
use super::fact::Stamp;
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::Index;

/// A server applies an entry: the next one, and the one that is committed there.
pub(super) fn check(cluster: &Cluster, server: &Server, index: Index, entry: Stamp) -> Check {
    let property = Property::StateMachineSafety;
    let (id, last, commit) = (server.id, server.last_applied, server.commit_index);
    property.holds(index == last.next(), || format!("{id} applies {index} right after {last}"))?;
    property.holds(index <= commit, || {
        format!("{id} applies {index}, but knows of commits up to {commit} only")
    })?;
    let chain = cluster.committed(index.previous()).map(|before| entry.chain(before));
    property.holds(chain == cluster.committed(index), || {
        format!("{id} applies another entry {index}, of term {}, than is committed", entry.term)
    })
}

/// A server takes the state after this entry from a snapshot.
pub(super) fn restored(server: &Server, index: Index) -> Check {
    let (id, commit) = (server.id, server.commit_index);
    Property::StateMachineSafety.holds(index <= commit, || {
        format!("{id} restores the state after {index}, but knows of commits up to {commit} only")
    })
}
