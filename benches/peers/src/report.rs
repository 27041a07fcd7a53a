use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// How long the clients write before the measurement begins.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// The arguments of every peer.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Args {
    /// Clients, each waiting for its answer before its next write
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub clients: u32,
    /// Bytes of a command
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub bytes: u32,
    /// Seconds of the measurement, after a warm-up of half a second
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give a number of seconds from 0.01 to 3600".into()),
    }
}

impl Args {
    /// Commands after which a log in memory is shortened: 40 MiB of them, at most 50,000. A shorter
    /// log costs more snapshots, a longer one more misses of the cache.
    pub fn log_limit(&self) -> u64 {
        (40 * 1024 * 1024 / u64::from(self.bytes)).min(50_000)
    }

    /// Length of the measurement.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// What was measured between the two ends of a [`Meter`].
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    answers: u64,
    seconds: f64,
    cpu_seconds: f64,
}

/// A measurement under way.
#[derive(Debug)]
pub struct Meter {
    answers: u64,
    cpu_seconds: f64,
    since: Instant,
}

impl Meter {
    /// Begins when there have been so many answers.
    pub fn start(answers: u64) -> Self {
        Self { answers, cpu_seconds: cpu_seconds(), since: Instant::now() }
    }

    /// How long the measurement has been going on.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends when there have been so many answers.
    pub fn stop(self, answers: u64) -> Measured {
        Measured {
            answers: answers - self.answers,
            seconds: self.since.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - self.cpu_seconds,
        }
    }
}

/// What a program prints of a measurement, as one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Name and version.
    pub system: String,
    /// How it is arranged, in words.
    pub arrangement: String,
    /// Clients, each in a closed loop.
    pub clients: u32,
    /// Bytes of a command.
    pub bytes: u32,
    /// Answers during the measurement.
    pub answers: u64,
    /// Length of the measurement.
    pub seconds: f64,
    /// Answers of one second of the clock on the wall.
    pub answers_per_second: f64,
    /// User and system time of the whole process during the measurement.
    pub cpu_seconds: f64,
}

/// What `jangada load` prints, as one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadReport {
    /// Size of the file.
    pub bytes: u64,
    /// From the first byte read until all three servers have the file.
    pub load_seconds: f64,
    /// User and system time of that.
    pub load_cpu_seconds: f64,
    /// Copying the file three times, each copy synced to disk.
    pub copy_seconds: f64,
    /// The most memory that the process held, before it copied.
    pub peak_bytes: u64,
}

fn usage() -> Usage {
    getrusage(UsageWho::RUSAGE_SELF).expect("invariant: RUSAGE_SELF is always known")
}

/// The most memory that this process has held so far, in bytes.
pub fn peak_bytes() -> u64 {
    // Linux counts it in KiB.
    usage().max_rss().unsigned_abs() * 1024
}

/// User and system time of this process so far, in seconds.
pub fn cpu_seconds() -> f64 {
    let usage = usage();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    micros as f64 / 1e6
}

/// Prints the result as one line of JSON.
pub fn report(system: &str, arrangement: &str, args: &Args, measured: &Measured) {
    let &Measured { answers, seconds, cpu_seconds } = measured;
    print_json(&Report {
        system: system.to_owned(),
        arrangement: arrangement.to_owned(),
        clients: args.clients,
        bytes: args.bytes,
        answers,
        seconds,
        answers_per_second: answers as f64 / seconds,
        cpu_seconds,
    });
}

/// Prints one line of JSON.
pub fn print_json(report: &impl Serialize) {
    let line = serde_json::to_string(report).expect("invariant: names, numbers and text are JSON");
    println!("{line}");
}

/// Ends the program: an error is said on standard error.
pub fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        _args: Args,
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        for wrong in [["--clients", "0"], ["--bytes", "0"], ["--seconds", "NaN"]] {
            assert!(Cli::try_parse_from([&["peer"], &wrong[..]].concat()).is_err(), "{wrong:?}");
        }
    }
}
