//! The actors in virtual time: what a person would try by hand, and what a seed would.
//!
//! | module | what it pins |
//! |---|---|
//! | `orders` | elections by order, timings at run time, orders that cannot be carried out |
//! | `crashes` | what survives a crash, a stop, and the start of everyone |
//! | `pauses` | frozen servers, and slow ones |
//! | `links` | partitions, one-way cuts, loss, duplication, reordering, delay |
//! | `clocks` | clocks of servers that run wrong, or jump |
//! | `disks` | slow and stalled disks and state machines: no election |
//! | `clients` | exactly once, unknown outcomes, refusals, sessions, full doors |
//! | `reads` | linearizable reads from every server |
//! | `load` | 100,000 proposals at once, 64 MiB at once |
//! | `members` | members added, removed and joining again; the leadership handed over |
//! | `snapshots` | compacted logs, restarts from snapshots, snapshots sent |
//! | `audit` | a state that differs from the others' is out of service |
//! | `determinism` | one seed, one trace, in one process or several |
//! | `monitor` | a violation, and a panic of an actor, are seen and told |
//! | `lifetime` | nothing runs on behind an ended sandbox |
//! | `chaos` | random orders and clients for many seeds |

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

mod audit;
mod chaos;
mod clients;
mod clocks;
mod crashes;
mod determinism;
mod disks;
mod lifetime;
mod links;
mod load;
mod members;
mod monitor;
mod orders;
mod pauses;
mod reads;
mod snapshots;
mod support;
