//! One file, and what is told about it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::content::Content;
use super::name::FileName;
use super::sum;

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

/// A file of the catalogue. Shared with snapshots and history, copied when it is written to.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) name: FileName,
    /// Of its uuid and its name.
    identity_sum: u64,
    content: Content,
    revision: u64,
    index: u64,
    /// What the file adds to the sum of the state, once it is in the catalogue.
    pub(super) sum: u64,
}

impl File {
    /// A file created at log index `index`.
    pub(super) fn new(name: FileName, content: Content, index: u64) -> Self {
        Self::restored(name, content, 1, index)
    }

    /// A file as a snapshot says it was.
    pub(super) fn restored(name: FileName, content: Content, revision: u64, index: u64) -> Self {
        Self { name, identity_sum: 0, content, revision, index, sum: 0 }
    }

    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    pub(super) fn size(&self) -> u64 {
        self.content.size()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The log index of its last change.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// Sums the file up for the first time, or when it has another name.
    pub(super) fn identify(&mut self, uuid: Uuid) {
        let (high, low) = uuid.as_u64_pair();
        let name = sum::of(self.name.as_str().as_bytes());
        self.identity_sum = sum::of_words(&[high, low, name]);
        self.sum_up();
    }

    /// Sums the file up anew.
    pub(super) fn sum_up(&mut self) {
        let words = [self.revision, self.index, self.content.sum()];
        self.sum = sum::with_words(self.identity_sum, &words);
    }

    pub(super) fn info(&self, uuid: Uuid) -> FileInfo {
        FileInfo {
            uuid,
            name: self.name.clone(),
            size: self.size(),
            hash: self.content.hash(),
            revision: self.revision,
            index: self.index,
        }
    }

    /// Lets `grow` add to the content, as one change at log index `index`.
    pub(super) fn grow(&mut self, index: u64, grow: impl FnOnce(&mut Content)) {
        grow(&mut self.content);
        self.changed(index);
    }

    pub(super) fn rename(&mut self, name: FileName, index: u64) {
        self.name = name;
        self.changed(index);
    }

    fn changed(&mut self, index: u64) {
        self.revision += 1;
        self.index = index;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn revision_and_index_follow_the_changes() {
        let mut file = File::new(FileName::new("f").unwrap(), Content::default(), 1);
        file.grow(5, |content| content.append(&Bytes::from_static(b"x")));
        file.rename(FileName::new("g").unwrap(), 9);
        let info = file.info(Uuid::nil());
        assert_eq!((info.revision, info.index, info.name.as_str()), (3, 9, "g"));
    }
}
