//! What a recording of a server tells of its node, and checks against it.

use std::sync::Arc;

use super::node::Node;
use super::{Configuration, Index, Position, ServerId, SnapshotMeta, Term};

impl Node {
    /// Whose it is.
    pub(crate) fn id(&self) -> ServerId {
        self.id
    }

    /// `voted_for`.
    pub(crate) fn voted_for(&self) -> Option<ServerId> {
        self.voted_for
    }

    /// The entry before the first of the log.
    pub(crate) fn log_base(&self) -> Position {
        self.log.base()
    }

    /// The last entry of the log.
    pub(crate) fn last_log(&self) -> Position {
        self.log.last()
    }

    /// The term of the entry at `index`, if the log has it, or is based on it.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The terms of the entries behind the base.
    pub(crate) fn log_terms(&self) -> impl Iterator<Item = Term> + '_ {
        let indexes = self.log.base().index.0 + 1..=self.log.last().index.0;
        indexes.filter_map(|index| self.log.term_at(Index(index)))
    }

    /// The configurations in the log, with the places of their entries; the first holds at the
    /// base.
    pub(crate) fn log_configurations(&self) -> &[(Index, Arc<Configuration>)] {
        self.log.configurations()
    }

    /// What the snapshot on its disk covers.
    pub(crate) fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// Every entry up to here is on its disk.
    pub(crate) fn durable_index(&self) -> Index {
        self.durable_index
    }

    /// Its state machine has applied every entry up to here, as far as it was told.
    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    /// Whether it does not know what it promised in an earlier life.
    pub(crate) fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }
}
