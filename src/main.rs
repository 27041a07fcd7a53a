//! The `jangada` command.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use jangada::console;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    env_logger::Builder::new().parse_filters(&cli.log).init();
    console::main(&cli.console)
}
