//! States of the cluster, and what each may become.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::catalogue::{Action, Catalogue, Glance, Move};
use super::packet::Packet;
use super::report::Bounds;
use super::server::Setup;
use crate::invariants::{Property, Violation};
use crate::raft::ServerId;

/// Everything at one moment, in numbers of the [`Catalogue`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// By place: the first is S1.
    pub(crate) servers: Vec<u32>,
    pub(crate) monitor: u32,
    pub(crate) spent: Spent,
    /// Every message ever sent that may still matter. Each may arrive at any time, again and
    /// again, or never.
    pub(crate) network: Bits,
}

/// How much of the bounds has been used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) crashes: u8,
    pub(crate) entries: u8,
    /// Whether the members were asked to change.
    pub(crate) changed: bool,
}

impl Spent {
    /// From the crashes and from the [`rest`](Self::rest).
    pub(crate) fn of(crashes: u8, rest: u32) -> Self {
        Self { crashes, entries: rest as u8, changed: rest >> 8 > 0 }
    }

    /// All but the crashes.
    fn rest(self) -> u32 {
        u32::from(self.entries) | u32::from(self.changed) << 8
    }
}

/// The cluster, within bounds.
pub(crate) struct World {
    pub(crate) catalogue: Catalogue,
    bounds: Bounds,
    /// Moves that changed something, by label.
    coverage: Vec<u64>,
    pending: Vec<(usize, Action)>,
    /// What was sent without any server's changing, and why: by the last move.
    pub(crate) echoes: Vec<(u32, Move)>,
}

impl World {
    pub(crate) fn new(bounds: &Bounds, setup: Setup) -> Self {
        Self {
            catalogue: Catalogue::new(setup),
            bounds: bounds.clone(),
            coverage: Vec::new(),
            pending: Vec::new(),
            echoes: Vec::new(),
        }
    }

    /// A new cluster.
    pub(crate) fn initial(&self) -> State {
        let (servers, monitor) = self.catalogue.beginning();
        State { servers, monitor, spent: Spent::default(), network: Bits::default() }
    }

    /// Whether a server's timer may fire: no election begins a term beyond the last.
    fn may_fire(&self, server: u32) -> bool {
        let glance = &self.catalogue.glances[server as usize];
        glance.leads || glance.term.0 < self.bounds.terms
    }

    /// How far the cluster has come.
    pub(crate) fn progress(&self, state: &State) -> u64 {
        let servers = state.servers.iter();
        let sum: u64 = servers.map(|it| self.catalogue.glances[*it as usize].progress).sum();
        sum + 1024 * u64::from(state.spent.crashes) + u64::from(state.spent.rest())
    }

    /// Everything that may happen next.
    pub(crate) fn moves(&self, state: &State, moves: &mut Vec<(usize, Action)>) {
        moves.clear();
        for (place, server) in state.servers.iter().enumerate() {
            let glance = &self.catalogue.glances[*server as usize];
            let mut add = |action| moves.push((place, action));
            if self.may_fire(*server) {
                add(Action::Timer);
            }
            if glance.may_sync {
                add(Action::Sync);
            }
            if glance.leads && state.spent.entries < self.bounds.entries {
                add(Action::Propose(state.spent.entries + 1));
            }
            if glance.leads && !state.spent.changed && !self.bounds.members.is_empty() {
                add(Action::Change);
            }
            if state.spent.crashes < self.bounds.crashes {
                add(Action::Restart);
            }
            let addressed = &self.catalogue.addressed[place];
            state.network.common(addressed, &glance.inert).for_each(|packet| {
                add(Action::Deliver(packet));
            });
        }
    }

    /// What the state becomes by a move; `None` if it stays as it is.
    pub(crate) fn take(
        &mut self,
        state: &State,
        place: usize,
        action: Action,
    ) -> Result<Option<State>, Violation> {
        let server = state.servers[place];
        let number = self.catalogue.outcome(server, action);
        let outcome = &self.catalogue.outcomes[number as usize];
        if let Some(text) = &outcome.failed {
            return Err(Violation { property: Property::Assertion, text: text.clone() });
        }
        let (next, label) = (outcome.next, outcome.label as usize);
        let monitor = self.catalogue.observe(state.monitor, number)?;
        let outcome = &self.catalogue.outcomes[number as usize];
        if next == server && monitor == state.monitor {
            if outcome.sent.is_empty()
                && outcome.notes.is_empty()
                && let Action::Deliver(packet) = action
            {
                self.catalogue.glances[server as usize].inert.insert(packet);
            }
            // What it sends has been sent already.
            return Ok(None);
        }
        if self.coverage.len() <= label {
            self.coverage.resize(label + 1, 0);
        }
        self.coverage[label] += 1;
        let mut after = state.clone();
        after.servers[place] = next;
        after.monitor = monitor;
        match action {
            Action::Propose(number) => after.spent.entries = number,
            Action::Change => after.spent.changed = true,
            Action::Restart => after.spent.crashes += 1,
            Action::Deliver(_) | Action::Timer | Action::Sync => {}
        }
        let term = |server: u32| self.catalogue.glances[server as usize].term;
        if term(next) > term(server) {
            self.forget_dead(&mut after, place);
        }
        let recovering = |server: u32| self.catalogue.glances[server as usize].recovering;
        if recovering(server) && !recovering(next) {
            let id = self.catalogue.servers[next].id;
            let said = |packet: &Packet| packet.from == id && packet.is_of_a_recovery();
            after.network.retain(|packet| !said(&self.catalogue.packets[packet]));
        }
        self.echoes.clear();
        self.pending.clear();
        if self.may_fire(next) {
            self.pending.push((place, Action::Timer));
        }
        let Glance { inert, moving, .. } = &self.catalogue.glances[next as usize];
        let old = after.network.common(&self.catalogue.addressed[place], inert);
        let old = old.filter(|packet| !moving.contains(*packet));
        self.pending.extend(old.map(|packet| (place, Action::Deliver(packet))));
        self.send(&mut after, number, None);
        self.settle(&mut after);
        Ok(Some(after))
    }

