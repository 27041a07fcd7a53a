//! The console in virtual time: nothing happens while a line is typed.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use super::helper::{LineHelper, Shared};
use super::notices::Choice;
use super::options::{Manner, Options};
use super::paint::{Color, Paint};
use super::prompt::{self, Prompt};
use super::screen::{Bar, Terminal, Way};
use super::session::{FAILED, MISTAKEN, OUTCOME_UNKNOWN, changes_files, exit};
use super::wall::Wall;
use crate::raft::{ServerId, Time};
use crate::replay::{Given, Halt, Timeline, Told, Traveller, Until, Watcher};
use crate::script::{self, Failure, Flow, Mistake, Scenario, Screen, Statement, Travel};
use crate::why;

/// How much virtual time passes before Ctrl-C is looked for, if it is not slowed down.
const SLICE: Duration = Duration::from_secs(1);
/// How long `step` waits for what does not come.
const STEP_PATIENCE: Duration = Duration::from_secs(60);

/// Someone who gives lines, and a run.
struct Session {
    traveller: Traveller,
    screen: Rc<Terminal>,
    wall: Wall,
    /// Seconds that pass in one second on the wall; `None` is as many as can be.
    pace: Option<f64>,
    /// A person types the lines.
    typed: bool,
}

/// Opens the console in virtual time on a scenario, of which nothing has happened yet; `path` is
/// where it was read from. It ends as [`main`](super::main) does.
pub fn replay(scenario: &Scenario, path: &Path, manner: Manner) -> ExitCode {
    exit(run(Timeline::new(scenario, path), path, manner))
}

/// Opens the console in virtual time on a cluster to which nothing was done.
pub(super) fn by_hand(options: &Options) -> ExitCode {
    let timeline = Timeline::by_hand(options.servers, options.seed(), options.disks);
    exit(run(timeline, Path::new(""), options.manner))
}

fn run(timeline: Timeline, path: &Path, manner: Manner) -> io::Result<u8> {
    let typed = io::stdin().is_terminal() && io::stdout().is_terminal();
    let output = manner.color.paint(io::stdout().is_terminal());
    let errors = manner.color.paint(io::stderr().is_terminal());
    let (known, prompt) = (Shared::default(), Prompt::default());
    known.update(|known| known.servers = (1..=timeline.servers()).map(ServerId).collect());
    let wall = Wall::new(typed)?;
    let mut lines = if typed {
        greet(&timeline, path, output)?;
        let helper = LineHelper::new(known.clone(), output);
        let editor = prompt::editor(helper, output.is_on()).map_err(io::Error::other)?;
        prompt.set(before(Time::default()));
        prompt::typed(editor, prompt.clone())
    } else {
        prompt::piped()
    };
    let screen = Rc::new(Terminal::new(output, errors, typed, Way::Among, Bar::default()));
    let mut session = Session::new(timeline, path.to_owned(), screen.clone(), wall, typed)?;
    let mut status = 0;
    while let Some(line) = session.wall.block_on(lines.next())? {
        screen.begin(line.columns);
        session.wall.forget_interrupt();
        let flow = session.carry_out(&line.text)?;
        if let Err(failure) = &flow {
            screen.fail(failure, (!typed).then_some(line.number));
        }
        screen.end()?;
        match flow {
            Ok(Flow::Next) => {}
            Ok(Flow::Quit) => break,
            Err(_) if typed => {}
            Err(_) if manner.keep_going => status = FAILED,
            Err(failure) => {
                status = if failure.is_mistake() { MISTAKEN } else { FAILED };
                break;
            }
        }
        prompt.set(before(session.traveller.now()));
        known.update(|known| {
            known.variables = session.traveller.variables().keys().cloned().collect();
            known.files = session.traveller.known_files();
        });
        lines.done();
    }
    screen.set_watching(false);
    Ok(status)
}

