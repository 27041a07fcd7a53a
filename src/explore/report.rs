//! How far an exploration goes, and what it found.

use std::collections::BTreeMap;
use std::fmt;

use crate::invariants::Violation;
use crate::raft::ServerId;

/// How far an exploration goes. Messages have no bound: whatever was sent may arrive at any time,
/// again and again, in any order, or never.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// How many servers found the cluster, all of which vote; numbered from 1.
    pub servers: u64,
    /// The voters that an operator asks a leader for, once, at any time; if there are none, nobody
    /// is asked. Those beyond the founding ones join with an empty disk. With them there may be
    /// [`MOST_SERVERS`](Self::MOST_SERVERS) in all.
    pub members: Vec<ServerId>,
    /// The last term that anyone enters.
    pub terms: u64,
    /// Commands that clients propose in all; the no-ops of leaders come on top.
    pub entries: u8,
    /// Crashes in all, each of any server at any point.
    pub crashes: u8,
    /// Whether servers ask before they stand (thesis 9.6).
    pub pre_vote: bool,
    /// Most states that are kept in memory, 100 to 200 bytes each.
    pub states: usize,
}

/// How an exploration stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// States reached.
    pub states: usize,
    /// Those of them that were not looked at yet.
    pub waiting: usize,
    /// The most moves that led to one.
    pub depth: usize,
    /// Moves taken that changed something.
    pub transitions: u64,
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How far it was to go.
    pub bounds: Bounds,
    /// States reached. States that differ in the servers' names alone count once, and so does one
    /// that another can stand for because all its messages are on their way there, too.
    pub states: usize,
    /// The same without a look at the messages on their way.
    pub configurations: usize,
    /// The most moves that led to a state.
    pub depth: usize,
    /// Moves taken that changed something.
    pub transitions: u64,
    /// Different states of single servers.
    pub servers: usize,
    /// Different messages.
    pub messages: usize,
    /// Different histories, as far as the properties depend on them.
    pub monitors: usize,
    /// Moves by role and by what happened.
    pub coverage: BTreeMap<String, u64>,
    /// How it ended.
    pub end: End,
}

/// How an exploration ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// Everything within the bounds was seen, and every property held.
    Complete,
    /// Every property held until there were more states than may be kept.
    Full,
    /// A property was violated.
    Violated {
        /// Which, and how.
        violation: Violation,
        /// One of the shortest ways to it, a line for everything that happened.
        path: Vec<String>,
    },
}

impl Bounds {
    /// The most servers: states are compared under all renamings.
    pub const MOST_SERVERS: u64 = 5;

    /// How many servers there are in all.
    pub(crate) fn all_servers(&self) -> u64 {
        self.members.iter().map(|member| member.0).fold(self.servers, u64::max)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            servers: 3,
            members: Vec::new(),
            terms: 2,
            entries: 0,
            crashes: 1,
            pre_vote: false,
            states: 20_000_000,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, terms, entries, crashes, .. } = self;
        let pre_vote = if self.pre_vote { ", pre-vote" } else { "" };
        write!(f, "{servers} servers")?;
        if !self.members.is_empty() {
            f.write_str(" that change to")?;
            self.members.iter().try_for_each(|member| write!(f, " {member}"))?;
        }
        write!(f, ", {terms} terms, {entries} commands, {crashes} crashes{pre_vote}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            End::Complete => writeln!(f, "complete: every property holds within {}", self.bounds)?,
            End::Full => writeln!(
                f,
                "not complete: every property holds so far, but there are more than {} states \
                 within {}; take smaller bounds, or allow more states",
                self.bounds.states, self.bounds
            )?,
            End::Violated { violation, path } => {
                writeln!(f, "{violation}")?;
                for (number, line) in path.iter().enumerate() {
                    writeln!(f, "{:4}. {line}", number + 1)?;
                }
            }
        }
        writeln!(
            f,
            "{} states ({} without the messages), depth {}, {} transitions",
            self.states, self.configurations, self.depth, self.transitions
        )?;
        write!(
            f,
            "{} states of single servers, {} messages, {} histories",
            self.servers, self.messages, self.monitors
        )
    }
}
