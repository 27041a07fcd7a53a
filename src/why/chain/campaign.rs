//! How servers came to stand for election, and why none of them was elected.

use std::collections::BTreeMap;

use super::{Rank, Teller, list, named};
use crate::actors::ServerStatus;
use crate::raft::{Message, RoleKind, ServerId, Time, Why};
use crate::why::account::{Event, Fate, Passage, Record};
use crate::why::fact::{Loss, Moment};

/// A server that asks for votes or pre-votes, and what it was told.
struct Campaign {
    server: ServerId,
    at: Time,
    place: u64,
    pre_vote: bool,
    granted: Vec<ServerId>,
    refused: Vec<(ServerId, String)>,
    silent: Vec<(ServerId, &'static str)>,
}

impl Teller<'_> {
    /// How this server came to stand, or to ask whether it may, as is told at this place.
    pub(super) fn stood(&mut self, server: ServerId, place: u64) {
        let Some(event) = self.account().events().find(|it| it.place == place) else { return };
        let Event::Became { role, term, why, .. } = &event.what else { return };
        let text = match (role, why) {
            (RoleKind::Candidate, Why::Forced) => {
                format!("{server} stood for election in term {term}, as it was told")
            }
            (RoleKind::Candidate, Why::HandedOver(leader)) => {
                format!("{server} stood in term {term}: {leader} had handed over to it")
            }
            (RoleKind::Candidate, Why::PreVotesWon) => {
                format!("{server} had the pre-votes of a majority and stood in term {term}")
            }
            _ => format!(
                "{}{server} had heard no leader for an election timeout, and asked for pre-votes",
                self.by_its_clock(server)
            ),
        };
        self.add(Rank::Near, event.place, event.at, text);
        if (*role, *why) == (RoleKind::Candidate, Why::PreVotesWon) {
            let asked = |event: &Event| {
                matches!(event, Event::Became { server: it, role: RoleKind::PreCandidate, .. }
                    if *it == server)
            };
            if let Some(event) = self.event_before(place, asked) {
                self.stood(server, event.place);
            }
        } else if *why == Why::ElectionTimeout
            && let Some(heard) = self.last_heard(server, None, place)
        {
            let leader = heard.what.from;
            let (at, term) = (heard.at, heard.what.message.term());
            let text = format!(
                "{server} heard from {leader}, the leader of term {term}, for the last time"
            );
            self.add(Rank::Near, heard.place, at, text);
            self.silence(&[(leader, server)], heard.place, place);
        }
    }

    pub(super) fn no_leader(&mut self, at: Time, since: Time, last: Option<ServerId>) {
        if let Some(last) = last {
            self.leader_gone(last, since);
        }
        let Some(status) = self.seen.looks.last() else { return };
        let is_up = |id: &ServerId| status.server(*id).is_some_and(ServerStatus::is_up);
        let idle: Vec<ServerId> = self.voters.iter().copied().filter(|id| !is_up(id)).collect();
        let up = self.voters.len() - idle.len();
        let alone = status.leader().filter(|leader| leader.is_up()).map(|leader| leader.id);
        let timers = status.servers.iter().filter(|server| server.is_up() && !server.leads());
        let next = timers.filter_map(|server| Some((server.timer?, server.id))).min();
        for id in &idle {
            self.down(*id, u64::MAX);
        }
        let campaigns = self.campaigns(since);
        let tried = !campaigns.is_empty();
        let (count, latest) = (campaigns.len(), campaigns.into_iter().rev().take(2));
        for (place, campaign) in latest.enumerate() {
            let rank = if place == 0 { Rank::End } else { Rank::Near };
            let many = if place == 0 && count > 2 { count } else { 0 };
            let text = campaign.tell(many);
            self.add(rank, campaign.place, campaign.at, text);
        }
        let needed = self.majority();
        let text = if up < needed {
            format!(
                "{} cannot answer: a leader needs {needed} votes of {}, and {up} can be had",
                list(&idle),
                self.voters.len()
            )
        } else if let Some(leader) = alone {
            format!("{leader} believes that it leads, but no majority follows it")
        } else if tried {
            format!("no server has the votes of {needed}")
        } else {
            let next = next.map_or(String::new(), |(timer, server)| {
                format!(": {server}'s election timeout ends first, at {}", Moment(at + timer))
            });
            format!("nobody has stood for election yet{next}")
        };
        self.conclude(Rank::End, at, text);
    }

