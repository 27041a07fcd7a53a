//! What the supervisor sees: every server, from inside and from outside.

use std::time::Duration;

use super::clock::ClockError;
use crate::net::LinkRule;
use crate::raft::{Configuration, Index, Position, RoleKind, ServerId, Status, Term, Time, Timing};
use crate::storage::{DiskSpeed, Sizes, StorageError};

/// Every server of a sandbox at one moment.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// Since the sandbox began.
    pub at: Time,
    /// The timings that hold.
    pub timing: Timing,
    /// The servers, in order of their numbers.
    pub servers: Vec<ServerStatus>,
}

/// One server.
#[derive(Clone, Debug)]
pub struct ServerStatus {
    /// Its number.
    pub id: ServerId,
    /// Whether it runs.
    pub condition: Condition,
    /// Its role, if it runs.
    pub role: Option<RoleKind>,
    /// It believes that it leads, but another leads a later term.
    pub stale: bool,
    /// `current_term`; of a server that is down, what its disk kept, as for the next two.
    pub term: Term,
    /// `voted_for`.
    pub voted_for: Option<ServerId>,
    /// The leader that it follows.
    pub leader: Option<ServerId>,
    /// The last entry of its log.
    pub last_log: Position,
    /// `commit_index`; 0 if it is down, because that is not kept.
    pub commit_index: Index,
    /// `last_applied`; 0 if it is down.
    pub applied_index: Index,
    /// The latency added to every message that it handles.
    pub latency: Duration,
    /// Why it failed, if it did.
    pub failure: Option<StorageError>,
    /// Its disk.
    pub disk: DiskSpeed,
    /// How much room its log and its snapshots take.
    pub sizes: Sizes,
    /// Its disk has no room.
    pub disk_full: bool,
    /// How long its state machine takes for a batch; `None` while stalled.
    pub apply: Option<Duration>,
    /// How wrong its clock is, if it is.
    pub clock: Option<ClockError>,
    /// The links from it that do anything to messages.
    pub links: Vec<(ServerId, LinkRule)>,
    /// Time left until it does something by itself: an election, or a leader's heartbeat.
    pub timer: Option<Duration>,
    /// All that it says of itself, if it runs.
    pub raft: Option<Status>,
}

/// What a server is to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Membership {
    /// It votes.
    Voter,
    /// It is to vote, and catches up before.
    Joining,
    /// It votes until the change that is under way is done.
    Leaving,
    /// It receives the log and does not vote.
    Learner,
    /// It is no member.
    Outsider,
}

/// Whether a server runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It was crashed.
    Crashed,
    /// It was stopped in good order.
    Stopped,
    /// It ended by itself, or cannot start, because of its disk.
    Failed,
}

/// One entry of a log, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// Its place.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// What it carries, in a few words.
    pub command: String,
}

impl ClusterStatus {
    pub(crate) fn new(at: Time, timing: Timing, mut servers: Vec<ServerStatus>) -> Self {
        let latest = servers.iter().filter(|server| server.leads()).map(|server| server.term).max();
        for server in &mut servers {
            server.stale = server.leads() && Some(server.term) < latest;
        }
        Self { at, timing, servers }
    }

    /// The leader of the latest term that has one.
    pub fn leader(&self) -> Option<&ServerStatus> {
        self.servers.iter().find(|server| server.leads() && !server.stale)
    }

    /// The latest configuration that the leader has in its log; without a leader, the latest that
    /// any server has that runs.
    pub fn configuration(&self) -> Option<&Configuration> {
        let known = |server: &'_ &ServerStatus| server.raft.is_some();
        let leader = self.leader().filter(known);
        let latest = |server: &&ServerStatus| {
            server.raft.as_ref().map(|raft| (raft.configured_at, server.term))
        };
        let server = leader.or_else(|| self.servers.iter().filter(known).max_by_key(latest))?;
        server.raft.as_ref().map(|raft| &raft.configuration)
    }

