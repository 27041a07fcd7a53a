//! What happened, for people and for tests: the latest events, those who watch them, and the
//! trace of a run.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::rc::Rc;

use super::clock::Clock;
use super::{Order, OrderError};
use crate::raft::{Index, RoleKind, ServerId, Term, Time, Why};
use crate::storage::{StorageError, TornTail};

/// Something that happened, and when.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Since the sandbox began.
    pub at: Time,
    /// What it was.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum EventKind {
    /// The supervisor carried out an order.
    Ordered(Order),
    /// The supervisor did not carry out the order before this, and changed nothing.
    OrderRefused(OrderError),
    /// A server runs, from what its disk kept.
    Started(ServerId),
    /// A server ended: crashed, or stopped in good order.
    Ended {
        /// The server.
        server: ServerId,
        /// Whether it had time to sync its disk.
        orderly: bool,
    },
    /// A server ended by itself, or cannot start: its disk failed, or is damaged.
    Failed {
        /// The server.
        server: ServerId,
        /// What is wrong.
        error: StorageError,
    },
    /// A server that starts cut off what a crash tore.
    Torn {
        /// The server.
        server: ServerId,
        /// What it cut off.
        tail: TornTail,
    },
    /// A server changed its role, its term or its leader.
    Became {
        /// The server.
        server: ServerId,
        /// Its role now.
        role: RoleKind,
        /// Its term now.
        term: Term,
        /// The leader it follows.
        leader: Option<ServerId>,
        /// Why.
        why: Why,
    },
    /// The leader applied a committed command.
    Applied {
        /// The leader.
        server: ServerId,
        /// The command's place in the log.
        index: Index,
        /// The command in a few words.
        command: String,
    },
}

/// Keeps the latest events and tells those who watch.
#[derive(Clone)]
pub struct Recorder(Rc<RefCell<Record>>);

type Watcher = Box<dyn FnMut(&Event)>;

struct Record {
    clock: Clock,
    events: VecDeque<Event>,
    watchers: Vec<Watcher>,
    trace: Option<Box<dyn Write>>,
    /// Whether single commands are recorded.
    commands: bool,
}

/// Most events that are kept; older ones are forgotten.
const MAX_EVENTS: usize = 10_000;

impl Recorder {
    pub(crate) fn new(clock: Clock, commands: bool, trace: Option<Box<dyn Write>>) -> Self {
        let (events, watchers) = Default::default();
        Self(Rc::new(RefCell::new(Record { clock, events, watchers, trace, commands })))
    }

    /// The latest `count` events, oldest first.
    pub fn latest(&self, count: usize) -> Vec<Event> {
        let record = self.0.borrow();
        let skip = record.events.len().saturating_sub(count);
        record.events.iter().skip(skip).cloned().collect()
    }

    /// Calls `watcher` with every event from now on. It must not call the recorder.
    pub fn watch(&self, watcher: impl FnMut(&Event) + 'static) {
        self.0.borrow_mut().watchers.push(Box::new(watcher));
    }

    pub(crate) fn record(&self, kind: EventKind) {
        let record = &mut *self.0.borrow_mut();
        let event = Event { at: record.clock.now(), kind };
        record.write_trace(event.at, format_args!("{}", event.kind));
        for watcher in &mut record.watchers {
            watcher(&event);
        }
        if record.events.len() == MAX_EVENTS {
            record.events.pop_front();
        }
        record.events.push_back(event);
    }

    /// Whether single commands are worth describing.
    pub(crate) fn records_commands(&self) -> bool {
        self.0.borrow().commands
    }

    /// Whether a trace is written.
    pub(crate) fn traces(&self) -> bool {
        self.0.borrow().trace.is_some()
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn trace(&self, line: fmt::Arguments<'_>) {
        let record = &mut *self.0.borrow_mut();
        let now = record.clock.now();
        record.write_trace(now, line);
    }
}

impl Record {
    fn write_trace(&mut self, at: Time, line: fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace
            && let Err(error) = writeln!(trace, "{} {line}", Seconds(at))
        {
            log::error!("the trace ends here: it cannot be written: {error}");
            self.trace = None;
        }
    }
}

/// A moment as seconds with six decimals.
pub(crate) struct Seconds(pub(crate) Time);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_nanos() / 1_000;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.at.as_nanos() / 1_000_000;
        write!(f, "{:>4}.{:03} s  {}", millis / 1_000, millis % 1_000, self.kind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::Ordered(order) => write!(f, "order: {order}"),
            EventKind::OrderRefused(error) => write!(f, "order refused: {error}"),
            EventKind::Started(server) => write!(f, "{server} started"),
            EventKind::Ended { server, orderly: true } => write!(f, "{server} stopped"),
            EventKind::Ended { server, orderly: false } => write!(f, "{server} crashed"),
            EventKind::Failed { server, error } => write!(f, "{server} failed: {error}"),
            EventKind::Torn { server, tail } => write!(f, "{server} cut off {tail}"),
            EventKind::Became { server, role, term, leader, why } => match leader {
                Some(leader) if leader != server => {
                    write!(f, "{server} follows {leader} (term {term}): {why}")
                }
                _ => write!(f, "{server} is {role} (term {term}): {why}"),
            },
            EventKind::Applied { server, index, command } => {
                write!(f, "{server} committed {index}: {command}")
            }
        }
    }
}
