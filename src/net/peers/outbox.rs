//! What waits to be written to one connection: bounded, and nobody waits to put something in.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::net::frame::MAX_FRAME;
use crate::net::packet::{Frame, Packet};
use crate::net::{Answered, CallError, Request};
use crate::raft::Refusal;

/// Most messages that wait for one connection, and roughly their bytes: more than a leader leaves
/// unanswered to one peer. Beyond it the oldest are lost.
pub(super) const MAX_MESSAGES: usize = 4096;
pub(super) const MAX_MESSAGE_BYTES: usize = 24 << 20;
/// Most calls to one server that are not answered, and roughly the bytes of those not written;
/// beyond it the server counts as busy.
pub(super) const MAX_CALLS: usize = 1 << 16;
pub(super) const MAX_CALL_BYTES: usize = 64 << 20;
/// Once so many bytes of answers wait, no more calls are read until they are written.
const ENOUGH_ANSWERS: usize = 1 << 20;
/// Roughly the bytes that are written at once.
const BATCH_BYTES: usize = 256 << 10;
/// What the head of a frame and what belongs to each entry may take of it.
const HEADS: usize = 1 << 20;

/// The queue before one connection. Messages of the protocol go before calls and answers.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// Something is there for the writer.
    wake: Notify,
    /// There is room again for answers.
    room: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// There is a connection.
    open: bool,
    ping: Option<u64>,
    pong: Option<u64>,
    messages: Line,
    /// Calls, or the answers to calls.
    calls: Line,
    /// Calls that were written and not answered.
    unanswered: BTreeSet<u64>,
    /// Calls that came in, and whose answers were not written.
    owed: usize,
    /// Messages that were lost for want of room or of a connection.
    dropped: u64,
}

#[derive(Debug, Default)]
struct Line {
    packets: VecDeque<(Packet, usize)>,
    bytes: usize,
}

impl Line {
    fn push(&mut self, packet: Packet, size: usize) {
        self.bytes += size;
        self.packets.push_back((packet, size));
    }

    fn pop(&mut self) -> Option<(Packet, usize)> {
        let (packet, size) = self.packets.pop_front()?;
        self.bytes -= size;
        Some((packet, size))
    }
}

impl Outbox {
    /// There is a connection now.
    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// There is none any more. Returns what became of the calls that wait for an answer.
    pub(super) fn close(&self) -> Vec<(u64, CallError)> {
        let Queue { messages, calls, unanswered, dropped, .. } = std::mem::take(&mut *self.lock());
        self.lock().dropped = dropped + messages.packets.len() as u64;
        self.room.notify_one();
        let unsent = calls.packets.into_iter().filter_map(|(packet, _)| match packet {
            Packet::Call { number, .. } => Some((number, CallError::Unreachable)),
            _ => None,
        });
        unanswered.into_iter().map(|number| (number, CallError::Unknown)).chain(unsent).collect()
    }

    /// Has a message written; without a connection, or if it is too large for any, it is lost.
    /// Returns whether it is too large.
    pub(super) fn message(&self, packet: Packet) -> bool {
        let size = packet.size();
        let mut queue = self.lock();
        if !queue.open || size > MAX_FRAME - HEADS {
            queue.dropped += 1;
            return queue.open;
        }
        let Queue { messages, dropped, .. } = &mut *queue;
        messages.push(packet, size);
        while messages.packets.len() > MAX_MESSAGES || messages.bytes > MAX_MESSAGE_BYTES {
            messages.pop();
            *dropped += 1;
        }
        drop(queue);
        self.wake.notify_one();
        false
    }

