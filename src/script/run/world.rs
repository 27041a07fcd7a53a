//! What a scenario needs of a cluster: the orders that it gives and the questions that it asks.
//!
//! There are three worlds: a [`Sandbox`] in virtual time, one in real time, and servers that are
//! processes of their own. The same scenario has the same verdict in each.

use crate::actors::{
    Client, Clock, ClusterStatus, LogLine, Order, OrderError, Recorder, Sandbox, Servers,
};
use crate::invariants::Violation;
use crate::raft::{Index, ServerId};
use crate::storage::DiskKind;

/// A cluster that scenarios run on.
pub trait World: 'static {
    /// Its clock.
    fn clock(&self) -> Clock;

    /// Brings up to date what [`leader`](Self::leader) and [`resolve`](Self::resolve) go by, where
    /// that is not known by itself.
    fn look(&self) -> impl Future<Output = ()>;

    /// The server that leads the highest term, as far as the servers know.
    fn leader(&self) -> Option<ServerId>;

    /// The servers that are meant now, whether they run or not.
    ///
    /// # Errors
    /// If there is no such server, or no leader and one is meant.
    fn resolve(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError>;

    /// Has an order carried out.
    ///
    /// # Errors
    /// If it cannot be carried out.
    fn order(&self, order: Order) -> impl Future<Output = Result<(), OrderError>>;

    /// Looks at every server.
    ///
    /// # Errors
    /// If the cluster has ended.
    fn status(&self) -> impl Future<Output = Result<ClusterStatus, OrderError>>;

    /// The entries of a server's log behind `after`, up to and including `last`, or the first of
    /// them.
    ///
    /// # Errors
    /// If there is no such server, or its log cannot be read.
    fn log(
        &self,
        server: ServerId,
        after: Index,
        last: Index,
    ) -> impl Future<Output = Result<Vec<LogLine>, OrderError>>;

    /// What every running server has applied, and a digest of its files.
    ///
    /// # Errors
    /// If the cluster has ended, or a server does not say.
    fn states(&self) -> impl Future<Output = Result<Vec<(ServerId, Index, [u8; 32])>, OrderError>>;

    /// A new client of the file store, with a session of its own.
    fn client(&self) -> Client;

    /// What happened.
    fn events(&self) -> &Recorder;

    /// The first thing that must always hold and was seen not to.
    fn violation(&self) -> Option<Violation>;

    /// What random draws come from, as far as they are governed.
    fn seed(&self) -> u64;

    /// Which disks the servers have.
    fn disks(&self) -> DiskKind;

    /// After how many entries servers take a snapshot by themselves, and how many entries before
    /// its end stay in their logs.
    fn snapshots(&self) -> (u64, u64);

    /// Ends it in good order.
    fn end(&self) -> impl Future<Output = ()>;
}

impl World for Sandbox {
    fn clock(&self) -> Clock {
        Sandbox::clock(self)
    }

    async fn look(&self) {}

    fn leader(&self) -> Option<ServerId> {
        Sandbox::leader(self)
    }

    fn resolve(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        Sandbox::resolve(self, servers)
    }

    async fn order(&self, order: Order) -> Result<(), OrderError> {
        Sandbox::order(self, order).await
    }

    async fn status(&self) -> Result<ClusterStatus, OrderError> {
        Sandbox::status(self).await
    }

    async fn log(
        &self,
        server: ServerId,
        after: Index,
        last: Index,
    ) -> Result<Vec<LogLine>, OrderError> {
        Sandbox::log(self, server, after, last).await
    }

    async fn states(&self) -> Result<Vec<(ServerId, Index, [u8; 32])>, OrderError> {
        Sandbox::states(self).await
    }

    fn client(&self) -> Client {
        Sandbox::client(self)
    }

    fn events(&self) -> &Recorder {
        Sandbox::events(self)
    }

    fn violation(&self) -> Option<Violation> {
        Sandbox::violation(self)
    }

    fn seed(&self) -> u64 {
        Sandbox::seed(self)
    }

    fn disks(&self) -> DiskKind {
        Sandbox::disks(self)
    }

    fn snapshots(&self) -> (u64, u64) {
        Sandbox::snapshots(self)
    }

    async fn end(&self) {
        Sandbox::end(self).await;
    }
}
