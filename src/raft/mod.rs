//! The protocol, as a plain value that is stepped: no clock, no randomness, no disk, no network,
//! no actors. A driver tells a [`Node`] what happened ([`Input`]) and does what it asks for
//! ([`Effect`]), in the order in which it asks.
//!
//! What follows goes through "In Search of an Understandable Consensus Algorithm" (Ongaro and
//! Ousterhout, extended version) in its order; "thesis" is Ongaro's, "Consensus: Bridging Theory
//! and Practice".
//!
//! **Terms (5.1).** Every [`Message`] carries its sender's term. The term rule stands once, in
//! `Node::on_message`, before the message meets a role: a higher term is entered as a follower
//! and the message is then handled in that role; a lower one is answered with the current term,
//! and answers of a past term are dropped.
//!
//! **Election (5.2, `election.rs`).** A follower's election timer is reset by a message from the
//! leader of its term, by starting an election and by giving a vote, and by nothing else. The
//! timeout is drawn anew at each reset, from the [`Luck`] that comes with every step. Before it
//! stands, a server asks whether it would win (pre-vote, thesis 9.6); whoever has heard from a
//! leader within the shortest timeout says no, and refuses real votes too (leader stickiness,
//! thesis 4.2.3). A leader that no majority has answered for the longest timeout steps down
//! (check-quorum, thesis 6.2). What counts is when the answered message *left*: a leader that is
//! answered steadily but late loses its leadership too.
//!
//! **Replication (5.3, `replication.rs`).** Each peer's `next_index` and `match_index` are a
//! `Progress`. While it is not known where the logs agree there is one message under way;
//! then messages follow each other without waiting, up to a window in messages and in bytes.
//! A follower that refuses `prev_log` names the last of its entries that may agree, and the
//! leader skips there at once; some terms, not some entries, are tried at the most. Heartbeats
//! are ordinary `AppendEntries` without entries, so a lost message shows within one of them.
//!
//! **Safety (5.4).** Votes go only to logs that are at least as up-to-date (5.4.1), compared as
//! [`Position`]s. A leader commits only what a quorum has *and* is of its own term (5.4.2); a
//! no-op at the start of each term (section 8) lets it commit what earlier ones left.
//!
//! **Durability.** Term and vote must be on disk before anything that is said after them, and
//! the order of effects says so. Entries need not: a leader sends them while its own disk is
//! still writing, a follower answers for them when [`Input::Persisted`] comes, and a leader
//! counts its own copy then too. Disks are not on the heartbeats' path.
//!
//! **Clients (8, `read.rs`).** Proposals are taken by the leader, and refused with a reason by
//! everyone else. Reads do not touch the log: a heartbeat round that begins after the read
//! proves that the leader still leads (thesis 6.4). Any server may serve them; it asks the
//! leader for the index to wait for.
//!
//! **Membership (6).** Quorums are counted over a [`Configuration`], joint ones included.
//!
//! Left out so far: changing the membership (6), snapshots (7), leadership transfer (thesis
//! 3.10), lease reads (thesis 6.4.1). A log is kept for ever, at 8 bytes an entry here.

mod configuration;
mod election;
mod entry;
mod handover;
mod ids;
mod input;
mod install;
mod log;
mod membership;
mod message;
mod node;
mod progress;
mod read;
mod rejoin;
mod replication;
mod role;
mod snapshot;
mod status;

pub use configuration::{Configuration, DEFAULT_PRIORITY};
pub use entry::{Entries, Entry, EntryMeta, Payload};
pub use ids::{Index, Position, Round, ServerId, Term, Time};
pub use input::{
    Change, ChangeRefusal, ChangeRequest, Effect, HandoverReason, HandoverRefusal, Input, Refusal,
    Timing, Why,
};
pub use message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Fetched, Force, InstallSnapshot,
    InstallSnapshotReply, Message, Part, ReadIndex, ReadIndexReply, Rejoin, RejoinReply,
    RequestVote, RequestVoteReply, Ticket, TimeoutNow, VoteRefusal,
};
pub use node::{Limits, Luck, Node, Options, Persistent};
pub use role::RoleKind;
pub use snapshot::{ChunkId, SnapshotMeta};
pub use status::{PeerStatus, Status};
