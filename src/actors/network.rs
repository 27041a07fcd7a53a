//! Every way to a server in a sandbox: the links between servers with their rules, the time a
//! slow server takes for each message, and the door for clients. The supervisor sets the rules;
//! servers and clients send through it.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::Servers;
use super::call::{Call, Inbox, answer};
use super::clock::Clock;
use super::messages::{FromPeer, Knock, Replicate, Transfer};
use super::record::Recorder;
use super::server::{AuditFrom, Server};
use super::state_machine::StateMachine;
use super::supervisor::OrderError;
use super::traffic::Traffic;
use super::way::Way;
use crate::invariants::Fact;
use crate::net::{Audit, CallError, Cargo, Fate, LinkRule, Peers, Request};
use crate::raft::{Entries, Index, Message, Refusal, RoleKind, ServerId, Term, Time};
use crate::storage::StorageError;

/// A handle to the network of one sandbox.
#[derive(Clone)]
pub(crate) struct Network(Rc<RefCell<Wires>>);

struct Wires {
    clock: Clock,
    luck: ChaCha8Rng,
    recorder: Recorder,
    ports: BTreeMap<ServerId, Port>,
    /// The rules of the links that are not clear.
    rules: BTreeMap<(ServerId, ServerId), LinkRule>,
    /// When the latest message of each link arrives: later ones do not overtake it.
    arrivals: BTreeMap<(ServerId, ServerId), Time>,
    /// What is on its way, soonest first, and in the order of sending within a moment.
    late: BinaryHeap<Reverse<Late>>,
    sent: u64,
    /// When the next delivery wakes.
    armed: Option<Time>,
    /// Servers that ended by themselves, and why; their supervisor has not seen it yet.
    failed: BTreeMap<ServerId, StorageError>,
    /// Nothing holds any message up: no rule, no slow or paused server, nothing on its way, and all
    /// of one cluster.
    quiet: bool,
    traced: u64,
    traffic: Traffic,
    /// The way to the servers of other processes, and the one server that is not.
    outlet: Option<(ServerId, Arc<dyn Outlet>)>,
}

/// The way to servers of other processes. Nothing here waits.
pub trait Outlet: Send + Sync {
    /// Sends a message of the protocol. It may be lost.
    fn message(&self, to: ServerId, message: Message, cargo: Cargo);

    /// Sends word of a state. It may be lost.
    fn audit(&self, to: ServerId, audit: Audit);

    /// Sends a call. What comes of it is delivered under its number, once.
    ///
    /// # Errors
    /// If it was not sent, and there will be no answer.
    fn call(&self, to: ServerId, number: u64, request: Request) -> Result<(), CallError>;
}

impl Outlet for Peers {
    fn message(&self, to: ServerId, message: Message, cargo: Cargo) {
        self.send(to, message, cargo);
    }

    fn audit(&self, to: ServerId, audit: Audit) {
        Peers::audit(self, to, audit);
    }

    fn call(&self, to: ServerId, number: u64, request: Request) -> Result<(), CallError> {
        Peers::call(self, to, number, request)
    }
}

/// Where a server is plugged in.
struct Port {
    running: Option<Running>,
    /// Counts the server's lives.
    life: u64,
    /// Added to every message that the server handles.
    latency: Duration,
    /// What arrived while the server was paused; beyond [`MAX_HELD`] it is lost.
    held: VecDeque<Parcel>,
    /// The cluster that it belongs to.
    cluster: Uuid,
}

impl Port {
    fn new() -> Self {
        let (running, held, cluster) = Default::default();
        Self { running, life: 0, latency: Duration::ZERO, held, cluster }
    }
}

/// A server that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) address: Addr<Server>,
    pub(crate) machine: Addr<StateMachine>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) life: Life,
}

/// What a server, its state machine and the supervisor know of each other without asking: a
/// crash or a pause holds at once, whatever is in the mailboxes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life(Rc<LifeCells>);

#[derive(Debug, Default)]
struct LifeCells {
    ended: Cell<bool>,
    paused: Cell<bool>,
    role: Cell<Option<(RoleKind, Term)>>,
    applied: Cell<Index>,
    states: RefCell<States>,
}

