//! The one clock of a sandbox: tokio's, which runs by itself or, paused, jumps from timer to
//! timer.

use std::time::Duration;

use crate::raft::Time;

/// Tells the time since the sandbox began, real or virtual.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: tokio::time::Instant,
}

impl Clock {
    /// A clock that begins now. Call it inside the runtime that drives the actors.
    pub(crate) fn start() -> Self {
        Self { epoch: tokio::time::Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        let elapsed = tokio::time::Instant::now().saturating_duration_since(self.epoch);
        Time::from_nanos(0) + elapsed
    }

    /// Waits until `moment`.
    pub async fn sleep_until(&self, moment: Time) {
        let offset = Duration::from_nanos(moment.as_nanos());
        tokio::time::sleep_until(self.epoch + offset).await;
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
