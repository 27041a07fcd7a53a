//! One server as a process of its own: `jangada serve`.
//!
//! The server's two actors, its connections and the signals share the main thread; the disk has a
//! thread, and so has each worker of the HTTP server. Whatever ends the process for another reason
//! than a signal is a [`Failure`], which has an exit code.

mod bootstrap;
mod chaos;
pub mod config;
mod control;
mod failure;
mod logging;
mod metrics;
mod peers;
mod pulse;
mod serve;
mod signals;
mod why;

pub use bootstrap::{BootstrapError, found, join, rejoin};
pub use failure::Failure;
pub use logging::start as start_logging;
pub use peers::{PeerAddresses, server_ids};
pub use serve::serve;
