//! A cluster that somebody else runs.

use std::cell::RefCell;
use std::path::PathBuf;

use uuid::Uuid;

use super::fit::unfit;
use super::orders::{Kind, kind};
use super::reach::{Access, Reach};
use super::view;
use crate::actors::{
    Client, Clock, ClusterStatus, Condition, LogLine, Order, OrderError, Recorder, Servers,
};
use crate::client::{self, Endpoint, Member, SetupError};
use crate::invariants::Violation;
use crate::net::tls::{Tls, TlsError, TlsFiles};
use crate::net::{PeersError, Role, Security};
use crate::raft::{Index, ServerId, Timing};
use crate::script::{Inquiry, Snapshots, World};
use crate::storage::DiskKind;

/// How a cluster is reached.
#[derive(Clone, Debug)]
pub struct Door {
    /// Some of its servers.
    pub endpoints: Vec<Endpoint>,
    /// What they are shown over HTTP.
    pub access: Access,
    /// The folder with the certificate `client-console` and the authority, as `jangada cert` makes
    /// them; without it files go in plain text.
    pub tls: Option<PathBuf>,
}

/// A cluster whose processes are out of reach: it can be looked at and used, operated, and, where
/// that is allowed, disturbed.
pub struct Remote {
    reach: Reach,
    /// Those that are asked about everything.
    any: client::Client,
    secure: bool,
    /// Those that answered last.
    up: RefCell<Vec<ServerId>>,
}

/// Why a cluster is not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Nobody says how the cluster is.
    #[error("{0}")]
    Silent(#[from] client::Error),
    /// HTTP.
    #[error("{0}")]
    Http(#[from] SetupError),
    /// The native port.
    #[error("{0}")]
    Peers(#[from] PeersError),
    /// The certificates.
    #[error("{0}; `jangada cert client console --dir DIR` makes the certificate for the console")]
    Tls(#[from] TlsError),
    /// A server answers over HTTP, and not at its native port.
    #[error(
        "{0} answers over HTTP and does not take this console in at {1}, where files go to and fro: \
         if the servers talk over TLS, say `--tls DIR` with what `jangada cert client console --dir \
         DIR` makes; if there is a firewall, let it through"
    )]
    Unheard(ServerId, String),
    /// What a server says of its cluster makes no sense.
    #[error("the server that answers says that its cluster is `{0}`, which is no uuid")]
    NoCluster(String),
}

impl Remote {
    /// Asks the servers who else there is. Call it inside [`run`](crate::actors::run).
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn connect(door: Door) -> Result<Self, RemoteError> {
        let Door { endpoints, access, tls } = door;
        let secure = endpoints.iter().any(Endpoint::is_secure);
        let Access { authority, token } = access.clone();
        let any = client::Client::new(client::Options {
            endpoints,
            authority,
            token,
            timeout: PATIENCE,
        })?;
        let said = any.status().await?;
        let cluster = said.cluster.parse::<Uuid>();
        let cluster = cluster.map_err(|_| RemoteError::NoCluster(said.cluster.clone()))?;
        let security = match tls {
            Some(folder) => {
                let role = Role::Client(super::reach::NAME.to_owned());
                let files = TlsFiles::in_directory(&folder, &role);
                Security::Tls(Tls::load(files, cluster, role)?)
            }
            None => Security::Insecure,
        };
        let reach = Reach::open(cluster, security, access).await?;
        let remote = Self { reach, any, secure, up: RefCell::default() };
        remote.meet(&said.members);
        World::look(&remote).await;
        let first = remote.up.borrow().first().copied();
        if let Some(id) = first
            && !remote.reach.connected(id).await
        {
            let member = said.members.iter().find(|member| ServerId(member.id) == id);
            let peer = member.and_then(|member| member.peer.clone()).unwrap_or_default();
            return Err(RemoteError::Unheard(id, peer));
        }
        Ok(remote)
    }

    /// Takes note of members that are not known yet.
    fn meet(&self, members: &[Member]) {
        let scheme = if self.secure { "https" } else { "http" };
        for member in members {
            let id = ServerId(member.id);
            if self.reach.knows(id) {
                continue;
            }
            let (Some(http), Some(peer)) = (&member.http, &member.peer) else { continue };
            let Ok(endpoint) = format!("{scheme}://{http}").parse() else { continue };
            if let Err(error) = self.reach.know(id, endpoint, peer) {
                log::warn!("{id} cannot be asked: {error}");
            }
        }
    }

    /// Asks the cluster why something is so.
    ///
    /// # Errors
    /// If it does not know.
    pub async fn why(&self, inquiry: &Inquiry) -> Result<String, client::Error> {
        self.any.why(&inquiry.to_string()).await
    }

    async fn carry_out(&self, order: &Order) -> Result<(), OrderError> {
        let up = self.up.borrow().clone();
        match kind(order) {
            Kind::Processes => Err(OrderError::Process(instead(order).to_owned())),
            Kind::Disturbance => {
                let order = self.reach.by_number(order, &up)?.to_string();
                for id in up {
                    self.reach.disturb(id, &order).await?;
                }
                Ok(())
            }
            Kind::Snapshots => {
                let Order::Snapshot(servers) = order else { return Ok(()) };
                for id in self.resolve(servers)? {
                    self.reach.snapshot(id).await?;
                }
                Ok(())
            }
            Kind::Leadership => self.reach.lead(order, &up).await,
        }
    }
}

/// How long the cluster may take to say how it is.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// What to do instead of an order that only those can carry out who run the processes.
fn instead(order: &Order) -> &'static str {
    match order {
        Order::Crash(_) => {
            "this console does not run the servers: kill the process where it runs, with `kill -9 \
             PID` or `scripts/cluster kill N`"
        }
        Order::Stop(_) => {
            "this console does not run the servers: end the process where it runs, with `kill PID` \
             or `systemctl stop`; it hands over and ends in good order"
        }
        Order::Recover(_) | Order::Start(_) => {
            "this console does not run the servers: start the process where it is to run, with \
             `jangada serve`, `systemctl start` or `scripts/cluster start N`"
        }
        Order::Pause(_) => {
            "this console does not run the servers: `kill -STOP PID` freezes the process where it \
             runs; `partition N` cuts the server off from here"
        }
        Order::Resume(_) => {
            "this console does not run the servers: `kill -CONT PID` lets the process go on where \
             it runs"
        }
        Order::Rejoin(_) => {
            "a server that lost its disk joins again with `jangada join`, where it runs"
        }
        Order::Salvage(_) => {
            "a lost majority is for those who have the data directories: see docs/operations.md"
        }
        order => unfit(order).unwrap_or("there is no way to do this to a process"),
    }
}

