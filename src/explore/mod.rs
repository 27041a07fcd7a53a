//! explore
mod ghost;
mod packet;
mod search;
mod server;
mod table;
mod world;

pub use search::{End, Report, explore};

/// How far the exploration goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Servers, all of which vote.
    pub servers: u64,
    /// The highest term that is entered.
    pub terms: u64,
    /// Commands that clients propose; the no-ops of leaders come on top.
    pub entries: u8,
    /// Most different messages on their way at a time.
    pub messages: usize,
    /// Crashes, of any server, at any point.
    pub crashes: u8,
    /// Whether servers ask before they stand.
    pub pre_vote: bool,
    /// Most states that are kept.
    pub states: usize,
}
