//! The arguments of the command, and its first step into the library.

mod bootstrap;
mod cert;
mod check_history;
mod diagram;
mod explore;
mod log;
#[cfg(feature = "museum")]
mod museum;
mod remote;
mod replay;
mod run;
mod serve;
mod shell;
mod sim;
mod why;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use jangada::console;

const EXAMPLES: &str = "\
Examples:
  jangada                             a prompt over five live servers
  jangada --servers 3 --seed 7        three of them, with a seed of your own
  jangada < session.jangada           the same words from a file; stops at the first error
  echo 'load notes.txt' | jangada     or from another command
  jangada --virtual                   a prompt in virtual time: `play`, `step`, `rewind`
  jangada run crash.jangada           a scenario, in virtual time
  jangada replay crash.jangada        the same at a prompt, step by step
  jangada replay 7                    what seed 7 stands for, in the same way
  jangada replay d1 d2 d3             what three servers recorded, done again and compared
  jangada why no-leader --scenario crash.jangada
                                      which order caused it, and how it came to be
  jangada diagram trace.txt -o a.svg  what `run --trace trace.txt` wrote, as a picture
  jangada check-history calls.jsonl   what clients saw, written by `run --history calls.jsonl`
  jangada sim --seeds 0..1000         a thousand clusters with a thousand misfortunes
  jangada explore --terms 1           every schedule of three servers, within bounds
  jangada cert ca certs               an authority for the certificates of a cluster
  jangada log verify DIR              whether a server can start from a data directory
  jangada log dump DIR --from 100     what stands in its log, record by record
  jangada serve --config s1.toml      one process of a cluster of processes
  jangada put notes.txt               stores a file in a cluster of processes
  jangada get notes.txt copy.txt      and fetches it
  jangada console --connect http://127.0.0.1:3001
                                      a prompt over that cluster";

/// What `serve` logs, if nobody says: its own news, and what others warn of.
const SERVE_LOG: &str = "warn,jangada=info";

/// What is logged, if nobody says, where servers come and go as they are told.
const CLIENT_LOG: &str = "warn,jangada::net=error";

/// Raft on actors, carrying a replicated file store: a laboratory and a product in one.
///
/// Without a command it opens a prompt over live servers in this process.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    console: console::Options,
    #[command(subcommand)]
    command: Option<Command>,
    /// What to log to standard error: a level, or a filter as `RUST_LOG` has it [default: warn;
    /// for `serve` warn,jangada=info]
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", global = true)]
    log: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve as one process of a cluster, on a real disk and a real network.
    Serve(serve::Arguments),
    /// Make the data directory of a founding member of a cluster.
    Init(bootstrap::Init),
    /// Make the data directory of a server that joins a cluster.
    Join(bootstrap::Join),
    /// Look at the settings of a server.
    #[command(subcommand)]
    Config(serve::Config),
    #[command(flatten)]
    Remote(remote::Remote),
    /// Print what makes a shell complete the words of this command.
    Completions(shell::Completions),
    /// Write the manual pages.
    Man(shell::Man),
    /// Open the prompt, as without a command; with --connect on a cluster of processes.
    Console(console::Options),
    /// Run scenario files, each on a cluster of its own.
    Run(run::Arguments),
    /// Open the console in virtual time on a scenario or a seed, or do again what servers recorded.
    Replay(replay::Arguments),
    /// Find the orders without which something in a scenario would not be so.
    Why(why::Arguments),
    /// Draw a trace as a sequence diagram.
    Diagram(diagram::Arguments),
    /// Check whether what clients were told is linearizable, from a file of their calls.
    CheckHistory(check_history::Arguments),
    /// Run seeds: clusters with overlapping faults, checked in virtual time.
    Sim(sim::Arguments),
    /// Look at every schedule of a few servers, within bounds, for a broken property.
    Explore(explore::Arguments),
    /// Make the certificates of a cluster, and look at them.
    Cert(cert::Arguments),
    /// Look into a data directory without a server.
    #[command(subcommand)]
    Log(log::Arguments),
    /// Put known bugs back, one at a time, and find them.
    #[cfg(feature = "museum")]
    Museum(museum::Arguments),
}

/// Does what the arguments say. Exits with 0 if all went well, 1 if something failed, 2 if the
/// arguments or a scenario are wrong.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Serve(arguments)) = &cli.command {
        return serve::serve(arguments, cli.log.as_deref().unwrap_or(SERVE_LOG));
    }
    let quiet = match &cli.command {
        Some(Command::Run(_) | Command::Console(_)) | None => CLIENT_LOG,
        _ => "warn",
    };
    env_logger::Builder::new().parse_filters(cli.log.as_deref().unwrap_or(quiet)).init();
    match cli.command {
        Some(Command::Serve(arguments)) => serve::serve(&arguments, SERVE_LOG),
        Some(Command::Init(arguments)) => bootstrap::init(&arguments),
        Some(Command::Join(arguments)) => bootstrap::join_cluster(&arguments),
        Some(Command::Config(serve::Config::Show(given))) => serve::show(&given),
        Some(Command::Remote(remote)) => remote::run(remote),
        Some(Command::Completions(arguments)) => shell::completions(&arguments, Cli::command()),
        Some(Command::Man(arguments)) => shell::man(&arguments, Cli::command()),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Replay(arguments)) => replay::replay(&arguments),
        Some(Command::Why(arguments)) => why::run(&arguments),
        Some(Command::Diagram(arguments)) => diagram::run(&arguments),
        Some(Command::CheckHistory(arguments)) => check_history::run(&arguments),
        Some(Command::Sim(arguments)) => sim::run(&arguments),
        Some(Command::Explore(arguments)) => explore::run(&arguments),
        Some(Command::Cert(arguments)) => cert::run(&arguments),
        Some(Command::Log(arguments)) => log::run(&arguments),
        #[cfg(feature = "museum")]
        Some(Command::Museum(arguments)) => museum::run(&arguments),
        Some(Command::Console(options)) => console::main(&options),
        None => console::main(&cli.console),
    }
}

/// Counts the time on the wall from now on.
#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "says how long something took, and decides nothing"
)]
fn stopwatch() -> impl Fn() -> std::time::Duration {
    let began = std::time::Instant::now();
    move || began.elapsed()
}

/// Tells a person what went wrong.
fn complain(message: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{message}");
}