impl World for Remote {
    fn clock(&self) -> Clock {
        self.reach.clock
    }

    async fn look(&self) {
        let answered = self.reach.ask(&self.reach.all()).await;
        let said: Vec<_> = answered.iter().filter_map(|id| self.reach.said(*id)).collect();
        said.iter().for_each(|said| self.meet(&said.members));
        *self.up.borrow_mut() = answered;
    }

    fn leader(&self) -> Option<ServerId> {
        self.reach.leader(&self.up.borrow())
    }

    fn resolve(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        self.reach.resolve(servers, &self.up.borrow())
    }

    async fn order(&self, order: Order) -> Result<(), OrderError> {
        self.look().await;
        self.reach.recorded(&order, self.carry_out(&order)).await
    }

    async fn status(&self) -> Result<ClusterStatus, OrderError> {
        self.look().await;
        let up = self.up.borrow();
        let servers = self.reach.all().into_iter().map(|id| {
            // Why it does not answer, nobody here can know.
            let condition = if up.contains(&id) { Condition::Running } else { Condition::Crashed };
            view::server(id, condition, self.reach.said(id).as_ref())
        });
        Ok(ClusterStatus::new(self.clock().now(), Timing::default(), servers.collect()))
    }

    async fn log(&self, _: ServerId, _: Index, _: Index) -> Result<Vec<LogLine>, OrderError> {
        let instead = "the log of a process is read where its data directory is: `jangada log dump \
                       DIR`";
        Err(OrderError::Process(instead.to_owned()))
    }

    async fn states(&self) -> Result<Vec<(ServerId, Index, [u8; 32])>, OrderError> {
        let up = self.up.borrow().clone();
        self.reach.states(&up).await
    }

    fn client(&self) -> Client {
        self.reach.client()
    }

    fn events(&self) -> &Recorder {
        &self.reach.recorder
    }

    fn violation(&self) -> Option<Violation> {
        None
    }

    fn seed(&self) -> u64 {
        0
    }

    fn disks(&self) -> DiskKind {
        DiskKind::default()
    }

    fn snapshots(&self) -> (u64, u64) {
        let Snapshots { every, keep } = Snapshots::default();
        (every, keep)
    }

    /// Nothing ends with the console.
    async fn end(&self) {}
}
