//! What became of messages: who was heard last, and what was lost or held up after that.

use std::collections::BTreeMap;

use super::{Rank, Teller, count, list};
use crate::raft::{Message, Round, ServerId, Time};
use crate::why::account::{Event, Fate, Passage, Record};

/// What went wrong with messages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Trouble {
    Lost(String),
    Late,
}

/// The messages with one trouble.
struct Troubled {
    place: u64,
    at: Time,
    pairs: Vec<(ServerId, ServerId)>,
    messages: usize,
}

impl<'a> Teller<'a> {
    /// The last `AppendEntries` that reached a server before this place, from this leader or any.
    pub(super) fn last_heard(
        &self,
        server: ServerId,
        leader: Option<ServerId>,
        place: u64,
    ) -> Option<&'a Record<Passage>> {
        self.message_before(place, |it| {
            it.to == server
                && it.fate == Fate::Delivered
                && leader.is_none_or(|leader| leader == it.from)
                && matches!(it.message, Message::AppendEntries(_))
        })
    }

    /// Why a leader had no answers from a majority.
    pub(super) fn quorum_lost(&mut self, leader: ServerId, place: u64) {
        let peers = self.others(leader);
        let last_answer = |peer: ServerId| {
            self.message_before(place, |it| {
                (it.from, it.to, &it.fate) == (peer, leader, &Fate::Delivered)
                    && matches!(it.message, Message::AppendEntriesReply(_))
            })
        };
        // Those whose answers came last are those that were heard; enough others were not.
        let mut answers: Vec<(u64, ServerId, Option<&Record<Passage>>)> = peers
            .iter()
            .map(|peer| {
                let answer = last_answer(*peer);
                let asked = answer.and_then(|it| self.asked(leader, *peer, it));
                (asked.map_or(0, |it| it.place), *peer, answer)
            })
            .collect();
        answers.sort_unstable_by_key(|(asked, peer, _)| (*asked, *peer));
        answers.truncate(peers.len() + 1 - (self.majority() - 1));
        let silent: Vec<ServerId> = answers.iter().map(|(_, peer, _)| *peer).collect();
        let latest = answers.iter().filter_map(|(.., answer)| *answer).max_by_key(|it| it.place);
        let mut after = 0;
        if let Some(answer) = latest {
            let from = answer.what.from;
            let late = self.asked(leader, from, answer).map(|asked| answer.at.since(asked.at));
            let text = match late.filter(|late| *late >= self.timing.heartbeat) {
                Some(late) => format!(
                    "{from}'s last answer reached {leader}, {} ms after the heartbeat that it \
                     answers",
                    late.as_millis()
                ),
                None => format!("{leader} heard from {from} for the last time"),
            };
            self.add(Rank::Near, answer.place, answer.at, text);
            after = answers.iter().filter_map(|(.., it)| it.map(|it| it.place)).min().unwrap_or(0);
        }
        let both = silent.iter().flat_map(|peer| [(leader, *peer), (*peer, leader)]);
        self.silence(&both.collect::<Vec<_>>(), after, place);
    }

    /// The heartbeat that a reply answers.
    fn asked(
        &self,
        leader: ServerId,
        peer: ServerId,
        reply: &Record<Passage>,
    ) -> Option<&'a Record<Passage>> {
        let Message::AppendEntriesReply(answer) = reply.what.message else { return None };
        let of_round = |round: Round| {
            self.message_before(reply.place, |it| {
                (it.from, it.to, &it.fate) == (leader, peer, &Fate::Sent)
                    && matches!(it.message, Message::AppendEntries(append) if append.round == round)
            })
        };
        of_round(answer.round)
    }

    /// What went wrong with the messages on these links between two places.
    pub(super) fn silence(&mut self, links: &[(ServerId, ServerId)], after: u64, until: u64) {
        let mut arrived = BTreeMap::new();
        let mut lost = BTreeMap::new();
        for it in self.account().messages() {
            match &it.what.fate {
                Fate::Delivered if it.place < until => {
                    arrived.entry(it.what.number).or_insert(it.at);
                }
                Fate::Lost(why) => {
                    lost.insert(it.what.number, why);
                }
                _ => {}
            }
        }
        let mut troubles: BTreeMap<Trouble, Troubled> = BTreeMap::new();
        let within = |it: &&Record<Passage>| it.place > after && it.place < until;
        for it in self.account().messages().filter(within) {
            let pair = (it.what.from, it.what.to);
            if it.what.fate != Fate::Sent || !links.contains(&pair) {
                continue;
            }
            let trouble = match (lost.get(&it.what.number), arrived.get(&it.what.number)) {
                (Some(why), None) => Trouble::Lost((*why).clone()),
                (_, Some(at)) if at.since(it.at) < self.timing.heartbeat => continue,
                _ => Trouble::Late,
            };
            let troubled = troubles.entry(trouble).or_insert_with(|| Troubled {
                place: it.place,
                at: it.at,
                pairs: Vec::new(),
                messages: 0,
            });
            troubled.messages += 1;
            if !troubled.pairs.contains(&pair) {
                troubled.pairs.push(pair);
            }
        }
        for (trouble, troubled) in troubles {
            let (who, messages) = (what(&troubled.pairs), count(troubled.messages, "message"));
            let text = match trouble {
                Trouble::Lost(why) if why.starts_with("the server") => {
                    format!("from here on, {who} found nobody ({messages}): {why}")
                }
                Trouble::Lost(why) => format!("from here on, {who} got lost ({messages}): {why}"),
                Trouble::Late => {
                    format!("from here on, {who} came late, or has not come yet ({messages})")
                }
            };
            self.add(Rank::Near, troubled.place, troubled.at, text);
        }
        for (from, to) in links {
            self.down(*from, until);
            self.down(*to, until);
        }
    }

    /// That a server was down, and since when.
    pub(super) fn down(&mut self, server: ServerId, until: u64) {
        let about = |event: &Event| match event {
            Event::Started(it) | Event::Ended { server: it, .. } => *it == server,
            _ => false,
        };
        if let Some(Record { at, place, what: Event::Ended { how, .. } }) =
            self.event_before(until, about)
        {
            // The order that is named as the cause has said it.
            if !self.ends.contains(at) {
                self.add(Rank::Far, *place, *at, format!("{server} {how}"));
            }
        }
    }
}

/// `what S1 sent to S2 and S3`, or `what S1 and S2 sent each other`.
fn what(pairs: &[(ServerId, ServerId)]) -> String {
    let mut from: Vec<ServerId> = pairs.iter().map(|(from, _)| *from).collect();
    let mut to: Vec<ServerId> = pairs.iter().map(|(_, to)| *to).collect();
    for side in [&mut from, &mut to] {
        side.sort_unstable();
        side.dedup();
    }
    if from.iter().all(|id| !to.contains(id)) {
        return format!("what {} sent to {}", list(&from), list(&to));
    }
    // One of them has a part in all of it.
    let hub = from.iter().find(|id| pairs.iter().all(|(from, to)| from == *id || to == *id));
    let mut all: Vec<ServerId> = from.iter().chain(&to).copied().collect();
    all.sort_unstable();
    all.dedup();
    match hub {
        Some(hub) => {
            all.retain(|id| id != hub);
            format!("what {hub} and {} sent each other", list(&all))
        }
        None => format!("what {} sent each other", list(&all)),
    }
}
