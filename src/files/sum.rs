//! Sums of the state, which servers compare to see that they agree. Fast, and good against
//! accidents; not against an adversary, which is what content hashes are for.

use xxhash_rust::xxh3::xxh3_64;

/// Of bytes.
pub(super) fn of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Of numbers, in this order.
pub(super) fn of_words(words: &[u64]) -> u64 {
    with_words(0, words)
}

/// A sum carried on with more numbers.
pub(super) fn with_words(sum: u64, words: &[u64]) -> u64 {
    words.iter().fold(sum, |sum, &word| mix(sum, word))
}

/// A sum carried on with one more number: a multiplication whose halves are folded.
pub(super) fn mix(sum: u64, word: u64) -> u64 {
    /// Digits of pi: any odd numbers without a pattern do.
    const PI: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];
    let product = u128::from(sum ^ PI[0]) * u128::from(word ^ PI[1]);
    (product as u64 ^ (product >> 64) as u64).wrapping_add(PI[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_number_of_words_matter() {
        let sums = [of_words(&[]), of_words(&[0]), of_words(&[0, 0]), of_words(&[0, 1])];
        let more = [of_words(&[1, 0]), of_words(&[1]), of(b""), of(b"\0")];
        let mut all = [sums, more].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }
}
