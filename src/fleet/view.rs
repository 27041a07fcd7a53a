//! What servers say of themselves over HTTP, as the console and scenarios look at it.

use std::time::Duration;

use crate::actors::{Condition, ServerStatus};
use crate::client::{Membership, Status};
use crate::raft::{self, Configuration, Index, Position, RoleKind, ServerId, Term, Time};
use crate::storage::{DiskSpeed, Sizes};

/// A server, as it last said that it is.
pub(super) fn server(id: ServerId, condition: Condition, said: Option<&Status>) -> ServerStatus {
    let mut server = ServerStatus {
        id,
        condition,
        role: None,
        stale: false,
        term: Term::default(),
        voted_for: None,
        leader: None,
        last_log: Position::default(),
        commit_index: Index(0),
        applied_index: Index(0),
        latency: Duration::ZERO,
        failure: None,
        disk: DiskSpeed::default(),
        sizes: Sizes::default(),
        disk_full: false,
        apply: Some(Duration::ZERO),
        clock: None,
        links: Vec::new(),
        timer: None,
        raft: None,
    };
    let Some(said) = said else { return server };
    let raft = raft_status(said);
    (server.term, server.last_log) = (raft.term, raft.last_log);
    if !server.is_down() {
        server.role = Some(raft.role);
        server.leader = raft.leader;
        server.commit_index = raft.commit_index;
        server.applied_index = Index(said.last_applied);
        server.raft = Some(raft);
    }
    server
}

/// Whether the server says that it leads.
pub(super) fn leads(said: &Status) -> bool {
    role(&said.role) == RoleKind::Leader
}

fn raft_status(said: &Status) -> raft::Status {
    let last_log = Position::new(Term(said.last_log_term), Index(said.last_log_index));
    raft::Status {
        id: ServerId(said.id),
        role: role(&said.role),
        term: Term(said.term),
        voted_for: None,
        leader: said.leader.map(ServerId),
        last_log,
        log_base: Index(said.log_base_index),
        snapshot: Index(said.snapshot_index),
        configuration: configuration(said),
        configured_at: Index(said.configuration_index),
        recovering: said.recovering,
        hands_over_to: None,
        commits_from: None,
        durable_index: last_log.index,
        commit_index: Index(said.commit_index),
        deadline: Time::default(),
        peers: Vec::new(),
    }
}

fn role(word: &str) -> RoleKind {
    let known = [RoleKind::Leader, RoleKind::Candidate, RoleKind::PreCandidate];
    known.into_iter().find(|role| role.to_string() == word).unwrap_or(RoleKind::Follower)
}

fn configuration(said: &Status) -> Configuration {
    let of = |kinds: &[Membership]| {
        let members = said.members.iter().filter(|member| kinds.contains(&member.membership));
        members.map(|member| ServerId(member.id)).collect::<Vec<_>>()
    };
    let target = match said.changing {
        true => of(&[Membership::Voter, Membership::Joining]),
        false => Vec::new(),
    };
    let voters = of(&[Membership::Voter, Membership::Leaving]);
    Configuration::on_the_way(voters, of(&[Membership::Learner, Membership::Joining]), target)
}
