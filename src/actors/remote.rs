//! A client of another process: it speaks to the servers over their own protocol.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::away::Away;
use super::call::Call;
use super::client::Client;
use super::clock::Clock;
use super::supervisor::{Stream, stream};
use super::way::Way;
use crate::net::{Delivery, Peers, PeersConfig, PeersError};
use crate::raft::ServerId;

/// The way to servers that are reached over connections.
struct Remote {
    peers: Peers,
    away: Arc<Away>,
    /// How many servers run, of how many, if somebody counts them.
    up: Cell<Option<(usize, usize)>>,
}

/// Makes clients that share the connections of one process to the servers of a cluster, over their
/// own protocol: the native port.
///
/// What is asked while a write is under way is written together, and answered in any order, so
/// speed comes from many calls at a time: of clones of one [`Client`], which share its session
/// ([`Limits::unacknowledged`](crate::files::Limits::unacknowledged) changes under way at the
/// most), and of several clients.
///
/// ```no_run
/// use std::collections::BTreeMap;
///
/// use jangada::actors::{ClockKind, Connection, run};
/// use jangada::net::{PeersConfig, Role, Security};
/// use jangada::raft::ServerId;
/// use uuid::Uuid;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = Uuid::nil();
/// run(ClockKind::Real, async {
///     // With `Security::Tls` in its place, both ends prove who they are.
///     let security = Security::Insecure;
///     let mut config = PeersConfig::new(cluster, Role::Client("ada".to_owned()), security);
///     config.peers = BTreeMap::from([
///         (ServerId(1), "127.0.0.1:4001".to_owned()),
///         (ServerId(2), "127.0.0.1:4002".to_owned()),
///     ]);
///     config.seed = Uuid::new_v4().as_u64_pair().0;
///     let client = Connection::open(config).await?.client();
///
///     client.load_bytes("notes.txt", "set sail").await?;
///     // Both are on their way before either is answered, and each is made once.
///     let (one, other) = tokio::join!(
///         client.append_bytes("notes.txt", " today"),
///         client.append_bytes("notes.txt", " at noon"),
///     );
///     (one?, other?);
///     Ok(())
/// })?
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    way: Rc<Remote>,
    clock: Clock,
    seed: u64,
    clients: Rc<Cell<u64>>,
}

impl Connection {
    /// Begins to connect, as the configuration says: where the servers are, in which role, whether
    /// in plain text. Its seed must be another one in every process. Call it inside
    /// [`run`](super::run), or on another runtime of one thread with a clock.
    ///
    /// # Errors
    /// If the configuration is to listen, and it cannot.
    pub async fn open(config: PeersConfig) -> Result<Self, PeersError> {
        let seed = config.seed;
        let away = Arc::new(Away::new(seed >> 1));
        let calls = away.clone();
        let inbound = move |delivery| {
            if let Delivery::Answer { number, answer, .. } = delivery {
                calls.answered(number, answer);
            }
        };
        let peers = Peers::start(config, inbound).await?;
        let way = Rc::new(Remote { peers, away, up: Cell::new(None) });
        Ok(Self { way, clock: Clock::start(), seed, clients: Rc::default() })
    }

    /// A new client, with a session of its own.
    pub fn client(&self) -> Client {
        let number = self.clients.get();
        self.clients.set(number + 1);
        let luck = stream(self.seed, &Stream::Client(number));
        Client::new(self.way.clone(), self.clock, luck)
    }

    /// Tells where a server is, be it a new one.
    pub fn set_address(&self, id: ServerId, address: impl Into<String>) {
        self.way.peers.set_address(id, address);
    }

    /// Tells how many servers run, of how many, for clients that would ask them in vain. Unless
    /// that is known, the servers say themselves that they have no quorum.
    pub fn set_up(&self, up: Option<(usize, usize)>) {
        self.way.up.set(up);
    }
}

impl Way for Remote {
    fn call(&self, to: ServerId, call: Call) {
        self.away.send(&self.peers, to, call);
    }

    fn servers(&self) -> Vec<ServerId> {
        self.peers.known()
    }

    fn up(&self) -> (usize, usize) {
        self.up.get().unwrap_or((1, 1))
    }

    fn leader(&self) -> Option<ServerId> {
        None
    }

    fn first(&self) -> ServerId {
        self.servers().first().copied().unwrap_or(ServerId(1))
    }
}
