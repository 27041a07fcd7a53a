//! An answer, for people.

use std::fmt::{self, Display, Formatter};

use super::cause::Finding;
use super::chain::Link;
use super::fact::{Fact, Loss, Moment};
use super::suspect::Suspect;
use crate::raft::Time;
use crate::replay::Timeline;

/// The answer to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What is so, if what was asked about is.
    pub(super) fact: Option<Fact>,
    /// What is so, in a sentence.
    pub(super) statement: String,
    /// What caused it.
    pub verdict: Verdict,
    /// How it came to be, oldest first: ten recorded events at the most.
    pub chain: Vec<Link>,
    /// How many runs it took.
    pub replays: usize,
    /// How many orders there were to leave out.
    pub(super) left_out: usize,
    /// What is told is another run in which the same was done.
    pub(super) replayed: bool,
}

/// What leaving out orders has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// What was asked about is not so.
    NotSo,
    /// Without this order it would not be so.
    Because(Cause),
    /// Without any one of these orders it would not be so.
    Together(Vec<Cause>),
    /// Each of these orders is enough.
    Either(Vec<Cause>),
    /// It would not be so only without all of these orders.
    Only(Vec<Cause>),
    /// It would be so without any order.
    NoOrder,
    /// It is so in the recorded run and not when that is done again.
    Unconfirmed,
}

/// An order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// When it was given.
    pub at: Time,
    /// Its place among the steps of the timeline.
    pub step: usize,
    /// What was typed.
    pub text: String,
    /// Where it stands, if it is part of a scenario.
    pub line: Option<usize>,
}

impl Answer {
    /// An answer without a chain yet.
    pub(super) fn of(fact: Fact, verdict: Verdict) -> Self {
        Self {
            statement: fact.to_string(),
            fact: Some(fact),
            verdict,
            ..Self::not_so(String::new())
        }
    }

    pub(super) fn not_so(instead: String) -> Self {
        Self {
            fact: None,
            statement: instead,
            verdict: Verdict::NotSo,
            chain: Vec::new(),
            replays: 0,
            left_out: 0,
            replayed: false,
        }
    }

    pub(super) fn not_yet(at: Time, now: Time) -> Self {
        let (at, now) = (Moment(at), Moment(now));
        Self::not_so(format!("It is {now} now; what is at {at}, nobody knows yet."))
    }

    /// The orders that are named as causes.
    pub fn causes(&self) -> &[Cause] {
        match &self.verdict {
            Verdict::Because(cause) => std::slice::from_ref(cause),
            Verdict::Together(causes) | Verdict::Either(causes) | Verdict::Only(causes) => causes,
            Verdict::NotSo | Verdict::NoOrder | Verdict::Unconfirmed => &[],
        }
    }
}

impl Cause {
    pub(super) fn of(suspect: &Suspect, timeline: &Timeline) -> Self {
        let step = &timeline.steps()[suspect.step];
        Self { at: suspect.at, step: suspect.step, text: step.text.clone(), line: step.line }
    }
}

impl Verdict {
    pub(super) fn of(finding: &Finding, causes: Vec<Cause>) -> Self {
        match finding {
            Finding::NoOrder => Self::NoOrder,
            Finding::Unclear => Self::Unconfirmed,
            Finding::Together(_) => Self::Together(causes),
            Finding::Either(_) => Self::Either(causes),
            Finding::Only(_) => Self::Only(causes),
            Finding::Alone(_) => causes.into_iter().next().map_or(Self::NoOrder, Self::Because),
        }
    }
}

impl Display for Fact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeader { at, since, last } => {
                write!(f, "No server leads that a majority follows, at {}.", Moment(*at))?;
                match last {
                    Some(last) => write!(f, " The last was {last}, until {}.", Moment(*since)),
                    None => f.write_str(" There has not been one yet."),
                }
            }
            Self::LostLeadership { server, term, at, how, .. } => {
                let how = match how {
                    Loss::Ended(how) => format!("it {how}"),
                    Loss::SteppedDown(why) => why.to_string(),
                };
                write!(f, "{server} lost its leadership of term {term} at {}: {how}.", Moment(*at))
            }
            Self::NotCommitted { index, at, committed, .. } => write!(
                f,
                "Entry {index} is in a log and not committed, at {}. The log is committed up to \
                 {committed}.",
                Moment(*at)
            ),
            Self::RefusedVote { voter, candidate, at, pre_vote, .. } => {
                let kind = if *pre_vote { "pre-vote" } else { "vote" };
                write!(f, "{voter} refused {candidate} its {kind} at {}.", Moment(*at))
            }
        }
    }
}

impl Display for Answer {
    /// Several lines: what is so, why, and how it came to be.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.statement)?;
        let orders = match self.left_out {
            1 => "the one order before it was left out".to_owned(),
            orders => format!("the {orders} orders before it were left out in turn"),
        };
        match &self.verdict {
            Verdict::NotSo => return Ok(()),
            Verdict::Because(_) => writeln!(f, "Without this it would not be so ({orders}):")?,
            Verdict::Together(_) => {
                writeln!(f, "Without any one of these it would not be so ({orders}):")?;
            }
            Verdict::Either(_) => {
                writeln!(
                    f,
                    "Each of these is enough for it ({orders}, and all of them together):"
                )?;
            }
            Verdict::Only(_) => {
                writeln!(f, "It would not be so only without all of these ({orders}):")?;
            }
            Verdict::NoOrder if self.left_out == 0 => {
                writeln!(f, "No order was given before it, so none caused it.")?;
            }
            Verdict::NoOrder => {
                writeln!(f, "No order caused it: it is so without all of them, too.")?;
            }
            Verdict::Unconfirmed => writeln!(
                f,
                "Done again, the run goes otherwise, so no cause can be confirmed. What is recorded:"
            )?,
        }
        for cause in self.causes() {
            let line = cause.line.map_or(String::new(), |line| format!("   (line {line})"));
            writeln!(f, "  {:>10}  {}{line}", Moment(cause.at).to_string(), cause.text)?;
        }
        writeln!(f, "How it came to be:")?;
        if self.replayed {
            writeln!(f, "  (as it is when the same is done again in virtual time)")?;
        }
        for link in &self.chain {
            writeln!(f, "  {:>10}  {}", Moment(link.at).to_string(), link.text)?;
        }
        Ok(())
    }
}
