//! What happened, moment by moment, and which messages belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::time::Duration;

use super::View;
use super::quiet::{self, NoNews, Told};
use super::trace::{DiagramError, Event, Line, Lines, Message, What};
use crate::raft::{RoleKind, ServerId, Term, Time};

/// A trace, ready to be laid out.
pub(super) struct Story {
    pub(super) servers: Vec<ServerId>,
    /// How the servers were when it begins.
    pub(super) before: BTreeMap<ServerId, State>,
    pub(super) moments: Vec<Moment>,
    /// What was on its way when it begins and arrives in it, by number.
    pub(super) messages: BTreeMap<u64, Passage>,
    /// The moment of the first line that is not told any more.
    pub(super) rest: Option<Time>,
    pub(super) end: Time,
}

/// What a diagram shows of a server at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    pub(super) role: RoleKind,
    pub(super) term: Term,
    pub(super) up: bool,
    pub(super) paused: bool,
}

/// Everything of one moment that is news.
pub(super) struct Moment {
    pub(super) at: Time,
    /// What was no news since the moment before.
    pub(super) quiet: BTreeMap<ServerId, Quiet>,
    pub(super) steps: Vec<Step>,
}

/// What one server did that is no news: it is folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Quiet {
    /// Rounds of heartbeats.
    pub(super) rounds: u64,
    /// Their messages, and how many were lost.
    pub(super) sent: u64,
    pub(super) lost: u64,
    /// Pre-votes that came out as the one before.
    pub(super) attempts: u64,
    latest: Option<Time>,
}

/// One thing, or several that are one line.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// One sender's message to some, which arrive at once or are lost at once.
    Broadcast {
        from: ServerId,
        numbers: Vec<u64>,
    },
    /// The same answer of several, which arrives at once.
    Answers {
        to: ServerId,
        numbers: Vec<u64>,
    },
    /// One sender's message to some, which is on its way for a while.
    Departs {
        from: ServerId,
        numbers: Vec<u64>,
    },
    /// One of those arrives or is lost.
    Ends {
        number: u64,
        lost: Option<String>,
    },
    Server {
        id: ServerId,
        event: Event,
    },
    Order(String),
    Alarm(String),
    Note(String),
}

/// A message and what became of it.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) from: ServerId,
    pub(super) to: ServerId,
    pub(super) message: Message,
    /// When it was sent, and when first delivered or lost.
    sent: Time,
    ended: Option<Time>,
    pub(super) lost: Option<String>,
}

/// Lines after a message among which others may belong to it: room for 64 servers.
const NEAR: usize = 512;
/// Most lines that are looked at.
const MAX_LINES: usize = 200_000;

impl Default for State {
    fn default() -> Self {
        Self { role: RoleKind::Follower, term: Term(0), up: false, paused: false }
    }
}

impl State {
    /// The state after an event.
    pub(super) fn after(self, event: &Event) -> Self {
        match event {
            // The term is on the disk; the role is not.
            Event::Started => Self { up: true, paused: false, role: RoleKind::Follower, ..self },
            Event::Crashed | Event::Stopped | Event::Failed(_) => {
                Self { up: false, paused: false, ..self }
            }
            Event::Paused => Self { paused: true, ..self },
            Event::Resumed => Self { paused: false, ..self },
            Event::Became { role, term, .. } => Self { role: *role, term: *term, ..self },
            Event::Commit(_) | Event::Applied { .. } => self,
        }
    }
}

impl Passage {
    fn at_once(&self) -> bool {
        self.ended == Some(self.sent)
    }
}

impl Story {
    pub(super) fn read(trace: impl BufRead, view: &View) -> Result<Self, DiagramError> {
        let (from, to) = (Time::default() + view.from, view.to.map(|to| Time::default() + to));
        let mut lines = Lines::new(trace);
        let mut known = BTreeSet::new();
        let (mut past, mut told) = (Past::default(), Vec::new());
        let (mut rest, mut end) = (None, Time::default());
        while let Some(line) = lines.next()? {
            known.extend(servers_of(&line.what));
            if to.is_some_and(|to| line.at > to) || told.len() == MAX_LINES {
                rest = Some(line.at);
                break;
            }
            end = line.at;
            if line.at < from {
                past.see(line);
            } else {
                told.push(line);
            }
        }
        if let Some(unknown) = view.servers.iter().find(|server| !known.contains(server)) {
            let known: Vec<_> = known.iter().map(ToString::to_string).collect();
            let known = known.join(", ");
            let message = format!("there is no {unknown} in this part of the trace: {known}");
            return Err(DiagramError::Nothing(message));
        }
        if told.is_empty() {
            let why = match (rest, known.is_empty()) {
                (None, true) => "the trace is empty".to_owned(),
                (None, false) => format!("the trace ends at {end} s"),
                (Some(next), _) => format!("the next line is of {next} s"),
            };
            return Err(DiagramError::Nothing(why));
        }
        let shown = |server: &ServerId| view.servers.is_empty() || view.servers.contains(server);
        let servers = known.into_iter().filter(shown).collect();
        let mut story = Self {
            servers,
            before: past.states,
            moments: Vec::new(),
            messages: past.messages,
            // What `--to` leaves out was not asked for.
            rest: rest.filter(|_| told.len() == MAX_LINES),
            end,
        };
        story.find_passages(&told);
        let quiet = quiet::find(&told, &story.messages, past.told);
        story.tell(told, &quiet);
        Ok(story)
    }

