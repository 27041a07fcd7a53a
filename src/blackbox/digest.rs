//! What a step asked for, as a number: two steps that ask for something else have other numbers.

use std::hash::{Hash, Hasher};

use crate::raft::Effect;

/// Folds what it is given into one number, in a few ns for each.
struct Fold(u64);

/// An odd number with a random look: the fractional digits of the golden ratio.
const KEY: u64 = 0x9e37_79b9_7f4a_7c15;

impl Fold {
    fn take(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(KEY);
        self.0 = (product >> 64) as u64 ^ (product as u64).rotate_left(23);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.take(u64::from_le_bytes(word) ^ ((part.len() as u64) << 56));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.take(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.take(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.take(number);
    }

    // Equal on every machine, however wide its words.
    fn write_usize(&mut self, number: usize) {
        self.take(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.take(number as u64);
    }
}

/// What these effects are as a number.
pub(super) fn digest(effects: &[Effect]) -> u32 {
    let mut fold = Fold(KEY);
    effects.hash(&mut fold);
    let hash = fold.finish();
    (hash >> 32) as u32 ^ hash as u32
}

/// What some message from one server to another is as a number.
pub(super) fn fingerprint(what: &impl Hash) -> u64 {
    let mut fold = Fold(KEY);
    what.hash(&mut fold);
    fold.finish()
}
