//! `jangada sim`: seeds, each of them a cluster with its misfortunes.

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jangada::sim::{Failed, Fault, Fleet, Profile, Report, Shrunk, World, WorldOptions, shrink};
use serde_json::json;

use super::{complain, stopwatch};

/// Runs that looking for a shorter scenario may take.
const RUNS: u64 = 600;

/// What is not left to the seed.
#[derive(Args, PartialEq, Default)]
pub(crate) struct WorldArguments {
    /// Which faults: calm, network, process, disk, clock, operator or everything
    #[arg(long, value_name = "NAME", default_value = "everything", value_parser = parse_profile)]
    profile: Profile,
    /// How many servers [default: drawn from the seed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=9))]
    servers: Option<u64>,
    /// For how many minutes of virtual time faults happen [default: a quarter]
    #[arg(long, value_name = "M", value_parser = parse_minutes)]
    minutes: Option<Duration>,
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// Which seeds: those from A up to and without B, or one
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = parse_seeds)]
    seeds: Range<u64>,
    #[command(flatten)]
    world: WorldArguments,
    /// How many seeds to run at a time [default: one a processor]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Write a report to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Go on after a violation
    #[arg(long)]
    keep_going: bool,
    /// Write the shortest scenario that fails as the first failed seed does to this file
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Do not run the seeds, but print the scenarios that they stand for
    #[arg(long)]
    print: bool,
}

