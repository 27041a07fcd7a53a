//! Sets of small numbers.

/// A set of numbers, one bit each.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(crate) struct Bits {
    /// The last word is not 0, so that equal sets are equal words.
    words: Vec<u64>,
}

impl Bits {
    pub(crate) fn contains(&self, number: u32) -> bool {
        let word = self.words.get(number as usize / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(crate) fn insert(&mut self, number: u32) {
        let place = number as usize / 64;
        if self.words.len() <= place {
            self.words.resize(place + 1, 0);
        }
        self.words[place] |= 1 << (number % 64);
    }

    /// Keeps only the numbers for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        for (word, first) in self.words.iter_mut().zip((0..).step_by(64)) {
            for number in ones(*word) {
                if !keep(first + number) {
                    *word &= !(1 << number);
                }
            }
        }
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }

    /// Whether every number of this set is in `other`, too.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.words.len() <= other.words.len()
            && self.words.iter().zip(&other.words).all(|(word, other)| word & !other == 0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let words = self.words.iter().zip((0..).step_by(64));
        words.flat_map(|(word, first)| ones(*word).map(move |number| first + number))
    }

    /// The numbers that are in `other`, too, but not in `except`.
    pub(crate) fn common<'a>(
        &'a self,
        other: &'a Self,
        except: &'a Self,
    ) -> impl Iterator<Item = u32> + 'a {
        let words = self.words.iter().zip(&other.words).enumerate();
        words.flat_map(move |(place, (word, other))| {
            let except = except.words.get(place).copied().unwrap_or(0);
            ones(word & other & !except).map(move |number| place as u32 * 64 + number)
        })
    }
}

/// The places of the bits that are set.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros();
        (word != 0).then(|| {
            word &= word - 1;
            place
        })
    })
}

impl FromIterator<u32> for Bits {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut bits = Self::default();
        numbers.into_iter().for_each(|number| bits.insert(number));
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let set: Bits = [3, 64, 500].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 500]);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(5000));
        let mut less = set.clone();
        less.retain(|number| number != 500);
        assert_eq!(less, [64, 3].into_iter().collect());
        assert!(less.is_within(&set) && set.is_within(&set) && !set.is_within(&less));
        assert_eq!(set.common(&set, &less).collect::<Vec<_>>(), [500]);
        assert_eq!(less.common(&set, &set).count(), 0);
    }
}
