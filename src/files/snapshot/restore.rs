//! A store rebuilt from the chunks of a snapshot.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use uuid::Uuid;

use super::super::command::Key;
use super::super::content::{Content, TAIL_BYTES};
use super::super::execute::Files;
use super::super::file::{ContentHash, File};
use super::super::keys::Keys;
use super::super::limits::{HistoryLimits, Limits};
use super::super::name::FileName;
use super::super::session::{Session, Sessions};
use super::super::shelf::Shelf;
use super::super::store::{FileStore, state_hash};
use super::super::upload::{self as uploads, Base, Upload};
use super::record::{MAGIC, MAX_CHUNK, Parts, Record, VERSION};
use crate::museum::{Bug, on};

/// A store that is being rebuilt from a snapshot; see [`FileStore::restore`]. Feed it the chunks in
/// order, then finish.
#[derive(Debug)]
pub struct Restore {
    history: HistoryLimits,
    files: Files,
    sessions: Sessions,
    keys: Keys,
    /// Chunks taken so far.
    chunks: u64,
    /// What the last record was.
    last: Place,
    /// What the last block announced, of which pieces are missing.
    awaited: VecDeque<Awaited>,
    /// What the snapshot says it holds.
    end: Option<End>,
}

/// Where a record stands in a snapshot: each behind the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    Start,
    Header,
    File(Uuid),
    /// A session, or an answer of its.
    Session(u64, Option<u64>),
    Upload(uploads::Key),
    /// A client that uses keys, or an answer of its.
    Client(u64, Option<u64>),
    End,
}

