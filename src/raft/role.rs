//! The roles of figure 4. Each owns what only it needs, so that nothing of an old role survives
//! a change.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::progress::Progress;
use super::{Force, HandoverReason, Index, Round, ServerId, Ticket, Time};
use crate::museum::{Bug, on};

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    Follower(Follower),
    /// Asks whether it would be elected, without disturbing anyone (thesis 9.6).
    PreCandidate(Campaign),
    Candidate(Campaign),
    Leader(Leader),
}

/// A follower's volatile state.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Follower {
    pub(crate) election_deadline: Time,
    /// The leader of this term and what is known of it, once it has been heard.
    pub(crate) leader: Option<Following>,
}

/// What a follower knows of the leader of its term.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Following {
    pub(crate) id: ServerId,
    /// When it was last heard.
    pub(crate) heard_at: Time,
    /// Its process was seen to be gone since.
    pub(crate) gone: bool,
    /// The latest round of it that was heard.
    pub(crate) round: Round,
    /// The log agrees with the leader's up to here.
    pub(crate) matched: Index,
    /// An answer waits for the disk.
    pub(crate) owes_answer: bool,
    /// Reads that the leader was asked about, oldest first.
    pub(crate) reads: VecDeque<(Ticket, Time)>,
}

/// A candidate's, or pre-candidate's, volatile state.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Campaign {
    pub(crate) election_deadline: Time,
    /// The answers so far, by voter; its own comes first.
    pub(crate) votes: Vec<(ServerId, bool)>,
    /// How many servers, itself included, it heard from in the campaign before this one; `None`
    /// in the first.
    pub(crate) heard_before: Option<usize>,
    /// Who told it to stand, if its timer did not.
    pub(crate) forced: Option<Force>,
    /// It has a vote, maybe its own, of a server that another leader may still count on.
    pub(crate) early: bool,
}

/// A leader's volatile state, made anew after each election.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Leader {
    /// Every other member, and those that leave, in order of their numbers.
    pub(crate) peers: Vec<Progress>,
    /// The no-op that began the term: nothing is committed, and no read is served, before it is.
    pub(crate) first_index: Index,
    pub(crate) heartbeat_due: Time,
    /// The latest round begun.
    pub(crate) round: Round,
    /// When each round began that no quorum has answered yet, oldest first; no more than `ROUNDS`.
    pub(crate) rounds: VecDeque<(Round, Time)>,
    /// The latest round that a quorum has answered, and when it began.
    pub(crate) confirmed: (Round, Time),
    /// Reads waiting for a round, oldest first.
    pub(crate) reads: VecDeque<PendingRead>,
    /// Since when it leads.
    pub(crate) since: Time,
    /// An operator made it stand, and the leader before it may still serve reads by its lease:
    /// nothing is committed before then.
    pub(crate) commits_from: Option<Time>,
    /// It hands over to another.
    pub(crate) handover: Option<Handover>,
    /// No round up to this one gives a lease: it was to hand over, and whoever was told to stand
    /// may do so still.
    pub(crate) no_lease: Round,
    /// It does not hand over because of priorities before then.
    pub(crate) settled_until: Time,
    /// How its disk and its state machine get on.
    pub(crate) disk: Pace,
    pub(crate) machine: Pace,
}

/// A leader on its way to hand over (thesis 3.10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Handover {
    pub(crate) to: ServerId,
    pub(crate) why: HandoverReason,
    /// When it is given up.
    pub(crate) until: Time,
    /// The other was told to stand.
    pub(crate) told: bool,
}

/// How something that must keep up with the log gets on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// How far it was when it last moved.
    reached: Index,
    /// When that was, or when it last had nothing to do.
    since: Time,
}

/// A read that waits for a quorum to confirm the leader.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct PendingRead {
    pub(crate) ticket: Ticket,
    /// Who asked, if not the leader's own client.
    pub(crate) from: Option<ServerId>,
    /// A round that began after the read did.
    pub(crate) round: Round,
}

/// A role's name, without what it owns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RoleKind {
    /// Answers leaders and candidates.
    Follower,
    /// Asks whether it would win an election.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Takes proposals and replicates them.
    Leader,
}

impl Role {
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Role::Follower(_) => RoleKind::Follower,
            Role::PreCandidate(_) => RoleKind::PreCandidate,
            Role::Candidate(_) => RoleKind::Candidate,
            Role::Leader(_) => RoleKind::Leader,
        }
    }
}

impl Leader {
    /// Whether another was told to stand. From then on no write is taken, for the other would fall
    /// behind, and no round begins, for whoever has heard of a later one does not elect it.
    pub(crate) fn gives_way(&self) -> bool {
        self.handover.is_some_and(|handover| handover.told)
    }

    /// Rounds that may wait for a quorum's answer. With check-quorum a leader steps down long
    /// before; without it, the oldest are given up and the later ones confirm what they would.
    pub(crate) const ROUNDS: usize = 1024;
}

impl Pace {
    pub(crate) fn new(now: Time) -> Self {
        Self { reached: Index(0), since: now }
    }

    /// For how long it has stood still at `reached`, with work to do until `goal`.
    pub(crate) fn stalled(&mut self, now: Time, reached: Index, goal: Index) -> Duration {
        if reached > self.reached || reached >= goal || now < self.since {
            *self = Self { reached, since: now };
        }
        now.since(self.since)
    }
}

impl Campaign {
    /// Notes an answer. A vote once given is given; a refusal may be a late one, to a question
    /// that was asked before.
    pub(crate) fn note_vote(&mut self, voter: ServerId, granted: bool) {
        match self.votes.iter_mut().find(|(id, _)| *id == voter) {
            Some((_, vote)) if !on(Bug::CountsAVoteTwice) => *vote |= granted,
            _ => self.votes.push((voter, granted)),
        }
    }

    /// How many answers said yes, whoever gave them: no measure of a majority.
    pub(crate) fn ballots(&self) -> usize {
        self.votes.iter().filter(|(_, granted)| *granted).count()
    }

    pub(crate) fn vote_of(&self, voter: ServerId) -> Option<bool> {
        self.votes.iter().find(|(id, _)| *id == voter).map(|(_, granted)| *granted)
    }
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RoleKind::Follower => "follower",
            RoleKind::PreCandidate => "pre-candidate",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        })
    }
}
