//! How a fact came to be: the recorded events that lead from its causes to it, found by going
//! back from it, one rule for each kind of event.

mod campaign;
mod commit;
mod links;

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Account, Event, Fate, Passage, Record};
use super::fact::{Fact, Loss, Seen, list};
use super::phrase;
use super::suspect::Suspect;
use crate::actors::{Order, Servers};
use crate::raft::{
    HandoverReason, Message, RoleKind, ServerId, Term, Time, Timing, VoteRefusal, Why,
};

/// Something that happened, in plain words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
}

/// Most links of a chain.
const LONGEST: usize = 10;

/// How much a link matters, the most first: when there are too many, the others go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    /// The cause, and the fact itself.
    End,
    /// What follows from the one or leads to the other.
    Near,
    /// What helps to understand it.
    Far,
}

/// Tells how a fact came to be.
struct Teller<'a> {
    seen: &'a Seen,
    /// Who votes at the end.
    voters: Vec<ServerId>,
    timing: Timing,
    /// When the causes ended servers.
    ends: Vec<Time>,
    /// Whose clocks the causes made wrong.
    clocks: Vec<Servers>,
    /// By their places in the account, and in the order in which they were found.
    links: BTreeMap<(u64, usize), (Rank, Link)>,
}

/// The chain that leads to a fact from these causes, oldest first: ten links at the most.
pub(super) fn chain(fact: &Fact, causes: &[&Suspect], seen: &Seen, timing: Timing) -> Vec<Link> {
    let ends = |order: &Order| matches!(order, Order::Crash(_) | Order::Stop(_));
    let ends = causes.iter().filter(|it| it.orders.iter().any(ends)).map(|it| it.at).collect();
    let clocks = causes.iter().flat_map(|it| &it.orders).filter_map(|order| match order {
        Order::ClockRate { servers, .. } | Order::ClockJump { servers, .. } => {
            Some(servers.clone())
        }
        _ => None,
    });
    let clocks = clocks.collect();
    let voters = seen.account.configuration(seen.servers).voters();
    let mut teller = Teller { seen, voters, timing, ends, clocks, links: BTreeMap::new() };
    for cause in causes {
        let text = phrase::describe(&cause.orders);
        teller.add(Rank::End, cause.place, cause.at, text);
    }
    match fact {
        Fact::NoLeader { at, since, last } => teller.no_leader(*at, *since, *last),
        Fact::LostLeadership { server, term, place, how, .. } => {
            teller.elected(*server, *term, Rank::Far);
            teller.lost_leadership(*server, *term, *place, how, Rank::End);
        }
        Fact::NotCommitted { index, at, .. } => teller.not_committed(*index, *at),
        Fact::RefusedVote { voter, candidate, at, place, term, pre_vote, reason } => {
            teller.refused_vote((*voter, *candidate), (*at, *place), *term, *pre_vote, *reason);
        }
    }
    teller.finish()
}