/// The hashes of the state after each of the latest entries, [`MAX_STATES`] at most.
#[derive(Debug, Default)]
struct States {
    /// The last of them.
    last: Index,
    /// How many there are, without a gap.
    count: u64,
    /// Each at the place that its entry's index leaves when divided by the length; empty before
    /// the first comes.
    hashes: Box<[u64]>,
}

struct Late {
    due: Time,
    order: u64,
    to: ServerId,
    parcel: Parcel,
}

enum Parcel {
    Peer { from: ServerId, message: Message, cargo: Cargo, number: u64 },
    Audit { from: ServerId, audit: Audit },
    Call(Call),
}

/// States whose hashes a server keeps: a power of two, so that a place is found by a mask.
const MAX_STATES: usize = 1024;
/// Most messages that wait for a paused server, as a full socket buffer would hold.
const MAX_HELD: usize = 4096;
/// Most messages and calls that are on their way at a time.
const MAX_LATE: usize = 1 << 18;

impl Life {
    /// Whether the server is gone: it must not do anything any more.
    pub(crate) fn ended(&self) -> bool {
        self.0.ended.get()
    }

    /// Whether the server is frozen.
    pub(crate) fn paused(&self) -> bool {
        self.0.paused.get()
    }

    /// The server's role and term, as it last said.
    pub(crate) fn role(&self) -> Option<(RoleKind, Term)> {
        self.0.role.get()
    }

    /// `last_applied`: how far the server's state machine is.
    pub(crate) fn applied(&self) -> Index {
        self.0.applied.get()
    }

    pub(crate) fn set_applied(&self, index: Index) {
        self.0.applied.set(index);
    }

    /// The state after the entry at `index` has this hash.
    pub(crate) fn note_state(&self, index: Index, hash: u64) {
        self.0.states.borrow_mut().note(index, hash);
    }

    /// The hash of the state after that entry, if it is one of the latest.
    pub(crate) fn state_at(&self, index: Index) -> Option<u64> {
        self.0.states.borrow().at(index)
    }

    /// The latest hash, and of which entry.
    pub(crate) fn latest_state(&self) -> Option<(Index, u64)> {
        let states = self.0.states.borrow();
        states.at(states.last).map(|hash| (states.last, hash))
    }

    /// All hashes that are kept, and the entry of the first.
    pub(crate) fn states(&self) -> (Index, Arc<[u64]>) {
        let states = self.0.states.borrow();
        let first = Index((states.last.0 + 1).saturating_sub(states.count));
        let all = (first.0..=states.last.0).filter_map(|index| states.at(Index(index)));
        (first, all.collect())
    }

    pub(crate) fn set_role(&self, role: RoleKind, term: Term) {
        self.0.role.set(Some((role, term)));
    }
}

impl States {
    fn note(&mut self, index: Index, hash: u64) {
        if self.hashes.is_empty() {
            self.hashes = vec![0; MAX_STATES].into();
        }
        let before = if index == self.last.next() { self.count } else { 0 };
        self.count = (before + 1).min(MAX_STATES as u64);
        self.last = index;
        self.hashes[index.0 as usize % MAX_STATES] = hash;
    }

