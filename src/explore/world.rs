//! The cluster: what may happen next, and what comes of it.
//!
//! Servers, messages and monitors are kept once each and named by numbers, so that a state is a
//! short row of numbers: the servers', the monitor's, how much of the budget is spent, and those
//! of the messages on their way. What a server makes of an event is worked out once and looked up
//! ever after; so is what the monitor makes of that. The same is done for every renaming of the
//! servers, which makes renaming a state a matter of looking up, too.

use super::Bounds;
use super::ghost::{Fact, Monitor, Violation};
use super::packet::{Packet, Renaming};
use super::server::{Event, Server, Setup, Step};
use super::table::Table;
use crate::raft::{Effect, RoleKind, ServerId, Term};

/// What happens to one server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Move {
    pub(crate) server: ServerId,
    pub(crate) action: Action,
}

/// An [`Event`], with the number of the message in its place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Action {
    Deliver(u32),
    Timer,
    Propose(u8),
    Sync,
    Restart,
}

/// Where the row of a state has no message.
const NOTHING: u32 = u32::MAX;

pub(crate) struct World {
    bounds: Bounds,
    setup: Setup,
    renamings: Renamings,
    servers: Table<Server>,
    glances: Vec<Glance>,
    packets: Table<Packet>,
    monitors: Table<Monitor>,
    /// Servers and what happens to them; `outcomes` has the same numbers.
    steps: Table<(u32, Action)>,
    outcomes: Vec<Outcome>,
    /// Monitors and outcomes; `verdicts` has the same numbers.
    observations: Table<(u32, u32)>,
    verdicts: Vec<Result<u32, Violation>>,
    labels: Table<String>,
    server_images: Images,
    packet_images: Images,
    monitor_images: Images,
    outcome_images: Images,
}

/// What is asked about a server all the time.
#[derive(Clone, Copy)]
struct Glance {
    term: Term,
    leads: bool,
    may_sync: bool,
    /// The least of its images' numbers: equal for servers that differ in names alone.
    class: u32,
}

/// What comes of an event at a server.
struct Outcome {
    next: u32,
    sent: Vec<u32>,
    facts: Vec<Fact>,
    failed: Option<String>,
    label: u32,
}

/// States that one state may become, one after the other.
#[derive(Default)]
pub(crate) struct Successors {
    pub(crate) rows: Vec<u32>,
    pub(crate) moves: Vec<Move>,
    /// Whether a move changed anything, in transitions, by label.
    pub(crate) coverage: Vec<u64>,
    union: Vec<u32>,
}

impl World {
    pub(crate) fn new(bounds: &Bounds, setup: Setup) -> Self {
        let renamings = Renamings::new(setup.servers);
        let ways = renamings.all.len();
        let mut world = Self {
            bounds: bounds.clone(),
            setup,
            renamings,
            servers: Table::new(),
            glances: Vec::new(),
            packets: Table::new(),
            monitors: Table::new(),
            steps: Table::new(),
            outcomes: Vec::new(),
            observations: Table::new(),
            verdicts: Vec::new(),
            labels: Table::new(),
            server_images: Images::new(ways),
            packet_images: Images::new(ways),
            monitor_images: Images::new(ways),
            outcome_images: Images::new(ways),
        };
        for id in (1..=setup.servers).map(ServerId) {
            let images: Vec<_> =
                world.renamings.all.iter().map(|renaming| setup.server(renaming.name(id))).collect();
            world.add_servers(images);
        }
        world.add_monitors(vec![Monitor::default(); ways]);
        world
    }

    /// The words of a state's row.
    pub(crate) fn width(&self) -> usize {
        self.places() + 2 + self.bounds.messages
    }

    fn places(&self) -> usize {
        self.setup.servers as usize
    }

