//! What the peers share: arguments, the closed loop of client tasks, a log in memory, the report.

mod log;
mod report;
mod studies;
mod tasks;

pub use log::Log;
pub use report::{
    Args, LoadReport, Measured, Meter, Report, WARM_UP, cpu_seconds, exit_code, peak_bytes,
    print_json, report,
};
pub use studies::{ElectionsReport, Phase, RestartReport, SnapshotsReport, Spread};
pub use tasks::{By, Cluster, Command, Peer, Threads, run};
