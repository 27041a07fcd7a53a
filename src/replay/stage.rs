//! A living sandbox that follows a timeline.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::oneshot;

use super::curtain::Curtain;
use super::fingerprint::{Fingerprint, Marks};
use super::tap::{Ear, Tap};
use super::timeline::{Step, Timeline};
use crate::actors::{Clock, ClockKind, ClusterStatus, Event, Sandbox, VirtualTime};
use crate::raft::Time;
use crate::script::{self, Failure, Flow, Runner, Screen, Statement};

/// A sandbox in virtual time, and how far it has followed its timeline.
pub struct Stage {
    hands: Hands,
    /// Looks while the other one carries something out.
    observer: Runner,
    clock: Clock,
    tap: Tap,
    curtain: Rc<Curtain>,
    /// The step that comes next.
    next: usize,
    /// When the steps so far began.
    began: Vec<Time>,
    /// Nothing has happened yet, not even that the servers start.
    fresh: bool,
    /// Last: what lives in it ends first.
    time: Rc<VirtualTime>,
}

/// Who carries the steps out.
enum Hands {
    Free(Box<Runner>),
    Busy(UnderWay),
    /// Only while one of the others takes its place.
    Moving,
}

/// A step that is being carried out.
struct UnderWay {
    work: Pin<Box<dyn Future<Output = Done>>>,
    /// Interrupts it.
    interrupt: Option<oneshot::Sender<()>>,
}

/// The one who carried a step out, and what came of it.
type Done = (Box<Runner>, Result<Flow, Failure>);

/// How far a stage is to go.
#[derive(Clone, Copy)]
pub struct Until<'a> {
    /// Not beyond this moment.
    pub time: Time,
    /// Not beyond the last step.
    pub finished: bool,
    /// Not beyond the moment at which this is true.
    pub seen: Option<&'a dyn Fn() -> bool>,
}

/// Why a stage does not go on.
#[derive(Debug)]
pub enum Halt {
    /// The moment was reached.
    Reached,
    /// What it looked for has happened.
    Seen,
    /// There are no more steps.
    Finished,
    /// A step failed. The next ones can be carried out all the same.
    Failed {
        /// Its place in the timeline.
        step: usize,
        /// Why.
        failure: Failure,
    },
}

/// What ended a wait of the stage.
enum Woken {
    Done(Box<Done>),
    At(Time),
    Seen,
}

impl Until<'_> {
    /// Up to this moment.
    pub fn time(time: Time) -> Self {
        Self { time, finished: false, seen: None }
    }
}

impl Stage {
    /// A sandbox at time zero. Its trace is compared with these marks, and adds to them; `watch`
    /// is called with every event.
    ///
    /// # Errors
    /// If it cannot make a runtime.
    pub(super) fn new(
        timeline: &Timeline,
        marks: Option<Rc<RefCell<Marks>>>,
        ear: Option<Ear>,
        screen: Rc<dyn Screen>,
        mut watch: impl FnMut(&Event, bool) + 'static,
    ) -> io::Result<Self> {
        let time = VirtualTime::start()?;
        let mut options = timeline.options();
        // Whoever compares runs asks for no proof that they are right.
        options.monitor = ear.is_none();
        let tap = Tap::new(marks, ear);
        let curtain = Rc::new(Curtain::new(screen));
        options.trace = Some(Box::new(tap.clone()));
        let sandbox = time.block_on(async { Sandbox::start(options) });
        let clock = sandbox.clock();
        let watched = curtain.clone();
        sandbox.events().watch(move |event| watch(event, watched.shows_events()));
        let runner = Runner::new(sandbox, curtain.clone(), ClockKind::Virtual);
        runner.set_writes(false);
        Ok(Self {
            observer: runner.twin(),
            hands: Hands::Free(Box::new(runner)),
            clock,
            tap,
            curtain,
            next: 0,
            began: Vec::new(),
            fresh: true,
            time: Rc::new(time),
        })
    }

    /// The time now.
    pub fn now(&self) -> Time {
        // Outside of its runtime a clock would be the one on the wall.
        self.time.block_on(async { self.clock.now() })
    }

    /// The trace so far.
    pub fn fingerprint(&self) -> Fingerprint {
        self.tap.fingerprint()
    }

