//! What happened in a run, as its trace tells it.

use std::collections::{BTreeMap, VecDeque};

use super::message;
use crate::actors::{Order, Servers};
use crate::raft::{
    Configuration, HandoverReason, Index, Message, RoleKind, ServerId, Term, Time, Why,
};
use crate::replay::Heard;
use crate::script::{self, Statement, Variables};

/// All that was told, in its order. At most [`Account::MAX`] events and as many messages are
/// kept; the oldest are forgotten.
#[derive(Default)]
pub(super) struct Account {
    /// What is no message.
    events: VecDeque<Record<Event>>,
    /// Whatever became of messages.
    messages: VecDeque<Record<Passage>>,
    /// Those on their way, and those that arrived, by their numbers.
    sent: BTreeMap<u64, Message>,
    /// Whether all messages are of interest, or only votes.
    thorough: bool,
    told: u64,
    /// The highest index whose command a leader applied.
    applied: Index,
    /// Who leads, for orders about the leader.
    roles: BTreeMap<ServerId, (RoleKind, Term)>,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Record<T> {
    /// When, in whole microseconds.
    pub(super) at: Time,
    /// Its place among all others.
    pub(super) place: u64,
    pub(super) what: T,
}

/// Something that is no message.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Event {
    /// A step of the timeline begins.
    Step(usize),
    /// An order was carried out; `leader` and `followers` have become the servers that were meant.
    Ordered(Order),
    /// The order before was not carried out.
    Refused,
    Started(ServerId),
    /// `how` it ended: crashed, stopped, or failed with the reason.
    Ended {
        server: ServerId,
        how: String,
    },
    Became {
        server: ServerId,
        role: RoleKind,
        term: Term,
        leader: Option<ServerId>,
        why: Why,
    },
    /// Some server learned that this configuration, which stands at this index, is committed.
    Configured {
        at: Index,
        configuration: Configuration,
    },
    /// A leader begins to hand over.
    HandingOver {
        server: ServerId,
        to: ServerId,
        why: HandoverReason,
    },
    /// A leader could not hand over.
    HandoverAborted {
        server: ServerId,
        to: ServerId,
    },
    /// A server that had lost its disk votes again.
    Recovered(ServerId),
}

impl Event {
    /// The server whose role ends with it.
    pub(super) fn changes(&self) -> Option<ServerId> {
        match self {
            Self::Became { server, .. } | Self::Ended { server, .. } => Some(*server),
            _ => None,
        }
    }
}

/// What became of a message.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Passage {
    /// The number of the message, the same for all that becomes of it.
    pub(super) number: u64,
    pub(super) from: ServerId,
    pub(super) to: ServerId,
    pub(super) message: Message,
    pub(super) fate: Fate,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Sent,
    Delivered,
    /// Why.
    Lost(String),
}

impl Account {
    /// The most events, and the most messages.
    pub(super) const MAX: usize = 1 << 20;

    /// An account of all, or of everything but the messages that are not about votes.
    pub(super) fn new(thorough: bool) -> Self {
        Self { thorough, ..Self::default() }
    }

