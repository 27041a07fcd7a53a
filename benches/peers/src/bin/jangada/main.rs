//! Jangada itself: a sandbox of servers in one process, actors on one thread, with clients that are
//! tasks beside them.

mod cluster;
mod failover;
mod load;
mod restart;
mod snapshots;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use jangada::actors::Consistency;
use jangada::raft::Timing;
use jangada::storage::DiskKind;
use jangada_peers::{Args, By, Measured, exit_code, print_json, report};

use cluster::in_system;

const SYSTEM: &str = "jangada";
const ARRANGEMENT: &str = "actix, actors and a task a client on one thread";
/// The file that clients append to, or that is loaded.
const FILE: &str = "file";

/// Measures jangada, its servers in one process.
#[derive(Debug, Parser)]
enum Cli {
    /// Opaque commands to a state machine that only counts
    Writes {
        #[command(flatten)]
        args: Args,
        /// Servers
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
        servers: u64,
    },
    /// Reads of a state machine that only counts
    Reads {
        #[command(flatten)]
        args: Args,
        /// How a leader makes sure that it leads
        #[arg(long, value_enum, default_value = "index")]
        by: By,
    },
    /// Appends to one file, each client in a session of its own
    Appends {
        #[command(flatten)]
        args: Args,
    },
    /// Loads a file into three servers, then copies it three times
    Load {
        /// Size of the file
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1024))]
        mebibytes: u64,
        /// Where the file and its copies are for a while [default: the system's folder for such]
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Crashes the leader of five servers, again and again, in virtual time
    Failover(Elections),
    /// Has the leader of five servers hand over, again and again, in virtual time
    Handover(Elections),
    /// Appends while snapshots are taken, sent and restored
    Snapshots {
        /// Clients, each waiting for its answer before its next append
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
        clients: u32,
        /// Size of all files
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=4096))]
        mebibytes: u64,
    },
    /// Starts a server again, by its whole log and by its snapshot
    Restart {
        /// Entries of the log
        #[arg(long, default_value_t = 1_000_000)]
        entries: u64,
        /// Its disk
        #[arg(long, value_enum, default_value = "memory")]
        disk: Disk,
    },
}

#[derive(Debug, clap::Args)]
struct Elections {
    /// How often
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// What every random draw comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Milliseconds that a message is on its way
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    latency: u64,
    /// The shortest election timeout, in milliseconds
    #[arg(long, default_value_t = 150)]
    min: u64,
    /// The longest election timeout, in milliseconds
    #[arg(long, default_value_t = 350)]
    max: u64,
    /// Between heartbeats, in milliseconds
    #[arg(long, default_value_t = 50)]
    heartbeat: u64,
}

impl Elections {
    fn setting(&self) -> failover::Setting {
        let timing = Timing {
            election_timeout_min: Duration::from_millis(self.min),
            election_timeout_max: Duration::from_millis(self.max),
            heartbeat: Duration::from_millis(self.heartbeat),
        };
        let latency = Duration::from_millis(self.latency);
        failover::Setting { timing, latency, count: self.count, seed: self.seed }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Disk {
    /// Plain memory
    Memory,
    /// The segments of real disks, in memory
    Segments,
}

fn main() -> ExitCode {
    let print = |args: &Args, measured: Measured| report(SYSTEM, ARRANGEMENT, args, &measured);
    exit_code(match Cli::parse() {
        Cli::Writes { args, servers } => {
            in_system(throughput::writes(&args, servers)).map(|measured| print(&args, measured))
        }
        Cli::Reads { args, by } => {
            let consistency = match by {
                By::Index => Consistency::Linearizable,
                By::Lease => Consistency::Lease,
            };
            in_system(throughput::reads(&args, consistency)).map(|measured| print(&args, measured))
        }
        Cli::Appends { args } => {
            in_system(throughput::appends(&args)).map(|measured| print(&args, measured))
        }
        Cli::Load { mebibytes, folder } => {
            load::load_and_copy(mebibytes, folder).map(|report| print_json(&report))
        }
        Cli::Failover(elections) => {
            failover::failovers(&elections.setting()).map(|report| print_json(&report))
        }
        Cli::Handover(elections) => {
            failover::handovers(&elections.setting()).map(|report| print_json(&report))
        }
        Cli::Snapshots { clients, mebibytes } => {
            in_system(snapshots::writes_beside(clients, mebibytes))
                .map(|report| print_json(&report))
        }
        Cli::Restart { entries, disk } => {
            let disks = match disk {
                Disk::Memory => DiskKind::Memory,
                Disk::Segments => DiskKind::Simulated,
            };
            in_system(restart::restarts(entries, disks)).map(|report| print_json(&report))
        }
    })
}
