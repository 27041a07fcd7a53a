//! Breadth first: a violation is found at the least depth at which there is one.

use super::known::Known;
use super::path::path;
use super::report::{Bounds, End, Progress, Report};
use super::server::Setup;
use super::state::World;
use crate::raft::Effect;

/// Explores every schedule within the bounds, or until a property is violated. `watch` is told
/// after each depth.
pub fn explore(bounds: &Bounds, watch: impl FnMut(&Progress)) -> Report {
    search(bounds, |_| true, watch)
}

/// Explores with servers that carry out only the effects that `obeys` lets through.
pub(crate) fn search(
    bounds: &Bounds,
    obeys: fn(&Effect) -> bool,
    mut watch: impl FnMut(&Progress),
) -> Report {
    let setup = Setup { servers: bounds.servers, pre_vote: bounds.pre_vote, obeys };
    let mut world = World::new(bounds, setup);
    let mut known = Known::new(bounds.servers);
    let (row, network) = world.canonical(&world.initial());
    known.add(&row, network, 0, None, 0);
    let (mut begin, mut depth, mut transitions) = (0, 0, 0);
    let mut moves = Vec::new();
    let mut end = End::Complete;
    'search: while begin < known.len() {
        let level = known.len();
        for number in begin as u32..level as u32 {
            let Some(state) = known.state(number) else { continue };
            world.moves(&state, &mut moves);
            for (place, action) in &moves {
                match world.take(&state, *place, *action) {
                    Ok(None) => {}
                    Ok(Some(next)) => {
                        transitions += 1;
                        let (row, network) = world.canonical(&next);
                        known.add(&row, network, next.spent.crashes, Some(number), level);
                    }
                    Err(violation) => {
                        let path = path(&mut world, &known, number);
                        end = End::Violated { violation, path };
                        break 'search;
                    }
                }
            }
            if known.len() > bounds.states {
                end = End::Full;
                break 'search;
            }
        }
        watch(&Progress { depth, states: known.len(), transitions });
        begin = level;
        depth += 1;
    }
    let catalogue = &world.catalogue;
    Report {
        bounds: bounds.clone(),
        states: known.len(),
        configurations: known.configurations(),
        depth,
        transitions,
        servers: catalogue.servers.len(),
        messages: catalogue.packets.len(),
        monitors: catalogue.monitors.len(),
        coverage: world.coverage(),
        end,
    }
}
