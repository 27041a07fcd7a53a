//! What happened, for people and for tests: the latest events, those who watch them, the trace of
//! a run, and the monitor that is told every fact.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use super::clock::Clock;
use super::panic::last_panic;
use super::{Meter, Order, OrderError};
use crate::invariants::{Fact, Monitor, Property, Violation};
use crate::raft::{
    Configuration, HandoverReason, Index, Position, RoleKind, ServerId, Term, Time, Why,
};
use crate::storage::{Salvage, StorageError, TornTail};

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
    /// A server learned that a configuration is committed.
    Configured {
        /// The server.
        server: ServerId,
        /// Where in the log it stands.
        at: Index,
        /// What it is.
        configuration: Arc<Configuration>,
    },
    /// A leader begins to hand over.
    HandingOver {
        /// The leader.
        server: ServerId,
        /// To whom.
        to: ServerId,
        /// Why.
        why: HandoverReason,
    },
    /// A leader could not hand over.
    HandoverAborted {
        /// The leader.
        server: ServerId,
        /// To whom it would have handed over.
        to: ServerId,
    },
    /// A server has a snapshot of its own state on its disk.
    Snapshotted {
        /// The server.
        server: ServerId,
        /// The last entry that it covers.
        last_included: Position,
    },
    /// A server put its leader's snapshot in the place of its log.
    Installed {
        /// The server.
        server: ServerId,
        /// The last entry that it covers.
        last_included: Position,
        /// Chunks that had to be sent, and chunks in all.
        chunks: (u64, u64),
    },
    /// A server that had lost its disk has been recovered from a quorum: it votes again.
    Recovered {
        /// The server.
        server: ServerId,
    },
    /// A server was made a cluster of its own, from what it had.
    Salvaged {
        /// The server.
        server: ServerId,
        /// What it had.
        salvage: Salvage,
    },
    /// A server's state differs from that of the others, and it was taken out of service.
    Diverged {
        /// The server.
        server: ServerId,
        /// The first entry after which the states differ.
        index: Index,
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
    /// What must always hold does not. Of several, only the first is told.
    Violated(Violation),
}

/// Keeps the latest events, tells those who watch, writes the trace and tells the monitor.
#[derive(Clone)]
pub struct Recorder {
    record: Rc<RefCell<Record>>,
    monitor: Option<Rc<RefCell<Monitor>>>,
    meter: Option<Rc<dyn Meter>>,
}

type Watcher = Box<dyn FnMut(&Event)>;

struct Record {
    clock: Clock,
    events: VecDeque<Event>,
    watchers: Vec<Watcher>,
    trace: Option<Box<dyn Write>>,
    /// Whether single commands are recorded.
    commands: bool,
    violation: Option<Violation>,
}

/// Belongs to an actor: should a panic end it, nobody else would know.
pub(crate) struct Alarm {
    server: ServerId,
    recorder: Recorder,
}

/// Most events that are kept; older ones are forgotten.
const MAX_EVENTS: usize = 10_000;

impl Recorder {
    pub(crate) fn new(
        clock: Clock,
        commands: bool,
        trace: Option<Box<dyn Write>>,
        monitor: Option<Monitor>,
    ) -> Self {
        let (events, watchers, violation) = Default::default();
        let record = Record { clock, events, watchers, trace, commands, violation };
        Self {
            record: Rc::new(RefCell::new(record)),
            monitor: monitor.map(|monitor| Rc::new(RefCell::new(monitor))),
            meter: None,
        }
    }

    /// The same, with somebody who keeps the numbers.
    pub(crate) fn with_meter(self, meter: Option<Rc<dyn Meter>>) -> Self {
        Self { meter, ..self }
    }

    /// Who keeps the numbers.
    pub(crate) fn meter(&self) -> Option<&dyn Meter> {
        self.meter.as_deref()
    }

    /// The latest `count` events, oldest first.
    pub fn latest(&self, count: usize) -> Vec<Event> {
        let record = self.record.borrow();
        let skip = record.events.len().saturating_sub(count);
        record.events.iter().skip(skip).cloned().collect()
    }

    /// Calls `watcher` with every event from now on. It must not call the recorder.
    pub fn watch(&self, watcher: impl FnMut(&Event) + 'static) {
        self.record.borrow_mut().watchers.push(Box::new(watcher));
    }

