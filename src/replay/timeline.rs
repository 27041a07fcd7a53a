//! What is done in a run, and when.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::fingerprint::Marks;
use super::stage::{Halt, Stage, Until};
use super::tap::Ear;
use crate::actors::SandboxOptions;
use crate::raft::Time;
use crate::script::{self, Plain, Scenario};
use crate::storage::DiskKind;

/// The settings of a run, and the lines that are carried out in it. It has at most
/// [`MAX_BYTES`](Self::MAX_BYTES) bytes of lines.
#[derive(Clone)]
pub struct Timeline {
    /// What the sandbox is made from; its steps are below.
    settings: Scenario,
    pub(super) steps: Vec<Step>,
    /// What its trace was, as far as it was run.
    pub(super) marks: Rc<RefCell<Marks>>,
    /// How far it was run.
    pub(super) end: Time,
    bytes: usize,
}

/// A line, and when it is carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What it says.
    pub text: String,
    /// Where it stands, if it is part of a scenario.
    pub line: Option<usize>,
    /// Where its relative paths begin.
    pub(super) home: Rc<Path>,
    /// At this moment at the earliest; without one, as soon as the step before has ended.
    pub(super) at: Option<Time>,
    /// Where that moment is here already, nothing else comes before it.
    pub(super) at_once: bool,
    /// It was interrupted then.
    pub(super) until: Option<Time>,
    /// When it was carried out, as far as it was.
    pub began: Option<Time>,
}

/// The longest run.
pub(super) const LONGEST: Duration = Duration::from_secs(48 * 60 * 60);

impl Timeline {
    /// Most bytes of lines that it holds.
    pub const MAX_BYTES: usize = 4 << 20;

    /// A run in which this scenario, read from `path`, is carried out.
    pub fn new(scenario: &Scenario, path: &Path) -> Self {
        let home: Rc<Path> = path.parent().unwrap_or(Path::new("")).into();
        let step = |step: &script::Step| Step {
            text: step.text.trim().to_owned(),
            line: Some(step.number),
            ..Step::new(home.clone())
        };
        let mut steps: Vec<Step> = scenario.steps.iter().map(step).collect();
        // A scenario ends when its commands in the background have.
        if steps.iter().any(|step| step.text.starts_with('&')) {
            steps.push(Step { text: "wait jobs".to_owned(), ..Step::new(home) });
        }
        let bytes = steps.iter().map(|step| step.text.len()).sum();
        let settings = Scenario { steps: Vec::new(), ..scenario.clone() };
        Self { settings, steps, marks: Rc::default(), end: Time::default(), bytes }
    }

    /// A run in which nothing is done yet.
    pub fn by_hand(servers: u64, seed: u64, disks: DiskKind) -> Self {
        let scenario = Scenario {
            servers: Some(servers),
            seed: Some(seed),
            disks: Some(disks),
            ..Scenario::default()
        };
        Self::new(&scenario, Path::new(""))
    }

    /// A run in which these lines are carried out, each at its moment at the earliest. `None` if
    /// they are too long.
    pub(crate) fn recorded(
        (servers, seed, disks): (u64, u64, DiskKind),
        lines: &[(Time, String)],
    ) -> Option<Self> {
        let mut timeline = Self::by_hand(servers, seed, disks);
        lines.iter().all(|(at, line)| timeline.push(*at, line)).then_some(timeline)
    }

    /// How many servers there are.
    pub fn servers(&self) -> u64 {
        self.settings.servers.unwrap_or(Scenario::SERVERS)
    }

    /// What everything random is drawn from.
    pub fn seed(&self) -> u64 {
        self.settings.seed.unwrap_or(Scenario::SEED)
    }

    /// The lines.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How far it was run.
    pub fn end(&self) -> Time {
        self.end
    }

    /// What its sandbox is made from.
    pub(super) fn options(&self) -> SandboxOptions {
        self.settings.sandbox()
    }

    /// A sandbox of its own that has carried the steps out up to this halt, without those left out,
    /// and how it came to it. Nothing is shown, and no file of the host is written. After a
    /// step that failed, [`Stage::follow`] goes on.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub fn run(&self, without: &BTreeSet<usize>, until: Until<'_>) -> io::Result<(Stage, Halt)> {
        let mut stage = self.stage(None)?;
        let halt = stage.follow(&self.steps, without, until);
        Ok((stage, halt))
    }

    /// When its last step has ended, if nothing interrupts it. Steps that fail do not end it.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub fn finish(&self) -> io::Result<Time> {
        let time = Time::default() + LONGEST;
        let until = Until { time, finished: true, seen: None };
        let (mut stage, mut halt) = self.run(&BTreeSet::new(), until)?;
        while let Halt::Failed { .. } = halt {
            halt = stage.follow(&self.steps, &BTreeSet::new(), until);
        }
        Ok(stage.now())
    }

    /// A sandbox of its own in which nothing has happened yet, and that shows nothing.
    pub(crate) fn stage(&self, ear: Option<Ear>) -> io::Result<Stage> {
        let screen = Rc::new(Plain::new(io::sink(), false));
        Stage::new(self, None, ear, screen, |_, _| {})
    }

    /// The same run with every step that began at its recorded moment, whatever becomes of the
    /// others, and up to the moment of the next. `texts` says some steps differently.
    pub(crate) fn pinned(&self, began: &[Time], texts: &BTreeMap<usize, String>) -> Self {
        let mut pinned = self.clone();
        pinned.marks = Rc::default();
        pinned.truncate(began.len());
        for (place, step) in pinned.steps.iter_mut().enumerate() {
            // What followed the step before it at once still does.
            step.at_once = step.at.is_none();
            step.at = began.get(place).copied();
            step.until = began.get(place + 1).copied().or(step.until);
            if let Some(text) = texts.get(&place) {
                step.text.clone_from(text);
            }
        }
        pinned
    }

    /// Adds a line that a person gives at this moment. Returns whether there was room for it.
    pub(super) fn push(&mut self, at: Time, text: &str) -> bool {
        if self.bytes + text.len() > Self::MAX_BYTES {
            return false;
        }
        self.bytes += text.len();
        let home: Rc<Path> = PathBuf::new().into();
        self.steps.push(Step { text: text.to_owned(), at: Some(at), ..Step::new(home) });
        true
    }

    /// Forgets the steps from this one on.
    pub(super) fn truncate(&mut self, kept: usize) {
        self.steps.truncate(kept);
        self.bytes = self.steps.iter().map(|step| step.text.len()).sum();
    }
}

impl Step {
    fn new(home: Rc<Path>) -> Self {
        Self {
            text: String::new(),
            line: None,
            home,
            at: None,
            at_once: false,
            until: None,
            began: None,
        }
    }

    /// When it is carried out, if that is known.
    pub fn moment(&self) -> Option<Time> {
        self.at.or(self.began)
    }
}
