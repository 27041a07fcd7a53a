//! One server alone in its process: the others are reached through an [`Outlet`], and whoever is
//! on another thread reaches it through its [`Door`].

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::away::Away;
use super::call::{Call, Inbox, Reply, answer};
use super::client::Client;
use super::clock::{Clock, LocalClock};
use super::launch::{Launch, launch};
use super::messages::{Ask, Asked, Disrupt, End, Gone, Knock, Observation, Observe, Snap, Synced};
use super::network::{Network, Outlet, Running, put_in};
use super::panic::keep_panics;
use super::record::{EventKind, Recorder};
use super::server::{AuditFrom, Server};
use super::supervisor::{Stream, stream};
use super::way::Way;
use super::{MachineFactory, Meter, OrderError, SnapshotPolicy};
use crate::blackbox::BlackBox;
use crate::net::{CallError, Delivery, LinkRule};
use crate::raft::{self, ChangeRequest, ServerId, Timing};
use crate::storage::Storage;

/// What a server of its own process is made from.
pub struct StandaloneOptions {
    /// Its number.
    pub id: ServerId,
    /// The cluster whose member it is.
    pub cluster: Uuid,
    /// What its random draws come from: another one in every life.
    pub seed: u64,
    /// How it behaves.
    pub raft: raft::Options,
    /// When it takes snapshots by itself.
    pub snapshots: SnapshotPolicy,
    /// Its disk.
    pub storage: Box<dyn Storage>,
    /// Builds the empty state machine.
    pub machine: MachineFactory,
    /// Who keeps its numbers.
    pub meter: Option<Rc<dyn Meter>>,
    /// Records what enters its core.
    pub black_box: Option<BlackBox>,
}

/// A server of its own process. It runs on the thread and in the actor system that it was started
/// in.
pub struct Standalone {
    door: Door,
    network: Network,
    recorder: Recorder,
    clock: Clock,
    running: Running,
    timing: Cell<Timing>,
}

/// How other threads reach a server: connections, clients, the disk, operators. Clones are handles
/// to the same.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    id: ServerId,
    seed: u64,
    server: Addr<Server>,
    inbox: Arc<Inbox>,
    outlet: OnceLock<Arc<dyn Outlet>>,
    roster: Mutex<Roster>,
    away: Away,
    clients: AtomicU64,
}

/// Whom the server knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    /// Who leads.
    pub leader: Option<ServerId>,
    /// The members, as of the latest configuration that it knows to be committed.
    pub members: Vec<ServerId>,
}

/// How long [`Standalone::end`] waits between two looks.
const LOOK: Duration = Duration::from_millis(2);

impl Standalone {
    /// Starts a server. Call it inside [`run`](super::run).
    pub fn start(options: StandaloneOptions) -> Self {
        let StandaloneOptions { id, cluster, seed, raft, snapshots, storage, machine, .. } =
            options;
        let StandaloneOptions { meter, black_box, .. } = options;
        keep_panics();
        let (clock, timing) = (Clock::start(), Cell::new(raft.timing));
        let recorder = Recorder::new(clock, false, None, None).with_meter(meter);
        let luck = stream(seed, &Stream::Network);
        let network = Network::new([id], clock, luck, recorder.clone());
        network.set_cluster(id, cluster);
        let running = launch(Launch {
            id,
            options: raft,
            policy: snapshots,
            storage,
            network: network.clone(),
            recorder: recorder.clone(),
            clock,
            local: LocalClock::new(),
            luck: stream(seed, &Stream::Server { id, life: 0 }),
            machine: machine(),
            pace: Some(Duration::ZERO),
            black_box,
        });
        network.plug(id, running.clone());
        let door = Door(Arc::new(Shared {
            id,
            seed,
            server: running.address.clone(),
            inbox: running.inbox.clone(),
            outlet: OnceLock::new(),
            roster: Mutex::default(),
            // Never a number of an earlier life, so that no late answer meets a new call.
            away: Away::new(seed >> 1),
            clients: AtomicU64::new(0),
        }));
        door.follow(&recorder);
        Self { door, network, recorder, clock, running, timing }
    }

    /// Connects it to the others. Until then, what it sends them is lost.
    pub fn connect(&self, outlet: Arc<dyn Outlet>) {
        self.network.set_outlet(self.door.0.id, outlet.clone());
        // Connecting twice would change nothing but the network's own way.
        let _ = self.door.0.outlet.set(outlet);
    }

    /// How other threads reach it.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Its number.
    pub fn id(&self) -> ServerId {
        self.door.0.id
    }

