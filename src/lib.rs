//! Raft on the actix actor framework, carrying a replicated file store.
//!
//! A *jangada* is a raft that fishermen sail out to sea. This one carries files: a cluster whose
//! servers are actors, with a supervisor that can slow, freeze, cut off, crash and revive any of
//! them. It runs by the clock on the wall or in virtual time, where the same seed gives the same
//! run, and waiting takes no time.
//!
//! # Quick start
//!
//! Five servers; a file that survives the crash of their leader:
//!
//! ```
//! use jangada::actors::{ClockKind, Order, Sandbox, SandboxOptions, Servers, run};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! run(ClockKind::Virtual, async {
//!     let sandbox = Sandbox::start(SandboxOptions { seed: 7, ..SandboxOptions::default() });
//!     let client = sandbox.client();
//!     client.load_bytes("notes.txt", "set sail").await?;
//!
//!     sandbox.order(Order::Crash(Servers::Leader)).await?;
//!     // The client finds the next leader by itself.
//!     assert_eq!(client.read_bytes("notes.txt").await?, "set sail");
//!
//!     for event in sandbox.events().latest(100) {
//!         println!("{event}");
//!     }
//!     sandbox.end().await;
//!     Ok(())
//! })?
//! # }
//! ```
//!
//! `examples/` shows one scenario a file: crashes, split nets, slow leaders, divergent logs
//! (`cargo run --example leader_crash`). A state machine of your own takes the place of the file
//! store with [`SandboxOptions::with_machine`](actors::SandboxOptions::with_machine); commands
//! reach it through a [`Proposer`](actors::Proposer).
//!
//! # The rooms
//!
//! | room | answers |
//! |---|---|
//! | [`daemon`] | What is one server as a process? Settings, founding, signals, metrics. |
//! | [`http`] | What does a server say over HTTP? |
//! | [`console`] | How does a person see the cluster, and type to it? |
//! | [`sim`] | What does a seed do to a cluster? Worlds of overlapping faults; what fails, shrunk. |
//! | [`why`] | Why is it so? The orders without which it would not be, and what came of them. |
//! | [`replay`] | How is a run done again? Time travel, with or without some orders. |
//! | [`script`] | What does a line mean, and how is it carried out? |
//! | [`diagram`] | How does a run look as a picture? Its trace, as a sequence diagram. |
//! | [`actors`] | Who runs the cluster? Servers, state machines, the supervisor, clients. |
//! | [`storage`] | What survives a crash? The log, the term, the vote, the snapshot. |
//! | [`net`] | How does a message travel? What a link does to it. |
//! | [`invariants`] | What must always hold? A monitor of the servers; linearizability. |
//! | [`raft`] | What is the protocol? A plain value that is stepped. |
//! | [`explore`] | Which schedule of a few servers breaks the core? All, within bounds. |
//! | [`files`] | What is replicated? File commands, sessions, content. |
//! | [`museum`] | Which known bugs can be put back, to see that they are found? |
//!
//! Arrows mean "may use", and never point up:
//!
//! ```text
//!  main.rs   examples/   tests/
//!     |
//!  console/ --> why/ --> replay/ --> script/ <-- sim/   text or a seed in; orders out
//!                  |
//!               actors/               the only room that knows actix
//!              /   |   \
//!       storage/  net/  blackbox/     what survives; what a link does; what happened
//!             \    |     |
//!              \   |  invariants/     what must always hold
//!               \  |   /
//!               raft/      files/     two leaves that do not know each other
//!
//!  fleet/ --> script/, client/, daemon/   a cluster of processes, for scenarios and the console
//!  diagram/ --> raft/    explore/ --> invariants/, raft/    every room --> museum/
//! ```
//!
//! # The life of one write
//!
//! 1. A [`Client`](actors::Client) numbers the command, so that a retry is recognised, and lays it
//!    at the door of the server that it takes for the leader (`actors/client.rs`,
//!    `actors/call.rs`).
//! 2. The server takes all that waits at its door in as one proposal (`actors/server/`).
//! 3. Its [`raft::Node`] gives each command an index, and asks for three things: append, send to
//!    the followers, and tell when the disk is done (`raft/replication.rs`).
//! 4. The log writes the entries (`storage/`); messages pass the rule of their link on their way
//!    (`actors/network.rs`, `net/rule.rs`).
//! 5. A follower compares the logs, appends, and answers once its disk has the entries.
//! 6. With a majority of disks, the leader's own among them or not, the entry is committed
//!    (`raft/replication.rs`).
//! 7. The leader's state machine applies it to the [`FileStore`](files::FileStore), unless the
//!    session has seen its number before (`actors/state_machine.rs`, `files/session.rs`).
//! 8. The client has its answer. The followers hear of the commit with the next message, and
//!    apply the same entry.

pub mod actors;
pub mod blackbox;
pub mod client;
pub mod console;
pub mod daemon;
pub mod diagram;
pub mod explore;
pub mod files;
pub mod fleet;
pub mod http;
pub mod invariants;
pub mod museum;
pub mod net;
pub mod raft;
pub mod replay;
pub mod script;
pub mod sim;
pub mod storage;
pub mod why;

/// The programs that README.md shows are tested as this crate's are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
