//! The steps of a run that may have caused something: those that gave orders.

use super::account::{Account, Event};
use crate::actors::{Order, Servers};
use crate::raft::Time;
use crate::storage::DiskFault;

/// A step whose orders were carried out.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Suspect {
    /// Its place in the timeline.
    pub(super) step: usize,
    pub(super) at: Time,
    /// The place of its first order in the account.
    pub(super) place: u64,
    /// With the servers that were meant.
    pub(super) orders: Vec<Order>,
    /// When other orders had undone all of it; at once, if it was over at once.
    pub(super) undone: Option<Time>,
}

/// The steps that gave orders before this place in the account, oldest first; and the steps whose
/// orders were all refused.
pub(super) fn suspects(account: &Account, before: u64) -> (Vec<Suspect>, Vec<usize>) {
    let mut suspects: Vec<Suspect> = Vec::new();
    let mut refused = Vec::new();
    let mut step = None;
    let mut events = account.events().take_while(|event| event.place < before).peekable();
    while let Some(event) = events.next() {
        match (&event.what, step) {
            (Event::Step(begun), _) => step = Some(*begun),
            (Event::Ordered(order), Some(step)) => {
                if events.peek().is_some_and(|next| next.what == Event::Refused) {
                    refused.push(step);
                    continue;
                }
                for suspect in &mut suspects {
                    let undone = |fault| undoes(order, fault);
                    if suspect.undone.is_none() && suspect.orders.iter().all(undone) {
                        suspect.undone = Some(event.at);
                    }
                }
                match suspects.last_mut() {
                    Some(suspect) if suspect.step == step => suspect.orders.push(order.clone()),
                    _ => suspects.push(Suspect {
                        step,
                        at: event.at,
                        place: event.place,
                        orders: vec![order.clone()],
                        undone: is_over_at_once(order).then_some(event.at),
                    }),
                }
            }
            _ => {}
        }
    }
    refused.retain(|step| suspects.iter().all(|suspect| suspect.step != *step));
    (suspects, refused)
}

impl Suspect {
    /// Whether it did harm; other orders only mend what such a one did.
    pub(super) fn is_fault(&self) -> bool {
        self.orders.iter().any(is_fault)
    }
}

fn is_fault(order: &Order) -> bool {
    match order {
        Order::Recover(_)
        | Order::Resume(_)
        | Order::Start(_)
        | Order::Heal
        | Order::Snapshot(_)
        | Order::Rejoin(_) => false,
        Order::Speed { latency, .. }
        | Order::DiskLatency { latency, .. }
        | Order::ApplyLatency { latency, .. } => !latency.is_zero(),
        Order::Delay { latency, jitter, .. } => !latency.is_zero() || !jitter.is_zero(),
        Order::Loss { probability, .. }
        | Order::Duplicate { probability, .. }
        | Order::Reorder { probability, .. } => *probability > 0.0,
        Order::ClockRate { rate, .. } => *rate != 1.0,
        Order::DiskFault { fault, .. } => !matches!(fault, DiskFault::Free | DiskFault::Mend),
        Order::Partition(groups) => !groups.is_empty(),
        Order::Crash(_)
        | Order::Pause(_)
        | Order::Stop(_)
        | Order::Cut { .. }
        | Order::Timeout(_)
        | Order::DiskStall(_)
        | Order::ApplyStall(_)
        | Order::ClockJump { .. }
        | Order::ElectionTimeout { .. }
        | Order::Heartbeat(_)
        | Order::Add { .. }
        | Order::Remove(_)
        | Order::Members(_)
        | Order::Priority { .. }
        | Order::Transfer(_)
        | Order::Salvage(_) => true,
    }
}

/// What it does is done; there is nothing to undo.
fn is_over_at_once(order: &Order) -> bool {
    matches!(order, Order::Timeout(_) | Order::ClockJump { .. } | Order::Transfer(_))
        || !is_fault(order)
}

/// Whether a later order undoes all that `fault` did.
fn undoes(later: &Order, fault: &Order) -> bool {
    match (later, fault) {
        (Order::Heal, _) => matches!(
            fault,
            Order::Partition(_)
                | Order::Cut { .. }
                | Order::Delay { .. }
                | Order::Loss { .. }
                | Order::Duplicate { .. }
                | Order::Reorder { .. }
        ),
        (
            Order::Recover(a) | Order::Start(a) | Order::Rejoin(a),
            Order::Crash(b) | Order::Stop(b),
        )
        | (Order::Rejoin(a), Order::DiskFault { servers: b, fault: DiskFault::Destroy })
        | (Order::Priority { servers: a, .. }, Order::Priority { servers: b, .. })
        | (Order::Resume(a), Order::Pause(b))
        | (Order::Speed { servers: a, .. }, Order::Speed { servers: b, .. })
        | (
            Order::DiskLatency { servers: a, .. } | Order::DiskStall(a),
            Order::DiskLatency { servers: b, .. } | Order::DiskStall(b),
        )
        | (
            Order::DiskFault { servers: a, fault: DiskFault::Free | DiskFault::Mend },
            Order::DiskFault { servers: b, fault: DiskFault::Full },
        )
        | (
            Order::ApplyLatency { servers: a, .. } | Order::ApplyStall(a),
            Order::ApplyLatency { servers: b, .. } | Order::ApplyStall(b),
        )
        | (Order::ClockRate { servers: a, .. }, Order::ClockRate { servers: b, .. }) => {
            covers(a, b)
        }
        (Order::Delay { from: a, to: b, .. }, Order::Delay { from: c, to: d, .. })
        | (Order::Loss { from: a, to: b, .. }, Order::Loss { from: c, to: d, .. })
        | (Order::Duplicate { from: a, to: b, .. }, Order::Duplicate { from: c, to: d, .. })
        | (Order::Reorder { from: a, to: b, .. }, Order::Reorder { from: c, to: d, .. }) => {
            covers(a, c) && covers(b, d)
        }
        (Order::Add { server: a, .. }, Order::Remove(Servers::Only(b)))
        | (Order::Remove(Servers::Only(b)), Order::Add { server: a, .. }) => {
            b.iter().all(|b| b == a)
        }
        (Order::Members(_), Order::Members(_) | Order::Add { .. } | Order::Remove(_))
        | (Order::Partition(_), Order::Partition(_) | Order::Cut { .. })
        | (Order::ElectionTimeout { .. }, Order::ElectionTimeout { .. })
        | (Order::Heartbeat(_), Order::Heartbeat(_)) => true,
        _ => false,
    }
}

fn covers(later: &Servers, fault: &Servers) -> bool {
    match (later, fault) {
        (Servers::All, _) => true,
        (Servers::Only(later), Servers::Only(fault)) => fault.iter().all(|id| later.contains(id)),
        _ => later == fault,
    }
}
