//! Content on its way: chunks staged until one command makes them a file, or part of one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use blake3::Hasher;
use bytes::Bytes;
use uuid::Uuid;

use super::content::{self, Content};
use super::limits::Limits;
use super::refusal::Refusal;

/// The file an upload will be appended to, as it was when its first chunk was applied: its
/// content is known by its size, since the content of one uuid only grows.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) file: Uuid,
    pub(super) size: u64,
    /// Fed with the file's content.
    pub(super) hasher: Box<Hasher>,
}

/// One staged upload. Chunks are hashed as the gapless beginning grows, so that using the upload
/// costs the same whatever its size.
#[derive(Debug)]
struct Upload {
    /// The file and the size that `hasher` started from; `None` is an empty start.
    base: Option<(Uuid, u64)>,
    hasher: Box<Hasher>,
    /// The gapless beginning.
    content: Content,
    /// Chunks beyond a gap, by offset; they do not overlap.
    ahead: BTreeMap<u64, Bytes>,
    /// Bytes in `content` and `ahead`.
    bytes: u64,
}

/// A complete upload, taken out of the table.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) content: Content,
    /// Fed with all that the content is put after, then the content; `None` if that has changed
    /// since the upload began.
    pub(super) hasher: Option<Box<Hasher>>,
}

/// Every upload of every session. An upload belongs to the session that staged it.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    uploads: BTreeMap<(u64, Uuid), Upload>,
    bytes: u64,
}

impl Upload {
    fn new(base: Option<Base>) -> Self {
        let (base, hasher) = match base {
            Some(Base { file, size, hasher }) => (Some((file, size)), hasher),
            None => (None, Box::default()),
        };
        Self { base, hasher, content: Content::default(), ahead: BTreeMap::new(), bytes: 0 }
    }

    /// Whether the chunk is to be added; one that is here already is not.
    fn admits(
        &self,
        upload: Uuid,
        offset: u64,
        data: &Bytes,
        limits: &Limits,
    ) -> Result<bool, Refusal> {
        let received = self.content.size();
        let end = offset + data.len() as u64;
        if end <= received || data.is_empty() {
            return Ok(false);
        }
        if let Some((&start, chunk)) = self.ahead.range(..end).next_back() {
            if start == offset && chunk.len() == data.len() {
                return Ok(false);
            }
            if start + chunk.len() as u64 > offset {
                return Err(Refusal::Overlap { upload, offset });
            }
        }
        if offset < received {
            return Err(Refusal::Overlap { upload, offset });
        }
        if offset > received && self.ahead.len() >= limits.chunks_ahead {
            return Err(Refusal::TooFarAhead { upload, received });
        }
        Ok(true)
    }

    fn insert(&mut self, offset: u64, data: &Bytes) {
        self.bytes += data.len() as u64;
        if offset > self.content.size() {
            self.ahead.insert(offset, content::kept(data));
            return;
        }
        self.extend(data);
        while let Some(next) = self.ahead.first_entry()
            && *next.key() == self.content.size()
        {
            let chunk = next.remove();
            self.extend(&chunk);
        }
    }

    fn extend(&mut self, data: &Bytes) {
        self.content.append(data);
        self.hasher.update(data);
    }
}

impl Uploads {
    /// Bytes staged in all uploads.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Stages a chunk; `base` is asked for at the first one. A chunk that is already there changes
    /// nothing. `room` is how many more bytes the store takes. Answers how many bytes the gapless
    /// beginning has.
    pub(super) fn stage(
        &mut self,
        (session, upload): (u64, Uuid),
        (offset, data): (u64, &Bytes),
        base: impl FnOnce() -> Option<Base>,
        room: u64,
        limits: &Limits,
    ) -> Result<u64, Refusal> {
        let size = offset.saturating_add(data.len() as u64);
        if size > limits.file_bytes {
            let file = format!("upload {upload}");
            return Err(Refusal::FileTooLarge { file, size, limit: limits.file_bytes });
        }
        match self.uploads.get(&(session, upload)) {
            Some(staged) if !staged.admits(upload, offset, data, limits)? => {
                return Ok(staged.content.size());
            }
            None if self.uploads.len() >= limits.uploads => {
                return Err(Refusal::TooManyUploads { limit: limits.uploads as u64 });
            }
            _ => {}
        }
        let bytes = data.len() as u64;
        if bytes > room {
            return Err(Refusal::StoreFull { bytes, limit: limits.store_bytes });
        }
        self.bytes += bytes;
        let staged = self.uploads.entry((session, upload)).or_insert_with(|| Upload::new(base()));
        staged.insert(offset, data);
        Ok(staged.content.size())
    }

    /// Takes a complete upload of `size` bytes out, to be put after `base`: a file and its size
    /// now, or `None` for a new file.
    ///
    /// # Errors
    /// There is none, it has gaps, or another size; it then stays.
    pub(super) fn take(
        &mut self,
        session: u64,
        upload: Uuid,
        size: u64,
        base: Option<(Uuid, u64)>,
    ) -> Result<Staged, Refusal> {
        let Entry::Occupied(entry) = self.uploads.entry((session, upload)) else {
            return Err(Refusal::NoSuchUpload { upload });
        };
        let received = entry.get().content.size();
        if received < size || !entry.get().ahead.is_empty() {
            return Err(Refusal::UploadIncomplete { upload, received, size });
        }
        if received > size {
            return Err(Refusal::SizeMismatch { size, received });
        }
        let upload = entry.remove();
        self.bytes -= upload.bytes;
        let hasher = (upload.base == base).then_some(upload.hasher);
        Ok(Staged { content: upload.content, hasher })
    }

    /// Drops an upload. Answers how many bytes that freed.
    pub(super) fn discard(&mut self, session: u64, upload: Uuid) -> Result<u64, Refusal> {
        let staged =
            self.uploads.remove(&(session, upload)).ok_or(Refusal::NoSuchUpload { upload })?;
        self.bytes -= staged.bytes;
        Ok(staged.bytes)
    }

    /// Drops all uploads of a session that is gone.
    pub(super) fn discard_all(&mut self, session: u64) {
        let of_session = (session, Uuid::nil())..=(session, Uuid::max());
        while let Some((&key, upload)) = self.uploads.range(of_session.clone()).next() {
            self.bytes -= upload.bytes;
            self.uploads.remove(&key);
        }
    }
}
