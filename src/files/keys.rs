//! The table of keys: what makes a request exactly-once in whatever session it comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::command::Key;
use super::limits::{KEY_WINDOW, Limits};
use super::refusal::Refusal;
use super::reply::encode;
use super::sum;
use crate::museum::{Bug, on};

/// One client's latest requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyed {
    /// The log index of the last request that named the client.
    pub(super) last_used: u64,
    /// All below are forgotten.
    pub(super) first: u64,
    /// What became of the others, [`KEY_WINDOW`] at the most.
    pub(super) replies: BTreeMap<u64, Kept>,
}

/// What became of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// The hash of what was asked.
    pub(super) fingerprint: u64,
    /// What was answered.
    pub(super) reply: Bytes,
}

/// All clients that use keys. Log order decides everything, so the table is the same on all
/// servers. A copy shares all clients with the original, until they are written to.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    clients: BTreeMap<u64, Arc<Keyed>>,
    /// The sums of all that the table holds, added up; 0 if it is empty.
    sum: u64,
}

impl Keyed {
    fn sum(&self, client: u64) -> u64 {
        sum::of_words(&[client, self.last_used, self.first])
    }
}

impl Kept {
    fn sum(&self, client: u64, serial: u64) -> u64 {
        sum::mix(sum::of_words(&[client, serial, self.fingerprint]), sum::of(&self.reply))
    }
}

impl Keys {
    /// A number that is equal where all keys are.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The answer to a request that was made before, or cannot be made; `None` if it is to be
    /// carried out and its answer [recorded](Self::record). Whoever is not known by then is
    /// remembered, in the place of whoever has not been heard for longest.
    pub(super) fn answer(&mut self, index: u64, key: Key, limits: &Limits) -> Option<Bytes> {
        let Key { client, serial, fingerprint } = key;
        if !self.clients.contains_key(&client) && self.clients.len() >= limits.sessions {
            let oldest = self.clients.iter().min_by_key(|(_, known)| known.last_used);
            if let Some(oldest) = oldest.map(|(&client, _)| client) {
                self.remove(oldest);
            }
        }
        let first = serial.saturating_sub(KEY_WINDOW - 1);
        self.change(client, |known| {
            known.last_used = index;
            known.first = known.first.max(first);
        });
        self.forget(client);
        let known = self.clients.get(&client)?;
        let refuse = |refusal| Some(encode(&Err(refusal)));
        if serial < known.first {
            return refuse(Refusal::KeyForgotten { serial, first: known.first });
        }
        match known.replies.get(&serial) {
            Some(kept) if kept.fingerprint != fingerprint => refuse(Refusal::KeyReused { serial }),
            Some(kept) if !on(Bug::AppliesRetries) => Some(kept.reply.clone()),
            _ => None,
        }
    }

    /// Keeps the answer to a request that was carried out.
    pub(super) fn record(&mut self, key: Key, reply: &Bytes) {
        let Key { client, serial, fingerprint } = key;
        let kept = Kept { fingerprint, reply: reply.clone() };
        self.sum = self.sum.wrapping_add(kept.sum(client, serial));
        let known = Arc::make_mut(self.clients.entry(client).or_default());
        if let Some(before) = known.replies.insert(serial, kept) {
            self.sum = self.sum.wrapping_sub(before.sum(client, serial));
        }
    }

    /// Adds a client that is not there, without its answers.
    pub(super) fn restore(&mut self, client: u64, last_used: u64, first: u64) {
        self.change(client, |known| (known.last_used, known.first) = (last_used, first));
    }

    /// The client with the lowest number.
    pub(super) fn first(&self) -> Option<(u64, &Keyed)> {
        self.clients.first_key_value().map(|(&client, known)| (client, &**known))
    }

    /// Drops the client with the lowest number.
    pub(super) fn pop_first(&mut self) {
        self.clients.pop_first();
    }

    fn change(&mut self, client: u64, change: impl FnOnce(&mut Keyed)) {
        let known = self.clients.entry(client).or_insert_with(|| {
            let known = Keyed::default();
            self.sum = self.sum.wrapping_add(known.sum(client));
            Arc::new(known)
        });
        let known = Arc::make_mut(known);
        self.sum = self.sum.wrapping_sub(known.sum(client));
        change(known);
        self.sum = self.sum.wrapping_add(known.sum(client));
    }

