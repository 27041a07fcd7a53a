//! Who runs the cluster: the actors and the orders they take. The only room that knows actix.
//!
//! A [`Sandbox`] holds one supervisor and its servers. Each server is two actors, `Server` (the
//! protocol, the log and the clients' calls) and `StateMachine` (the files). Handlers step the
//! core and perform its effects; nothing awaits anything while it holds a role. The messages and
//! what losing each of them means are listed in `messages.rs`.

mod away;
mod call;
mod client;
mod clock;
mod disturb;
mod launch;
mod messages;
mod meter;
mod network;
mod order;
mod panic;
mod record;
mod remote;
mod sandbox;
mod server;
mod standalone;
mod state_machine;
mod status;
mod supervisor;
mod traffic;
mod transfer;
mod virtual_time;
mod way;

pub use call::Proposer;
pub use client::{Client, ClientError, Done, NotDone, Source};
pub use clock::{Clock, ClockError};
pub use disturb::DisturbError;
pub use messages::Observation;
pub use meter::Meter;
pub use network::Outlet;
pub use order::{Order, Servers, Side};
pub use record::{Event, EventKind, Recorder};
pub use remote::Connection;
pub use sandbox::{ClockKind, Sandbox, SandboxOptions, SnapshotPolicy, run};
pub use standalone::{Door, Roster, Standalone, StandaloneOptions};
pub use state_machine::{Frozen, Machine, Restoring};
pub use status::{ClusterStatus, Condition, LogLine, Membership, ServerStatus};
pub use supervisor::{MachineFactory, OrderError};
pub use traffic::Traffic;
pub use virtual_time::VirtualTime;

pub use crate::net::{Answered, CallError, Consistency};
