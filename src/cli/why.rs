//! `jangada why`: the cause of something in a scenario, or in the run that a trace tells of.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jangada::raft::Time;
use jangada::replay::Timeline;
use jangada::script::{self, Inquiry, Scenario, Statement, Variables, duration_of, read_scenario};
use jangada::why::{self, Verdict};

use super::complain;

#[derive(Args)]
pub(crate) struct Arguments {
    /// `no-leader`, `2 lost leadership`, `3 refused its vote` or `17 is not committed`
    #[arg(required = true, value_name = "QUESTION")]
    question: Vec<String>,
    /// The scenario
    #[arg(long, value_name = "FILE", required_unless_present = "trace")]
    scenario: Option<PathBuf>,
    /// A trace that `jangada run --trace` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "seed"])]
    trace: Option<PathBuf>,
    /// At this moment, such as 2.5s [default: at the end]
    #[arg(long, value_name = "TIME", value_parser = duration_of)]
    at: Option<Duration>,
    /// The seed of everything random [default: what the file says, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Answers; exits with 1 if what is asked about is not so, with 2 if the question or the file is
/// wrong.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let inquiry = match inquiry(arguments) {
        Ok(inquiry) => inquiry,
        Err(message) => {
            complain(&message);
            return ExitCode::from(2);
        }
    };
    let answer = match (&arguments.trace, &arguments.scenario) {
        (Some(path), _) => of_trace(path, &inquiry),
        (None, Some(path)) => of_scenario(path, arguments.seed, &inquiry),
        (None, None) => Err("`--scenario FILE` or `--trace FILE` is missing".to_owned()),
    };
    match answer {
        Ok(answer) => {
            // Whoever closed standard output does not want to know.
            let _ = write!(io::stdout(), "{answer}");
            ExitCode::from(u8::from(answer.verdict == Verdict::NotSo))
        }
        Err(message) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

fn of_scenario(path: &Path, seed: Option<u64>, inquiry: &Inquiry) -> Result<why::Answer, String> {
    let scenario = read_scenario(path).map_err(|failure| failure.to_string())?;
    let scenario = Scenario { seed: seed.or(scenario.seed), ..scenario };
    let timeline = Timeline::new(&scenario, path);
    let answer = || {
        let end = timeline.finish()?;
        let at = inquiry.at.map_or(end, |at| Time::default() + at);
        why::explain(&timeline, inquiry, end.max(at))
    };
    answer().map_err(|error: io::Error| format!("cannot make a runtime: {error}"))
}

fn of_trace(path: &Path, inquiry: &Inquiry) -> Result<why::Answer, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| named(&format!("cannot be opened: {error}")))?;
    why::explain_trace(BufReader::new(file), inquiry).map_err(|error| named(&error))
}

/// The question, which is said as at a prompt.
fn inquiry(arguments: &Arguments) -> Result<Inquiry, String> {
    let text = format!("why {}", arguments.question.join(" "));
    match script::parse(&text, &Variables::new()) {
        Ok(Some(Statement::Why(inquiry))) => {
            Ok(Inquiry { at: arguments.at.or(inquiry.at), ..inquiry })
        }
        Ok(_) => Err(format!("`{text}` is no question")),
        Err(error) => Err(format!("{error}\n{}", error.excerpt(&text))),
    }
}
