//! The bytes of one file.

use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use blake3::Hasher;
use bytes::Bytes;

use super::file::ContentHash;
use super::shelf::{Lost, Shelf};
use super::sum;

/// Data of at least this many bytes is kept as the slice of the log entry that brought it. Less is
/// copied: a short slice would keep a whole entry, or a whole network frame, in memory.
const SHARED_BYTES: usize = 16 * 1024;

/// The tail takes up to this many bytes before it is frozen.
pub(super) const TAIL_BYTES: usize = 64 * 1024;

/// The tail is summed up in blocks of so many bytes: an append sums up what is behind the last
/// full one again, so small ones do not pay for the whole tail.
const SUM_BYTES: usize = 256;

/// Bytes that only grow at the end: frozen pieces, then a tail that gathers small appends, so
/// that a million appends of one byte do not make a million pieces.
///
/// The pieces are hashed as they freeze, the tail when someone asks: so an append costs as much as
/// its data, however large the file is, and small ones are hashed together, which is 8 times
/// faster than one by one.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pieces: Vec<Placed>,
    /// Bytes in `pieces`, hence where the tail begins.
    frozen: u64,
    /// The sums of `pieces`, in order.
    frozen_sum: u64,
    tail: Vec<u8>,
    /// The sums of the full blocks of `tail`, in order.
    tail_sum: u64,
    /// Fed with `pieces`, after the content this one is to follow; `None` is fed with nothing.
    hasher: Option<Box<Hasher>>,
}

/// A piece, and where it begins.
#[derive(Clone, Debug)]
struct Placed {
    start: u64,
    piece: Arc<Piece>,
}

/// Bytes that never change, and what is known of them: shared by every copy of their content.
///
/// When they are a chunk of a snapshot that is durable they need not be in memory any more, and
/// are [let go](Piece::let_go); the [`Shelf`] has them from then on.
#[derive(Debug)]
pub(super) struct Piece {
    length: usize,
    sum: u64,
    hash: OnceLock<ContentHash>,
    /// `None` once they are let go.
    bytes: Mutex<Option<Bytes>>,
}

