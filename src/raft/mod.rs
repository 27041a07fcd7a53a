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
//! A leader that is asked to may also answer by its lease (thesis 6.4.1, an explicit choice):
//! whoever has heard from it elects nobody else for the shortest election timeout, and keeps that
//! promise through a new term and a restart. It holds as long as no two clocks run apart by more
//! than a tenth. Only an operator's election may break the promise; whoever is elected so commits
//! nothing before it has run out.
//!
//! **Membership (6, `membership.rs`).** Any set follows any other by joint consensus. A
//! [`Configuration`] is an entry of the log and holds from there on, committed or not; with the
//! entry it goes. New voters are learners first, until they have caught up (thesis 4.2.1). A change
//! is a walk through configurations, and any leader goes on where another left off. A leader that
//! is removed leads until that is committed and then hands over (thesis 4.2.2); whoever leaves may
//! stand until then. A change is refused when too few of the voters-to-be answer, or none could
//! lead.
//!
//! **Lost disks (`rejoin.rs`).** Raft takes for granted that a server remembers its votes and what
//! it acknowledged. One whose disk was formatted after the cluster was founded neither votes nor
//! counts, until an entry that was begun after it had asked is committed without it, and on its
//! disk. A server that joins for the first time goes the same way.
//!
//! **Snapshots (7, `install.rs`).** Every server compacts its own log, but for a tail. A follower
//! that lacks what is gone is offered the leader's snapshot with every heartbeat, and asks for the
//! parts that it lacks; losing, doubling and reordering them does no harm, and what has come
//! survives a crash of either side and a change of leaders. The log is kept from where a transfer
//! under way ends. The members are part of a snapshot.
//!
//! **Handing over (thesis 3.10, `handover.rs`).** The other is told to stand once everything has
//! been sent to it. Meanwhile the leader takes no writes, begins no round and has no lease; if
//! nobody was elected within the shortest election timeout it leads on, and whoever has heard of a
//! later round elects nobody by the old order. A leader hands over when told to, when it is removed,
//! to a voter of a higher priority, and when its disk or its state machine stands still while
//! another's goes on.
//!
//! Left out: changing one server at a time without a joint configuration (thesis 4.1: the joint one
//! covers it); sessions, which make a repeated command harmless (thesis 6.3: the state machine's);
//! a way back when a majority of the disks is lost, which no protocol can promise. A disk that was
//! lost and that the leader does not know of yet may make it begin a change that cannot end
//! without that server. The term and the size of each entry of the log stay in memory, at 8 bytes
//! an entry; where snapshots are taken the log is bounded by them.

mod checkpoint;
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
mod promise;
mod read;
mod rejoin;
mod replication;
mod role;
mod snapshot;
mod status;
mod timers;

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
