//! What travels over a connection, byte by byte: wire version 1.
//!
//! A packet is a head in the wire format of postcard, and bytes as they are behind it.
//!
//! | number | head | behind it |
//! |---|---|---|
//! | 0, 1 | ping, pong: a number | |
//! | 2 | a message of the protocol | |
//! | 3 | a message, how many entries | for each its term and kind, and its command |
//! | 4 | a message | the part of a snapshot |
//! | 5 | word of a state | |
//! | 6 | a write: the call's number | the command |
//! | 7 | a read: the call's number, its consistency | the query |
//! | 8 | an answer: the call's number, its index | the answer |
//! | 9 | no answer: the call's number, why | |
//!
//! What is behind a head is not copied when it is read: it shares the memory of its frame.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{Answered, Audit, CallError, Cargo, Consistency, Request};
use crate::raft::{Configuration, Entries, Entry, Index, Message, Payload, Term};

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

/// What is in one frame: a packet, or word that the sender is alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A packet.
    Packet(Packet),
    /// Wants a pong of the same number.
    Ping(u64),
    /// The answer to a ping.
    Pong(u64),
}

/// Why bytes are no frame.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketError {
    /// The head cannot be read.
    #[error("a frame of {0} B is none of wire version {WIRE_VERSION}")]
    Head(usize),
    /// More entries than any server sends.
    #[error("a frame with {0} entries; {MAX_ENTRIES} are the most")]
    Entries(u32),
    /// An entry is not all there.
    #[error("entry {0} of a frame is cut off or of an unknown kind")]
    Entry(u32),
    /// Bytes behind the end.
    #[error("{0} B too many at the end of a frame")]
    Rest(usize),
}

/// The version of what this file describes.
pub const WIRE_VERSION: u16 = 1;
/// Most entries of one message.
const MAX_ENTRIES: u32 = 1 << 16;
/// Roughly what a packet takes in memory beside its payload.
const PACKET_BYTES: usize = 128;
/// The same for an entry.
const ENTRY_BYTES: usize = 48;

/// The first bytes of a frame. The order of the variants is the wire format.
#[derive(Serialize, Deserialize)]
enum Head {
    Ping(u64),
    Pong(u64),
    Message(Message),
    Entries(Message, u32),
    Part(Message),
    Audit(Audit),
    Write(u64),
    Read(u64, Consistency),
    Answered(u64, Index),
    NoAnswer(u64, CallError),
}

#[derive(Serialize, Deserialize)]
enum EntryHead {
    NoOp,
    /// A command of so many bytes, which follow.
    Command(u32),
    Configuration(Arc<Configuration>),
}

impl Packet {
    /// Roughly the memory that it takes, for the bounds of queues.
    pub(super) fn size(&self) -> usize {
        let payload = match self {
            Packet::Message { cargo, .. } => match cargo {
                Cargo::Nothing => 0,
                Cargo::Entries(entries) => entries.iter().map(size_of_entry).sum(),
                Cargo::Part(bytes) => bytes.len(),
            },
            Packet::Audit(Audit::Differs(_, hashes)) => hashes.len() * size_of::<u64>(),
            Packet::Audit(_) => 0,
            Packet::Call { request, .. } => request.len(),
            Packet::Answer { answer, .. } => answer.as_ref().map_or(0, |it| it.answer.len()),
        };
        PACKET_BYTES + payload
    }
}

fn size_of_entry(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Command(bytes) => ENTRY_BYTES + bytes.len(),
        Payload::NoOp => ENTRY_BYTES,
        Payload::Configuration(members) => ENTRY_BYTES * (1 + members.members().len()),
    }
}

