//! How long to wait before the next attempt.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The first wait, which doubles with each failure.
const SHORTEST: Duration = Duration::from_millis(20);

/// Waits that grow with each failure, and are drawn so that servers do not keep step.
pub(super) struct Backoff {
    longest: Duration,
    next: Duration,
    luck: ChaCha8Rng,
}

impl Backoff {
    pub(super) fn new(longest: Duration, seed: u64) -> Self {
        Self { longest, next: SHORTEST, luck: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// It worked: the next wait is the shortest again.
    pub(super) fn reset(&mut self) {
        self.next = SHORTEST;
    }

    /// The wait before an attempt that there is a reason for: it never comes at once, lest two
    /// servers that refuse each other do so without end.
    pub(super) fn least(&self) -> Duration {
        SHORTEST / 4
    }

    /// The wait before the next attempt: between half of what it has grown to and all of it.
    pub(super) fn draw(&mut self) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = wait * 2;
        let half = wait / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_nanos(self.luck.next_u64() % nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_over_when_it_worked() {
        let mut backoff = Backoff::new(Duration::from_millis(100), 7);
        for longest in [20, 40, 80, 100, 100] {
            let (wait, longest) = (backoff.draw(), Duration::from_millis(longest));
            assert!(wait >= longest / 2 && wait < longest, "{wait:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.draw() < SHORTEST);
    }

    #[test]
    fn servers_do_not_keep_step() {
        let mut waits = (0..5).map(|seed| Backoff::new(Duration::from_secs(1), seed).draw());
        let first = waits.next();
        assert!(waits.all(|wait| Some(wait) != first));
    }
}
