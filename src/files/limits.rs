//! The bounds of the store, and byte counts for people.

use std::fmt;

/// The recommended size of a chunk of a staged upload, in bytes.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The most data one command may carry, in bytes.
pub const MAX_DATA: usize = 1024 * 1024;

/// The most content one [`Query::Read`](super::Query::Read) returns, in bytes.
pub const MAX_READ: usize = 1024 * 1024;

/// The most files one [`Query::List`](super::Query::List) returns.
pub const MAX_PAGE: usize = 500;

/// The most commands of one [`Command::Batch`](super::Command::Batch).
pub const MAX_BATCH: usize = 64;

/// The most versions that one [`Command::IfVersion`](super::Command::IfVersion) names.
pub const MAX_VERSIONS: usize = 16;

/// How many of a client's numbers a [`Key`](super::Key) may lie behind its highest: the answers to
/// so many are kept.
pub const KEY_WINDOW: u64 = 128;

/// What the store holds at most. Must be equal on all servers: a refusal is part of the
/// replicated history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file or one staged upload. Default 1 GiB.
    pub file_bytes: u64,
    /// Bytes of all files and all staged uploads together. Default 64 GiB.
    pub store_bytes: u64,
    /// Files. Default 1,000,000.
    pub files: usize,
    /// Staged uploads not yet used or discarded, over all sessions. Default 1024.
    pub uploads: usize,
    /// Chunks of one upload waiting for an earlier one. Default 256, so that the chunk that closes
    /// a gap never has much to hash at once.
    pub chunks_ahead: usize,
    /// Sessions; opening one more expires the least recently used. As many clients that use keys
    /// are remembered, by the same rule. Default 4096.
    pub sessions: usize,
    /// Answers kept for one session because the client has not acknowledged them; most have less
    /// than 100 bytes, none more than 16 KiB for each command. Default 256.
    pub unacknowledged: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            store_bytes: 64 << 30,
            files: 1_000_000,
            uploads: 1024,
            chunks_ahead: 256,
            sessions: 4096,
            unacknowledged: 256,
        }
    }
}

/// How much of the past a store keeps beside its files, for those who follow the changes or read
/// what was. Each server may choose its own: nothing that is applied depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Changes; the oldest are forgotten first. Default 65,536, some 10 MiB.
    pub changes: usize,
    /// Bytes of files that were deleted or replaced; the oldest are forgotten first. Default
    /// 256 MiB.
    pub bytes: u64,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { changes: 65_536, bytes: 256 << 20 }
    }
}

/// A number of bytes, shown in the largest binary unit it reaches: `5 B`, `256 KiB`, `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) = match self.0 {
            0..1024 => return write!(f, "{} B", self.0),
            bytes if bytes < 1 << 20 => ("KiB", 1 << 10),
            bytes if bytes < 1 << 30 => ("MiB", 1 << 20),
            _ => ("GiB", 1_u64 << 30),
        };
        if self.0.is_multiple_of(bytes) {
            write!(f, "{} {unit}", self.0 / bytes)
        } else {
            write!(f, "{:.1} {unit}", self.0 as f64 / bytes as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let shown = [0, 5, 1023, 1024, 1536, CHUNK_BYTES as u64, 1 << 30, 3 << 29]
            .map(|bytes| Size(bytes).to_string());
        let expected = ["0 B", "5 B", "1023 B", "1 KiB", "1.5 KiB", "256 KiB", "1 GiB", "1.5 GiB"];
        assert_eq!(shown, expected);
    }
}
