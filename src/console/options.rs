//! What the command line says about the console.

use std::hash::{BuildHasher, RandomState};

use super::paint::ColorChoice;
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
    /// The seed that was given, or a new one, short enough to be typed.
    pub(super) fn seed(&self) -> u64 {
        // The standard library keys its hashers from the operating system.
        self.seed.unwrap_or_else(|| RandomState::new().hash_one(()) >> 32)
    }
}
