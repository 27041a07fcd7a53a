//! Moves about in one run, for a person: forth and back, and off the recorded way.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::stage::{Halt, Stage, Until};
use super::tap::Told;
use super::timeline::{LONGEST, Timeline};
use crate::actors::Event;
use crate::raft::Time;
use crate::script::{Failure, Flow, Screen, Statement, Variables};

/// Is called with every event of one run, and whether it is shown or only done again.
pub(crate) type Watcher = Box<dyn FnMut(&Event, bool)>;

/// A stage on its timeline, and who watches it.
pub(crate) struct Traveller {
    timeline: Timeline,
    /// Where the lines of the scenario come from.
    path: PathBuf,
    stage: Stage,
    screen: Rc<dyn Screen>,
    watcher: Box<dyn Fn() -> Watcher>,
    /// Something was looked at that left its mark: the stage is made anew before it goes on.
    spoiled: Option<Time>,
}

/// What became of a statement that a person gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// It only looked, and is done.
    Looked,
    /// It is the last step of the timeline now. So many others, which lay ahead, are forgotten.
    Added {
        /// How many.
        forgotten: usize,
    },
}

impl Traveller {
    /// Begins a run; `path` is where its scenario was read from. `watcher` makes a watcher for
    /// each time that it is run.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(crate) fn new(
        timeline: Timeline,
        path: PathBuf,
        screen: Rc<dyn Screen>,
        watcher: impl Fn() -> Watcher + 'static,
    ) -> io::Result<Self> {
        let stage = Self::stage(&timeline, &screen, watcher())?;
        stage.show(true);
        Ok(Self { timeline, path, stage, screen, watcher: Box::new(watcher), spoiled: None })
    }

    fn stage(timeline: &Timeline, screen: &Rc<dyn Screen>, watch: Watcher) -> io::Result<Stage> {
        Stage::new(timeline, Some(timeline.marks.clone()), None, screen.clone(), watch)
    }

    /// The time now.
    pub(crate) fn now(&self) -> Time {
        self.spoiled.unwrap_or_else(|| self.stage.now())
    }

    /// What is recorded.
    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The variables and their values.
    pub(crate) fn variables(&self) -> &Variables {
        self.stage.observer().variables()
    }

    /// The names of the files, as far as they were told.
    pub(crate) fn known_files(&self) -> Vec<String> {
        self.stage.observer().known_files()
    }

    /// The steps that have begun, and whether the last of them is under way.
    pub(crate) fn progress(&self) -> (usize, bool) {
        (self.stage.next(), self.stage.under_way().is_some())
    }

    /// Whether something recorded lies ahead: a step, or time that has passed before.
    pub(crate) fn has_future(&self) -> bool {
        self.has_steps() || self.now() < self.timeline.end
    }

    /// Whether a step lies ahead or is under way.
    pub(crate) fn has_steps(&self) -> bool {
        self.stage.next() < self.timeline.steps.len() || self.stage.under_way().is_some()
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(crate) fn go(&mut self, until: Until<'_>) -> io::Result<Halt> {
        self.clean()?;
        if self.now() >= Time::default() + LONGEST {
            let hours = LONGEST.as_secs() / 3600;
            let message = format!("a run has at most {hours} h; `rewind` leads back");
            let failure = Failure::Other(message);
            return Ok(Halt::Failed { step: usize::MAX, failure });
        }
        let halt = self.stage.follow(&self.timeline.steps, &BTreeSet::new(), until);
        self.arrive();
        Ok(halt)
    }

    /// Goes to this moment, by doing everything again if it lies behind. Nothing of that is shown,
    /// but the first failure of a step that lay ahead is returned.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(crate) fn goto(&mut self, time: Time) -> io::Result<Option<Failure>> {
        let (begun, under_way) = self.progress();
        let ahead = begun - usize::from(under_way);
        let mut failed = None;
        if time < self.stage.now() || self.spoiled.is_some() {
            self.stage = Self::stage(&self.timeline, &self.screen, (self.watcher)())?;
            self.spoiled = None;
        }
        self.stage.show(false);
        // At time zero nothing has begun: a scenario does not begin before time passes.
        while time > Time::default() || !self.stage.is_delicate(&self.timeline.steps) {
            let until = Until::time(time);
            let halt = self.stage.follow(&self.timeline.steps, &BTreeSet::new(), until);
            match halt {
                Halt::Reached => {
                    self.arrive();
                    break;
                }
                Halt::Failed { step, failure } if step >= ahead && failed.is_none() => {
                    failed = Some(self.placed(step, failure));
                }
                _ => {}
            }
        }
        self.stage.show(true);
        Ok(failed)
    }

    /// Whether something that must always hold was seen not to, in this run.
    pub(crate) fn violated(&self) -> impl Fn() -> bool + use<> {
        let events = self.stage.sandbox().events().clone();
        move || events.violation().is_some()
    }

    /// Begins to listen to the trace, or ends it.
    pub(crate) fn listen(&self, on: bool) {
        self.stage.tap().listen(on);
    }

    /// Takes the next line that the trace told.
    pub(crate) fn take_told(&self) -> Option<Told> {
        self.stage.tap().take()
    }

    /// How many lines of this kind wait to be taken.
    pub(crate) fn count_told(&self, kind: fn(&Told) -> bool) -> usize {
        self.stage.tap().waiting(kind)
    }

    /// Lets time pass until so many lines of this kind were told. If that takes longer than
    /// `patience`, everything is as before.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(crate) fn step(
        &mut self,
        kind: fn(&Told) -> bool,
        count: usize,
        patience: Duration,
    ) -> io::Result<Halt> {
        self.clean()?;
        let (before, end) = (self.now(), self.timeline.end);
        self.listen(true);
        let tap = self.stage.tap().clone();
        let seen = move || tap.waiting(kind) >= count;
        if seen() {
            return Ok(Halt::Seen);
        }
        let halt =
            self.go(Until { time: before + patience, finished: false, seen: Some(&seen) })?;
        if matches!(halt, Halt::Reached) {
            self.goto(before)?;
            self.timeline.end = end;
        }
        Ok(halt)
    }

    /// Forgets what is recorded after this moment; what is under way is interrupted. Returns how
    /// many steps that were.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(crate) fn fork(&mut self) -> io::Result<usize> {
        self.clean()?;
        let now = self.now();
        let kept = self.stage.next();
        let mut forgotten = self.timeline.steps.len() - kept.min(self.timeline.steps.len());
        self.timeline.truncate(kept);
        if let Some(step) = self.stage.under_way() {
            self.interrupt(step);
            forgotten += 1;
        }
        self.timeline.marks.borrow_mut().fork(now, self.stage.fingerprint());
        self.timeline.end = now;
        Ok(forgotten)
    }

    /// Interrupts the step that is under way, if one is.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(crate) fn give_up(&mut self) -> io::Result<()> {
        if let Some(step) = self.stage.under_way() {
            self.interrupt(step);
            self.go(Until::time(self.now()))?;
        }
        Ok(())
    }

    fn interrupt(&mut self, step: usize) {
        let now = self.stage.now();
        if let Some(step) = self.timeline.steps.get_mut(step) {
            step.until = Some(now);
        }
        self.timeline.marks.borrow_mut().fork(now, self.stage.fingerprint());
    }

    /// Takes a statement, as a person typed it. What only looks is done at once. Anything else
    /// becomes the last step of the timeline, off the recorded way if that goes on: `go` carries
    /// it out.
    ///
    /// # Errors
    /// If it cannot make a runtime; inside, if looking failed or the timeline is full.
    pub(crate) fn give(
        &mut self,
        text: &str,
        statement: &Statement,
    ) -> io::Result<Result<Given, Failure>> {
        if looks(statement) || reads(statement) && self.has_future() {
            // What lies ahead must not notice that somebody asked.
            if reads(statement) || self.stage.is_delicate(&self.timeline.steps) {
                self.spoiled.get_or_insert(self.stage.now());
            }
            return Ok(self.stage.look(statement).map(|_: Flow| Given::Looked));
        }
        let forgotten = self.fork()?;
        if !self.timeline.push(self.now(), text) {
            let limit = Timeline::MAX_BYTES >> 20;
            let message = format!(
                "more was done than a timeline holds ({limit} MiB); `save FILE` writes it down, \
                 `rewind` and `fork` make room"
            );
            return Ok(Err(Failure::Other(message)));
        }
        Ok(Ok(Given::Added { forgotten }))
    }

    /// The failure of a step, with its place in the scenario if it has one.
    pub(crate) fn placed(&self, step: usize, failure: Failure) -> Failure {
        let Some(step) = self.timeline.steps.get(step) else { return failure };
        let Some(line) = step.line else { return failure };
        let (file, text) = (self.path.clone(), step.text.clone());
        Failure::At { file, line, text, cause: Box::new(failure) }
    }

    /// The line of the trace before which the last run differed from the one before, told once.
    pub(crate) fn take_difference(&self) -> Option<u64> {
        self.timeline.marks.borrow_mut().take_difference()
    }

    #[cfg(test)]
    pub(super) fn sandbox(&self) -> &crate::actors::Sandbox {
        self.stage.sandbox()
    }

    #[cfg(test)]
    pub(super) fn fingerprint(&self) -> super::Fingerprint {
        self.stage.fingerprint()
    }

    /// Makes the stage anew if looking has left a mark on it.
    fn clean(&mut self) -> io::Result<()> {
        // What fails before here was told when it failed.
        self.spoiled.map_or(Ok(()), |here| self.goto(here).map(drop))
    }

    /// Writes down how far the run has come.
    fn arrive(&mut self) {
        let now = self.stage.now();
        self.timeline.end = self.timeline.end.max(now);
        for (step, began) in self.timeline.steps.iter_mut().zip(self.stage.began()) {
            step.began = Some(*began);
        }
        self.timeline.marks.borrow_mut().stop(now, self.stage.fingerprint());
    }
}

/// Whether a statement asks nobody but the supervisor.
fn looks(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Status
            | Statement::Members
            | Statement::Log(_)
            | Statement::Events(_)
            | Statement::Watch
            | Statement::Help(_)
            | Statement::Save(_)
    )
}

/// Whether a statement asks the cluster, and changes nothing that matters to others.
fn reads(statement: &Statement) -> bool {
    match statement {
        Statement::File { call, background: false } => !call.command.changes(),
        _ => false,
    }
}
