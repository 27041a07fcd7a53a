//! The black box: what entered the core of a server that ran, and doing it again.
//!
//! The core is a pure function of its inputs, so a recording of these (messages, proposals, disk
//! reports, the time by the server's clock, random draws) is all that it takes to see it do the
//! same again. A [`BlackBox`] records them beside the core, in a ring of files; [`replay`] joins
//! the recordings of the servers of a cluster, gives each core exactly what it was given, tells
//! the monitor of `invariants/` what follows, and compares: every step asks for what it asked
//! for then, and every checkpoint finds the state that was recorded.
//!
//! **What is not recorded**: payloads. The core never sees them; for each there is its size and a
//! hash, by which the monitor tells entries apart. Neither are answers to clients, nor what the
//! state machine does: of its state there is a hash now and then, which must be equal on all
//! servers.
//!
//! **What may be missing.** Old files go when the ring is full; records are left out when the disk
//! does not keep up; the last tenth of a second of a process that was killed, or so, was
//! never written; a file may be damaged. While a server is out of sight, the monitor believes it
//! ([`Fact::Unseen`](crate::invariants::Fact::Unseen)), and messages of it may come from nowhere.
//! Each file begins with the whole state of the core, so that whatever is there can be used.
//!
//! `file.rs` and `record.rs` are the format, byte by byte; `tests/golden/blackbox/` holds one.

mod digest;
mod encode;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod hashes;
mod join;
mod player;
mod reader;
mod record;
mod recorder;
mod report;
mod scene;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use fuzzing::fuzz;
pub use join::replay;
pub use reader::{Recording, Unreadable, is_recording};
pub(crate) use record::Payloads;
pub use recorder::BlackBox;
pub use report::{Difference, Report, Track};

/// The folder of a recording in a data directory.
pub const FOLDER: &str = "blackbox";

/// How a recording is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoxSettings {
    /// Most bytes of all its files together; at least [`MIN_BYTES`].
    pub bytes: u64,
}

/// The least that a ring can be.
pub const MIN_BYTES: u64 = 8 << 20;

/// What is counted of a recording.
#[derive(Debug)]
pub struct Counters {
    lost: AtomicU64,
    bytes: AtomicU64,
}

impl BoxSettings {
    /// Bytes behind the checkpoint at which a file is full.
    fn file_bytes(self) -> u64 {
        self.bytes / 8
    }
}

impl Counters {
    /// Records that were left out, because the disk did not take them in time.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
