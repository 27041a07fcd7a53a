//! One world, run from its beginning to its end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

use super::{Fault, Tally, World};
use crate::actors::{
    ClockKind, ClusterStatus, Event, EventKind, LogLine, Sandbox, SandboxOptions, ServerStatus,
};
use crate::files::FileInfo;
use crate::raft::RoleKind;
use crate::script::{Failure, Progress, Runner, Scenario, Screen, Step};

/// What came of a world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What happened.
    pub tally: Tally,
    /// What went wrong, if anything did.
    pub violation: Option<Violation>,
}

/// Something that must not happen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// The property that was violated.
    pub property: String,
    /// How it showed.
    pub text: String,
    /// When, in virtual time.
    pub at: Duration,
}

/// Runs a world in virtual time, until its end or the first violation.
///
/// # Errors
/// If there can be no runtime.
pub fn run(world: &World) -> io::Result<Outcome> {
    run_counting(&world.scenario, world.begins.clone())
}

/// Runs a scenario in the same way; what its steps begin is not counted.
///
/// # Errors
/// If there can be no runtime.
pub fn run_scenario(scenario: &Scenario) -> io::Result<Outcome> {
    run_counting(scenario, BTreeMap::new())
}

/// `begins` says which faults its steps begin, by their numbers.
fn run_counting(scenario: &Scenario, begins: BTreeMap<usize, Fault>) -> io::Result<Outcome> {
    crate::actors::run(ClockKind::Virtual, async {
        let sandbox =
            Sandbox::start(SandboxOptions { record_commands: false, ..scenario.sandbox() });
        let watch = Rc::new(Watch::new(begins));
        let watching = watch.clone();
        sandbox.events().watch(move |event| watching.see(event));
        let clock = sandbox.clock();
        let mut runner = Runner::new(sandbox, watch.clone(), ClockKind::Virtual);
        let done = runner.scenario(scenario, Path::new("world.jangada")).await;
        let at = Duration::from_nanos(clock.now().as_nanos());
        let mut tally = watch.tally.take();
        (tally.seeds, tally.virtual_time) = (1, at);
        tally.add_traffic(&runner.sandbox().traffic());
        let calls = runner.tally_calls();
        (tally.writes, tally.reads, tally.unknown) = (calls.writes, calls.reads, calls.unknown);
        tally.unchecked = u64::from(calls.unchecked);
        tally.undecided = u64::from(done.as_ref().err().is_some_and(Failure::is_undecided));
        let seen = watch.violation.take();
        let violation = seen.or(done.err().and_then(|failure| Violation::of(&failure, at)));
        runner.end().await;
        Outcome { tally, violation }
    })
}

/// Sees what happens, and shows nothing.
struct Watch {
    begins: BTreeMap<usize, Fault>,
    tally: RefCell<Tally>,
    /// The fault that the present step begins.
    fault: Cell<Option<Fault>>,
    /// What the monitor saw, when it saw it.
    violation: RefCell<Option<Violation>>,
}

impl Watch {
    fn new(begins: BTreeMap<usize, Fault>) -> Self {
        Self {
            begins,
            tally: RefCell::default(),
            fault: Cell::new(None),
            violation: RefCell::default(),
        }
    }

    fn see(&self, event: &Event) {
        let tally = &mut *self.tally.borrow_mut();
        match &event.kind {
            EventKind::Ordered(_) => {
                if let Some(fault) = self.fault.get() {
                    *tally.faults.entry(fault.name()).or_default() += 1;
                }
            }
            EventKind::OrderRefused(_) => {
                if let Some(fault) = self.fault.get() {
                    *tally.faults.entry(fault.name()).or_default() -= 1;
                }
            }
            EventKind::Became { role: RoleKind::Leader, .. } => tally.elections += 1,
            EventKind::Violated(violation) => {
                *self.violation.borrow_mut() = Some(Violation {
                    property: violation.property.name().to_owned(),
                    text: violation.text.clone(),
                    at: Duration::from_nanos(event.at.as_nanos()),
                });
            }
            _ => {}
        }
    }
}

impl Screen for Watch {
    fn say(&self, _: &str) {}
    fn confirm(&self, _: &str) {}
    fn status(&self, _: &ClusterStatus) {}
    fn members(&self, _: &ClusterStatus) {}
    fn files(&self, _: &[FileInfo]) {}
    fn log(&self, _: &ServerStatus, _: &[LogLine]) {}
    fn events(&self, _: &[Event]) {}
    fn content(&self, _: &[u8]) {}
    fn progress(&self, _: Option<&Progress>) {}

    fn watch(&self) -> bool {
        false
    }

    fn step(&self, step: &Step) {
        self.fault.set(self.begins.get(&step.number).copied());
    }
}

impl Violation {
    /// What a scenario that failed violates. A check that came to no verdict violates nothing.
    pub(super) fn of(failure: &Failure, at: Duration) -> Option<Self> {
        let violation = || Self { property: property(failure), text: failure.to_string(), at };
        (!failure.is_undecided()).then(violation)
    }
}

/// The property that a scenario violates which failed without the monitor.
fn property(failure: &Failure) -> String {
    match failure {
        Failure::At { cause, .. } => property(cause),
        Failure::Unmet(unmet) => match unmet.expected.as_str() {
            "expect linearizable" => "linearizable".to_owned(),
            expected if expected.starts_with("expect files equal") => "equal_files".to_owned(),
            _ => "liveness".to_owned(),
        },
        Failure::Other(_) => "liveness".to_owned(),
        // The scenario itself is wrong, which is a fault of the simulation.
        _ => "scenario".to_owned(),
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is violated at {:.3} s: {}", self.property, self.at.as_secs_f64(), self.text)
    }
}
