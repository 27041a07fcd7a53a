//! Whether what is asked about is so, and whether it is so in another run, too.

use std::time::Duration;

use super::account::{Account, Event, Fate};
use super::leadership::Leadership;
use crate::actors::ClusterStatus;
use crate::raft::{Index, Message, RoleKind, ServerId, Term, Time, Timing, VoteRefusal, Why};
use crate::script::Question;

/// What is so in a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fact {
    /// No server leads that a majority follows.
    NoLeader {
        at: Time,
        since: Time,
        /// The leader before.
        last: Option<ServerId>,
    },
    /// This server led this term, and does not any more.
    LostLeadership { server: ServerId, term: Term, since: Time, at: Time, place: u64, how: Loss },
    /// This entry is in a log and is not committed.
    NotCommitted {
        index: Index,
        at: Time,
        /// The highest index that is.
        committed: Index,
        /// It has been so for so long, at least.
        age: Duration,
    },
    /// This server refused this candidate its vote.
    RefusedVote {
        voter: ServerId,
        candidate: ServerId,
        at: Time,
        place: u64,
        term: Term,
        pre_vote: bool,
        reason: VoteRefusal,
    },
}

/// How a leader stops leading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// It ended, in this way.
    Ended(String),
    /// It became a follower.
    SteppedDown(Why),
}

/// A run up to some moment, and what was looked at in it.
pub(super) struct Seen {
    pub(super) account: Account,
    /// The servers at the moments that [`Fact::looks`] asks for, in their order.
    pub(super) looks: Vec<ClusterStatus>,
    pub(super) servers: u64,
}

/// Whether a run shows a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shows {
    Yes,
    No,
    /// Neither can be said: what the fact presupposes is not so.
    Unclear,
}

/// How old an entry that is not committed should be to be called stuck; the first that fits.
const AGES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(20),
    Duration::from_millis(1),
    Duration::ZERO,
];

/// The moments to look at the servers to find out whether `question` is so at this moment.
pub(super) fn looks(question: Question, at: Time) -> Vec<Time> {
    match question {
        Question::NotCommitted(_) => AGES.iter().map(|age| before(at, *age)).collect(),
        _ => vec![at],
    }
}

fn before(at: Time, age: Duration) -> Time {
    Time::default() + at.since(Time::default() + age)
}

impl Fact {
    /// What is so at this moment, if what the question says is so; otherwise what is so instead,
    /// in a sentence.
    pub(super) fn find(question: Question, at: Time, seen: &Seen) -> Result<Self, String> {
        match question {
            Question::NoLeader => Self::no_leader(at, seen),
            Question::LostLeadership(server) => Self::lost_leadership(server, seen),
            Question::NotCommitted(index) => Self::not_committed(index, at, seen),
            Question::RefusedVote(voter) => Self::refused_vote(voter, seen),
        }
    }

    fn no_leader(at: Time, seen: &Seen) -> Result<Self, String> {
        let leadership = Leadership::of(&seen.account, seen.servers);
        match leadership.at(at) {
            (since, None) => Ok(Self::NoLeader { at, since, last: leadership.last_before(since) }),
            (since, Some(leader)) => Err(format!(
                "There is a leader: {leader}, which a majority has followed since {}.",
                Moment(since)
            )),
        }
    }

    fn lost_leadership(server: ServerId, seen: &Seen) -> Result<Self, String> {
        let mut reign = None;
        let mut lost = None;
        for event in seen.account.events() {
            let how = match &event.what {
                Event::Became { server: it, role: RoleKind::Leader, term, .. } if *it == server => {
                    reign = Some((event.at, *term));
                    continue;
                }
                Event::Became { server: it, why, .. } if *it == server => Loss::SteppedDown(*why),
                Event::Ended { server: it, how } if *it == server => Loss::Ended(how.clone()),
                _ => continue,
            };
            if let Some((since, term)) = reign.take() {
                let (at, place) = (event.at, event.place);
                lost = Some(Self::LostLeadership { server, term, since, at, place, how });
            }
        }
        match (lost, reign) {
            (Some(lost), _) => Ok(lost),
            (None, Some((since, term))) => {
                Err(format!("{server} leads: it has led term {term} since {}.", Moment(since)))
            }
            (None, None) => Err(format!("{server} has never led, and so it lost no leadership.")),
        }
    }

    fn not_committed(index: Index, at: Time, seen: &Seen) -> Result<Self, String> {
        let Some(now) = seen.looks.last() else {
            return Err("The cluster has ended.".to_owned());
        };
        let committed = committed(now, &seen.account);
        if committed >= index {
            let knows = |it: &&crate::actors::ServerStatus| it.commit_index >= index;
            let who: Vec<ServerId> = now.servers.iter().filter(knows).map(|it| it.id).collect();
            return Err(match who.len() {
                0 => format!("{index} is committed, and nobody who runs knows it yet again."),
                1 => format!("{index} is committed: {} knows it.", list(&who)),
                _ => format!("{index} is committed: {} know it.", list(&who)),
            });
        }
        let logged = |status: &ClusterStatus| longest(status) >= index;
        if !logged(now) {
            return Err(format!(
                "No log has an entry {index}: the longest ends at {}.",
                longest(now)
            ));
        }
        let mut ages = AGES.iter().zip(&seen.looks);
        let age = ages.find(|(_, status)| logged(status)).map_or(Duration::ZERO, |(age, _)| *age);
        Ok(Self::NotCommitted { index, at, committed, age })
    }

