//! `jangada init` and `jangada join`: the data directory of a new server.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jangada::daemon::{BootstrapError, found, join, rejoin, server_ids};
use jangada::raft::ServerId;
use jangada::storage::Identity;
use uuid::Uuid;

/// What both take.
#[derive(Args)]
struct Whose {
    /// The server's number, from 1
    #[arg(long, env = "JANGADA_ID", value_name = "N", value_parser = one)]
    id: ServerId,
    /// The data directory to make; nothing may be there yet
    #[arg(long, env = "JANGADA_DATA", value_name = "DIR")]
    data: PathBuf,
}

const INIT_EXAMPLES: &str = "\
Examples:
  jangada init --id 1 --data d1 --voters 1
                  a cluster of one; others may join it later
  jangada init --id 1 --data d1 --voters 1,2,3
                  draws the cluster's uuid, and prints it
  jangada init --id 2 --data d2 --voters 1,2,3 --cluster UUID
                  the next founding member, with the uuid that was printed

Founding is done once, for every founding member, with the same voters and the same uuid.
Servers of different clusters do not listen to each other.";

#[derive(Args)]
#[command(after_help = INIT_EXAMPLES)]
pub(crate) struct Init {
    #[command(flatten)]
    whose: Whose,
    /// The founding members, all of which vote
    #[arg(long, value_name = "N,N,...", value_parser = Voters::parse)]
    voters: Voters,
    /// The cluster's uuid; drawn and printed if it is not given
    #[arg(long, env = "JANGADA_CLUSTER", value_name = "UUID")]
    cluster: Option<Uuid>,
}

const JOIN_EXAMPLES: &str = "\
Examples:
  jangada join --id 4 --data d4 --cluster UUID
                  a new server; start it, then add it to the members
  jangada join --id 2 --data d2 --cluster UUID --damaged
                  for server 2, which cannot start from what it has: puts that aside

A server that joins neither votes nor counts until a quorum has recovered it.";

#[derive(Args)]
#[command(after_help = JOIN_EXAMPLES)]
pub(crate) struct Join {
    #[command(flatten)]
    whose: Whose,
    /// The uuid of the cluster that exists
    #[arg(long, env = "JANGADA_CLUSTER", value_name = "UUID")]
    cluster: Uuid,
    /// The directory is there, and its log is damaged: put that aside and begin anew
    #[arg(long)]
    damaged: bool,
}

/// The numbers of the founding members.
#[derive(Clone)]
struct Voters(Vec<ServerId>);

impl Voters {
    fn parse(text: &str) -> Result<Self, String> {
        server_ids(text).map(Self)
    }
}

fn one(text: &str) -> Result<ServerId, String> {
    match server_ids(text)?[..] {
        [id] => Ok(id),
        _ => Err("one number is wanted".to_owned()),
    }
}

/// Makes the data directory of a founding member.
pub(crate) fn init(arguments: &Init) -> ExitCode {
    let Init { whose: Whose { id, data }, voters: Voters(voters), cluster } = arguments;
    let identity = Identity { cluster: cluster.unwrap_or_else(Uuid::new_v4), server: *id };
    let made = found(data, &identity, voters);
    finish(
        "init",
        made.map(|()| {
            let voters: Vec<_> = voters.iter().map(ToString::to_string).collect();
            let (cluster, voters) = (identity.cluster, voters.join(", "));
            format!("{} is {id} of cluster {cluster}, founded by {voters}", data.display())
        }),
    )
}

/// Makes the data directory of a server that joins.
pub(crate) fn join_cluster(arguments: &Join) -> ExitCode {
    let Join { whose: Whose { id, data }, cluster, damaged } = arguments;
    let identity = Identity { cluster: *cluster, server: *id };
    let made = match damaged {
        true => rejoin(data, &identity),
        false => join(data, &identity).map(|()| None),
    };
    finish(
        "join",
        made.map(|aside| {
            let aside = aside.map(|path| format!("; what was there is in {}", path.display()));
            let aside = aside.unwrap_or_default();
            format!("{} is {id} and joins cluster {cluster}{aside}", data.display())
        }),
    )
}

fn finish(command: &str, made: Result<String, BootstrapError>) -> ExitCode {
    match made {
        Ok(said) => {
            let _ = writeln!(io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            super::complain(&format!("jangada {command}: {error}"));
            match error {
                BootstrapError::NotAmongVoters(_) => ExitCode::from(2),
                _ => ExitCode::from(3),
            }
        }
    }
}
