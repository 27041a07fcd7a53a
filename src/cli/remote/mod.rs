//! The commands that ask a cluster over HTTP.

mod backup;
mod cluster;
mod failure;
mod files;
mod options;
mod screen;
mod transfer;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jangada::client::Client;

use self::failure::Failure;
use self::options::Options;
use self::screen::Screen;

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed; 2 the arguments make no sense; 3 there is no such file, or no such
version; 4 no server answers, or there is no leader: nothing was changed, and it may work later;
5 a condition does not hold, or something is in the way; 6 it is not known whether the change was
made; 124 a server took too long; 130 interrupted.";

/// A command, and whom to ask.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct With<T: Args> {
    #[command(flatten)]
    verb: T,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
pub(crate) enum Remote {
    /// Store a file.
    Put(With<transfer::Put>),
    /// Fetch a file, or a part or an earlier version of it.
    Get(With<transfer::Get>),
    /// Print a file.
    Cat(With<transfer::Cat>),
    /// List the files.
    Ls(With<files::Ls>),
    /// Add to the end of a file.
    Append(With<transfer::Append>),
    /// Delete files.
    Rm(With<files::Rm>),
    /// Give a file another name.
    Mv(With<files::Mv>),
    /// Show what is known of a file.
    Stat(With<files::Stat>),
    /// Print the changes of files as they happen.
    Watch(With<watch::Watch>),
    /// Show how the servers are.
    Status(With<cluster::Status>),
    /// List or change the members of the cluster.
    Member {
        #[command(subcommand)]
        verb: Member,
    },
    /// Have the leader hand over.
    Transfer(With<cluster::Transfer>),
    /// Have servers take a snapshot.
    Snapshot(With<cluster::Snapshot>),
    /// Write every file, as all were at one moment, into a folder.
    Backup(With<backup::Backup>),
    /// Store every file of a backup.
    Restore(With<backup::Restore>),
}

#[derive(Subcommand)]
pub(crate) enum Member {
    /// List the members, as the leader sees them.
    List(With<cluster::List>),
    /// Take a server into the cluster, which `jangada join` has prepared.
    Add(With<cluster::Add>),
    /// Remove a server from the cluster.
    Remove(With<cluster::Remove>),
    /// Make these servers the voters, and no others.
    Set(With<cluster::Set>),
}

/// What a command does, once it knows whom to ask.
pub(crate) trait Verb: Args {
    /// Reads what must be read before anything else, and may take its time.
    fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure>;
}

/// Does what is asked for.
pub(crate) fn run(remote: Remote) -> ExitCode {
    match remote {
        Remote::Put(with) => with.run(),
        Remote::Get(with) => with.run(),
        Remote::Cat(with) => with.run(),
        Remote::Ls(with) => with.run(),
        Remote::Append(with) => with.run(),
        Remote::Rm(with) => with.run(),
        Remote::Mv(with) => with.run(),
        Remote::Stat(with) => with.run(),
        Remote::Watch(with) => with.run(),
        Remote::Status(with) => with.run(),
        Remote::Member { verb: Member::List(with) } => with.run(),
        Remote::Member { verb: Member::Add(with) } => with.run(),
        Remote::Member { verb: Member::Remove(with) } => with.run(),
        Remote::Member { verb: Member::Set(with) } => with.run(),
        Remote::Transfer(with) => with.run(),
        Remote::Snapshot(with) => with.run(),
        Remote::Backup(with) => with.run(),
        Remote::Restore(with) => with.run(),
    }
}

impl<T: Verb> With<T> {
    fn run(mut self) -> ExitCode {
        let outcome = self.try_run();
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                if !failure.is_quiet() {
                    super::complain(&format!("jangada: {failure}"));
                }
                ExitCode::from(failure.exit_code())
            }
        }
    }

    fn try_run(&mut self) -> Result<(), Failure> {
        let options = self.options.client()?;
        self.verb.prepare()?;
        jangada::client::run(async {
            let client = Client::new(options)?;
            let screen = Screen::new(&self.options);
            tokio::select! {
                done = self.verb.run(&client, &screen) => done,
                signal = options::signal() => {
                    let in_doubt = client.is_in_doubt();
                    Err(Failure::Interrupted { signal: signal?, in_doubt })
                }
            }
        })
    }
}