    fn refused_vote(voter: ServerId, seen: &Seen) -> Result<Self, String> {
        for passage in seen.account.messages().rev() {
            let it = &passage.what;
            if let Message::RequestVoteReply(reply) = it.message
                && let Err(reason) = reply.vote
                && (it.from, &it.fate) == (voter, &Fate::Sent)
            {
                return Ok(Self::RefusedVote {
                    voter,
                    candidate: it.to,
                    at: passage.at,
                    place: passage.place,
                    term: reply.term,
                    pre_vote: reply.pre_vote,
                    reason,
                });
            }
        }
        Err(format!("{voter} has refused nobody its vote."))
    }

    /// Whether the same is so in a run that differs in its moments.
    pub(super) fn resembles(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoLeader { last: a, .. }, Self::NoLeader { last: b, .. }) => a == b,
            (
                Self::LostLeadership { server: a, how: c, .. },
                Self::LostLeadership { server: b, how: d, .. },
            ) => (a, c) == (b, d),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// Steps of the timeline that begin behind this place in the account cannot have caused it.
    pub(super) fn place(&self) -> u64 {
        match self {
            Self::NoLeader { .. } | Self::NotCommitted { .. } => u64::MAX,
            Self::LostLeadership { place, .. } | Self::RefusedVote { place, .. } => *place,
        }
    }

    /// When it began, as far as that can be said.
    pub(super) fn onset(&self) -> Time {
        match self {
            Self::NoLeader { since, .. } => *since,
            Self::LostLeadership { at, .. } | Self::RefusedVote { at, .. } => *at,
            Self::NotCommitted { at, age, .. } => before(*at, *age),
        }
    }

    /// The moments to look at the servers of another run; the last one ends it.
    pub(super) fn looks(&self, timing: &Timing) -> Vec<Time> {
        match self {
            Self::NoLeader { at, .. } => vec![*at],
            Self::LostLeadership { at, .. } | Self::RefusedVote { at, .. } => {
                vec![*at + slack(timing)]
            }
            Self::NotCommitted { at, age, .. } => vec![before(*at, *age), *at],
        }
    }

    /// Whether another run, looked at as asked for, shows it, too.
    pub(super) fn shows(&self, seen: &Seen, timing: &Timing) -> Shows {
        match self {
            Self::NoLeader { at, since, .. } => {
                let leadership = Leadership::of(&seen.account, seen.servers);
                let whole = at.since(*since);
                let mut enough = whole / 2;
                // While an election may be under way, that it began says enough.
                if whole < slack(timing) {
                    let surely = timing.election_timeout_min.saturating_sub(timing.heartbeat);
                    enough = enough.min(surely);
                }
                Shows::from(leadership.absence(*since, *at) >= enough.max(Duration::from_nanos(1)))
            }
            Self::LostLeadership { server, since, at, .. } => {
                let reigns = reigns(*server, &seen.account);
                let meant = |(from, to): &&(Time, Option<Time>)| {
                    from < at && to.is_none_or(|to| to > *since)
                };
                match reigns.iter().rfind(meant) {
                    None => Shows::Unclear,
                    Some((_, end)) => Shows::from(end.is_some()),
                }
            }
            Self::NotCommitted { index, .. } => {
                let [then, now] = seen.looks.as_slice() else { return Shows::Unclear };
                let committed = committed(now, &seen.account);
                if longest(then) > committed {
                    Shows::Yes
                } else if committed >= *index {
                    Shows::No
                } else {
                    Shows::Unclear
                }
            }
            Self::RefusedVote { voter, candidate, at, .. } => {
                let refuses = |message: &Message| match message {
                    Message::RequestVoteReply(reply) => reply.vote.is_err(),
                    _ => false,
                };
                let earliest = before(*at, slack(timing));
                Shows::from(seen.account.messages().any(|passage| {
                    let it = &passage.what;
                    passage.at >= earliest
                        && (it.from, it.to, &it.fate) == (*voter, *candidate, &Fate::Sent)
                        && refuses(&it.message)
                }))
            }
        }
    }
}

impl From<bool> for Shows {
    fn from(shows: bool) -> Self {
        if shows { Self::Yes } else { Self::No }
    }
}

/// By how much two runs may differ in time and be the same story.
fn slack(timing: &Timing) -> Duration {
    2 * timing.election_timeout_max
}

/// From when to when a server led.
fn reigns(server: ServerId, account: &Account) -> Vec<(Time, Option<Time>)> {
    let mut spans: Vec<(Time, Option<Time>)> = Vec::new();
    for event in account.events() {
        match &event.what {
            Event::Became { server: it, role: RoleKind::Leader, .. } if *it == server => {
                spans.push((event.at, None));
            }
            Event::Became { server: it, .. } | Event::Ended { server: it, .. } if *it == server => {
                if let Some((_, end @ None)) = spans.last_mut() {
                    *end = Some(event.at);
                }
            }
            _ => {}
        }
    }
    spans
}

/// Also what those knew who have forgotten it in a crash.
fn committed(status: &ClusterStatus, account: &Account) -> Index {
    let known = status.servers.iter().map(|server| server.commit_index).max();
    known.unwrap_or_default().max(account.applied())
}

fn longest(status: &ClusterStatus) -> Index {
    status.servers.iter().map(|server| server.last_log.index).max().unwrap_or_default()
}

/// A moment for people: seconds with three decimals.
pub(super) struct Moment(pub(super) Time);

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.as_nanos() / 1_000_000;
        write!(f, "{}.{:03} s", millis / 1_000, millis % 1_000)
    }
}

/// `S1`, `S1 and S2`, `S1, S2 and S3`.
pub(super) fn list(servers: &[ServerId]) -> String {
    let names: Vec<String> = servers.iter().map(ServerId::to_string).collect();
    match names.split_last() {
        None => "nobody".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
