//! The arguments of the command, and its first step into the library.

mod run;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Raft on actors, carrying a replicated file store: a laboratory and a product in one.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenario files, each on a cluster of its own.
    Run(run::Arguments),
}

/// Does what the arguments say. Exits with 0 if all went well, 1 if something failed, 2 if the
/// arguments or a scenario are wrong.
pub(crate) fn main() -> ExitCode {
    env_logger::init();
    match Cli::parse().command {
        Some(Command::Run(arguments)) => run::run(&arguments),
        None => {
            // A terminal that is gone needs no help.
            let _ = Cli::command().print_help();
            ExitCode::from(2)
        }
    }
}
