//! `jangada museum`: puts known bugs back, one at a time, and has the simulation find them. Only
//! in a build with the feature `museum`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use jangada::museum::{self, A_TEST, About, Bug};
use jangada::script::Scenario;
use jangada::sim::{self, World, WorldOptions};
use serde_json::json;

use super::{complain, stopwatch};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The bugs [default: all that the simulation is to find]
    #[arg(value_name = "BUG")]
    bugs: Vec<Bug>,
    /// Most seeds to look for a bug in
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    seeds: u64,
    /// Most runs that looking for a shorter scenario may take
    #[arg(long, value_name = "N", default_value_t = 600)]
    runs: u64,
    /// How many bugs to look for at a time [default: one a processor]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Write a report to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table of the documentation to this file
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Write the shortest scenario that shows each bug to this folder
    #[arg(long, value_name = "FOLDER")]
    scenarios: Option<PathBuf>,
}

/// What came of looking for one bug.
struct Finding {
    bug: Bug,
    /// How many seeds were run, the one that showed it included.
    seeds: u64,
    /// How long that took.
    wall: Duration,
    /// `None` if no seed showed it.
    caught: Option<Caught>,
}

/// How a bug shows.
struct Caught {
    property: String,
    orders: usize,
    scenario: String,
}

/// Looks for the bugs. Exits with 1 if one was not found.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let bugs = match arguments.bugs.as_slice() {
        [] => Bug::ALL.iter().copied().filter(|bug| bug.about().breaks != A_TEST).collect(),
        named => named.to_vec(),
    };
    let bugs = &bugs[..];
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or(processors, usize::from);
    // Many a bug is caught by an assertion: that is no news.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = look_for_all(bugs, arguments, jobs).and_then(|findings| {
        let missed = findings.iter().filter(|finding| finding.caught.is_none()).count();
        println!("{} of {} bugs caught", findings.len() - missed, findings.len());
        if let Some(path) = &arguments.json {
            fs::write(path, format!("{:#}\n", as_json(&findings)))?;
        }
        if let Some(path) = &arguments.table {
            fs::write(path, table(&findings))?;
        }
        if let Some(folder) = &arguments.scenarios {
            write_scenarios(&findings, folder)?;
        }
        Ok(missed)
    });
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("jangada: the museum cannot go on: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Each thread takes the next bug: which bug is on is a matter of the thread.
fn look_for_all(bugs: &[Bug], arguments: &Arguments, jobs: usize) -> io::Result<Vec<Finding>> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            let work = move || {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(look_for(*bug, arguments)).is_err() {
                        return;
                    }
                }
            };
            std::thread::Builder::new().name("museum".to_owned()).spawn_scoped(scope, work)?;
        }
        drop(sender);
        let mut findings = Vec::new();
        for finding in results {
            let finding = finding?;
            println!("{}", line(&finding));
            findings.push(finding);
        }
        findings.sort_by_key(|finding| finding.bug);
        Ok(findings)
    })
}

fn look_for(bug: Bug, arguments: &Arguments) -> io::Result<Finding> {
    museum::switch_on(bug);
    let took = stopwatch();
    for seed in 0..arguments.seeds {
        let world = World::expand(seed, WorldOptions::default());
        if let Some(violation) = sim::run(&world)?.violation
            && is_its_fault(bug, &world)?
        {
            let wall = took();
            let mut innocent = |scenario: &Scenario| {
                without(bug, || sim::run_scenario(scenario)).map(|violation| violation.is_none())
            };
            let shrunk = sim::shrink(&world, &violation, arguments.runs, Some(&mut innocent))?;
            let caught = Caught {
                property: shrunk.violation.property,
                orders: shrunk.orders,
                scenario: shrunk.scenario.to_string(),
            };
            return Ok(Finding { bug, seeds: seed + 1, wall, caught: Some(caught) });
        }
    }
    Ok(Finding { bug, seeds: arguments.seeds, wall: took(), caught: None })
}

