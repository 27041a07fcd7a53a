//! The connections of one process: those that a server makes to its peers, those that it takes
//! from peers and clients, and those of a client to the servers.
//!
//! **A connection carries what the end that made it has to say**, and the answers to its calls.
//! So two servers have four between them: each connects to the other, once for the messages of the
//! protocol and once for what is large ([`Lane`]). Whoever is not there is tried again, later each
//! time, and at once when it connects itself.
//!
//! **Sending never waits.** What cannot be written yet stands in a bounded queue; beyond its
//! bounds, and without a connection, messages are lost, as the protocol allows, the oldest first.
//! A call is refused instead, or its outcome is known not to be known.
//!
//! Every `select!` is biased: the order in which it looks must not be left to chance, or a
//! simulated network would not do the same again.

mod accept;
mod backoff;
mod caller;
mod dial;
mod limiter;
mod outbox;
mod pipe;
mod stats;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

pub use caller::Caller;
pub use pipe::Keepalive;
pub use stats::PeerStats;
pub use transport::{Boxed, Listener, Tcp, Transport, Wire};

use self::limiter::Limiter;
use self::outbox::Outbox;
use self::stats::Counters;
use super::handshake::{Advertise, Hello, Lane, Role};
use super::packet::Packet;
use super::tls::Tls;
use super::{Answered, Audit, CallError, Cargo, Request};
use crate::raft::{Message, ServerId};

/// Most servers whose connections one process has.
const MAX_PEERS: usize = 128;

/// Whether a client that shows this token may come in.
pub type TokenCheck = dyn Fn(&str) -> bool + Send + Sync;

/// What [`Peers`] are made of.
#[derive(Clone)]
pub struct PeersConfig {
    /// The cluster: nobody of another is heard.
    pub cluster: Uuid,
    /// Who this process is.
    pub role: Role,
    /// Where it listens: `host:port`, port 0 for any. A client does not.
    pub listen: Option<String>,
    /// Where it says that it can be reached. Without an address for peers, where it listens.
    pub advertise: Advertise,
    /// Where the servers are.
    pub peers: BTreeMap<ServerId, String>,
    /// Whether connections are encrypted.
    pub security: Security,
    /// Whether a client may come in by this token. Without it, and with TLS, a client needs a
    /// certificate; without it and without TLS, none is kept out.
    pub admits: Option<Arc<TokenCheck>>,
    /// The token that a client shows.
    pub token: Option<String>,
    /// Most clients at a time.
    pub max_clients: usize,
    /// When a connection counts as broken.
    pub keepalive: Keepalive,
    /// How long making a connection, greetings included, may take.
    pub patience: Duration,
    /// The longest wait before the next attempt.
    pub longest_backoff: Duration,
    /// What the waits before the next attempt are drawn from.
    pub seed: u64,
    /// Where connections come from.
    pub transport: Arc<dyn Transport>,
}

/// Whether connections are encrypted, and both ends prove who they are.
#[derive(Clone, Debug)]
pub enum Security {
    /// They are.
    Tls(Arc<Tls>),
    /// They are not: anyone who reaches the port can say that it is a server of the cluster.
    Insecure,
}

/// What comes in. The receiver must not wait.
#[derive(Debug)]
pub enum Delivery {
    /// A message of the protocol, from another server.
    Message {
        /// The server.
        from: ServerId,
        /// The message.
        message: Message,
        /// What came beside it.
        cargo: Cargo,
    },
    /// Word of a state, from another server.
    Audit {
        /// The server.
        from: ServerId,
        /// The word.
        audit: Audit,
    },
    /// A call from a client, or from a server for its client.
    Call {
        /// Who waits for the answer.
        caller: Caller,
        /// What is asked.
        request: Request,
    },
    /// What came of a call that was sent to this server.
    Answer {
        /// The server.
        from: ServerId,
        /// The number of the call.
        number: u64,
        /// What came of it.
        answer: Result<Answered, CallError>,
    },
    /// The process of another server is gone: it closed the connection, and nobody listens any more
    /// where it did.
    Gone {
        /// The server.
        from: ServerId,
    },
}

/// Why there can be no [`Peers`].
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The port cannot be had.
    #[error(
        "cannot listen for peers at {address}: {error}; is another process listening there, and is \
         the address one of this machine?"
    )]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        error: io::Error,
    },
}

/// A handle to the connections of one process. They end with the last handle.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
    /// Dropped with the last handle: the tasks hold what is shared, not this.
    _end: Arc<End>,
}

struct Shared {
    config: PeersConfig,
    runtime: Handle,
    local: Option<SocketAddr>,
    peers: Mutex<BTreeMap<ServerId, Arc<Peer>>>,
    inbound: Box<dyn Fn(Delivery) + Send + Sync>,
    /// Keeps strangers from filling the log.
    strangers: Mutex<Limiter>,
}