    /// Moves so far, by role and by what happened.
    pub(crate) fn coverage(&self) -> BTreeMap<String, u64> {
        let label =
            |(label, count): (usize, &u64)| (self.catalogue.labels[label as u32].clone(), *count);
        self.coverage.iter().enumerate().map(label).filter(|(_, count)| *count > 0).collect()
    }

    /// The messages that an event makes a server send.
    pub(crate) fn sent(&mut self, server: u32, action: Action) -> &[u32] {
        let number = self.catalogue.outcome(server, action);
        &self.catalogue.outcomes[number as usize].sent
    }

    /// Adds what an outcome sends.
    fn send(&mut self, state: &mut State, outcome: u32, echo: Option<Move>) {
        for place in 0..self.catalogue.outcomes[outcome as usize].sent.len() {
            let packet = self.catalogue.outcomes[outcome as usize].sent[place];
            let sent = &self.catalogue.packets[packet];
            let beyond = sent.begins_a_term() && sent.message.term().0 >= self.bounds.terms;
            if beyond || state.network.contains(packet) || self.is_dead(state, packet) {
                continue;
            }
            state.network.insert(packet);
            let to = self.catalogue.packets[packet].to.0 as usize - 1;
            self.pending.push((to, Action::Deliver(packet)));
            self.echoes.extend(echo.map(|echo| (packet, echo)));
        }
    }

    /// Sends at once all that may be sent without any server's changing, heartbeats for one: more
    /// messages never make less possible.
    fn settle(&mut self, state: &mut State) {
        while let Some((place, action)) = self.pending.pop() {
            let server = state.servers[place];
            let number = self.catalogue.outcome(server, action);
            let outcome = &self.catalogue.outcomes[number as usize];
            if outcome.next != server
                && let Action::Deliver(packet) = action
            {
                self.catalogue.glances[server as usize].moving.insert(packet);
            }
            if outcome.next == server
                && outcome.failed.is_none()
                && !outcome.sent.is_empty()
                && self.catalogue.observe(state.monitor, number) == Ok(state.monitor)
            {
                let server = self.catalogue.servers[server].id;
                self.send(state, number, Some(Move { server, action }));
            }
        }
    }

    /// Drops the messages to and from the server at `place` that nobody waits for any more.
    fn forget_dead(&mut self, state: &mut State, place: usize) {
        let packets: Vec<_> = state.network.iter().collect();
        let id = self.catalogue.servers[state.servers[place]].id;
        let concerns = |packet: &Packet| packet.to == id || packet.from == id;
        let dead: Bits = packets
            .into_iter()
            .filter(|number| {
                concerns(&self.catalogue.packets[*number]) && self.is_dead(state, *number)
            })
            .collect();
        state.network.retain(|packet| !dead.contains(packet));
    }

    /// Whether a message is of a term that both its ends have left, or an answer of one that its
    /// receiver has left, and is thrown away or at most refused, as the core is asked to show.
    fn is_dead(&mut self, state: &State, number: u32) -> bool {
        let packet = &self.catalogue.packets[number];
        let at = |id: ServerId| state.servers[id.0 as usize - 1];
        let past =
            |server: u32| packet.message.term() < self.catalogue.glances[server as usize].term;
        let receiver = at(packet.to);
        let from = packet.from;
        if !past(receiver) || !(packet.is_of_one_term() || past(at(from))) {
            return false;
        }
        let outcome = self.catalogue.outcome(receiver, Action::Deliver(number));
        let outcome = &self.catalogue.outcomes[outcome as usize];
        outcome.failed.is_none()
            && outcome.next == receiver
            && outcome.notes.is_empty()
            && outcome.sent.iter().all(|answer| self.catalogue.packets[*answer].is_refusal())
    }

    /// The same state with the servers' names such that equal states are equal; the row is of
    /// everything but the network.
    pub(crate) fn canonical(&self, state: &State) -> (Vec<u32>, Bits) {
        let catalogue = &self.catalogue;
        let class = |place: usize| catalogue.glances[state.servers[place] as usize].class;
        let mut least: Option<Vec<u32>> = None;
        let mut ways = Vec::new();
        for (way, origins) in catalogue.renamings.origins.iter().enumerate() {
            let neighbours = &catalogue.renamings.neighbours;
            let ascends =
                |(one, next): &(usize, usize)| class(origins[*one]) <= class(origins[*next]);
            if !neighbours.iter().all(ascends) {
                continue;
            }
            let image = |place: &usize| catalogue.server_images.of(state.servers[*place], way);
            let mut row: Vec<_> = origins.iter().map(image).collect();
            row.push(catalogue.monitor_images.of(state.monitor, way));
            row.push(state.spent.rest());
            if least.as_ref().is_none_or(|least| row < *least) {
                ways.clear();
                ways.push(way);
                least = Some(row);
            } else if least.as_ref() == Some(&row) {
                ways.push(way);
            }
        }
        let network = |way: &usize| -> Bits {
            let image = |packet| catalogue.packet_images.of(packet, *way);
            state.network.iter().map(image).collect()
        };
        let network = ways.iter().map(network).min();
        let both = least.zip(network);
        both.expect("invariant: some order of the servers is ascending")
    }
}