    /// What happened.
    pub fn events(&self) -> &Recorder {
        &self.recorder
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    pub(super) fn timing(&self) -> Timing {
        self.timing.get()
    }

    pub(super) fn set_timing(&self, timing: Timing) {
        self.timing.set(timing);
    }

    /// Has it stand for election now.
    pub(super) fn stand(&self) {
        self.door.0.server.do_send(Disrupt);
    }

    /// The rule of the link to another server: what becomes of messages there.
    pub fn link(&self, to: ServerId) -> LinkRule {
        self.network.rule(self.door.0.id, to)
    }

    /// Changes the rule of the link to another server.
    pub fn set_link(&self, to: ServerId, rule: LinkRule) {
        self.network.set_rule(self.door.0.id, to, rule);
    }

    /// Hands over if it leads, and serves on. Takes no longer than `patience`.
    pub async fn leave(&self, patience: Duration) {
        // Refused or not, it is on its way out.
        let _ = tokio::time::timeout(patience, self.door.ask(Asked::Leave)).await;
    }

    /// Ends it, once its disk has what it was asked to write, or after `patience`.
    pub async fn end(&self, patience: Duration) {
        let written = async {
            while let Some(seen) = self.door.observe().await
                && seen.raft.durable_index < seen.raft.last_log.index
            {
                self.clock.sleep(LOOK).await;
            }
        };
        // What is not on the disk by then was never acknowledged.
        let _ = tokio::time::timeout(patience, written).await;
        let id = self.door.0.id;
        if let Some(running) = self.network.unplug(id) {
            running.address.do_send(End);
            self.recorder.record(EventKind::Ended { server: id, orderly: true });
            while running.address.connected() {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Door {
    /// The server's number.
    pub fn id(&self) -> ServerId {
        self.0.id
    }

    /// Takes in what came over a connection.
    pub fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Message { from, message, cargo } => {
                put_in(&self.0.server, from, message, cargo);
            }
            Delivery::Audit { from, audit } => self.0.server.do_send(AuditFrom { from, audit }),
            Delivery::Call { caller, request } => {
                self.take(Call { request, reply: Reply::Away(caller) });
            }
            Delivery::Gone { from } => self.0.server.do_send(Gone(from)),
            Delivery::Answer { number, answer, .. } => self.0.away.answered(number, answer),
        }
    }

    /// The disk has news.
    pub fn wake(&self) {
        self.0.server.do_send(Synced);
    }

    /// A client with a session of its own, for the thread that asks for it.
    pub fn client(&self) -> Client {
        let number = self.0.clients.fetch_add(1, Ordering::Relaxed);
        let luck = stream(self.0.seed, &Stream::Client(number));
        Client::new(Rc::new(self.clone()), Clock::start(), luck)
    }

    /// Whom the server knows.
    pub fn roster(&self) -> Roster {
        self.lock_roster().clone()
    }

    /// How the server is; `None` if it has ended.
    pub async fn observe(&self) -> Option<Observation> {
        self.0.server.send(Observe).await.ok()
    }

    /// Asks the server, as the leader, for other members. Answered when the change has begun.
    ///
    /// # Errors
    /// If it refuses.
    pub async fn change(&self, request: ChangeRequest) -> Result<(), OrderError> {
        self.ask(Asked::Change(request)).await
    }

    /// Asks the server, as the leader, to hand over. Answered when it has begun.
    ///
    /// # Errors
    /// If it refuses.
    pub async fn hand_over(&self, to: Option<ServerId>) -> Result<(), OrderError> {
        self.ask(Asked::HandOver(to)).await
    }

    /// Has the server take a snapshot.
    pub fn take_snapshot(&self) {
        self.0.server.do_send(Snap);
    }

    async fn ask(&self, asked: Asked) -> Result<(), OrderError> {
        let (reply, answer) = oneshot::channel();
        self.0.server.do_send(Ask { asked, reply });
        answer.await.unwrap_or(Err(OrderError::Unknown))
    }

    fn take(&self, call: Call) {
        if self.0.inbox.push(call) {
            self.0.server.do_send(Knock);
        }
    }

    /// Keeps the roster up to date.
    fn follow(&self, recorder: &Recorder) {
        let (door, weak) = (self.clone(), Arc::downgrade(&self.0));
        actix_rt::spawn(async move {
            if let Some(seen) = door.observe().await {
                let roster = &mut *door.lock_roster();
                if roster.members.is_empty() {
                    roster.members = seen.raft.configuration.members();
                }
            }
        });
        recorder.watch(move |event| {
            let Some(door) = weak.upgrade().map(Door) else { return };
            let roster = &mut *door.lock_roster();
            match &event.kind {
                EventKind::Became { leader, .. } => roster.leader = *leader,
                EventKind::Configured { configuration, .. } => {
                    roster.members = configuration.members();
                }
                _ => {}
            }
        });
    }

    fn lock_roster(&self) -> MutexGuard<'_, Roster> {
        // Every change is complete before anything can panic.
        self.0.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way for Door {
    fn call(&self, to: ServerId, call: Call) {
        match self.0.outlet.get() {
            _ if to == self.0.id => self.take(call),
            Some(outlet) => self.0.away.send(&**outlet, to, call),
            None => answer(call.reply, Err(CallError::Unreachable)),
        }
    }

    fn servers(&self) -> Vec<ServerId> {
        let members = self.roster().members;
        if members.is_empty() { vec![self.0.id] } else { members }
    }

    /// Nobody here counts who is up: the servers say themselves that they have no quorum.
    fn up(&self) -> (usize, usize) {
        (1, 1)
    }

    fn leader(&self) -> Option<ServerId> {
        self.lock_roster().leader
    }

    fn first(&self) -> ServerId {
        self.leader().unwrap_or(self.0.id)
    }
}

#[cfg(test)]
mod tests;
