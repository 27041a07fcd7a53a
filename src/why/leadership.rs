//! Who led when, as the events of a run tell it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::account::{Account, Event};
use crate::actors::{Order, Servers};
use crate::raft::{Configuration, Index, RoleKind, ServerId, Term, Time};

/// The leader that a majority followed, from each moment on at which that changed.
pub(super) struct Leadership(Vec<(Time, Option<ServerId>)>);

/// A server that runs.
#[derive(Clone, Default)]
struct Running {
    paused: bool,
    leads: bool,
    term: Term,
    follows: Option<ServerId>,
}

impl Leadership {
    /// As this account tells it, of so many founders.
    pub(super) fn of(account: &Account, servers: u64) -> Self {
        let mut running: BTreeMap<ServerId, Running> = BTreeMap::new();
        let mut changes = vec![(Time::default(), None)];
        let mut members = (Index(0), Configuration::new((1..=servers).map(ServerId)));
        let mut events = account.events().peekable();
        while let Some(event) = events.next() {
            let refused = events.peek().is_some_and(|next| next.what == Event::Refused);
            match &event.what {
                Event::Ordered(Order::Pause(who)) if !refused => pause(&mut running, who, true),
                Event::Ordered(Order::Resume(who)) if !refused => pause(&mut running, who, false),
                Event::Started(server) => {
                    running.insert(*server, Running::default());
                }
                Event::Ended { server, .. } => {
                    running.remove(server);
                }
                Event::Became { server, role, term, leader, .. } => {
                    let it = running.entry(*server).or_default();
                    it.leads = *role == RoleKind::Leader;
                    (it.term, it.follows) = (*term, *leader);
                }
                Event::Configured { at, configuration } if *at >= members.0 => {
                    members = (*at, configuration.clone());
                }
                _ => continue,
            }
            let leader = followed(&running, &members.1);
            if changes.last().is_none_or(|(_, before)| *before != leader) {
                changes.push((event.at, leader));
            }
        }
        Self(changes)
    }

    /// The leader at this moment, and since when it is so.
    pub(super) fn at(&self, at: Time) -> (Time, Option<ServerId>) {
        let after = self.0.partition_point(|(since, _)| *since <= at);
        after.checked_sub(1).and_then(|place| self.0.get(place)).copied().unwrap_or_default()
    }

    /// The last leader before this moment.
    pub(super) fn last_before(&self, at: Time) -> Option<ServerId> {
        self.0.iter().rev().filter(|(since, _)| *since < at).find_map(|(_, leader)| *leader)
    }

    /// How much of the time between these moments there was no leader.
    pub(super) fn absence(&self, from: Time, to: Time) -> Duration {
        let ends = self.0.iter().skip(1).map(|(since, _)| *since).chain([to]);
        let spans = self.0.iter().zip(ends).filter(|((_, leader), _)| leader.is_none());
        spans.map(|((since, _), end)| end.min(to).since((*since).max(from))).sum()
    }
}

fn pause(running: &mut BTreeMap<ServerId, Running>, who: &Servers, paused: bool) {
    for (id, it) in running {
        if *who == Servers::All || matches!(who, Servers::Only(some) if some.contains(id)) {
            it.paused = paused;
        }
    }
}

/// The leader of the latest term, if a quorum follows it.
fn followed(running: &BTreeMap<ServerId, Running>, members: &Configuration) -> Option<ServerId> {
    let leaders = running.iter().filter(|(_, it)| it.leads);
    let (leader, it) = leaders.max_by_key(|(_, it)| it.term).filter(|(_, it)| !it.paused)?;
    let follows =
        |other: &Running| !other.paused && other.term == it.term && other.follows == Some(*leader);
    let follows = |id: ServerId| running.get(&id).is_some_and(follows);
    members.reached_by_quorum(follows).then_some(*leader)
}
