//! A cluster in one process: made, ordered about and looked at through a [`Sandbox`].

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use bytes::Bytes;

use super::call::Proposer;
use super::client::Client;
use super::clock::Clock;
use super::network::Network;
use super::panic::keep_panics;
use super::record::Recorder;
use super::state_machine::{Frozen, Machine, Restoring};
use super::status::{ClusterStatus, LogLine};
use super::supervisor::{
    Carry, Compare, EndAll, GetLog, GetStatus, MachineFactory, OrderError, Plan, Stream,
    Supervisor, stream,
};
use super::traffic::Traffic;
use super::virtual_time::VirtualTime;
use super::{Order, Servers};
use crate::files::{self, ChunkStore, ContentHash, FileStore};
use crate::invariants::{Monitor, Violation};
use crate::raft::{self, ChunkId, Index, ServerId};
use crate::storage::{ChunkReader, DiskKind};

/// What a sandbox is made from.
pub struct SandboxOptions {
    /// How many servers, numbered from 1.
    pub servers: u64,
    /// What every random draw comes from.
    pub seed: u64,
    /// How the servers behave.
    pub raft: raft::Options,
    /// Which disks they have.
    pub disks: DiskKind,
    /// When servers take snapshots by themselves.
    pub snapshots: SnapshotPolicy,
    /// Whether every applied command becomes an event.
    pub record_commands: bool,
    /// Where the trace of every message and event goes, one a line.
    pub trace: Option<Box<dyn Write>>,
    /// Whether every step of every server is checked against what must always hold; see
    /// [`Sandbox::violation`]. The checks take time, and memory for every entry ever logged.
    pub monitor: bool,
    /// Builds the empty state machine of a server that starts.
    pub machine: MachineFactory,
}

/// When a server takes a snapshot by itself: as soon as its log has grown by either since the last
/// one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotPolicy {
    /// Entries.
    pub entries: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl Default for SnapshotPolicy {
    /// Every 131,072 entries or 64 MiB.
    fn default() -> Self {
        Self { entries: 1 << 17, bytes: 64 << 20 }
    }
}

/// A cluster in one process, with its supervisor.
pub struct Sandbox {
    supervisor: Addr<Supervisor>,
    network: Network,
    recorder: Recorder,
    clock: Clock,
    seed: u64,
    disks: DiskKind,
    /// After how many entries servers take a snapshot, and how many of them stay.
    snapshots: (u64, u64),
    clients: Cell<u64>,
}

/// Which clock drives a sandbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockKind {
    /// The clock on the wall.
    Real,
    /// Time jumps to the next timer as soon as nothing is left to do now. Nothing but the actors
    /// may work meanwhile: no other thread, no socket.
    Virtual,
}

impl Default for SandboxOptions {
    /// Five servers with a file store each, and a monitor.
    fn default() -> Self {
        Self {
            servers: 5,
            seed: 0,
            raft: raft::Options::default(),
            disks: DiskKind::default(),
            snapshots: SnapshotPolicy::default(),
            record_commands: true,
            trace: None,
            monitor: true,
            machine: Rc::new(|| Box::new(FileStore::default())),
        }
    }
}

impl SandboxOptions {
    /// Replicates another state machine than the file store.
    pub fn with_machine<M: Machine>(mut self, machine: impl Fn() -> M + 'static) -> Self {
        self.machine = Rc::new(move || Box::new(machine()));
        self
    }
}