    /// What a server is, by [`configuration`](Self::configuration); a voter if nobody runs who
    /// could tell.
    pub fn membership(&self, id: ServerId) -> Membership {
        let Some(known) = self.configuration() else { return Membership::Voter };
        let votes = known.is_voter(id);
        let will_vote = match known.target() {
            [] => known.incoming().contains(&id),
            target => target.contains(&id),
        };
        match (votes, will_vote) {
            (true, true) => Membership::Voter,
            (true, false) => Membership::Leaving,
            (false, true) => Membership::Joining,
            (false, false) if known.is_member(id) => Membership::Learner,
            (false, false) => Membership::Outsider,
        }
    }

    /// How many servers vote, how many of them run and are not frozen, and whether these are a
    /// quorum.
    pub fn voters(&self) -> (usize, usize, bool) {
        let up = |id: ServerId| self.server(id).is_some_and(ServerStatus::is_up);
        match self.configuration() {
            Some(known) => {
                let voters = known.voters();
                let running = voters.iter().filter(|id| up(**id)).count();
                (voters.len(), running, known.reached_by_quorum(up))
            }
            None => (self.servers.len(), self.up(), self.up() > self.servers.len() / 2),
        }
    }

    /// How many servers run and are not frozen.
    pub fn up(&self) -> usize {
        self.servers.iter().filter(|server| server.is_up()).count()
    }

    /// The server of this number.
    pub fn server(&self, id: ServerId) -> Option<&ServerStatus> {
        self.servers.iter().find(|server| server.id == id)
    }
}

impl ServerStatus {
    /// Whether it runs and is not frozen.
    pub fn is_up(&self) -> bool {
        self.condition == Condition::Running
    }

    /// Whether it does not run.
    pub fn is_down(&self) -> bool {
        !matches!(self.condition, Condition::Running | Condition::Paused)
    }

    /// Whether it believes that it leads.
    pub fn leads(&self) -> bool {
        self.role == Some(RoleKind::Leader)
    }

    pub(crate) fn see(&mut self, raft: &Status, applied: Index, timer: Duration) {
        self.role = Some(raft.role);
        self.term = raft.term;
        self.voted_for = raft.voted_for;
        self.leader = raft.leader;
        self.last_log = raft.last_log;
        self.commit_index = raft.commit_index;
        self.applied_index = applied;
        self.timer = Some(timer);
        self.raft = Some(raft.clone());
    }
}

#[cfg(test)]
impl ServerStatus {
    /// One that runs and has all of a log of 14 entries, in a cluster of five voters.
    pub(crate) fn example(id: u64, role: RoleKind) -> Self {
        let (id, term) = (ServerId(id), Term(2));
        let last_log = Position::new(term, Index(14));
        let raft = Status {
            id,
            role,
            term,
            voted_for: Some(ServerId(2)),
            leader: Some(ServerId(2)),
            last_log,
            log_base: Index(0),
            snapshot: Index(0),
            configuration: Configuration::new((1..=5).map(ServerId)),
            configured_at: Index(0),
            recovering: false,
            hands_over_to: None,
            durable_index: last_log.index,
            commits_from: None,
            commit_index: last_log.index,
            deadline: Time::default(),
            peers: Vec::new(),
        };
        let mut server = Self {
            id,
            condition: Condition::Running,
            role: None,
            stale: false,
            term,
            voted_for: None,
            leader: None,
            last_log,
            commit_index: Index(0),
            applied_index: Index(0),
            latency: Duration::ZERO,
            failure: None,
            disk: DiskSpeed::Latency(Duration::ZERO),
            sizes: Sizes::default(),
            disk_full: false,
            apply: Some(Duration::ZERO),
            clock: None,
            links: Vec::new(),
            timer: None,
            raft: None,
        };
        server.see(&raft, Index(13), Duration::from_micros(41_900));
        server
    }

    /// The same, down.
    pub(crate) fn down(self, condition: Condition) -> Self {
        let (none, timer, raft) = Default::default();
        let (commit_index, applied_index) = Default::default();
        Self { condition, role: none, timer, raft, commit_index, applied_index, ..self }
    }
}
