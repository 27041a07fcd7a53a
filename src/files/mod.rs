//! The replicated file store: what the log is for.
//!
//! The log carries opaque bytes; this room gives them their meaning. Every server feeds the same
//! entries, in the same order, to [`FileStore::apply`], so every server holds the same files and
//! gives the same answers: applying is a function of the store and the entry alone. No clock, no
//! randomness, no disk, and no way to fail that could differ between servers: what cannot be done
//! is a [`Refusal`], an answer like any other.
//!
//! - **Files** have a uuid (drawn by whoever proposes the command, never here), a unique
//!   [`FileName`], a size, a blake3 hash, and a revision. The content of one uuid only ever
//!   grows, so a file can be read page by page while others append to it.
//! - **Content** comes in the log in chunks of at most [`MAX_DATA`] bytes. A larger file is
//!   *staged* chunk by chunk and becomes visible all at once, when the command that uses the
//!   upload is applied. Chunks are kept as slices of the log's own bytes.
//! - **Sessions** make requests exactly-once (Raft thesis, section 6.3): a client opens a session,
//!   numbers its requests, and a repeated number is answered from the session's table.
//! - **Keys** make them exactly-once across sessions, too: a client that knows no session, and speaks
//!   now to this server and now to that, gives its request a [`Key`] of its own.
//! - **Conditions and batches**: a command may be carried out [only if](Command::If) a file still
//!   has the revision that its client saw, and [several](Command::Batch) all or none.
//! - **Queries** read and change nothing; when they may be asked (read index, lease, stale) is the
//!   business of those who ask.
//! - **History**: the latest changes are kept, for those who [follow](Query::Changes) them and for
//!   [reading](Query::ReadAt) files as they were. It is each server's own: a store that has just
//!   been restored has none, and answers every command like the others.
//! - **Snapshots**: a store is [frozen](FileStore::freeze) at an index in less than a millisecond,
//!   since files are shared until they are written to, and handed out in chunks named by their
//!   hash, while the store goes on. From the chunks an empty store is [rebuilt](Restore) that
//!   cannot be told from the one that was frozen: files, sessions, stored answers and uploads.
//! - The **state hash** covers the same. Every entry updates it, so servers can compare all that
//!   they hold at any index for nothing.
//!
//! - **Content on a disk**: a store that is given a [`ChunkStore`] lets go of what a durable snapshot
//!   holds, and reads it from there. What stays in memory is all that is not content; of each file
//!   its last up to 64 KiB, until they are followed by more; chunks that came ahead of a gap; and
//!   what came since the last snapshot.
//!
//! Memory is bounded by [`Limits`] in bytes, files, uploads, sessions and stored answers, and by
//! [`HistoryLimits`] in changes and in the bytes that only history still holds. What a [`Frozen`]
//! store shares with the live one is in memory once; what the live one drops meanwhile stays until
//! the frozen one has handed it out or is dropped.

mod batch;
mod catalogue;
mod command;
mod content;
mod execute;
mod file;
mod history;
mod journal;
mod keys;
mod limits;
mod name;
mod nested;
mod past;
mod query;
mod refusal;
mod reply;
mod session;
mod shards;
mod shelf;
mod snapshot;
mod store;
mod sum;
mod upload;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod traps;

pub use command::{Command, Key, Part, Request, close_session, describe, open_session};
pub use file::{ContentHash, FileInfo};
pub use history::{Change, ChangeKind};
pub use limits::{
    CHUNK_BYTES, HistoryLimits, KEY_WINDOW, Limits, MAX_BATCH, MAX_DATA, MAX_PAGE, MAX_READ,
    MAX_VERSIONS, Size,
};
pub use name::{FileName, NameError};
pub use past::VersionInfo;
pub use query::Query;
pub use refusal::Refusal;
pub use reply::{Answer, Reply};
pub use shelf::ChunkStore;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use snapshot::snapshot;
pub use snapshot::{Frozen, Restore, RestoreError};
pub use store::FileStore;
