//! The whole store as a sequence of chunks, and back.
//!
//! A chunk is a *block* of records, or bytes of content that stand for themselves: a piece of a
//! file or of an upload. The sequence is
//!
//! 1. a block with the version of the format;
//! 2. blocks of files, by uuid, each followed by the pieces of its files, in their order. What is
//!    not in pieces, the last up to 64 KiB of a file, is in the block;
//! 3. blocks of sessions, with the answers that are kept for them;
//! 4. blocks of uploads, each followed by their pieces and by the chunks that are ahead of a gap;
//! 5. a block that says how much there was, and the sum of the state.
//!
//! Where blocks end is decided by the uuids in them, not by counting: so a file that changes
//! changes its own block and perhaps a piece, and all other chunks are what they were in the
//! snapshot before. A block says how many pieces follow and what they sum up to, but not their
//! hashes: each piece is hashed when its turn comes, once in its life.

mod frozen;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod record;
mod restore;

#[cfg(test)]
mod tests;

pub use frozen::Frozen;
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::snapshot;
pub use restore::{Restore, RestoreError};
