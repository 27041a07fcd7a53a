//! Who votes, and what a quorum is (sections 5.2 and 6).

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Change, ChangeRefusal, ServerId};
use crate::museum::{Bug, on};

/// The members of a cluster. While it changes, decisions need a majority of the old voters and
/// a majority of the new ones (joint consensus, section 6).
///
/// A change goes through three configurations, each an entry of the log, each begun by whoever
/// leads when the one before it is committed: the old voters with a `target`, while the target's
/// new members catch up as learners; the old and the new voters jointly; the new voters alone.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Configuration {
    voters: Vec<ServerId>,
    outgoing: Vec<ServerId>,
    learners: Vec<ServerId>,
    target: Vec<ServerId>,
    /// Only those that are not [`DEFAULT_PRIORITY`].
    priorities: Vec<(ServerId, u8)>,
}

/// Who leads if all else is equal: a leader hands over to a voter of a higher priority that has
/// caught up. Voters of priority 0 never stand for election. One of them that is ahead of all who
/// do gives them no vote either: there is no leader then before another who has those entries is
/// back.
pub const DEFAULT_PRIORITY: u8 = 1;

/// How an election stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VoteCount {
    /// A majority granted its vote.
    Won,
    /// Too many refused: no majority can come any more.
    Lost,
    /// Neither yet.
    Open,
}

impl Configuration {
    /// A configuration of these voters and nobody else.
    pub fn new(voters: impl IntoIterator<Item = ServerId>) -> Self {
        Self { voters: sorted(voters), ..Self::default() }
    }

    /// A configuration on its way from `outgoing` to `voters`, with `learners` that receive the
    /// log but never vote.
    pub fn joint(
        outgoing: impl IntoIterator<Item = ServerId>,
        voters: impl IntoIterator<Item = ServerId>,
        learners: impl IntoIterator<Item = ServerId>,
    ) -> Self {
        Self {
            voters: sorted(voters),
            outgoing: sorted(outgoing),
            learners: sorted(learners),
            ..Self::default()
        }
    }

    /// A configuration as a server tells it to others: who votes, who learns, and, while a change
    /// is under way, who is to vote.
    pub(crate) fn on_the_way(
        voters: impl IntoIterator<Item = ServerId>,
        learners: impl IntoIterator<Item = ServerId>,
        target: impl IntoIterator<Item = ServerId>,
    ) -> Self {
        Self {
            voters: sorted(voters),
            learners: sorted(learners),
            target: sorted(target),
            ..Self::default()
        }
    }