impl Frame {
    /// Writes the frame's bytes behind those of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Ping(number) => write(out, &Head::Ping(*number)),
            Frame::Pong(number) => write(out, &Head::Pong(*number)),
            Frame::Packet(packet) => packet.encode(out),
        }
    }

    /// The frame of these bytes. Payloads share their memory.
    ///
    /// # Errors
    /// If they are not exactly one frame.
    pub fn decode(bytes: &Bytes) -> Result<Self, PacketError> {
        let (head, rest) =
            postcard::take_from_bytes(bytes).map_err(|_| PacketError::Head(bytes.len()))?;
        let behind = || bytes.slice_ref(rest);
        let packet = match head {
            Head::Ping(number) => return whole(rest, Frame::Ping(number)),
            Head::Pong(number) => return whole(rest, Frame::Pong(number)),
            Head::Message(message) => {
                whole(rest, Packet::Message { message, cargo: Cargo::Nothing })?
            }
            Head::Entries(message, count) => {
                let cargo = Cargo::Entries(entries(bytes, rest, count)?);
                Packet::Message { message, cargo }
            }
            Head::Part(message) => Packet::Message { message, cargo: Cargo::Part(behind()) },
            Head::Audit(audit) => whole(rest, Packet::Audit(audit))?,
            Head::Write(number) => Packet::Call { number, request: Request::Write(behind()) },
            Head::Read(number, consistency) => {
                Packet::Call { number, request: Request::Read(behind(), consistency) }
            }
            Head::Answered(number, index) => {
                Packet::Answer { number, answer: Ok(Answered { index, answer: behind() }) }
            }
            Head::NoAnswer(number, error) => {
                whole(rest, Packet::Answer { number, answer: Err(error) })?
            }
        };
        Ok(Frame::Packet(packet))
    }
}

impl Packet {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Packet::Message { message, cargo: Cargo::Nothing } => {
                write(out, &Head::Message(*message));
            }
            Packet::Message { message, cargo: Cargo::Entries(entries) } => {
                let count = u32::try_from(entries.len()).expect("invariant: a batch is bounded");
                write(out, &Head::Entries(*message, count));
                entries.iter().for_each(|entry| write_entry(out, entry));
            }
            Packet::Message { message, cargo: Cargo::Part(bytes) } => {
                write(out, &Head::Part(*message));
                out.extend_from_slice(bytes);
            }
            Packet::Audit(audit) => write(out, &Head::Audit(audit.clone())),
            Packet::Call { number, request: Request::Write(command) } => {
                write(out, &Head::Write(*number));
                out.extend_from_slice(command);
            }
            Packet::Call { number, request: Request::Read(query, consistency) } => {
                write(out, &Head::Read(*number, *consistency));
                out.extend_from_slice(query);
            }
            Packet::Answer { number, answer: Ok(answered) } => {
                write(out, &Head::Answered(*number, answered.index));
                out.extend_from_slice(&answered.answer);
            }
            Packet::Answer { number, answer: Err(error) } => {
                write(out, &Head::NoAnswer(*number, *error));
            }
        }
    }
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    let head = match &entry.payload {
        Payload::NoOp => EntryHead::NoOp,
        Payload::Configuration(configuration) => EntryHead::Configuration(configuration.clone()),
        Payload::Command(command) => {
            EntryHead::Command(u32::try_from(command.len()).expect("invariant: a frame is bounded"))
        }
    };
    write(out, &(entry.term, head));
    if let Payload::Command(command) = &entry.payload {
        out.extend_from_slice(command);
    }
}

/// The entries in `rest`, which is a part of `frame`.
fn entries(frame: &Bytes, mut rest: &[u8], count: u32) -> Result<Entries, PacketError> {
    if count > MAX_ENTRIES {
        return Err(PacketError::Entries(count));
    }
    // Not one takes less than two bytes.
    let mut entries = Vec::with_capacity((count as usize).min(rest.len() / 2));
    for number in 0..count {
        let cut_off = PacketError::Entry(number);
        let Ok(((term, head), behind)) = postcard::take_from_bytes::<(Term, EntryHead)>(rest)
        else {
            return Err(cut_off);
        };
        rest = behind;
        let payload = match head {
            EntryHead::NoOp => Payload::NoOp,
            EntryHead::Configuration(configuration) => Payload::Configuration(configuration),
            EntryHead::Command(length) => {
                let (command, behind) = rest.split_at_checked(length as usize).ok_or(cut_off)?;
                rest = behind;
                Payload::Command(frame.slice_ref(command))
            }
        };
        entries.push(Entry { term, payload });
    }
    whole(rest, entries.into())
}

/// `value`, if nothing is left.
fn whole<T>(rest: &[u8], value: T) -> Result<T, PacketError> {
    if rest.is_empty() { Ok(value) } else { Err(PacketError::Rest(rest.len())) }
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    postcard::to_io(value, out).expect("invariant: numbers and lists can be written to memory");
}
