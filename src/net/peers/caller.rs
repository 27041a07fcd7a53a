//! Who waits for the answer to a call that came in.

use std::fmt;
use std::sync::Arc;

use super::outbox::Outbox;
use crate::net::handshake::Role;
use crate::net::{Answered, CallError};

/// Who waits for the answer to one call that came in. If it is dropped, the caller is told that
/// the outcome is not known.
pub struct Caller {
    from: Arc<Role>,
    number: u64,
    outbox: Option<Arc<Outbox>>,
}

impl Caller {
    pub(super) fn new(from: Arc<Role>, number: u64, outbox: Arc<Outbox>) -> Self {
        Self { from, number, outbox: Some(outbox) }
    }

    /// Who it is.
    pub fn from(&self) -> &Role {
        &self.from
    }

    /// Answers. If the caller is gone by now, nobody hears it.
    pub fn answer(mut self, answer: Result<Answered, CallError>) {
        if let Some(outbox) = self.outbox.take() {
            outbox.answer(self.number, answer);
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(outbox) = self.outbox.take() {
            outbox.answer(self.number, Err(CallError::Unknown));
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({}, call {})", self.from, self.number)
    }
}
