//! Where everything stands, in pixels.

use std::collections::BTreeMap;
use std::time::Duration;

use super::View;
use super::story::{Moment, Passage, Quiet, State, Step, Story, span};
use super::trace::{Event, VIOLATED};
use crate::raft::{RoleKind, ServerId, Term, Time};

/// Everything that is to be drawn, from the back to the front.
pub(super) struct Scene {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) title: String,
    pub(super) subtitle: String,
    /// The terms that occur, for the key to their colours.
    pub(super) terms: Vec<Term>,
    pub(super) rules: Vec<Rule>,
    pub(super) lifelines: Vec<Lifeline>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) marks: Vec<Mark>,
    pub(super) texts: Vec<Text>,
    /// Where the diagram ends early.
    pub(super) cut: Option<Duration>,
}

/// A line across all columns.
pub(super) struct Rule {
    pub(super) y: i32,
    pub(super) kind: RuleKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleKind {
    Moment,
    Order,
    Alarm,
    /// Time that is folded: a band of this height.
    Fold(i32),
}

/// A server in one state, from top to bottom.
pub(super) struct Lifeline {
    pub(super) x: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
    pub(super) state: State,
}

/// A line from one point to another.
pub(super) struct Arrow {
    pub(super) from: (i32, i32),
    pub(super) to: (i32, i32),
    pub(super) head: Head,
    pub(super) term: Term,
    pub(super) is_reply: bool,
    /// It leaves its sender here, and does not go on from another's end.
    pub(super) begins: bool,
    /// All that the trace says of it.
    pub(super) title: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Arrives,
    /// It goes on from another's beginning.
    Joins,
    Lost,
    /// It is on its way when the diagram ends.
    Open,
}

/// Something on a lifeline.
pub(super) struct Mark {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) kind: MarkKind,
    pub(super) title: String,
}

pub(super) enum MarkKind {
    /// What a server becomes, in the colour of the term.
    Role { text: String, width: i32, term: Term },
    /// What befalls it.
    Fate { text: String, width: i32, bad: bool },
    /// The name of its column.
    Name { text: String },
    /// It enters a term.
    Term(Term),
    /// Its commit index.
    Commit(String),
}

/// Words beside the lifelines, or at an arrow.
pub(super) struct Text {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) anchor: Anchor,
    pub(super) kind: TextKind,
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Time,
    Message,
    Refusal,
    Order,
    Alarm,
    Note,
    Applied,
    Fold,
}

/// Where the text of orders begins, and how many characters fit.
const NOTES_X: i32 = 84;
const NOTES_CHARS: usize = 30;
/// Where the first lifeline stands, and the space between two.
const FIRST_X: i32 = 340;
const SPACING: i32 = 150;
/// What stands right of the last lifeline: what the leader applied.
const RIGHT: i32 = 300;
const APPLIED_CHARS: usize = 34;
/// Above the first row: title, key, names.
const TOP: i32 = 104;
/// The height of a message with its label, and of what else takes a row.
const MESSAGE: i32 = 28;
const PILL: i32 = 24;
const TEXT_LINE: i32 = 14;
const FOLD: i32 = 26;
/// Space above a moment.
const MOMENT: i32 = 10;
/// The names of the columns are repeated after as much.
const PAGE: i32 = 900;
/// Beyond it the diagram is cut.
const LONGEST: i32 = 15_000;
/// Time without anything that is worth a row of its own.
const PAUSE: Duration = Duration::from_millis(25);
/// From a lifeline to the end of an arrow.
const GAP: i32 = 8;

/// How wide a text is, roughly: fonts differ.
fn width(text: &str) -> i32 {
    text.chars().count() as i32 * 13 / 2
}

pub(super) fn lay_out(story: &Story, view: &View) -> Scene {
    let mut layout = Layout::new(story);
    layout.names(TOP - 20);
    layout.headings(TOP - 16);
    story.before.values().for_each(|state| layout.note_term(state.term));
    layout.skyline.fill(TOP);
    let mut before: Option<Time> = None;
    let mut cut = story.rest;
    for moment in &story.moments {
        layout.moment(moment, before);
        before = Some(moment.at);
        if layout.bottom() > LONGEST {
            cut = Some(moment.at);
            break;
        }
    }
    layout.finish(view, cut)
}

struct Layout<'s> {
    story: &'s Story,
    scene: Scene,
    /// Up to where each column is taken: notes, every server, what was applied.
    skyline: Vec<i32>,
    /// Above it, everything is of earlier moments.
    top: i32,
    states: BTreeMap<ServerId, (State, i32)>,
    /// Where each message left its sender.
    departures: BTreeMap<u64, (i32, i32)>,
    on_their_way: BTreeMap<u64, ServerId>,
    named_at: i32,
}

