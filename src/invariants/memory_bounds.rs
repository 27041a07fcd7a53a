//! Every queue and buffer has a bound (docs/architecture.md lists them) and keeps it.

use super::violation::{Check, Property};
use crate::raft::ServerId;

/// A server holds `count` of something of which `limit` is the most.
pub(super) fn check(server: ServerId, what: &str, count: u64, limit: u64) -> Check {
    Property::MemoryBounds
        .holds(count <= limit, || format!("{server} holds {count} {what}; {limit} is the most"))
}
