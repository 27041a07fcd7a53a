//! Records as they are made: the bytes that postcard would make of a [`Record`](super::record),
//! straight from what they tell of. What comes with every write is written by hand, as that is
//! several times as fast; the rest is left to postcard.

use serde::Serialize;

use super::record::{Command, Given, Logged, Payloads, What, of_configuration};
use crate::raft::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Entry, Index, Input, Message, Payload,
    Position,
};

/// The variants of a [`Record`](super::record::Record) that are written by hand.
const DURABLE: u8 = 1;
const APPLIED: u8 = 2;
const STEP: u8 = 4;

pub(super) fn durable(out: &mut Vec<u8>, writes: u64) {
    out.push(DURABLE);
    number(out, writes);
}

pub(super) fn applied(out: &mut Vec<u8>, index: Index) {
    out.push(APPLIED);
    number(out, index.0);
}

/// Any record.
pub(super) fn record(out: &mut Vec<u8>, record: &impl Serialize) {
    let bytes = postcard::to_extend(record, std::mem::take(out));
    *out = bytes.expect("invariant: numbers and lists can be written to memory");
}

/// The beginning of a step: what is known before it. `hashes` becomes those of the payloads.
#[inline]
pub(super) fn step_begins(
    out: &mut Vec<u8>,
    later: i64,
    input: &Input<'_>,
    payloads: &Payloads<'_>,
    hashes: &mut Vec<u32>,
) {
    out.push(STEP);
    number(out, (later << 1 ^ later >> 63) as u64);
    hashes.clear();
    match input {
        Input::Message { from, message, .. } => {
            out.push(0);
            number(out, from.0);
            self::message(out, message);
            match payloads {
                Payloads::Entries(carried) => {
                    number(out, carried.len() as u64);
                    carried.iter().for_each(|it| hashes.push(entry(out, it)));
                }
                _ => out.push(0),
            }
        }
        Input::Propose { .. } => {
            out.push(1);
            match payloads {
                Payloads::Commands(commands) => {
                    number(out, commands.len() as u64);
                    hashes.extend(commands.iter().map(|it| command(out, Command::of(it))));
                }
                _ => out.push(0),
            }
        }
        Input::Persisted { term, last } => {
            out.push(3);
            number(out, term.0);
            number(out, last.0);
        }
        input => record(out, &Given::without_payloads(input)),
    }
}

/// The rest of a step: the random numbers that it drew, and the digest of what it asked for;
/// `None` if it panicked.
#[inline]
pub(super) fn step_ends(out: &mut Vec<u8>, draws: &[u64], digest: Option<u32>) {
    number(out, draws.len() as u64);
    draws.iter().for_each(|draw| number(out, *draw));
    match digest {
        Some(digest) => {
            out.push(1);
            out.extend_from_slice(&digest.to_le_bytes());
        }
        None => out.push(0),
    }
}

/// Seven bits a byte, the lowest first.
#[inline]
fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Returns the hash of its payload.
#[inline]
fn entry(out: &mut Vec<u8>, entry: &Entry) -> u32 {
    match &entry.payload {
        Payload::Command(it) => {
            number(out, entry.term.0);
            out.push(0);
            command(out, Command::of(it))
        }
        Payload::NoOp => {
            record(out, &Logged { term: entry.term, what: What::NoOp });
            0
        }
        Payload::Configuration(it) => {
            record(out, &Logged { term: entry.term, what: What::Configuration(it.clone()) });
            of_configuration(it)
        }
    }
}

#[inline]
fn command(out: &mut Vec<u8>, command: Command) -> u32 {
    number(out, command.bytes.into());
    out.extend_from_slice(&command.hash.to_le_bytes());
    command.hash
}

fn message(out: &mut Vec<u8>, message: &Message) {
    match message {
        Message::AppendEntries(AppendEntries { term, prev_log, last, leader_commit, round }) => {
            out.push(2);
            number(out, term.0);
            position(out, *prev_log);
            number(out, last.0);
            number(out, leader_commit.0);
            number(out, round.0);
        }
        Message::AppendEntriesReply(reply) => {
            let AppendEntriesReply { term, round, outcome, applied, recovering } = reply;
            out.push(3);
            number(out, term.0);
            number(out, round.0);
            match outcome {
                AppendOutcome::Matched(index) => {
                    out.push(0);
                    number(out, index.0);
                }
                AppendOutcome::Rejected { prev, hint } => {
                    out.push(1);
                    number(out, prev.0);
                    position(out, *hint);
                }
            }
            number(out, applied.0);
            out.push((*recovering).into());
        }
        message => record(out, message),
    }
}

#[inline]
fn position(out: &mut Vec<u8>, Position { term, index }: Position) {
    number(out, term.0);
    number(out, index.0);
}
