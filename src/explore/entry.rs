//! Entries of the log, as small as they can be.

use std::fmt;
use std::sync::Arc;

use crate::invariants::Stamp;
use crate::raft::{self, Configuration, EntryMeta, Index, Position, Term};

/// One entry of a log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Entry {
    pub(crate) term: Term,
    pub(crate) payload: Payload,
}

/// What an entry carries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Payload {
    NoOp,
    /// The client's command of this number.
    Command(u8),
    Configuration(Arc<Configuration>),
}

impl Entry {
    pub(crate) fn new(term: Term, payload: Payload) -> Self {
        Self { term, payload }
    }

    /// What the protocol knows of it.
    pub(crate) fn meta(&self) -> EntryMeta {
        let bytes = u32::from(matches!(self.payload, Payload::Command(_)));
        let configuration = self.configuration().cloned();
        EntryMeta { configuration, ..EntryMeta::new(self.term, bytes) }
    }

    /// What the monitor knows of it.
    pub(crate) fn stamp(&self) -> Stamp {
        let payload = match &self.payload {
            Payload::NoOp => raft::Payload::NoOp,
            Payload::Command(number) => {
                return Stamp { term: self.term, payload: u64::from(*number) };
            }
            Payload::Configuration(it) => raft::Payload::Configuration(it.clone()),
        };
        Stamp::of(&raft::Entry { term: self.term, payload })
    }

    pub(crate) fn configuration(&self) -> Option<&Arc<Configuration>> {
        match &self.payload {
            Payload::Configuration(configuration) => Some(configuration),
            Payload::NoOp | Payload::Command(_) => None,
        }
    }

    /// The entry in words, which stands at this place.
    pub(crate) fn at(&self, index: Index) -> impl fmt::Display {
        let position = Position::new(self.term, index);
        match self.configuration() {
            Some(configuration) => format!("{position} ({configuration})"),
            None => position.to_string(),
        }
    }
}
