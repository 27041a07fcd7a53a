//! `log`: what a data directory holds, without a server.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jangada::raft::Index;
use jangada::storage::{Inspection, LogLine, inspect};

const CODES: &str = "\
Exit status: 0 if a server can start from the directory, 1 if it must not, 2 if it cannot be read.
Nothing is changed, and nothing is locked. Of a server that runs, the end of the log may look torn.";

#[derive(Subcommand)]
pub(crate) enum Arguments {
    /// Print every record of a data directory's log: place, kind, index, term and size.
    #[command(after_help = CODES)]
    Dump {
        /// The data directory
        directory: PathBuf,
        /// Begin with the entry at this index
        #[arg(long, value_name = "INDEX", default_value_t = 0)]
        from: u64,
    },
    /// Check a data directory: that all that was durable can be read, chunks included.
    #[command(after_help = CODES)]
    Verify {
        /// The data directory
        directory: PathBuf,
    },
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let (directory, from) = match arguments {
        Arguments::Dump { directory, from } => (directory, Some(Index(*from))),
        Arguments::Verify { directory } => (directory, None),
    };
    let mut begun = from == Some(Index(0));
    // Whoever reads this may have seen enough.
    let mut written = Ok(());
    let inspection = inspect(directory, |line: &LogLine| {
        begun |= line.entry.zip(from).is_some_and(|(entry, from)| entry.index >= from);
        if begun && written.is_ok() {
            written = writeln!(out, "{line}");
        }
    });
    let inspection = match inspection {
        Ok(inspection) => inspection,
        Err(error) => {
            super::complain(&error);
            return ExitCode::from(2);
        }
    };
    let Inspection { identity, survey, damage, in_use } = &inspection;
    let _ = writeln!(out, "directory   {}", directory.display());
    let _ = writeln!(out, "identity    {identity}");
    let _ = writeln!(out, "{survey}");
    let _ = match damage {
        None => writeln!(out, "verdict     sound"),
        Some(error) => writeln!(out, "verdict     a server must not start from it: {error}"),
    };
    let _ = out.flush();
    if let Some(process) = in_use {
        let process = process.map_or(String::new(), |id| format!(" (pid {id})"));
        super::complain(&format_args!(
            "a server{process} has the directory now: what it is writing may look torn or damaged"
        ));
    }
    match damage {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    }
}
