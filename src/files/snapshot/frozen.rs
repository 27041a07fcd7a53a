//! A store that no longer changes, handed out chunk by chunk.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use uuid::Uuid;

use super::super::content::Piece;
use super::super::execute::Files;
use super::super::file::{ContentHash, File};
use super::super::keys::{self, Keys};
use super::super::session::{Kept, Sessions};
use super::super::shards::Shards;
use super::super::store::state_hash;
use super::super::sum;
use super::super::upload::{Base, Upload, Uploads};
use super::record::{MAGIC, MAX_CHUNK, Parts, Record, VERSION};
use crate::museum::{Bug, on};

/// A block ends behind one in so many files, sessions or uploads, chosen by its uuid or id.
const BLOCK_LENGTH: u64 = 256;

/// A block of so many bytes ends sooner, behind one in so many: before it is full, and the next
/// block would begin wherever this one's content happened to end.
const LARGE_BLOCK: (usize, u64) = (MAX_CHUNK / 4, 8);

/// A store as it was at one moment, for a snapshot; see [`FileStore::freeze`]. Shares all content
/// with the store, and lets go of what it has handed out.
///
/// [`FileStore::freeze`]: crate::files::FileStore::freeze
#[derive(Debug)]
pub struct Frozen {
    stage: Stage,
    files: Shards,
    /// The file that was described last.
    file: Option<Uuid>,
    sessions: Sessions,
    /// The session that was described last, if some of its answers may not be, and these.
    session: Option<u64>,
    replies: VecDeque<Kept>,
    uploads: Uploads,
    keys: Keys,
    /// The client that was described last, if some of its answers may not be, and these.
    client: Option<u64>,
    kept: BTreeMap<u64, keys::Kept>,
    /// What the last block describes that has pieces to be handed out.
    owed: VecDeque<Pieces>,
    /// How many pieces of the first of them were.
    paid: usize,
    /// The pieces that were handed out with their bytes, but for those ahead of a gap.
    given: Vec<Weak<Piece>>,
    /// Whether they are kept where the store can read them.
    shelved: bool,
    end: Record<'static>,
}

/// What the next block is about.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Header,
    Files,
    Sessions,
    Uploads,
    Keys,
    End,
    Done,
}

/// What has pieces.
#[derive(Debug)]
enum Pieces {
    File(Arc<File>),
    Upload(Arc<Upload>),
}

/// Records, until it is full.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
}

impl Pieces {
    /// The piece of this number, and whether it is ahead of a gap.
    fn get(&self, number: usize) -> Option<(&Arc<Piece>, bool)> {
        let content = match self {
            Self::File(file) => file.content(),
            Self::Upload(upload) => upload.content(),
        };
        match (content.piece(number), self) {
            (Some(piece), _) => Some((piece, false)),
            (None, Self::Upload(upload)) => upload.piece(number).map(|piece| (piece, true)),
            (None, Self::File(_)) => None,
        }
    }
}

impl Block {
    /// Adds the record if there is room for it; every record fits in an empty block.
    fn push(&mut self, record: &Record<'_>) -> bool {
        let before = self.bytes.len();
        self.bytes = postcard::to_extend(record, mem::take(&mut self.bytes))
            .expect("invariant: a vector grows, and records serialize");
        let fits = before == 0 || self.bytes.len() <= MAX_CHUNK;
        if !fits {
            self.bytes.truncate(before);
        }
        fits
    }

    /// Whether it ends behind this uuid or id.
    fn ends_behind(&self, (high, low): (u64, u64)) -> bool {
        let (large, sooner) = LARGE_BLOCK;
        let length = if self.bytes.len() < large { BLOCK_LENGTH } else { sooner };
        sum::of_words(&[high, low]).is_multiple_of(length)
    }
}

impl Frozen {
    pub(in super::super) fn new(files: &Files, sessions: &Sessions, keys: &Keys) -> Self {
        let Files { catalogue, uploads, shelf, .. } = files;
        let sessions =
            if on(Bug::SnapshotWithoutSessions) { Sessions::default() } else { sessions.clone() };
        let uploads =
            if on(Bug::SnapshotWithoutUploads) { Uploads::default() } else { uploads.clone() };
        let end = Record::End {
            files: catalogue.len() as u64,
            sessions: sessions.len() as u64,
            uploads: uploads.len() as u64,
            state_hash: state_hash(catalogue, &uploads, &sessions, keys),
        };
        Self {
            stage: Stage::Header,
            files: catalogue.files().clone(),
            file: None,
            sessions,
            session: None,
            replies: VecDeque::new(),
            uploads,
            keys: keys.clone(),
            client: None,
            kept: BTreeMap::new(),
            owed: VecDeque::new(),
            paid: 0,
            given: Vec::new(),
            shelved: shelf.has_any(),
            end,
        }
    }

