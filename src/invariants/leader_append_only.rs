//! A leader never overwrites or deletes entries in its log; it only appends (section 5.3).

use super::fact::Stamp;
use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{Index, RoleKind};

/// A server is about to write these entries.
pub(super) fn check(server: &Server, first: Index, entries: &[Stamp]) -> Check {
    if server.role != RoleKind::Leader {
        return Ok(());
    }
    let (id, last, term) = (server.id, server.last(), server.vote.term);
    let property = Property::LeaderAppendOnly;
    property.holds(first > last, || {
        format!("{id} leads term {term} and replaces its entries {first} to {last}")
    })?;
    property.holds(entries.iter().all(|entry| entry.term == term), || {
        format!("{id} leads term {term} and makes entries of another term, at {first} and behind")
    })
}

/// A server is about to put a snapshot in the place of its log.
pub(super) fn installs(server: &Server) -> Check {
    let (id, term) = (server.id, server.vote.term);
    Property::LeaderAppendOnly.holds(server.role != RoleKind::Leader, || {
        format!("{id} leads term {term} and puts a snapshot in the place of its log")
    })
}
