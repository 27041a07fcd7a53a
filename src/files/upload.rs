//! Content on its way: chunks staged until one command makes them a file, or part of one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use uuid::Uuid;

use super::content::{self, Content};
use super::limits::Limits;
use super::refusal::Refusal;

/// One staged upload. Chunks are hashed as the gapless beginning grows, so that using the upload
/// costs the same whatever its size.
#[derive(Debug, Default)]
struct Upload {
    /// The file, and the size it had, that `content` is hashed as following; `None` is a new file.
    /// Its content is known by its size, since the content of one uuid only grows.
    base: Option<(Uuid, u64)>,
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
    /// Whether it is hashed as following what it is going to follow.
    pub(super) follows: bool,
}

/// Every upload of every session. An upload belongs to the session that staged it.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    uploads: BTreeMap<(u64, Uuid), Upload>,
    bytes: u64,
}

impl Upload {
    fn new(base: Option<(Uuid, &Content)>) -> Self {
        let Some((file, content)) = base else { return Self::default() };
        let (base, content) = (Some((file, content.size())), Content::following(content));
        Self { base, content, ..Self::default() }
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
        self.content.append(data);
        while let Some(next) = self.ahead.first_entry()
            && *next.key() == self.content.size()
        {
            let chunk = next.remove();
            self.content.append(&chunk);
        }
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
        Ok(Staged { follows: upload.base == base, content: upload.content })
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
        let staged = uploads.take(KEY.0, UPLOAD, size, None)?;
        assert!(staged.follows);
        Ok(staged.content.read(0, 1000))
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
        let mut content = Content::default();
        content.append(&Bytes::from_static(b"abc"));
        let cases = [
            (Some((file, 3)), true),
            (Some((file, 4)), false),
            (Some((UPLOAD, 3)), false),
            (None, false),
        ];
        for (base, follows) in cases {
            let mut uploads = Uploads::default();
            let chunk = Bytes::from_static(b"def");
            let began = || Some((file, &content));
            uploads.stage(KEY, (0, &chunk), began, 9, &limits()).unwrap();
            assert_eq!(uploads.take(KEY.0, UPLOAD, 3, base).unwrap().follows, follows);
        }
    }
}