/// One other server.
struct Peer {
    id: ServerId,
    address: Mutex<Address>,
    /// Where it says it can be reached.
    advertise: Mutex<Advertise>,
    /// There is a reason to try to connect at once.
    hurry: [Notify; 2],
    lanes: [Outgoing; 2],
    incoming: [Incoming; 2],
    tasks: Mutex<Vec<AbortHandle>>,
}

/// Where a server is taken to be.
#[derive(Clone, Default)]
struct Address {
    text: Option<String>,
    /// It was told by an operator, not by the server itself.
    told: bool,
}

/// A lane to another server.
#[derive(Default)]
struct Outgoing {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    /// Since when there is a connection.
    since: Mutex<Option<Instant>>,
}

/// A lane from another server.
#[derive(Default)]
struct Incoming {
    counters: Arc<Counters>,
    /// The way to end its connection.
    end: Mutex<Option<Arc<Notify>>>,
}

struct End {
    shared: Arc<Shared>,
    listener: Option<AbortHandle>,
}

impl PeersConfig {
    /// For this process, with nothing else said: no peers, TCP, 1024 clients,
    /// 3 s for making a connection and at most 1 s between attempts.
    pub fn new(cluster: Uuid, role: Role, security: Security) -> Self {
        Self {
            cluster,
            role,
            listen: None,
            advertise: Advertise::default(),
            peers: BTreeMap::new(),
            security,
            admits: None,
            token: None,
            max_clients: 1024,
            keepalive: Keepalive::default(),
            patience: Duration::from_secs(3),
            longest_backoff: Duration::from_secs(1),
            seed: 0,
            transport: Arc::new(Tcp),
        }
    }
}

impl Peers {
    /// Listens, and begins to connect to the peers. `inbound` is handed what comes in, on the
    /// runtime that this is called on; it may send, and must not wait. If it keeps a handle, the
    /// connections end with the runtime.
    ///
    /// # Errors
    /// If the process cannot listen where it is told to.
    pub async fn start(
        mut config: PeersConfig,
        inbound: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Result<Self, PeersError> {
        let mut listener = None;
        if let Some(address) = &config.listen {
            let error = |error| PeersError::Listen { address: address.clone(), error };
            listener = Some(config.transport.listen(address).await.map_err(error)?);
        }
        let local = listener.as_ref().and_then(|listener| listener.local_address().ok());
        if config.advertise.peers.is_none() {
            config.advertise.peers = local.map(|address| address.to_string());
        }
        let known = config.peers.clone();
        let shared = Arc::new(Shared {
            config,
            runtime: Handle::current(),
            local,
            peers: Mutex::default(),
            inbound: Box::new(inbound),
            strangers: Mutex::default(),
        });
        let listener = listener
            .map(|listener| tokio::spawn(accept::listen(shared.clone(), listener)).abort_handle());
        let end = Arc::new(End { shared: shared.clone(), listener });
        let peers = Self { shared, _end: end };
        for (id, address) in known {
            peers.set_address(id, address);
        }
        Ok(peers)
    }

    /// Where it listens.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.shared.local
    }

    /// Sends a message or word of a state. It may be lost. A client has nobody to send any to.
    pub fn send(&self, to: ServerId, message: Message, cargo: Cargo) {
        let lane = match &cargo {
            Cargo::Part(_) => Lane::Bulk,
            Cargo::Nothing | Cargo::Entries(_) => Lane::Consensus,
        };
        self.shared.send(to, lane, Packet::Message { message, cargo });
    }

    /// Sends word of a state. It may be lost.
    pub fn audit(&self, to: ServerId, audit: Audit) {
        self.shared.send(to, Lane::Consensus, Packet::Audit(audit));
    }

    /// Sends a call, whose `number` is the caller's and of no other call to that server that is
    /// not answered. What comes of it is a [`Delivery::Answer`], exactly one.
    ///
    /// # Errors
    /// If it was not sent, and there will be no answer: without a connection, or beyond 65,536
    /// calls and 64 MiB.
    pub fn call(&self, to: ServerId, number: u64, request: Request) -> Result<(), CallError> {
        let peer = self.shared.peer(to).ok_or(CallError::Unreachable)?;
        peer.lane(Lane::Bulk).outbox.call(number, request)
    }

    /// Tells where a server is, be it a new one. A connection to where it was is closed.
    pub fn set_address(&self, id: ServerId, address: impl Into<String>) {
        let address = Address { text: Some(address.into()), told: true };
        if self.shared.config.role == Role::Server(id) {
            return;
        }
        if let Some(peer) = self.shared.peer_or_new(id) {
            peer.set_address(address);
        }
    }

