//! Calls that wait for the answer of a server of another process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::{Call, Reply, answer};
use super::network::Outlet;
use crate::net::{Answered, CallError};
use crate::raft::{Refusal, ServerId};

/// The calls of this process that other servers have not answered yet, by their numbers.
#[derive(Debug)]
pub(super) struct Away {
    calls: Mutex<BTreeMap<u64, Reply>>,
    next: AtomicU64,
}

/// Most of them.
const MAX_AWAY: usize = 1 << 17;

impl Away {
    /// None yet. Their numbers begin at `first`.
    pub(super) fn new(first: u64) -> Self {
        Self { calls: Mutex::default(), next: AtomicU64::new(first) }
    }

    /// Brings a call to a server.
    pub(super) fn send(&self, outlet: &dyn Outlet, to: ServerId, call: Call) {
        let Call { request, reply } = call;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut calls = self.lock();
        if calls.len() >= MAX_AWAY {
            calls.retain(|_, reply| !reply.is_closed());
        }
        if calls.len() >= MAX_AWAY {
            drop(calls);
            return answer(reply, Err(CallError::Refused(Refusal::Busy)));
        }
        // Before it is sent: the answer may come at once.
        calls.insert(number, reply);
        drop(calls);
        if let Err(error) = outlet.call(to, number, request) {
            self.answered(number, Err(error));
        }
    }

    /// This came of a call. What nobody waits for any more is no call of this life.
    pub(super) fn answered(&self, number: u64, result: Result<Answered, CallError>) {
        let waiting = self.lock().remove(&number);
        if let Some(reply) = waiting {
            answer(reply, result);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Reply>> {
        // Every change is complete before anything can panic.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
