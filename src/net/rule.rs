//! What a directed link does to the messages it carries.

use std::time::Duration;

use crate::raft::Luck;

/// The rule of one directed link. The default passes every message on at once.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct LinkRule {
    /// Nothing passes.
    pub cut: bool,
    /// Every message takes this long.
    pub latency: Duration,
    /// Every message takes up to this much longer, drawn at random; their order is kept.
    pub jitter: Duration,
    /// The probability that a message is lost.
    pub loss: f64,
    /// The probability that a message arrives twice.
    pub duplicate: f64,
    /// The probability that a message is held back and may be overtaken.
    pub reorder: f64,
}

/// What happens to one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It never arrives.
    Lost(&'static str),
    /// It arrives after this long.
    Arrives {
        /// The time on the way.
        after: Duration,
        /// Later messages may overtake it.
        overtaken: bool,
        /// It arrives a second time, as late as this.
        again: Option<Duration>,
    },
}

/// How long a held back message or a second copy may take longer than the others.
const HOLD: Duration = Duration::from_millis(100);

impl LinkRule {
    /// Whether the link does nothing at all to a message.
    pub fn is_clear(&self) -> bool {
        *self == Self::default()
    }

    /// The longest that a message can be on its way.
    pub fn longest(&self) -> Duration {
        let held = if self.reorder > 0.0 || self.duplicate > 0.0 { HOLD } else { Duration::ZERO };
        self.latency.saturating_add(self.jitter).saturating_add(held)
    }

    /// Draws what happens to one message. Draws only what the rule leaves to chance.
    pub fn fate(&self, luck: &mut dyn Luck) -> Fate {
        if self.cut {
            return Fate::Lost("the link is cut");
        }
        if happens(self.loss, luck) {
            return Fate::Lost("lost on the way");
        }
        let on_the_way = self.latency.saturating_add(up_to(self.jitter, luck));
        let overtaken = happens(self.reorder, luck);
        let held = |luck: &mut dyn Luck| on_the_way.saturating_add(up_to(HOLD, luck));
        let after = if overtaken { held(luck) } else { on_the_way };
        let again = happens(self.duplicate, luck).then(|| held(luck));
        Fate::Arrives { after, overtaken, again }
    }
}

fn happens(probability: f64, luck: &mut dyn Luck) -> bool {
    // The upper 53 bits are a fraction that f64 holds exactly, equally on every machine.
    probability > 0.0 && ((luck.draw() >> 11) as f64) < probability * (1u64 << 53) as f64
}

fn up_to(longest: Duration, luck: &mut dyn Luck) -> Duration {
    match u64::try_from(longest.as_nanos()) {
        Ok(0) | Err(_) => Duration::ZERO,
        Ok(nanoseconds) => Duration::from_nanos(luck.draw() % (nanoseconds + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_what_the_rule_says() {
        let mut next = 0u64;
        let mut luck = || {
            next = next.wrapping_add(0x9e37_79b9_7f4a_7c15);
            next
        };
        let rule = LinkRule { loss: 0.25, ..LinkRule::default() };
        let lost = (0..10_000).filter(|_| matches!(rule.fate(&mut luck), Fate::Lost(_))).count();
        assert!((2_400..2_600).contains(&lost), "{lost} of 10000 were lost");
        let cut = LinkRule { cut: true, ..LinkRule::default() };
        assert_eq!(cut.fate(&mut luck), Fate::Lost("the link is cut"));
    }

    #[test]
    fn a_clear_link_draws_nothing() {
        let mut luck = || -> u64 { panic!("a draw") };
        let after = Duration::ZERO;
        let fate = LinkRule::default().fate(&mut luck);
        assert_eq!(fate, Fate::Arrives { after, overtaken: false, again: None });
        assert!(LinkRule::default().is_clear());
    }
}
