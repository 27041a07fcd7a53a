//! Snapshots as the tests' driver keeps and fetches them: the state is the applied entries, in
//! chunks of two, and what has come of another's snapshot survives a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jangada::raft::{
    ChunkId, Entry, Fetched, Index, Input, Part, Position, ServerId, SnapshotMeta,
};

use super::cluster::Cluster;
use super::disk::Write;

/// Parts that a server asks for before one has come.
const WINDOW: usize = 2;

/// What a snapshot covers, and the state: every applied entry from index 1 on.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Snapshot {
    pub(crate) meta: SnapshotMeta,
    pub(crate) state: Vec<Entry>,
}

/// What travels beside an `InstallSnapshot`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Piece {
    List(SnapshotMeta, Vec<ChunkId>),
    Chunk(ChunkId, Vec<Entry>),
}

/// What has come of another's snapshot.
#[derive(Clone, Default)]
pub(crate) struct Fetching {
    last_included: Position,
    list: Option<(SnapshotMeta, Vec<ChunkId>)>,
    chunks: BTreeMap<ChunkId, Vec<Entry>>,
}

impl Snapshot {
    fn chunks(&self) -> impl Iterator<Item = (ChunkId, &[Entry])> {
        let chunks = self.state.chunks(2).enumerate();
        chunks.map(|(place, chunk)| (name(2 * place + 1, chunk), chunk))
    }

    /// What a part of it is; `None` if it has no such part.
    pub(crate) fn piece(&self, part: Part) -> Option<Piece> {
        match part {
            Part::List(0) => {
                let names = self.chunks().map(|(name, _)| name).collect();
                Some(Piece::List(self.meta.clone(), names))
            }
            Part::List(_) => None,
            Part::Chunk(wanted) => {
                let (name, chunk) = self.chunks().find(|(name, _)| *name == wanted)?;
                Some(Piece::Chunk(name, chunk.to_vec()))
            }
        }
    }
}

/// Shows the indexes in its first bytes, as in `00030004`.
fn name(first: usize, chunk: &[Entry]) -> ChunkId {
    let mut hasher = DefaultHasher::new();
    format!("{chunk:?}").hash(&mut hasher);
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&(first as u16).to_be_bytes());
    bytes[2..4].copy_from_slice(&((first + chunk.len() - 1) as u16).to_be_bytes());
    bytes[4..12].copy_from_slice(&hasher.finish().to_be_bytes());
    ChunkId(bytes)
}

impl Fetching {
    fn missing(&self) -> Vec<Part> {
        match &self.list {
            None => vec![Part::List(0)],
            Some((_, names)) => {
                let lacking = names.iter().filter(|name| !self.chunks.contains_key(name));
                lacking.map(|name| Part::Chunk(*name)).collect()
            }
        }
    }

    fn have(&self) -> Fetched {
        let of = self.list.as_ref().map_or(0, |(_, names)| names.len());
        let lacking = if of == 0 { 0 } else { self.missing().len() };
        Fetched { chunks: (of - lacking) as u64, of: of as u64 }
    }

    /// The snapshot, if all of it has come.
    fn whole(&self) -> Option<Snapshot> {
        let (meta, names) = self.list.as_ref()?;
        let chunks: Option<Vec<_>> = names.iter().map(|name| self.chunks.get(name)).collect();
        Some(Snapshot {
            meta: meta.clone(),
            state: chunks?.into_iter().flatten().cloned().collect(),
        })
    }
}

impl Cluster {
    /// The server takes a snapshot of what it has applied, if there is anything new. Returns
    /// whether there was.
    pub(crate) fn snapshot(&mut self, id: ServerId) -> bool {
        let server = self.server(id);
        let end = Index(server.applied.len() as u64);
        let node = server.node.as_ref().expect("a server that is up");
        let news = end > node.status(self.now).snapshot;
        let Some(meta) = node.snapshot_at(end).filter(|_| news) else { return false };
        let state = server.applied.clone();
        self.note(|| format!("{id} takes a snapshot up to {}", meta.last_included));
        self.server_mut(id).disk.ask(Write::Snapshot(Snapshot { meta, state }));
        self.settle(id);
        true
    }

    /// The leader offers its snapshot: whatever is lacking is asked for, again if need be.
    pub(super) fn offered(&mut self, id: ServerId, last_included: Position) {
        let server = self.server_mut(id);
        server.asked.clear();
        let fetching = &mut server.disk.fetching;
        if fetching.last_included != last_included {
            (fetching.last_included, fetching.list) = (last_included, None);
        }
        self.fetch(id);
    }

    /// Some of a snapshot has come.
    pub(super) fn arrived(&mut self, id: ServerId, last_included: Position, piece: Piece) {
        let server = self.server_mut(id);
        let fetching = &mut server.disk.fetching;
        if fetching.last_included != last_included {
            return;
        }
        match piece {
            Piece::List(meta, names) => fetching.list = Some((meta, names)),
            Piece::Chunk(name, chunk) => drop(fetching.chunks.insert(name, chunk)),
        }
        self.fetch(id);
    }

    fn fetch(&mut self, id: ServerId) {
        let server = self.server_mut(id);
        let fetching = &server.disk.fetching;
        let (last_included, have) = (fetching.last_included, fetching.have());
        if let Some(whole) = fetching.whole() {
            let meta = whole.meta.clone();
            if server.disk.keep(whole) {
                self.note(|| format!("{id} has all of the snapshot up to {last_included}"));
            }
            self.step(id, Input::Fetched(&meta), &[]);
            return;
        }
        let missing = fetching.missing();
        server.asked.retain(|part| missing.contains(part));
        let room = WINDOW.saturating_sub(server.asked.len());
        let new = missing.into_iter().filter(|part| !server.asked.contains(part));
        let want: Vec<Part> = new.take(room).collect();
        server.asked.extend(want.iter().copied());
        self.step(id, Input::Fetching { last_included, want: &want, have }, &[]);
    }
}

/// Parts that were asked for in this life and have not come.
pub(crate) type Asked = BTreeSet<Part>;