    /// A new cluster.
    pub(crate) fn initial(&self) -> Vec<u32> {
        let mut row: Vec<_> = (0..self.setup.servers as u32)
            .map(|place| {
                let id = ServerId(u64::from(place) + 1);
                let place = (0..self.servers.len() as u32).find(|n| self.servers[*n].id == id);
                place.expect("invariant: the new servers are in the table")
            })
            .collect();
        row.extend([0, 0]);
        row.resize(self.width(), NOTHING);
        row
    }

    /// Finds what a state may become.
    pub(crate) fn successors(
        &mut self,
        row: &[u32],
        found: &mut Successors,
    ) -> Result<(), (Move, Violation)> {
        found.rows.clear();
        found.moves.clear();
        let places = self.places();
        let spent = Spent::unpack(row[places + 1]);
        for (place, server) in row[..places].iter().enumerate() {
            let glance = self.glances[*server as usize];
            if glance.leads || glance.term.0 < self.bounds.terms {
                self.take(row, place, Action::Timer, spent, found)?;
            }
            if glance.may_sync {
                self.take(row, place, Action::Sync, spent, found)?;
            }
            if glance.leads && spent.entries < self.bounds.entries {
                let spent = Spent { entries: spent.entries + 1, ..spent };
                self.take(row, place, Action::Propose(spent.entries), spent, found)?;
            }
            if spent.crashes < self.bounds.crashes {
                let spent = Spent { crashes: spent.crashes + 1, ..spent };
                self.take(row, place, Action::Restart, spent, found)?;
            }
        }
        for packet in row[places + 2..].iter().copied().filter(|packet| *packet != NOTHING) {
            let place = self.packets[packet].to.0 as usize - 1;
            self.take(row, place, Action::Deliver(packet), spent, found)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        row: &[u32],
        place: usize,
        action: Action,
        spent: Spent,
        found: &mut Successors,
    ) -> Result<(), (Move, Violation)> {
        let places = self.places();
        let server = row[place];
        let number = self.outcome(server, action);
        let taken = Move { server: self.servers[server].id, action };
        let outcome = &self.outcomes[number as usize];
        if let Some(text) = &outcome.failed {
            let violation = Violation { property: "assertion", text: text.clone() };
            return Err((taken, violation));
        }
        let (next, label) = (outcome.next, outcome.label as usize);
        if next == server && outcome.sent.is_empty() && outcome.facts.is_empty() {
            return Ok(());
        }
        found.union.clear();
        found.union.extend(row[places + 2..].iter().filter(|packet| **packet != NOTHING));
        found.union.extend(&outcome.sent);
        let monitor = if outcome.facts.is_empty() {
            row[places]
        } else {
            self.observe(row[places], number).map_err(|violation| (taken, violation))?
        };
        found.union.sort_unstable();
        found.union.dedup();
        self.drop_dead(row, place, next, &mut found.union);

        if found.coverage.len() <= label {
            found.coverage.resize(label + 1, 0);
        }
        let start = found.rows.len();
        for chosen in Choices::new(found.union.len(), self.bounds.messages) {
            let begin = found.rows.len();
            found.rows.extend_from_slice(&row[..places]);
            found.rows[begin + place] = next;
            found.rows.extend([monitor, spent.pack()]);
            let kept = (0..found.union.len()).filter(|place| chosen >> place & 1 == 1);
            found.rows.extend(kept.map(|place| found.union[place]));
            found.rows.resize(begin + self.width(), NOTHING);
            found.moves.push(taken);
        }
        found.coverage[label] += ((found.rows.len() - start) / self.width()) as u64;
        Ok(())
    }

    /// Takes out the answers of past terms that their receivers only throw away, as the core is
    /// asked to show: terms never fall, so they always will.
    fn drop_dead(&mut self, row: &[u32], place: usize, next: u32, union: &mut Vec<u32>) {
        union.retain(|number| {
            let packet = &self.packets[*number];
            let to = packet.to.0 as usize - 1;
            let server = if to == place { next } else { row[to] };
            if !packet.is_answer() || packet.message.term() >= self.glances[server as usize].term {
                return true;
            }
            let number = self.outcome(server, Action::Deliver(*number));
            let outcome = &self.outcomes[number as usize];
            outcome.failed.is_some()
                || outcome.next != server
                || !outcome.sent.is_empty()
                || !outcome.facts.is_empty()
        });
    }

    /// What comes of an event at a server: its number in `outcomes`.
    fn outcome(&mut self, server: u32, action: Action) -> u32 {
        let (number, new) = self.steps.insert((server, action));
        if !new {
            return number;
        }
        let ways = self.renamings.all.len();
        let servers: Vec<_> = (0..ways).map(|way| self.server_images.of(server, way)).collect();
        let actions: Vec<_> = (0..ways).map(|way| self.renamed_action(action, way)).collect();
        let steps: Vec<_> = (0..ways).map(|way| self.step(servers[way], actions[way])).collect();
        let failed = steps.iter().find_map(|step| step.as_ref().err()).cloned();
        let steps: Vec<Step> = steps.into_iter().flatten().collect();
        let nexts = match failed {
            None => self.add_servers(steps.iter().map(|step| step.server.clone()).collect()),
            Some(_) => servers.clone(),
        };
        let label = self.label(server, action);
        let mut numbers = Vec::new();
        for way in 0..ways {
            let (number, _) = self.steps.insert((servers[way], actions[way]));
            if number as usize == self.outcomes.len() {
                let before = servers[way];
                let (sent, facts) = match steps.get(way) {
                    Some(step) if failed.is_none() => {
                        (self.add_packets(&step.sent), facts(&self.servers[before], step))
                    }
                    _ => Default::default(),
                };
                let failed = failed.clone();
                self.outcomes.push(Outcome { next: nexts[way], sent, facts, failed, label });
            }
            numbers.push(number);
        }
        self.outcome_images.add(&numbers, &self.renamings);
        number
    }

    pub(crate) fn step(&self, server: u32, action: Action) -> Result<Step, String> {
        let event = match action {
            Action::Deliver(packet) => Event::Deliver(&self.packets[packet]),
            Action::Timer => Event::Timer,
            Action::Propose(command) => Event::Propose(command),
            Action::Sync => Event::Sync,
            Action::Restart => Event::Restart,
        };
        self.servers[server].step(event, &self.setup)
    }

    fn renamed_action(&self, action: Action, way: usize) -> Action {
        match action {
            Action::Deliver(packet) => Action::Deliver(self.packet_images.of(packet, way)),
            _ => action,
        }
    }

    /// The monitor after an outcome.
    fn observe(&mut self, monitor: u32, outcome: u32) -> Result<u32, Violation> {
        let (number, new) = self.observations.insert((monitor, outcome));
        if new {
            let ways = self.renamings.all.len();
            let monitors: Vec<_> = (0..ways).map(|way| self.monitor_images.of(monitor, way)).collect();
            let outcomes: Vec<_> = (0..ways).map(|way| self.outcome_images.of(outcome, way)).collect();
            let told: Result<Vec<_>, _> =
                (0..ways).map(|way| self.tell(monitors[way], outcomes[way])).collect();
            let after = told.map(|after| self.add_monitors(after));
            for way in 0..ways {
                let (number, _) = self.observations.insert((monitors[way], outcomes[way]));
                if number as usize == self.verdicts.len() {
                    let verdict = after.as_ref().map(|after| after[way]).map_err(Clone::clone);
                    self.verdicts.push(verdict);
                }
            }
        }
        self.verdicts[number as usize].clone()
    }

    fn tell(&self, monitor: u32, outcome: u32) -> Result<Monitor, Violation> {
        let mut monitor = self.monitors[monitor].clone();
        for fact in &self.outcomes[outcome as usize].facts {
            monitor.observe(fact)?;
        }
        Ok(monitor)
    }

    /// The row of the same state with the servers' names so that equal states have equal rows.
    pub(crate) fn canonical(&self, row: &[u32], result: &mut Vec<u32>, scratch: &mut Vec<u32>) {
        let places = self.places();
        let class = |place: usize| self.glances[row[place] as usize].class;
        result.clear();
        for way in 0..self.renamings.all.len() {
            let origins = &self.renamings.origins[way];
            if !origins.windows(2).all(|pair| class(pair[0]) <= class(pair[1])) {
                continue;
            }
            scratch.clear();
            scratch.extend(origins.iter().map(|place| self.server_images.of(row[*place], way)));
            scratch.push(self.monitor_images.of(row[places], way));
            scratch.push(row[places + 1]);
            let packets = row[places + 2..].iter().filter(|packet| **packet != NOTHING);
            scratch.extend(packets.map(|packet| self.packet_images.of(*packet, way)));
            scratch[places + 2..].sort_unstable();
            scratch.resize(row.len(), NOTHING);
            if result.is_empty() || *scratch < *result {
                std::mem::swap(result, scratch);
            }
        }
    }

    pub(crate) fn sizes(&self) -> String {
        format!("servers {} packets {} monitors {} steps {} obs {}", self.servers.len(), self.packets.len(), self.monitors.len(), self.steps.len(), self.observations.len())
    }

    pub(crate) fn coverage(&self, found: &Successors) -> String {
        let lines = found.coverage.iter().enumerate().map(|(n, count)| format!("{} {count}\n", self.labels[n as u32]));
        lines.collect()
    }

    fn add_servers(&mut self, images: Vec<Server>) -> Vec<u32> {
        let numbers: Vec<_> = images.into_iter().map(|server| self.servers.insert(server).0).collect();
        self.server_images.add(&numbers, &self.renamings);
        let class = numbers.iter().min().copied().unwrap_or_default();
        for number in self.glances.len()..self.servers.len() {
            let server = &self.servers[number as u32];
            self.glances.push(Glance {
                term: server.node.term(),
                leads: server.is_leader(),
                may_sync: server.may_sync(),
                class,
            });
        }
        numbers
    }

    fn add_monitors(&mut self, images: Vec<Monitor>) -> Vec<u32> {
        let add = |monitor| self.monitors.insert(monitor).0;
        let numbers: Vec<_> = images.into_iter().map(add).collect();
        self.monitor_images.add(&numbers, &self.renamings);
        numbers
    }

    fn add_packets(&mut self, packets: &[Packet]) -> Vec<u32> {
        let mut numbers = Vec::new();
        for packet in packets {
            let images = self.renamings.all.iter().map(|renaming| packet.renamed(renaming));
            let images: Vec<_> = images.map(|packet| self.packets.insert(packet).0).collect();
            self.packet_images.add(&images, &self.renamings);
            numbers.push(images[0]);
        }
        numbers
    }

    fn label(&mut self, server: u32, action: Action) -> u32 {
        let role = self.servers[server].node.role();
        let label = match action {
            Action::Deliver(packet) => {
                let text = self.packets[packet].to_string();
                format!("{role}: {}", text.split(' ').next().unwrap_or_default())
            }
            Action::Timer if role == RoleKind::Leader => format!("{role}: heartbeat"),
            Action::Timer => format!("{role}: election timeout"),
            Action::Propose(_) => format!("{role}: proposal"),
            Action::Sync => format!("{role}: disk done"),
            Action::Restart => format!("{role}: crash and restart"),
        };
        self.labels.insert(label).0
    }
}

/// What the monitor is told of a step.
fn facts(before: &Server, step: &Step) -> Vec<Fact> {
    let (server, log) = (before.id, &step.server.log);
    let fact = |effect: &Effect| match effect {
        Effect::Became { role: RoleKind::Leader, term, .. } => {
            Some(Fact::Led { server, term: *term, log: log.clone() })
        }
        Effect::Commit(index) => {
            Some(Fact::Committed { server, log: log[..index.0 as usize].to_vec() })
        }
        _ => None,
    };
    step.effects.iter().filter_map(fact).collect()
}

/// How much of the bounds has been used up.
#[derive(Clone, Copy)]
struct Spent {
    crashes: u8,
    entries: u8,
}

impl Spent {
    fn pack(self) -> u32 {
        u32::from(self.crashes) << 8 | u32::from(self.entries)
    }

