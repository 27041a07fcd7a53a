//! Where an order goes: to processes, to the servers themselves, or to the leader.

use crate::actors::{Order, OrderError, Servers};
use crate::client::{ChangeMembers, NewMember, Priority};
use crate::raft::ServerId;

use super::reach::Reach;

/// What an order is about.
pub(super) enum Kind {
    /// Processes: whoever runs them carries it out.
    Processes,
    /// Links, timings and the like: each server carries out what concerns it.
    Disturbance,
    /// The members or the leader: the leader has a say in it.
    Leadership,
    /// Snapshots.
    Snapshots,
}

pub(super) fn kind(order: &Order) -> Kind {
    match order {
        Order::Crash(_)
        | Order::Recover(_)
        | Order::Pause(_)
        | Order::Resume(_)
        | Order::Stop(_)
        | Order::Start(_)
        | Order::DiskLatency { .. }
        | Order::DiskStall(_)
        | Order::DiskFault { .. }
        | Order::ClockRate { .. }
        | Order::ClockJump { .. }
        | Order::Rejoin(_)
        | Order::Salvage(_) => Kind::Processes,
        Order::Speed { .. }
        | Order::Partition(_)
        | Order::Cut { .. }
        | Order::Delay { .. }
        | Order::Loss { .. }
        | Order::Duplicate { .. }
        | Order::Reorder { .. }
        | Order::Heal
        | Order::Timeout(_)
        | Order::ApplyLatency { .. }
        | Order::ApplyStall(_)
        | Order::ElectionTimeout { .. }
        | Order::Heartbeat(_) => Kind::Disturbance,
        Order::Add { .. }
        | Order::Remove(_)
        | Order::Members(_)
        | Order::Priority { .. }
        | Order::Transfer(_) => Kind::Leadership,
        Order::Snapshot(_) => Kind::Snapshots,
    }
}

impl Reach {
    /// The same order by numbers: servers that know of different leaders must not take it for
    /// different orders.
    pub(super) fn by_number(&self, order: &Order, up: &[ServerId]) -> Result<Order, OrderError> {
        let mut order = order.clone();
        for servers in order.servers_mut() {
            *servers = Servers::Only(self.resolve(servers, up)?);
        }
        if let Order::Partition(groups) = &order {
            for id in groups.iter().flatten() {
                self.resolve(&Servers::Only(vec![*id]), up)?;
            }
        }
        Ok(order)
    }

    /// Has the leader carry out what it has a say in.
    pub(super) async fn lead(&self, order: &Order, up: &[ServerId]) -> Result<(), OrderError> {
        let one = |servers: &Servers| match self.resolve(servers, up)?[..] {
            [one] => Ok(one.0),
            _ => Err(OrderError::OneAtATime),
        };
        let asked = || {
            let leader = self.leader(up).ok_or(OrderError::NoLeader)?;
            self.beginning_with(leader, up)
        };
        let change = match order {
            Order::Add { server, learner } => {
                let add = Some(NewMember { id: server.0, learner: *learner });
                ChangeMembers { add, ..ChangeMembers::default() }
            }
            Order::Remove(servers) => {
                ChangeMembers { remove: Some(one(servers)?), ..ChangeMembers::default() }
            }
            Order::Members(voters) => {
                let voters = Some(voters.iter().map(|id| id.0).collect());
                ChangeMembers { voters, ..ChangeMembers::default() }
            }
            Order::Priority { servers, priority } => {
                let priority = Some(Priority { id: one(servers)?, priority: *priority });
                ChangeMembers { priority, ..ChangeMembers::default() }
            }
            Order::Transfer(to) => {
                if let Some(to) = to {
                    self.resolve(&Servers::Only(vec![*to]), up)?;
                }
                let done = asked()?.transfer(to.map(|to| to.0)).await;
                return done.map_err(|error| OrderError::Process(error.to_string()));
            }
            _ => return Ok(()),
        };
        let done = asked()?.change_members(&change).await;
        done.map_err(|error| OrderError::Process(error.to_string()))
    }
}