    /// Drops the answers of a client that are too old.
    fn forget(&mut self, client: u64) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        let known = Arc::make_mut(known);
        while let Some(oldest) = known.replies.first_entry()
            && *oldest.key() < known.first
        {
            let (serial, kept) = oldest.remove_entry();
            self.sum = self.sum.wrapping_sub(kept.sum(client, serial));
        }
    }

    fn remove(&mut self, client: u64) {
        let Some(known) = self.clients.remove(&client) else { return };
        let answers = known.replies.iter().map(|(serial, kept)| kept.sum(client, *serial));
        let sum = answers.fold(known.sum(client), u64::wrapping_add);
        self.sum = self.sum.wrapping_sub(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, append, create_from, uuid};
    use super::super::{Answer, Command, Reply, Request};
    use super::*;

    fn key(client: u64, serial: u64) -> Key {
        Key { client, serial, fingerprint: 7 }
    }

    impl Bench {
        /// A request of another session each time, as through another server.
        fn keyed(&mut self, key: Key, command: Command, data: &[u8]) -> Reply {
            let session = self.open();
            let request = Request { session, serial: 1, acknowledged: 0, command };
            self.apply(request.encode_keyed(key, data))
        }
    }

    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        bench
    }

    #[test]
    fn a_key_that_comes_again_in_another_session_is_answered_and_not_carried_out() {
        let mut bench = bench();
        let first = bench.keyed(key(5, 1), append("a"), b"x");
        assert!(matches!(first, Ok(Answer::Appended { size: 1, .. })));
        assert_eq!(bench.store.carried_out().map(|(_, serial)| serial), Some(1));
        assert_eq!(bench.keyed(key(5, 1), append("a"), b"x"), first);
        assert_eq!(bench.store.carried_out(), None);
        let refused = bench.keyed(key(5, 2), append("none"), b"x");
        bench.create(2, "none", b"").unwrap();
        assert_eq!(bench.keyed(key(5, 2), append("none"), b"x"), refused);
        bench.keyed(key(6, 1), append("a"), b"y").unwrap();
        assert_eq!(bench.cat("a").unwrap(), b"xy");
    }

    #[test]
    fn a_key_for_another_request_is_refused() {
        let mut bench = bench();
        bench.keyed(key(5, 1), append("a"), b"x").unwrap();
        let other = Key { fingerprint: 8, ..key(5, 1) };
        let reused = Err(Refusal::KeyReused { serial: 1 });
        assert_eq!(bench.keyed(other, append("a"), b"y"), reused);
        assert_eq!(bench.cat("a").unwrap(), b"x");
    }

    #[test]
    fn a_client_has_its_latest_answers_kept() {
        let mut bench = bench();
        for serial in [1, 2, KEY_WINDOW + 1] {
            bench.keyed(key(5, serial), append("a"), b"x").unwrap();
        }
        let forgotten = Err(Refusal::KeyForgotten { serial: 1, first: 2 });
        assert_eq!(bench.keyed(key(5, 1), append("a"), b"x"), forgotten);
        bench.keyed(key(5, 2), append("a"), b"x").unwrap();
        // One that is late, and was never there, is carried out.
        bench.keyed(key(5, 3), append("a"), b"y").unwrap();
        assert_eq!(bench.cat("a").unwrap(), b"xxxy");
        assert!(bench.keyed(key(5, u64::MAX), append("a"), b"z").is_ok());
    }

    #[test]
    fn the_client_that_was_heard_longest_ago_is_forgotten() {
        let mut bench = Bench::with(Limits { sessions: 2, ..Limits::default() });
        bench.create(1, "a", b"").unwrap();
        for client in [1, 2, 1, 3, 1, 2] {
            bench.keyed(key(client, 1), append("a"), &[b'0' + client as u8]).unwrap();
        }
        assert_eq!(bench.cat("a").unwrap(), b"1232", "2 was forgotten, 1 was not");
    }

    #[test]
    fn the_upload_of_a_request_that_comes_again_is_dropped() {
        let mut bench = Bench::new();
        bench.stage(9, 0, b"abc").unwrap();
        let mut run = |number, upload| {
            bench.serial += 1;
            let command = create_from(number, "a", 3, upload);
            let (session, serial) = (bench.session, bench.serial);
            let request = Request { session, serial, acknowledged: serial, command };
            let reply = bench.apply(request.encode_keyed(key(5, 1), b""));
            bench.stage(8, 0, b"abc").unwrap();
            reply
        };
        let first = run(1, 9);
        assert_eq!(run(2, 8), first);
        let gone = bench.run(Command::Discard { upload: uuid(8) }, b"");
        assert!(gone.is_ok(), "the one staged since is there: {gone:?}");
    }

    #[test]
    fn keys_are_part_of_the_state_and_of_its_snapshot() {
        let mut bench = bench();
        let mut hashes = vec![bench.store.state_hash()];
        bench.keyed(key(5, 1), append("a"), b"x").unwrap();
        hashes.push(bench.store.state_hash());
        bench.restart_from_snapshot();
        assert_eq!(bench.store.state_hash(), hashes[1]);
        bench.keyed(key(5, 1), append("a"), b"x").unwrap();
        assert_eq!(bench.cat("a").unwrap(), b"x", "it was not forgotten");
        for number in 10..400 {
            bench.keyed(key(number, 1), append("a"), b"x").unwrap();
        }
        let hash = bench.store.state_hash();
        bench.restart_from_snapshot();
        assert_eq!(bench.store.state_hash(), hash);
        hashes.push(hash);
        hashes.dedup();
        assert_eq!(hashes.len(), 3);
    }

    #[test]
    fn what_is_added_to_the_sum_is_taken_from_it() {
        let limits = Limits { sessions: 1, ..Limits::default() };
        let mut keys = Keys::default();
        for (index, serial) in (1..).zip([1, 2, 2, 500]) {
            keys.answer(index, key(5, serial), &limits);
            keys.record(key(5, serial), &Bytes::from(vec![index as u8]));
        }
        keys.remove(5);
        assert_eq!(keys.sum(), 0);
    }
}
