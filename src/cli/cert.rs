//! `jangada cert`: the certificates of a cluster.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jangada::net::Role;
use jangada::net::tls::{Authority, CertError, CertificateInfo, OwnFiles, Validity};
use jangada::raft::ServerId;
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  jangada cert ca certs               an authority, with a name for the cluster
  jangada cert server 1 --dir certs   certs/server1.pem and certs/server1.key
  jangada cert client ada --dir certs for a client over the native port
  jangada cert show certs/server1.pem whose it is, and how long it is valid

Nothing is ever overwritten. Give each server ca.pem and its own two files; ca.key stays
where it is, and nobody needs it but this command.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make an authority of the cluster's own.
    Ca {
        /// Where: ca.pem and ca.key
        dir: PathBuf,
        /// The cluster that it is for [default: a new one]
        #[arg(long, value_name = "UUID")]
        cluster: Option<Uuid>,
    },
    /// Make the certificate of a server.
    Server {
        /// The server's number
        id: u64,
        /// Where the authority is, and the certificate is to be
        #[arg(long)]
        dir: PathBuf,
        /// A host or an address by which clients reach the server over HTTPS; may be repeated
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        #[command(flatten)]
        days: Days,
    },
    /// Make the certificate of a client.
    Client {
        /// The client's name
        name: String,
        /// Where the authority is, and the certificate is to be
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        days: Days,
    },
    /// Show what a certificate says.
    Show {
        /// The certificate
        file: PathBuf,
    },
}

#[derive(Args)]
struct Days {
    /// For how many days it is valid
    #[arg(long, default_value_t = Validity::default().0, value_parser = clap::value_parser!(u32).range(1..=7300))]
    days: u32,
}

/// Makes or shows certificates. Exits with 0 if all went well, 1 if not.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.what {
        What::Ca { dir, cluster } => make_authority(dir, *cluster),
        What::Server { id, dir, hosts, days } => {
            make(dir, &Role::Server(ServerId(*id)), hosts, days)
        }
        What::Client { name, dir, days } => make(dir, &Role::Client(name.clone()), &[], days),
        What::Show { file } => CertificateInfo::of_file(file)
            .map(|info| info.to_string())
            .map_err(|error| error.to_string()),
    };
    match done {
        Ok(said) => {
            // Whoever closed standard output does not want to know.
            let _ = writeln!(io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            super::complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn make_authority(dir: &Path, cluster: Option<Uuid>) -> Result<String, String> {
    let authority = Authority::create(dir, cluster.unwrap_or_else(Uuid::new_v4));
    let authority = authority.map_err(|error| error.to_string())?;
    Ok(format!(
        "the authority of cluster {} is in {}; ca.key is its secret",
        authority.cluster(),
        dir.display()
    ))
}

fn make(dir: &Path, role: &Role, hosts: &[String], days: &Days) -> Result<String, String> {
    let made = Authority::open(dir)
        .and_then(|authority| authority.issue(role, hosts, Validity(days.days)))
        .map_err(|error: CertError| error.to_string())?;
    let OwnFiles { certificate, key } = made;
    Ok(format!("{role}: {} and {}", certificate.display(), key.display()))
}