    fn unpack(word: u32) -> Self {
        Self { crashes: (word >> 8) as u8, entries: word as u8 }
    }
}

/// Every choice of so many bits among so many, as a set of bits; all of them if they are fewer.
struct Choices {
    next: Option<u64>,
    end: u64,
}

impl Choices {
    fn new(among: usize, most: usize) -> Self {
        let first = (1 << among.min(most)) - 1;
        Self { next: Some(first), end: 1 << among }
    }
}

impl Iterator for Choices {
    type Item = u64;

    /// The next larger number with as many bits (Gosper's trick).
    fn next(&mut self) -> Option<u64> {
        let current = self.next.filter(|bits| *bits < self.end)?;
        self.next = (current > 0).then(|| {
            let lowest = current & current.wrapping_neg();
            let carried = current + lowest;
            carried | ((carried ^ current) >> 2) / lowest
        });
        Some(current)
    }
}

/// All ways to rename the servers.
struct Renamings {
    all: Vec<Renaming>,
    /// For each way and each new place, the place that the server there had before.
    origins: Vec<Vec<usize>>,
    /// The way that is one way and then another.
    products: Vec<Vec<usize>>,
}

impl Renamings {
    fn new(servers: u64) -> Self {
        let all = Renaming::all(servers);
        let origins = |renaming: &Renaming| {
            let place = |id: u64| {
                let old = (1..=servers).find(|old| renaming.name(ServerId(*old)) == ServerId(id));
                old.expect("invariant: a renaming gives every name") as usize - 1
            };
            (1..=servers).map(place).collect()
        };
        let way = |renaming: Renaming| {
            let way = all.iter().position(|other| *other == renaming);
            way.expect("invariant: renamings are a group")
        };
        let products = all.iter().map(|one| all.iter().map(|two| way(one.then(two))).collect());
        Self { origins: all.iter().map(origins).collect(), products: products.collect(), all }
    }
}

/// For each value of a table, the numbers of its images under all renamings.
struct Images {
    ways: usize,
    numbers: Vec<u32>,
}

impl Images {
    fn new(ways: usize) -> Self {
        Self { ways, numbers: Vec::new() }
    }

    fn of(&self, number: u32, way: usize) -> u32 {
        self.numbers[number as usize * self.ways + way]
    }

    /// Notes the images of a value, the first of which is itself, and the images of those.
    fn add(&mut self, images: &[u32], renamings: &Renamings) {
        let most = images.iter().max().copied().unwrap_or_default() as usize;
        let length = self.numbers.len().max((most + 1) * self.ways);
        self.numbers.resize(length, NOTHING);
        for (one, number) in images.iter().enumerate() {
            let row = &mut self.numbers[*number as usize * self.ways..][..self.ways];
            for (two, place) in row.iter_mut().enumerate() {
                let image = images[renamings.products[one][two]];
                debug_assert!(
                    *place == NOTHING || *place == image,
                    "invariant: names decide nothing"
                );
                *place = image;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices() {
        let all = |among, most| Choices::new(among, most).collect::<Vec<_>>();
        assert_eq!(all(0, 2), [0]);
        assert_eq!(all(2, 2), [0b11]);
        assert_eq!(all(1, 4), [0b1]);
        assert_eq!(all(3, 2), [0b011, 0b101, 0b110]);
        assert_eq!(all(6, 4).len(), 15);
    }
}