/// Runs the seeds. Exits with 1 if a property was violated, a fault of the profile never happened in
/// a thousand seeds, or the report cannot be written.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { seeds, world, .. } = arguments;
    let options = world.options();
    if arguments.print {
        for seed in seeds.clone() {
            let world = World::expand(seed, options);
            say(&format!("# {world}\n{}", world.scenario));
        }
        return ExitCode::SUCCESS;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or(processors, usize::from);
    let fleet = Fleet { seeds: seeds.clone(), options, jobs, keep_going: arguments.keep_going };
    if seeds.end - seeds.start == 1 {
        say(&format!("{}\n", World::expand(seeds.start, options)));
    }
    let (report, wall) = match sail(&fleet) {
        Ok(done) => done,
        Err(error) => {
            complain(&format!("jangada: the simulation cannot go on: {error}"));
            return ExitCode::FAILURE;
        }
    };
    for failed in &report.failed {
        say(&describe(failed));
    }
    let shrunk = match report.failed.first().map(|it| shrink(&it.world, &it.violation, RUNS, None))
    {
        None => None,
        Some(Ok(shrunk)) => Some(shrunk),
        Some(Err(error)) => {
            complain(&format!("jangada: the failed seed cannot be run again: {error}"));
            None
        }
    };
    if let Some(shrunk) = &shrunk {
        let text = as_file(shrunk);
        match &arguments.scenario {
            None => say(&format!("{text}\n")),
            Some(path) => match std::fs::write(path, &text) {
                Ok(()) => say(&format!("again, shorter: jangada run {}\n\n", path.display())),
                Err(error) => {
                    say(&format!("{text}\n"));
                    complain(&format!("cannot write the scenario to {}: {error}", path.display()));
                }
            },
        }
    }
    say(&summary(&report, wall, jobs));
    if let Some(path) = &arguments.json {
        let text = format!("{:#}\n", as_json(&report, shrunk.as_ref(), wall));
        if let Err(error) = std::fs::write(path, text) {
            complain(&format!("cannot write the report to {}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    }
    let missing = report.missing(&options);
    for (first, fault) in &missing {
        complain(&format!("from seed {first} on, {fault} never happens in a thousand seeds"));
    }
    let well = report.violations == 0 && missing.is_empty();
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sail(fleet: &Fleet) -> io::Result<(Report, Duration)> {
    let took = stopwatch();
    let bar = ProgressBar::new(fleet.seeds.end - fleet.seeds.start);
    let style = ProgressStyle::with_template("{wide_msg}\n{bar:40} {pos}/{len}, {eta} left");
    bar.set_style(style.expect("invariant: the template is right"));
    let report = fleet.sail(|report| {
        bar.set_position(report.tally.seeds);
        bar.set_message(line(report, took()));
    })?;
    bar.finish_and_clear();
    Ok((report, took()))
}

/// How far it is, in one line.
fn line(report: &Report, wall: Duration) -> String {
    let tally = &report.tally;
    let seconds = wall.as_secs_f64().max(1e-9);
    let virtual_seconds = tally.virtual_time.as_secs_f64();
    let (seen, pairs) = tally.coverage();
    format!(
        "{:.0} seeds/s; {virtual_seconds:.0} virtual s, {:.0} a second; faults: {}; {} elections, \
         {} writes, {seen}/{pairs} (role, message) pairs",
        tally.seeds as f64 / seconds,
        virtual_seconds / seconds,
        faults_by_profile(report),
        tally.elections,
        tally.writes,
    )
}

fn faults_by_profile(report: &Report) -> String {
    let parts = [Profile::Network, Profile::Process, Profile::Disk, Profile::Clock];
    let count = |fault: &Fault| report.tally.faults.get(fault.name()).copied().unwrap_or(0);
    let sum = |part: Profile| -> u64 {
        Fault::ALL.iter().filter(|fault| fault.profile() == part).map(count).sum()
    };
    parts.map(|part| format!("{part} {}", sum(part))).join(", ")
}

fn summary(report: &Report, wall: Duration, jobs: usize) -> String {
    let tally = &report.tally;
    let list = |counts: &mut dyn Iterator<Item = (&str, &u64)>| {
        counts.map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
    };
    let faults = list(&mut tally.faults.iter().map(|(what, count)| (*what, count)));
    let messages = list(&mut tally.messages.iter().map(|(what, count)| (*what, count)));
    let unchecked = match tally.unchecked {
        0 => String::new(),
        worlds => format!("; {worlds} worlds have calls that were not checked"),
    };
    let undecided = match tally.undecided {
        0 => String::new(),
        worlds => {
            let seeds: Vec<_> = report.undecided.iter().map(u64::to_string).collect();
            let more = if seeds.len() as u64 == worlds { "" } else { " and others" };
            let seeds = seeds.join(", ");
            format!("{worlds} not decided to be linearizable or not: seeds {seeds}{more}\n")
        }
    };
    let verdict = match report.violations {
        0 => "no violation".to_owned(),
        1 => "1 VIOLATION".to_owned(),
        more => format!("{more} VIOLATIONS"),
    };
    format!(
        "faults: {faults}\nmessages: {messages}\n{} seeds in {:.1} s on {jobs} threads: {}; \
         {} reads, {} calls of unknown outcome{unchecked}; digest {:016x}\n{undecided}{verdict}\n",
        tally.seeds,
        wall.as_secs_f64(),
        line(report, wall),
        tally.reads,
        tally.unknown,
        tally.digest,
    )
}

/// A failed world, and the line that runs it again.
fn describe(failed: &Failed) -> String {
    let Failed { world, violation } = failed;
    let (seed, again) = (world.seed, again(&world.options));
    format!(
        "{world}\n{violation}\nagain: jangada sim --seeds {seed}{again}\n\
         step by step: jangada replay {seed}{again}\n\n"
    )
}

/// The options of `jangada sim` and `jangada replay` that make the same worlds.
fn again(options: &WorldOptions) -> String {
    let mut text = format!(" --profile {}", options.profile);
    if let Some(servers) = options.servers {
        text.push_str(&format!(" --servers {servers}"));
    }
    if let Some(trouble) = options.trouble {
        text.push_str(&format!(" --minutes {}", trouble.as_secs_f64() / 60.0));
    }
    text
}

impl WorldArguments {
    pub(crate) fn options(&self) -> WorldOptions {
        let Self { profile, servers, minutes } = *self;
        WorldOptions { profile, servers, trouble: minutes }
    }
}

/// A shrunk scenario as a file that says what it is.
fn as_file(shrunk: &Shrunk) -> String {
    let Shrunk { scenario, violation, orders, runs } = shrunk;
    let mut text = format!("# {orders} orders, found in {runs} runs.\n");
    for line in violation.to_string().lines() {
        text.push_str(&format!("# {line}\n"));
    }
    text + &scenario.to_string()
}

fn as_json(report: &Report, shrunk: Option<&Shrunk>, wall: Duration) -> serde_json::Value {
    let tally = &report.tally;
    let violations = report.failed.iter().map(|Failed { world, violation }| {
        json!({
            "seed": world.seed,
            "property": violation.property,
            "at_seconds": violation.at.as_secs_f64(),
            "text": violation.text,
            "scenario": world.scenario.to_string(),
        })
    });
    json!({
        "seeds": tally.seeds,
        "virtual_seconds": tally.virtual_time.as_secs_f64(),
        "wall_seconds": wall.as_secs_f64(),
        "faults": tally.faults,
        "messages": tally.messages,
        "elections": tally.elections,
        "writes": tally.writes,
        "reads": tally.reads,
        "unknown": tally.unknown,
        "received": tally.received,
        "linearizability": {
            "unchecked": tally.unchecked,
            "undecided": tally.undecided,
            "undecided_seeds": report.undecided,
        },
        "digest": format!("{:016x}", tally.digest),
        "violations": violations.collect::<Vec<_>>(),
        "shrunk": shrunk.map(|shrunk| json!({
            "orders": shrunk.orders,
            "runs": shrunk.runs,
            "property": shrunk.violation.property,
            "scenario": shrunk.scenario.to_string(),
        })),
    })
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| format!("`{text}` is no seed; write 0..1000, or 7"))
    };
    let range = match text.split_once("..") {
        Some((start, end)) => number(start)?..number(end)?,
        None => {
            let seed = number(text)?;
            seed..seed.checked_add(1).ok_or("the last seed is too large")?
        }
    };
    if range.is_empty() { Err("there is no seed in this range".to_owned()) } else { Ok(range) }
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    let known = || Profile::ALL.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(", ");
    let profile = Profile::ALL.iter().find(|profile| profile.name() == text);
    profile.copied().ok_or_else(|| format!("there are {}", known()))
}

fn parse_minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.01..=60.0).contains(minutes));
    let minutes = minutes.ok_or("minutes of virtual time go from 0.01 to 60")?;
    Ok(Duration::from_millis((minutes * 60_000.0) as u64))
}

fn say(text: &str) {
    // Whoever closed standard output does not want to know.
    let _ = io::stdout().write_all(text.as_bytes());
}