/// Runs `main` in an actor system of its own, on this thread, until it is done.
///
/// # Errors
/// If the system cannot make a runtime.
pub fn run<T>(kind: ClockKind, main: impl Future<Output = T>) -> io::Result<T> {
    if kind == ClockKind::Virtual {
        return Ok(VirtualTime::start()?.block_on(main));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let system = actix_rt::System::with_tokio_rt(|| runtime);
    Ok(system.block_on(main))
}

impl Sandbox {
    /// Starts the servers. Call it inside [`run`].
    pub fn start(options: SandboxOptions) -> Self {
        let SandboxOptions { servers, seed, raft, disks, snapshots, record_commands, .. } = options;
        let SandboxOptions { trace, monitor, machine, .. } = options;
        let clock = Clock::start();
        let servers = (1..=servers).map(ServerId);
        // With or without a monitor: a panic is always told, and nobody else knows what it said.
        keep_panics();
        let monitor = monitor.then(|| Monitor::new(servers.clone()));
        let recorder = Recorder::new(clock, record_commands, trace, monitor);
        let luck = stream(seed, &Stream::Network);
        let network = Network::new(servers, clock, luck, recorder.clone());
        let compaction = (snapshots.entries, raft.limits.kept_entries);
        let plan = Plan { seed, raft, disks, snapshots, machine };
        let supervisor = Supervisor::new(plan, clock, network.clone(), recorder.clone()).start();
        Self {
            supervisor,
            network,
            recorder,
            clock,
            seed,
            disks,
            snapshots: compaction,
            clients: Cell::new(0),
        }
    }

    /// Has the supervisor carry out an order.
    ///
    /// # Errors
    /// If the order cannot be carried out; then nothing was changed.
    pub async fn order(&self, order: Order) -> Result<(), OrderError> {
        self.supervisor.send(Carry(order)).await.unwrap_or(Err(OrderError::Ended))
    }

    /// Looks at every server.
    ///
    /// # Errors
    /// If the sandbox has ended.
    pub async fn status(&self) -> Result<ClusterStatus, OrderError> {
        self.supervisor.send(GetStatus).await.map_err(|_| OrderError::Ended)
    }

    /// The entries of a server's log behind `after`, up to and including `last`; 16 MiB of them
    /// at the most.
    ///
    /// # Errors
    /// If there is no such server.
    pub async fn log(
        &self,
        server: ServerId,
        after: Index,
        last: Index,
    ) -> Result<Vec<LogLine>, OrderError> {
        let message = GetLog { server, after, last };
        self.supervisor.send(message).await.unwrap_or(Err(OrderError::Ended))
    }

    /// What every running server has applied, and the digest of its state.
    ///
    /// # Errors
    /// If the sandbox has ended.
    pub async fn states(&self) -> Result<Vec<(ServerId, Index, [u8; 32])>, OrderError> {
        self.supervisor.send(Compare).await.map_err(|_| OrderError::Ended)
    }

    /// A new client of the file store, with a session of its own.
    pub fn client(&self) -> Client {
        let number = self.clients.get();
        self.clients.set(number + 1);
        let luck = stream(self.seed, &Stream::Client(number));
        Client::new(Rc::new(self.network.clone()), self.clock, luck)
    }

    /// A way to one server for opaque commands, if it runs. It ends with the server's life, and
    /// no order about speed slows it down.
    pub fn proposer(&self, server: ServerId) -> Option<Proposer> {
        let running = self.network.running(server)?;
        Some(Proposer { server: running.address, inbox: running.inbox })
    }

    /// The server that leads the highest term, as far as the servers know.
    pub fn leader(&self) -> Option<ServerId> {
        self.network.leader()
    }

    /// The servers that are meant now, whether they run or not.
    ///
    /// # Errors
    /// If there is no such server, or no leader and one is meant.
    pub fn resolve(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        self.network.resolve(servers)
    }

    /// The servers that run and are not that leader.
    pub fn followers(&self) -> Vec<ServerId> {
        self.network.followers()
    }

    /// Waits until a server leads. Returns `None` if that takes longer than `patience`.
    pub async fn wait_for_leader(&self, patience: Duration) -> Option<ServerId> {
        self.poll(patience, async || self.leader()).await
    }

    /// Waits until the cluster is as `condition` asks, and returns how it is then. Returns `None`
    /// if that takes longer than `patience`, or if the sandbox has ended.
    pub async fn wait_until(
        &self,
        patience: Duration,
        condition: impl Fn(&ClusterStatus) -> bool,
    ) -> Option<ClusterStatus> {
        self.poll(patience, async || self.status().await.ok().filter(&condition)).await
    }

    /// Waits until every running server has applied the same entries and holds the same state.
    /// Returns the index of the last of them, or `None` if that takes longer than `patience`.
    pub async fn wait_for_agreement(&self, patience: Duration) -> Option<Index> {
        let agreement = async || {
            let states = self.states().await.ok()?;
            let (_, index, digest) = *states.first()?;
            states.iter().all(|state| (state.1, state.2) == (index, digest)).then_some(index)
        };
        self.poll(patience, agreement).await
    }

    /// Looks every millisecond until there is something to see, or patience ends.
    async fn poll<T>(&self, patience: Duration, look: impl AsyncFn() -> Option<T>) -> Option<T> {
        let waiting = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                self.clock.sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(patience, waiting).await.ok()
    }

    /// What happened.
    pub fn events(&self) -> &Recorder {
        &self.recorder
    }

    /// What became of the messages between the servers so far. Without a monitor, deliveries are
    /// not counted.
    pub fn traffic(&self) -> Traffic {
        self.network.traffic()
    }

    /// The first thing that must always hold and did not: a property that the monitor checks, or
    /// a panic of a server. Without a monitor only panics are seen.
    pub fn violation(&self) -> Option<Violation> {
        self.recorder.violation()
    }

    /// The sandbox's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What every random draw comes from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Which disks the servers have.
    pub fn disks(&self) -> DiskKind {
        self.disks
    }

    /// After how many entries servers take a snapshot by themselves, and how many entries before
    /// its end stay in their logs.
    pub fn snapshots(&self) -> (u64, u64) {
        self.snapshots
    }

    /// Ends every server in good order.
    pub async fn end(&self) {
        // A supervisor that is gone has ended them already.
        let _ = self.supervisor.send(EndAll).await;
    }
}

impl Machine for FileStore {
    fn apply(&mut self, index: Index, command: &Bytes) -> Bytes {
        FileStore::apply(self, index.0, command)
    }

    fn apply_unheard(&mut self, index: Index, command: &Bytes) {
        FileStore::apply_unheard(self, index.0, command);
    }

    fn query(&self, query: &Bytes) -> Bytes {
        FileStore::query(self, query)
    }

    fn digest(&self) -> [u8; 32] {
        FileStore::digest(self).0
    }

    fn carried_out(&self) -> Option<(u64, u64)> {
        FileStore::carried_out(self)
    }

    fn state_hash(&self) -> Option<u64> {
        Some(FileStore::state_hash(self))
    }

    fn describe(&self, command: &Bytes) -> String {
        files::describe(command)
    }

    fn pass(&mut self, index: Index) {
        FileStore::note_applied(self, index.0);
    }

    fn freeze(&self) -> Option<Box<dyn Frozen>> {
        Some(Box::new(FileStore::freeze(self)))
    }

    fn restore(&self) -> Option<Box<dyn Restoring>> {
        Some(Box::new(FileStore::restore(self)))
    }

    fn read_chunks_from(&mut self, chunks: Box<dyn ChunkReader>) {
        self.keep_content_in(Box::new(Chunks(chunks)));
    }

    fn forget_before(&mut self, index: Index) {
        FileStore::forget_before(self, index.0);
    }
}

/// What a file store reads its content from.
struct Chunks(Box<dyn ChunkReader>);

impl ChunkStore for Chunks {
    fn chunk(&self, id: &ContentHash) -> Option<Bytes> {
        self.0.fetch_chunk(&ChunkId(id.0))
    }

    fn has_chunk(&self, id: &ContentHash) -> bool {
        self.0.keeps_chunk(&ChunkId(id.0))
    }
}

impl Frozen for files::Frozen {
    fn next_chunk(&mut self) -> Option<(ChunkId, Option<Bytes>)> {
        files::Frozen::next_chunk(self).map(|(hash, bytes)| (ChunkId(hash.0), bytes))
    }

    fn let_go(self: Box<Self>) {
        files::Frozen::let_go(*self);
    }
}

impl Restoring for files::Restore {
    fn feed(&mut self, id: ChunkId, chunk: &Bytes) -> Result<(), String> {
        let fed = files::Restore::feed(self, ContentHash(id.0), chunk);
        fed.map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>, index: Index) -> Result<Box<dyn Machine>, String> {
        match files::Restore::finish(*self, index.0) {
            Ok(store) => Ok(Box::new(store)),
            Err(error) => Err(error.to_string()),
        }
    }
}
