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
//! - **Queries** read and change nothing; when they may be asked (read index, lease, stale) is the
//!   business of those who ask.
//!
//! Memory is bounded by [`Limits`] in bytes, files, uploads, sessions and stored answers.

mod batch;
mod catalogue;
mod command;
mod content;
mod execute;
mod file;
mod history;
mod journal;
mod limits;
mod name;
mod nested;
mod past;
mod query;
mod refusal;
mod reply;
mod session;
mod shards;
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

pub use command::{Command, Part, Request, close_session, describe, open_session};
pub use file::{ContentHash, FileInfo};
pub use history::{Change, ChangeKind};
pub use limits::{
    CHUNK_BYTES, HistoryLimits, Limits, MAX_BATCH, MAX_DATA, MAX_PAGE, MAX_READ, Size,
};
pub use name::{FileName, NameError};
pub use past::VersionInfo;
pub use query::Query;
pub use refusal::Refusal;
pub use reply::{Answer, Reply};
pub use snapshot::{Frozen, Restore, RestoreError};
pub use store::FileStore;
