//! How a message travels, without actors: what a link does to it.

mod call;
mod cargo;
mod packet;
mod rule;

pub use call::{Answered, CallError, Consistency, Request};
pub use cargo::{Audit, Cargo};
pub use packet::Packet;
pub use rule::{Fate, LinkRule};