    /// How the last leader ceased to be one, which was at this moment.
    fn leader_gone(&mut self, last: ServerId, since: Time) {
        let mut term = None;
        let mut gone = None;
        for event in self.account().events() {
            match &event.what {
                Event::Became { server, role: RoleKind::Leader, term: of, .. }
                    if *server == last && event.at <= since =>
                {
                    (term, gone) = (Some(*of), None);
                }
                Event::Became { server, why, .. } if *server == last && gone.is_none() => {
                    gone = Some((event.place, Loss::SteppedDown(*why)));
                }
                Event::Ended { server, how } if *server == last && gone.is_none() => {
                    gone = Some((event.place, Loss::Ended(how.clone())));
                }
                _ => {}
            }
        }
        match (term, gone) {
            (Some(term), Some((place, how))) => {
                self.lost_leadership(last, term, place, &how, Rank::Near);
            }
            (Some(term), None) => {
                // Its followers left it.
                let left = |event: &&Record<Event>| {
                    event.at == since && event.what.changes().is_some_and(|it| it != last)
                };
                let Some(event) = self.account().events().rev().find(left) else { return };
                match &event.what {
                    Event::Became {
                        server,
                        role: RoleKind::PreCandidate | RoleKind::Candidate,
                        ..
                    } => {
                        self.stood(*server, event.place);
                    }
                    Event::Became { server, why, .. } => {
                        let text =
                            format!("{server} left {last}, the leader of term {term}: {why}");
                        self.add(Rank::Near, event.place, event.at, text);
                    }
                    Event::Ended { server, how } => {
                        self.add(Rank::Near, event.place, event.at, format!("{server} {how}"));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Whoever asked for votes since this moment.
    fn campaigns(&self, since: Time) -> Vec<Campaign> {
        let mut campaigns = Vec::new();
        for event in self.account().events().filter(|event| event.at >= since) {
            if let Event::Became { server, role, .. } = &event.what
                && matches!(role, RoleKind::PreCandidate | RoleKind::Candidate)
            {
                campaigns.push(self.campaign(*server, event, *role == RoleKind::PreCandidate));
            }
        }
        campaigns
    }

    fn campaign(&self, server: ServerId, event: &Record<Event>, pre_vote: bool) -> Campaign {
        let mut events = self.account().events();
        let ended = events.find(|it| it.place > event.place && it.what.changes() == Some(server));
        let end = ended.map_or(u64::MAX, |it| it.place);
        let mut answers: BTreeMap<ServerId, Option<String>> = BTreeMap::new();
        let mut silent: BTreeMap<ServerId, &'static str> = BTreeMap::new();
        let within = |it: &&Record<Passage>| it.place > event.place && it.place < end;
        for it in self.account().messages().filter(within) {
            let passage = &it.what;
            match &passage.message {
                Message::RequestVote(request)
                    if passage.from == server && request.pre_vote == pre_vote =>
                {
                    let state = match &passage.fate {
                        Fate::Sent => "it has not reached it",
                        Fate::Lost(why) if why.contains("cut") => "cut off",
                        Fate::Lost(why) if why.contains("down") => "down",
                        Fate::Lost(_) => "lost on the way",
                        Fate::Delivered => "its answer is not there",
                    };
                    silent.insert(passage.to, state);
                }
                Message::RequestVoteReply(reply)
                    if passage.to == server
                        && reply.pre_vote == pre_vote
                        && passage.fate == Fate::Delivered =>
                {
                    let refusal = reply.vote.err().map(|refusal| refusal.to_string());
                    answers.insert(passage.from, refusal);
                }
                _ => {}
            }
        }
        silent.retain(|id, _| !answers.contains_key(id));
        let granted = answers.iter().filter(|(_, it)| it.is_none()).map(|(id, _)| *id).collect();
        let refused = answers.into_iter().filter_map(|(id, why)| Some((id, why?))).collect();
        let (at, place) = (event.at, event.place);
        let silent = silent.into_iter().collect();
        Campaign { server, at, place, pre_vote, granted, refused, silent }
    }
}

impl Campaign {
    /// What became of it; the last of `many`, if they are to be mentioned.
    fn tell(&self, many: usize) -> String {
        let kind = if self.pre_vote { "pre-votes" } else { "votes" };
        let mut text = format!("{} asked for {kind}", self.server);
        if many > 0 {
            text.push_str(&format!(", the last of {many} attempts"));
        }
        let mut parts = Vec::new();
        if let Some(granted) = named(&self.granted) {
            parts.push(format!("{granted} agreed"));
        }
        parts.extend(self.refused.iter().map(|(id, why)| format!("{id} refused ({why})")));
        let mut states: BTreeMap<&str, Vec<ServerId>> = BTreeMap::new();
        for (id, state) in &self.silent {
            states.entry(state).or_default().push(*id);
        }
        parts.extend(
            states.iter().map(|(state, ids)| format!("{} did not answer ({state})", list(ids))),
        );
        if parts.is_empty() { text } else { format!("{text}: {}", parts.join(", ")) }
    }
}
