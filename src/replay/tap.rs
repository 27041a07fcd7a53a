//! Reads the trace of a run as it is written: for its fingerprint, and for whoever goes through
//! it message by message.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::rc::Rc;

use super::fingerprint::{Fingerprint, Marks};

/// The reader's end and the writer's end of one trace.
#[derive(Clone)]
pub(super) struct Tap(Rc<RefCell<Reading>>);

struct Reading {
    line: Vec<u8>,
    trace: Fingerprint,
    /// What the trace is to be compared with.
    marks: Option<Rc<RefCell<Marks>>>,
    /// What the messages say that are on their way; the oldest are forgotten.
    sent: BTreeMap<u64, String>,
    /// What was not taken yet, while someone listens.
    told: Option<VecDeque<Told>>,
    /// Hears everything at once.
    ear: Option<Ear>,
}

/// Hears what a run tells. It must not ask the run for anything.
pub(crate) type Ear = Box<dyn FnMut(Heard<'_>)>;

/// What an ear hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard<'a> {
    /// This step of the timeline begins.
    Step(usize),
    /// A line of the trace.
    Line(&'a str),
}

/// Something that the trace told, as a line for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// A message arrived.
    Arrived(String),
    /// A message was lost.
    Lost(String),
    /// Something happened that is no message and no order.
    Event(String),
}

/// Most messages on their way whose text is known.
const MAX_SENT: usize = 16_384;
/// Most lines that wait to be taken; what comes then is left out.
const MAX_TOLD: usize = 1 << 20;

impl Tap {
    pub(super) fn new(marks: Option<Rc<RefCell<Marks>>>, ear: Option<Ear>) -> Self {
        let (line, sent) = Default::default();
        let trace = Fingerprint::default();
        Self(Rc::new(RefCell::new(Reading { line, trace, marks, sent, told: None, ear })))
    }

    /// Tells that this step begins.
    pub(super) fn begin(&self, step: usize) {
        if let Some(ear) = &mut self.0.borrow_mut().ear {
            ear(Heard::Step(step));
        }
    }

    /// The trace so far.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.0.borrow().trace
    }

    /// Begins to listen, or ends it and forgets what was not taken.
    pub(super) fn listen(&self, on: bool) {
        let told = &mut self.0.borrow_mut().told;
        match on {
            true => {
                told.get_or_insert_default();
            }
            false => *told = None,
        }
    }

    /// Takes the next line.
    pub(super) fn take(&self) -> Option<Told> {
        self.0.borrow_mut().told.as_mut()?.pop_front()
    }

    /// How many lines of this kind wait to be taken.
    pub(super) fn waiting(&self, kind: fn(&Told) -> bool) -> usize {
        let reading = self.0.borrow();
        reading.told.iter().flatten().filter(|told| kind(told)).count()
    }
}

impl Reading {
    fn end_line(&mut self) {
        self.trace.add(&self.line);
        if let Some(marks) = &self.marks {
            marks.borrow_mut().pass(self.trace);
        }
        // Nobody can go through a run that is done for its outcome alone.
        if self.ear.is_none() && self.marks.is_none() && self.told.is_none() {
            return self.line.clear();
        }
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if let Some(ear) = &mut self.ear {
            return ear(Heard::Line(&line));
        }
        let Some((time, rest)) = line.split_once(' ') else { return };
        match Passage::read(rest) {
            Some(Passage { kind: "->", number, text, .. }) => {
                self.sent.insert(number, text.to_owned());
                if self.sent.len() > MAX_SENT {
                    self.sent.pop_first();
                }
            }
            // The receiver stands first.
            Some(Passage { kind: "<-", left: to, right: from, number, .. }) => {
                let text = self.sent.get(&number).map_or("again", String::as_str);
                let line = format!("{}{from} -> {to}  {text}", At(time));
                self.tell(Told::Arrived(line));
            }
            Some(Passage { left: from, right: to, number, text: why, .. }) => {
                let text = self.sent.get(&number).map_or("again", String::as_str);
                let line = format!("{}{from} -x {to}  {text}: lost, {why}", At(time));
                self.tell(Told::Lost(line));
            }
            None if rest.starts_with("order") => {}
            None => self.tell(Told::Event(format!("{}{rest}", At(time)))),
        }
    }

    fn tell(&mut self, line: Told) {
        if let Some(told) = &mut self.told
            && told.len() < MAX_TOLD
        {
            told.push_back(line);
        }
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let reading = &mut *self.0.borrow_mut();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', end)) => {
                    reading.line.extend_from_slice(end);
                    reading.end_line();
                }
                _ => reading.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line of the trace about a message, such as `S1 -> S2 #7 AppendEntries ...`.
struct Passage<'a> {
    kind: &'a str,
    left: &'a str,
    right: &'a str,
    number: u64,
    text: &'a str,
}

impl<'a> Passage<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(5, ' ');
        let (left, kind, right) = (words.next()?, words.next()?, words.next()?);
        let number = words.next()?.strip_prefix('#')?.parse().ok()?;
        let is_message = matches!(kind, "->" | "<-" | "-x");
        is_message.then(|| Self { kind, left, right, number, text: words.next().unwrap_or("") })
    }
}

/// A moment of the trace as events show it.
struct At<'a>(&'a str);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.find('.').and_then(|point| self.0.get(..point + 4));
        write!(f, "{:>8} s  ", millis.unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_when_it_arrives() {
        let mut tap = Tap::new(None, None);
        tap.listen(true);
        let trace = "0.150000 S1 -> S2 #1 RequestVote term=1\n\
                     0.150000 S1 -x S3 #2 cut\n\
                     0.151000 S2 <- S1 #1\n\
                     0.152000 order: crash 1\n\
                     0.152000 S1 crashed\n";
        for byte in trace.bytes() {
            tap.write_all(&[byte]).unwrap();
        }
        let told: Vec<Told> = std::iter::from_fn(|| tap.take()).collect();
        let expected = [
            Told::Lost("   0.150 s  S1 -x S3  again: lost, cut".to_owned()),
            Told::Arrived("   0.151 s  S1 -> S2  RequestVote term=1".to_owned()),
            Told::Event("   0.152 s  S1 crashed".to_owned()),
        ];
        assert_eq!(told, expected);
        let mut whole = Fingerprint::default();
        trace.lines().for_each(|line| whole.add(line.as_bytes()));
        assert_eq!(tap.fingerprint(), whole);
    }
}
