//! Content on its way: chunks staged until one command makes them a file, or part of one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::content::{self, Content, Piece};
use super::file::ContentHash;
use super::journal::Journal;
use super::limits::Limits;
use super::refusal::Refusal;
use super::shelf::Shelf;
use super::sum;

/// One staged upload. Chunks are hashed as the gapless beginning grows, so that using the upload
/// costs the same whatever its size.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    /// What its content is hashed as following.
    base: Base,
    /// Whether it is indeed: not if it was restored when the base was no more what it had been.
    carried: bool,
    /// The gapless beginning.
    content: Content,
    /// Chunks beyond a gap, by offset; they do not overlap, and are never let go: soon the gap
    /// closes, and they are hashed.
    ahead: BTreeMap<u64, Arc<Piece>>,
    /// Bytes in `content` and `ahead`.
    bytes: u64,
    /// The sums of `ahead`, added up.
    ahead_sum: u64,
}

/// What an upload is to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// The file; `None` is a new one.
    pub(super) file: Option<Uuid>,
    /// The hash of its content when the upload began, which tells whether it still is the same.
    pub(super) hash: ContentHash,
}

/// A complete upload, taken out of the table.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) content: Content,
    /// Whether it is hashed as following what it is going to follow.
    pub(super) follows: bool,
}

/// The session that an upload belongs to, and its uuid.
pub(super) type Key = (u64, Uuid);

/// Every upload of every session. An upload belongs to the session that staged it. A copy shares
/// all uploads with the original, until they are written to.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads {
    uploads: BTreeMap<Key, Arc<Upload>>,
    bytes: u64,
    /// The sums of all uploads, added up.
    sum: u64,
    journal: Journal<Key, Arc<Upload>>,
}

impl Upload {
    fn new(base: Option<(Uuid, &Content)>) -> Self {
        let content = follower(base.map(|(_, content)| content));
        // Nothing behind the base is hashed as the base.
        let base = Base { file: base.map(|(file, _)| file), hash: content.hash() };
        Self::begun(base, content, true)
    }

    /// An upload as a snapshot says it began; `file` is the content that its base has now.
    pub(super) fn resume(base: Base, file: Option<&Content>) -> Self {
        let content = follower(file);
        if content.hash() == base.hash {
            Self::begun(base, content, true)
        } else {
            Self::begun(base, Content::default(), false)
        }
    }

    fn begun(base: Base, content: Content, carried: bool) -> Self {
        Self { base, carried, content, ahead: BTreeMap::new(), bytes: 0, ahead_sum: 0 }
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// The piece of this number, the chunks beyond a gap being the last ones.
    pub(super) fn piece(&self, number: usize) -> Option<&Arc<Piece>> {
        let (pieces, ..) = self.content.frozen();
        let ahead = || self.ahead.values().nth(number.checked_sub(pieces as usize)?);
        self.content.piece(number).or_else(ahead)
    }

    /// The chunks beyond a gap, by offset.
    pub(super) fn ahead(&self) -> &BTreeMap<u64, Arc<Piece>> {
        &self.ahead
    }

    pub(super) fn restore_tail(&mut self, tail: &[u8]) {
        self.bytes += tail.len() as u64;
        self.content.restore_tail(tail);
    }

    pub(super) fn restore_piece(&mut self, id: ContentHash, bytes: Bytes, shelf: &Shelf) {
        self.bytes += bytes.len() as u64;
        self.content.restore_piece(id, bytes, shelf);
    }

    pub(super) fn restore_ahead(&mut self, offset: u64, bytes: &Bytes) {
        self.bytes += bytes.len() as u64;
        self.put_ahead(offset, bytes);
    }

    fn sum(&self, (session, upload): Key) -> u64 {
        let (high, low) = upload.as_u64_pair();
        let (base_high, base_low) = self.base.file.unwrap_or_default().as_u64_pair();
        let base = sum::of(&self.base.hash.0);
        let content = self.content.sum();
        sum::of_words(&[session, high, low, base_high, base_low, base, content, self.ahead_sum])
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
            self.put_ahead(offset, data);
            return;
        }
        self.content.append(data);
        while let Some(next) = self.ahead.first_entry()
            && *next.key() == self.content.size()
        {
            let (offset, chunk) = next.remove_entry();
            self.ahead_sum = self.ahead_sum.wrapping_sub(sum::mix(offset, chunk.sum()));
            let bytes = chunk.bytes().expect("invariant: what is ahead of a gap is in memory");
            self.content.append(&bytes);
        }
    }

