//! The members of the cluster, for people.

use crate::actors::{ClusterStatus, Condition, Membership, ServerStatus};
use crate::raft::{Configuration, Fetched, Index, PeerStatus, RoleKind, ServerId};

/// The titles of the columns of [`rows`].
pub(crate) const TITLES: [&str; 6] = ["server", "part", "priority", "match", "caught up", "state"];

/// Every member, and every other server there is, in order of their numbers.
pub(crate) fn rows(cluster: &ClusterStatus) -> Vec<[String; TITLES.len()]> {
    let Some(known) = cluster.configuration() else { return Vec::new() };
    let mut all: Vec<ServerId> = cluster.servers.iter().map(|server| server.id).collect();
    all.extend(known.members());
    all.extend(known.target());
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|id| row(id, known, cluster)).collect()
}

fn row(id: ServerId, known: &Configuration, cluster: &ClusterStatus) -> [String; TITLES.len()] {
    let leader = cluster.leader().and_then(|leader| leader.raft.as_ref());
    let peer = leader.and_then(|leader| leader.peers.iter().find(|peer| peer.id == id));
    let (matched, caught_up) = match (leader, peer) {
        (Some(leader), _) if leader.id == id => (leader.last_log.index.to_string(), dash()),
        (Some(leader), Some(peer)) => {
            (peer.match_index.to_string(), caught_up(peer, leader.last_log.index))
        }
        _ => (dash(), dash()),
    };
    let membership = cluster.membership(id);
    let priority = match membership {
        Membership::Outsider => dash(),
        _ => known.priority(id).to_string(),
    };
    let mut state = cluster.server(id).map_or_else(|| "not there".to_owned(), state);
    if peer.is_some_and(|peer| !peer.alive) {
        state.push_str(", not heard");
    }
    [id.to_string(), part(membership).to_owned(), priority, matched, caught_up, state]
}

/// Where the configuration stands, and whether it may be relied on.
pub(crate) fn summary(cluster: &ClusterStatus) -> String {
    let Some(known) = cluster.configuration() else {
        return "no server runs that could tell who is a member".to_owned();
    };
    let Some(raft) = cluster.leader().and_then(|leader| leader.raft.as_ref()) else {
        return format!("{known}; nobody leads, and this is the latest that any server has");
    };
    let open = match (raft.configured_at <= raft.commit_index, known.is_changing()) {
        (true, false) => "",
        (false, _) => ", not committed yet",
        (true, true) => ", a change is under way",
    };
    format!("{known}; entry {} of {}'s log{open}", raft.configured_at, raft.id)
}

/// What is unusual about a server's part in the cluster.
pub(crate) fn notes(server: &ServerStatus, cluster: &ClusterStatus) -> Vec<String> {
    let mut notes = Vec::new();
    let membership = cluster.membership(server.id);
    if membership != Membership::Voter {
        notes.push(part(membership).to_owned());
    }
    if let Some(raft) = &server.raft {
        if raft.recovering {
            notes.push("recovering".to_owned());
        }
        notes.extend(raft.hands_over_to.map(|to| format!("hands over to {to}")));
    }
    notes
}

fn part(membership: Membership) -> &'static str {
    match membership {
        Membership::Voter => "voter",
        Membership::Joining => "joining",
        Membership::Leaving => "leaving",
        Membership::Learner => "learner",
        Membership::Outsider => "not a member",
    }
}

/// How much of the leader's log a peer has, or of the snapshot that it is sent.
fn caught_up(peer: &PeerStatus, last: Index) -> String {
    match peer.fetched {
        Some(Fetched { of: 0, .. }) => "snapshot".to_owned(),
        Some(Fetched { chunks, of }) => format!("snapshot {}%", percent(chunks, of)),
        None => format!("{}%", percent(peer.match_index.0, last.0)),
    }
}

/// Rounded down: only all of it is 100.
fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    if part >= whole { 100 } else { percent as u64 }
}

fn state(server: &ServerStatus) -> String {
    match (server.condition, server.role) {
        (Condition::Crashed, _) => "crashed".to_owned(),
        (Condition::Stopped, _) => "stopped".to_owned(),
        (Condition::Failed, _) => "failed".to_owned(),
        (Condition::Paused, _) => "paused".to_owned(),
        (Condition::Running, Some(RoleKind::Leader)) if server.stale => "stale leader".to_owned(),
        (Condition::Running, Some(role)) => {
            let recovering = server.raft.as_ref().is_some_and(|raft| raft.recovering);
            let note = if recovering { ", recovering" } else { "" };
            format!("{role}{note}")
        }
        (Condition::Running, None) => dash(),
    }
}

fn dash() -> String {
    "-".to_owned()
}
