//! What must always hold, one property a file.
//!
//! Of the servers, a [`Monitor`] is told every [`Fact`] and answers with a [`Violation`] at the
//! first that breaks a [`Property`]: the five of figure 3 of the Raft paper and what they rest on.
//! It takes facts from whoever drives a cluster: actors, or an exploration of the core alone.
//!
//! Of the clients:
//!
//! * [`linearizable`](check_linearizable): to the clients, the replicated files look like one copy
//!   on which every call took effect at once, at some moment between its invocation and its answer
//!   (section 8 of the Raft paper; Herlihy and Wing 1990).
//!
//! A driver (a script, a seed, a person at the prompt) records every file command in a [`History`]
//! and asks at the end. That part knows nothing of how the cluster works: only what was asked and
//! answered.

mod acknowledged_is_kept;
mod cluster;
mod committed_is_fixed;
mod configuration;
mod configurations;
mod election_safety;
mod fact;
mod hash;
mod history;
mod json_lines;
mod leader_append_only;
mod leader_completeness;
mod linearizable;
mod log_matching;
mod memory_bounds;
mod monitor;
mod monotonic;
mod one_vote_a_term;
mod server;
mod sessions_apply_once;
mod stable_storage;
mod state_hash;
mod state_machine_safety;
mod violation;

pub use fact::{Fact, Stamp};
pub use history::{
    Answer, Call, Content, History, MalformedHistory, Operation, Outcome, PendingCall,
};
pub use json_lines::{UnreadableCall, UnreadableHistory};
pub use linearizable::{
    LinearizabilityError, NotLinearizable, Summary, Undecided, check_linearizable,
};
pub use monitor::Monitor;
pub use violation::{Property, Violation};
