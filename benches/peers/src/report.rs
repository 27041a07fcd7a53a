use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

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
    writes: u64,
    seconds: f64,
    cpu_seconds: f64,
}

/// A measurement under way.
#[derive(Debug)]
pub struct Meter {
    writes: u64,
    cpu_seconds: f64,
    since: Instant,
}

impl Meter {
    /// Begins when `writes` have been answered.
    pub fn start(writes: u64) -> Self {
        Self { writes, cpu_seconds: cpu_seconds(), since: Instant::now() }
    }

    /// How long the measurement has been going on.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends when `writes` have been answered.
    pub fn stop(self, writes: u64) -> Measured {
        Measured {
            writes: writes - self.writes,
            seconds: self.since.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - self.cpu_seconds,
        }
    }
}

/// User and system time of this process, in seconds.
fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("invariant: RUSAGE_SELF is always known");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    micros as f64 / 1e6
}

/// Prints the result as one line of JSON. `system` and `arrangement` are plain ASCII.
pub fn report(system: &str, arrangement: &str, args: &Args, measured: &Measured) {
    let Args { clients, bytes, .. } = args;
    let Measured { writes, seconds, cpu_seconds } = measured;
    let rate = *writes as f64 / seconds;
    println!(
        "{{\"system\": {system:?}, \"arrangement\": {arrangement:?}, \"clients\": {clients}, \
         \"bytes\": {bytes}, \"writes\": {writes}, \"seconds\": {seconds:.3}, \
         \"writes_per_second\": {rate:.0}, \"cpu_seconds\": {cpu_seconds:.3}}}"
    );
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
