//! `jangada replay`: a scenario at the prompt, in virtual time.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jangada::console::{self, Manner};
use jangada::script::read_scenario;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The scenario
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    manner: Manner,
}

/// Opens the console on a scenario; exits as the console does.
pub(crate) fn replay(arguments: &Arguments) -> ExitCode {
    match read_scenario(&arguments.file) {
        Ok(scenario) => console::replay(&scenario, &arguments.file, arguments.manner),
        Err(failure) => {
            // There is nobody left to tell that nobody listens.
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::from(2)
        }
    }
}