    fn at(&self, index: Index) -> Option<u64> {
        let back = self.last.0.checked_sub(index.0)?;
        (back < self.count).then(|| self.hashes[index.0 as usize % MAX_STATES])
    }
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Late {}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Late {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl Network {
    pub(crate) fn new(
        servers: impl IntoIterator<Item = ServerId>,
        clock: Clock,
        luck: ChaCha8Rng,
        recorder: Recorder,
    ) -> Self {
        Self(Rc::new(RefCell::new(Wires {
            clock,
            luck,
            recorder,
            ports: servers.into_iter().map(|server| (server, Port::new())).collect(),
            rules: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            late: BinaryHeap::new(),
            sent: 0,
            armed: None,
            failed: BTreeMap::new(),
            quiet: true,
            traced: 0,
            traffic: Traffic::default(),
            outlet: None,
        })))
    }

    /// From now on every server but `home` is one of another process, which this reaches.
    pub(crate) fn set_outlet(&self, home: ServerId, outlet: Arc<dyn Outlet>) {
        self.0.borrow_mut().outlet = Some((home, outlet));
    }

    /// A place for one more server. Of one that has a place, nothing changes.
    pub(crate) fn add(&self, id: ServerId) {
        let wires = &mut *self.0.borrow_mut();
        wires.ports.entry(id).or_insert_with(Port::new);
        wires.still();
    }

    /// A place for a server of another process.
    pub(crate) fn admit(&self, id: ServerId) {
        self.0.borrow_mut().admit(id);
    }

    /// Makes a server one of this cluster: it is heard only there, and hears no other.
    pub(crate) fn set_cluster(&self, id: ServerId, cluster: Uuid) {
        let wires = &mut *self.0.borrow_mut();
        if let Some(port) = wires.ports.get_mut(&id) {
            port.cluster = cluster;
        }
        wires.still();
    }

    /// Plugs a server in.
    pub(crate) fn plug(&self, id: ServerId, server: Running) {
        let wires = &mut *self.0.borrow_mut();
        if let Some(port) = wires.ports.get_mut(&id) {
            port.running = Some(server);
        }
    }

    /// Pulls a server's plug: it is gone at once, and everything in flight to it is lost.
    pub(crate) fn unplug(&self, id: ServerId) -> Option<Running> {
        let wires = &mut *self.0.borrow_mut();
        let port = wires.ports.get_mut(&id)?;
        let running = port.running.take()?;
        running.life.0.ended.set(true);
        port.life += 1;
        port.held.clear();
        wires.lose_in_flight(id);
        wires.still();
        Some(running)
    }

    /// Pulls the plug of a server that cannot go on.
    pub(crate) fn fail(&self, id: ServerId, error: StorageError) {
        if self.unplug(id).is_some() {
            self.0.borrow_mut().failed.insert(id, error);
        }
    }

    /// The servers that have failed since the last time, and why.
    pub(crate) fn take_failed(&self) -> BTreeMap<ServerId, StorageError> {
        std::mem::take(&mut self.0.borrow_mut().failed)
    }

    /// The server, if it runs.
    pub(crate) fn running(&self, id: ServerId) -> Option<Running> {
        self.0.borrow().ports.get(&id)?.running.clone()
    }

    /// How often the server has ended.
    pub(crate) fn life(&self, id: ServerId) -> u64 {
        self.0.borrow().ports.get(&id).map_or(0, |port| port.life)
    }

    /// Every server, running or not.
    pub(crate) fn servers(&self) -> Vec<ServerId> {
        self.0.borrow().ports.keys().copied().collect()
    }

    /// How many servers run and are not paused, and how many there are.
    pub(crate) fn up(&self) -> (usize, usize) {
        let wires = self.0.borrow();
        let up = |port: &&Port| port.running.as_ref().is_some_and(|it| !it.life.paused());
        (wires.ports.values().filter(up).count(), wires.ports.len())
    }

    /// The running server that leads the highest term.
    pub(crate) fn leader(&self) -> Option<ServerId> {
        let wires = self.0.borrow();
        let leads = |(id, port): (&ServerId, &Port)| match port.running.as_ref()?.life.role()? {
            (RoleKind::Leader, term) => Some((term, *id)),
            _ => None,
        };
        wires.ports.iter().filter_map(leads).max().map(|(_, id)| id)
    }

    /// The servers that are meant, whether they run or not.
    pub(crate) fn resolve(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        match servers {
            Servers::All => Ok(self.servers()),
            Servers::Leader => Ok(vec![self.leader().ok_or(OrderError::NoLeader)?]),
            Servers::Followers => Ok(self.followers()),
            Servers::Only(ids) => {
                // Each once: starting a server twice would give it two lives at a time.
                let ids: BTreeSet<_> =
                    ids.iter().map(|id| self.known(*id)).collect::<Result<_, _>>()?;
                Ok(ids.into_iter().collect())
            }
        }
    }

    /// The server, if there is one of this number.
    pub(crate) fn known(&self, server: ServerId) -> Result<ServerId, OrderError> {
        let servers = self.servers();
        if servers.contains(&server) {
            Ok(server)
        } else {
            Err(OrderError::NoSuchServer { server, servers })
        }
    }

    /// The running servers but the leader.
    pub(crate) fn followers(&self) -> Vec<ServerId> {
        let leader = self.leader();
        let follows = |id: &ServerId| Some(*id) != leader && self.running(*id).is_some();
        self.servers().into_iter().filter(follows).collect()
    }

    /// What became of the messages so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.0.borrow().traffic.clone()
    }

    pub(crate) fn latency(&self, id: ServerId) -> Duration {
        self.0.borrow().ports.get(&id).map_or(Duration::ZERO, |port| port.latency)
    }

    pub(crate) fn set_latency(&self, id: ServerId, latency: Duration) {
        let wires = &mut *self.0.borrow_mut();
        if let Some(port) = wires.ports.get_mut(&id) {
            port.latency = latency;
        }
        wires.hurry();
        wires.still();
        self.arm(wires);
    }

    /// Freezes a server, or lets it go on with what arrived meanwhile.
    pub(crate) fn set_paused(&self, id: ServerId, paused: bool) {
        let wires = &mut *self.0.borrow_mut();
        let Some(port) = wires.ports.get_mut(&id) else { return };
        let Some(running) = &port.running else { return };
        running.life.0.paused.set(paused);
        if !paused {
            for parcel in std::mem::take(&mut port.held) {
                wires.deliver(id, parcel);
            }
        }
        wires.still();
    }

    pub(crate) fn rule(&self, from: ServerId, to: ServerId) -> LinkRule {
        self.0.borrow().rules.get(&(from, to)).copied().unwrap_or_default()
    }

    pub(crate) fn set_rule(&self, from: ServerId, to: ServerId, rule: LinkRule) {
        let wires = &mut *self.0.borrow_mut();
        if rule.is_clear() {
            wires.rules.remove(&(from, to));
        } else {
            wires.rules.insert((from, to), rule);
        }
        wires.hurry();
        wires.still();
        self.arm(wires);
    }

    /// Takes every rule off every link.
    pub(crate) fn heal(&self) {
        let wires = &mut *self.0.borrow_mut();
        wires.rules.clear();
        wires.hurry();
        wires.still();
        self.arm(wires);
    }

    /// Sends a message from one server to another. Losing it is part of the model.
    pub(crate) fn send(&self, from: ServerId, to: ServerId, message: Message, cargo: Cargo) {
        let wires = &mut *self.0.borrow_mut();
        wires.admit(to);
        let number = if wires.recorder.traces() {
            wires.traced += 1;
            let number = wires.traced;
            wires.recorder.trace(format_args!("{from} -> {to} #{number} {message}"));
            number
        } else {
            0
        };
        if wires.quiet && wires.ports.get(&to).is_some_and(|port| port.running.is_some()) {
            return wires.hand_in(from, to, message, cargo, number);
        }
        let parcel = Parcel::Peer { from, message, cargo, number };
        if wires.quiet {
            wires.deliver(to, parcel);
        } else if wires.cluster(from) != wires.cluster(to) {
            // What is of another cluster is not even looked at (TRAPS 42).
            wires.lost(to, &parcel, "is of another cluster");
        } else if wires.dispatch(from, to, parcel) {
            self.arm(wires);
        }
    }

    /// Sends word of a state from one server to another. It is no message of the protocol: neither
    /// traced nor counted.
    pub(crate) fn audit(&self, from: ServerId, to: ServerId, audit: Audit) {
        let wires = &mut *self.0.borrow_mut();
        wires.admit(to);
        let parcel = Parcel::Audit { from, audit };
        if wires.cluster(from) != wires.cluster(to) {
            return;
        }
        if wires.quiet {
            wires.deliver(to, parcel);
        } else if wires.dispatch(from, to, parcel) {
            self.arm(wires);
        }
    }

    /// Brings a client's call to a server's door.
    pub(crate) fn call(&self, to: ServerId, call: Call) {
        let wires = &mut *self.0.borrow_mut();
        let Some(port) = wires.ports.get(&to).filter(|port| port.running.is_some()) else {
            answer(call.reply, Err(CallError::Unreachable));
            return;
        };
        if port.latency.is_zero() {
            wires.deliver(to, Parcel::Call(call));
        } else {
            let due = wires.clock.now() + port.latency;
            wires.post(due, to, Parcel::Call(call));
            self.arm(wires);
        }
    }

    /// Sees to it that what arrives next is delivered in time.
    fn arm(&self, wires: &mut Wires) {
        let Some(Reverse(next)) = wires.late.peek() else { return };
        let due = next.due;
        if wires.armed.is_none_or(|armed| due < armed) {
            wires.armed = Some(due);
            // Waiting must not keep the network alive.
            let (network, clock) = (Rc::downgrade(&self.0), wires.clock);
            actix_rt::spawn(async move {
                clock.sleep_until(due).await;
                if let Some(wires) = network.upgrade() {
                    Network(wires).deliver_due(due);
                }
            });
        }
    }

    fn deliver_due(&self, armed: Time) {
        let wires = &mut *self.0.borrow_mut();
        if wires.armed != Some(armed) {
            return;
        }
        wires.armed = None;
        let now = wires.clock.now();
        while wires.late.peek().is_some_and(|Reverse(late)| late.due <= now) {
            let Some(Reverse(late)) = wires.late.pop() else { break };
            wires.deliver(late.to, late.parcel);
        }
        wires.still();
        self.arm(wires);
    }
}

impl Way for Network {
    fn call(&self, to: ServerId, call: Call) {
        Network::call(self, to, call);
    }

