//! Servers as processes of their own: real disks, real sockets, real signals.
//!
//! Nothing here sleeps to guess: conditions are polled until a deadline. Ports are the system's.

mod bootstrap;
mod config;
mod console;
mod lifecycle;
mod load;
mod process;
mod survival;
mod torture;
mod trouble;
