//! The first server to commit an entry fixes what stands at its index: no server ever commits
//! another there, and none that knows of the commit removes it (section 5.4).

use super::cluster::Cluster;
use super::server::{Server, Start};
use super::violation::{Check, Property};
use crate::raft::{Index, Position, ServerId};

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

/// A server is about to start: what its snapshot covers is committed, and so is what its log
/// stands on.
pub(super) fn started(cluster: &Cluster, id: ServerId, start: &Start<'_>) -> Check {
    let property = Property::CommittedIsFixed;
    let Start { snapshot, base, .. } = *start;
    property.holds(cluster.is_committed(base), || {
        format!("{id} starts with a log behind {base}, which was never committed")
    })?;
    let last = start.last();
    property.holds(base.index <= snapshot && snapshot <= last, || {
        format!("{id} starts with a snapshot up to {snapshot} and a log of {base} to {last}")
    })?;
    let chain = start.chain(cluster.committed(base.index), snapshot);
    property.holds(chain == cluster.committed(snapshot), || {
        format!("{id} starts with a snapshot up to {snapshot}, where another entry was committed")
    })
}

/// A server is about to put a snapshot in the place of its log.
pub(super) fn installs(cluster: &Cluster, id: ServerId, last_included: Position) -> Check {
    Property::CommittedIsFixed.holds(cluster.is_committed(last_included), || {
        format!("{id} installs a snapshot up to {last_included}, which was never committed")
    })
}
