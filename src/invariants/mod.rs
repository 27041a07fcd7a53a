//! What must always hold, one property a file, over what servers and clients were seen to do.
//!
//! * [`linearizable`](check_linearizable): to the clients, the replicated files look like one copy
//!   on which every call took effect at once, at some moment between its invocation and its answer
//!   (section 8 of the Raft paper; Herlihy and Wing 1990).
//!
//! A driver (a script, a seed, a person at the prompt) records every file command in a [`History`]
//! and asks at the end. Nothing here knows how the cluster works: only what was asked and answered.

mod history;
mod json_lines;
mod linearizable;

pub use history::{
    Answer, Call, Content, History, MalformedHistory, Operation, Outcome, PendingCall,
};
pub use json_lines::{UnreadableCall, UnreadableHistory};
pub use linearizable::{Summary, Violation, check_linearizable};
