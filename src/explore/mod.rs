//! Every schedule of a few servers, within bounds: not a model of the protocol but the production
//! core, [`raft::Node`](crate::raft::Node), with the production checks,
//! [`Monitor`](crate::invariants::Monitor).
//!
//! What may happen in any order and at any time: a timer fires, a message arrives, a client
//! proposes a command, an operator asks for other members, a disk finishes its oldest write, a
//! server crashes, loses what its disk has not finished, and starts again. Bounded are terms,
//! commands, changes of the members and crashes.
//!
//! What keeps it small, without leaving anything out:
//!
//! * **Time stands still** and every timeout is zero: any timer may fire at any time. So
//!   check-quorum and stickiness, which need a clock, are off, and rounds decide nothing.
//! * **Messages only ever become more.** A delivery leaves the message where it is: it may come
//!   again, late, or in any order, and one that never comes is lost. Loss, duplication, delay and
//!   reordering need no moves of their own, and there is no bound on the messages on their way.
//!   Of two states with the same servers, the one with more messages can do all that the other
//!   can, so that the other needs no look; and what can be sent without any server's changing is
//!   sent at once.
//! * **Names decide nothing.** States that differ in the names of servers of the same kind alone
//!   are one: founding members that stay, servers that join. A leader that leaves hands over to the
//!   server of the lowest number among equals; if one may leave, every server is a kind of its own.
//! * **Local work is done once** (`catalogue`): what a server in one state makes of one event is
//!   looked up when it happens elsewhere.
//!
//! Three things are left out. A message is lost for good once both its ends have left its term, if
//! all that its receiver would do is refuse it; and one that says that its sender recovers, once
//! that has recovered. And term and vote are on disk at once: until they
//! are a server says nothing, and its crash before that is its crash before the event.
//!
//! What is least advanced is looked at first, so that few states are looked at in vain. Once a
//! property is violated, a second search, breadth first, finds a shortest way to it, told in words.

mod bits;
mod catalogue;
mod entry;
mod known;
mod packet;
mod path;
mod renaming;
mod report;
mod search;
mod server;
mod state;
mod table;
#[cfg(test)]
mod tests;

pub use report::{Bounds, End, Progress, Report};
pub use search::explore;
