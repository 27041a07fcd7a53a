//! `jangada replay`: a scenario or a seed at the prompt, in virtual time.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jangada::console::{self, Manner};
use jangada::script::read_scenario;
use jangada::sim::World;

use super::complain;
use super::sim::WorldArguments;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The scenario, or the seed of one of the simulation's worlds
    #[arg(value_name = "SEED|FILE")]
    run: OsString,
    #[command(flatten)]
    world: WorldArguments,
    #[command(flatten)]
    manner: Manner,
}

/// Opens the console on a scenario; exits as the console does.
pub(crate) fn replay(arguments: &Arguments) -> ExitCode {
    let Arguments { run, world, manner } = arguments;
    let seed = run.to_str().and_then(|text| text.parse().ok());
    // A file whose name is a number is one all the same.
    if let Some(seed) = seed.filter(|_| !Path::new(run).exists()) {
        let world = World::expand(seed, world.options());
        let name = format!("seed {seed}");
        return console::replay(&world.scenario, Path::new(&name), *manner);
    }
    if *world != WorldArguments::default() {
        complain(
            &"`--profile`, `--servers` and `--minutes` are for the world of a seed, not a file",
        );
        return ExitCode::from(2);
    }
    match read_scenario(Path::new(run)) {
        Ok(scenario) => console::replay(&scenario, Path::new(run), *manner),
        Err(failure) => {
            complain(&failure);
            ExitCode::from(2)
        }
    }
}
