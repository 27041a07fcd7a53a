//! One server as a process of its own.

pub mod config;
mod peers;

pub use peers::{PeerAddresses, server_ids};