    /// Has a call written, if it is not refused.
    pub(super) fn call(&self, number: u64, request: Request) -> Result<(), CallError> {
        let packet = Packet::Call { number, request };
        let size = packet.size();
        let mut queue = self.lock();
        if !queue.open || size > MAX_FRAME - HEADS {
            return Err(CallError::Unreachable);
        }
        let waiting = queue.calls.packets.len() + queue.unanswered.len();
        if waiting >= MAX_CALLS || queue.calls.bytes + size > MAX_CALL_BYTES {
            return Err(CallError::Refused(Refusal::Busy));
        }
        queue.calls.push(packet, size);
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// Notes that a call was answered. Returns whether an answer was waited for.
    pub(super) fn answered(&self, number: u64) -> bool {
        self.lock().unanswered.remove(&number)
    }

    /// Notes that a call came in. Returns whether the next may.
    pub(super) fn owe(&self) -> bool {
        let mut queue = self.lock();
        queue.owed += 1;
        queue.has_room()
    }

    /// Waits until the next call may come in.
    pub(super) async fn room(&self) {
        while !self.lock().has_room() {
            self.room.notified().await;
        }
    }

    /// Has the answer to a call written.
    pub(super) fn answer(&self, number: u64, answer: Result<Answered, CallError>) {
        let mut packet = Packet::Answer { number, answer };
        let mut size = packet.size();
        let mut queue = self.lock();
        if !queue.open {
            return;
        }
        if size > MAX_FRAME - HEADS || queue.calls.bytes + size > MAX_CALL_BYTES {
            packet = Packet::Answer { number, answer: Err(CallError::Unknown) };
            size = packet.size();
        }
        queue.calls.push(packet, size);
        drop(queue);
        self.wake.notify_one();
    }

    pub(super) fn ping(&self, number: u64) {
        self.lock().ping = Some(number);
        self.wake.notify_one();
    }

    pub(super) fn pong(&self, number: u64) {
        self.lock().pong = Some(number);
        self.wake.notify_one();
    }

    /// Waits for something to write, and takes some of it.
    pub(super) async fn take(&self, batch: &mut Vec<Frame>) {
        while !self.take_now(batch) {
            self.wake.notified().await;
        }
    }

    fn take_now(&self, batch: &mut Vec<Frame>) -> bool {
        let queue = &mut *self.lock();
        batch.extend(queue.ping.take().map(Frame::Ping));
        batch.extend(queue.pong.take().map(Frame::Pong));
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Some((packet, size)) = queue.messages.pop()
        {
            bytes += size;
            batch.push(Frame::Packet(packet));
        }
        let full = !queue.has_room();
        while bytes < BATCH_BYTES
            && let Some((packet, size)) = queue.calls.pop()
        {
            bytes += size;
            match &packet {
                Packet::Call { number, .. } => drop(queue.unanswered.insert(*number)),
                _ => queue.owed -= 1,
            }
            batch.push(Frame::Packet(packet));
        }
        if full && queue.has_room() {
            self.room.notify_one();
        }
        !batch.is_empty()
    }

    /// The bytes that wait, and how many messages were lost so far.
    pub(super) fn look(&self) -> (usize, u64) {
        let queue = self.lock();
        (queue.messages.bytes + queue.calls.bytes, queue.dropped)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every change of the queue is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.owed < MAX_CALLS && self.calls.bytes < ENOUGH_ANSWERS
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::net::{Audit, Cargo};
    use crate::raft::{Index, InstallSnapshot, Message, Position, Rejoin, Round, Term, Ticket};

    fn opened() -> Outbox {
        let outbox = Outbox::default();
        outbox.open();
        outbox
    }

    fn message(number: u64) -> Packet {
        let message = Message::Rejoin(Rejoin { term: Term(1), life: Ticket(number) });
        Packet::Message { message, cargo: Cargo::Nothing }
    }

    fn part(bytes: usize) -> Packet {
        let message = Message::InstallSnapshot(InstallSnapshot {
            term: Term(1),
            last_included: Position::default(),
            round: Round(1),
            part: None,
        });
        Packet::Message { message, cargo: Cargo::Part(Bytes::from(vec![0; bytes])) }
    }

    fn write(bytes: usize) -> Request {
        Request::Write(Bytes::from(vec![0; bytes]))
    }

    fn all(outbox: &Outbox) -> Vec<Frame> {
        let mut batch = Vec::new();
        while outbox.take_now(&mut batch) && outbox.look().0 > 0 {}
        batch
    }

    #[test]
    fn the_oldest_messages_are_lost() {
        let outbox = opened();
        for number in 0..MAX_MESSAGES as u64 + 10 {
            outbox.message(message(number));
        }
        assert_eq!(outbox.look().1, 10);
        let frames = all(&outbox);
        assert_eq!(frames.len(), MAX_MESSAGES);
        assert_eq!(frames.first(), Some(&Frame::Packet(message(10))));
    }

    #[test]
    fn messages_are_bounded_in_bytes_too() {
        let outbox = opened();
        for _ in 0..100 {
            outbox.message(part(1 << 20));
            assert!(outbox.look().0 <= MAX_MESSAGE_BYTES);
        }
        assert_eq!(outbox.look().1, 100 - 23);
        assert!(outbox.message(part(MAX_FRAME)), "it is larger than a frame");
        assert_eq!(outbox.look().1, 100 - 22);
    }

    #[test]
    fn messages_go_before_calls_and_pings_before_both() {
        let outbox = opened();
        outbox.call(1, write(10)).unwrap();
        outbox.message(message(2));
        outbox.message(Packet::Audit(Audit::Same(Index(3))));
        outbox.ping(4);
        let frames = all(&outbox);
        let call = Frame::Packet(Packet::Call { number: 1, request: write(10) });
        let audit = Frame::Packet(Packet::Audit(Audit::Same(Index(3))));
        assert_eq!(frames, [Frame::Ping(4), Frame::Packet(message(2)), audit, call]);
    }

    #[test]
    fn without_a_connection_nothing_waits() {
        let outbox = Outbox::default();
        outbox.message(message(1));
        assert_eq!(outbox.call(1, write(1)), Err(CallError::Unreachable));
        assert_eq!(outbox.look(), (0, 1));
    }

    #[test]
    fn a_call_is_refused_when_too_many_wait() {
        let busy = Err(CallError::Refused(Refusal::Busy));
        let outbox = opened();
        for number in 0..MAX_CALLS as u64 {
            outbox.call(number, write(1)).unwrap();
        }
        assert_eq!(outbox.call(1 << 20, write(1)), busy);
        // Those that were written count until they are answered.
        assert_eq!(all(&outbox).len(), MAX_CALLS);
        assert_eq!(outbox.call(1 << 20, write(1)), busy);
        assert!(outbox.answered(7));
        assert!(!outbox.answered(7), "one answer each");
        assert_eq!(outbox.call(1 << 20, write(1)), Ok(()));

        let outbox = opened();
        let sent = (0..100).take_while(|number| outbox.call(*number, write(1 << 20)).is_ok());
        assert_eq!(sent.count(), 63);
        assert_eq!(outbox.call(200, write(1 << 20)), busy);
        assert_eq!(outbox.call(200, write(MAX_FRAME)), Err(CallError::Unreachable));
    }

    #[test]
    fn what_became_of_calls_is_known_when_the_connection_ends() {
        let outbox = opened();
        outbox.call(1, write(1)).unwrap();
        outbox.call(2, write(1)).unwrap();
        assert_eq!(all(&outbox).len(), 2);
        outbox.answered(1);
        outbox.call(3, write(1)).unwrap();
        assert_eq!(outbox.close(), [(2, CallError::Unknown), (3, CallError::Unreachable)]);
        assert_eq!(outbox.close(), []);
    }

    #[test]
    fn answers_that_wait_keep_further_calls_out() {
        let outbox = opened();
        let answer = || Ok(Answered { index: Index(1), answer: Bytes::from(vec![0; 300 << 10]) });
        for number in 0..3 {
            assert!(outbox.owe());
            outbox.answer(number, answer());
        }
        assert!(outbox.owe(), "900 KiB are not enough");
        outbox.answer(3, answer());
        assert!(!outbox.owe());
        all(&outbox);
        assert!(outbox.owe());
    }

    #[test]
    fn an_answer_that_finds_no_room_is_not_known() {
        let outbox = opened();
        for number in 0..64 {
            outbox.owe();
            let answer = Bytes::from(vec![0; 1 << 20]);
            outbox.answer(number, Ok(Answered { index: Index(1), answer }));
        }
        assert!(outbox.look().0 <= MAX_CALL_BYTES);
        let frames = all(&outbox);
        let unknown = Packet::Answer { number: 63, answer: Err(CallError::Unknown) };
        assert_eq!(frames.len(), 64);
        assert_eq!(frames.last(), Some(&Frame::Packet(unknown)));
    }
}