    /// Whether `server` may vote and stand.
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.voters.contains(&server) || self.outgoing.contains(&server)
    }

    /// Whether decisions need two majorities.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether a change has begun and is not done.
    pub fn is_changing(&self) -> bool {
        self.is_joint() || !self.target.is_empty()
    }

    /// Whether `server` receives the log.
    pub fn is_member(&self, server: ServerId) -> bool {
        self.is_voter(server) || self.learners.contains(&server)
    }

    /// Everyone who receives the log, each once, in order of their numbers.
    pub fn members(&self) -> Vec<ServerId> {
        sorted([&self.voters, &self.outgoing, &self.learners].into_iter().flatten().copied())
    }

    /// Everyone who votes, each once, in order of their numbers.
    pub fn voters(&self) -> Vec<ServerId> {
        sorted(self.voters.iter().chain(&self.outgoing).copied())
    }

    /// The voters of the configuration that a joint one leads to; otherwise all voters.
    pub fn incoming(&self) -> &[ServerId] {
        &self.voters
    }

    /// The voters of the configuration that a joint one comes from; otherwise nobody.
    pub fn outgoing(&self) -> &[ServerId] {
        &self.outgoing
    }

    /// Everyone who receives the log and does not vote.
    pub fn learners(&self) -> &[ServerId] {
        &self.learners
    }

    /// The voters-to-be, while some of them catch up; otherwise nobody.
    pub fn target(&self) -> &[ServerId] {
        &self.target
    }

    /// How much a server is wanted as the leader; see [`DEFAULT_PRIORITY`].
    pub fn priority(&self, server: ServerId) -> u8 {
        let given = self.priorities.iter().find(|(id, _)| *id == server);
        given.map_or(DEFAULT_PRIORITY, |(_, priority)| *priority)
    }

    /// These members, but for a change that they are to go through: with the voters that are wanted
    /// as the target, and their new ones as learners.
    ///
    /// # Errors
    /// If the change makes no sense.
    pub(super) fn wanting(&self, change: &Change) -> Result<Self, ChangeRefusal> {
        let before = if self.target.is_empty() { &self.voters } else { &self.target };
        let (mut voters, mut next) = (before.clone(), self.clone());
        // Learners only because they were to vote.
        next.learners.retain(|it| !self.target.contains(it));
        match change {
            Change::Add(server) => voters.push(*server),
            Change::AddLearner(server) => {
                voters.retain(|it| it != server);
                next.learners.push(*server);
            }
            Change::Remove(server) => {
                if !self.is_member(*server) && !self.target.contains(server) {
                    return Err(ChangeRefusal::NotMember(*server));
                }
                voters.retain(|it| it != server);
                next.learners.retain(|it| it != server);
            }
            Change::Voters(wanted) => voters.clone_from(wanted),
            Change::Priority(server, priority) => {
                if !self.is_member(*server) {
                    return Err(ChangeRefusal::NotMember(*server));
                }
                next = self.clone();
                next.priorities.retain(|(it, _)| it != server);
                if *priority != DEFAULT_PRIORITY {
                    next.priorities.push((*server, *priority));
                    next.priorities.sort_unstable();
                }
                return Ok(next);
            }
        }
        voters = sorted(voters);
        if voters.is_empty() {
            return Err(ChangeRefusal::NoVoters);
        }
        let new = voters.iter().filter(|it| !self.voters.contains(it));
        next.learners = sorted(next.learners.iter().chain(new).copied());
        next.target = if voters == self.voters { Vec::new() } else { voters };
        Ok(next.tidied())
    }

    /// The joint configuration on the way to the target.
    pub(super) fn jointly(&self) -> Self {
        let mut next = self.clone();
        next.outgoing = std::mem::take(&mut next.voters);
        next.voters = std::mem::take(&mut next.target);
        next.tidied()
    }

    /// The configuration that a joint one leads to.
    pub(super) fn decided(&self) -> Self {
        Self { outgoing: Vec::new(), ..self.clone() }.tidied()
    }

    /// Without the learners that vote for good, and the priorities of those who are gone.
    fn tidied(mut self) -> Self {
        let stays = if self.target.is_empty() { &self.voters } else { &self.target };
        let new = |it: &ServerId| !self.voters.contains(it) || !stays.contains(it);
        let learners = self.learners.iter().copied().filter(new).collect();
        self.learners = learners;
        let members = self.members();
        self.priorities.retain(|(it, _)| members.contains(it));
        self
    }

    /// The same members under other names: to the explorer, names decide nothing.
    pub(crate) fn renamed(&self, name: impl Fn(ServerId) -> ServerId) -> Self {
        let all = |servers: &[ServerId]| sorted(servers.iter().map(|server| name(*server)));
        let named = |(server, priority): &(ServerId, u8)| (name(*server), *priority);
        let mut priorities: Vec<_> = self.priorities.iter().map(named).collect();
        priorities.sort_unstable();
        Self {
            voters: all(&self.voters),
            outgoing: all(&self.outgoing),
            learners: all(&self.learners),
            target: all(&self.target),
            priorities,
        }
    }

    /// The greatest value that a quorum has reached, if each server has reached `value(server)`.
    /// Of match indexes, the one that is safely replicated (section 5.3).
    pub fn reached_by_quorum<T: Ord + Copy + Default>(&self, value: impl Fn(ServerId) -> T) -> T {
        let new = reached_by_majority(&self.voters, &value);
        if self.outgoing.is_empty() || on(Bug::NewMajorityAloneDecides) {
            new
        } else {
            new.min(reached_by_majority(&self.outgoing, &value))
        }
    }

    /// How the election stands, given each server's vote if it has answered.
    pub fn count_votes(&self, vote: impl Fn(ServerId) -> Option<bool>) -> VoteCount {
        let granted = self.reached_by_quorum(|server| vote(server) == Some(true));
        let possible = self.reached_by_quorum(|server| vote(server) != Some(false));
        match (granted, possible) {
            (true, _) => VoteCount::Won,
            (false, true) => VoteCount::Open,
            (false, false) => VoteCount::Lost,
        }
    }
}

/// The greatest value that more than half of `servers` have reached.
fn reached_by_majority<T: Ord + Copy + Default>(
    servers: &[ServerId],
    value: impl Fn(ServerId) -> T,
) -> T {
    // The nine servers of a large cluster need no memory of their own.
    let mut values: SmallVec<[T; 9]> = servers.iter().map(|server| value(*server)).collect();
    values.sort_unstable_by(|one, other| other.cmp(one));
    let place = majority(servers.len()).checked_sub(1);
    place.and_then(|place| values.get(place).copied()).unwrap_or_default()
}