impl Session {
    fn new(
        timeline: Timeline,
        path: PathBuf,
        screen: Rc<Terminal>,
        wall: Wall,
        typed: bool,
    ) -> io::Result<Self> {
        let watching = screen.clone();
        let watcher = move || -> Watcher {
            let (choice, screen) = (RefCell::new(Choice::default()), watching.clone());
            Box::new(move |event, shown| {
                let notice = choice.borrow_mut().notice(event, screen.notice_paint());
                if let Some(notice) = notice.filter(|_| shown) {
                    screen.notice(notice);
                }
            })
        };
        let traveller = Traveller::new(timeline, path, screen.clone(), watcher)?;
        Ok(Self { traveller, screen, wall, pace: typed.then_some(1.0), typed })
    }

    /// Carries a line out. The outer error ends the session.
    fn carry_out(&mut self, text: &str) -> io::Result<Result<Flow, Failure>> {
        let statement = match script::parse(text, self.traveller.variables()) {
            Ok(None) => return Ok(Ok(Flow::Next)),
            Ok(Some(Statement::Quit)) => return Ok(Ok(Flow::Quit)),
            Ok(Some(statement)) => statement,
            Err(error) => {
                let mistake = Mistake { number: 1, text: text.into(), error };
                return Ok(Err(Failure::Mistake(mistake)));
            }
        };
        let done = match statement {
            Statement::Why(inquiry) => {
                let now = self.traveller.now();
                let answer = why::explain(self.traveller.timeline(), &inquiry, now)?;
                self.screen.confirm(answer.to_string().trim_end());
                Ok(())
            }
            Statement::Travel(travel) => self.travel(travel)?,
            statement => self.give(text, &statement)?,
        };
        let differs = self.traveller.take_difference().map(|line| {
            Failure::Other(format!(
                "this is not the run that was recorded: its trace differs before line {line}. \
                 Either a file of this host has changed that the run loads, or this is a bug of \
                 jangada: please report it with `timeline`"
            ))
        });
        Ok(match (done, differs) {
            (Ok(()), None) => Ok(Flow::Next),
            (Err(failure), _) | (Ok(()), Some(failure)) => Err(failure),
        })
    }

    fn travel(&mut self, travel: Travel) -> io::Result<Result<(), Failure>> {
        let now = self.traveller.now();
        if !matches!(travel, Travel::Step(_)) {
            self.traveller.listen(false);
        }
        match travel {
            Travel::Play(time) => return self.play(time.map(|time| now + time)),
            Travel::Pace(pace) => self.pace = pace,
            Travel::Step(messages) => return self.step(messages as usize),
            Travel::StepEvent => return self.step_event(),
            Travel::Rewind(time) => {
                let left = now.since(Time::default()).saturating_sub(time);
                return self.goto(Time::default() + left);
            }
            Travel::Goto(time) => return self.goto(Time::default() + time),
            Travel::Fork => {
                let forgotten = self.traveller.fork()?;
                self.traveller.go(Until::time(now))?;
                self.tell_fork(forgotten);
            }
            Travel::Timeline => {
                let text = timeline(&self.traveller, self.screen.output_paint());
                self.screen.confirm(text.trim_end());
            }
        }
        Ok(Ok(()))
    }

    /// Gives a statement, and lets time pass until it is done.
    fn give(&mut self, text: &str, statement: &Statement) -> io::Result<Result<(), Failure>> {
        match self.traveller.give(text, statement)? {
            Ok(Given::Looked) => return Ok(Ok(())),
            Ok(Given::Added { forgotten: 0 }) => {}
            Ok(Given::Added { forgotten }) => self.tell_fork(forgotten),
            Err(failure) => return Ok(Err(failure)),
        }
        self.traveller.listen(false);
        loop {
            let time = self.traveller.now() + SLICE;
            match self.traveller.go(Until { time, finished: true, seen: None })? {
                Halt::Failed { failure, .. } => return Ok(Err(failure)),
                Halt::Finished | Halt::Seen => return Ok(Ok(())),
                Halt::Reached => {}
            }
            if self.wall.is_interrupted() {
                self.traveller.give_up()?;
                let changes = changes_files(text, self.traveller.variables());
                self.screen.interrupted(if changes { OUTCOME_UNKNOWN } else { "interrupted" });
                return Ok(Ok(()));
            }
        }
    }

