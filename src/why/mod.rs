//! Why something is so: which orders caused it, and how it came to be.
//!
//! A cause is an order without which the run would have gone otherwise. So it is left out, all
//! else is done again at the same moments, and the two runs are compared; what makes no difference
//! is not named. If no single order does, a smallest set of them is looked for. How the cause led
//! to what is asked about is told by going back from it through the recorded events, by one rule
//! for each kind of them.
//!
//! Two runs are never the same in everything: a message less, and every later draw is another. So
//! what is compared is told with some tolerance (`fact.rs`), an order that is enough by itself is
//! named alone, and what had been undone long before is not named together with what had not
//! (`cause.rs`).

mod account;
mod answer;
mod cause;
mod chain;
mod fact;
mod leadership;
mod live;
mod message;
mod phrase;
mod suspect;
mod trace;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use account::Account;
pub use answer::{Answer, Cause, Verdict};
use cause::Finding;
pub use chain::Link;
use fact::Fact;
pub(crate) use live::{Live, explain_live};
use suspect::Suspect;
pub use trace::{TraceError, explain_trace};
use trial::Trials;

use crate::raft::Time;
use crate::replay::Timeline;
use crate::script::{Inquiry, Statement};

/// Answers a question about a run, asked at the moment `now`.
///
/// # Errors
/// If it cannot make a runtime.
pub fn explain(timeline: &Timeline, inquiry: &Inquiry, now: Time) -> io::Result<Answer> {
    let at = inquiry.at.map_or(now, |at| Time::default() + at);
    if at > now {
        return Ok(Answer::not_yet(at, now));
    }
    let looks = fact::looks(inquiry.question, at);
    let run = trial::run(timeline, &BTreeSet::new(), &looks, Account::new(true))?;
    let seen = run.seen;
    let Some(timing) = seen.looks.last().map(|status| status.timing) else {
        return Ok(Answer::not_so("The cluster has ended.".to_owned()));
    };
    let fact = match Fact::find(inquiry.question, at, &seen) {
        Ok(fact) => fact,
        Err(instead) => return Ok(Answer::not_so(instead)),
    };
    let (suspects, refused) = suspect::suspects(&seen.account, fact.place());
    let steps = seen.account.steps_before(fact.place());
    let texts = texts(timeline, &suspects);
    let pinned = timeline.pinned(&run.began[..steps.min(run.began.len())], &texts);
    let mut trials = Trials::new(&pinned, &fact, timing, refused.into_iter().collect());
    let finding = cause::find(&suspects, &fact, &mut trials)?;
    let replays = trials.count;
    let named: Vec<&Suspect> = finding.named().iter().map(|place| &suspects[*place]).collect();
    let chain = chain::chain(&fact, &named, &seen, timing);
    let causes = named.iter().map(|suspect| Cause::of(suspect, timeline)).collect();
    let verdict = Verdict::of(&finding, causes);
    let left_out = suspects.len();
    Ok(Answer { chain, replays, left_out, ..Answer::of(fact, verdict) })
}

/// What the orders say whose servers are to stay the same.
fn texts(timeline: &Timeline, suspects: &[Suspect]) -> BTreeMap<usize, String> {
    let mut texts = BTreeMap::new();
    for suspect in suspects {
        let text = &timeline.steps()[suspect.step].text;
        let tries = text.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("try"));
        let text = match suspect.orders.as_slice() {
            [order] if tries => Statement::Try(order.clone()).to_string(),
            [order] if !text.to_ascii_lowercase().starts_with("submit") => order.to_string(),
            [there, back] if phrase::is_there_and_back(there, back) => {
                let (there, back) = (there.clone(), back.clone());
                Statement::BothWays { there, back }.to_string()
            }
            _ => continue,
        };
        texts.insert(suspect.step, text);
    }
    texts
}

impl Finding {
    /// The places of the suspects that are named as causes.
    fn named(&self) -> Vec<usize> {
        match self {
            Self::NoOrder | Self::Unclear => Vec::new(),
            Self::Alone(one) => vec![*one],
            Self::Together(some) | Self::Either(some) | Self::Only(some) => some.clone(),
        }
    }
}