/// Whether the world goes well without the bug.
fn is_its_fault(bug: Bug, world: &World) -> io::Result<bool> {
    let violation = without(bug, || sim::run(world))?;
    if let Some(violation) = &violation {
        complain(&format!("seed {} fails without any bug, too: {violation}", world.seed));
    }
    Ok(violation.is_none())
}

/// What goes wrong without the bug.
fn without(
    bug: Bug,
    run: impl FnOnce() -> io::Result<sim::Outcome>,
) -> io::Result<Option<sim::Violation>> {
    museum::switch_off();
    let outcome = run();
    museum::switch_on(bug);
    outcome.map(|outcome| outcome.violation)
}

fn line(finding: &Finding) -> String {
    let Finding { bug, seeds, wall, caught } = finding;
    let outcome = match caught {
        Some(Caught { property, orders, .. }) => format!("{property}, {orders} orders"),
        None => "NOT CAUGHT".to_owned(),
    };
    format!("{bug:<32} {seeds:>6} seeds {:>7.1} s  {outcome}", wall.as_secs_f64())
}

fn as_json(findings: &[Finding]) -> serde_json::Value {
    let row = |finding: &Finding| {
        let caught = finding.caught.as_ref();
        json!({
            "bug": finding.bug.name(),
            "source": finding.bug.about().source,
            "what": finding.bug.about().what,
            "expected": finding.bug.about().breaks,
            "caught": caught.is_some(),
            "property": caught.map(|caught| &caught.property),
            "seeds": finding.seeds,
            "seconds": finding.wall.as_secs_f64(),
            "orders": caught.map(|caught| caught.orders),
        })
    };
    findings.iter().map(row).collect()
}

/// The page of the documentation.
fn table(findings: &[Finding]) -> String {
    let mut page = HEAD.to_owned();
    for Finding { bug, seeds, wall, caught } in findings {
        let About { what, source, room, .. } = bug.about();
        let (property, orders) = match caught {
            Some(Caught { property, orders, .. }) => (property.as_str(), orders.to_string()),
            None => ("**not caught**", String::new()),
        };
        let _ = writeln!(
            page,
            "| `{bug}` | {room} | {what} | {source} | {property} | {seeds} | {:.1} | {orders} |",
            wall.as_secs_f64(),
        );
    }
    let caught: Vec<_> = findings.iter().filter_map(|finding| finding.caught.as_ref()).collect();
    let mut orders: Vec<_> = caught.iter().map(|caught| caught.orders).collect();
    orders.sort_unstable();
    let median = orders.get(orders.len() / 2).copied().unwrap_or_default();
    let _ = writeln!(
        page,
        "\n{} of {} bugs caught; {median} orders in the median.",
        caught.len(),
        findings.len()
    );
    page
}

const HEAD: &str = "\
# The museum of bugs

Bugs that Raft implementations had, and those that students make, can be put back on purpose, one
at a time, in a build with the feature `museum`. The simulation must find each of them: what it
does not find, it does not check. `scripts/museum` runs it against each and writes this page.

`JANGADA_BUG=votes-twice` puts a bug into any command of such a build, or into any test:

```console
$ JANGADA_BUG=votes-twice cargo run --features museum -- sim
```

\"TRAPS n\" is row n of the project's catalogue of real bugs, which the tests of `tests/raft_traps`
are named after. The property is the first that was seen to be violated; `assertion` is one that the
code itself makes. Seeds are those that were run until then, from seed 0 on, in this many seconds
on one thread. Orders are the statements of the shortest scenario that was found to show it, waits
aside.

| bug | room | what goes wrong | source | caught by | seeds | seconds | orders |
|---|---|---|---|---|---:|---:|---:|
";

fn write_scenarios(findings: &[Finding], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for Finding { bug, caught, .. } in findings {
        if let Some(Caught { scenario, property, .. }) = caught {
            let text = format!("# Violates {property} if this bug is on: {bug}\n{scenario}");
            fs::write(folder.join(format!("{bug}.jangada")), text)?;
        }
    }
    Ok(())
}
