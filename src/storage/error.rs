//! What a server's storage finds wrong, in words for whoever must see to it.

use std::fmt;

use super::disk::{DiskError, FileId};
use super::segments::Identity;
use crate::raft::{ChunkId, Index};

/// Why a server must not start, or must not go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no log.
    #[error(
        "its disk holds no log: it was never formatted, or all of it is lost. Without its log it \
         could vote twice in one term and forget what it acknowledged: it must join again, empty, \
         and get everything from the others"
    )]
    NotFormatted,
    /// There is a log already where one was to be made.
    #[error("its disk holds {0} already; only an empty disk is formatted")]
    NotEmpty(FileId),
    /// What was durable cannot be read.
    #[error(
        "{file} is damaged at byte {at}: record {sequence} was synced, as a later record shows, \
         and is not there any more. What it held may have been acknowledged: the server must join \
         again, empty, and get everything from the others"
    )]
    Damaged {
        /// The file.
        file: FileId,
        /// Where in the file, in bytes.
        at: u64,
        /// The number of the record.
        sequence: u64,
    },
    /// A chunk of the snapshot cannot be read.
    #[error(
        "chunk {chunk} of its snapshot is damaged or gone{}. The log that the snapshot took the \
         place of is gone, too: the server must join again, empty, and get everything from the \
         others",
        Unreadable(*.unreadable)
    )]
    ChunkLost {
        /// The chunk.
        chunk: ChunkId,
        /// The chunk's place, in bytes; if that is not known, the first in a pack where something
        /// stands that is no chunk, if there is one.
        unreadable: Option<(FileId, u64)>,
    },
    /// The chunks of the snapshot are what they were, and make no state.
    #[error(
        "the snapshot on its disk makes no state: {0}. It was taken by another version of jangada, \
         or by one that errs; a new server, under a new number, must take its place"
    )]
    Snapshot(String),
    /// A majority of the servers agrees on another state.
    #[error(
        "its state differs from that of a majority from entry {0} on: its disk or its memory is \
         damaged, or it runs another version. Started again, it applies its log anew; if it fails \
         again, a new server, under a new number, must take its place"
    )]
    Diverged(Index),
    /// The log is another server's.
    #[error("{file} is of {found}, and this is {expected}: its disk was given to the wrong server")]
    Foreign {
        /// The file.
        file: FileId,
        /// Whose it is.
        found: Identity,
        /// Whose it should be.
        expected: Identity,
    },
    /// The log is of another version.
    #[error("{file} has format {found}; this version of jangada reads format {expected}")]
    Format {
        /// The file.
        file: FileId,
        /// Its format.
        found: u32,
        /// The format that can be read.
        expected: u32,
    },
    /// There is no room to format the disk.
    #[error("its disk has no room for the {bytes} bytes of a new log: make room, then try again")]
    NoRoom {
        /// How many are needed.
        bytes: u64,
    },
    /// The disk takes nothing, for too long.
    #[error(
        "{bytes} bytes wait for its disk, and {limit} may: it is full, or does not get done. See \
         to the disk, then start the server again"
    )]
    Backlog {
        /// How many wait.
        bytes: u64,
        /// How many may.
        limit: u64,
    },
    /// The disk failed.
    #[error("{0}. See to the disk, then start the server again")]
    Disk(#[from] DiskError),
}

impl StorageError {
    /// Whether the server can serve again only if its log is made anew
    /// ([`reformat_joining`](super::DataDir::reformat_joining)).
    pub fn must_join_again(&self) -> bool {
        matches!(self, Self::NotFormatted | Self::Damaged { .. } | Self::ChunkLost { .. })
    }
}

/// Where a disk could not be read, as the end of a clause.
struct Unreadable(Option<(FileId, u64)>);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((file, at)) => write!(f, ": {file} cannot be read at byte {at}"),
            None => f.write_str(": none of its packs holds it"),
        }
    }
}

/// The end of a log that was being written when the server ended: no sync covered it, nobody was
/// told of it, and recovery cuts it off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TornTail {
    /// The file.
    pub file: FileId,
    /// The first byte that is cut off.
    pub at: u64,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the torn tail of its log, from byte {} of {} on", self.at, self.file)
    }
}