    /// Takes down what a run tells.
    pub(super) fn hear(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Step(step) => {
                let at = self.latest().unwrap_or_default();
                self.add_event(at, Event::Step(step));
            }
            Heard::Line(line) => {
                // What is not known here is not of interest here.
                let _ = self.line(line);
            }
        }
    }

    /// The events, oldest first.
    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = &Record<Event>> {
        self.events.iter()
    }

    /// The orders that were carried out.
    pub(super) fn orders(&self) -> impl Iterator<Item = &Record<Event>> {
        let after = self.events().skip(1).map(Some).chain([None]);
        let carried_out = |(it, next): &(&Record<Event>, Option<&Record<Event>>)| {
            matches!(it.what, Event::Ordered(_))
                && next.is_none_or(|next| next.what != Event::Refused)
        };
        self.events().zip(after).filter(carried_out).map(|(it, _)| it)
    }

    /// How many steps of the timeline had begun or been left out before this place.
    pub(super) fn steps_before(&self, place: u64) -> usize {
        let steps = self.events().take_while(|event| event.place < place);
        let begun = steps.filter_map(|event| match event.what {
            Event::Step(step) => Some(step + 1),
            _ => None,
        });
        begun.last().unwrap_or(0)
    }

    /// The messages, oldest first.
    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &Record<Passage>> {
        self.messages.iter()
    }

    /// The highest index whose command a leader applied.
    pub(super) fn applied(&self) -> Index {
        self.applied
    }

    /// How many servers have started.
    pub(super) fn servers(&self) -> u64 {
        let started = self.events().filter_map(|event| match event.what {
            Event::Started(ServerId(number)) => Some(number),
            _ => None,
        });
        started.max().unwrap_or(0)
    }

    /// The latest configuration that some server knew to be committed; without any, the one of so
    /// many founders.
    pub(super) fn configuration(&self, founders: u64) -> Configuration {
        let known = self.events().filter_map(|event| match &event.what {
            Event::Configured { at, configuration } => Some((*at, configuration)),
            _ => None,
        });
        let latest =
            known.max_by_key(|(at, _)| *at).map(|(_, configuration)| configuration.clone());
        latest.unwrap_or_else(|| Configuration::new((1..=founders).map(ServerId)))
    }

    /// When the latest of all happened.
    pub(super) fn latest(&self) -> Option<Time> {
        let event = self.events.back().map(|event| event.at);
        event.max(self.messages.back().map(|message| message.at))
    }

    /// When this line of a trace happened.
    pub(super) fn moment(line: &str) -> Option<Time> {
        let (seconds, micros) = line.split_once(' ')?.0.split_once('.')?;
        let (seconds, places): (u64, usize) = (seconds.parse().ok()?, micros.len());
        let micros = seconds.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?;
        (places == 6).then_some(())?;
        Some(Time::from_nanos(micros.checked_mul(1_000)?))
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (at, text) = (Self::moment(line)?, line.split_once(' ')?.1);
        let mut words = text.splitn(5, ' ');
        let (first, second) = (words.next()?, words.next()?);
        if matches!(second, "->" | "<-" | "-x")
            && let Some(server) = message::server(first)
        {
            let other = message::server(words.next()?)?;
            let number = words.next()?.strip_prefix('#')?.parse().ok()?;
            return self.message(at, server, second, other, number, words.next().unwrap_or(""));
        }
        if let Some(order) = text.strip_prefix("order: ") {
            return self.order(at, order);
        }
        if text.starts_with("order refused: ") {
            self.add_event(at, Event::Refused);
            return Some(());
        }
        self.server(at, message::server(first)?, text.split_once(' ')?.1)
    }

    fn message(
        &mut self,
        at: Time,
        left: ServerId,
        arrow: &str,
        right: ServerId,
        number: u64,
        text: &str,
    ) -> Option<()> {
        let (from, to, fate) = match arrow {
            "->" => {
                if !self.thorough && !text.starts_with("Request") {
                    return Some(());
                }
                self.sent.insert(number, message::read(text)?);
                if self.sent.len() > Self::MAX {
                    self.sent.pop_first();
                }
                (left, right, Fate::Sent)
            }
            // The receiver stands first.
            "<-" => (right, left, Fate::Delivered),
            _ => (left, right, Fate::Lost(text.to_owned())),
        };
        let Some(message) = self.sent.get(&number).copied() else { return Some(()) };
        let what = Passage { number, from, to, message, fate };
        self.told += 1;
        self.messages.push_back(Record { at, place: self.told, what });
        if self.messages.len() > Self::MAX {
            self.messages.pop_front();
        }
        Some(())
    }

    fn order(&mut self, at: Time, text: &str) -> Option<()> {
        match script::parse(text, &Variables::new()) {
            Ok(Some(Statement::Order(mut order))) => {
                // Of a group, only those are meant to whose disks it can happen.
                if !matches!(order, Order::DiskFault { .. }) {
                    for servers in order.servers_mut() {
                        self.resolve(servers);
                    }
                }
                self.add_event(at, Event::Ordered(order));
                Some(())
            }
            _ => None,
        }
    }

    fn resolve(&self, servers: &mut Servers) {
        let leads = |(_, (role, _)): &(&ServerId, &(RoleKind, Term))| *role == RoleKind::Leader;
        let leader = self.roles.iter().filter(leads).max_by_key(|(_, (_, term))| *term);
        let leader = leader.map(|(id, _)| *id);
        match servers {
            Servers::Leader => {
                if let Some(leader) = leader {
                    *servers = Servers::Only(vec![leader]);
                }
            }
            Servers::Followers => {
                let follows = |id: &&ServerId| Some(**id) != leader;
                *servers = Servers::Only(self.roles.keys().filter(follows).copied().collect());
            }
            Servers::All | Servers::Only(_) => {}
        }
    }

    /// `S1 started` and the like.
    fn server(&mut self, at: Time, server: ServerId, text: &str) -> Option<()> {
        let event = match text.split_once(' ') {
            None if text == "started" => {
                self.roles.insert(server, (RoleKind::Follower, Term(0)));
                Event::Started(server)
            }
            None if matches!(text, "crashed" | "stopped") => self.ended(server, text),
            Some(("failed:", _)) => self.ended(server, text),
            Some((verb @ ("is" | "follows"), rest)) => {
                let (subject, rest) = rest.split_once(" (term ")?;
                let (term, why) = rest.split_once("): ")?;
                let term = Term(term.parse().ok()?);
                let role = match (verb, subject) {
                    ("follows", _) | (_, "follower") => RoleKind::Follower,
                    (_, "pre-candidate") => RoleKind::PreCandidate,
                    (_, "candidate") => RoleKind::Candidate,
                    (_, "leader") => RoleKind::Leader,
                    _ => return None,
                };
                let leader = match verb {
                    "follows" => Some(message::server(subject)?),
                    _ => (role == RoleKind::Leader).then_some(server),
                };
                self.roles.insert(server, (role, term));
                Event::Became { server, role, term, leader, why: reason(why)? }
            }
            Some(("committed", rest)) => {
                let index = rest.split_once(':')?.0.parse().ok()?;
                self.applied = self.applied.max(Index(index));
                return Some(());
            }
            Some(("knows", rest)) => {
                let (at, members) = rest.strip_prefix("members ")?.split_once(": ")?;
                let (at, configuration) = (Index(at.parse().ok()?), configuration(members));
                Event::Configured { at, configuration }
            }
            Some(("hands", rest)) => {
                let (to, why) = rest.strip_prefix("over to ")?.split_once(": ")?;
                Event::HandingOver { server, to: message::server(to)?, why: handover(why)? }
            }
            Some(("leads", rest)) => {
                let to = rest.strip_prefix("on: ")?.split_once(' ')?.0;
                Event::HandoverAborted { server, to: message::server(to)? }
            }
            Some(("recovered", _)) => Event::Recovered(server),
            // What it cut off, or cannot do.
            _ => return Some(()),
        };
        self.add_event(at, event);
        Some(())
    }

    fn ended(&mut self, server: ServerId, how: &str) -> Event {
        self.roles.remove(&server);
        // What to do about a failure is not part of how it came to be.
        let how = how.split(". ").next().unwrap_or(how).to_owned();
        Event::Ended { server, how }
    }

    fn add_event(&mut self, at: Time, what: Event) {
        self.told += 1;
        self.events.push_back(Record { at, place: self.told, what });
        if self.events.len() > Self::MAX {
            self.events.pop_front();
        }
    }
}

