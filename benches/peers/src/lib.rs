//! What the peers share: arguments, the closed loop of client tasks, a log in memory, the report.

mod log;
mod report;
mod tasks;

pub use log::Log;
pub use report::{Args, Measured, Meter, WARM_UP, exit_code, report};
pub use tasks::{Cluster, Command, Peer, Threads, run};