impl<'a> Teller<'a> {
    fn account(&self) -> &'a Account {
        &self.seen.account
    }

    fn add(&mut self, rank: Rank, place: u64, at: Time, text: String) {
        let mut there = self.links.range_mut((place, 0)..=(place, usize::MAX));
        match there.find(|(_, (_, link))| link.text == text) {
            Some((_, (known, _))) => *known = rank.min(*known),
            None => {
                self.links.insert((place, self.links.len()), (rank, Link { at, text }));
            }
        }
    }

    /// Something about the moment of the question itself.
    fn conclude(&mut self, rank: Rank, at: Time, text: String) {
        self.add(rank, u64::MAX, at, text);
    }

    /// The links that matter most; of those that matter the same, the latest.
    fn finish(self) -> Vec<Link> {
        let mut keys: Vec<_> = self.links.iter().map(|(key, (rank, _))| (*rank, *key)).collect();
        keys.sort_unstable_by_key(|(rank, key)| (*rank, std::cmp::Reverse(*key)));
        keys.truncate(LONGEST);
        let kept: BTreeSet<_> = keys.into_iter().map(|(_, key)| key).collect();
        let links = self.links.into_iter().filter(|(key, _)| kept.contains(key));
        links.map(|(_, (_, link))| link).collect()
    }

    /// Who goes by a clock that a cause made wrong.
    fn by_its_clock(&self, server: ServerId) -> &'static str {
        let wrong = |servers: &Servers| match servers {
            Servers::Only(some) => some.contains(&server),
            _ => true,
        };
        if self.clocks.iter().any(wrong) { "by its own clock, " } else { "" }
    }

    fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    fn others(&self, server: ServerId) -> Vec<ServerId> {
        self.voters.iter().copied().filter(|id| *id != server).collect()
    }

    /// The last event before this place of which this is true.
    fn event_before(&self, place: u64, is: impl Fn(&Event) -> bool) -> Option<&'a Record<Event>> {
        self.account().events().rev().find(|event| event.place < place && is(&event.what))
    }

    /// The last message before this place of which this is true.
    fn message_before(
        &self,
        place: u64,
        is: impl Fn(&Passage) -> bool,
    ) -> Option<&'a Record<Passage>> {
        self.account().messages().rev().find(|message| message.place < place && is(&message.what))
    }

    /// That this server became the leader of this term.
    fn elected(&mut self, server: ServerId, term: Term, rank: Rank) {
        let led = |event: &Event| {
            matches!(event, Event::Became { server: it, role: RoleKind::Leader, term: of, .. }
                if (*it, *of) == (server, term))
        };
        if let Some(event) = self.event_before(u64::MAX, led) {
            let text = format!("{server} became the leader of term {term}");
            self.add(rank, event.place, event.at, text);
        }
    }

    /// How this leader stopped leading, which is told at this place.
    fn lost_leadership(
        &mut self,
        server: ServerId,
        term: Term,
        place: u64,
        how: &Loss,
        rank: Rank,
    ) {
        let Some(at) = self.account().events().find(|it| it.place == place).map(|it| it.at) else {
            return;
        };
        match how {
            Loss::Ended(how) => {
                let what = match self.ends.contains(&at) {
                    true => format!("{server}'s leadership of term {term} ended with that"),
                    false => format!("{server} {how}, and its leadership of term {term} ended"),
                };
                let text = format!("{what}: whoever comes back comes back as a follower");
                self.add(rank, place, at, text);
            }
            Loss::SteppedDown(Why::HigherTerm(to)) if self.handed_over(server, *to, place) => {
                let text = format!("{server} stepped down: {to}, to whom it handed over, stood");
                self.add(rank, place, at, text);
            }
            Loss::SteppedDown(Why::HigherTerm(from)) => {
                let text = format!(
                    "{server} stepped down: {from} has a higher term, and whoever hears of one \
                     follows (section 5.1)"
                );
                self.add(rank, place, at, text);
                self.higher_term(server, *from, term, place);
            }
            Loss::SteppedDown(Why::QuorumLost) => {
                let patience = crate::script::Time(self.timing.election_timeout_max);
                let text = format!(
                    "{server} stepped down: {}for {patience} it had no answer from a majority \
                     (check-quorum)",
                    self.by_its_clock(server)
                );
                self.add(rank, place, at, text);
                self.quorum_lost(server, place);
            }
            Loss::SteppedDown(Why::Stalled(reason)) => {
                let text = format!(
                    "{server} stepped down: {}, and nobody took over from it in time",
                    stalled(*reason, self.timing)
                );
                self.add(rank, place, at, text);
            }
            Loss::SteppedDown(why) => {
                self.add(rank, place, at, format!("{server} stepped down: {why}"));
            }
        }
    }

    /// Whether this leader had begun to hand over to that server before this place; tells why.
    fn handed_over(&mut self, server: ServerId, to: ServerId, place: u64) -> bool {
        let about = |event: &Event| match event {
            Event::HandingOver { server: it, .. } | Event::HandoverAborted { server: it, .. } => {
                *it == server
            }
            Event::Became { server: it, role: RoleKind::Leader, .. } => *it == server,
            _ => false,
        };
        let Some(event) = self.event_before(place, about) else { return false };
        let Event::HandingOver { to: other, why, .. } = &event.what else { return false };
        if *other != to {
            return false;
        }
        let text = match why {
            HandoverReason::Ordered => {
                format!("{server} handed over to {to}, as it was told (thesis 3.10)")
            }
            HandoverReason::Priority => {
                format!("{server} handed over to {to}, which has a higher priority")
            }
            HandoverReason::Removed => {
                format!("{server} handed over to {to}: it is no voter any more")
            }
            HandoverReason::DiskStalled | HandoverReason::ApplyStalled => format!(
                "{server} gave way to {to}, which works: {}; it was heard all the time, so the \
                 network is not to blame",
                stalled(*why, self.timing)
            ),
        };
        self.add(Rank::Near, event.place, event.at, text);
        true
    }

    /// How `from`, of whom `server` heard, came to a higher term.
    fn higher_term(&mut self, server: ServerId, from: ServerId, old: Term, place: u64) {
        let news = |it: &Passage| {
            (it.from, it.to, &it.fate) == (from, server, &Fate::Delivered)
                && it.message.term() > old
        };
        let Some(message) = self.message_before(place, news) else { return };
        let term = message.what.message.term();
        let what = match message.what.message {
            Message::RequestVote(_) => "asked for its vote",
            Message::AppendEntries(_) => "spoke as the leader",
            _ => "answered",
        };
        let text = format!("{from} {what} in term {term}, and {server} heard it");
        self.add(Rank::Near, message.place, message.at, text);
        // Whoever stood first in that term brought it about.
        let stood = |event: &&Record<Event>| {
            matches!(&event.what, Event::Became { role: RoleKind::Candidate, term: of, .. }
                if *of > old && *of <= term)
        };
        let first = self.account().events().find(|it| it.place < message.place && stood(it));
        if let Some(Record { what: Event::Became { server: candidate, .. }, place, .. }) = first {
            self.stood(*candidate, *place);
        }
    }

    fn refused_vote(
        &mut self,
        (voter, candidate): (ServerId, ServerId),
        (at, place): (Time, u64),
        term: Term,
        pre_vote: bool,
        reason: VoteRefusal,
    ) {
        let kind = if pre_vote { "pre-vote" } else { "vote" };
        let asked = |it: &Passage| {
            (it.from, it.to, &it.fate) == (candidate, voter, &Fate::Delivered)
                && matches!(it.message, Message::RequestVote(request)
                    if request.pre_vote == pre_vote)
        };
        let request = self.message_before(place, asked);
        let last = match request.map(|it| it.what.message) {
            Some(Message::RequestVote(request)) => Some(request.last_log),
            _ => None,
        };
        let why = match reason {
            VoteRefusal::LeaderAlive(leader) if leader == voter => {
                "it leads itself, and whoever hears a leader elects no other".to_owned()
            }
            VoteRefusal::LeaderAlive(leader) => format!(
                "it had just heard from {leader}, and whoever hears a leader elects no other"
            ),
            VoteRefusal::AlreadyVoted(other) if other == voter => {
                format!("it stands itself, and has voted for itself in term {term}")
            }
            VoteRefusal::AlreadyVoted(other) => {
                format!("it has voted for {other} in term {term}, and has one vote a term")
            }
            VoteRefusal::LogBehind => {
                let behind = last.map_or(String::new(), |last| {
                    let (index, term) = (last.index, last.term);
                    format!(", which ends with entry {index} of term {term}")
                });
                format!("{candidate}'s log{behind}, lacks entries of its own (section 5.4.1)")
            }
            VoteRefusal::StaleTerm => format!("it is in term {term} already, and that one is over"),
            VoteRefusal::Recovering => {
                "it lost its disk, and does not vote before a quorum has recovered it".to_owned()
            }
            VoteRefusal::JustStarted => {
                "it had just started, and may have heard from a leader before".to_owned()
            }
        };
        let text = format!("{voter} refused {candidate} its {kind}: {why}");
        self.add(Rank::End, place, at, text);
        let stood = |event: &Event| {
            matches!(event, Event::Became { server, role, .. }
                if *server == candidate
                    && matches!(role, RoleKind::PreCandidate | RoleKind::Candidate))
        };
        if let Some(event) = self.event_before(place, stood) {
            self.stood(candidate, event.place);
        }
        match reason {
            VoteRefusal::LeaderAlive(leader) if leader != voter => {
                if let Some(heard) = self.last_heard(voter, Some(leader), place) {
                    let text = format!("{voter} heard from {leader}, which leads");
                    self.add(Rank::Near, heard.place, heard.at, text);
                }
            }
            VoteRefusal::AlreadyVoted(other) if other == voter => {
                let stood = |event: &Event| {
                    matches!(event, Event::Became { server, role: RoleKind::Candidate, .. }
                        if *server == voter)
                };
                if let Some(event) = self.event_before(place, stood) {
                    self.stood(voter, event.place);
                }
            }
            VoteRefusal::AlreadyVoted(other) => {
                let voted = |it: &Passage| {
                    (it.from, it.to, &it.fate) == (voter, other, &Fate::Sent)
                        && matches!(it.message, Message::RequestVoteReply(reply)
                            if reply.vote.is_ok() && !reply.pre_vote && reply.term == term)
                };
                if let Some(vote) = self.message_before(place, voted) {
                    let text = format!("{voter} gave {other} its vote in term {term}");
                    self.add(Rank::Near, vote.place, vote.at, text);
                }
            }
            VoteRefusal::LogBehind => {
                let place = request.map_or(place, |request| request.place);
                self.missed(candidate, voter, place);
            }
            VoteRefusal::Recovering | VoteRefusal::JustStarted => {
                let started = |event: &Event| *event == Event::Started(voter);
                if let Some(event) = self.event_before(place, started) {
                    let disk = match reason {
                        VoteRefusal::Recovering => ", with a disk that had forgotten everything",
                        _ => "",
                    };
                    self.add(Rank::Near, event.place, event.at, format!("{voter} started{disk}"));
                }
            }
            VoteRefusal::LeaderAlive(_) | VoteRefusal::StaleTerm => {}
        }
    }

    /// What this server did not get, and that other one has.
    fn missed(&mut self, server: ServerId, other: ServerId, place: u64) {
        let carries = |it: &Passage| {
            matches!(it.message, Message::AppendEntries(append)
                if append.last > append.prev_log.index)
        };
        let has = |it: &Passage| {
            carries(it)
                && ((it.to, &it.fate) == (other, &Fate::Delivered)
                    || (it.from, &it.fate) == (other, &Fate::Sent))
        };
        let Some(news) = self.message_before(place, has) else { return };
        let Message::AppendEntries(append) = news.what.message else { return };
        let (leader, term) = (news.what.from, append.term);
        let text = match leader == other {
            true => format!("{other} sent out entry {}, as the leader of term {term}", append.last),
            false => format!("{other} got entry {} from {leader}", append.last),
        };
        self.add(Rank::Near, news.place, news.at, text);
        self.silence(&[(leader, server)], 0, place);
    }
}

/// What a leader did not do, by which it is told from one that was cut off.
fn stalled(reason: HandoverReason, timing: Timing) -> String {
    let patience = crate::script::Time(timing.election_timeout_max);
    match reason {
        HandoverReason::DiskStalled => format!("its disk had finished no write for {patience}"),
        HandoverReason::ApplyStalled => {
            format!("its state machine had applied nothing for {patience}")
        }
        other => other.to_string(),
    }
}

/// `1 server`, `2 servers`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// These servers, or none of them.
fn named(servers: &[ServerId]) -> Option<String> {
    (!servers.is_empty()).then(|| list(servers))
}
