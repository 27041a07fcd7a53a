//! How long batches take.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of a histogram of durations, in microseconds; one more bucket is above them.
pub const SYNC_BUCKETS: [u64; 14] = [
    100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 409_600, 1_638_400,
    6_553_600,
];

/// What a disk has done since its directory was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncTimes {
    /// How many batches took at most as long as each of [`SYNC_BUCKETS`], and longer than the one
    /// before; the last: how many took longer than all.
    pub counts: [u64; SYNC_BUCKETS.len() + 1],
    /// How long all of them took together, from the first write to the end of the sync.
    pub total: Duration,
    /// The bytes that they wrote.
    pub bytes: u64,
}

#[derive(Default)]
pub(super) struct Meter {
    counts: [AtomicU64; SYNC_BUCKETS.len() + 1],
    microseconds: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// Does something, and counts how long it takes.
    #[expect(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "says how long something took, and decides nothing"
    )]
    pub(super) fn time<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        let began = std::time::Instant::now();
        let result = work();
        let taken = began.elapsed().as_micros() as u64;
        let bucket = SYNC_BUCKETS.partition_point(|bound| *bound < taken);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.microseconds.fetch_add(taken, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        result
    }

    pub(super) fn times(&self) -> SyncTimes {
        SyncTimes {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Relaxed)),
            total: Duration::from_micros(self.microseconds.load(Relaxed)),
            bytes: self.bytes.load(Relaxed),
        }
    }
}
