//! How the servers of a cluster are reached: over HTTP by their addresses, and over the native port.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use uuid::Uuid;

use super::view;
use crate::actors::{
    Client, ClientError, Clock, Connection, Consistency, EventKind, NotDone, Order, OrderError,
    Recorder, Servers,
};
use crate::client::{self, Endpoint, Status};
use crate::files::Query;
use crate::net::{PeersConfig, PeersError, Role, Security};
use crate::raft::{Index, ServerId};

/// The ways to the servers, and what they said last.
pub(super) struct Reach {
    pub(super) clock: Clock,
    pub(super) recorder: Recorder,
    connection: Connection,
    access: Access,
    servers: RefCell<BTreeMap<ServerId, Known>>,
}

/// What servers are shown over HTTP.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The certificate of the authority that vouches for them, in PEM.
    pub authority: Option<std::path::PathBuf>,
    /// A token.
    pub token: Option<String>,
}

/// A server.
#[derive(Clone)]
struct Known {
    http: Endpoint,
    client: Rc<client::Client>,
    said: Option<Status>,
}

/// How long a server may take to say how it is.
const SOON: Duration = Duration::from_millis(500);
/// How long one may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one may take to list its files.
const LISTING: Duration = Duration::from_secs(2);
/// The longest wait before a server is connected to again: they come back at any moment.
const BACKOFF: Duration = Duration::from_millis(50);
/// The time between two questions to one that is not connected.
const LOOK: Duration = Duration::from_millis(5);
/// What this process is called in the greetings.
pub(super) const NAME: &str = "console";

impl Reach {
    /// Nobody is known yet.
    pub(super) async fn open(
        cluster: Uuid,
        security: Security,
        access: Access,
    ) -> Result<Self, PeersError> {
        let mut config = PeersConfig::new(cluster, Role::Client(NAME.to_owned()), security);
        config.longest_backoff = BACKOFF;
        config.seed = Uuid::new_v4().as_u64_pair().0;
        let connection = Connection::open(config).await?;
        let clock = Clock::start();
        let recorder = Recorder::new(clock, false, None, None);
        Ok(Self { clock, recorder, connection, access, servers: RefCell::default() })
    }

    /// Tells where a server is.
    pub(super) fn know(
        &self,
        id: ServerId,
        http: Endpoint,
        peer: &str,
    ) -> Result<(), client::SetupError> {
        self.connection.set_address(id, peer);
        let client = Rc::new(self.asking(vec![http.clone()])?);
        let said = self.said(id);
        self.servers.borrow_mut().insert(id, Known { http, client, said });
        Ok(())
    }

    fn asking(&self, endpoints: Vec<Endpoint>) -> Result<client::Client, client::SetupError> {
        let Access { authority, token } = self.access.clone();
        client::Client::new(client::Options { endpoints, authority, token, timeout: PATIENCE })
    }

    pub(super) fn knows(&self, id: ServerId) -> bool {
        self.servers.borrow().contains_key(&id)
    }

    pub(super) fn all(&self) -> Vec<ServerId> {
        self.servers.borrow().keys().copied().collect()
    }

    /// What a server said last.
    pub(super) fn said(&self, id: ServerId) -> Option<Status> {
        self.servers.borrow().get(&id)?.said.clone()
    }

    /// Asks servers how they are, all at the same time. Returns those that answered.
    pub(super) async fn ask(&self, ids: &[ServerId]) -> Vec<ServerId> {
        let asked: Vec<_> = {
            let servers = self.servers.borrow();
            let asked = ids.iter().filter_map(|id| Some((*id, servers.get(id)?.client.clone())));
            let ask = |client: Rc<client::Client>| async move {
                let said = tokio::time::timeout(SOON, client.statuses()).await.ok()?;
                said.into_iter().next()?.1.ok()
            };
            asked.map(|(id, client)| (id, actix_rt::spawn(ask(client)))).collect()
        };
        let mut answered = Vec::new();
        for (id, said) in asked {
            let Ok(Some(said)) = said.await else { continue };
            if let Some(known) = self.servers.borrow_mut().get_mut(&id) {
                known.said = Some(said);
                answered.push(id);
            }
        }
        answered
    }

    /// The leader of the latest term among these, as they said last.
    pub(super) fn leader(&self, among: &[ServerId]) -> Option<ServerId> {
        let servers = self.servers.borrow();
        let said = among.iter().filter_map(|id| Some((*id, servers.get(id)?.said.as_ref()?)));
        let leader = said.filter(|(_, said)| view::leads(said)).max_by_key(|(_, said)| said.term);
        leader.map(|(id, _)| id)
    }