    fn servers(&self) -> Vec<ServerId> {
        Network::servers(self)
    }

    fn up(&self) -> (usize, usize) {
        Network::up(self)
    }

    fn leader(&self) -> Option<ServerId> {
        Network::leader(self)
    }
}

impl Wires {
    /// Makes room for a server of another process: its connection has shown its cluster.
    fn admit(&mut self, to: ServerId) {
        if let Some((home, _)) = &self.outlet
            && !self.ports.contains_key(&to)
        {
            let cluster = self.cluster(*home).unwrap_or_default();
            self.ports.insert(to, Port { cluster, ..Port::new() });
        }
    }

    fn cluster(&self, id: ServerId) -> Option<Uuid> {
        self.ports.get(&id).map(|port| port.cluster)
    }

    /// Sends a message by the rule of its link. Returns whether something is on its way now.
    fn dispatch(&mut self, from: ServerId, to: ServerId, parcel: Parcel) -> bool {
        let Some(port) = self.ports.get(&to) else { return false };
        let latency = port.latency;
        let rule = self.rules.get(&(from, to)).copied().unwrap_or_default();
        let luck = &mut self.luck;
        match rule.fate(&mut || rand::Rng::next_u64(luck)) {
            Fate::Lost(why) => {
                match rule.cut {
                    true => self.traffic.cut += 1,
                    false => self.traffic.lost += 1,
                }
                self.lost(to, &parcel, why);
                false
            }
            Fate::Arrives { after, overtaken, again } => {
                let now = self.clock.now();
                if let Some(again) = again
                    && let Some(copy) = parcel.copy()
                {
                    self.traffic.doubled += 1;
                    self.post(now + again + latency, to, copy);
                }
                self.traffic.overtaken += u64::from(overtaken);
                let latest = self.arrivals.entry((from, to)).or_default();
                let mut due = now + after + latency;
                if !overtaken {
                    due = due.max(*latest);
                    *latest = due;
                }
                if due <= now {
                    self.deliver(to, parcel);
                } else {
                    self.post(due, to, parcel);
                }
                true
            }
        }
    }

