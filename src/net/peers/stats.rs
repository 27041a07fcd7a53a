//! What is known of the connections to one server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is known of the connections to one server, both ways and both lanes together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerStats {
    /// How long the connection to it has been there; `None` if there is none. Of a server, the
    /// one for messages of the protocol.
    pub connected: Option<Duration>,
    /// The latest round trip over it.
    pub round_trip: Option<Duration>,
    /// Bytes that came from it.
    pub bytes_in: u64,
    /// Bytes that went to it.
    pub bytes_out: u64,
    /// Frames that came from it.
    pub frames_in: u64,
    /// Frames that went to it.
    pub frames_out: u64,
    /// Messages to it that were lost here, for want of a connection or of room.
    pub dropped: u64,
    /// Roughly the bytes that wait to be written to it.
    pub waiting: usize,
    /// How often a connection to it was made.
    pub connections: u64,
}

/// What connections count.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) frames_in: AtomicU64,
    pub(super) frames_out: AtomicU64,
    connections: AtomicU64,
    /// In nanoseconds; 0 if it is not known.
    round_trip: AtomicU64,
}

impl Counters {
    pub(super) fn answered_after(&self, nanos: u64) {
        self.round_trip.store(nanos.max(1), Ordering::Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.round_trip.store(0, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, stats: &mut PeerStats) {
        stats.bytes_in += self.bytes_in.load(Ordering::Relaxed);
        stats.bytes_out += self.bytes_out.load(Ordering::Relaxed);
        stats.frames_in += self.frames_in.load(Ordering::Relaxed);
        stats.frames_out += self.frames_out.load(Ordering::Relaxed);
        stats.connections += self.connections.load(Ordering::Relaxed);
        let nanos = self.round_trip.load(Ordering::Relaxed);
        stats.round_trip = stats.round_trip.or((nanos > 0).then(|| Duration::from_nanos(nanos)));
    }
}