impl Piece {
    pub(super) fn new(bytes: Bytes) -> Self {
        let (length, sum) = (bytes.len(), sum::of(&bytes));
        Self { length, sum, hash: OnceLock::new(), bytes: Mutex::new(Some(bytes)) }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// Its bytes, if they are in memory.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The hash of this piece alone, computed when it is first asked for.
    pub(super) fn hash(&self) -> ContentHash {
        *self.hash.get_or_init(|| {
            let bytes = self.bytes().expect("invariant: what is let go was hashed before");
            blake3::hash(&bytes).into()
        })
    }

    /// The shelf has its bytes, which need not be in memory any more.
    pub(super) fn let_go(&self) {
        self.hash();
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// `data` in a form fit to be kept: shared if large, a copy of its own if small.
pub(super) fn kept(data: &Bytes) -> Bytes {
    if data.len() < SHARED_BYTES { Bytes::copy_from_slice(data) } else { data.clone() }
}

impl Content {
    /// Empty content that will follow `base` as it is now, and is hashed accordingly.
    pub(super) fn following(base: &Self) -> Self {
        Self { hasher: Some(Box::new(base.hasher())), ..Self::default() }
    }

    /// Sets the tail that a snapshot holds; its pieces then come one by one.
    pub(super) fn restore_tail(&mut self, tail: &[u8]) {
        self.gather(tail);
    }

    /// Puts a piece that a snapshot holds under this name behind the pieces, before the tail. Its
    /// bytes stay in memory if the shelf does not have them.
    pub(super) fn restore_piece(&mut self, id: ContentHash, bytes: Bytes, shelf: &Shelf) {
        self.hash_piece(&bytes);
        let piece = Piece { hash: id.into(), ..Piece::new(bytes) };
        if shelf.has_any() {
            piece.let_go();
        }
        self.push(Arc::new(piece));
    }

    /// The piece of this number.
    pub(super) fn piece(&self, number: usize) -> Option<&Arc<Piece>> {
        self.pieces.get(number).map(|placed| &placed.piece)
    }

    /// How many pieces there are, their bytes, and their sum.
    pub(super) fn frozen(&self) -> (u64, u64, u64) {
        (self.pieces.len() as u64, self.frozen, self.frozen_sum)
    }

    /// What is behind the pieces.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// A number that is equal where the pieces and the tail are.
    pub(super) fn sum(&self) -> u64 {
        let full = self.tail.len() / SUM_BYTES * SUM_BYTES;
        let rest = sum::of(&self.tail[full..]);
        sum::of_words(&[self.frozen_sum, self.size(), self.tail_sum, rest])
    }

    /// Its length in bytes.
    pub(super) fn size(&self) -> u64 {
        self.frozen + self.tail.len() as u64
    }

    /// The hash of all of it.
    pub(super) fn hash(&self) -> ContentHash {
        match self.hasher {
            Some(_) => self.hasher().finalize().into(),
            // Most files are small, and a hasher of its own is not.
            None => blake3::hash(&self.tail).into(),
        }
    }

    /// Adds `data` at the end.
    pub(super) fn append(&mut self, data: &Bytes) {
        if data.len() < SHARED_BYTES { self.gather(data) } else { self.share(data.clone()) }
    }

    /// Adds all of `other` at the end, without copying its pieces. They are hashed, and read for
    /// that, unless `other` was made [`following`](Self::following) this content as it still is.
    pub(super) fn append_content(&mut self, other: Self, follows: bool, shelf: &Shelf) {
        if other.pieces.is_empty() {
            self.gather(&other.tail);
            return;
        }
        self.freeze();
        for Placed { piece, .. } in other.pieces {
            if !follows {
                // Without it the shelf has said that the store is of no use any more.
                self.hash_piece(&shelf.bytes(&piece).unwrap_or_default());
            }
            self.push(piece);
        }
        if follows {
            self.hasher = other.hasher;
        }
        (self.tail, self.tail_sum) = (other.tail, other.tail_sum);
    }

    /// At most `limit` bytes from `offset` on; fewer at the end, none beyond it.
    ///
    /// # Errors
    /// The shelf does not have a piece of it.
    pub(super) fn read(&self, offset: u64, limit: usize, shelf: &Shelf) -> Result<Bytes, Lost> {
        let left = self.size().saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(limit, |left| left.min(limit));
        let mut read = Vec::new();
        for Placed { start, piece } in &self.pieces[self.piece_at(offset)..] {
            if read.len() == wanted {
                return Ok(read.into());
            }
            let bytes = shelf.bytes(piece)?;
            let from = offset.saturating_sub(*start) as usize;
            let to = bytes.len().min(from + wanted - read.len());
            if to - from == wanted {
                return Ok(bytes.slice(from..to));
            }
            read.reserve_exact(wanted - read.len());
            read.extend_from_slice(&bytes[from..to]);
        }
        let from = offset.saturating_sub(self.frozen).min(self.tail.len() as u64) as usize;
        read.extend_from_slice(&self.tail[from..][..wanted - read.len()]);
        Ok(read.into())
    }

    /// Whether the shelf has all of it that lies there and is not in memory.
    pub(super) fn is_kept(&self, offset: u64, length: usize, shelf: &Shelf) -> bool {
        let end = offset.saturating_add(length as u64);
        let pieces = self.pieces[self.piece_at(offset)..].iter();
        pieces.take_while(|placed| placed.start < end).all(|placed| shelf.has(&placed.piece))
    }

    /// A hasher fed with all of it.
    fn hasher(&self) -> Hasher {
        let mut hasher = self.hasher.as_deref().cloned().unwrap_or_default();
        hasher.update(&self.tail);
        hasher
    }

    /// The number of the piece that holds `offset`, or of pieces if none does.
    fn piece_at(&self, offset: u64) -> usize {
        let end = |placed: &Placed| placed.start + placed.piece.len() as u64;
        self.pieces.partition_point(|placed| end(placed) <= offset)
    }

    fn gather(&mut self, data: &[u8]) {
        if self.tail.len() + data.len() > TAIL_BYTES {
            self.freeze();
        }
        let full = self.tail.len() / SUM_BYTES * SUM_BYTES;
        self.tail.extend_from_slice(data);
        for block in self.tail[full..].chunks_exact(SUM_BYTES) {
            self.tail_sum = sum::mix(self.tail_sum, sum::of(block));
        }
    }

    fn share(&mut self, bytes: Bytes) {
        self.freeze();
        self.hash_piece(&bytes);
        self.push(Arc::new(Piece::new(bytes)));
    }

    fn freeze(&mut self) {
        self.tail_sum = 0;
        let mut tail = mem::take(&mut self.tail);
        if !tail.is_empty() {
            tail.shrink_to_fit();
            self.hash_piece(&tail);
            self.push(Arc::new(Piece::new(tail.into())));
        }
    }

    fn hash_piece(&mut self, bytes: &[u8]) {
        self.hasher.get_or_insert_default().update(bytes);
    }

    fn push(&mut self, piece: Arc<Piece>) {
        let start = self.frozen;
        self.frozen += piece.len() as u64;
        self.frozen_sum = sum::mix(self.frozen_sum, piece.sum);
        self.pieces.push(Placed { start, piece });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::cases;
    use super::*;

    fn pattern(length: usize) -> Bytes {
        (0..length).map(|i| (i % 251) as u8).collect()
    }

    fn read(content: &Content, offset: u64, limit: usize) -> Bytes {
        content.read(offset, limit, &Shelf::default()).unwrap()
    }

    #[test]
    fn large_data_is_shared_not_copied() {
        let data = pattern(SHARED_BYTES);
        let mut content = Content::default();
        content.append(&data);
        assert_eq!(read(&content, 0, SHARED_BYTES).as_ptr(), data.as_ptr());
    }

    #[test]
    fn small_appends_make_few_pieces() {
        let mut content = Content::default();
        let byte = Bytes::from_static(b"x");
        for _ in 0..200_000 {
            content.append(&byte);
        }
        assert_eq!(content.size(), 200_000);
        assert_eq!(content.pieces.len(), 200_000 / TAIL_BYTES);
        assert!(content.pieces.iter().all(|placed| placed.piece.len() == TAIL_BYTES));
    }

    #[test]
    fn reading_past_the_end_gives_nothing() {
        let mut content = Content::default();
        content.append(&pattern(10));
        assert!(read(&content, 10, 5).is_empty());
        assert!(read(&content, u64::MAX, usize::MAX).is_empty());
        assert_eq!(read(&content, 7, 5), pattern(10).slice(7..));
    }

    #[test]
    fn content_that_follows_is_not_hashed_again() {
        let mut content = Content::default();
        content.append(&pattern(100_003));
        let mut staged = Content::following(&content);
        staged.append(&pattern(50_000));
        staged.append(&pattern(5));
        content.append_content(staged, true, &Shelf::default());
        let plain = [pattern(100_003), pattern(50_000), pattern(5)].concat();
        assert_eq!(content.hash(), blake3::hash(&plain).into());
    }

    #[test]
    fn small_content_keeps_no_hasher() {
        let mut content = Content::default();
        for _ in 0..TAIL_BYTES / 1024 {
            content.append(&pattern(1024));
        }
        assert!(content.hasher.is_none());
        content.append(&pattern(1));
        assert!(content.hasher.is_some());
    }

    #[test]
    fn the_sum_does_not_depend_on_how_the_tail_came() {
        let whole = pattern(1000);
        for step in [1, 7, 255, 256, 257, 1000] {
            let (mut one, mut other) = (Content::default(), Content::default());
            one.append(&whole);
            for start in (0..whole.len()).step_by(step) {
                other.append(&whole.slice(start..whole.len().min(start + step)));
            }
            assert_eq!(one.sum(), other.sum());
            other.append(&pattern(1));
            assert_ne!(one.sum(), other.sum());
        }
    }

    #[test]
    fn the_sum_covers_every_byte() {
        let mut sums = Vec::new();
        for flipped in [None, Some(0), Some(255), Some(256), Some(999), Some(20_000)] {
            let mut bytes = pattern(1000).to_vec();
            bytes.resize(if flipped == Some(20_000) { 1001 } else { 1000 }, 0);
            if let Some(byte) = flipped.and_then(|place| bytes.get_mut(place)) {
                *byte ^= 1;
            }
            let mut content = Content::default();
            content.append(&bytes.into());
            sums.push(content.sum());
            content.append(&pattern(SHARED_BYTES));
            sums.push(content.sum());
        }
        let count = sums.len();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), count);
    }

    proptest! {
        #![proptest_config(cases(128))]

        #[test]
        fn any_appends_and_any_page_equal_the_plain_bytes(
            lengths in prop::collection::vec(prop_oneof![0..64_usize, 10_000..70_000_usize], 0..12),
            split in 0..12_usize,
            follows: bool,
            offset in 0..400_000_u64,
            limit in 0..300_000_usize,
        ) {
            let mut content = Content::default();
            let mut plain = Vec::new();
            let (first, second) = lengths.split_at(split.min(lengths.len()));
            for &length in first {
                content.append(&pattern(length));
                plain.extend_from_slice(&pattern(length));
            }
            let mut staged =
                if follows { Content::following(&content) } else { Content::default() };
            for &length in second {
                staged.append(&pattern(length));
                plain.extend_from_slice(&pattern(length));
            }
            content.append_content(staged, follows, &Shelf::default());
            prop_assert_eq!(content.size(), plain.len() as u64);
            prop_assert_eq!(content.hash(), blake3::hash(&plain).into());
            let from = plain.len().min(offset as usize);
            let to = plain.len().min(from + limit);
            prop_assert_eq!(read(&content, offset, limit), &plain[from..to]);
        }
    }
}