    fn post(&mut self, due: Time, to: ServerId, parcel: Parcel) {
        if self.late.len() >= MAX_LATE {
            return self.turn_away(to, parcel, "too much is on its way");
        }
        self.sent += 1;
        self.late.push(Reverse(Late { due, order: self.sent, to, parcel }));
        let (count, limit) = (self.late.len() as u64, MAX_LATE as u64);
        let what = "messages on their way, with those to others";
        self.recorder.tell(&Fact::Holds { server: to, what, count, limit });
        self.quiet = false;
    }

    /// What is on its way to a server that ended is lost, even if the server is back before it
    /// would have arrived.
    fn lose_in_flight(&mut self, to: ServerId) {
        let (lost, late) = std::mem::take(&mut self.late).into_iter().partition(|it| it.0.to == to);
        self.late = late;
        let lost: BinaryHeap<_> = lost;
        for Reverse(late) in lost.into_sorted_vec().into_iter().rev() {
            self.lost(to, &late.parcel, "the server crashed");
        }
        self.arrivals.retain(|(_, receiver), _| *receiver != to);
    }

    /// Lets nothing come later than the rules of now would have it: taking a delay away takes it
    /// from what is on its way, too.
    fn hurry(&mut self) {
        let now = self.clock.now();
        let (rules, ports) = (&self.rules, &self.ports);
        let latest = |from: Option<ServerId>, to: ServerId| {
            let latency = ports.get(&to).map_or(Duration::ZERO, |port| port.latency);
            let rule = from.and_then(|from| rules.get(&(from, to)));
            now + rule.map_or(Duration::ZERO, LinkRule::longest) + latency
        };
        for ((from, to), arrival) in &mut self.arrivals {
            *arrival = (*arrival).min(latest(Some(*from), *to));
        }
        let soon = |Reverse(late): Reverse<Late>| {
            let due = late.due.min(latest(late.parcel.sender(), late.to));
            Reverse(Late { due, ..late })
        };
        self.late = std::mem::take(&mut self.late).into_iter().map(soon).collect();
    }

