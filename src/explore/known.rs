//! The states that were reached.

use super::bits::Bits;
use super::state::{Spent, State};
use super::table::{Rows, Table};

/// States by number, without those that others stand for.
pub(crate) struct Known {
    /// Servers, monitor, entries and changes of states.
    rows: Rows,
    networks: Table<Bits>,
    /// By row, the state that was reached last.
    newest: Vec<u32>,
    states: Vec<Reached>,
}

#[derive(Clone, Copy)]
struct Reached {
    row: u32,
    network: u32,
    /// The state that it was reached from.
    parent: u32,
    /// The state of the same row that was reached before this one.
    older: u32,
    /// Moves from the first state.
    depth: u16,
    crashes: u8,
    /// Another can do all that this one can.
    superseded: bool,
}

const NONE: u32 = u32::MAX;

impl Known {
    pub(crate) fn new(servers: u64) -> Self {
        Self {
            rows: Rows::new(servers as usize + 2),
            networks: Table::new(),
            newest: Vec::new(),
            states: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// How many there are, if only messages on their way are different.
    pub(crate) fn configurations(&self) -> usize {
        self.rows.len()
    }

    /// Notes a state in its canonical form, reached from `parent`, unless one is known that can do
    /// all that it can: with the same servers, no more crashes spent and no fewer messages on
    /// their way. Returns its number if it is new. States that can do less need no look any more,
    /// but for those of less depth, if the `shortest` ways matter.
    pub(crate) fn add(
        &mut self,
        (row, network, crashes): (&[u32], Bits, u8),
        parent: Option<u32>,
        shortest: bool,
    ) -> Option<u32> {
        let depth = parent.map_or(0, |parent| self.states[parent as usize].depth + 1);
        let (row, new) = self.rows.insert(row);
        if new {
            self.newest.push(NONE);
        }
        let mut at = self.newest[row as usize];
        while at != NONE {
            let known = self.states[at as usize];
            let with = &self.networks[known.network];
            if known.crashes <= crashes && network.is_within(with) {
                return None;
            }
            if (!shortest || known.depth >= depth)
                && crashes <= known.crashes
                && with.is_within(&network)
            {
                self.states[at as usize].superseded = true;
            }
            at = known.older;
        }
        let (network, _) = self.networks.insert(network);
        let number = self.states.len() as u32;
        let older = std::mem::replace(&mut self.newest[row as usize], number);
        let parent = parent.unwrap_or(NONE);
        let superseded = false;
        self.states.push(Reached { row, network, parent, older, depth, crashes, superseded });
        Some(number)
    }

    pub(crate) fn depth(&self, number: u32) -> usize {
        usize::from(self.states[number as usize].depth)
    }

    /// The state of this number; `None` if it needs no look because of another.
    pub(crate) fn state(&self, number: u32) -> Option<State> {
        if self.states[number as usize].superseded {
            return None;
        }
        let (row, network, crashes) = self.canonical(number);
        let (servers, rest) = row.split_at(row.len() - 2);
        Some(State {
            servers: servers.to_vec(),
            monitor: rest[0],
            spent: Spent::of(crashes, rest[1]),
            network: network.clone(),
        })
    }

    /// What [`add`](Self::add) was given.
    pub(crate) fn canonical(&self, number: u32) -> (&[u32], &Bits, u8) {
        let reached = self.states[number as usize];
        (&self.rows[reached.row], &self.networks[reached.network], reached.crashes)
    }

    /// The states that lead to this one, from the first on, itself included.
    pub(crate) fn way_to(&self, number: u32) -> Vec<u32> {
        let parent = |number: &u32| {
            let parent = self.states[*number as usize].parent;
            (parent != NONE).then_some(parent)
        };
        let mut way: Vec<_> = std::iter::successors(Some(number), parent).collect();
        way.reverse();
        way
    }
}