    /// The blake3 hash of the bytes of the next chunk, and these, at most 1 MiB; `None` behind the
    /// last chunk. Content is shared, not copied, and is hashed only if no snapshot did it before.
    /// There are no bytes with a piece that was [let go](Self::let_go): the chunk store has it.
    pub fn next_chunk(&mut self) -> Option<(ContentHash, Option<Bytes>)> {
        if let Some(piece) = self.next_piece() {
            return Some(piece);
        }
        loop {
            let mut block = Block::default();
            match self.stage {
                Stage::Header => {
                    block.push(&Record::Header { magic: MAGIC, version: VERSION });
                    self.stage = Stage::Files;
                }
                Stage::Files => self.describe_files(&mut block),
                Stage::Sessions => self.describe_sessions(&mut block),
                Stage::Uploads => self.describe_uploads(&mut block),
                Stage::Keys => self.describe_keys(&mut block),
                Stage::End => {
                    block.push(&self.end);
                    self.stage = Stage::Done;
                }
                Stage::Done => return None,
            }
            if !block.bytes.is_empty() {
                let bytes = Bytes::from(block.bytes);
                return Some((blake3::hash(&bytes).into(), Some(bytes)));
            }
        }
    }

    /// The snapshot is durable, and the chunk store of the live store has all its chunks: content
    /// that was handed out goes from memory, wherever it is still in use, and is read from there.
    pub fn let_go(self) {
        if self.shelved {
            self.given.iter().filter_map(Weak::upgrade).for_each(|piece| piece.let_go());
        }
    }

    fn next_piece(&mut self) -> Option<(ContentHash, Option<Bytes>)> {
        loop {
            if let Some((piece, ahead)) = self.owed.front()?.get(self.paid) {
                self.paid += 1;
                let bytes = piece.bytes();
                if bytes.is_some() && !ahead {
                    self.given.push(Arc::downgrade(piece));
                }
                return Some((piece.hash(), bytes));
            }
            self.owed.pop_front();
            self.paid = 0;
        }
    }

    fn describe_files(&mut self, block: &mut Block) {
        while let Some((uuid, file)) = self.files.next_after(self.file) {
            let content = Parts::of(file.content());
            let (name, revision, index) = (file.name.clone(), file.revision(), file.index());
            if !block.push(&Record::File { uuid, name, revision, index, content }) {
                return;
            }
            self.file = Some(uuid);
            if content.pieces > 0 {
                self.owed.push_back(Pieces::File(file));
            }
            if block.ends_behind(uuid.as_u64_pair()) {
                return;
            }
        }
        self.stage = Stage::Sessions;
    }

    fn describe_sessions(&mut self, block: &mut Block) {
        loop {
            while let Some(Kept { serial, reply, .. }) = self.replies.front() {
                if !block.push(&Record::Reply { serial: *serial, reply }) {
                    return;
                }
                self.replies.pop_front();
            }
            if self.session.take().is_some_and(|id| block.ends_behind((0, id))) {
                return;
            }
            let Some((id, session)) = self.sessions.first() else { break };
            let (last_used, acknowledged) = (session.last_used, session.acknowledged);
            if !block.push(&Record::Session { id, last_used, acknowledged }) {
                return;
            }
            (self.session, self.replies) = (Some(id), session.replies().clone());
            self.sessions.pop_first();
        }
        self.stage = Stage::Uploads;
    }

    fn describe_uploads(&mut self, block: &mut Block) {
        while let Some((key, upload)) = self.uploads.first() {
            let Base { file: onto, hash: base } = upload.base();
            let content = Parts::of(upload.content());
            let ahead = upload.ahead().keys().copied().collect();
            let (session, uuid) = key;
            let record = Record::Upload { session, upload: uuid, onto, base, content, ahead };
            if !block.push(&record) {
                return;
            }
            self.owed.push_back(Pieces::Upload(Arc::clone(upload)));
            self.uploads.pop_first();
            // Who restores it hashes the end of the base: one a chunk.
            if onto.is_some() || block.ends_behind(uuid.as_u64_pair()) {
                return;
            }
        }
        self.stage = Stage::Keys;
    }

    fn describe_keys(&mut self, block: &mut Block) {
        loop {
            while let Some(kept) = self.kept.first_entry() {
                let (serial, keys::Kept { fingerprint, reply }) = (*kept.key(), kept.get());
                let record = Record::KeyedReply { serial, fingerprint: *fingerprint, reply };
                if !block.push(&record) {
                    return;
                }
                kept.remove();
            }
            if self.client.take().is_some_and(|client| block.ends_behind((1, client))) {
                return;
            }
            let Some((client, known)) = self.keys.first() else { break };
            let (last_used, first) = (known.last_used, known.first);
            if !block.push(&Record::Client { client, last_used, first }) {
                return;
            }
            (self.client, self.kept) = (Some(client), known.replies.clone());
            self.keys.pop_first();
        }
        self.stage = Stage::End;
    }
}