    /// Hands a parcel to the server, or keeps it while the server is paused.
    fn deliver(&mut self, to: ServerId, parcel: Parcel) {
        let Some(port) = self.ports.get_mut(&to) else { return };
        let Some(running) = &port.running else {
            return match (&self.outlet, parcel) {
                (Some((home, outlet)), Parcel::Peer { message, cargo, .. }) if *home != to => {
                    outlet.message(to, message, cargo);
                }
                (Some((home, outlet)), Parcel::Audit { audit, .. }) if *home != to => {
                    outlet.audit(to, audit);
                }
                (_, parcel) => self.lost(to, &parcel, "the server is down"),
            };
        };
        if running.life.paused() {
            if port.held.len() < MAX_HELD {
                port.held.push_back(parcel);
                let (count, limit) = (port.held.len() as u64, MAX_HELD as u64);
                let what = "messages while it is paused";
                return self.recorder.tell(&Fact::Holds { server: to, what, count, limit });
            }
            return self.turn_away(to, parcel, "the paused server's buffer is full");
        }
        match parcel {
            Parcel::Call(call) => {
                if running.inbox.push(call) {
                    running.address.do_send(Knock);
                }
            }
            Parcel::Audit { from, audit } => running.address.do_send(AuditFrom { from, audit }),
            Parcel::Peer { from, message, cargo, number } => {
                self.hand_in(from, to, message, cargo, number);
            }
        }
    }

    /// Hands a message to a server that runs.
    fn hand_in(
        &mut self,
        from: ServerId,
        to: ServerId,
        message: Message,
        cargo: Cargo,
        number: u64,
    ) {
        let Some(running) = self.ports.get(&to).and_then(|port| port.running.as_ref()) else {
            return;
        };
        if number > 0 {
            self.recorder.trace(format_args!("{to} <- {from} #{number}"));
        }
        if self.recorder.monitors() {
            let role = running.life.role().map(|(role, _)| role);
            self.traffic.deliver(self.clock.now(), from, to, role, &message);
        }
        put_in(&running.address, from, message, cargo);
    }

    /// Loses a message for want of room; a caller is told to come later.
    fn turn_away(&self, to: ServerId, parcel: Parcel, why: &str) {
        match parcel {
            Parcel::Call(call) => call.refuse(Refusal::Busy),
            Parcel::Peer { .. } | Parcel::Audit { .. } => self.lost(to, &parcel, why),
        }
    }

