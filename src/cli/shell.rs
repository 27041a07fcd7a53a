//! What shells and manuals want to know of the commands.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct Man {
    /// The folder to write them into; it is made if there is none
    dir: PathBuf,
}

/// Prints what makes a shell complete the command's words.
pub(crate) fn completions(arguments: &Completions, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "jangada", &mut script);
    match io::Write::write_all(&mut io::stdout(), &script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            super::complain(&format!("jangada: standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a manual page for every command.
pub(crate) fn man(arguments: &Man, command: Command) -> ExitCode {
    let dir = &arguments.dir;
    let written =
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::complain(&format!("jangada: {}: {error}", dir.display()));
            ExitCode::FAILURE
        }
    }
}
