//! Where content is that is not in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use super::content::Piece;
use super::file::ContentHash;

/// Most bytes of pieces that were read lately and stay in memory: who reads a file in small pages
/// does not have a piece read, and hashed, for each of them.
const RECENT_BYTES: usize = 4 << 20;

/// Where the chunks of the snapshots are that a store has handed out: those of the latest snapshot
/// that is durable and of the one before.
pub trait ChunkStore {
    /// The bytes of a chunk, which hash to its name. Chunks of live files are always kept: if one
    /// cannot be read, the chunk store has to see to it that its server ends, and that no answer
    /// leaves it any more.
    fn chunk(&self, id: &ContentHash) -> Option<Bytes>;

    /// Whether a chunk is kept.
    fn has_chunk(&self, id: &ContentHash) -> bool;
}

/// A chunk store, if a store has one, and what was read from it lately. Copies share both.
#[derive(Clone, Default)]
pub(super) struct Shelf(Option<Rc<Shelved>>);

struct Shelved {
    chunks: Box<dyn ChunkStore>,
    recent: RefCell<Recent>,
}

/// Pieces, the latest last.
#[derive(Default)]
struct Recent {
    pieces: VecDeque<(ContentHash, Bytes)>,
    bytes: usize,
}

/// A piece of content that cannot be read, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lost(pub(super) ContentHash);

impl Shelf {
    pub(super) fn new(chunks: Box<dyn ChunkStore>) -> Self {
        Self(Some(Rc::new(Shelved { chunks, recent: RefCell::default() })))
    }

    /// Whether there is a chunk store; without one all content is in memory.
    pub(super) fn has_any(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a piece can be read.
    pub(super) fn has(&self, piece: &Piece) -> bool {
        let kept = || self.0.as_ref().is_some_and(|it| it.chunks.has_chunk(&piece.hash()));
        piece.bytes().is_some() || kept()
    }

    /// The bytes of a piece, wherever they are.
    pub(super) fn bytes(&self, piece: &Piece) -> Result<Bytes, Lost> {
        if let Some(bytes) = piece.bytes() {
            return Ok(bytes);
        }
        let id = piece.hash();
        let shelved = self.0.as_ref().ok_or(Lost(id))?;
        let mut recent = shelved.recent.borrow_mut();
        if let Some(bytes) = recent.get(&id) {
            return Ok(bytes);
        }
        let bytes = shelved.chunks.chunk(&id).filter(|bytes| bytes.len() == piece.len());
        let bytes = bytes.ok_or(Lost(id))?;
        recent.add(id, bytes.clone());
        Ok(bytes)
    }
}

impl Recent {
    fn get(&self, id: &ContentHash) -> Option<Bytes> {
        let found = self.pieces.iter().rev().find(|(known, _)| known == id);
        found.map(|(_, bytes)| bytes.clone())
    }

    fn add(&mut self, id: ContentHash, bytes: Bytes) {
        self.bytes += bytes.len();
        self.pieces.push_back((id, bytes));
        while self.bytes > RECENT_BYTES
            && let Some((_, oldest)) = self.pieces.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shelf").field(&self.has_any()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, Keeper, uuid};
    use super::super::{Command, Query, Refusal, Reply};
    use super::*;

    fn pattern(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|i| ((i * i + seed) % 251) as u8).collect()
    }

    /// A store whose file of three pieces is let go.
    fn bench() -> (Bench, Keeper, Vec<u8>) {
        let (mut bench, keeper) = (Bench::new(), Keeper::default());
        bench.store.keep_content_in(Box::new(keeper.clone()));
        bench.create(1 << 100, "large", &pattern(100_000, 1)).unwrap();
        for seed in [2, 3] {
            bench.append("large", &pattern(20_000, seed)).unwrap();
        }
        bench.append("large", b"end").unwrap();
        let plain = bench.cat("large").unwrap();
        // Version, files, three pieces, sessions, end.
        assert_eq!(keeper.take(&bench.store), 7);
        (bench, keeper, plain)
    }

    fn read(bench: &Bench, offset: u64, limit: u64) -> Reply {
        bench.query(&Query::Read { uuid: uuid(1 << 100), offset, limit })
    }

    #[test]
    fn what_a_durable_snapshot_holds_is_not_in_memory() {
        let (mut bench, keeper, plain) = bench();
        assert_eq!(bench.cat("large").unwrap(), plain);
        // Pieces that are let go come without their bytes, and nothing else changed.
        assert_eq!(keeper.take(&bench.store), 4);
        bench.append("large", &pattern(30_000, 4)).unwrap();
        let plain = [plain, pattern(30_000, 4)].concat();
        assert_eq!(bench.stat("large").unwrap().hash, blake3::hash(&plain).into());
        assert_eq!(bench.cat("large").unwrap(), plain);
        assert_eq!(keeper.take(&bench.store), 6, "the tail and what was added");
        bench.store = keeper.restored(&bench.store, 9);
        assert_eq!(bench.cat("large").unwrap(), plain);
        assert_eq!(keeper.take(&bench.store), 4, "what is restored is not in memory either");
    }

    #[test]
    fn what_is_lost_is_said_and_never_made_up() {
        let (mut bench, keeper, _) = bench();
        let chunks = std::mem::take(&mut *keeper.chunks.borrow_mut());
        assert!(matches!(read(&bench, 99_999, 1), Err(Refusal::ContentLost { .. })));
        assert!(read(&bench, 140_000, 9).is_ok(), "the tail is in memory");
        bench.run(Command::Delete { file: "large".into() }, b"").unwrap();
        let past = Query::ReadAt { file: "large".into(), index: 5, offset: 0, limit: 9 };
        let gone = Err(Refusal::HistoryGone { first: 6 });
        assert_eq!(bench.query(&past), gone, "nobody promised to keep what is gone");
        *keeper.chunks.borrow_mut() = chunks;
        assert!(bench.query(&past).is_ok());
    }

    #[test]
    fn a_piece_is_read_once_for_the_pages_of_a_while() {
        let (bench, keeper, _) = bench();
        read(&bench, 0, 10).unwrap();
        keeper.chunks.borrow_mut().clear();
        assert!(read(&bench, 90_000, 10_000).is_ok());
        assert!(read(&bench, 90_000, 10_001).is_err());
    }

    #[test]
    fn what_was_read_lately_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..20 {
            let bytes = Bytes::from(vec![number; 1 << 20]);
            recent.add(blake3::hash(&bytes).into(), bytes);
        }
        assert_eq!((recent.pieces.len(), recent.bytes), (4, RECENT_BYTES));
    }
}
