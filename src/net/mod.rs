//! How a message travels, without actors: what a link does to it, and connections between
//! processes.
//!
//! [`Peers`] is all that a server or a client needs to know of the network. Below it are frames
//! (`frame.rs`), what is in them (`packet.rs`, wire version 1, byte by byte), and how two ends of a
//! connection learn who the other is (`handshake.rs`).

mod call;
mod cargo;
pub mod frame;
pub mod handshake;
pub mod packet;
mod peers;
mod rule;
pub mod tls;

pub use call::{Answered, CallError, Consistency, Request};
pub use cargo::{Audit, Cargo};
pub use handshake::{Advertise, Role};
pub use peers::{
    Boxed, Caller, Delivery, Keepalive, Listener, PeerStats, Peers, PeersConfig, PeersError,
    Security, Tcp, TokenCheck, Transport, Wire,
};
pub use rule::{Fate, LinkRule};
