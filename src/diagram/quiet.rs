//! What is no news: heartbeats that tell nothing, and pre-votes that come out as the one before.

use std::collections::{BTreeMap, BTreeSet};

use super::story::Passage;
use super::trace::{Event, Line, What};
use crate::raft::{Index, RoleKind, ServerId, Term};

/// What need not be told.
#[derive(Default)]
pub(super) struct NoNews {
    messages: BTreeSet<u64>,
    /// The places of lines about a server.
    lines: BTreeSet<usize>,
}

/// What the latest message of each link told, and whether it was lost.
#[derive(Default)]
pub(super) struct Told(BTreeMap<(ServerId, ServerId, bool), (Term, Index, bool)>);

/// A server that asks for pre-votes.
struct Attempt {
    line: usize,
    term: Term,
    /// What was asked and answered.
    messages: Vec<u64>,
    /// By the other server, and whether it is an answer: what it said, or that it was lost.
    outcome: BTreeMap<(ServerId, bool), String>,
}

impl NoNews {
    pub(super) fn has(&self, place: usize, what: &What) -> bool {
        match what {
            What::Sent { number, .. }
            | What::Delivered { number, .. }
            | What::Lost { number, .. } => self.messages.contains(number),
            What::Server { .. } => self.lines.contains(&place),
            What::Order(_) | What::Alarm(_) | What::Note(_) => false,
        }
    }
}

impl Told {
    /// A heartbeat, or the answer to one, is no news if the message before it on the same link
    /// told the same, and met the same fate.
    pub(super) fn is_news(&mut self, passage: &Passage) -> bool {
        let Passage { from, to, message, lost, .. } = passage;
        let Some(index) = message.tells else { return true };
        let news = (message.term, index, lost.is_some());
        let before = self.0.insert((*from, *to, message.is_reply), news);
        !message.is_heartbeat || before != Some(news)
    }
}

/// Finds what is no news in these lines, after what was told before.
pub(super) fn find(lines: &[Line], passages: &BTreeMap<u64, Passage>, mut told: Told) -> NoNews {
    let mut no_news = NoNews::default();
    let mut attempts: BTreeMap<ServerId, (Attempt, Option<Attempt>)> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        match &line.what {
            What::Sent { number, from, to, message } => {
                let passage = &passages[number];
                if !told.is_news(passage) {
                    no_news.messages.insert(*number);
                }
                if message.is_pre_vote {
                    let (asking, other) = if message.is_reply { (to, from) } else { (from, to) };
                    if let Some((attempt, _)) = attempts.get_mut(asking) {
                        let lost = passage.lost.as_ref();
                        let said = lost.unwrap_or(&message.label).clone();
                        attempt.messages.push(*number);
                        attempt.outcome.insert((*other, message.is_reply), said);
                    }
                }
            }
            What::Server { id, event: Event::Became { role, term, .. } } => {
                let ended = attempts.remove(id);
                if *role == RoleKind::PreCandidate {
                    let (messages, outcome) = Default::default();
                    let attempt = Attempt { line: place, term: *term, messages, outcome };
                    let before = ended.map(|ended| no_news.settle(ended));
                    attempts.insert(*id, (attempt, before));
                }
                // What ends otherwise is told: something came of it.
            }
            What::Server { id, event: Event::Crashed | Event::Stopped | Event::Failed(_) } => {
                attempts.remove(id);
            }
            _ => {}
        }
    }
    no_news
}

impl NoNews {
    /// An attempt is over, and another follows: it is no news if it went as the one before.
    fn settle(&mut self, (attempt, before): (Attempt, Option<Attempt>)) -> Attempt {
        let same =
            |before: &Attempt| (before.term, &before.outcome) == (attempt.term, &attempt.outcome);
        if before.as_ref().is_some_and(same) {
            self.lines.insert(attempt.line);
            self.messages.extend(&attempt.messages);
        }
        attempt
    }
}