/// `voters S1 S2 S3`, and what else there is to say: `from`, `to`, `learners`, `priority`.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = |word: &str, servers: &[ServerId]| {
            if servers.is_empty() {
                return Ok(());
            }
            f.write_str(word)?;
            servers.iter().try_for_each(|server| write!(f, " {server}"))
        };
        list("voters", &self.voters)?;
        list(" from", &self.outgoing)?;
        list(" learners", &self.learners)?;
        list(" to", &self.target)?;
        let mut priorities = self.priorities.iter();
        priorities.try_for_each(|(server, priority)| write!(f, " priority {server} {priority}"))
    }
}

/// How many of so many are more than half (TRAPS 10).
pub(super) fn majority(servers: usize) -> usize {
    match on(Bug::HalfIsAMajority) {
        true => servers.div_ceil(2),
        false => servers / 2 + 1,
    }
}

fn sorted(servers: impl IntoIterator<Item = ServerId>) -> Vec<ServerId> {
    let mut servers: Vec<_> = servers.into_iter().collect();
    servers.sort_unstable();
    servers.dedup();
    servers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Index;

    fn servers(count: u64) -> Vec<ServerId> {
        (1..=count).map(ServerId).collect()
    }

    /// TRAPS 10 and openraft d60f1e85: the quorum of every size, the even ones above all.
    #[test]
    fn trap_10_majority_of_every_size() {
        for size in 1..=9 {
            let configuration = Configuration::new(servers(size));
            for granted in 0..=size {
                let count = configuration.count_votes(|server| Some(server.0 <= granted));
                let won = granted > size - granted;
                assert_eq!(count == VoteCount::Won, won, "{granted} of {size}");
                assert_eq!(count == VoteCount::Lost, !won, "{granted} of {size}");
            }
        }
    }

    #[test]
    fn an_election_is_open_while_a_majority_may_still_come() {
        let configuration = Configuration::new(servers(5));
        let count = |granted: u64, refused: u64| {
            configuration.count_votes(|server| match server.0 {
                id if id <= granted => Some(true),
                id if id <= granted + refused => Some(false),
                _ => None,
            })
        };
        assert_eq!(count(2, 2), VoteCount::Open);
        assert_eq!(count(3, 0), VoteCount::Won);
        assert_eq!(count(2, 3), VoteCount::Lost);
        assert_eq!(count(0, 3), VoteCount::Lost);
    }

    #[test]
    fn an_index_is_replicated_when_a_majority_has_it() {
        let configuration = Configuration::new(servers(5));
        let matches = [9, 2, 7, 5, 3].map(Index);
        let index = configuration.reached_by_quorum(|server| matches[server.0 as usize - 1]);
        assert_eq!(index, Index(5));
        let configuration = Configuration::new(servers(4));
        let index = configuration.reached_by_quorum(|server| matches[server.0 as usize - 1]);
        assert_eq!(index, Index(5), "three of four are needed");
    }

    /// TRAPS 33 and openraft 6c0ccaf3: both halves of a joint configuration must agree, also
    /// when one of them is a single server.
    #[test]
    fn trap_33_a_joint_configuration_needs_both_majorities() {
        let joint = Configuration::joint([ServerId(1)], servers(3), []);
        let only_first = joint.reached_by_quorum(|server| Index(if server.0 == 1 { 8 } else { 0 }));
        assert_eq!(only_first, Index(0));
        let joint = Configuration::joint(servers(3), [3, 4, 5].map(ServerId), []);
        let old_only = joint.count_votes(|server| Some(server.0 <= 3));
        assert_eq!(old_only, VoteCount::Lost);
        let both = joint.count_votes(|server| Some(server.0 >= 2 && server.0 <= 4));
        assert_eq!(both, VoteCount::Won);
    }

    /// TRAPS 39 and openraft beb0302b: what a learner has counts for nothing.
    #[test]
    fn trap_39_learners_do_not_count() {
        let configuration = Configuration::joint([], servers(3), [ServerId(4), ServerId(5)]);
        let index =
            configuration.reached_by_quorum(|server| Index(if server.0 >= 3 { 8 } else { 0 }));
        assert_eq!(index, Index(0));
        assert!(!configuration.is_voter(ServerId(4)));
        assert_eq!(configuration.members(), servers(5));
        assert_eq!(configuration.voters(), servers(3));
    }

    #[test]
    fn nobody_is_no_quorum() {
        let nobody = Configuration::new([]);
        assert_eq!(nobody.count_votes(|_| Some(true)), VoteCount::Lost);
    }
}