impl<'s> Layout<'s> {
    fn new(story: &'s Story) -> Self {
        let columns = story.servers.len() as i32;
        let scene = Scene {
            width: FIRST_X + (columns - 1) * SPACING + RIGHT,
            height: 0,
            title: String::new(),
            subtitle: String::new(),
            terms: Vec::new(),
            rules: Vec::new(),
            lifelines: Vec::new(),
            arrows: Vec::new(),
            marks: Vec::new(),
            texts: Vec::new(),
            cut: None,
        };
        let state = |id: &ServerId| story.before.get(id).copied().unwrap_or_default();
        Self {
            scene,
            skyline: vec![TOP; story.servers.len() + 2],
            top: TOP,
            states: story.servers.iter().map(|id| (*id, (state(id), TOP))).collect(),
            departures: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
            named_at: TOP,
            story,
        }
    }

    fn bottom(&self) -> i32 {
        self.skyline.iter().copied().max().unwrap_or(TOP)
    }

    /// The column of a server, from 1: column 0 has the notes.
    fn column(&self, id: ServerId) -> usize {
        self.story.servers.binary_search(&id).map_or(0, |place| place + 1)
    }

    fn x(&self, id: ServerId) -> i32 {
        FIRST_X + (self.column(id) as i32 - 1) * SPACING
    }

    /// The servers whose lifelines stand in this range.
    fn columns_between(&self, left: i32, right: i32) -> std::ops::RangeInclusive<usize> {
        let inside = |id: &&ServerId| (left - 4..=right + 4).contains(&self.x(**id));
        let mut inside = self.story.servers.iter().filter(inside).map(|id| self.column(*id));
        let first = inside.next().unwrap_or(0);
        first..=inside.next_back().unwrap_or(first)
    }

    /// Takes a place below everything in these columns; returns where it ends.
    fn place(&mut self, columns: std::ops::RangeInclusive<usize>, height: i32) -> i32 {
        let taken = &mut self.skyline[columns];
        let y = taken.iter().copied().max().unwrap_or(TOP) + height;
        taken.fill(y);
        y
    }

    /// Where the latest of this moment stands in a server's column.
    fn beside(&mut self, id: ServerId) -> i32 {
        let column = self.column(id);
        if self.skyline[column] == self.top {
            self.place(column..=column, TEXT_LINE);
        }
        self.skyline[column]
    }

    fn names(&mut self, y: i32) {
        for id in &self.story.servers {
            let (x, kind) = (self.x(*id), MarkKind::Name { text: id.to_string() });
            self.scene.marks.push(Mark { x, y, kind, title: String::new() });
        }
        self.named_at = y;
    }

    /// What the columns beside the servers are.
    fn headings(&mut self, y: i32) {
        let applied = self.applied_x();
        self.text(NOTES_X, y, Anchor::Start, TextKind::Note, "orders");
        self.text(applied, y, Anchor::Start, TextKind::Note, "applied by the leader");
    }

    fn applied_x(&self) -> i32 {
        self.scene.width - RIGHT + 70
    }

    fn text(&mut self, x: i32, y: i32, anchor: Anchor, kind: TextKind, text: impl Into<String>) {
        self.scene.texts.push(Text { x, y, anchor, kind, text: text.into() });
    }

    fn moment(&mut self, moment: &Moment, before: Option<Time>) {
        let pause = before.map_or(Duration::ZERO, |before| moment.at.since(before));
        let folds = pause >= PAUSE || !moment.quiet.is_empty();
        if folds {
            self.fold(pause, &moment.quiet);
        }
        let mut top = self.bottom() + if folds { 0 } else { MOMENT };
        if top - self.named_at > PAGE && !moment.steps.is_empty() {
            self.names(top + 12);
            top += 28;
        }
        self.top = top;
        self.skyline.fill(top);
        let (texts, rules) = (self.scene.texts.len(), self.scene.rules.len());
        let mut first = None;
        for step in &moment.steps {
            let y = self.step(step);
            first = Some(first.map_or(y, |first: i32| first.min(y)));
            // A single moment may hold a whole load.
            if self.bottom() > LONGEST {
                break;
            }
        }
        if let Some(y) = first {
            self.scene.rules.insert(rules, Rule { y, kind: RuleKind::Moment });
            self.text(NOTES_X - 12, y + 4, Anchor::End, TextKind::Time, moment.at.to_string());
            self.scene.texts[texts..].rotate_right(1);
        }
    }

