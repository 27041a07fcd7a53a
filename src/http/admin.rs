//! What operators see of a server and ask of it, in plain words: nothing of raft's inside.

use std::pin::Pin;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, AdminError>> + Send + 'a>>;

/// One server, as an operator deals with it. Shared by every worker of the HTTP server.
pub trait Admin: Send + Sync + 'static {
    /// How the server is, and the cluster as far as it knows. Asks no other server.
    fn status(&self) -> Answer<'_, Status>;

    /// Changes the members. Answered when the change has begun, by the leader alone.
    fn change_members(&self, change: ChangeMembers) -> Answer<'_, ()>;

    /// Has the leader hand over to this server, or to the best one. Answered when it has begun.
    fn transfer(&self, to: Option<u64>) -> Answer<'_, ()>;

    /// Has this server take a snapshot. Answered when it was told so.
    fn snapshot(&self) -> Answer<'_, ()>;

    /// Disturbs the server's links, by an order in the words of the console (`cut S1 -> S2`).
    /// Refused unless the server was started with chaos allowed.
    fn chaos(&self, order: String) -> Answer<'_, ()>;

    /// Answers a question in the words of the console (`why no-leader`), from what the server
    /// remembers.
    fn why(&self, question: String) -> Answer<'_, String>;

    /// Who leads, as far as this server knows, and the address of its HTTP server if that is
    /// known, as `host:port`.
    fn leader(&self) -> Option<(u64, Option<String>)>;

    /// Whether the server's actors still take turns.
    ///
    /// # Errors
    /// Why the process had better be started anew.
    fn live(&self) -> Condition;

    /// Whether the server can answer clients: it knows a leader, has caught up, and is not about
    /// to stop.
    ///
    /// # Errors
    /// Every reason why not.
    fn ready(&self) -> Condition;

    /// The metrics, as OpenMetrics text.
    fn metrics(&self) -> String;

    /// Ends when the server is told to stop. Whoever has open answers (a watch) ends them then.
    fn stopping(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Well, or every reason why not.
pub type Condition = Result<(), Vec<String>>;

/// How a server is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The server's number.
    pub id: u64,
    /// The cluster's uuid.
    pub cluster: String,
    /// `follower`, `pre-candidate`, `candidate` or `leader`.
    pub role: String,
    /// `current_term`.
    pub term: u64,
    /// The leader of that term, if the server knows it.
    pub leader: Option<u64>,
    /// The address of the leader's HTTP server, if it is known.
    pub leader_address: Option<String>,
    /// The last entry of the server's log.
    pub last_log_index: u64,
    /// Its term.
    pub last_log_term: u64,
    /// The entry before the first of the log; 0 if nothing was compacted.
    pub log_base_index: u64,
    /// `commit_index`.
    pub commit_index: u64,
    /// `last_applied`.
    pub last_applied: u64,
    /// The last entry that the server's snapshot covers; 0 without one.
    pub snapshot_index: u64,
    /// Its disk was formatted to join the cluster, and a quorum has not recovered it yet: it
    /// neither votes nor counts.
    pub recovering: bool,
    /// Where in the log the latest configuration stands: what [`ChangeMembers::expected`] names.
    pub configuration_index: u64,
    /// A change of the members is under way.
    pub changing: bool,
    /// The members, by number.
    pub members: Vec<Member>,
    /// jangada's version.
    pub version: String,
    /// Seconds since the process began to serve.
    pub uptime_seconds: u64,
}

/// A member of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// What it is to the cluster.
    pub membership: Membership,
    /// The address of its HTTP server, if it is known.
    pub http: Option<String>,
    /// The address at which other servers reach it, if it is known.
    pub peer: Option<String>,
    /// Whether this server has a connection to it; of itself, true.
    pub connected: bool,
    /// Microseconds that a message to it and back took lately, if that was measured.
    pub round_trip_micros: Option<u64>,
    /// What the leader knows of it; only the leader tells.
    pub progress: Option<Progress>,
}

/// What a leader knows of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// `match_index`: it has the log up to here.
    pub match_index: u64,
    /// It was heard within the longest election timeout.
    pub alive: bool,
    /// It is being sent a snapshot.
    pub snapshot: bool,
}

/// What a server is to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Membership {
    /// It votes.
    Voter,
    /// It is to vote, and catches up before.
    Joining,
    /// It votes until the change that is under way is done.
    Leaving,
    /// It receives the log and does not vote.
    Learner,
}

/// Another set of members. Exactly one of `voters`, `add`, `remove` and `priority`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeMembers {
    /// These voters and no others.
    pub voters: Option<Vec<u64>>,
    /// One more.
    pub add: Option<NewMember>,
    /// One less.
    pub remove: Option<u64>,
    /// One who is wanted as the leader more or less than others.
    pub priority: Option<Priority>,
    /// Only if the latest configuration stands at this index (compare and set).
    #[serde(rename = "if")]
    pub expected: Option<u64>,
}

/// A server that is to become a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Its number.
    pub id: u64,
    /// It is to receive the log and never vote.
    #[serde(default)]
    pub learner: bool,
}

/// How much a server is wanted as the leader.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// Its number.
    pub id: u64,
    /// 1 unless said; 0 never leads.
    pub priority: u8,
}

/// Why an operator's wish was not fulfilled; nothing was changed, unless it is said.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Only the leader can do it, and this server does not lead.
    #[error("{}", NotLeader(.leader.as_ref()))]
    NotLeader {
        /// Who leads, and the address of its HTTP server, as far as they are known.
        leader: Option<(u64, Option<String>)>,
    },
    /// What was asked for is no sensible wish.
    #[error("{0}")]
    Invalid(String),
    /// The state of the cluster does not permit it now.
    #[error("{0}")]
    Refused(String),
    /// This server was not started with it allowed.
    #[error("{0}")]
    Forbidden(String),
    /// The server stops, or was lost with the wish: look whether it was carried out.
    #[error("the server stops; look at another one whether this was carried out")]
    Ended,
}

/// Who leads, in words.
struct NotLeader<'a>(Option<&'a (u64, Option<String>)>);

impl std::fmt::Display for NotLeader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some((leader, Some(address))) => {
                write!(f, "this server does not lead; S{leader} does, at {address}")
            }
            Some((leader, None)) => write!(f, "this server does not lead; S{leader} does"),
            None => f.write_str("this server does not lead, and knows of no leader at the moment"),
        }
    }
}