/// Reads what [`Why`] displays.
fn reason(text: &str) -> Option<Why> {
    let plain = [
        Why::ElectionTimeout,
        Why::Forced,
        Why::PreVotesWon,
        Why::VotesWon,
        Why::HeardLeader,
        Why::QuorumLost,
        Why::Removed,
    ];
    if let Some(why) = plain.into_iter().find(|why| why.to_string() == text) {
        return Some(why);
    }
    if let Some(candidate) = text.strip_prefix("voted for ") {
        return message::server(candidate).map(Why::Voted);
    }
    if let Some(leader) = text.strip_suffix(" handed over to it") {
        return message::server(leader).map(Why::HandedOver);
    }
    if let Some(reason) = text.strip_suffix(", and nobody took over") {
        return handover(reason).map(Why::Stalled);
    }
    message::server(text.strip_suffix(" has a higher term")?).map(Why::HigherTerm)
}

/// Reads what [`HandoverReason`] displays.
fn handover(text: &str) -> Option<HandoverReason> {
    let all = [
        HandoverReason::Ordered,
        HandoverReason::Priority,
        HandoverReason::Removed,
        HandoverReason::DiskStalled,
        HandoverReason::ApplyStalled,
    ];
    all.into_iter().find(|reason| reason.to_string() == text)
}

/// Reads who votes and who learns of what [`Configuration`] displays.
fn configuration(text: &str) -> Configuration {
    let (mut voters, mut outgoing, mut learners) = (Vec::new(), Vec::new(), Vec::new());
    let mut list = "";
    for word in text.split(' ') {
        match (message::server(word), list) {
            (Some(server), "voters") => voters.push(server),
            (Some(server), "from") => outgoing.push(server),
            (Some(server), "learners") => learners.push(server),
            (Some(_), _) => {}
            (None, _) => list = word,
        }
    }
    Configuration::joint(outgoing, voters, learners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_role_changed_is_read_back() {
        for reason in [
            HandoverReason::Ordered,
            HandoverReason::Priority,
            HandoverReason::Removed,
            HandoverReason::DiskStalled,
            HandoverReason::ApplyStalled,
        ] {
            assert_eq!(handover(&reason.to_string()), Some(reason));
            let why = Why::Stalled(reason);
            assert_eq!(super::reason(&why.to_string()), Some(why));
        }
        for why in [Why::Removed, Why::HandedOver(ServerId(3)), Why::HigherTerm(ServerId(2))] {
            assert_eq!(reason(&why.to_string()), Some(why));
        }
    }

    #[test]
    fn what_is_told_of_members_is_read_back() {
        let mut account = Account::new(true);
        for line in [
            "0.000001 S1 knows members 4: voters S1 S2 S3 from S1 S2 learners S7 to S1 priority S2 9",
            "0.000002 S1 hands over to S3: its disk has stalled",
            "0.000003 S1 leads on: S3 did not take over",
            "0.000004 S2 recovered from a quorum",
        ] {
            account.hear(Heard::Line(line));
        }
        let (one, three) = (ServerId(1), ServerId(3));
        let configuration =
            Configuration::joint([1, 2].map(ServerId), [1, 2, 3].map(ServerId), [ServerId(7)]);
        let told: Vec<Event> = account.events().map(|event| event.what.clone()).collect();
        let expected = [
            Event::Configured { at: Index(4), configuration: configuration.clone() },
            Event::HandingOver { server: one, to: three, why: HandoverReason::DiskStalled },
            Event::HandoverAborted { server: one, to: three },
            Event::Recovered(ServerId(2)),
        ];
        assert_eq!(told, expected);
        assert_eq!(account.configuration(9), configuration);
    }
}