    /// The servers that are meant; `up` are those that run.
    pub(super) fn resolve(
        &self,
        servers: &Servers,
        up: &[ServerId],
    ) -> Result<Vec<ServerId>, OrderError> {
        let leader = self.leader(up);
        let all = self.all();
        match servers {
            Servers::All => Ok(all),
            Servers::Leader => Ok(vec![leader.ok_or(OrderError::NoLeader)?]),
            Servers::Followers => Ok(up.iter().copied().filter(|id| Some(*id) != leader).collect()),
            Servers::Only(ids) => match ids.iter().find(|id| !all.contains(id)) {
                Some(id) => Err(OrderError::NoSuchServer { server: *id, servers: all.clone() }),
                None => Ok(ids.clone()),
            },
        }
    }

    /// Tells of an order, and of its end if it is refused.
    pub(super) async fn recorded(
        &self,
        order: &Order,
        carried_out: impl Future<Output = Result<(), OrderError>>,
    ) -> Result<(), OrderError> {
        self.recorder.record(EventKind::Ordered(order.clone()));
        let done = carried_out.await;
        if let Err(error) = &done {
            self.recorder.record(EventKind::OrderRefused(error.clone()));
        }
        done
    }

    /// A client of the file store.
    pub(super) fn client(&self) -> Client {
        self.connection.client()
    }

    /// Tells clients how many servers run, of how many.
    pub(super) fn count(&self, up: usize, of: usize) {
        self.connection.set_up(Some((up, of)));
    }

    /// What servers have applied, and a digest of the files that each of them has: names, uuids,
    /// sizes, hashes and revisions.
    pub(super) async fn states(
        &self,
        ids: &[ServerId],
    ) -> Result<Vec<(ServerId, Index, [u8; 32])>, OrderError> {
        let client = self.client();
        client.set_patience(LISTING);
        let mut states = Vec::new();
        for id in ids {
            self.connected(*id).await;
            let own = client.at(*id).with(Consistency::Stale);
            let seen = own.list_seen().await;
            let (index, files) =
                seen.map_err(|error| OrderError::Process(format!("{id}: {error}")))?;
            let mut hasher = blake3::Hasher::new();
            for file in files {
                hasher.update(format!("{file:?}\n").as_bytes());
            }
            states.push((*id, index, *hasher.finalize().as_bytes()));
        }
        Ok(states)
    }

    /// Waits until a server can be reached over the native port, for as long as that is sensible.
    /// Returns whether it can.
    pub(super) async fn connected(&self, id: ServerId) -> bool {
        let own = self.client().at(id).with(Consistency::Stale);
        let deadline = self.clock.now() + LISTING;
        let query = || own.query(Query::List { after: None, limit: 1 });
        while let Err(ClientError::NotDone(NotDone::Down(_))) = query().await {
            if self.clock.now() >= deadline {
                return false;
            }
            self.clock.sleep(LOOK).await;
        }
        true
    }

    /// Disturbs a server.
    pub(super) async fn disturb(&self, id: ServerId, order: &str) -> Result<(), OrderError> {
        let client = self.http(id)?;
        client.disturb(order).await.map_err(|error| refused(id, &error))
    }

    /// Has a server take a snapshot.
    pub(super) async fn snapshot(&self, id: ServerId) -> Result<(), OrderError> {
        let done = self.http(id)?.snapshots().await.into_iter().next();
        done.map_or(Ok(()), |(_, done)| done.map_err(|error| refused(id, &error)))
    }

    /// A client for what the leader has a say in. It asks the others, too: a leader that was
    /// removed a moment ago does not know who leads now.
    pub(super) fn beginning_with(
        &self,
        leader: ServerId,
        up: &[ServerId],
    ) -> Result<client::Client, OrderError> {
        let others = up.iter().filter(|id| **id != leader);
        let endpoints = {
            let servers = self.servers.borrow();
            let known = [&leader].into_iter().chain(others).filter_map(|id| servers.get(id));
            known.map(|known| known.http.clone()).collect()
        };
        self.asking(endpoints).map_err(|error| OrderError::Process(error.to_string()))
    }

    fn http(&self, id: ServerId) -> Result<Rc<client::Client>, OrderError> {
        let servers = self.servers.borrow();
        let known = servers.get(&id).map(|known| known.client.clone());
        known.ok_or(OrderError::NoSuchServer { server: id, servers: self.all() })
    }
}

fn refused(id: ServerId, error: &client::Error) -> OrderError {
    OrderError::Process(format!("{id}: {error}"))
}
