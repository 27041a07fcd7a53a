//! A seed instead of a person: worlds of overlapping faults, run in virtual time and checked.
//!
//! A seed expands to a [`World`], and a world is a scenario of the console's language: how many
//! servers, the timings, clients that use the files at random, faults at their moments, and an
//! end in which everything is healed and progress is demanded. The scenario is run by the same
//! [`Runner`](crate::script::Runner) that runs files, on the same actors. So whatever fails can be
//! read, run again by itself, and made shorter by leaving lines out.
//!
//! | file | answers |
//! |---|---|
//! | `profile.rs` | which faults are there, and which go together? |
//! | `world.rs` | what does a seed stand for? |
//! | `faults.rs` | what does a fault say, and how does it end? |
//! | `deposed.rs` | what do clients see of leaders that are none any more? |
//! | `operator.rs` | what do operators order meanwhile? |
//! | `exam.rs` | what must a cluster be able to do when everything is mended? |
//! | `run.rs` | what came of a world? |
//! | `shrink.rs` | what is the shortest scenario that fails in the same way? |
//! | `fleet.rs` | what came of many seeds, on several threads? |
//! | `tally.rs` | how much of what happened? |

mod deposed;
mod exam;
mod faults;
mod fleet;
mod operator;
mod profile;
mod run;
mod shrink;
mod tally;
#[cfg(test)]
mod tests;
mod world;

pub use fleet::{Failed, Fleet, Report};
pub use profile::{Fault, Profile};
pub use run::{Outcome, Violation, run, run_scenario};
pub use shrink::{Innocent, Shrunk, shrink};
pub use tally::Tally;
pub use world::{World, WorldOptions};
