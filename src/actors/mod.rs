//! Who runs the cluster: the actors and the orders they take. The only room that knows actix.
//!
//! A [`Sandbox`] holds one supervisor and its servers. Each server is two actors, `Server` (the
//! protocol, the log and the clients' calls) and `StateMachine` (the files). Handlers step the
//! core and perform its effects; nothing awaits anything while it holds a role. The messages and
//! what losing each of them means are listed in `messages.rs`.

mod call;
mod client;
mod clock;
mod messages;
mod network;
mod order;
mod panic;
mod record;
mod sandbox;
mod server;
mod state_machine;
mod status;
mod supervisor;
mod traffic;
mod transfer;
mod virtual_time;
mod way;

pub use call::{Answered, CallError, Consistency, Proposer};
pub use client::{Client, ClientError, Done, NotDone, Source};
pub use clock::{Clock, ClockError};
pub use order::{Order, Servers, Side};
pub use record::{Event, EventKind, Recorder};
pub use sandbox::{ClockKind, Sandbox, SandboxOptions, SnapshotPolicy, run};
pub use state_machine::{Frozen, Machine, Restoring};
pub use status::{ClusterStatus, Condition, LogLine, Membership, ServerStatus};
pub use supervisor::{MachineFactory, OrderError};
pub use traffic::Traffic;
pub use virtual_time::VirtualTime;
