//! One file, and what is told about it.

use std::fmt;

use blake3::Hasher;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::content::Content;
use super::name::FileName;
use super::upload::Base;

/// Content up to this many bytes is hashed when someone asks; a larger file keeps a running hash
/// (2 KiB of state), so that an append costs as much as its data, however large the file is.
const REHASHED_BYTES: u64 = 4096;

/// The blake3 hash of a file's content: what `b3sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from(self.0).fmt(f)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<blake3::Hash> for ContentHash {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.into())
    }
}

/// Everything about a file but its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Its identity, which never changes.
    pub uuid: Uuid,
    /// Its name, unique at any time.
    pub name: FileName,
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its content.
    pub hash: ContentHash,
    /// How often it was created, appended to or renamed: 1 when new.
    pub revision: u64,
    /// The log index of its last change.
    pub index: u64,
}

/// A file of the catalogue.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: FileName,
    content: Content,
    /// Fed with all of `content`; absent while that is at most [`REHASHED_BYTES`].
    hasher: Option<Box<Hasher>>,
    revision: u64,
    index: u64,
}

impl File {
    /// A file created at log index `index`. `hasher`, if given, has been fed all of `content`.
    pub(super) fn new(
        name: FileName,
        content: Content,
        hasher: Option<Box<Hasher>>,
        index: u64,
    ) -> Self {
        let large = content.size() > REHASHED_BYTES;
        let hasher = large.then(|| hasher.unwrap_or_else(|| Box::new(content.hasher())));
        Self { name, content, hasher, revision: 1, index }
    }

    pub(super) fn size(&self) -> u64 {
        self.content.size()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn info(&self, uuid: Uuid) -> FileInfo {
        FileInfo {
            uuid,
            name: self.name.clone(),
            size: self.size(),
            hash: self.hash(),
            revision: self.revision,
            index: self.index,
        }
    }

    pub(super) fn read(&self, offset: u64, limit: usize) -> Bytes {
        self.content.read(offset, limit)
    }

    pub(super) fn hash(&self) -> ContentHash {
        match &self.hasher {
            Some(hasher) => hasher.finalize().into(),
            None => self.content.hasher().finalize().into(),
        }
    }

    /// The start of an upload that will be appended to this file.
    pub(super) fn base(&self, uuid: Uuid) -> Base {
        let hasher = self.hasher.clone().unwrap_or_else(|| Box::new(self.content.hasher()));
        Base { file: uuid, size: self.size(), hasher }
    }

    pub(super) fn append(&mut self, data: &Bytes, index: u64) {
        let grown_from = self.size();
        self.content.append(data);
        self.hash_from(grown_from);
        self.changed(index);
    }

    /// Appends `content`. `hasher`, if given, has been fed this file's content and then `content`.
    pub(super) fn append_content(
        &mut self,
        content: Content,
        hasher: Option<Box<Hasher>>,
        index: u64,
    ) {
        let grown_from = self.size();
        self.content.append_content(content);
        match hasher {
            Some(hasher) => self.hasher = Some(hasher),
            None => self.hash_from(grown_from),
        }
        self.changed(index);
    }

    pub(super) fn rename(&mut self, name: FileName, index: u64) {
        self.name = name;
        self.changed(index);
    }

    fn hash_from(&mut self, grown_from: u64) {
        match &mut self.hasher {
            Some(hasher) => {
                for slice in self.content.slices_from(grown_from) {
                    hasher.update(slice);
                }
            }
            None if self.content.size() > REHASHED_BYTES => {
                self.hasher = Some(Box::new(self.content.hasher()));
            }
            None => {}
        }
    }

    fn changed(&mut self, index: u64) {
        self.revision += 1;
        self.index = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> File {
        File::new(FileName::new("f").unwrap(), Content::default(), None, 1)
    }

    #[test]
    fn the_hash_is_that_of_the_content_at_every_size() {
        let mut file = empty();
        let mut plain = Vec::new();
        assert_eq!(file.hash(), blake3::hash(b"").into());
        for length in [0, 1, 1000, 3095, 1, 1, 20_000, 5] {
            let data = Bytes::from(vec![length as u8; length]);
            file.append(&data, 2);
            plain.extend_from_slice(&data);
            assert_eq!(file.hash(), blake3::hash(&plain).into(), "at {} bytes", plain.len());
        }
    }

    #[test]
    fn only_large_files_keep_a_running_hash() {
        let mut file = empty();
        file.append(&Bytes::from(vec![0; 4096]), 2);
        assert!(file.hasher.is_none());
        file.append(&Bytes::from_static(b"x"), 3);
        assert!(file.hasher.is_some());
    }

    #[test]
    fn revision_and_index_follow_the_changes() {
        let mut file = empty();
        file.append(&Bytes::from_static(b"x"), 5);
        file.rename(FileName::new("g").unwrap(), 9);
        let info = file.info(Uuid::nil());
        assert_eq!((info.revision, info.index, info.name.as_str()), (3, 9, "g"));
    }
}