    /// Forgets a server. Its calls have no known outcome.
    pub fn remove(&self, id: ServerId) {
        let peer = self.shared.peers().remove(&id);
        if let Some(peer) = peer {
            peer.end();
            for (number, error) in peer.lanes.iter().flat_map(|lane| lane.outbox.close()) {
                (self.shared.inbound)(Delivery::Answer { from: id, number, answer: Err(error) });
            }
        }
    }

    /// Every server that is known here, but this one.
    pub fn known(&self) -> Vec<ServerId> {
        self.shared.peers().keys().copied().collect()
    }

    /// Where the server is taken to be, and how it says that it can be reached.
    pub fn address(&self, id: ServerId) -> Option<(String, Advertise)> {
        let peer = self.shared.peer(id)?;
        let address = lock(&peer.address).text.clone()?;
        let advertise = lock(&peer.advertise).clone();
        Some((address, advertise))
    }

    /// What is known of the connections to a server.
    pub fn stats(&self, id: ServerId) -> Option<PeerStats> {
        let peer = self.shared.peer(id)?;
        let mut stats = PeerStats::default();
        for lane in &peer.lanes {
            lane.counters.add_to(&mut stats);
            let (waiting, dropped) = lane.outbox.look();
            stats.waiting += waiting;
            stats.dropped += dropped;
            let since = *lock(&lane.since);
            stats.connected = stats.connected.or(since.map(|since| since.elapsed()));
        }
        peer.incoming.iter().for_each(|lane| lane.counters.add_to(&mut stats));
        Some(stats)
    }
}

impl Shared {
    fn peers(&self) -> MutexGuard<'_, BTreeMap<ServerId, Arc<Peer>>> {
        lock(&self.peers)
    }

    fn peer(&self, id: ServerId) -> Option<Arc<Peer>> {
        self.peers().get(&id).cloned()
    }

    /// The server; a new one has its tasks begun. `None` if there are too many.
    fn peer_or_new(self: &Arc<Self>, id: ServerId) -> Option<Arc<Peer>> {
        let mut peers = self.peers();
        if let Some(peer) = peers.get(&id) {
            return Some(peer.clone());
        }
        if peers.len() >= MAX_PEERS {
            return None;
        }
        let peer = Arc::new(Peer::new(id));
        let lanes: &[Lane] = match self.config.role {
            Role::Server(_) => &[Lane::Consensus, Lane::Bulk],
            Role::Client(_) => &[Lane::Bulk],
        };
        let dial = |lane: &Lane| dial::keep_connected(self.clone(), peer.clone(), *lane);
        let tasks = lanes.iter().map(|lane| self.runtime.spawn(dial(lane)).abort_handle());
        lock(&peer.tasks).extend(tasks);
        peers.insert(id, peer.clone());
        Some(peer)
    }

    fn send(&self, to: ServerId, lane: Lane, packet: Packet) {
        let Some(peer) = self.peer(to) else { return };
        if peer.lane(lane).outbox.message(packet) {
            log::error!(
                peer:% = to;
                "a message is lost: it is larger than a frame ({} B)", super::frame::MAX_FRAME
            );
        }
    }

    /// What is said first to this server.
    fn hello(&self, to: ServerId, lane: Lane) -> Hello {
        Hello {
            from: self.config.role.clone(),
            to,
            cluster: self.config.cluster,
            lane,
            advertise: self.config.advertise.clone(),
            token: self.config.token.clone(),
        }
    }
}

impl Peer {
    fn new(id: ServerId) -> Self {
        Self {
            id,
            address: Mutex::default(),
            advertise: Mutex::default(),
            hurry: Default::default(),
            lanes: Default::default(),
            incoming: Default::default(),
            tasks: Mutex::default(),
        }
    }

    fn lane(&self, lane: Lane) -> &Outgoing {
        &self.lanes[lane as usize]
    }

    fn incoming(&self, lane: Lane) -> &Incoming {
        &self.incoming[lane as usize]
    }

    fn hurry(&self) {
        self.hurry.iter().for_each(Notify::notify_one);
    }

    fn set_address(&self, address: Address) {
        *lock(&self.address) = address;
        self.hurry();
    }

    /// The server says itself where it is. What an operator says goes before it.
    fn learn(&self, advertise: Advertise) {
        let known = lock(&self.address).clone();
        if !known.told && advertise.peers.is_some() && known.text != advertise.peers {
            self.set_address(Address { text: advertise.peers.clone(), told: false });
        }
        *lock(&self.advertise) = advertise;
        self.hurry();
    }

    fn end(&self) {
        lock(&self.tasks).iter().for_each(AbortHandle::abort);
        for incoming in &self.incoming {
            if let Some(end) = lock(&incoming.end).take() {
                end.notify_one();
            }
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.listener.iter().for_each(AbortHandle::abort);
        self.shared.peers().values().for_each(|peer| peer.end());
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("role", &self.shared.config.role).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever holds one only reads or replaces what is in it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