    fn find_passages(&mut self, lines: &[Line]) {
        for line in lines {
            match &line.what {
                What::Sent { number, from, to, message } => {
                    let (from, to, message) = (*from, *to, message.clone());
                    let (sent, ended, lost) = (line.at, None, None);
                    let passage = Passage { from, to, message, sent, ended, lost };
                    self.messages.insert(*number, passage);
                }
                What::Delivered { number, .. } => self.end_passage(*number, line.at, None),
                What::Lost { number, why, .. } => self.end_passage(*number, line.at, Some(why)),
                _ => {}
            }
        }
    }

    fn end_passage(&mut self, number: u64, at: Time, lost: Option<&String>) {
        if let Some(passage) = self.messages.get_mut(&number)
            && passage.ended.is_none()
        {
            (passage.ended, passage.lost) = (Some(at), lost.cloned());
        }
    }

    fn tell(&mut self, lines: Vec<Line>, no_news: &NoNews) {
        let mut quiet: BTreeMap<ServerId, Quiet> = BTreeMap::new();
        let mut lines = lines.into_iter().enumerate().peekable();
        while let Some((_, Line { at, .. })) = lines.peek() {
            let at = *at;
            let mut moment = Vec::new();
            while let Some((place, line)) = lines.next_if(|(_, line)| line.at == at) {
                if !self.shows(&line.what) {
                    continue;
                }
                if no_news.has(place, &line.what) {
                    self.count_quiet(&line.what, at, &mut quiet);
                } else {
                    moment.push(line.what);
                }
            }
            let steps = self.steps(moment);
            if !steps.is_empty() {
                self.moments.push(Moment { at, quiet: std::mem::take(&mut quiet), steps });
            }
        }
        if !quiet.is_empty() {
            self.moments.push(Moment { at: self.end, quiet, steps: Vec::new() });
        }
    }

    fn count_quiet(&self, what: &What, at: Time, quiet: &mut BTreeMap<ServerId, Quiet>) {
        match what {
            What::Sent { number, from, message, .. } if message.tells.is_some() => {
                if message.is_reply {
                    return;
                }
                let quiet = quiet.entry(*from).or_default();
                quiet.rounds += u64::from(quiet.latest != Some(at));
                quiet.latest = Some(at);
                quiet.sent += 1;
                quiet.lost += u64::from(self.messages[number].lost.is_some());
            }
            What::Server { id, .. } => quiet.entry(*id).or_default().attempts += 1,
            _ => {}
        }
    }

    fn shows(&self, what: &What) -> bool {
        let shown = |server: &ServerId| self.servers.binary_search(server).is_ok();
        match what {
            What::Sent { number, from, to, .. }
            | What::Delivered { number, from, to }
            | What::Lost { number, from, to, .. } => {
                shown(from) && shown(to) && self.messages.contains_key(number)
            }
            What::Server { id, .. } => shown(id),
            What::Order(_) | What::Alarm(_) | What::Note(_) => true,
        }
    }

    /// The lines of one moment, put together. A broadcast stands where its first message does,
    /// answers stand where the last of them does, so that nothing stands before its cause.
    fn steps(&self, lines: Vec<What>) -> Vec<Step> {
        let mut placed: BTreeMap<usize, Step> = BTreeMap::new();
        // Messages whose end is part of a step that stands already.
        let (mut grouped, mut ended) = (BTreeSet::<u64>::new(), BTreeSet::<u64>::new());
        for at in 0..lines.len() {
            let What::Sent { number, from, .. } = &lines[at] else { continue };
            if grouped.contains(number) {
                continue;
            }
            let passage = &self.messages[number];
            let at_once = passage.at_once();
            let near = &lines[at..lines.len().min(at + NEAR)];
            let numbers = self.broadcast(near, *from, passage);
            let (answers, last) = match &numbers[..] {
                [_] if at_once && passage.lost.is_none() => self.answers(near, passage),
                _ => (Vec::new(), 0),
            };
            let (place, step) = if answers.len() > 1 {
                (at + last, Step::Answers { to: passage.to, numbers: answers })
            } else if at_once {
                (at, Step::Broadcast { from: *from, numbers })
            } else {
                (at, Step::Departs { from: *from, numbers })
            };
            if let Step::Broadcast { numbers, .. }
            | Step::Answers { numbers, .. }
            | Step::Departs { numbers, .. } = &step
            {
                grouped.extend(numbers);
                if at_once {
                    ended.extend(numbers);
                }
            }
            placed.insert(place, step);
        }
        for (at, line) in lines.into_iter().enumerate() {
            let step = match line {
                What::Sent { .. } => continue,
                What::Delivered { number, .. } if ended.remove(&number) => continue,
                What::Lost { number, .. } if ended.remove(&number) => continue,
                What::Delivered { number, .. } => Step::Ends { number, lost: None },
                What::Lost { number, why, .. } => Step::Ends { number, lost: Some(why) },
                What::Server { id, event } => Step::Server { id, event },
                What::Order(text) => Step::Order(text),
                What::Alarm(text) => Step::Alarm(text),
                What::Note(text) => Step::Note(text),
            };
            placed.insert(at, step);
        }
        placed.into_values().collect()
    }

