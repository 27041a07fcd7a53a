//! `jangada replay`: a scenario or a seed at the prompt, in virtual time; or what servers that ran
//! have recorded.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jangada::blackbox::{self, Recording, is_recording};
use jangada::console::{self, Manner};
use jangada::script::read_scenario;
use jangada::sim::World;

use super::complain;
use super::sim::WorldArguments;

const RECORDINGS: &str = "\
Directories are data directories of servers of one cluster, with what `serve` has recorded there
(`blackbox`). All that entered their cores is given to them again, in an order in which messages are
sent before they arrive; whether they do the same is compared step by step, and what must always
hold is checked on the way. Those that are missing are believed.

Exit status of that: 0 if it is equal; 1 if something differs, is violated, or is damaged; 2 if
there is nothing to replay.";

#[derive(Args)]
#[command(after_help = RECORDINGS)]
pub(crate) struct Arguments {
    /// The scenario, or the seed of one of the simulation's worlds, for the prompt; or the data
    /// directories of servers that ran
    #[arg(value_name = "SEED|FILE|DIR", required = true)]
    run: Vec<OsString>,
    /// Write what the servers of the directories did, a line each; `jangada diagram` draws it
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    world: WorldArguments,
    #[command(flatten)]
    manner: Manner,
}

/// Opens the console on a scenario, and exits as the console does; or replays recordings.
pub(crate) fn replay(arguments: &Arguments) -> ExitCode {
    let Arguments { run, trace, world, manner } = arguments;
    if run.iter().any(|run| is_recording(Path::new(run))) {
        if *world != WorldArguments::default() {
            return refuse("`--profile`, `--servers` and `--minutes` are for the world of a seed");
        }
        return recordings(run, trace.as_deref());
    }
    let [run] = &run[..] else {
        return refuse("one scenario or one seed at a time; several must be data directories");
    };
    if trace.is_some() {
        return refuse("`--trace` is for recordings; a scenario's is written by `jangada run`");
    }
    let seed = run.to_str().and_then(|text| text.parse().ok());
    // A file whose name is a number is one all the same.
    if let Some(seed) = seed.filter(|_| !Path::new(run).exists()) {
        let world = World::expand(seed, world.options());
        let name = format!("seed {seed}");
        return console::replay(&world.scenario, Path::new(&name), *manner);
    }
    if *world != WorldArguments::default() {
        return refuse(
            "`--profile`, `--servers` and `--minutes` are for the world of a seed, not a file",
        );
    }
    match read_scenario(Path::new(run)) {
        Ok(scenario) => console::replay(&scenario, Path::new(run), *manner),
        Err(failure) => refuse(failure),
    }
}

fn refuse(why: impl std::fmt::Display) -> ExitCode {
    complain(&why);
    ExitCode::from(2)
}

fn recordings(folders: &[OsString], trace: Option<&Path>) -> ExitCode {
    let opened = folders.iter().map(|folder| Recording::open(Path::new(folder)));
    let opened = match opened.collect::<Result<Vec<_>, _>>() {
        Ok(opened) => opened,
        Err(error) => return refuse(error),
    };
    let mut trace = match trace.map(|path| (path, File::create(path))) {
        None => None,
        Some((_, Ok(file))) => Some(BufWriter::new(file)),
        Some((path, Err(error))) => {
            return refuse(format!("cannot write {}: {error}", path.display()));
        }
    };
    let lines = trace.as_mut().map(|trace| trace as &mut dyn Write);
    let report = match blackbox::replay(&opened, lines) {
        Ok(report) => report,
        Err(error) => return refuse(error),
    };
    if let Some(Err(error)) = trace.as_mut().map(Write::flush) {
        complain(&format_args!("the trace is not complete: {error}"));
    }
    // Nobody has to read it.
    let _ = writeln!(io::stdout(), "{report}");
    if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