    fn lost(&self, to: ServerId, parcel: &Parcel, why: &str) {
        if let Parcel::Peer { from, number, .. } = parcel
            && *number > 0
        {
            self.recorder.trace(format_args!("{from} -x {to} #{number} {why}"));
        }
    }

    /// Finds out whether anything holds messages up.
    fn still(&mut self) {
        let free = |port: &Port| {
            let paused = port.running.as_ref().is_some_and(|running| running.life.paused());
            port.latency.is_zero() && !paused
        };
        let mut clusters = self.ports.values().map(|port| port.cluster);
        let first = clusters.next();
        let one_cluster = clusters.all(|cluster| Some(cluster) == first);
        let ports_free = self.ports.values().all(free);
        self.quiet = self.rules.is_empty() && self.late.is_empty() && one_cluster && ports_free;
    }
}

impl Parcel {
    /// The server that sent it, if it is not a client's.
    fn sender(&self) -> Option<ServerId> {
        match self {
            Parcel::Peer { from, .. } | Parcel::Audit { from, .. } => Some(*from),
            Parcel::Call(_) => None,
        }
    }

    /// A second copy, which only messages between servers can have.
    fn copy(&self) -> Option<Parcel> {
        match self {
            Parcel::Peer { from, message, cargo, number } => Some(Parcel::Peer {
                from: *from,
                message: *message,
                cargo: cargo.clone(),
                number: *number,
            }),
            Parcel::Audit { from, audit } => {
                Some(Parcel::Audit { from: *from, audit: audit.clone() })
            }
            Parcel::Call(_) => None,
        }
    }
}

/// Puts a message of the protocol into a server's mailbox.
pub(crate) fn put_in(server: &Addr<Server>, from: ServerId, message: Message, cargo: Cargo) {
    match message {
        Message::AppendEntries(append) => {
            let entries = match cargo {
                Cargo::Entries(entries) => entries,
                Cargo::Nothing | Cargo::Part(_) => Entries::default(),
            };
            server.do_send(Replicate { from, append, entries });
        }
        Message::InstallSnapshot(install) => {
            let part = match cargo {
                Cargo::Part(bytes) => bytes,
                Cargo::Nothing | Cargo::Entries(_) => Bytes::new(),
            };
            server.do_send(Transfer { from, install, part });
        }
        Message::AppendEntriesReply(message) => server.do_send(FromPeer { from, message }),
        Message::RequestVote(message) => server.do_send(FromPeer { from, message }),
        Message::RequestVoteReply(message) => server.do_send(FromPeer { from, message }),
        Message::ReadIndex(message) => server.do_send(FromPeer { from, message }),
        Message::ReadIndexReply(message) => server.do_send(FromPeer { from, message }),
        Message::InstallSnapshotReply(message) => server.do_send(FromPeer { from, message }),
        Message::TimeoutNow(message) => server.do_send(FromPeer { from, message }),
        Message::Rejoin(message) => server.do_send(FromPeer { from, message }),
        Message::RejoinReply(message) => server.do_send(FromPeer { from, message }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_states_are_known_as_far_back_as_there_is_no_gap() {
        let life = Life::default();
        assert_eq!((life.latest_state(), life.state_at(Index(0))), (None, None));
        let count = MAX_STATES as u64 + 10;
        (1..=count).for_each(|index| life.note_state(Index(index), 2 * index));
        assert_eq!(life.latest_state(), Some((Index(count), 2 * count)));
        let known: Vec<_> =
            [9, 10, 11, count, count + 1].map(Index).map(|at| life.state_at(at)).into();
        assert_eq!(known, [None, None, Some(22), Some(2 * count), None]);
        let (first, all) = life.states();
        assert_eq!((first, all.len(), all[0]), (Index(11), MAX_STATES, 22));
        // A snapshot was restored meanwhile.
        life.note_state(Index(count + 5), 7);
        assert_eq!(
            (life.state_at(Index(count)), life.states()),
            (None, (Index(count + 5), [7].into()))
        );
    }
}
