//! What the store answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use uuid::Uuid;

use super::file::{ContentHash, FileInfo};
use super::history::Change;
use super::name::FileName;
use super::nested;
use super::past::VersionInfo;
use super::refusal::Refusal;

/// The outcome of a command or a query, encoded with postcard.
pub type Reply = Result<Answer, Refusal>;

/// What was done, or what was asked for. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// A session is open.
    SessionOpened {
        /// Its id: the log index it was opened at.
        session: u64,
    },
    /// The session is closed.
    SessionClosed,
    /// The chunk is staged.
    Staged {
        /// Its upload.
        upload: Uuid,
        /// Bytes the upload has from its beginning on without a gap.
        received: u64,
    },
    /// The file is there, all at once.
    Created {
        /// What it is.
        file: FileInfo,
        /// The file that had the name before, and is gone.
        replaced: Option<Uuid>,
    },
    /// The file has grown.
    Appended {
        /// Its uuid.
        uuid: Uuid,
        /// Its name.
        name: FileName,
        /// Its size now, in bytes.
        size: u64,
        /// Its revision now.
        revision: u64,
        /// Bytes added.
        added: u64,
    },
    /// The file is gone.
    Deleted {
        /// The uuid it had.
        uuid: Uuid,
        /// The name it had.
        name: FileName,
        /// The size it had, in bytes.
        size: u64,
    },
    /// The file has another name.
    Renamed {
        /// Its uuid.
        uuid: Uuid,
        /// The name it had.
        from: FileName,
        /// Its name now.
        name: FileName,
        /// Its revision now.
        revision: u64,
    },
    /// The upload is dropped.
    Discarded {
        /// The uuid it had.
        upload: Uuid,
        /// Bytes that were staged.
        bytes: u64,
    },
    /// About one file.
    Stat(FileInfo),
    /// A page of files, by name.
    List {
        /// The files.
        files: Vec<FileInfo>,
        /// Whether there are more behind the last one.
        more: bool,
    },
    /// Part of a file's content.
    Content {
        /// Where it begins.
        offset: u64,
        /// The size of the whole file, in bytes.
        size: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// About the whole store.
    Checksum {
        /// Equal exactly if all files are.
        digest: ContentHash,
        /// How many files there are.
        files: u64,
        /// Bytes in all files.
        bytes: u64,
    },
    /// All commands of the batch were carried out.
    Batch(
        /// Their answers, in order.
        #[serde(deserialize_with = "nested::deserialize")]
        Vec<Answer>,
    ),
    /// What changed.
    Changes {
        /// The changes, by log index.
        changes: Vec<Change>,
        /// The index to ask behind next time.
        next: u64,
    },
    /// About a file as it was.
    Version(VersionInfo),
    /// About one file, and part of its content.
    Fetched {
        /// What it is.
        file: FileInfo,
        /// Where the part begins.
        offset: u64,
        /// Its bytes.
        bytes: Bytes,
    },
}

impl Answer {
    /// Reads what [`FileStore::apply`](super::FileStore::apply) or
    /// [`FileStore::query`](super::FileStore::query) returned.
    ///
    /// # Errors
    /// The refusal, if it was one; [`Refusal::UnknownAnswer`] for anything else.
    pub fn decode(reply: &[u8]) -> Reply {
        match postcard::take_from_bytes::<Reply>(reply) {
            Ok((reply, [])) => reply,
            _ => Err(Refusal::UnknownAnswer { bytes: reply.len() as u64 }),
        }
    }
}

/// What most answers fit in.
const USUAL: usize = 64;

/// An answer as bytes, most without memory of their own.
pub(super) type Encoded = SmallVec<[u8; USUAL]>;

/// The answer to a command.
pub(super) fn encode_answer(reply: &Reply) -> Encoded {
    let mut buffer = [0; USUAL];
    match postcard::to_slice(reply, &mut buffer) {
        Ok(encoded) => Encoded::from_slice(encoded),
        Err(_) => Encoded::from_slice(&encode(reply)),
    }
}

pub(super) fn encode(reply: &Reply) -> Bytes {
    let content = match reply {
        Ok(Answer::Content { bytes, .. } | Answer::Fetched { bytes, .. }) => bytes.len(),
        _ => 0,
    };
    postcard::to_extend(reply, Vec::with_capacity(USUAL + content))
        .expect("invariant: a vector grows, and answers serialize")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_the_wire() {
        let content = Answer::Content { offset: 3, size: 9, bytes: Bytes::from_static(b"hello") };
        for reply in [Ok(content), Err(Refusal::SessionExpired { session: 7 })] {
            assert_eq!(Answer::decode(&encode(&reply)), reply);
        }
    }

    #[test]
    fn foreign_bytes_are_not_an_answer() {
        let trailing = [&encode(&Ok(Answer::SessionClosed))[..], b"x"].concat();
        for bytes in [&b""[..], b"\xff\xff", &trailing] {
            let unknown = Refusal::UnknownAnswer { bytes: bytes.len() as u64 };
            assert_eq!(Answer::decode(bytes), Err(unknown));
        }
    }
}
