//! `jangada replay`: a scenario, or what a seed stands for, at the prompt in virtual time.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jangada::console::{self, Manner};
use jangada::script::read_scenario;
use jangada::sim::{Profile, World, WorldOptions};

use super::complain;
use super::sim::{parse_minutes, parse_profile};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A scenario, or a seed of `jangada sim`
    #[arg(value_name = "FILE|SEED")]
    run: String,
    /// Of a seed: which faults, as for `sim`
    #[arg(long, value_name = "NAME", default_value = "everything", value_parser = parse_profile)]
    profile: Profile,
    /// Of a seed: how many servers, as for `sim`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=9))]
    servers: Option<u64>,
    /// Of a seed: for how many minutes faults happen, as for `sim`
    #[arg(long, value_name = "M", value_parser = parse_minutes)]
    minutes: Option<Duration>,
    #[command(flatten)]
    manner: Manner,
}

/// Opens the console on a scenario or a seed; exits as the console does.
pub(crate) fn replay(arguments: &Arguments) -> ExitCode {
    let Arguments { run, profile, servers, minutes, manner } = arguments;
    let path = Path::new(run);
    // A file whose name is a number is one all the same.
    if let (Ok(seed), false) = (run.parse(), path.exists()) {
        let options = WorldOptions { profile: *profile, servers: *servers, trouble: *minutes };
        let world = World::expand(seed, options);
        return console::replay(&world.scenario, Path::new(&format!("seed {seed}")), *manner);
    }
    match read_scenario(path) {
        Ok(scenario) => console::replay(&scenario, path, *manner),
        Err(failure) => {
            complain(&failure);
            ExitCode::from(2)
        }
    }
}