    /// Its sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        self.observer.sandbox()
    }

    /// Looks at every server, and leaves no mark.
    pub fn status(&self) -> Option<ClusterStatus> {
        // A sandbox that has ended has no status.
        self.time.block_on(async { self.sandbox().status().await.ok() })
    }

    /// A runner that looks.
    pub(super) fn observer(&self) -> &Runner {
        &self.observer
    }

    pub(super) fn tap(&self) -> &Tap {
        &self.tap
    }

    /// When the steps so far began.
    pub(crate) fn began(&self) -> &[Time] {
        &self.began
    }

    /// The step that is under way, by its place in the timeline.
    pub(super) fn under_way(&self) -> Option<usize> {
        matches!(self.hands, Hands::Busy(_)).then(|| self.next - 1)
    }

    /// The step that comes next, by its place in the timeline.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// Shows what it does and writes what it is told to write, or does neither.
    pub(super) fn show(&self, open: bool) {
        self.curtain.open(open);
        self.observer.set_writes(open);
    }

    /// Whether looking now would leave a mark: a scenario begins before anything else does.
    pub(super) fn is_delicate(&self, steps: &[Step]) -> bool {
        self.fresh && steps.first().is_some_and(|step| step.at.is_none())
    }

    /// Carries out a statement that only looks. What happens before it is answered is not shown.
    pub(super) fn look(&mut self, statement: &Statement) -> Result<Flow, Failure> {
        self.fresh = false;
        let time = self.time.clone();
        self.curtain.show_events(false);
        let done = time.block_on(async {
            time.lull().await;
            self.observer.execute(statement).await
        });
        self.curtain.show_events(true);
        done
    }

    /// Follows the steps, without those left out, until there is a reason to stop. It stops when
    /// nothing is left to do at that moment.
    pub fn follow(&mut self, steps: &[Step], without: &BTreeSet<usize>, until: Until<'_>) -> Halt {
        let time = self.time.clone();
        self.fresh = false;
        time.block_on(async {
            loop {
                let halt = self.next_halt(steps, without, until).await;
                time.lull().await;
                match halt {
                    Some(halt) => return halt,
                    None if until.finished && self.is_done(steps) => return Halt::Finished,
                    None => {}
                }
            }
        })
    }

    fn is_done(&self, steps: &[Step]) -> bool {
        self.next >= steps.len() && self.under_way().is_none()
    }

    /// Goes on up to a halt; `None` where nothing may be left to do.
    async fn next_halt(
        &mut self,
        steps: &[Step],
        without: &BTreeSet<usize>,
        until: Until<'_>,
    ) -> Option<Halt> {
        loop {
            if self.under_way().is_none() {
                if without.contains(&self.next) {
                    self.skip();
                    continue;
                }
                match steps.get(self.next).map(|step| (step, step.at)) {
                    Some((step, None)) => self.begin(step),
                    Some((step, Some(at))) if step.at_once && at <= self.clock.now() => {
                        self.begin(step);
                    }
                    Some((step, Some(at))) if at <= until.time => {
                        let woken = self.wait(at, until.seen).await;
                        if matches!(woken, Woken::Seen) {
                            return Some(Halt::Seen);
                        }
                        self.begin(step);
                    }
                    None if until.finished => return None,
                    _ => {
                        return Some(match self.wait(until.time, until.seen).await {
                            Woken::Seen => Halt::Seen,
                            _ => Halt::Reached,
                        });
                    }
                }
            }
            let step = self.next - 1;
            let cut = steps.get(step).and_then(|step| step.until);
            let limit = cut.map_or(until.time, |cut| cut.min(until.time));
            match self.wait(limit, until.seen).await {
                Woken::Seen => return Some(Halt::Seen),
                Woken::At(now) if cut.is_some_and(|cut| cut <= now) => self.interrupt(),
                Woken::At(_) => return Some(Halt::Reached),
                Woken::Done(done) => {
                    let (runner, flow) = *done;
                    self.observer.learn(&runner);
                    self.hands = Hands::Free(runner);
                    match flow {
                        Ok(Flow::Next) => {}
                        // A scenario that is done; what a person gave afterwards is not part of it.
                        Ok(Flow::Quit) => {
                            let later = |step: &Step| step.at.is_some();
                            while steps.get(self.next).is_some_and(|step| !later(step)) {
                                self.skip();
                            }
                        }
                        Err(failure) => return Some(Halt::Failed { step, failure }),
                    }
                    if until.finished && self.is_done(steps) {
                        return None;
                    }
                }
            }
        }
    }

    fn skip(&mut self) {
        self.next += 1;
        self.began.push(self.clock.now());
    }

    fn begin(&mut self, step: &Step) {
        let Hands::Free(mut runner) = std::mem::replace(&mut self.hands, Hands::Moving) else {
            unreachable!("invariant: a step begins when the one before has ended");
        };
        self.tap.begin(self.next);
        self.skip();
        runner.set_home(&step.home);
        if let Some(number) = step.line {
            self.curtain.step(&script::Step { number, text: step.text.clone() });
        }
        let (interrupt, mut interrupted) = oneshot::channel();
        let text = step.text.clone();
        let work = Box::pin(async move {
            let flow = tokio::select! {
                biased;
                _ = &mut interrupted => Ok(Flow::Next),
                flow = runner.line(&text) => flow,
            };
            (runner, flow)
        });
        self.hands = Hands::Busy(UnderWay { work, interrupt: Some(interrupt) });
    }

    /// Gives up the step that is under way.
    fn interrupt(&mut self) {
        if let Hands::Busy(UnderWay { interrupt, .. }) = &mut self.hands
            && let Some(interrupt) = interrupt.take()
        {
            // Its other end lives as long as the work.
            let _ = interrupt.send(());
        }
    }

    /// Waits for the end of the step that is under way, for a moment, or for something to see.
    async fn wait(&mut self, at: Time, seen: Option<&dyn Fn() -> bool>) -> Woken {
        let (clock, time) = (self.clock, self.time.clone());
        let done = async {
            match &mut self.hands {
                Hands::Busy(under_way) => (&mut under_way.work).await,
                _ => std::future::pending().await,
            }
        };
        let reached = async {
            clock.sleep_until(at).await;
            time.lull().await;
        };
        let look = async {
            let Some(seen) = seen else { return std::future::pending().await };
            while !seen() {
                let before = clock.now();
                // Polled before anything else happens at another moment.
                poll_fn(|_| match clock.now() > before {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .await;
                time.lull().await;
            }
        };
        tokio::select! {
            biased;
            done = done => Woken::Done(Box::new(done)),
            () = reached => Woken::At(clock.now()),
            () = look => Woken::Seen,
        }
    }
}