    /// Lets time pass: until then, or to the end of what is recorded, or until Ctrl-C.
    fn play(&mut self, until: Option<Time>) -> io::Result<Result<(), Failure>> {
        let recorded = until.is_none() && self.traveller.has_future();
        if until.is_none() && !recorded && !self.typed {
            let message = "nothing recorded lies ahead; say how long: `play 10s`".to_owned();
            return Ok(Err(Failure::Other(message)));
        }
        let mut beat = self.wall.beat(self.pace);
        loop {
            let slice = beat.as_mut().map_or(SLICE, |beat| beat.wait(&self.wall));
            let (now, steps) = (self.traveller.now(), self.traveller.has_steps());
            let end = match until {
                None if recorded && !steps => Some(self.traveller.timeline().end()),
                until => until,
            };
            let time = end.map_or(now + slice, |end| end.min(now + slice));
            // After the last step, what is left of the recorded time.
            let finished = recorded && steps;
            // A violation is worth a look when it happens, but only then.
            let violated = self.traveller.violated();
            let seen = if violated() { None } else { Some(&violated as &dyn Fn() -> bool) };
            match self.traveller.go(Until { time, finished, seen })? {
                Halt::Failed { step, failure } => {
                    return Ok(Err(self.traveller.placed(step, failure)));
                }
                Halt::Seen => return Ok(Ok(())),
                Halt::Reached | Halt::Finished => {}
            }
            let now = self.traveller.now();
            if until.is_some_and(|until| now >= until)
                || recorded && !self.traveller.has_future()
                || self.wall.is_interrupted()
            {
                return Ok(Ok(()));
            }
        }
    }

    /// Goes on until so many messages have arrived.
    fn step(&mut self, count: usize) -> io::Result<Result<(), Failure>> {
        fn arrived(told: &Told) -> bool {
            matches!(told, Told::Arrived(_))
        }
        let watching = self.screen.set_watching(false);
        let halt = self.traveller.step(arrived, count, STEP_PATIENCE)?;
        self.screen.set_watching(watching);
        let (mut left, paint) = (count, self.screen.output_paint());
        while left > 0
            && let Some(told) = self.traveller.take_told()
        {
            left -= usize::from(arrived(&told));
            match told {
                Told::Arrived(line) => self.screen.confirm(&line),
                Told::Lost(line) => self.screen.confirm(&paint.paint(Color::Red, line)),
                Told::Event(line) => self.screen.confirm(&paint.paint(Color::Yellow, line)),
            }
        }
        let more = self.traveller.count_told(arrived);
        if more > 0 {
            let more = format!("            ... {more} more at this moment");
            self.screen.confirm(&paint.paint(Color::Grey, more));
        }
        Ok(self.stepped(
            halt,
            &match count {
                1 => "no message arrives".to_owned(),
                count => format!("fewer than {count} messages arrive"),
            },
        ))
    }

    /// Goes on until something happens.
    fn step_event(&mut self) -> io::Result<Result<(), Failure>> {
        let watching = self.screen.set_watching(false);
        let event = |told: &Told| matches!(told, Told::Event(_));
        let halt = self.traveller.step(event, 1, STEP_PATIENCE)?;
        self.screen.set_watching(watching);
        while let Some(told) = self.traveller.take_told() {
            if let Told::Event(line) = told {
                self.screen.confirm(&line);
            }
        }
        Ok(self.stepped(halt, "nothing happens"))
    }

