//! A fast hash without secrets: for telling entries and states apart, not against forgery.

/// Odd numbers with a random look; the fractional digits of square roots.
const KEYS: [u64; 2] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];

/// Folds two numbers into one: their product's upper half onto its lower half, so that every bit
/// of either reaches every bit of the result.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ KEYS[0]) * u128::from(b ^ KEYS[1]);
    (product >> 64) as u64 ^ product as u64
}

/// A hash of `bytes`; several GB/s.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<16>();
    let number = |half: &[u8]| {
        let mut number = [0; 8];
        number[..half.len()].copy_from_slice(half);
        u64::from_le_bytes(number)
    };
    let fold = |state: u64, pair: &[u8]| {
        let (low, high) = pair.split_at(pair.len().min(8));
        mix(state ^ number(low), number(high))
    };
    let state = pairs.iter().fold(mix(bytes.len() as u64, 0), |state, pair| fold(state, pair));
    fold(state, rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_length_and_every_bit_tells() {
        let mut seen = BTreeSet::new();
        for length in 0..70 {
            let mut bytes = vec![0; length];
            assert!(seen.insert(hash(&bytes)), "{length} zeros");
            for bit in 0..length * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(seen.insert(hash(&bytes)), "bit {bit} of {length} bytes");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}
