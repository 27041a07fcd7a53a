//! Every server, message and monitor that was ever met, each once and with a number.
//!
//! What a server makes of an event is worked out once and looked up ever after, and so is what a
//! monitor makes of that. The same is done at once for all renamings of the servers, so that
//! renaming is looking up, too.

use super::bits::Bits;
use super::packet::Packet;
use super::renaming::{Images, Renamings};
use super::server::{Event, Note, Server, Setup, Step};
use super::table::Table;
use crate::invariants::{Monitor, Violation};
use crate::raft::{RoleKind, ServerId, Term};

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
    Change,
    Sync,
    Restart,
}

impl Action {
    /// The message that it delivers.
    pub(crate) fn packet(self) -> Option<u32> {
        match self {
            Self::Deliver(packet) => Some(packet),
            Self::Timer | Self::Propose(_) | Self::Change | Self::Sync | Self::Restart => None,
        }
    }
}

pub(crate) struct Catalogue {
    setup: Setup,
    pub(crate) renamings: Renamings,
    pub(crate) servers: Table<Server>,
    pub(crate) glances: Vec<Glance>,
    pub(crate) packets: Table<Packet>,
    /// By place, the messages to each server.
    pub(crate) addressed: Vec<Bits>,
    pub(crate) monitors: Table<Monitor>,
    /// Servers and what happens to them; `outcomes` has the same numbers.
    steps: Table<(u32, Action)>,
    pub(crate) outcomes: Vec<Outcome>,
    /// Monitors and outcomes; `verdicts` has the same numbers.
    observations: Table<(u32, u32)>,
    verdicts: Vec<Result<u32, Violation>>,
    pub(crate) labels: Table<String>,
    pub(crate) server_images: Images,
    pub(crate) packet_images: Images,
    pub(crate) monitor_images: Images,
    outcome_images: Images,
}

/// What is asked about a server all the time.
#[derive(Clone)]
pub(crate) struct Glance {
    pub(crate) term: Term,
    pub(crate) leads: bool,
    pub(crate) may_sync: bool,
    pub(crate) recovering: bool,
    pub(crate) progress: u64,
    /// The least of its images' numbers: equal for servers that differ in names alone.
    pub(crate) class: u32,
    /// Messages that it is known to do nothing about.
    pub(crate) inert: Bits,
    /// Messages that are known to change it.
    pub(crate) moving: Bits,
}

/// What comes of an event at a server.
pub(crate) struct Outcome {
    server: ServerId,
    pub(crate) next: u32,
    pub(crate) sent: Vec<u32>,
    pub(crate) notes: Vec<Note>,
    /// The core's assertion that fails.
    pub(crate) failed: Option<String>,
    pub(crate) label: u32,
}

impl Catalogue {
    pub(crate) fn new(setup: Setup) -> Self {
        let renamings = Renamings::new(&setup.kinds());
        let servers = setup.servers;
        let ways = renamings.all.len();
        let mut catalogue = Self {
            setup,
            renamings,
            servers: Table::new(),
            glances: Vec::new(),
            packets: Table::new(),
            addressed: vec![Bits::default(); servers as usize],
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
        for id in (1..=servers).map(ServerId) {
            let images: Vec<_> = catalogue
                .renamings
                .all
                .iter()
                .map(|renaming| catalogue.setup.server(renaming.name(id)))
                .collect();
            catalogue.add_servers(images);
        }
        let mut monitor = Monitor::new(catalogue.setup.founding.voters());
        for server in (1..=servers).map(ServerId) {
            let started = catalogue.servers[catalogue.number(server)].started();
            let told = started.tell(server, &mut monitor);
            told.expect("invariant: an empty disk breaks nothing");
        }
        catalogue.add_monitors(vec![monitor; ways]);
        catalogue
    }

    /// The servers of a new cluster, by place, and its monitor.
    pub(crate) fn beginning(&self) -> (Vec<u32>, u32) {
        let ids = (1..=self.setup.servers).map(ServerId);
        (ids.map(|id| self.number(id)).collect(), 0)
    }

    /// The number of a server as it was first.
    fn number(&self, id: ServerId) -> u32 {
        let number = (0..self.servers.len() as u32).find(|n| self.servers[*n].id == id);
        number.expect("invariant: every server has begun")
    }

    /// What comes of an event at a server: its number in `outcomes`.
    pub(crate) fn outcome(&mut self, server: u32, action: Action) -> u32 {
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
                let (sent, notes) = match steps.get(way) {
                    Some(step) if failed.is_none() => {
                        (self.add_packets(&step.sent), step.notes.clone())
                    }
                    _ => Default::default(),
                };
                let (server, next) = (self.servers[servers[way]].id, nexts[way]);
                let failed = failed.clone();
                self.outcomes.push(Outcome { server, next, sent, notes, failed, label });
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
            Action::Change => Event::Change,
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
    pub(crate) fn observe(&mut self, monitor: u32, outcome: u32) -> Result<u32, Violation> {
        if self.outcomes[outcome as usize].notes.is_empty() {
            return Ok(monitor);
        }
        let (number, new) = self.observations.insert((monitor, outcome));
        if new {
            let ways = self.renamings.all.len();
            let monitors: Vec<_> =
                (0..ways).map(|way| self.monitor_images.of(monitor, way)).collect();
            let outcomes: Vec<_> =
                (0..ways).map(|way| self.outcome_images.of(outcome, way)).collect();
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
        let outcome = &self.outcomes[outcome as usize];
        for note in &outcome.notes {
            note.tell(outcome.server, &mut monitor)?;
        }
        Ok(monitor)
    }

    fn add_servers(&mut self, images: Vec<Server>) -> Vec<u32> {
        let numbers: Vec<_> =
            images.into_iter().map(|server| self.servers.insert(server).0).collect();
        self.server_images.add(&numbers, &self.renamings);
        let class = numbers.iter().min().copied().unwrap_or_default();
        for number in self.glances.len()..self.servers.len() {
            let server = &self.servers[number as u32];
            self.glances.push(Glance {
                term: server.node.term(),
                leads: server.is_leader(),
                may_sync: server.may_sync(),
                recovering: server.is_recovering(),
                progress: server.progress(),
                class,
                inert: Bits::default(),
                moving: Bits::default(),
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
            let mut numbers_of_images = Vec::new();
            for image in images {
                let place = image.to.0 as usize - 1;
                let (number, _) = self.packets.insert(image);
                self.addressed[place].insert(number);
                numbers_of_images.push(number);
            }
            let images = numbers_of_images;
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
            Action::Change => format!("{role}: change of members"),
            Action::Sync => format!("{role}: disk done"),
            Action::Restart => format!("{role}: crash and restart"),
        };
        self.labels.insert(label).0
    }
}