    /// The messages that `from` sends in one go from the first line on: nothing else happens to it
    /// in between.
    fn broadcast(&self, lines: &[What], from: ServerId, first: &Passage) -> Vec<u64> {
        let mut numbers = Vec::new();
        for line in lines {
            match line {
                What::Sent { number, from: sender, .. } if *sender == from => {
                    let passage = &self.messages[number];
                    let same = passage.message.label == first.message.label
                        && passage.at_once() == first.at_once();
                    if !same {
                        break;
                    }
                    numbers.push(*number);
                }
                line if actor(line) == Some(from) => break,
                _ => {}
            }
        }
        numbers
    }

    /// The messages that say the same to the receiver of the first, before anything else happens
    /// to it or to their senders; and the place of the last of them.
    fn answers(&self, lines: &[What], first: &Passage) -> (Vec<u64>, usize) {
        let (mut numbers, mut senders, mut last) = (Vec::new(), BTreeSet::new(), 0);
        for (at, line) in lines.iter().enumerate() {
            match line {
                What::Sent { number, from, to, message } if *to == first.to => {
                    let passage = &self.messages[number];
                    let same = message.label == first.message.label
                        && message.term == first.message.term
                        && passage.at_once()
                        && passage.lost.is_none();
                    if !same || !senders.insert(*from) {
                        break;
                    }
                    numbers.push(*number);
                    last = at;
                }
                What::Delivered { number, .. } if numbers.contains(number) => {}
                line => {
                    let involved = |id: ServerId| id == first.to || senders.contains(&id);
                    if actor(line).is_some_and(involved) {
                        break;
                    }
                }
            }
        }
        (numbers, last)
    }
}

/// What was before the story begins.
#[derive(Default)]
struct Past {
    states: BTreeMap<ServerId, State>,
    /// What is on its way.
    messages: BTreeMap<u64, Passage>,
    told: Told,
}

impl Past {
    fn see(&mut self, line: Line) {
        match line.what {
            What::Server { id, event } => {
                let state = self.states.entry(id).or_default();
                *state = state.after(&event);
            }
            What::Sent { number, from, to, message } => {
                let (sent, ended, lost) = (line.at, None, None);
                let passage = Passage { from, to, message, sent, ended, lost };
                self.messages.insert(number, passage);
            }
            What::Delivered { number, .. } => self.end(number, None),
            What::Lost { number, why, .. } => self.end(number, Some(why)),
            What::Order(_) | What::Alarm(_) | What::Note(_) => {}
        }
    }

    fn end(&mut self, number: u64, lost: Option<String>) {
        if let Some(mut passage) = self.messages.remove(&number) {
            passage.lost = lost;
            self.told.is_news(&passage);
        }
    }
}

/// Whom a line happens to.
fn actor(line: &What) -> Option<ServerId> {
    match line {
        What::Sent { from, .. } => Some(*from),
        What::Delivered { to, .. } => Some(*to),
        What::Server { id, .. } => Some(*id),
        What::Lost { .. } | What::Order(_) | What::Alarm(_) | What::Note(_) => None,
    }
}

fn servers_of(what: &What) -> impl Iterator<Item = ServerId> + use<> {
    let (one, other) = match what {
        What::Sent { from, to, .. }
        | What::Delivered { from, to, .. }
        | What::Lost { from, to, .. } => (Some(*from), Some(*to)),
        What::Server { id, .. } => (Some(*id), None),
        What::Order(_) | What::Alarm(_) | What::Note(_) => (None, None),
    };
    one.into_iter().chain(other)
}

/// A time between moments, in the unit that suits it.
pub(super) fn span(duration: Duration) -> String {
    match duration.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..1_000_000 => format!("{} ms", micros / 1_000),
        micros => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}
