//! What a person, a script, a seed or a page may tell the supervisor to do to the cluster.

use std::time::Duration;

use crate::net::LinkRule;
use crate::raft::ServerId;
use crate::storage::DiskFault;

/// Which servers an order is about, resolved by the supervisor when the order is carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Servers {
    /// Every server of the cluster.
    All,
    /// The server that leads now (the one with the highest term if a deposed one still believes
    /// that it leads).
    Leader,
    /// Every server that is up and is not the leader.
    Followers,
    /// These servers.
    Only(Vec<ServerId>),
}

impl From<ServerId> for Servers {
    fn from(server: ServerId) -> Self {
        Servers::Only(vec![server])
    }
}

impl From<Vec<ServerId>> for Servers {
    fn from(servers: Vec<ServerId>) -> Self {
        Servers::Only(servers)
    }
}

/// One end of a directed link, or of several.
pub type Side = Servers;

/// An order to the supervisor. Every order is answered; losing one is a bug.
#[derive(Clone, PartialEq, Debug)]
pub enum Order {
    /// Adds this latency to every message that the servers handle; their order is kept.
    Speed {
        /// Whom it concerns.
        servers: Servers,
        /// The added latency; zero is `fast`.
        latency: Duration,
    },
    /// Ends the servers at once: what is not synced to their disks is lost, and so is every
    /// message in flight to them.
    Crash(Servers),
    /// Starts crashed servers again from what their disks kept.
    Recover(Servers),
    /// Freezes the servers as SIGSTOP does.
    Pause(Servers),
    /// Lets paused servers go on.
    Resume(Servers),
    /// Ends the servers in good order: what they wrote is synced first.
    Stop(Servers),
    /// Starts stopped servers again.
    Start(Servers),
    /// Cuts every link between servers of different groups, both ways. Servers named in no group
    /// form one more group together.
    Partition(Vec<Vec<ServerId>>),
    /// Cuts the links from one side to the other; one way only.
    Cut {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
    },
    /// Adds latency to the links from one side to the other; zero takes it away.
    Delay {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// The added latency.
        latency: Duration,
        /// Each message waits up to this much longer, drawn at random.
        jitter: Duration,
    },
    /// Loses messages at random on the links from one side to the other.
    Loss {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// The probability, from 0 to 1.
        probability: f64,
    },
    /// Delivers messages twice at random on the links from one side to the other.
    Duplicate {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// The probability, from 0 to 1.
        probability: f64,
    },
    /// Lets messages overtake each other at random on the links from one side to the other.
    Reorder {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// The probability, from 0 to 1, that a message is held back behind later ones.
        probability: f64,
    },
    /// Takes every rule off every link: cuts, latency, loss, duplication, reordering.
    Heal,
    /// Makes the servers stand for election now, as a fired election timer would if nobody
    /// refused for the sake of the present leader.
    Timeout(Servers),
    /// How long the servers' disks take for a sync; zero is at once.
    DiskLatency {
        /// Whom it concerns.
        servers: Servers,
        /// Time for one sync.
        latency: Duration,
    },
    /// The servers' disks finish no sync until they get another latency.
    DiskStall(Servers),
    /// Something happens to the servers' disks. Of `all` and `followers`, only those that it can
    /// happen to are meant; with none of those, or if it cannot happen to one that is named, the
    /// order is refused.
    DiskFault {
        /// Whom it concerns.
        servers: Servers,
        /// What happens.
        fault: DiskFault,
    },
    /// How long the servers' state machines take to apply a batch of entries; zero is at once.
    ApplyLatency {
        /// Whom it concerns.
        servers: Servers,
        /// Time for one batch.
        latency: Duration,
    },
    /// The servers' state machines apply nothing until they get another latency.
    ApplyStall(Servers),
    /// How fast the servers' clocks run from now on: what they show stays.
    ClockRate {
        /// Whom it concerns.
        servers: Servers,
        /// Their seconds to one second, from 0.01 to 100; 1 is right. Exact to a millionth.
        rate: f64,
    },
    /// Sets the servers' clocks, once.
    ClockJump {
        /// Whom it concerns.
        servers: Servers,
        /// By how much.
        by: Duration,
        /// Back instead of forward.
        back: bool,
    },
    /// The range that election timeouts are drawn from, from now on, on every server.
    ElectionTimeout {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// The time between a leader's heartbeats, from now on, on every server.
    Heartbeat(Duration),
    /// Makes the servers take a snapshot of what they have applied, and compact their logs.
    Snapshot(Servers),
    /// Makes a server a member: it is created if there is none of this number, learns, and votes
    /// once it has caught up. Carried out when the leader has begun.
    Add {
        /// The server.
        server: ServerId,
        /// It stays a learner: it receives the log and never votes.
        learner: bool,
    },
    /// Makes a server a member no longer. It runs on until it is told otherwise.
    Remove(Servers),
    /// Makes these servers the voters, and no others; those that are no members yet are added as
    /// above.
    Members(Vec<ServerId>),
    /// How much the servers are wanted as the leader: 1 unless said, and 0 never leads.
    Priority {
        /// Whom it concerns.
        servers: Servers,
        /// The priority.
        priority: u8,
    },
    /// Makes the leader hand over to this server, or to the one that does best.
    Transfer(Option<ServerId>),
    /// Formats the disk of servers that are down and have lost it, for joining again what they
    /// were members of: they recover from a quorum before they vote.
    Rejoin(Servers),
    /// When the majority is lost for ever: makes a server that is down a cluster of its own, with
    /// another cluster's name and itself as the only member. What it does not have is lost; what
    /// its log has counts as committed.
    Salvage(ServerId),
}

impl Order {
    /// The ends of the links that it changes one by one, if it does.
    pub(super) fn links(&self) -> Option<(&Side, &Side)> {
        match self {
            Order::Cut { from, to }
            | Order::Delay { from, to, .. }
            | Order::Loss { from, to, .. }
            | Order::Duplicate { from, to, .. }
            | Order::Reorder { from, to, .. } => Some((from, to)),
            _ => None,
        }
    }

