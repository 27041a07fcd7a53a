//! `jangada run`: scenario files, one after the other.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use super::{complain, stopwatch};
use clap::Args;
use jangada::actors::{ClockKind, Sandbox, SandboxOptions};
use jangada::fleet::{Fleet, Founding, misfits};
use jangada::invariants::History;
use jangada::replay::header;
use jangada::script::{Failure, Plain, Runner, Scenario, World, read_scenario};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The scenarios
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The seed of everything random [default: what the file says, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many servers [default: what the file says, or 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    servers: Option<u64>,
    /// Write every message and every event to this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write what the clients asked and were told to this file, for `jangada check-history`
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Let time pass by itself, rather than jump to whatever happens next
    #[arg(long)]
    real: bool,
    /// Run on processes instead of a sandbox: each scenario founds servers in DIR/NAME and runs
    /// `jangada serve` for each; a crash is `kill -9`. What they keep and say stays there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["real", "trace"])]
    cluster: Option<PathBuf>,
    /// Show every line, and what comes of it
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the scenarios, after all of them have been found to be free of mistakes.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut scenarios = Vec::new();
    let mut mistaken = false;
    for path in &arguments.files {
        match read_scenario(path) {
            Ok(scenario) => scenarios.push((path.as_path(), scenario)),
            Err(failure) => {
                complain(&failure);
                mistaken = true;
            }
        }
    }
    if arguments.cluster.is_some() {
        for (path, scenario) in &scenarios {
            let found = misfits(scenario, path);
            found.iter().for_each(|misfit| complain(misfit));
            mistaken |= !found.is_empty();
        }
    }
    if mistaken {
        return ExitCode::from(2);
    }
    let trace = match arguments.trace.as_deref().map(Trace::create).transpose() {
        Ok(trace) => trace,
        Err(message) => {
            complain(&message);
            return ExitCode::from(2);
        }
    };
    if arguments.history.is_some() && scenarios.len() > 1 {
        complain(&"--history takes the calls of one cluster: run one scenario at a time");
        return ExitCode::from(2);
    }
    let mut worst = 0;
    for (path, scenario) in &scenarios {
        let done = match &arguments.cluster {
            Some(folder) => run_on_processes(arguments, path, scenario, folder),
            None => run_one(arguments, path, scenario, trace.clone()),
        };
        let code = match done {
            Ok(took) => {
                report(path, arguments.real || arguments.cluster.is_some(), &took);
                0
            }
            Err(failure) => {
                complain(&failure);
                if failure.is_mistake() { 2 } else { 1 }
            }
        };
        worst = worst.max(code);
    }
    if let Some(Err(error)) = trace.map(|mut trace| trace.flush()) {
        complain(&format!("the trace is not complete: {error}"));
        worst = worst.max(1);
    }
    ExitCode::from(worst)
}

/// How long a scenario took.
struct Took {
    /// By the clock of its cluster.
    inside: Duration,
    /// By the clock on the wall.
    outside: Duration,
}

fn run_one(
    arguments: &Arguments,
    path: &Path,
    scenario: &Scenario,
    trace: Option<Trace>,
) -> Result<Took, Failure> {
    let took = stopwatch();
    let mut scenario = scenario.clone();
    scenario.servers = Some(arguments.servers.or(scenario.servers).unwrap_or(Scenario::SERVERS));
    scenario.seed = Some(arguments.seed.or(scenario.seed).unwrap_or(Scenario::SEED));
    if let Some(trace) = &trace {
        // What goes wrong with it is told at its end.
        let _ = trace.clone().write_all(header(&scenario, path).as_bytes());
    }
    let clock_kind = if arguments.real { ClockKind::Real } else { ClockKind::Virtual };
    let done = jangada::actors::run(clock_kind, async {
        let sandbox = Sandbox::start(SandboxOptions {
            trace: trace.map(|trace| Box::new(trace) as Box<dyn Write>),
            monitor: !arguments.real,
            ..scenario.sandbox()
        });
        let clock = sandbox.clock();
        let screen = Rc::new(Plain::new(io::stdout(), arguments.verbose));
        let mut runner = Runner::new(sandbox, screen, clock_kind);
        let done = runner.scenario(&scenario, path).await;
        let inside = Duration::from_nanos(clock.now().as_nanos());
        let history = runner.history();
        runner.end().await;
        if let Some(path) = &arguments.history {
            write_history(&history, path)?;
        }
        done.map(|()| inside)
    });
    let done = done.map_err(|error| Failure::Other(format!("cannot make a runtime: {error}")))?;
    done.map(|inside| Took { inside, outside: took() })
}

fn run_on_processes(
    arguments: &Arguments,
    path: &Path,
    scenario: &Scenario,
    folder: &Path,
) -> Result<Took, Failure> {
    let took = stopwatch();
    let founding = Founding {
        folder: folder.join(path.file_stem().unwrap_or(path.as_os_str())),
        program: std::env::current_exe()
            .map_err(|error| Failure::Other(format!("cannot find this program: {error}")))?,
        servers: arguments.servers.or(scenario.servers).unwrap_or(Scenario::SERVERS),
        seed: arguments.seed.or(scenario.seed).unwrap_or(Scenario::SEED),
        snapshots: scenario.snapshots.unwrap_or_default(),
    };
    let done = jangada::actors::run(ClockKind::Real, async {
        let fleet = Fleet::found(founding).await;
        let fleet = fleet.map_err(|error| Failure::Other(error.to_string()))?;
        let clock = fleet.clock();
        let screen = Rc::new(Plain::new(io::stdout(), arguments.verbose));
        let mut runner = Runner::on(Rc::new(fleet), screen, ClockKind::Real);
        let done = runner.scenario(scenario, path).await;
        let inside = Duration::from_nanos(clock.now().as_nanos());
        let history = runner.history();
        runner.end().await;
        if let Some(path) = &arguments.history {
            write_history(&history, path)?;
        }
        done.map(|()| inside)
    });
    let done = done.map_err(|error| Failure::Other(format!("cannot make a runtime: {error}")))?;
    done.map(|inside| Took { inside, outside: took() })
}

/// Writes the history whatever came of the scenario: a failed one is of most interest.
fn write_history(history: &History, path: &Path) -> Result<(), Failure> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        history.write_lines(&mut file)?;
        file.flush()
    };
    write().map_err(|error: io::Error| {
        Failure::Other(format!("cannot write the history to {}: {error}", path.display()))
    })
}

fn report(path: &Path, real: bool, took: &Took) {
    let (inside, outside) = (took.inside.as_secs_f64(), took.outside.as_secs_f64());
    let times = if real {
        format!("{inside:.1} s")
    } else {
        format!("{inside:.1} s virtual, {outside:.2} s")
    };
    // Whoever closed standard output does not want to know.
    let _ = writeln!(io::stdout(), "ok   {} ({times})", path.display());
}

/// One trace for all scenarios.
#[derive(Clone)]
struct Trace(Rc<RefCell<BufWriter<File>>>);

impl Trace {
    fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path)
            .map_err(|error| format!("cannot write the trace to {}: {error}", path.display()))?;
        Ok(Self(Rc::new(RefCell::new(BufWriter::new(file)))))
    }
}

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}
