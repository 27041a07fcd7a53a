//! Which snapshots a storage keeps, and so which chunks are named.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::WriteId;
use crate::museum::{Bug, on};
use crate::raft::{ChunkId, Index, SnapshotMeta};

/// A snapshot: what it covers, and the names of its chunks in order. A name may occur more than
/// once; its bytes are kept once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// What it covers.
    pub meta: SnapshotMeta,
    /// Its chunks.
    pub chunks: Arc<[ChunkId]>,
}

/// The latest snapshot, and each before it whose chunks may still be needed: those that a crash
/// would go back to, and the one before these, which may be on its way to a peer.
pub(super) struct Snapshots {
    /// The oldest first, each with the write that brought it; never empty.
    kept: VecDeque<(WriteId, Snapshot)>,
    /// How many were saved.
    saved: u64,
    /// How many of them are durable.
    durable: u64,
    /// The chunks of one that is on its way.
    expected: BTreeSet<ChunkId>,
}

impl Snapshots {
    /// Those of a storage that starts with this one.
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self {
            kept: [(WriteId(0), snapshot)].into(),
            saved: 0,
            durable: 0,
            expected: BTreeSet::new(),
        }
    }

    /// What the log begins with: the latest snapshot, or what the cluster was founded with.
    pub(super) fn latest(&self) -> &Snapshot {
        let (_, snapshot) = self.kept.back().expect("invariant: one snapshot is always kept");
        snapshot
    }

    /// The latest snapshot, if there is one.
    pub(super) fn taken(&self) -> Option<Snapshot> {
        let latest = self.latest();
        (latest.meta.last_included.index > Index(0)).then(|| latest.clone())
    }

    /// How many were saved. Of a chunk that is put now: its age.
    pub(super) fn saved(&self) -> u64 {
        self.saved
    }

    /// Whether the entry at `index` is in the latest.
    pub(super) fn covers(&self, index: Index) -> bool {
        index <= self.latest().meta.last_included.index
    }

    /// What is to be written of a snapshot that follows the latest.
    pub(super) fn next(&self, mut snapshot: Snapshot) -> Snapshot {
        if on(Bug::CompactionDropsConfiguration) {
            let SnapshotMeta { last_included, .. } = snapshot.meta;
            snapshot.meta = SnapshotMeta { last_included, ..self.latest().meta.clone() };
        }
        snapshot
    }

    /// This write brought this snapshot.
    pub(super) fn save(&mut self, write: WriteId, snapshot: Snapshot) {
        self.saved += 1;
        self.kept.push_back((write, snapshot));
    }

    /// Every write up to `durable` is durable now. If that is news of a snapshot, chunks of a
    /// lower age than the number returned are kept only if they are [`named`](Self::named).
    pub(super) fn settle(&mut self, durable: WriteId) -> Option<u64> {
        if self.durable == self.saved {
            return None;
        }
        let settled = self.kept.partition_point(|(write, _)| *write <= durable);
        let number = self.saved - (self.kept.len() - settled) as u64;
        if number == self.durable {
            return None;
        }
        self.durable = number;
        self.kept.drain(..settled.saturating_sub(2));
        Some(number)
    }

    /// From now on, and until the next call, a snapshot of these chunks is on its way.
    pub(super) fn expect(&mut self, chunks: BTreeSet<ChunkId>) {
        self.expected = chunks;
    }

    /// The chunks that the kept snapshots name, and those that are expected.
    pub(super) fn named(&self) -> BTreeSet<ChunkId> {
        let kept = self.kept.iter().flat_map(|(_, snapshot)| &*snapshot.chunks);
        kept.chain(&self.expected).copied().collect()
    }

    /// Forgets what was saved behind `durable`.
    pub(super) fn crash(&mut self, durable: WriteId) {
        let kept = self.kept.partition_point(|(write, _)| *write <= durable);
        self.saved -= (self.kept.len() - kept) as u64;
        self.kept.truncate(kept);
        self.expected.clear();
    }
}
