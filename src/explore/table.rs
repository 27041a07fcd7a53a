//! Hash tables that number what they hold, in the order in which it came: nothing depends on an
//! order of hashes. A number is four bytes, so that what refers to a value is small.

use std::hash::{Hash, Hasher};
use std::ops::Index;

/// The most that one table can number.
pub(crate) const MOST: usize = u32::MAX as usize - 1;

/// Open addressing over numbers: the values are elsewhere. Each slot holds 32 bits of the hash,
/// which say where it belongs, and a number.
struct Slots {
    slots: Vec<u64>,
    taken: usize,
}

const EMPTY: u64 = u64::MAX;

impl Slots {
    fn new() -> Self {
        Self { slots: vec![EMPTY; 64], taken: 0 }
    }

    /// The number of an equal value, or the place where `number` is put if there is none.
    fn find_or_insert(&mut self, hash: u64, number: u32, same: impl Fn(u32) -> bool) -> u32 {
        if self.taken * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let tag = hash >> 32;
        let mut place = self.home(tag);
        loop {
            let slot = self.slots[place];
            if slot == EMPTY {
                self.slots[place] = tag << 32 | u64::from(number);
                self.taken += 1;
                return number;
            }
            if slot >> 32 == tag && same(slot as u32) {
                return slot as u32;
            }
            place = (place + 1) % self.slots.len();
        }
    }

    fn home(&self, tag: u64) -> usize {
        ((tag * self.slots.len() as u64) >> 32) as usize
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![EMPTY; old.len() * 2];
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            let mut place = self.home(slot >> 32);
            while self.slots[place] != EMPTY {
                place = (place + 1) % self.slots.len();
            }
            self.slots[place] = slot;
        }
    }
}

/// Values of one type, each once, with their numbers.
pub(crate) struct Table<T> {
    values: Vec<T>,
    slots: Slots,
}

impl<T: Hash + Eq> Table<T> {
    pub(crate) fn new() -> Self {
        Self { values: Vec::new(), slots: Slots::new() }
    }

    /// The value's number, and whether it is new.
    pub(crate) fn insert(&mut self, value: T) -> (u32, bool) {
        let number = number_of(self.values.len());
        let mut hasher = Mixer(0);
        value.hash(&mut hasher);
        let values = &self.values;
        let same = |other: u32| values[other as usize] == value;
        let found = self.slots.find_or_insert(hasher.finish(), number, same);
        let new = found == number;
        if new {
            self.values.push(value);
        }
        (found, new)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl<T> Index<u32> for Table<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.values[number as usize]
    }
}

/// Rows of the same number of words, each once, end to end in one block of memory.
pub(crate) struct Rows {
    width: usize,
    words: Vec<u32>,
    slots: Slots,
}

impl Rows {
    pub(crate) fn new(width: usize) -> Self {
        Self { width, words: Vec::new(), slots: Slots::new() }
    }

    /// The row's number, and whether it is new.
    pub(crate) fn insert(&mut self, row: &[u32]) -> (u32, bool) {
        let number = number_of(self.len());
        let (words, width) = (&self.words, self.width);
        let same = |other: u32| words[other as usize * width..][..width] == *row;
        let found = self.slots.find_or_insert(hash_words(row), number, same);
        let new = found == number;
        if new {
            self.words.extend_from_slice(row);
        }
        (found, new)
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len() / self.width
    }
}

impl Index<u32> for Rows {
    type Output = [u32];

    fn index(&self, number: u32) -> &[u32] {
        &self.words[number as usize * self.width..][..self.width]
    }
}

fn number_of(len: usize) -> u32 {
    assert!(len < MOST, "invariant: the bound of states keeps every table below 2^32");
    len as u32
}

fn hash_words(words: &[u32]) -> u64 {
    let mut mixer = Mixer(0);
    words.iter().for_each(|word| mixer.write_u32(*word));
    mixer.finish()
}

/// A fast hash, the same everywhere: rotate, mix in, multiply, and at the end the finishing steps
/// of splitmix64. Numbers keep no secrets.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        let hash = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        hash ^ (hash >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_in_the_order_in_which_they_come() {
        let mut table = Table::new();
        for value in 0..1000_u32 {
            assert_eq!(table.insert(value * 7), (value, true));
        }
        for value in (0..1000_u32).rev() {
            assert_eq!(table.insert(value * 7), (value, false));
            assert_eq!(table[value], value * 7);
        }
        assert_eq!(table.len(), 1000);
    }

    #[test]
    fn rows_differ_in_every_word() {
        let mut rows = Rows::new(3);
        for number in 0..1000_u32 {
            let row = [number % 10, number / 10 % 10, number / 100];
            assert_eq!(rows.insert(&row), (number, true));
            assert_eq!(rows.insert(&row), (number, false));
            assert_eq!(rows[number], row);
        }
        assert_eq!(rows.len(), 1000);
    }
}
