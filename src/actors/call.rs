//! What a client asks of one server, and the bounded door through which it asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::Addr;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::messages::Knock;
use super::server::Server;
use crate::net::{Answered, CallError, Caller, Consistency, Request};
use crate::raft::Refusal;

/// One request to one server. Its `reply` is used exactly once, or dropped by a server that
/// dies: the outcome is then unknown.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) reply: Reply,
}

/// A way to one server for opaque commands and queries, without a session: a command that is
/// proposed again is applied again. For state machines that are not the file store.
#[derive(Clone)]
pub struct Proposer {
    pub(crate) server: Addr<Server>,
    pub(crate) inbox: Arc<Inbox>,
}

impl Proposer {
    /// Has a command logged and applied, and waits for the answer.
    ///
    /// # Errors
    /// As [`CallError`] says; a server that does not lead refuses.
    pub async fn propose(&self, command: Bytes) -> Result<Answered, CallError> {
        self.ask(Request::Write(command)).await.unwrap_or(Err(CallError::Unknown))
    }

    /// Has a query answered from the state, without a log write, and waits for the answer.
    ///
    /// # Errors
    /// As [`CallError`] says; a server that cannot confirm who leads refuses.
    pub async fn query(
        &self,
        query: Bytes,
        consistency: Consistency,
    ) -> Result<Answered, CallError> {
        let answer = self.ask(Request::Read(query, consistency));
        answer.await.unwrap_or(Err(CallError::Unknown))
    }

    fn ask(&self, request: Request) -> oneshot::Receiver<Result<Answered, CallError>> {
        let (reply, answer) = oneshot::channel();
        if self.inbox.push(Call { request, reply: reply.into() }) {
            self.server.do_send(Knock);
        }
        answer
    }
}

/// Where the answer to a call goes. Dropped without one, its outcome is unknown.
#[derive(Debug)]
pub(crate) enum Reply {
    /// To somebody who waits in this process.
    Here(oneshot::Sender<Result<Answered, CallError>>),
    /// To whoever sent the call over a connection.
    Away(Caller),
}

impl Reply {
    /// Whether nobody waits any more.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Here(sender) if sender.is_closed())
    }
}

impl From<oneshot::Sender<Result<Answered, CallError>>> for Reply {
    fn from(sender: oneshot::Sender<Result<Answered, CallError>>) -> Self {
        Self::Here(sender)
    }
}

/// The calls that wait at one server's door. Kept apart from its mailbox, so that consensus
/// messages never queue behind a burst of client calls.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    calls: VecDeque<Call>,
    bytes: usize,
    /// The server has been told, and has not looked yet.
    knocked: bool,
}

/// Most calls that wait at one door; beyond it callers are told that the server is busy.
const MAX_CALLS: usize = 1 << 17;
/// Most bytes of commands that wait at one door.
const MAX_BYTES: usize = 64 << 20;

impl Inbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Puts a call at the door, or answers that the server is busy. Returns whether the server
    /// must be told.
    pub(crate) fn push(&self, call: Call) -> bool {
        let mut queue = self.lock();
        if queue.calls.len() >= MAX_CALLS || queue.bytes >= MAX_BYTES {
            drop(queue);
            call.refuse(Refusal::Busy);
            return false;
        }
        queue.bytes += call.request.len();
        queue.calls.push_back(call);
        !std::mem::replace(&mut queue.knocked, true)
    }

    /// Takes up to `limit` calls in. Returns whether some are left; the server must then look
    /// again.
    pub(crate) fn take(&self, limit: usize, into: &mut Vec<Call>) -> bool {
        let mut queue = self.lock();
        let count = limit.min(queue.calls.len());
        into.extend(queue.calls.drain(..count));
        let taken: usize = into.iter().map(|call| call.request.len()).sum();
        queue.bytes -= taken;
        queue.knocked = !queue.calls.is_empty();
        queue.knocked
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every change of the queue is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    pub(crate) fn refuse(self, refusal: Refusal) {
        answer(self.reply, Err(CallError::Refused(refusal)));
    }
}

/// Answers a client, which may have given up waiting.
pub(crate) fn answer(reply: Reply, result: Result<Answered, CallError>) {
    match reply {
        Reply::Here(sender) => drop(sender.send(result)),
        Reply::Away(caller) => caller.answer(result),
    }
}