    fn put_ahead(&mut self, offset: u64, data: &Bytes) {
        let chunk = Piece::new(content::kept(data));
        self.ahead_sum = self.ahead_sum.wrapping_add(sum::mix(offset, chunk.sum()));
        self.ahead.insert(offset, Arc::new(chunk));
    }
}

/// Nothing, behind this content.
fn follower(base: Option<&Content>) -> Content {
    base.map_or_else(Content::default, Content::following)
}

impl Uploads {
    /// Bytes staged in all uploads.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A number that is equal where all uploads are.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    pub(super) fn len(&self) -> usize {
        self.uploads.len()
    }

    /// The upload with the lowest key.
    pub(super) fn first(&self) -> Option<(Key, &Arc<Upload>)> {
        self.uploads.first_key_value().map(|(&key, upload)| (key, upload))
    }

    /// Drops the upload with the lowest key.
    pub(super) fn pop_first(&mut self) {
        if let Some((key, _)) = self.first() {
            self.remove(key);
        }
    }

    /// Stages a chunk; `base` is asked for at the first one. A chunk that is already there changes
    /// nothing. `room` is how many more bytes the store takes. Answers how many bytes the gapless
    /// beginning has.
    pub(super) fn stage<'a>(
        &mut self,
        (session, upload): (u64, Uuid),
        (offset, data): (u64, &Bytes),
        base: impl FnOnce() -> Option<(Uuid, &'a Content)>,
        room: u64,
        limits: &Limits,
    ) -> Result<u64, Refusal> {
        let bytes = data.len() as u64;
        if offset.checked_add(bytes).is_none_or(|size| size > limits.file_bytes) {
            let (file, size) = (format!("upload {upload}"), offset.saturating_add(bytes));
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
        if bytes > room {
            return Err(Refusal::StoreFull { bytes, limit: limits.store_bytes });
        }
        let key = (session, upload);
        self.journal.note(key, || self.uploads.get(&key).cloned());
        let (staged, before) = match self.uploads.entry(key) {
            Entry::Occupied(staged) => {
                let staged = staged.into_mut();
                let before = staged.sum(key);
                (staged, before)
            }
            Entry::Vacant(free) => (free.insert(Arc::new(Upload::new(base()))), 0),
        };
        let staged = Arc::make_mut(staged);
        staged.insert(offset, data);
        self.bytes += bytes;
        self.sum = self.sum.wrapping_sub(before).wrapping_add(staged.sum(key));
        Ok(staged.content.size())
    }

    /// Takes a complete upload of `size` bytes out, to be put after `base`.
    ///
    /// # Errors
    /// There is none, it has gaps, or another size; it then stays.
    pub(super) fn take(
        &mut self,
        session: u64,
        upload: Uuid,
        size: u64,
        base: &Content,
    ) -> Result<Staged, Refusal> {
        let key = (session, upload);
        let staged = self.uploads.get(&key).ok_or(Refusal::NoSuchUpload { upload })?;
        let received = staged.content.size();
        if received < size || !staged.ahead.is_empty() {
            return Err(Refusal::UploadIncomplete { upload, received, size });
        }
        if received > size {
            return Err(Refusal::SizeMismatch { size, received });
        }
        let follows = staged.carried && staged.base.hash == base.hash();
        let staged = self.remove(key).ok_or(Refusal::NoSuchUpload { upload })?;
        Ok(Staged { follows, content: Arc::unwrap_or_clone(staged).content })
    }

    /// Drops an upload. Answers how many bytes that freed.
    pub(super) fn discard(&mut self, session: u64, upload: Uuid) -> Result<u64, Refusal> {
        let staged = self.remove((session, upload)).ok_or(Refusal::NoSuchUpload { upload })?;
        Ok(staged.bytes)
    }

    /// Drops all uploads of a session that is gone.
    pub(super) fn discard_all(&mut self, session: u64) {
        let of_session = (session, Uuid::nil())..=(session, Uuid::max());
        while let Some((&key, _)) = self.uploads.range(of_session.clone()).next() {
            self.remove(key);
        }
    }

    /// What follows can be undone.
    pub(super) fn begin(&mut self) {
        self.journal.begin();
    }

    /// What happened since `begin` stays.
    pub(super) fn commit(&mut self) {
        self.journal.end();
    }

    /// All is as it was at `begin`.
    pub(super) fn undo(&mut self) {
        for (key, before) in self.journal.end() {
            self.remove(key);
            if let Some(upload) = before {
                self.insert(key, upload);
            }
        }
    }

    /// Adds an upload that is not there.
    pub(super) fn insert(&mut self, key: Key, upload: Arc<Upload>) {
        self.bytes += upload.bytes;
        self.sum = self.sum.wrapping_add(upload.sum(key));
        self.uploads.insert(key, upload);
    }

    fn remove(&mut self, key: Key) -> Option<Arc<Upload>> {
        let upload = self.uploads.remove(&key)?;
        self.journal.note(key, || Some(Arc::clone(&upload)));
        self.bytes -= upload.bytes;
        self.sum = self.sum.wrapping_sub(upload.sum(key));
        Some(upload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (u64, Uuid) = (1, Uuid::from_u128(7));
    const UPLOAD: Uuid = KEY.1;

    fn limits() -> Limits {
        Limits { file_bytes: 100, uploads: 2, chunks_ahead: 2, ..Limits::default() }
    }

    fn stage(uploads: &mut Uploads, offset: u64, data: &'static str) -> Result<u64, Refusal> {
        uploads.stage(KEY, (offset, &Bytes::from(data)), || None, 1000, &limits())
    }

    fn taken(uploads: &mut Uploads, size: u64) -> Result<Bytes, Refusal> {
        let staged = uploads.take(KEY.0, UPLOAD, size, &Content::default())?;
        assert!(staged.follows);
        Ok(staged.content.read(0, 1000, &Shelf::default()).unwrap())
    }

    #[test]
    fn chunks_come_in_any_order_and_repeatedly() {
        let mut uploads = Uploads::default();
        for (offset, data, received) in
            [(6, "678", 0), (3, "345", 0), (6, "678", 0), (0, "012", 9), (3, "345", 9), (9, "", 9)]
        {
            assert_eq!(stage(&mut uploads, offset, data), Ok(received));
        }
        assert_eq!(uploads.bytes(), 9);
        assert_eq!(taken(&mut uploads, 9).unwrap(), "012345678");
        assert_eq!(uploads.bytes(), 0);
    }

    #[test]
    fn overlapping_chunks_are_refused() {
        let mut uploads = Uploads::default();
        stage(&mut uploads, 0, "0123").unwrap();
        stage(&mut uploads, 8, "89").unwrap();
        for (offset, data) in [(3, "34"), (7, "789"), (7, "78"), (8, "8"), (9, "9a"), (8, "89a")] {
            let refused = Err(Refusal::Overlap { upload: UPLOAD, offset });
            assert_eq!(stage(&mut uploads, offset, data), refused);
        }
        assert_eq!(uploads.bytes(), 6);
    }

    #[test]
    fn only_a_complete_upload_of_the_announced_size_is_taken() {
        let mut uploads = Uploads::default();
        assert_eq!(taken(&mut uploads, 0), Err(Refusal::NoSuchUpload { upload: UPLOAD }));
        stage(&mut uploads, 0, "01").unwrap();
        stage(&mut uploads, 4, "45").unwrap();
        let incomplete = Refusal::UploadIncomplete { upload: UPLOAD, received: 2, size: 6 };
        assert_eq!(taken(&mut uploads, 6), Err(incomplete));
        stage(&mut uploads, 2, "23").unwrap();
        assert_eq!(taken(&mut uploads, 5), Err(Refusal::SizeMismatch { size: 5, received: 6 }));
        assert_eq!(taken(&mut uploads, 6).unwrap(), "012345");
    }

    #[test]
    fn every_limit_is_inclusive_and_refuses_beyond() {
        let mut uploads = Uploads::default();
        let file = format!("upload {UPLOAD}");
        let too_large = Refusal::FileTooLarge { file, size: 101, limit: 100 };
        assert_eq!(stage(&mut uploads, 98, "abc"), Err(too_large));
        assert_eq!(stage(&mut uploads, 98, "ab"), Ok(0));
        assert_eq!(stage(&mut uploads, 10, "a"), Ok(0));
        let too_far = Refusal::TooFarAhead { upload: UPLOAD, received: 0 };
        assert_eq!(stage(&mut uploads, 20, "a"), Err(too_far));
        assert_eq!(stage(&mut uploads, 0, "a"), Ok(1), "the chunk that is waited for");
        let data = Bytes::from_static(b"abc");
        let limit = limits().store_bytes;
        let mut other = |number, room| {
            let key = (1, Uuid::from_u128(number));
            uploads.stage(key, (0, &data), || None, room, &limits())
        };
        assert_eq!(other(8, 2), Err(Refusal::StoreFull { bytes: 3, limit }));
        assert_eq!(other(8, 3), Ok(3));
        assert_eq!(other(9, 3), Err(Refusal::TooManyUploads { limit: 2 }));
    }

    #[test]
    fn a_session_loses_its_own_uploads_only() {
        let mut uploads = Uploads::default();
        let data = Bytes::from_static(b"abc");
        for session in [1, 2, 3] {
            for upload in [Uuid::nil(), UPLOAD] {
                let limits = Limits::default();
                uploads.stage((session, upload), (0, &data), || None, 9, &limits).unwrap();
            }
        }
        uploads.discard_all(2);
        assert_eq!(uploads.bytes(), 12);
        assert_eq!(uploads.discard(2, UPLOAD), Err(Refusal::NoSuchUpload { upload: UPLOAD }));
        assert_eq!(uploads.discard(3, UPLOAD), Ok(3));
    }

    #[test]
    fn an_upload_follows_only_the_base_it_began_with() {
        let file = Uuid::from_u128(1);
        let content = |text: &'static str| {
            let mut content = Content::default();
            content.append(&Bytes::from_static(text.as_bytes()));
            content
        };
        // A file that was deleted may come back under its uuid with other content of that size.
        for (now, follows) in [("abc", true), ("abcd", false), ("abd", false), ("", false)] {
            let mut uploads = Uploads::default();
            let (chunk, before) = (Bytes::from_static(b"def"), content("abc"));
            let began = || Some((file, &before));
            uploads.stage(KEY, (0, &chunk), began, 9, &limits()).unwrap();
            let staged = uploads.take(KEY.0, UPLOAD, 3, &content(now)).unwrap();
            assert_eq!(staged.follows, follows, "{now}");
        }
    }

    #[test]
    fn what_is_undone_leaves_no_trace() {
        let mut uploads = Uploads::default();
        stage(&mut uploads, 0, "01").unwrap();
        let before = (uploads.sum(), uploads.bytes());
        uploads.begin();
        stage(&mut uploads, 2, "2").unwrap();
        stage(&mut uploads, 9, "9").unwrap();
        let other = (KEY.0, Uuid::nil());
        uploads.stage(other, (0, &"x".into()), || None, 9, &limits()).unwrap();
        uploads.discard(KEY.0, UPLOAD).unwrap();
        uploads.undo();
        assert_eq!((uploads.sum(), uploads.bytes()), before);
        assert_eq!(taken(&mut uploads, 2).unwrap(), "01");
        assert_eq!((uploads.sum(), uploads.bytes()), (0, 0));
    }

    #[test]
    fn the_sum_covers_what_is_ahead() {
        let sum = |chunks: &[(u64, &'static str)]| {
            let mut uploads = Uploads::default();
            for &(offset, data) in chunks {
                stage(&mut uploads, offset, data).unwrap();
            }
            uploads.sum()
        };
        assert_eq!(sum(&[(2, "b"), (4, "d")]), sum(&[(4, "d"), (2, "b")]));
        assert_eq!(sum(&[(1, "b"), (0, "a")]), sum(&[(0, "a"), (1, "b")]));
        assert_ne!(sum(&[(2, "b")]), sum(&[(3, "b")]));
        assert_ne!(sum(&[(2, "b")]), sum(&[(2, "c")]));
    }
}
