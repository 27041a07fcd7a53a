//! A server of its own process, disturbed by the orders that disturb a sandbox's: its links, its
//! timings and its state machine.
//!
//! A rule holds where messages are sent. So an order changes the links from this server alone: to
//! cut two servers off from each other, both must be given it.

use super::messages::{Retime, SetPace};
use super::record::EventKind;
use super::standalone::Standalone;
use super::supervisor::check_timing;
use super::{Order, Servers};
use crate::net::LinkRule;
use crate::raft::{ServerId, Timing};

/// Why a disturbance was refused; then nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisturbError {
    /// It is about something else.
    #[error(
        "a server of its own process has links to disturb (`partition`, `cut`, `delay`, `loss`, \
         `duplicate`, `reorder`, `speed`, `heal`), timings (`election-timeout`, `heartbeat`) and a \
         state machine (`apply`), and can be told to stand (`timeout`); for anything else disturb \
         its process: kill it, stop it, or fill its disk"
    )]
    OfTheProcess,
    /// Timeouts that cannot work.
    #[error("{0}")]
    Timing(&'static str),
    /// Nobody leads, and the leader is meant.
    #[error("this server knows of no leader at the moment")]
    NoLeader,
    /// A probability that is none.
    #[error("a probability is a number from 0 to 1")]
    Probability,
    /// A partition puts each server on one side.
    #[error("{0} is named twice; each server is on one side of a partition")]
    NamedTwice(ServerId),
}

impl Standalone {
    /// Carries out what an order says of this server and the links from it.
    ///
    /// # Errors
    /// If it is about something else, or cannot be carried out.
    pub fn disturb(&self, order: &Order) -> Result<(), DisturbError> {
        match order {
            Order::Partition(groups) => self.partition(groups)?,
            Order::Cut { .. }
            | Order::Delay { .. }
            | Order::Loss { .. }
            | Order::Duplicate { .. }
            | Order::Reorder { .. } => self.change_links(order)?,
            // What a slow server handles, all send it late.
            Order::Speed { servers, latency } => {
                for id in self.meant(servers)? {
                    self.network().admit(id);
                    self.network().set_latency(id, *latency);
                }
            }
            Order::Heal => self.network().heal(),
            Order::Timeout(servers) => {
                if self.meant(servers)?.contains(&self.id()) {
                    self.stand();
                }
            }
            Order::ElectionTimeout { min, max } => {
                let timing = self.timing();
                let timing =
                    Timing { election_timeout_min: *min, election_timeout_max: *max, ..timing };
                self.retime(timing)?;
            }
            Order::Heartbeat(heartbeat) => {
                self.retime(Timing { heartbeat: *heartbeat, ..self.timing() })?;
            }
            Order::ApplyLatency { servers, latency } => {
                if self.meant(servers)?.contains(&self.id()) {
                    self.running().machine.do_send(SetPace(Some(*latency)));
                }
            }
            Order::ApplyStall(servers) => {
                if self.meant(servers)?.contains(&self.id()) {
                    self.running().machine.do_send(SetPace(None));
                }
            }
            _ => return Err(DisturbError::OfTheProcess),
        }
        self.events().record(EventKind::Ordered(order.clone()));
        Ok(())
    }

    fn retime(&self, timing: Timing) -> Result<(), DisturbError> {
        check_timing(timing).map_err(DisturbError::Timing)?;
        self.set_timing(timing);
        self.running().address.do_send(Retime(timing));
        Ok(())
    }

    fn partition(&self, groups: &[Vec<ServerId>]) -> Result<(), DisturbError> {
        let named: Vec<_> = groups.iter().flatten().copied().collect();
        if let Some(twice) = (1..named.len()).find(|at| named[..*at].contains(&named[*at])) {
            return Err(DisturbError::NamedTwice(named[twice]));
        }
        let group = |id: ServerId| groups.iter().position(|group| group.contains(&id));
        let own = group(self.id());
        let others = self.meant(&Servers::All)?.into_iter().chain(named);
        for to in others.filter(|to| *to != self.id()) {
            self.set_link(to, LinkRule { cut: own != group(to), ..self.link(to) });
        }
        Ok(())
    }

    fn change_links(&self, order: &Order) -> Result<(), DisturbError> {
        let Some((from, to)) = order.links() else { return Ok(()) };
        let change = order.relinking().ok_or(DisturbError::Probability)?;
        let (from, to) = (self.meant(from)?, self.meant(to)?);
        if from.contains(&self.id()) {
            for to in to.into_iter().filter(|to| *to != self.id()) {
                self.set_link(to, change(self.link(to)));
            }
        }
        Ok(())
    }

    /// The servers that are meant, as far as this one knows.
    fn meant(&self, servers: &Servers) -> Result<Vec<ServerId>, DisturbError> {
        let roster = self.door().roster();
        match servers {
            Servers::All => Ok(roster.members),
            Servers::Leader => Ok(vec![roster.leader.ok_or(DisturbError::NoLeader)?]),
            Servers::Followers => {
                let follows = |id: &ServerId| Some(*id) != roster.leader;
                Ok(roster.members.into_iter().filter(follows).collect())
            }
            Servers::Only(ids) => Ok(ids.clone()),
        }
    }
}