    fn fold(&mut self, pause: Duration, quiet: &BTreeMap<ServerId, Quiet>) {
        let last = self.skyline.len() - 1;
        let top = self.bottom() + MOMENT;
        self.skyline.fill(top);
        let y = self.place(0..=last, FOLD);
        self.scene.rules.push(Rule { y: y - FOLD, kind: RuleKind::Fold(FOLD) });
        let middle = y - FOLD / 2 + 4;
        if !pause.is_zero() {
            let text = format!("{} pass", span(pause));
            self.text(NOTES_X, middle, Anchor::Start, TextKind::Fold, text);
        }
        for (id, quiet) in quiet {
            let Quiet { rounds, sent, lost, attempts, .. } = *quiet;
            let lost = match lost {
                0 => String::new(),
                lost if lost == sent => ", lost".to_owned(),
                lost => format!(", {}% lost", (100 * lost).div_ceil(sent)),
            };
            let text = match attempts {
                0 => format!("heartbeat ×{rounds}{lost}"),
                attempts => format!("pre-vote ×{attempts}, no majority"),
            };
            self.text(self.x(*id) + 12, middle, Anchor::Start, TextKind::Fold, text);
        }
    }

    /// Gives a step its place; returns the height at which it stands.
    fn step(&mut self, step: &Step) -> i32 {
        match step {
            Step::Broadcast { from, numbers } => {
                let others: Vec<_> = self.passages(numbers).map(|(_, it)| it.to).collect();
                let y = self.line(*from, &others, numbers);
                let origin = self.x(*from);
                for number in numbers {
                    self.departures.insert(*number, (origin, y));
                }
                self.spread(*from, y, numbers);
                y
            }
            Step::Answers { to, numbers } => {
                let others: Vec<_> = self.passages(numbers).map(|(_, it)| it.from).collect();
                let y = self.line(*to, &others, numbers);
                self.gather(*to, y, numbers);
                y
            }
            Step::Departs { from, numbers } => {
                let others: Vec<_> = self.passages(numbers).map(|(_, it)| it.to).collect();
                let nearest =
                    others.iter().copied().min_by_key(|to| self.x(*from).abs_diff(self.x(*to)));
                let y = self.line(*from, nearest.as_slice(), numbers);
                for (number, passage) in self.passages(numbers).collect::<Vec<_>>() {
                    self.departures.insert(number, (self.x(*from), y));
                    self.on_their_way.insert(number, passage.to);
                }
                y
            }
            Step::Ends { number, lost } => {
                let passage = &self.story.messages[number];
                // What left before the diagram began comes from its upper edge.
                let from = self.departures.get(number).copied();
                let from = from.unwrap_or((self.x(passage.from), TOP));
                let y = self.beside(passage.to);
                let head = if lost.is_some() { Head::Lost } else { Head::Arrives };
                self.on_their_way.remove(number);
                self.arrow(passage, from, (self.x(passage.to), y), head);
                y
            }
            Step::Server { id, event } => self.event(*id, event),
            Step::Order(text) => self.note(text, TextKind::Order, Some(RuleKind::Order)),
            Step::Alarm(text) => self.note(text, TextKind::Alarm, Some(RuleKind::Alarm)),
            Step::Note(text) => self.note(text, TextKind::Note, None),
        }
    }

