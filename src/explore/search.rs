//! Breadth first.

use super::Bounds;
use super::ghost::Violation;
use super::server::Setup;
use super::table::Rows;
use super::world::{Successors, World};

/// How an exploration ended.
pub enum End {
    /// everything
    Complete,
    /// no more
    Full,
    /// bad
    Violated { property: String, text: String, path: Vec<String> },
}

/// What was seen.
pub struct Report {
    /// states
    pub states: usize,
    /// transitions
    pub transitions: u64,
    /// new states per depth
    pub levels: Vec<usize>,
    /// end
    pub end: End,
    /// text
    pub text: String,
}

/// Explores.
pub fn explore(bounds: &Bounds, mut watch: impl FnMut(usize, usize, u64, String)) -> Report {
    let setup = Setup { servers: bounds.servers, pre_vote: bounds.pre_vote, obeys: |_| true };
    let mut world = World::new(bounds, setup);
    let mut states = Rows::new(world.width());
    let mut parents = vec![0];
    let (mut canonical, mut scratch) = (Vec::new(), Vec::new());
    states.insert(&world.initial());
    let mut found = Successors::default();
    let mut levels = vec![1];
    let mut begin = 0;
    let mut transitions = 0;
    let mut end = End::Complete;
    'levels: while begin < states.len() {
        let end_of_level = states.len();
        for state in begin..end_of_level {
            let row = states[state as u32].to_vec();
            if let Err((_, violation)) = world.successors(&row, &mut found) {
                let Violation { property, text } = violation;
                end = End::Violated { property: property.to_owned(), text, path: vec![] };
                break 'levels;
            }
            for next in found.rows.chunks(world.width()) {
                transitions += 1;
                world.canonical(next, &mut canonical, &mut scratch);
                if states.insert(&canonical).1 {
                    parents.push(state as u32);
                }
            }
            if states.len() > bounds.states {
                end = End::Full;
                break 'levels;
            }
        }
        begin = end_of_level;
        levels.push(states.len() - begin);
        watch(levels.len() - 1, states.len(), transitions, world.sizes());
    }
    Report { states: states.len(), transitions, levels, end, text: world.coverage(&found) }
}
