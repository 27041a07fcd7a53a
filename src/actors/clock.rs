//! The one clock of a sandbox, and the clock that each server goes by, which may be wrong.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::raft::Time;

/// Tells the time since the sandbox began: tokio's clock, which runs by itself or, paused, jumps
/// from timer to timer.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: tokio::time::Instant,
}

/// The clock that one server goes by: it may run faster or slower than the sandbox's, and has
/// perhaps jumped. Clones are handles to the same clock, which runs on while its server is down.
#[derive(Clone, Debug)]
pub(crate) struct LocalClock(Rc<Cell<Reckoning>>);

/// How a server's time follows from the sandbox's.
#[derive(Clone, Copy, Debug)]
struct Reckoning {
    /// When the clock was set, by the sandbox's clock.
    since: Time,
    /// What it showed then.
    shown: Time,
    /// Millionths of a second that it counts in a second. In whole numbers, so that a moment
    /// converted there and back is never too early: a timer would fire for nothing, again and
    /// again.
    rate: u64,
}

/// How wrong a server's clock is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClockError {
    /// Its seconds to one second.
    pub rate: f64,
    /// By how much jumps and a wrong rate have put it ahead of the sandbox's clock.
    pub ahead: Duration,
    /// By how much they have put it behind.
    pub behind: Duration,
}

/// The rate of a clock that is right, in millionths.
const RIGHT: u64 = 1_000_000;
/// What the clocks of servers show when a sandbox begins: late enough for any jump back.
const BEGINNING: Duration = Duration::from_secs(1_000_000_000);

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

impl LocalClock {
    /// The slowest and the fastest rate that a clock can have.
    pub(crate) const RATES: (f64, f64) = (0.01, 100.0);

    /// A clock that is right.
    pub(crate) fn new() -> Self {
        let since = Time::default();
        Self(Rc::new(Cell::new(Reckoning { since, shown: since + BEGINNING, rate: RIGHT })))
    }

    /// What the clock shows at `moment` of the sandbox's.
    pub(crate) fn at(&self, moment: Time) -> Time {
        let Reckoning { since, shown, rate } = self.0.get();
        shown + scaled(moment.since(since), rate, RIGHT, 0)
    }

    /// When, by the sandbox's clock, it will show `moment` or more if nobody sets it.
    pub(crate) fn when(&self, moment: Time) -> Time {
        let Reckoning { since, shown, rate } = self.0.get();
        since + scaled(moment.since(shown), RIGHT, rate, rate - 1)
    }

    /// Lets it run at this rate, within [`RATES`](Self::RATES), from `now` on.
    pub(crate) fn set_rate(&self, now: Time, rate: f64) {
        let (slowest, fastest) = Self::RATES;
        let rate = (rate.clamp(slowest, fastest) * RIGHT as f64).round() as u64;
        self.0.set(Reckoning { since: now, shown: self.at(now), rate });
    }

    /// Sets it forward, or back, at `now`; no farther than thirty years from the beginning.
    pub(crate) fn jump(&self, now: Time, by: Duration, back: bool) {
        let shown = self.at(now);
        let shown = if back {
            Time::default() + shown.since(Time::default() + by)
        } else {
            (shown + by).min(Time::default() + 2 * BEGINNING)
        };
        self.0.set(Reckoning { since: now, shown, ..self.0.get() });
    }

    /// How wrong it is at `now`, if it is.
    pub(crate) fn error(&self, now: Time) -> Option<ClockError> {
        let rate = self.0.get().rate;
        let (shown, right) = (self.at(now), now + BEGINNING);
        (rate != RIGHT || shown != right).then(|| ClockError {
            rate: rate as f64 / RIGHT as f64,
            ahead: shown.since(right),
            behind: right.since(shown),
        })
    }
}

/// `duration * times / by`, after `more` was added to the product.
fn scaled(duration: Duration, times: u64, by: u64, more: u64) -> Duration {
    if times == by {
        return duration;
    }
    let nanoseconds = (duration.as_nanos() * u128::from(times) + u128::from(more)) / u128::from(by);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

impl fmt::Display for ClockError {
    /// As in `2.5 s ahead, rate 1.2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, ahead, behind } = self;
        match (ahead.is_zero(), behind.is_zero()) {
            (false, _) => write!(f, "{} s ahead", milliseconds(*ahead))?,
            (_, false) => write!(f, "{} s behind", milliseconds(*behind))?,
            (true, true) => f.write_str("right so far")?,
        }
        if *rate == 1.0 { Ok(()) } else { write!(f, ", rate {rate}") }
    }
}

/// Seconds, exact to the millisecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Time {
        Time::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_right_clock_converts_there_and_back_exactly() {
        let clock = LocalClock::new();
        assert_eq!(clock.when(clock.at(seconds(7))), seconds(7));
        assert_eq!(clock.error(seconds(7)), None);
    }

    #[test]
    fn a_rate_counts_from_when_it_was_set() {
        let clock = LocalClock::new();
        clock.set_rate(seconds(10), 1.5);
        assert_eq!(clock.at(seconds(14)), seconds(16) + BEGINNING);
        clock.set_rate(seconds(14), 1.0);
        let error = clock.error(seconds(100)).unwrap();
        assert_eq!(
            (error.rate, error.ahead, error.behind.is_zero()),
            (1.0, Duration::from_secs(2), true)
        );
        assert_eq!(error.to_string(), "2 s ahead");
    }

    #[test]
    fn a_jump_back_takes_exactly_as_much_as_one_forward_gave() {
        let clock = LocalClock::new();
        clock.jump(seconds(1), Duration::from_millis(2500), true);
        assert_eq!(clock.error(seconds(1)).unwrap().to_string(), "2.5 s behind");
        clock.jump(seconds(2), Duration::from_millis(2500), false);
        assert_eq!(clock.error(seconds(2)), None);
    }

    proptest! {
        /// A timer that is set for a moment finds that moment reached when it fires, and would
        /// not have found it a nanosecond before.
        #[test]
        fn when_is_the_first_moment_that_shows_enough(
            rate in 0.01..=100.0, now in 0..1u64 << 50, ahead in 0..1u64 << 50, back: bool,
        ) {
            let (clock, now) = (LocalClock::new(), Time::from_nanos(now));
            clock.jump(now, Duration::from_secs(100), back);
            clock.set_rate(now, rate);
            let moment = clock.at(now) + Duration::from_nanos(ahead);
            let when = clock.when(moment);
            prop_assert!(clock.at(when) >= moment);
            if when > now {
                let before = Time::from_nanos(when.as_nanos() - 1);
                prop_assert!(clock.at(before) < moment);
            }
        }
    }
}