    fn passages(&self, numbers: &[u64]) -> impl Iterator<Item = (u64, &'s Passage)> + use<'s> {
        let messages = &self.story.messages;
        let numbers = numbers.to_vec();
        numbers.into_iter().map(|number| (number, &messages[&number]))
    }

    /// A row for messages between one server and some others, with their label at the one.
    fn line(&mut self, hub: ServerId, others: &[ServerId], numbers: &[u64]) -> i32 {
        let Some((_, passage)) = self.passages(numbers).next() else { return self.top };
        let (x, label) = (self.x(hub), &passage.message.label);
        let ends = others.iter().map(|id| self.x(*id));
        let left = ends.clone().min().unwrap_or(x).min(x);
        let right = ends.max().unwrap_or(x).max(x);
        // At the longer side.
        let to_right = right - x >= x - left;
        let end = if to_right { x + 14 + width(label) } else { x - 14 - width(label) };
        let columns = self.columns_between(left.min(end), right.max(end));
        let y = self.place(columns, MESSAGE);
        let kind = if passage.message.refuses { TextKind::Refusal } else { TextKind::Message };
        let (x, anchor) = if to_right { (x + 14, Anchor::Start) } else { (x - 14, Anchor::End) };
        self.text(x, y - 6, anchor, kind, label);
        y
    }

    /// A broadcast: one line to each side, with a head at each receiver.
    fn spread(&mut self, from: ServerId, y: i32, numbers: &[u64]) {
        let x = self.x(from);
        for side in [-1, 1] {
            let mut start = x;
            for (_, passage) in self.at_side(numbers, x, side, |passage| passage.to) {
                let head = if passage.lost.is_some() { Head::Lost } else { Head::Arrives };
                self.arrow(passage, (start, y), (self.x(passage.to), y), head);
                start = self.x(passage.to);
            }
        }
    }

    /// Answers: one line from each side, that begins at each sender.
    fn gather(&mut self, to: ServerId, y: i32, numbers: &[u64]) {
        let x = self.x(to);
        for side in [-1, 1] {
            let mut end = x;
            for (number, passage) in self.at_side(numbers, x, side, |passage| passage.from) {
                let from = (self.x(passage.from), y);
                let head = if end == x { Head::Arrives } else { Head::Joins };
                self.departures.insert(number, from);
                self.arrow(passage, from, (end, y), head);
                end = from.0;
            }
        }
    }

    /// The messages to or from the left (-1) or the right (1), the nearest first.
    fn at_side(
        &self,
        numbers: &[u64],
        x: i32,
        side: i32,
        other: impl Fn(&Passage) -> ServerId,
    ) -> Vec<(u64, &'s Passage)> {
        let distance = |passage: &Passage| (self.x(other(passage)) - x) * side;
        let mut found: Vec<_> =
            self.passages(numbers).filter(|(_, passage)| distance(passage) > 0).collect();
        found.sort_by_key(|(_, passage)| distance(passage));
        found
    }

    fn arrow(&mut self, passage: &Passage, from: (i32, i32), end: (i32, i32), head: Head) {
        let Passage { message, from: sender, to, lost, .. } = passage;
        let side = (end.0 - from.0).signum();
        let lost = lost.as_ref().filter(|_| head == Head::Lost);
        let lost = lost.map_or(String::new(), |why| format!(" (lost: {why})"));
        self.scene.arrows.push(Arrow {
            from: (from.0 + side * GAP, from.1),
            to: (end.0 - side * GAP, end.1),
            head,
            term: message.term,
            is_reply: message.is_reply,
            begins: from.0 == self.x(*sender),
            title: format!("{sender} → {to}: {}{lost}", message.text),
        });
        self.note_term(message.term);
    }

    fn note_term(&mut self, term: Term) {
        if let Err(place) = self.scene.terms.binary_search(&term) {
            self.scene.terms.insert(place, term);
        }
    }

    fn event(&mut self, id: ServerId, event: &Event) -> i32 {
        let (before, _) = self.states[&id];
        let after = before.after(event);
        let title = match event {
            Event::Became { why, .. } | Event::Failed(why) => format!("{id}: {why}"),
            _ => String::new(),
        };
        let role = |text: String| {
            Some(MarkKind::Role { width: width(&text) + 14, text, term: after.term })
        };
        let fate = |text: &str, bad: bool| {
            Some(MarkKind::Fate { text: text.to_owned(), width: width(text) + 14, bad })
        };
        let pill = match event {
            // All servers start when a run begins.
            Event::Started if self.top <= TOP + MOMENT => None,
            Event::Started => fate("started", false),
            Event::Crashed => fate("crashed", true),
            Event::Stopped => fate("stopped", false),
            Event::Failed(_) => fate("failed", true),
            Event::Paused => fate("paused", true),
            Event::Resumed => fate("resumed", false),
            Event::Became { .. } => match (before.role, after.role) {
                (RoleKind::Leader, RoleKind::Follower) if after.term > before.term => {
                    role(format!("steps down, term {}", after.term))
                }
                (RoleKind::Leader, RoleKind::Follower) => role("steps down".to_owned()),
                (_, RoleKind::Follower) => None,
                (_, RoleKind::PreCandidate) => role("pre-candidate".to_owned()),
                (_, now) => role(format!("{now}, term {}", after.term)),
            },
            Event::Commit(_) | Event::Applied { .. } => None,
        };
        let x = self.x(id);
        let y = match pill {
            Some(kind) => {
                let half = match &kind {
                    MarkKind::Role { width, .. } | MarkKind::Fate { width, .. } => width / 2,
                    _ => 0,
                };
                let columns = self.columns_between(x - half, x + half);
                let y = self.place(columns, PILL);
                self.scene.marks.push(Mark { x, y, kind, title });
                y
            }
            None => self.beside(id),
        };
        if after.term != before.term
            && before.role != RoleKind::Leader
            && after.role == RoleKind::Follower
        {
            let kind = MarkKind::Term(after.term);
            self.scene.marks.push(Mark { x, y, kind, title: String::new() });
        }
        match event {
            Event::Failed(why) => {
                self.note(&format!("{id}: {why}"), TextKind::Alarm, None);
            }
            Event::Commit(index) => {
                // Of several at one place the latest says all.
                self.scene.marks.retain(|mark| {
                    !(mark.x == x && mark.y == y && matches!(mark.kind, MarkKind::Commit(_)))
                });
                let kind = MarkKind::Commit(index.to_string());
                let title = format!("{id}: commit_index {index}");
                self.scene.marks.push(Mark { x, y, kind, title });
            }
            Event::Applied { index, command } => {
                let right = self.skyline.len() - 1;
                let y = y.max(self.skyline[right] + TEXT_LINE);
                self.skyline[right] = y;
                let text = format!("{index} {}", shortened(command, APPLIED_CHARS));
                self.text(self.applied_x(), y + 4, Anchor::Start, TextKind::Applied, text);
            }
            _ => {}
        }
        if after != before {
            self.note_term(after.term);
            self.change(id, after, y);
        }
        y
    }

    /// Ends the stretch of a lifeline in one state and begins the next.
    fn change(&mut self, id: ServerId, state: State, y: i32) {
        let x = self.x(id);
        if let Some((before, top)) = self.states.insert(id, (state, y))
            && top < y
        {
            self.scene.lifelines.push(Lifeline { x, top, bottom: y, state: before });
        }
    }

    /// Words at the left, with a line across if they are about everyone.
    fn note(&mut self, text: &str, kind: TextKind, rule: Option<RuleKind>) -> i32 {
        // What an order was refused for is short; what is violated must be told.
        let most_lines = if text.contains(VIOLATED) { 9 } else { 3 };
        let lines = wrapped(text, NOTES_CHARS, most_lines);
        let last = self.skyline.len() - 1;
        let columns = if rule.is_some() { 0..=last } else { 0..=0 };
        let y = self.place(columns, PILL);
        if let Some(kind) = rule {
            self.scene.rules.push(Rule { y, kind });
        }
        for (place, line) in lines.iter().enumerate() {
            let y = y + 4 + TEXT_LINE * place as i32;
            self.text(NOTES_X, y, Anchor::Start, kind, line);
        }
        self.skyline[0] = y + TEXT_LINE * (lines.len() as i32 - 1);
        y
    }

    fn finish(mut self, view: &View, cut: Option<Time>) -> Scene {
        let mut bottom = self.bottom() + 16;
        let waiting: Vec<_> = self.on_their_way.keys().copied().collect();
        for number in waiting {
            let (passage, from) = (&self.story.messages[&number], self.departures[&number]);
            self.arrow(passage, from, (self.x(passage.to), bottom), Head::Open);
        }
        for id in &self.story.servers {
            let (state, _) = self.states[id];
            self.change(*id, State { up: !state.up, ..state }, bottom);
        }
        if let Some(at) = cut {
            bottom += 30;
            let text = format!(
                "cut here, at {at} s: the diagram is long enough. --from {at}s shows what follows; \
                 --to and --servers show less"
            );
            self.text(NOTES_X, bottom, Anchor::Start, TextKind::Alarm, text);
        }
        self.scene.height = bottom + 24;
        self.scene.cut = cut.map(|at| at.since(Time::default()));
        self.scene.title.clone_from(&view.title);
        self.scene.subtitle = self.subtitle(view, cut);
        self.scene
    }

    fn subtitle(&self, view: &View, cut: Option<Time>) -> String {
        let first = self.story.moments.first().map_or(self.story.end, |moment| moment.at);
        let last = cut.or(self.story.moments.last().map(|moment| moment.at));
        let part = match &view.servers[..] {
            [] => String::new(),
            servers => {
                let names: Vec<_> = servers.iter().map(ToString::to_string).collect();
                format!("; only {}", names.join(", "))
            }
        };
        let last = last.unwrap_or(self.story.end);
        format!("{first} s to {last} s of the run; time is not to scale{part}")
    }
}

/// At most so many characters, the last of them a mark of what is missing.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// Lines of at most so many characters, broken between words where that is possible.
fn wrapped(text: &str, most: usize, most_lines: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = shortened(word, most);
        let count = lines.len();
        let line = lines.last_mut().expect("invariant: there is a line from the start");
        if line.is_empty() {
            *line = word;
        } else if line.chars().count() + 1 + word.chars().count() <= most {
            line.push(' ');
            line.push_str(&word);
        } else if count == most_lines {
            line.push('…');
            break;
        } else {
            word.insert_str(0, "  ");
            lines.push(word);
        }
    }
    lines
}
