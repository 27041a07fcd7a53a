//! `current_term` increases monotonically, and so does `commit_index` in each life of a server,
//! from 0 on (figure 2).

use super::cluster::Server;
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
