//! A run by the clock on the wall: no replay is exactly the same.

use std::io;
use std::mem::discriminant;
use std::time::Duration;

use super::account::{Account, Event, Record};
use super::answer::{Answer, Verdict};
use super::chain;
use super::explain;
use super::fact::{Fact, Moment, Seen};
use crate::actors::ClusterStatus;
use crate::raft::{Time, Timing};
use crate::replay::{Heard, Timeline};
use crate::script::{self, Inquiry, Question, Statement, Variables};
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
    let lines = lines.map(|lines| resolved(lines, &seen.account));
    let replay = lines.and_then(|lines| Timeline::recorded(settings, &lines));
    let inquiry = Inquiry { at: None, ..*inquiry };
    let answer = replay.map(|timeline| explain(&timeline, &inquiry, at)).transpose()?;
    let confirms = |it: &Answer| !matches!(it.verdict, Verdict::NotSo | Verdict::Unconfirmed);
    let answer = answer.filter(confirms);
    Ok(match fact {
        Some(fact) => told(fact, answer, &seen, timing),
        None => match answer {
            Some(answer) => replayed(answer),
            None => Answer::not_so(format!(
                "What was done until {} was done again in virtual time, and no such vote was \
                 refused there. Messages are not recorded here: `jangada --virtual` answers \
                 exactly.",
                Moment(at)
            )),
        },
    })
}

fn replayed(answer: Answer) -> Answer {
    Answer { replayed: true, ..answer }
}

/// What is so in a run of which this was seen, with the cause that another run of the same orders
/// has confirmed.
pub(super) fn told(fact: Fact, confirmed: Option<Answer>, seen: &Seen, timing: Timing) -> Answer {
    match confirmed {
        // The same story, with its messages.
        Some(answer) if answer.fact.as_ref().is_some_and(|it| it.resembles(&fact)) => {
            replayed(answer)
        }
        confirmed => {
            let (replays, left_out) =
                confirmed.as_ref().map_or((0, 0), |it| (it.replays, it.left_out));
            let verdict = confirmed.map_or(Verdict::Unconfirmed, |it| it.verdict);
            let replayed = verdict != Verdict::Unconfirmed;
            let chain = chain::chain(&fact, &[], seen, timing);
            Answer { chain, replays, left_out, replayed, ..Answer::of(fact, verdict) }
        }
    }
}

/// The lines with the servers that their orders about the leader or the followers meant then.
fn resolved(mut lines: Vec<(Time, String)>, account: &Account) -> Vec<(Time, String)> {
    // Every line has its moment: none needs to wait.
    lines.retain(|(_, line)| !line.starts_with("wait"));
    let mut orders = account.orders();
    for (began, line) in &mut lines {
        let Ok(Some(mut statement)) = script::parse(line, &Variables::new()) else { continue };
        let (Statement::Order(order) | Statement::Try(order)) = &mut statement else { continue };
        let meant = |it: &&Record<Event>| it.at + Duration::from_millis(1) >= *began;
        let same = |it: &&Record<Event>| match &it.what {
            Event::Ordered(meant) => discriminant(meant) == discriminant(order),
            _ => false,
        };
        let found = orders.by_ref().filter(meant).find(same);
        if let Some(Record { what: Event::Ordered(meant), .. }) = found {
            order.clone_from(meant);
            *line = statement.to_string();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::actors::{self, ClockKind, Event, Sandbox, SandboxOptions};
    use crate::raft::ServerId;
    use crate::script::{Plain, Runner};

    /// What is known at the end of these lines.
    fn live(seed: u64, lines: &[&str]) -> Live {
        let run = async {
            let options = SandboxOptions { servers: 3, seed, ..SandboxOptions::default() };
            let screen = Rc::new(Plain::new(io::sink(), false));
            let mut runner = Runner::new(Sandbox::start(options), screen, ClockKind::Virtual);
            for line in lines {
                runner.line(line).await.unwrap();
            }
            let sandbox = runner.sandbox();
            Live {
                settings: (3, seed, DiskKind::default()),
                lines: runner.carried_out(),
                events: sandbox.events().latest(99).iter().map(Event::traced).collect(),
                status: sandbox.status().await.unwrap(),
            }
        };
        actors::run(ClockKind::Virtual, run).unwrap()
    }

    const LINES: [&str; 5] =
        ["wait leader", "wait 1s", "crash leader", "wait 80ms", "try crash leader"];

    fn ask(live: Live, question: Question) -> Answer {
        explain_live(live, &Inquiry { question, at: None }).unwrap()
    }

    #[test]
    fn a_replay_confirms_the_cause() {
        let answer = ask(live(7, &LINES), Question::NoLeader);
        let Verdict::Because(cause) = &answer.verdict else { panic!("{answer}") };
        assert_eq!(cause.text, "crash 3", "with the server that was meant");
        assert!(answer.to_string().contains("The same was done again"), "{answer}");
    }

    #[test]
    fn another_leader_in_the_replay_does_not_matter_if_the_cause_is_the_same() {
        let mut live = live(7, &LINES[..2]);
        let seen = self::live(7, &["wait leader", "wait 1s", "crash all", "wait 1s"]);
        (live.events, live.lines, live.status) = (seen.events, seen.lines, seen.status);
        live.settings.1 = 4;
        let answer = ask(live, Question::NoLeader);
        assert_eq!(answer.causes().len(), 1, "{answer}");
        assert!(answer.to_string().contains("The last was S3"), "{answer}");
    }

    #[test]
    fn what_no_replay_shows_is_told_from_events() {
        let unknown = Live { lines: None, ..live(7, &LINES) };
        let answer = ask(unknown, Question::LostLeadership(ServerId(3)));
        assert_eq!(answer.verdict, Verdict::Unconfirmed, "{answer}");
        assert!(answer.chain.iter().any(|link| link.text.contains("S3 crashed")), "{answer}");
        let elsewhere = Live { settings: (3, 4, DiskKind::default()), ..live(7, &LINES) };
        let answer = ask(elsewhere, Question::LostLeadership(ServerId(3)));
        assert_eq!(answer.verdict, Verdict::Unconfirmed, "{answer}");
    }
}
