//! The way to a violation, in words: what happened, server by server, and nothing that the end
//! does not need.

use super::catalogue::{Action, Move};
use super::known::Known;
use super::server::Note;
use super::state::{State, World};
use crate::invariants::Violation;
use crate::raft::{Index, ServerId, Term};

/// One thing that happened on the way.
struct Leg {
    /// The server as it was.
    server: u32,
    action: Action,
    /// What was sent after it without any server's changing, in order, and by whom and why.
    echoes: Vec<(u32, u32, Action)>,
}

/// Goes to the state of this number, and on to the move that breaks a property.
pub(crate) fn path(world: &mut World, known: &Known, number: u32) -> Vec<String> {
    let mut legs = Vec::new();
    let mut state = world.initial();
    for next in known.way_to(number).into_iter().skip(1) {
        let target = known.canonical(next);
        let reaches = |world: &World, after: &State| {
            after.spent.crashes == target.2 && {
                let (row, network) = world.canonical(after);
                row == target.0 && network == *target.1
            }
        };
        let (leg, after) = find(world, &state, |world, taken| match taken {
            Ok(Some(after)) if reaches(world, after) => true,
            Ok(_) | Err(_) => false,
        });
        legs.push(leg);
        state = after.unwrap_or(state);
    }
    legs.push(find(world, &state, |_, taken| taken.is_err()).0);
    tell(world, &legs)
}

/// The first move of a state that comes out as wanted.
fn find(
    world: &mut World,
    state: &State,
    wanted: impl Fn(&World, &Result<Option<State>, Violation>) -> bool,
) -> (Leg, Option<State>) {
    let mut moves = Vec::new();
    world.moves(state, &mut moves);
    for (place, action) in moves {
        let taken = world.take(state, place, action);
        if wanted(world, &taken) {
            let after = taken.ok().flatten();
            let echoes = after.as_ref().map(|after| echoes(world, after)).unwrap_or_default();
            return (Leg { server: state.servers[place], action, echoes }, after);
        }
    }
    unreachable!("invariant: a state's number says how it was reached")
}

fn echoes(world: &World, after: &State) -> Vec<(u32, u32, Action)> {
    let echo = |(packet, Move { server, action }): &(u32, Move)| {
        (*packet, after.servers[server.0 as usize - 1], *action)
    };
    world.echoes.iter().map(echo).collect()
}

/// From the end back: whatever is delivered must have been sent.
fn tell(world: &mut World, legs: &[Leg]) -> Vec<String> {
    let mut events = Vec::new();
    let mut needed = Vec::new();
    for leg in legs.iter().rev() {
        for (packet, server, action) in leg.echoes.iter().rev() {
            if needed.contains(packet) {
                needed.retain(|other| other != packet);
                events.push((*server, *action));
                needed.extend(action.packet());
            }
        }
        let sent = world.sent(leg.server, leg.action);
        needed.retain(|packet| !sent.contains(packet));
        events.push((leg.server, leg.action));
        needed.extend(leg.action.packet());
    }
    events.iter().rev().map(|(server, action)| describe(world, *server, *action)).collect()
}

fn describe(world: &World, server: u32, action: Action) -> String {
    let catalogue = &world.catalogue;
    let id = catalogue.servers[server].id;
    let what = match action {
        Action::Deliver(packet) => {
            let packet = &catalogue.packets[packet];
            format!("{id} receives {packet} from {}", packet.from)
        }
        Action::Timer if catalogue.glances[server as usize].leads => {
            format!("{id}'s heartbeat is due")
        }
        Action::Timer => format!("{id}'s election timer fires"),
        Action::Propose(number) => format!("{id} is given command {number} by a client"),
        Action::Change => format!("{id} is asked for other members"),
        Action::Sync => format!("{id}'s disk finishes its oldest write"),
        Action::Restart => format!("{id} crashes and starts again"),
    };
    let consequences = match catalogue.step(server, action) {
        Ok(step) => {
            let mut parts: Vec<_> = step.notes.iter().filter_map(note).collect();
            for packet in &step.sent {
                parts.push(format!("sends {packet} to {}", packet.to));
            }
            parts
        }
        Err(text) => vec![format!("fails: {text}")],
    };
    if consequences.is_empty() { what } else { format!("{what}: {}", consequences.join("; ")) }
}

fn note(note: &Note) -> Option<String> {
    Some(match note {
        Note::Started { term, voted_for, log, recovering, .. } => {
            let log: Vec<_> = log.iter().map(|entry| entry.term.to_string()).collect();
            let vote = vote(*term, *voted_for);
            let recovers = if *recovering { ", and recovers" } else { "" };
            format!("has {vote} and a log of the terms [{}]{recovers}", log.join(" "))
        }
        Note::WroteVote { term, voted_for, .. } => format!("saves {}", vote(*term, *voted_for)),
        Note::WroteEntries { first, entries, .. } => {
            let entries = entries.iter().zip(first.0..);
            let words = entries.map(|(entry, index)| entry.at(Index(index)).to_string());
            format!("writes {}", words.collect::<Vec<_>>().join(" "))
        }
        Note::Became { role, term, why } => format!("{role} in term {term} ({why})"),
        Note::Committed { index } => format!("commits up to {index}"),
        Note::WroteRecovered { .. } => "saves that it has recovered".to_owned(),
        Note::Durable { .. } | Note::Sent { .. } | Note::Applied { .. } => return None,
    })
}

fn vote(term: Term, voted_for: Option<ServerId>) -> String {
    match voted_for {
        Some(candidate) => format!("term {term} with a vote for {candidate}"),
        None => format!("term {term} without a vote"),
    }
}
