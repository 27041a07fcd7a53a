//! A run by the clock on the wall: no replay is exactly the same.

use std::io;

use super::account::Account;
use super::answer::{Answer, Verdict};
use super::chain;
use super::explain;
use super::fact::{Fact, Moment, Seen};
use crate::actors::ClusterStatus;
use crate::raft::Time;
use crate::replay::{Heard, Timeline};
use crate::script::{Inquiry, Question};
use crate::storage::DiskKind;

/// What is known of a run by the clock on the wall.
pub(crate) struct Live {
    pub(crate) settings: (u64, u64, DiskKind),
    /// What was carried out, and when, if all of it is known.
    pub(crate) lines: Option<Vec<(Time, String)>>,
    /// The latest events, as a trace has them.
    pub(crate) events: Vec<String>,
    pub(crate) status: ClusterStatus,
}

/// Answers a question about such a run. What was ordered is done again in virtual time; if that
/// does not show what is so, the recorded events alone are told, and no cause is named.
///
/// # Errors
/// If it cannot make a runtime.
pub(crate) fn explain_live(live: Live, inquiry: &Inquiry) -> io::Result<Answer> {
    let Live { settings, lines, events, status } = live;
    let (now, timing) = (status.at, status.timing);
    let at = inquiry.at.map_or(now, |at| Time::default() + at);
    if at > now {
        return Ok(Answer::not_yet(at, now));
    }
    let mut account = Account::new(true);
    for line in &events {
        if Account::moment(line).is_none_or(|moment| moment <= at) {
            account.hear(Heard::Line(line));
        }
    }
    let seen = Seen { account, looks: vec![status], servers: settings.0 };
    // Votes are messages, and those are not recorded.
    let fact = match inquiry.question {
        Question::RefusedVote(_) => None,
        question => match Fact::find(question, at, &seen) {
            Ok(fact) => Some(fact),
            Err(instead) => return Ok(Answer::not_so(instead)),
        },
    };
    if let Some(timeline) = lines.and_then(|lines| Timeline::recorded(settings, lines)) {
        let mut answer = explain(&timeline, &Inquiry { at: None, ..*inquiry }, at)?;
        let same = answer.fact.as_ref().zip(fact.as_ref()).is_none_or(|(a, b)| a.resembles(b));
        if same && !matches!(answer.verdict, Verdict::NotSo | Verdict::Unconfirmed) {
            answer.replayed = true;
            return Ok(answer);
        }
    }
    let Some(fact) = fact else {
        return Ok(Answer::not_so(format!(
            "What was done until {} was done again in virtual time, and no such vote was refused \
             there. Messages are not recorded here: `jangada --virtual` answers exactly.",
            Moment(at)
        )));
    };
    let chain = chain::chain(&fact, &[], &seen, timing);
    Ok(Answer { chain, ..Answer::of(fact, Verdict::Unconfirmed) })
}