/// Why chunks are no snapshot. The store that was being rebuilt is of no use then; the one that
/// began it is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Written by another version.
    #[error(
        "the snapshot has format {found}, this version reads {VERSION}: use the version of the \
             server that took it"
    )]
    Version {
        /// The version of its format.
        found: u32,
    },
    /// A chunk that cannot stand where it came.
    #[error("chunk {number} of the snapshot is bad: {reason}; fetch the snapshot again")]
    BadChunk {
        /// Which one, from 1.
        number: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Chunks are missing at the end.
    #[error("the snapshot ends too early, after {chunks} chunks: fetch it again")]
    Unfinished {
        /// How many came.
        chunks: u64,
    },
    /// All chunks are well-formed, but are not those of one snapshot.
    #[error("the snapshot does not add up to the state it was taken of: fetch it again")]
    OtherState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct End {
    files: u64,
    sessions: u64,
    uploads: u64,
    state_hash: u64,
}

/// Content of which pieces are missing.
#[derive(Debug)]
struct Awaited {
    whose: Whose,
    /// What its pieces must amount to: number, bytes and sum.
    frozen: (u64, u64, u64),
}

#[derive(Debug)]
enum Whose {
    File { uuid: Uuid, name: FileName, revision: u64, index: u64, content: Content },
    Upload { key: uploads::Key, upload: Upload, ahead: VecDeque<u64> },
}

/// What is wrong with a chunk.
type Fault = &'static str;

impl Awaited {
    fn content(&self) -> &Content {
        match &self.whose {
            Whose::File { content, .. } => content,
            Whose::Upload { upload, .. } => upload.content(),
        }
    }

    /// Whether no piece of the content is missing.
    ///
    /// # Errors
    /// The pieces are not those that were announced.
    fn complete(&self) -> Result<bool, Fault> {
        let (pieces, bytes, sum) = self.content().frozen();
        if pieces < self.frozen.0 {
            return Ok(false);
        }
        let as_announced = (pieces, bytes, sum) == self.frozen;
        if as_announced { Ok(true) } else { Err("its content is not what was announced") }
    }

    fn take(&mut self, id: ContentHash, piece: &Bytes, shelf: &Shelf) -> Result<(), Fault> {
        let complete = self.complete()?;
        match &mut self.whose {
            Whose::File { content, .. } => content.restore_piece(id, piece.clone(), shelf),
            Whose::Upload { upload, ahead, .. } if complete => {
                let offset = ahead.pop_front().ok_or("nothing more was announced")?;
                let end = offset.checked_add(piece.len() as u64);
                end.ok_or("it lies beyond the end of what can be")?;
                upload.restore_ahead(offset, piece);
            }
            Whose::Upload { upload, .. } => upload.restore_piece(id, piece.clone(), shelf),
        }
        Ok(())
    }
}

impl Restore {
    pub(in super::super) fn new(limits: Limits, history: HistoryLimits, shelf: Shelf) -> Self {
        Self {
            history,
            files: Files { limits, shelf, ..Files::default() },
            sessions: Sessions::default(),
            keys: Keys::default(),
            chunks: 0,
            last: Place::Start,
            awaited: VecDeque::new(),
            end: None,
        }
    }

    /// Takes the next chunk, whose bytes hash to this name. If it is a piece of content, it stays in
    /// memory unless the store has a chunk store, which then has the chunk. Costs as much as
    /// hashing it.
    ///
    /// # Errors
    /// It cannot be the next chunk of a snapshot.
    pub fn feed(&mut self, id: ContentHash, chunk: &Bytes) -> Result<(), RestoreError> {
        self.chunks += 1;
        let number = self.chunks;
        let bad = |reason| RestoreError::BadChunk { number, reason };
        if chunk.is_empty() || chunk.len() > MAX_CHUNK {
            return Err(bad("no chunk has this length"));
        }
        if let Some(awaited) = self.awaited.front_mut() {
            awaited.take(id, chunk, &self.files.shelf).map_err(bad)?;
            return self.settle().map_err(bad);
        }
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (record, behind) = postcard::take_from_bytes::<Record<'_>>(rest)
                .map_err(|_| bad("it is not a block of records"))?;
            if let Record::Header { magic: MAGIC, version } = record
                && version != VERSION
            {
                return Err(RestoreError::Version { found: version });
            }
            self.take(record).map_err(bad)?;
            rest = behind;
        }
        self.settle().map_err(bad)
    }

    /// The store, as it was when the entry at `index` had been applied, which is the index of the
    /// snapshot. Its history begins there.
    ///
    /// # Errors
    /// Chunks are missing, or are not those of one snapshot.
    pub fn finish(self, index: u64) -> Result<FileStore, RestoreError> {
        let Self { files, sessions, keys, history, .. } = self;
        let end = self.end.ok_or(RestoreError::Unfinished { chunks: self.chunks })?;
        let found = End {
            files: files.catalogue.len() as u64,
            sessions: sessions.len() as u64,
            uploads: files.uploads.len() as u64,
            state_hash: state_hash(&files.catalogue, &files.uploads, &sessions, &keys),
        };
        if found != end && !on(Bug::RestoreForgetsRevisions) {
            return Err(RestoreError::OtherState);
        }
        Ok(FileStore::restored(files, (sessions, keys), history, index))
    }

    fn take(&mut self, record: Record<'_>) -> Result<(), Fault> {
        self.advance(&record)?;
        match record {
            Record::Header { .. } => {}
            Record::File { uuid, name, revision, index, content: parts } => {
                let revision = if on(Bug::RestoreForgetsRevisions) { 1 } else { revision };
                let mut content = Content::default();
                content.restore_tail(tail(&parts)?);
                self.wait(&parts, Whose::File { uuid, name, revision, index, content });
            }
            Record::Session { id, last_used, acknowledged } => {
                self.sessions.insert(id, Session::new(last_used, acknowledged));
            }
            Record::Reply { serial, reply } => {
                self.sessions.restore_reply(serial, reply);
            }
            Record::Upload { session, upload, onto, base, content: parts, ahead } => {
                let key = (session, upload);
                let before = onto.and_then(|uuid| self.files.catalogue.get(uuid));
                let base = Base { file: onto, hash: base };
                let mut upload = Upload::resume(base, before.map(File::content));
                upload.restore_tail(tail(&parts)?);
                self.wait(&parts, Whose::Upload { key, upload, ahead: ahead.into() });
            }
            Record::Client { client, last_used, first } => {
                self.keys.restore(client, last_used, first);
            }
            Record::KeyedReply { serial, fingerprint, reply } => {
                let Place::Client(client, _) = self.last else { return Ok(()) };
                let key = Key { client, serial, fingerprint };
                self.keys.record(key, &Bytes::copy_from_slice(reply));
            }
            Record::End { files, sessions, uploads, state_hash } => {
                self.end = Some(End { files, sessions, uploads, state_hash });
            }
        }
        Ok(())
    }

    /// Goes to the place of this record.
    ///
    /// # Errors
    /// That place is not behind the last.
    fn advance(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let place = match (record, self.last) {
            (Record::Header { magic: MAGIC, .. }, Place::Start) => Place::Header,
            (_, Place::Start) => return Err("it is not the first chunk of a snapshot"),
            (Record::Header { .. }, _) => Place::Header,
            (Record::File { uuid, .. }, _) => Place::File(*uuid),
            (Record::Session { id, .. }, _) => Place::Session(*id, None),
            (Record::Reply { serial, .. }, Place::Session(id, _)) => {
                Place::Session(id, Some(*serial))
            }
            (Record::Reply { .. }, _) => return Err("it has an answer that belongs to nobody"),
            (Record::Upload { session, upload, .. }, _) => Place::Upload((*session, *upload)),
            (Record::Client { client, .. }, _) => Place::Client(*client, None),
            (Record::KeyedReply { serial, .. }, Place::Client(client, _)) => {
                Place::Client(client, Some(*serial))
            }
            (Record::KeyedReply { .. }, _) => {
                return Err("it has an answer that belongs to nobody");
            }
            (Record::End { .. }, _) => Place::End,
        };
        if place <= self.last {
            return Err("it comes out of order, or twice");
        }
        self.last = place;
        Ok(())
    }

    fn wait(&mut self, parts: &Parts<'_>, whose: Whose) {
        let frozen = (parts.pieces, parts.bytes, parts.sum);
        self.awaited.push_back(Awaited { whose, frozen });
    }

    /// Adds what is complete by now.
    fn settle(&mut self) -> Result<(), Fault> {
        while let Some(awaited) = self.awaited.front() {
            let missing = match &awaited.whose {
                Whose::Upload { ahead, .. } => !ahead.is_empty(),
                Whose::File { .. } => false,
            };
            if !awaited.complete()? || missing {
                return Ok(());
            }
            let Some(Awaited { whose, .. }) = self.awaited.pop_front() else { return Ok(()) };
            match whose {
                Whose::File { uuid, name, revision, index, content } => {
                    if self.files.catalogue.named(name.as_str()).is_some() {
                        return Err("it has two files of one name");
                    }
                    let file = File::restored(name, content, revision, index);
                    self.files.catalogue.insert(uuid, file);
                }
                Whose::Upload { key, upload, .. } => {
                    self.files.uploads.insert(key, Arc::new(upload));
                }
            }
        }
        Ok(())
    }
}

fn tail<'a>(parts: &Parts<'a>) -> Result<&'a [u8], Fault> {
    if parts.tail.len() > TAIL_BYTES {
        Err("it has a tail that is too long")
    } else {
        Ok(parts.tail)
    }
}
