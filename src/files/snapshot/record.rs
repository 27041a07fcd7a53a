//! What blocks are made of.

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::super::content::Content;
use super::super::file::ContentHash;
use super::super::limits::MAX_DATA;
use super::super::name::FileName;

/// What every snapshot begins with.
pub(super) const MAGIC: &str = "jangada files";

/// The version of the format that this code writes, and the only one it reads.
pub(super) const VERSION: u32 = 1;

/// No chunk has more bytes.
pub(super) const MAX_CHUNK: usize = MAX_DATA;

/// One record of a block, encoded with postcard. Variants are only ever added at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Record<'a> {
    Header {
        magic: &'a str,
        version: u32,
    },
    File {
        uuid: Uuid,
        name: FileName,
        revision: u64,
        index: u64,
        #[serde(borrow)]
        content: Parts<'a>,
    },
    Session {
        id: u64,
        last_used: u64,
        acknowledged: u64,
    },
    /// An answer kept for the session before it.
    Reply {
        serial: u64,
        #[serde(serialize_with = "raw")]
        reply: &'a [u8],
    },
    Upload {
        session: u64,
        upload: Uuid,
        onto: Option<Uuid>,
        base: ContentHash,
        content: Parts<'a>,
        /// Where the chunks begin that are ahead of a gap.
        ahead: Vec<u64>,
    },
    End {
        files: u64,
        sessions: u64,
        uploads: u64,
        state_hash: u64,
    },
    /// A client that uses keys. Stands before the end.
    Client {
        client: u64,
        last_used: u64,
        first: u64,
    },
    /// An answer kept for the client before it.
    KeyedReply {
        serial: u64,
        fingerprint: u64,
        #[serde(serialize_with = "raw")]
        reply: &'a [u8],
    },
}

/// Content, but for the pieces that follow the block.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Parts<'a> {
    /// How many.
    pub(super) pieces: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Their sum, in order.
    pub(super) sum: u64,
    /// What is behind them.
    #[serde(serialize_with = "raw")]
    pub(super) tail: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn of(content: &'a Content) -> Self {
        let (pieces, bytes, sum) = content.frozen();
        Self { pieces, bytes, sum, tail: content.tail() }
    }
}

/// Bytes at once, not one by one.
fn raw<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
