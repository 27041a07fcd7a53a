//! `jangada serve`, and what shows the settings that it would go by.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use jangada::daemon::config::{ConfigError, KEYS, Layers, Settings};
use jangada::daemon::{Failure, start_logging};

const EXAMPLES: &str = "\
Examples:
  jangada init --id 1 --data d1 --voters 1        a cluster of one
  jangada serve --id 1 --data d1 --insecure       serves it; HTTP on 127.0.0.1:3001
  jangada serve --config server.toml              all of it from a file
  jangada serve --config server.toml --check      says whether it makes sense, and where from

A flag goes over a variable (JANGADA_DATA for --data), a variable over the file.

Exit codes: 0 stopped in good order; 1 an assertion failed, or the system refuses something;
2 the settings make no sense; 3 the data directory cannot be used; 4 an address cannot be
listened at; 5 the storage failed; 128 + n ended at once by a second signal n.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Print the effective settings and where each comes from, and serve nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    given: Given,
}

#[derive(clap::Subcommand)]
pub(crate) enum Config {
    /// Print the effective settings of a server, and where each comes from.
    Show(Given),
}

/// What the command line says of the settings.
pub(crate) struct Given {
    file: Option<PathBuf>,
    flags: BTreeMap<&'static str, String>,
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("JANGADA_CONFIG")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A TOML file of settings: the names of the flags without dashes before them");
        KEYS.iter().fold(command.arg(file), |command, key| {
            let default = key.default.filter(|text| key.value.is_some() && !text.is_empty());
            let help = match default {
                Some(default) => format!("{} [default: {default}]", key.help),
                None => key.help.to_owned(),
            };
            let arg = Arg::new(key.name).long(key.name).help(help).action(ArgAction::Set);
            command.arg(match key.value {
                Some(value) => arg.value_name(value),
                None => arg.value_name("true|false").num_args(0..=1).default_missing_value("true"),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flag = |name| Some((name, matches.get_one::<String>(name)?.clone()));
        let flags = KEYS.iter().filter_map(|key| flag(key.name)).collect();
        Ok(Self { file: matches.get_one::<PathBuf>("config").cloned(), flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Given {
    fn layers(&self) -> Result<Layers, ConfigError> {
        let variable = |name: &str| std::env::var(name).ok();
        Layers::new(&self.flags, variable, self.file.as_deref())
    }
}

/// Serves until told to stop. `filter` is what to log.
pub(crate) fn serve(arguments: &Arguments, filter: &str) -> ExitCode {
    if arguments.check {
        return show(&arguments.given);
    }
    let settings = arguments.given.layers().and_then(|layers| layers.settings());
    let served = settings.map_err(Failure::Config).and_then(|settings: Settings| {
        start_logging(filter, settings.log_format);
        jangada::daemon::serve(settings)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            super::complain(&format!("jangada serve: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints the settings, and what is wrong with them.
pub(crate) fn show(given: &Given) -> ExitCode {
    let checked = given.layers().and_then(|layers| {
        let _ = write!(io::stdout(), "{layers}");
        layers.settings()
    });
    match checked {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            super::complain(&format!("jangada config: {error}"));
            ExitCode::from(Failure::Config(error).exit_code())
        }
    }
}