    fn stepped(&self, halt: Halt, nothing: &str) -> Result<(), Failure> {
        match halt {
            Halt::Failed { step, failure } => Err(self.traveller.placed(step, failure)),
            Halt::Reached => {
                let seconds = STEP_PATIENCE.as_secs();
                let now = self.traveller.now();
                Err(Failure::Other(format!("{nothing} within {seconds} s; still at {now} s")))
            }
            Halt::Seen | Halt::Finished => Ok(()),
        }
    }

    /// Goes to this moment, or ahead until Ctrl-C; what fails on the way ahead is told at the end.
    fn goto(&mut self, time: Time) -> io::Result<Result<(), Failure>> {
        let mut failed = None;
        loop {
            let now = self.traveller.now();
            let next = if time > now { time.min(now + SLICE) } else { time };
            failed = failed.or(self.traveller.goto(next)?);
            if next == time || self.wall.is_interrupted() {
                break;
            }
        }
        let (begun, under_way) = self.traveller.progress();
        let ahead = self.traveller.timeline().steps().len() - begun + usize::from(under_way);
        let ahead = match ahead {
            0 => String::new(),
            1 => "; 1 line lies ahead".to_owned(),
            ahead => format!("; {ahead} lines lie ahead"),
        };
        self.screen.confirm(&format!("at {} s{ahead}", self.traveller.now()));
        Ok(failed.map_or(Ok(()), Err))
    }

    fn tell_fork(&self, forgotten: usize) {
        let now = self.traveller.now();
        let what = match forgotten {
            0 => "nothing that was recorded lies ahead".to_owned(),
            1 => "1 line that lay ahead is forgotten".to_owned(),
            lines => format!("{lines} lines that lay ahead are forgotten"),
        };
        self.screen.confirm(&format!("forked at {now} s: {what}"));
    }
}

/// What is recorded, and where we are.
fn timeline(traveller: &Traveller, paint: Paint) -> String {
    let timeline = traveller.timeline();
    let (begun, under_way) = traveller.progress();
    let mut text = format!("servers {}, seed {}\n", timeline.servers(), timeline.seed());
    let here = format!(" --> {:>8} s  here\n", traveller.now());
    for (place, step) in timeline.steps().iter().enumerate() {
        if place == begun {
            text.push_str(&paint.paint(Color::Green, &here));
        }
        let moment = match step.moment() {
            Some(moment) => format!("{moment:>8} s"),
            None => "      then".to_owned(),
        };
        let note = if under_way && place + 1 == begun { "  (under way)" } else { "" };
        let line = format!("     {moment}  {}{note}\n", step.text);
        text.push_str(&if place < begun { line } else { paint.paint(Color::Grey, line) });
    }
    if begun >= timeline.steps().len() {
        text.push_str(&paint.paint(Color::Green, here));
    }
    if timeline.end() > traveller.now() {
        let end = format!("     {:>8} s  the end of what is recorded\n", timeline.end());
        text.push_str(&paint.paint(Color::Grey, end));
    }
    text
}

/// The prompt at this moment.
fn before(now: Time) -> String {
    format!("{now}s> ")
}

fn greet(timeline: &Timeline, path: &Path, paint: Paint) -> io::Result<()> {
    let name = paint.paint(Color::Bold, concat!("jangada ", env!("CARGO_PKG_VERSION")));
    let servers = timeline.servers();
    let plural = if servers == 1 { "server" } else { "servers" };
    let what = match timeline.steps().len() {
        0 => "Time stands still while you type.".to_owned(),
        lines => format!("{} waits with {lines} lines.", path.display()),
    };
    let mut output = io::stdout().lock();
    writeln!(
        output,
        "{name}: a Raft cluster of {servers} {plural} in virtual time. {what}\n\
         `play 2s` lets time pass, `step` goes from message to message, `rewind 1s` goes back;\n\
         `status` looks, `help` lists the words, Ctrl-C stops `play`, Ctrl-D leaves. Seed: {}.\n",
        timeline.seed()
    )
}
