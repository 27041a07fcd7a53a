//! `jangada check-history`: what clients were told, checked without any cluster.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jangada::invariants::{History, LinearizabilityError, check_linearizable};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The history: JSON lines, as `jangada run --history` and `history PATH` write them
    file: PathBuf,
}

/// Checks a history. Exits with 0 if it is linearizable, 1 if it is not, 2 if it cannot be read, 3
/// if it was not decided.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let path = &arguments.file;
    let history = match read(path) {
        Ok(history) => history,
        Err(message) => {
            super::complain(&message);
            return ExitCode::from(2);
        }
    };
    let clock = super::stopwatch();
    let checked = check_linearizable(&history);
    let took = clock().as_secs_f64();
    let (mark, said, code) = match checked {
        Ok(summary) => ("ok  ", summary.to_string(), 0),
        Err(LinearizabilityError::Violated(violation)) => ("FAIL", violation.to_string(), 1),
        Err(LinearizabilityError::Undecided(undecided)) => ("??? ", undecided.to_string(), 3),
    };
    // Whoever closed standard output does not want to know.
    let _ = writeln!(io::stdout(), "{mark} {} ({took:.2} s)\n{said}", path.display());
    ExitCode::from(code)
}

fn read(path: &Path) -> Result<History, String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| about(&error))?;
    History::read_lines(BufReader::new(file)).map_err(|error| about(&error))
}
