//! What the command line says about the console.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;

use super::paint::ColorChoice;
use crate::client::Endpoint;
use crate::fleet::{Access, Door};
use crate::script::DISK_KINDS;
use crate::storage::DiskKind;

/// The options of the console.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub struct Options {
    /// How many servers there are, from 1 to 64
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=64))]
    pub servers: u64,
    /// What everything random is drawn from; without it, another one each time
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Stand still between the lines, in virtual time: `play`, `step`, `rewind` move in it
    #[arg(long = "virtual")]
    pub virtual_time: bool,
    /// Which disks they have: `memory`, or `simulated` ones that can fail
    #[arg(long, value_name = "KIND", default_value = "memory", value_parser = disk_kind)]
    pub disks: DiskKind,
    /// Open the prompt on a cluster of processes: some of its servers, as `http://HOST:PORT`
    #[arg(long, value_name = "URL,...", value_delimiter = ',')]
    #[arg(conflicts_with_all = ["servers", "seed", "virtual_time", "disks"])]
    pub connect: Vec<Endpoint>,
    /// With --connect over `https`: the certificate of the authority that vouches for the servers
    #[arg(long, value_name = "FILE", requires = "connect")]
    pub cacert: Option<PathBuf>,
    /// With --connect: the file whose first line is the token to show over HTTP
    #[arg(long, value_name = "FILE", requires = "connect")]
    pub token_file: Option<PathBuf>,
    /// With --connect, if the servers talk over TLS: the folder with ca.pem and the certificate
    /// that `jangada cert client console` makes
    #[arg(long, value_name = "DIR", requires = "connect")]
    pub tls: Option<PathBuf>,
    /// How the session goes.
    #[command(flatten)]
    pub manner: Manner,
}

/// How a session goes, whatever its cluster is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::Args)]
pub struct Manner {
    /// Go on after an error when the lines come from a file or a pipe
    #[arg(long)]
    pub keep_going: bool,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

fn disk_kind(word: &str) -> Result<DiskKind, String> {
    let known = DISK_KINDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, kind)| *kind).ok_or_else(|| "it is memory or simulated".to_owned())
}

impl Options {
    /// The cluster that is to be connected to.
    ///
    /// # Errors
    /// If the token cannot be read.
    pub(super) fn door(&self) -> io::Result<Door> {
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path)?;
                Some(text.lines().next().unwrap_or_default().trim().to_owned())
            }
            None => std::env::var("JANGADA_TOKEN").ok().filter(|token| !token.is_empty()),
        };
        let access = Access { authority: self.cacert.clone(), token };
        Ok(Door { endpoints: self.connect.clone(), access, tls: self.tls.clone() })
    }

    /// The seed that was given, or a new one, short enough to be typed.
    pub(super) fn seed(&self) -> u64 {
        // The standard library keys its hashers from the operating system.
        self.seed.unwrap_or_else(|| RandomState::new().hash_one(()) >> 32)
    }
}
