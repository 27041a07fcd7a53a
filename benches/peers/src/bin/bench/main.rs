//! Runs jangada and its peers in turn, again and again, and compares the medians.

mod plan;
mod results;
mod studies;
mod table;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use jangada_peers::exit_code;
use serde::de::DeserializeOwned;

use plan::{Plan, Section};
use results::Results;

/// Measures jangada beside its peers and prints the comparison as Markdown.
#[derive(Debug, Parser)]
struct Cli {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Fewer measurements, and shorter ones
    #[arg(long)]
    quick: bool,
    /// Where to write the comparison as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures once more what failed: on a busy machine a leader may lose its place.
fn measure<T: DeserializeOwned>(folder: &Path, line: &[String]) -> Result<T, String> {
    start(folder, line).or_else(|error| {
        eprintln!("again: {error}");
        start(folder, line)
    })
}

/// Starts a program that lies beside this one and reads the line it prints.
fn start<T: DeserializeOwned>(folder: &Path, line: &[String]) -> Result<T, String> {
    let [program, arguments @ ..] = line else { return Err("no program to start".into()) };
    let failed = |what: String| format!("{}: {what}", line.join(" "));
    let output = Command::new(folder.join(program)).args(arguments).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{}; {}", output.status, said.trim())));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// Measures everything in turn, round by round, so that what else the machine does meanwhile
/// falls on all alike. Returns the number of runs that failed, too.
fn measure_all(plan: &Plan, folder: &Path) -> (Results, usize) {
    let (mut results, mut failures) = (Results::default(), 0);
    let mut noticed = |error: String| {
        eprintln!("failed: {error}");
        failures += 1;
    };
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}: {} programs", plan.rounds, plan.runs.len());
        for run in &plan.runs {
            match measure(folder, &run.command_line(plan.seconds)) {
                Ok(report) => results.add(*run, report),
                Err(error) => noticed(error),
            }
        }
        if plan.includes(Section::Writes) {
            match measure(folder, &plan.load_command_line()) {
                Ok(report) => results.loads.push(report),
                Err(error) => noticed(error),
            }
        }
    }
    (results, failures)
}

fn compare(cli: &Cli) -> Result<(), String> {
    // Before the long work, so that a path that cannot be written to is said at once.
    let json = match &cli.json {
        Some(path) => {
            let unwritable = |error| format!("cannot write {}: {error}", path.display());
            Some((File::create(path).map_err(unwritable)?, path))
        }
        None => None,
    };
    let this = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let folder = this.parent().ok_or("this program is in no folder")?;
    let plan = if cli.quick { Plan::quick(&cli.sections) } else { Plan::full(&cli.sections) };
    let (results, mut failures) = measure_all(&plan, folder);

    let rows = table::rows(&plan, &results);
    print!("{}", table::markdown(&rows));
    let mut all = serde_json::json!(rows);
    for study in studies::all(&plan) {
        match study.carry_out(|line| measure(folder, line)) {
            Ok(done) => {
                print!("{}", done.markdown());
                all.as_array_mut().into_iter().for_each(|all| all.extend(done.objects.clone()));
            }
            Err(error) => {
                eprintln!("failed: {error}");
                failures += 1;
            }
        }
    }
    if let Some((mut file, path)) = json {
        serde_json::to_writer_pretty(&mut file, &all)
            .map_err(Into::into)
            .and_then(|()| writeln!(file))
            .map_err(|error: std::io::Error| format!("cannot write {}: {error}", path.display()))?;
    }
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} runs failed (see above); the table is made of the others")),
    }
}

fn main() -> ExitCode {
    exit_code(compare(&Cli::parse()))
}
