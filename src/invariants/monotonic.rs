//! `current_term` increases monotonically, and so do `commit_index` and `last_applied` in each
//! life of a server, from the end of its snapshot on, or 0 (figure 2).

use super::server::Server;
use super::violation::{Check, Property};
use crate::raft::{Index, Term};

/// A server is about to be in this term.
pub(super) fn term(server: &Server, term: Term) -> Check {
    let (id, before) = (server.id, server.vote.term);
    Property::Monotonic
        .holds(term >= before, || format!("{id} goes back from term {before} to {term}"))
}

/// A server's commit index is about to be this one.
pub(super) fn commit_index(server: &Server, index: Index) -> Check {
    let (id, before) = (server.id, server.commit_index);
    Property::Monotonic.holds(index >= before, || {
        format!("{id} takes its commit index back from {before} to {index}")
    })
}

/// A server is about to put a snapshot up to `index` in the place of its log.
pub(super) fn installs(server: &Server, index: Index) -> Check {
    let (id, commit) = (server.id, server.commit_index);
    Property::Monotonic.holds(index >= commit, || {
        format!("{id} installs a snapshot up to {index}, but has committed up to {commit}")
    })
}

/// A server's state machine is about to hold the state after this entry.
pub(super) fn last_applied(server: &Server, index: Index) -> Check {
    let (id, before) = (server.id, server.last_applied);
    Property::Monotonic.holds(index >= before, || {
        format!("{id} goes back from the state after {before} to that after {index}")
    })
}
