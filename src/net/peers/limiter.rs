//! Keeps an event that happens again and again from filling the log.

use std::time::Duration;

use tokio::time::Instant;

/// So many lines in a row, then no more until the time is over.
const LINES: u32 = 10;
const TIME: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Limiter {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Limiter {
    /// Whether a line may be written, and how many were left out before it.
    pub(super) fn allow(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.since.is_none_or(|since| now - since >= TIME) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines == LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_left_out_is_counted() {
        let mut limiter = Limiter::default();
        let allowed = (0..25).filter(|_| limiter.allow() == Some(0)).count();
        assert_eq!(allowed, LINES as usize);
        tokio::time::advance(TIME).await;
        assert_eq!(limiter.allow(), Some(15));
        assert_eq!(limiter.allow(), Some(0));
    }
}