    pub(crate) fn record(&self, kind: EventKind) {
        self.record.borrow_mut().add(kind);
    }

    /// Whether a monitor is told.
    pub(crate) fn monitors(&self) -> bool {
        self.monitor.is_some()
    }

    /// Tells the monitor, if there is one.
    #[inline]
    pub(crate) fn tell(&self, fact: &Fact<'_>) {
        if self.monitor.is_some() {
            self.tell_monitor(fact);
        }
    }

    /// Apart, so that nothing is made of a fact that nobody is told.
    #[inline(never)]
    fn tell_monitor(&self, fact: &Fact<'_>) {
        if let Some(monitor) = &self.monitor
            && let Err(violation) = monitor.borrow_mut().observe(fact)
        {
            self.record.borrow_mut().violated(violation);
        }
    }

    /// The first thing that must always hold and did not.
    pub(crate) fn violation(&self) -> Option<Violation> {
        self.record.borrow().violation.clone()
    }

    /// Sees to it that a panic of the actor that keeps the alarm is known.
    pub(crate) fn alarm(&self, server: ServerId) -> Alarm {
        Alarm { server, recorder: self.clone() }
    }

    /// Whether single commands are worth describing.
    pub(crate) fn records_commands(&self) -> bool {
        self.record.borrow().commands
    }

    /// Whether a trace is written.
    pub(crate) fn traces(&self) -> bool {
        self.record.borrow().trace.is_some()
    }

    /// Adds a line to the trace, if there is one.
    #[inline]
    pub(crate) fn trace(&self, line: fmt::Arguments<'_>) {
        let record = &mut *self.record.borrow_mut();
        // Asking for the time takes longer than all the rest.
        if record.trace.is_some() {
            let now = record.clock.now();
            record.write_trace(now, line);
        }
    }
}

impl Record {
    fn add(&mut self, kind: EventKind) {
        let event = Event { at: self.clock.now(), kind };
        self.write_trace(event.at, format_args!("{}", event.kind));
        for watcher in &mut self.watchers {
            watcher(&event);
        }
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn violated(&mut self, violation: Violation) {
        if self.violation.is_none() {
            self.violation = Some(violation.clone());
            self.add(EventKind::Violated(violation));
        }
    }

    fn write_trace(&mut self, at: Time, line: fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace
            && let Err(error) = writeln!(trace, "{} {line}", Seconds(at))
        {
            log::error!("the trace ends here: it cannot be written: {error}");
            self.trace = None;
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // In the middle of recording nothing can be recorded.
        if std::thread::panicking()
            && let Ok(mut record) = self.recorder.record.try_borrow_mut()
        {
            let text = format!("{} died of a panic: {}", self.server, last_panic());
            record.violated(Violation { property: Property::Assertion, text });
        }
    }
}

impl Event {
    /// The event as a line of a trace.
    pub(crate) fn traced(&self) -> String {
        format!("{} {}", Seconds(self.at), self.kind)
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
        write!(f, "{:>8} s  {}", self.at, self.kind)
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
            EventKind::Configured { server, at, configuration } => {
                write!(f, "{server} knows members {at}: {configuration}")
            }
            EventKind::HandingOver { server, to, why } => {
                write!(f, "{server} hands over to {to}: {why}")
            }
            EventKind::HandoverAborted { server, to } => {
                write!(f, "{server} leads on: {to} did not take over")
            }
            EventKind::Snapshotted { server, last_included } => {
                write!(f, "{server} took a snapshot up to {last_included}")
            }
            EventKind::Installed { server, last_included, chunks: (sent, all) } => {
                write!(f, "{server} installed a snapshot up to {last_included}: ")?;
                write!(f, "{sent} of {all} chunks were sent")
            }
            EventKind::Recovered { server } => write!(f, "{server} recovered from a quorum"),
            EventKind::Salvaged { server, salvage } => write!(f, "{server} {salvage}"),
            EventKind::Diverged { server, index } => {
                write!(f, "{server} is out of service: its state differs from {index} on")
            }
            EventKind::Applied { server, index, command } => {
                write!(f, "{server} committed {index}: {command}")
            }
            EventKind::Violated(violation) => violation.fmt(f),
        }
    }
}
