//! One look at a server, the same for the console, the tests, the traces and the checks.

use super::node::Node;
use super::progress::Flow;
use super::role::Role;
use super::{Configuration, Fetched, Index, Position, RoleKind, ServerId, Term, Time};

/// What a server's state is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The server.
    pub id: ServerId,
    /// Its role.
    pub role: RoleKind,
    /// `current_term`.
    pub term: Term,
    /// `voted_for` in that term.
    pub voted_for: Option<ServerId>,
    /// The leader of that term, if the server knows it.
    pub leader: Option<ServerId>,
    /// The last entry of its log.
    pub last_log: Position,
    /// The entry before the first of its log; 0 if nothing was compacted.
    pub log_base: Index,
    /// The last entry that its snapshot covers; 0 if it has none.
    pub snapshot: Index,
    /// The latest configuration in its log, committed or not.
    pub configuration: Configuration,
    /// Where that stands.
    pub configured_at: Index,
    /// It does not know what it promised in an earlier life, and does not vote.
    pub recovering: bool,
    /// To whom it hands over, if it does.
    pub hands_over_to: Option<ServerId>,
    /// An operator made it leader, and until then it commits nothing: the leader before may still
    /// serve reads by its lease.
    pub commits_from: Option<Time>,
    /// Every entry up to here is on its disk.
    pub durable_index: Index,
    /// `commit_index`.
    pub commit_index: Index,
    /// When it does something by itself next.
    pub deadline: Time,
    /// A leader's view of its peers; empty otherwise.
    pub peers: Vec<PeerStatus>,
}

/// What a leader knows of a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerStatus {
    /// The peer.
    pub id: ServerId,
    /// `next_index`.
    pub next_index: Index,
    /// `match_index`.
    pub match_index: Index,
    /// How much it has of a snapshot that it is sent.
    pub fetched: Option<Fetched>,
    /// Whether it was heard within the longest election timeout.
    pub alive: bool,
}

impl Status {
    pub(super) fn of(node: &Node, now: Time) -> Self {
        let patience = node.options.timing.election_timeout_max;
        let peers = match &node.role {
            Role::Leader(leader) => leader
                .peers
                .iter()
                .map(|peer| PeerStatus {
                    id: peer.id,
                    next_index: peer.next_index,
                    match_index: peer.match_index,
                    fetched: match peer.flow {
                        Flow::Snapshot { have, .. } => Some(have),
                        Flow::Probe { .. } | Flow::Pipeline { .. } => None,
                    },
                    alive: peer.is_alive(now, patience),
                })
                .collect(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => Vec::new(),
        };
        Self {
            id: node.id,
            role: node.role(),
            term: node.current_term,
            voted_for: node.voted_for,
            leader: node.leader(),
            last_log: node.log.last(),
            log_base: node.log.base().index,
            snapshot: node.snapshot.last_included.index,
            configuration: node.configuration().clone(),
            configured_at: node.log.configured_at(),
            recovering: node.recovery.is_some(),
            hands_over_to: match &node.role {
                Role::Leader(leader) => leader.handover.map(|handover| handover.to),
                _ => None,
            },
            commits_from: match &node.role {
                Role::Leader(leader) => leader.commits_from,
                _ => None,
            },
            durable_index: node.durable_index,
            commit_index: node.commit_index,
            deadline: node.deadline(),
            peers,
        }
    }
}
