//! `jangada explore`: every schedule of a few servers, within bounds.

use std::fs;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jangada::explore::{Bounds, End, Report, explore};
use jangada::raft::ServerId;
use serde_json::json;

use super::{complain, stopwatch};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many servers
    #[arg(long, value_name = "N", default_value_t = Bounds::default().servers,
        value_parser = clap::value_parser!(u64).range(1..=Bounds::MOST_SERVERS))]
    servers: u64,
    /// Let an operator ask for these voters, once; those beyond N join with an empty disk
    #[arg(long, value_name = "IDS", value_delimiter = ',',
        value_parser = clap::value_parser!(u64).range(1..=Bounds::MOST_SERVERS))]
    members: Vec<u64>,
    /// The last term that a server enters
    #[arg(long, value_name = "N", default_value_t = Bounds::default().terms)]
    terms: u64,
    /// Commands that clients propose in all
    #[arg(long, value_name = "N", default_value_t = Bounds::default().entries)]
    entries: u8,
    /// Crashes in all
    #[arg(long, value_name = "N", default_value_t = Bounds::default().crashes)]
    crashes: u8,
    /// Let servers ask whether they would win before they stand
    #[arg(long)]
    pre_vote: bool,
    /// Stop at so many states; a million takes 100 to 200 MB
    #[arg(long, value_name = "N", default_value_t = Bounds::default().states)]
    states: usize,
    /// Put this bug of the museum back
    #[cfg(feature = "museum")]
    #[arg(long, value_name = "NAME")]
    bug: Option<jangada::museum::Bug>,
    /// Write what was found to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Say nothing while it lasts
    #[arg(short, long)]
    quiet: bool,
}

/// Explores. Exits with 0 if everything was seen and every property held, 1 if not, and 2 if the
/// report cannot be written.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let bounds = Bounds {
        servers: arguments.servers,
        members: arguments.members.iter().copied().map(ServerId).collect(),
        terms: arguments.terms,
        entries: arguments.entries,
        crashes: arguments.crashes,
        pre_vote: arguments.pre_vote,
        states: arguments.states,
    };
    #[cfg(feature = "museum")]
    if let Some(bug) = arguments.bug {
        jangada::museum::switch_on(bug);
    }
    let clock = stopwatch();
    // An assertion of the core that fails is a finding, and told as such.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_of_the_core(panic) {
            hook(panic);
        }
    }));
    let report = explore(&bounds, |progress| {
        if !arguments.quiet {
            let seconds = clock().as_secs_f64();
            let _ = writeln!(
                io::stderr(),
                "depth {:3}: {:9} states, {:10} transitions, {seconds:6.1} s",
                progress.depth,
                progress.states,
                progress.transitions
            );
        }
    });
    drop(std::panic::take_hook());
    let took = clock();
    // Whoever closed standard output does not want to know.
    let _ = show(&report, took);
    if let Some(path) = &arguments.json
        && let Err(error) = fs::write(path, json(&report, took))
    {
        complain(&format!("cannot write the report to {}: {error}", path.display()));
        return ExitCode::from(2);
    }
    match report.end {
        End::Complete => ExitCode::SUCCESS,
        End::Full | End::Violated { .. } => ExitCode::FAILURE,
    }
}

fn is_of_the_core(panic: &PanicHookInfo<'_>) -> bool {
    let in_the_core = |file: &str| file.replace('\\', "/").contains("src/raft/");
    panic.location().is_some_and(|location| in_the_core(location.file()))
}

fn show(report: &Report, took: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let seconds = took.as_secs_f64();
    for (what, count) in &report.coverage {
        writeln!(out, "{what:36} {count:12}")?;
    }
    writeln!(out, "{report}")?;
    let rate = report.transitions as f64 / seconds.max(1e-9);
    writeln!(out, "{seconds:.1} s, {rate:.0} transitions a second")
}

fn json(report: &Report, took: Duration) -> String {
    let Bounds { servers, terms, entries, crashes, pre_vote, .. } = report.bounds;
    let members: Vec<_> = report.bounds.members.iter().map(|member| member.0).collect();
    let (end, violation) = match &report.end {
        End::Complete => ("complete", None),
        End::Full => ("full", None),
        End::Violated { violation, path } => {
            let property = violation.property.name();
            let found = json!({ "property": property, "text": violation.text, "path": path });
            ("violated", Some(found))
        }
    };
    let report = json!({
        "bounds": {
            "servers": servers, "members": members, "terms": terms, "entries": entries, "crashes": crashes,
            "pre_vote": pre_vote,
        },
        "end": end,
        "violation": violation,
        "states": report.states,
        "configurations": report.configurations,
        "depth": report.depth,
        "transitions": report.transitions,
        "seconds": took.as_secs_f64(),
        "coverage": report.coverage,
    });
    format!("{report:#}\n")
}
