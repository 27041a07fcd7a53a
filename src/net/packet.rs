//! What travels over a connection.

use super::{Answered, Audit, CallError, Cargo, Request};
use crate::raft::Message;

/// What one server or client sends another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// A message of the protocol.
    Message {
        /// The message.
        message: Message,
        /// What travels beside it.
        cargo: Cargo,
    },
    /// Word of a state.
    Audit(Audit),
    /// What a client asks of the receiver, or a server for its client.
    Call {
        /// The sender's number for it, which the answer repeats.
        number: u64,
        /// What is asked.
        request: Request,
    },
    /// What came of a call.
    Answer {
        /// The number of the call.
        number: u64,
        /// What came of it.
        answer: Result<Answered, CallError>,
    },
}