    /// What it makes of the rule of each of those links; `None` if its probability is none.
    pub(super) fn relinking(&self) -> Option<impl Fn(LinkRule) -> LinkRule> {
        let probability = match *self {
            Order::Loss { probability, .. }
            | Order::Duplicate { probability, .. }
            | Order::Reorder { probability, .. } => probability,
            _ => 0.0,
        };
        (0.0..=1.0).contains(&probability).then_some(move |rule| match *self {
            Order::Cut { .. } => LinkRule { cut: true, ..rule },
            Order::Delay { latency, jitter, .. } => LinkRule { latency, jitter, ..rule },
            Order::Loss { .. } => LinkRule { loss: probability, ..rule },
            Order::Duplicate { .. } => LinkRule { duplicate: probability, ..rule },
            Order::Reorder { .. } => LinkRule { reorder: probability, ..rule },
            _ => rule,
        })
    }

    /// Whom it concerns, and the ends of its links.
    pub(crate) fn servers_mut(&mut self) -> Vec<&mut Servers> {
        match self {
            Order::Speed { servers, .. }
            | Order::Crash(servers)
            | Order::Recover(servers)
            | Order::Pause(servers)
            | Order::Resume(servers)
            | Order::Stop(servers)
            | Order::Start(servers)
            | Order::Timeout(servers)
            | Order::DiskLatency { servers, .. }
            | Order::DiskStall(servers)
            | Order::DiskFault { servers, .. }
            | Order::ApplyLatency { servers, .. }
            | Order::ApplyStall(servers)
            | Order::ClockRate { servers, .. }
            | Order::ClockJump { servers, .. }
            | Order::Snapshot(servers)
            | Order::Remove(servers)
            | Order::Priority { servers, .. }
            | Order::Rejoin(servers) => vec![servers],
            Order::Cut { from, to }
            | Order::Delay { from, to, .. }
            | Order::Loss { from, to, .. }
            | Order::Duplicate { from, to, .. }
            | Order::Reorder { from, to, .. } => vec![from, to],
            Order::Partition(_)
            | Order::Heal
            | Order::ElectionTimeout { .. }
            | Order::Heartbeat(_)
            | Order::Add { .. }
            | Order::Members(_)
            | Order::Transfer(_)
            | Order::Salvage(_) => Vec::new(),
        }
    }
}
