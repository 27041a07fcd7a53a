//! Servers as processes of their own: real disks, real sockets, real signals.
//!
//! Nothing here sleeps to guess: conditions are polled until a deadline. Ports are the system's.

mod blackbox;
mod bootstrap;
mod config;
mod lifecycle;
mod load;
mod process;
mod survival;
mod trouble;
