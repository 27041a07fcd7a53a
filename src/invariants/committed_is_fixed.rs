//! The first server to commit an entry fixes what stands at its index: no server ever commits
//! another there, and none that knows of the commit removes it (section 5.4).

use super::cluster::{Cluster, Server};
use super::violation::{Check, Property};
use crate::raft::Index;

/// A server is about to commit its entries up to `index`.
pub(super) fn committed(cluster: &Cluster, server: &Server, index: Index) -> Check {
    let property = Property::CommittedIsFixed;
    let (id, last) = (server.id, server.last());
    property.holds(index <= last, || {
        format!("{id} commits up to {index}, but its log ends at {last}")
    })?;
    let known = index.min(cluster.commit_index());
    property.holds(server.has(known, cluster.committed(known)), || {
        format!("{id} commits another entry {known}, or others before it, than was committed there")
    })
}

/// A server is about to replace its log from `first` on.
pub(super) fn replaced(server: &Server, first: Index) -> Check {
    let (id, commit) = (server.id, server.commit_index);
    Property::CommittedIsFixed.holds(first > commit, || {
        format!("{id} replaces its log from {first} on, but has committed up to {commit}")
    })
}
