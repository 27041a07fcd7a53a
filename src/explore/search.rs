//! The search: what is looked at first, and when it ends.

use std::collections::{BTreeMap, VecDeque};

use super::known::Known;
use super::path::path;
use super::report::{Bounds, End, Progress, Report};
use super::server::Setup;
use super::state::{State, World};
use crate::raft::Effect;

/// How many states are looked at between two reports of progress.
const WATCHED: usize = 1 << 16;

/// Explores every schedule within the bounds, or until a property is violated. `watch` is told
/// every now and then.
///
/// What all servers are least advanced in is looked at first: when a state is, most others with
/// the same servers were reached, and it is one with as many messages on their way as there can
/// be. If a property is violated, a second search, breadth first, finds one of the shortest ways
/// to a violation.
pub fn explore(bounds: &Bounds, watch: impl FnMut(&Progress)) -> Report {
    search(bounds, |_| true, watch)
}

/// Explores with servers that carry out only the effects that `obeys` lets through.
pub(crate) fn search(
    bounds: &Bounds,
    obeys: fn(&Effect) -> bool,
    mut watch: impl FnMut(&Progress),
) -> Report {
    let setup = Setup::new(bounds, obeys);
    let report = Search::new(bounds, setup.clone(), Order::Progress).run(&mut watch);
    if !matches!(report.end, End::Violated { .. }) {
        return report;
    }
    let shortest = Search::new(bounds, setup, Order::Depth).run(&mut watch);
    if matches!(shortest.end, End::Violated { .. }) { shortest } else { report }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Progress,
    Depth,
}

struct Search {
    bounds: Bounds,
    order: Order,
    world: World,
    known: Known,
    /// What was not looked at yet, by order.
    waiting: BTreeMap<u64, VecDeque<u32>>,
    transitions: u64,
    depth: usize,
}

impl Search {
    fn new(bounds: &Bounds, setup: Setup, order: Order) -> Self {
        let known = Known::new(setup.servers);
        let world = World::new(bounds, setup);
        let (bounds, waiting) = (bounds.clone(), BTreeMap::new());
        Self { bounds, order, world, known, waiting, transitions: 0, depth: 0 }
    }

    fn run(mut self, watch: &mut impl FnMut(&Progress)) -> Report {
        let initial = self.world.initial();
        self.add(&initial, None);
        let mut looked_at = 0;
        while let Some(number) = self.next() {
            if let Err(end) = self.look_at(number) {
                return self.report(end);
            }
            looked_at += 1;
            if looked_at % WATCHED == 0 {
                watch(&self.progress());
            }
        }
        watch(&self.progress());
        self.report(End::Complete)
    }

    fn next(&mut self) -> Option<u32> {
        let mut first = self.waiting.first_entry()?;
        let number = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        number
    }

    /// Takes every move of a state.
    fn look_at(&mut self, number: u32) -> Result<(), End> {
        let Some(state) = self.known.state(number) else { return Ok(()) };
        let mut moves = Vec::new();
        self.world.moves(&state, &mut moves);
        for (place, action) in moves {
            match self.world.take(&state, place, action) {
                Ok(None) => {}
                Ok(Some(next)) => {
                    self.transitions += 1;
                    self.add(&next, Some(number));
                }
                Err(violation) => {
                    let path = path(&mut self.world, &self.known, number);
                    return Err(End::Violated { violation, path });
                }
            }
        }
        if self.known.len() > self.bounds.states { Err(End::Full) } else { Ok(()) }
    }

    fn add(&mut self, state: &State, parent: Option<u32>) {
        let (row, network) = self.world.canonical(state);
        let canonical = (&row[..], network, state.spent.crashes);
        let shortest = self.order == Order::Depth;
        let Some(number) = self.known.add(canonical, parent, shortest) else { return };
        let depth = self.known.depth(number);
        self.depth = self.depth.max(depth);
        let order = match self.order {
            Order::Progress => self.world.progress(state),
            Order::Depth => depth as u64,
        };
        self.waiting.entry(order).or_default().push_back(number);
    }

    fn progress(&self) -> Progress {
        Progress {
            states: self.known.len(),
            waiting: self.waiting.values().map(VecDeque::len).sum(),
            depth: self.depth,
            transitions: self.transitions,
        }
    }

    fn report(self, end: End) -> Report {
        let catalogue = &self.world.catalogue;
        Report {
            states: self.known.len(),
            configurations: self.known.configurations(),
            depth: self.depth,
            transitions: self.transitions,
            servers: catalogue.servers.len(),
            messages: catalogue.packets.len(),
            monitors: catalogue.monitors.len(),
            coverage: self.world.coverage(),
            bounds: self.bounds,
            end,
        }
    }
}
