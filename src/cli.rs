//! The command line.

use clap::Parser;
use jangada::console;

const EXAMPLES: &str = "\
Examples:
  jangada                             a prompt over five live servers
  jangada --servers 3 --seed 7        three of them, with a seed of your own
  jangada < session.jangada           the same words from a file; stops at the first error
  echo 'load notes.txt' | jangada";

/// A Raft cluster of actors that carries files, and that you can break by hand.
///
/// Without a command it opens a prompt over live servers in this process.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) console: console::Options,
    /// What to log to standard error: a level, or a filter as `RUST_LOG` has it.
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "warn", global = true)]
    pub(crate) log: String,
}
