//! Questions to the store, which change nothing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::refusal::Refusal;

/// A question to [`FileStore::query`](super::FileStore::query). `file` is a name, a uuid or the
/// beginning of one, as in [`Command`](super::Command). Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Query {
    /// About one file; answered by `Stat`.
    Stat {
        /// Which one.
        file: String,
    },
    /// The files by name, page by page; answered by `List`.
    List {
        /// Only names after this text; the last name of the page before, to go on.
        after: Option<String>,
        /// At most so many files, and at most [`MAX_PAGE`](super::MAX_PAGE).
        limit: u64,
    },
    /// Part of a file's content; answered by `Content`, with fewer bytes than asked for at the end
    /// and none beyond it. By uuid alone, so that all pages are of one file.
    Read {
        /// Which file.
        uuid: Uuid,
        /// From which byte on.
        offset: u64,
        /// At most so many bytes, and at most [`MAX_READ`](super::MAX_READ).
        limit: u64,
    },
    /// The digest of all files; answered by `Checksum`.
    Checksum,
    /// What changed behind an index, in order, without a gap; answered by `Changes`. To follow the
    /// files, ask again with the answer's `next`. Refused with [`Refusal::HistoryGone`] if changes
    /// behind `after` are forgotten.
    Changes {
        /// The changes of entries behind this log index.
        after: u64,
        /// At most so many changes, and at most [`MAX_PAGE`](super::MAX_PAGE); but the changes of
        /// one entry are never torn apart.
        limit: u64,
    },
    /// About a file as it was when the entry at an index had been applied; answered by `Version`.
    /// Also about files that were deleted or replaced since, as far as the history reaches.
    StatAt {
        /// Which file: what the reference meant then.
        file: String,
        /// The log index.
        index: u64,
    },
    /// Part of a file's content as it was when the entry at an index had been applied; answered by
    /// `Content`. All pages of one index are of one version.
    ReadAt {
        /// Which file: what the reference meant then.
        file: String,
        /// The log index.
        index: u64,
        /// From which byte on.
        offset: u64,
        /// At most so many bytes, and at most [`MAX_READ`](super::MAX_READ).
        limit: u64,
    },
    /// Part of a file's content at one revision, so that all pages are of one version; answered by
    /// `Content`. Refused if the file has another revision by now and history does not reach back.
    ReadRevision {
        /// Which file.
        uuid: Uuid,
        /// The revision.
        revision: u64,
        /// From which byte on.
        offset: u64,
        /// At most so many bytes, and at most [`MAX_READ`](super::MAX_READ).
        limit: u64,
    },
    /// About one file, and part of its content, at once; answered by `Fetched`.
    Fetch {
        /// Which one.
        file: String,
        /// From which byte on.
        offset: u64,
        /// At most so many bytes, and at most [`MAX_READ`](super::MAX_READ).
        limit: u64,
    },
}

impl Query {
    /// The query as bytes.
    pub fn encode(&self) -> Bytes {
        postcard::to_stdvec(self).expect("invariant: a vector grows, and queries serialize").into()
    }

    pub(super) fn decode(query: &[u8]) -> Result<Self, Refusal> {
        match postcard::take_from_bytes(query) {
            Ok((query, [])) => Ok(query),
            _ => Err(Refusal::Malformed { bytes: query.len() as u64 }),
        }
    }
}
