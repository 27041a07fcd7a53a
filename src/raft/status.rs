//! One look at a server, the same for the console, the tests, the traces and the checks.

use super::node::Node;
use super::role::Role;
use super::{Index, Position, RoleKind, ServerId, Term, Time};

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
}

impl Status {
    pub(super) fn of(node: &Node) -> Self {
        let peers = match &node.role {
            Role::Leader(leader) => leader
                .peers
                .iter()
                .map(|peer| PeerStatus {
                    id: peer.id,
                    next_index: peer.next_index,
                    match_index: peer.match_index,
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
            durable_index: node.durable_index,
            commit_index: node.commit_index,
            deadline: node.deadline(),
            peers,
        }
    }
}
