//! The omniscient supervisor: creates the servers of a sandbox, and slows, freezes, cuts off,
//! crashes and revives them as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorFutureExt, Context, Handler, Message as ActixMessage, MessageResult,
    ResponseActFuture, ResponseFuture, WrapFuture, fut::ready,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::clock::{Clock, LocalClock};
use super::launch::{Launch, launch};
use super::messages::{Ask, Asked, Disrupt, End, Inspect, Observe, Retime, SetPace, Snap, Wake};
use super::network::{Network, Running};
use super::record::{EventKind, Recorder};
use super::state_machine::Machine;
use super::status::{ClusterStatus, Condition, LogLine, ServerStatus};
use super::{Order, Servers, SnapshotPolicy};
use crate::invariants::Fact;
use crate::raft::{
    Change, ChangeRefusal, ChangeRequest, Configuration, Entry, HandoverRefusal, Index, Options,
    Payload, Persistent, ServerId, Time, Timing,
};
use crate::storage::{
    DiskFault, DiskKind, DiskSpeed, Identity, Refused, ServerDisk, Storage, StorageError,
    Unsalvaged,
};

/// Builds an empty state machine, for a server that starts.
pub type MachineFactory = Rc<dyn Fn() -> Box<dyn Machine>>;

/// The actor that a sandbox obeys.
pub(crate) struct Supervisor {
    seed: u64,
    /// The cluster that servers are made for: the founded one, or the last that was salvaged.
    cluster: Uuid,
    options: Options,
    snapshots: SnapshotPolicy,
    disk_kind: DiskKind,
    machine: MachineFactory,
    clock: Clock,
    network: Network,
    recorder: Recorder,
    disks: BTreeMap<ServerId, ServerDisk>,
    /// What each server takes for the time.
    local_clocks: BTreeMap<ServerId, LocalClock>,
    /// How long each server's state machine takes for a batch; `None` while it is stalled.
    paces: BTreeMap<ServerId, Option<Duration>>,
    /// How servers that do not run have ended.
    ended: BTreeMap<ServerId, Condition>,
    /// Why servers have failed.
    failures: BTreeMap<ServerId, StorageError>,
}

/// What a supervisor makes servers from.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) raft: Options,
    pub(crate) disks: DiskKind,
    pub(crate) snapshots: SnapshotPolicy,
    pub(crate) machine: MachineFactory,
}

/// `S1 to S3, S6`: servers in order, those without a gap between them in one.
fn runs(servers: &[ServerId]) -> String {
    let runs = servers.chunk_by(|one, next| one.0 + 1 == next.0).map(|run| match run {
        [first, .., last] => format!("{first} to {last}"),
        run => run.iter().map(ServerId::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(", ")
}

/// Why an order was not carried out; nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// No server has this number.
    #[error("there is no {server}: the servers are {}", runs(servers))]
    NoSuchServer {
        /// The number.
        server: ServerId,
        /// The servers that there are, in order.
        servers: Vec<ServerId>,
    },
    /// Nobody leads at the moment.
    #[error("no server leads at the moment; `wait leader` waits for one")]
    NoLeader,
    /// Only a running server can do this.
    #[error("{0} is down; `recover {n}` starts it again", n = .0.0)]
    Down(ServerId),
    /// The server's disk does not let it start.
    #[error(
        "{0} cannot start: {1}{next}",
        next = match .1.must_join_again() {
            true => format!("; `rejoin {}` has it do so", .0.0),
            false => String::new(),
        }
    )]
    Failed(ServerId, StorageError),
    /// Memory has none of the faults of a disk.
    #[error(
        "{0} has its disk in plain memory, which cannot do this; `disks simulated` at the top of a \
         scenario, or `jangada --disks simulated`, gives every server a disk that can"
    )]
    MemoryDisk(ServerId),
    /// Harm to what is there could not be told from what a crash tears.
    #[error(
        "the disk of {0} holds nothing yet whose loss it would notice; try again after a write"
    )]
    NothingToHarm(ServerId),
    /// Only of a server that is down.
    #[error("{0} runs; `crash {n}` or `stop {n}` first", n = .0.0)]
    MustBeDown(ServerId),
    /// The server runs already.
    #[error("{0} runs already")]
    Running(ServerId),
    /// A frozen server does nothing, not even what it is told.
    #[error("{0} is paused; `resume {n}` lets it go on", n = .0.0)]
    Paused(ServerId),
    /// A probability that is none.
    #[error("a probability is a number from 0 to 1")]
    Probability,
    /// A rate that no clock has.
    #[error("a clock's rate is a number from {} to {}", LocalClock::RATES.0, LocalClock::RATES.1)]
    ClockRate,
    /// A partition puts each server on one side.
    #[error("{0} is named twice; each server is on one side of a partition")]
    NamedTwice(ServerId),
    /// Timeouts that cannot work.
    #[error("{0}")]
    Timing(&'static str),
    /// The leader does not change the members.
    #[error("the members stay as they are: {0}")]
    Change(ChangeRefusal),
    /// The leader does not hand over.
    #[error("the leader stays: {0}")]
    Handover(HandoverRefusal),
    /// The leader was lost before it answered.
    #[error("the leader was lost with the order: look whether it was carried out")]
    Unknown,
    /// There is nothing to take a snapshot of.
    #[error("the state machine of this sandbox has no snapshots")]
    NoSnapshots,
    /// The order is about one server.
    #[error("one server at a time; `members 1,2,3` sets all voters at once")]
    OneAtATime,
    /// Its disk does not make a cluster.
    #[error("{0} cannot be made a cluster of its own: {1}")]
    Unsalvaged(ServerId, String),
    /// Numbers of servers go up to this.
    #[error("a server's number is from 1 to {0}")]
    Number(u64),
    /// Its disk has what it needs.
    #[error("the disk of {0} is not lost; `recover {n}` starts it", n = .0.0)]
    NotLost(ServerId),
    /// A process refuses it, or there is no way to do it to one: in words.
    #[error("{0}")]
    Process(String),
    /// The sandbox has ended.
    #[error("the sandbox has ended")]
    Ended,
}

/// An order for the supervisor. Always answered.
#[derive(ActixMessage)]
#[rtype(result = "Result<(), OrderError>")]
pub(crate) struct Carry(pub(crate) Order);

/// What the leader answers to what it is asked.
type Answer = oneshot::Receiver<Result<(), OrderError>>;

/// The highest number of a server.
const MAX_NUMBER: u64 = 99;

/// How is everyone?
#[derive(ActixMessage)]
#[rtype(result = "ClusterStatus")]
pub(crate) struct GetStatus;

/// What does a server's log hold?
#[derive(ActixMessage)]
#[rtype(result = "Result<Vec<LogLine>, OrderError>")]
pub(crate) struct GetLog {
    pub(crate) server: ServerId,
    pub(crate) after: Index,
    pub(crate) last: Index,
}

/// What have the running servers applied, and to which state has it brought them?
#[derive(ActixMessage)]
#[rtype(result = "Vec<(ServerId, Index, [u8; 32])>")]
pub(crate) struct Compare;

/// Ends every server.
#[derive(ActixMessage)]
#[rtype(result = "()")]
pub(crate) struct EndAll;

/// What a stream of random numbers is for; each has its own.
pub(crate) enum Stream {
    Network,
    Client(u64),
    Server { id: ServerId, life: u64 },
    Disk(ServerId),
}

/// The random numbers of one seed for one purpose.
pub(crate) fn stream(seed: u64, stream: &Stream) -> ChaCha8Rng {
    let number = match stream {
        Stream::Network => 1 << 62,
        Stream::Client(number) => 1 << 63 | number,
        Stream::Disk(id) => 1 << 61 | id.0,
        Stream::Server { id, life } => id.0 << 32 | life & 0xffff_ffff,
    };
    let mut luck = ChaCha8Rng::seed_from_u64(seed);
    luck.set_stream(number);
    luck
}

impl Supervisor {
    /// A supervisor whose servers run: the founding members of a cluster.
    pub(crate) fn new(plan: Plan, clock: Clock, network: Network, recorder: Recorder) -> Self {
        let Plan { seed, raft, disks, snapshots, machine } = plan;
        let servers = network.servers();
        let mut supervisor = Self {
            seed,
            cluster: Uuid::from_u64_pair(0, seed),
            options: raft,
            snapshots,
            disk_kind: disks,
            machine,
            clock,
            network,
            recorder,
            local_clocks: BTreeMap::new(),
            disks: BTreeMap::new(),
            paces: BTreeMap::new(),
            ended: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        let founding = Persistent::founding(Configuration::new(servers.iter().copied()));
        // Here and not when the actor starts: a client that calls at once finds them up.
        for id in servers {
            supervisor.create(id, &founding);
        }
        supervisor
    }

    /// Makes a server with a disk that keeps this, and starts it.
    fn create(&mut self, id: ServerId, kept: &Persistent) {
        let identity = Identity { cluster: self.cluster, server: id };
        let luck = stream(self.seed, &Stream::Disk(id));
        let disk = ServerDisk::new(self.disk_kind, identity, kept.clone(), luck);
        self.disks.insert(id, disk);
        self.network.set_cluster(id, self.cluster);
        self.local_clocks.insert(id, LocalClock::new());
        self.paces.insert(id, Some(Duration::ZERO));
        self.start_or_fail(id);
    }

    /// Makes a server that is to join, if there is none of this number.
    fn create_joining(&mut self, id: ServerId) {
        if !self.disks.contains_key(&id) {
            self.network.add(id);
            self.create(id, &Persistent::joining());
        }
    }

    /// Starts a server, or records why it cannot start.
    fn start_or_fail(&mut self, id: ServerId) {
        match self.storage(id) {
            Ok(storage) => self.start_server(id, storage),
            Err(error) => {
                self.recorder.record(EventKind::Failed { server: id, error: error.clone() });
                self.ended.insert(id, Condition::Failed);
                self.failures.insert(id, error);
            }
        }
    }

    fn storage(&self, id: ServerId) -> Result<Box<dyn Storage>, StorageError> {
        self.disks.get(&id).map_or(Err(StorageError::NotFormatted), ServerDisk::storage)
    }

    /// Starts a server from what its disk kept, and from nothing else.
    fn start_server(&mut self, id: ServerId, storage: Box<dyn Storage>) {
        let Some(local) = self.local_clocks.get(&id).cloned() else { return };
        let luck = stream(self.seed, &Stream::Server { id, life: self.network.life(id) });
        let running = launch(Launch {
            id,
            options: self.options.clone(),
            policy: self.snapshots,
            storage,
            network: self.network.clone(),
            recorder: self.recorder.clone(),
            clock: self.clock,
            local,
            luck,
            machine: (self.machine)(),
            pace: self.paces.get(&id).copied().unwrap_or_default(),
            black_box: None,
        });
        self.network.plug(id, running);
        self.ended.remove(&id);
        self.failures.remove(&id);
    }

    /// Takes note of servers that ended by themselves.
    fn look_after(&mut self) {
        for (id, error) in self.network.take_failed() {
            if let Some(disk) = self.disks.get_mut(&id) {
                disk.ended(false, self.clock.now());
            }
            self.ended.insert(id, Condition::Failed);
            self.failures.insert(id, error);
        }
    }

    /// Ends a server. What is in flight to it is lost, and unless it ends in good order, so is
    /// what its disk has not synced.
    fn end(&mut self, id: ServerId, condition: Condition) {
        let Some(running) = self.network.unplug(id) else { return };
        running.address.do_send(End);
        let orderly = condition == Condition::Stopped;
        if let Some(disk) = self.disks.get_mut(&id) {
            disk.ended(orderly, self.clock.now());
        }
        self.ended.insert(id, condition);
        self.recorder.tell(&Fact::Ended { server: id });
        self.recorder.record(EventKind::Ended { server: id, orderly });
    }

    /// The running servers that are meant. Naming one that is down is an error; of `all`, only
    /// those that run are meant.
    fn resolve_running(&self, servers: &Servers) -> Result<Vec<(ServerId, Running)>, OrderError> {
        let mut running = Vec::new();
        for id in self.network.resolve(servers)? {
            match self.network.running(id) {
                Some(server) => running.push((id, server)),
                None if *servers == Servers::All => {}
                None => return Err(OrderError::Down(id)),
            }
        }
        Ok(running)
    }

    /// The running servers that are meant and can do something, as above.
    fn resolve_awake(&self, servers: &Servers) -> Result<Vec<Running>, OrderError> {
        let named = matches!(servers, Servers::Leader | Servers::Only(_));
        let mut awake = Vec::new();
        for (id, server) in self.resolve_running(servers)? {
            match server.life.paused() {
                false => awake.push(server),
                true if named => return Err(OrderError::Paused(id)),
                true => {}
            }
        }
        Ok(awake)
    }

    fn resolve_down(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        let mut down = Vec::new();
        for id in self.network.resolve(servers)? {
            match self.network.running(id) {
                None => down.push(id),
                Some(_) if *servers == Servers::All => {}
                Some(_) => return Err(OrderError::Running(id)),
            }
        }
        Ok(down)
    }

    fn carry_out(&mut self, order: &Order) -> Result<(), OrderError> {
        match order {
            Order::Speed { servers, latency } => {
                for id in self.network.resolve(servers)? {
                    self.network.set_latency(id, *latency);
                }
            }
            Order::Crash(servers) => {
                for (id, _) in self.resolve_running(servers)? {
                    self.end(id, Condition::Crashed);
                }
            }
            Order::Stop(servers) => {
                for (id, _) in self.resolve_running(servers)? {
                    self.end(id, Condition::Stopped);
                }
            }
            Order::Recover(servers) | Order::Start(servers) => {
                self.start(servers)?;
            }
            Order::Pause(servers) => {
                for (id, _) in self.resolve_running(servers)? {
                    self.recorder.trace(format_args!("{id} paused"));
                    self.network.set_paused(id, true);
                }
            }
            Order::Resume(servers) => {
                for (id, server) in self.resolve_running(servers)? {
                    if server.life.paused() {
                        self.recorder.trace(format_args!("{id} resumed"));
                    }
                    self.network.set_paused(id, false);
                    server.address.do_send(Wake);
                }
            }
            Order::Partition(groups) => self.partition(groups)?,
            Order::Cut { .. }
            | Order::Delay { .. }
            | Order::Loss { .. }
            | Order::Duplicate { .. }
            | Order::Reorder { .. } => self.change_links(order)?,
            Order::Heal => self.network.heal(),
            Order::Timeout(servers) => {
                for server in self.resolve_awake(servers)? {
                    server.address.do_send(Disrupt);
                }
            }
            Order::DiskLatency { servers, latency } => {
                self.set_disk_speed(servers, DiskSpeed::Latency(*latency))?;
            }
            Order::DiskStall(servers) => self.set_disk_speed(servers, DiskSpeed::Stalled)?,
            Order::DiskFault { servers, fault } => self.inflict(servers, *fault)?,
            Order::ApplyLatency { servers, latency } => self.set_pace(servers, Some(*latency))?,
            Order::ApplyStall(servers) => self.set_pace(servers, None)?,
            Order::ClockRate { servers, rate } => {
                let (slowest, fastest) = LocalClock::RATES;
                if !(slowest..=fastest).contains(rate) {
                    return Err(OrderError::ClockRate);
                }
                self.set_clocks(servers, |clock, now| clock.set_rate(now, *rate))?;
            }
            Order::ClockJump { servers, by, back } => {
                self.set_clocks(servers, |clock, now| clock.jump(now, *by, *back))?;
            }
            Order::ElectionTimeout { min, max } => self.retime(Timing {
                election_timeout_min: *min,
                election_timeout_max: *max,
                ..self.options.timing
            })?,
            Order::Heartbeat(heartbeat) => {
                self.retime(Timing { heartbeat: *heartbeat, ..self.options.timing })?;
            }
            Order::Snapshot(servers) => {
                for server in self.resolve_awake(servers)? {
                    if (self.machine)().freeze().is_none() {
                        return Err(OrderError::NoSnapshots);
                    }
                    server.address.do_send(Snap);
                }
            }
            Order::Rejoin(servers) => {
                for id in self.resolve_down(servers)? {
                    let Some(disk) = self.disks.get_mut(&id) else { continue };
                    let formatted = disk.reformat(self.cluster, false);
                    formatted.map_err(|_| OrderError::NotLost(id))?;
                    self.network.set_cluster(id, self.cluster);
                    self.start_or_fail(id);
                }
            }
            Order::Salvage(id) => self.salvage(*id)?,
            // The leader has a say in these.
            Order::Add { .. }
            | Order::Remove(_)
            | Order::Members(_)
            | Order::Priority { .. }
            | Order::Transfer(_) => {}
        }
        Ok(())
    }

    /// What is to be asked of the leader for the sake of an order, if anything.
    fn asks(&self, order: &Order) -> Result<Option<Asked>, OrderError> {
        let change = |change| Some(Asked::Change(ChangeRequest { change, expected: None }));
        let number = |id: ServerId| match id.0 {
            1..=MAX_NUMBER => Ok(id),
            _ => Err(OrderError::Number(MAX_NUMBER)),
        };
        Ok(match order {
            Order::Add { server, learner: false } => change(Change::Add(number(*server)?)),
            Order::Add { server, learner: true } => change(Change::AddLearner(number(*server)?)),
            Order::Remove(servers) => change(Change::Remove(self.one(servers)?)),
            Order::Members(voters) => {
                voters.iter().try_for_each(|id| number(*id).map(drop))?;
                change(Change::Voters(voters.clone()))
            }
            Order::Priority { servers, priority } => {
                change(Change::Priority(self.one(servers)?, *priority))
            }
            Order::Transfer(to) => {
                to.map_or(Ok(()), |to| self.network.known(to).map(drop))?;
                Some(Asked::HandOver(*to))
            }
            _ => None,
        })
    }

    fn one(&self, servers: &Servers) -> Result<ServerId, OrderError> {
        match self.network.resolve(servers)?[..] {
            [one] => Ok(one),
            _ => Err(OrderError::OneAtATime),
        }
    }

    /// Asks the leader.
    fn ask(&self, asked: Asked) -> Result<Answer, OrderError> {
        let leader = self.network.leader().ok_or(OrderError::NoLeader)?;
        let running = self.network.running(leader).ok_or(OrderError::NoLeader)?;
        if running.life.paused() {
            return Err(OrderError::Paused(leader));
        }
        let (reply, answer) = oneshot::channel();
        running.address.do_send(Ask { asked, reply });
        Ok(answer)
    }

    /// The leader that is to stop while another voter runs on: it hands over first.
    fn leaves(&self, order: &Order) -> Option<Answer> {
        let Order::Stop(servers) = order else { return None };
        let stopping = self.network.resolve(servers).ok()?;
        let leader = self.network.leader().filter(|leader| stopping.contains(leader))?;
        let stays = |id: &ServerId| !stopping.contains(id) && self.network.running(*id).is_some();
        let paused = self.network.running(leader)?.life.paused();
        let others = self.network.servers().iter().any(stays);
        if paused || !others { None } else { self.ask(Asked::Leave).ok() }
    }

    /// Makes those servers that an order names as members, and that are not there yet.
    fn create_missing(&mut self, order: &Order) {
        match order {
            Order::Add { server, .. } => self.create_joining(*server),
            Order::Members(voters) => voters.iter().for_each(|id| self.create_joining(*id)),
            _ => {}
        }
    }

    fn salvage(&mut self, id: ServerId) -> Result<(), OrderError> {
        let running = self.network.running(self.network.known(id)?).is_some();
        let cluster = Uuid::from_u64_pair(1 + self.network.life(id), self.seed);
        let Some(disk) = self.disks.get_mut(&id) else { return Err(OrderError::Down(id)) };
        let salvage = disk.salvage(cluster, running).map_err(|why| match why {
            Unsalvaged::Running => OrderError::MustBeDown(id),
            why => OrderError::Unsalvaged(id, why.to_string()),
        })?;
        self.cluster = cluster;
        self.network.set_cluster(id, cluster);
        self.recorder.tell(&Fact::Salvaged { server: id });
        self.recorder.record(EventKind::Salvaged { server: id, salvage });
        self.start_or_fail(id);
        Ok(())
    }

    fn partition(&self, groups: &[Vec<ServerId>]) -> Result<(), OrderError> {
        let mut named = BTreeSet::new();
        for id in groups.iter().flatten() {
            if !named.insert(self.network.known(*id)?) {
                return Err(OrderError::NamedTwice(*id));
            }
        }
        let group = |id: ServerId| groups.iter().position(|group| group.contains(&id));
        let servers = self.network.servers();
        for from in &servers {
            for to in servers.iter().filter(|to| *to != from) {
                let mut rule = self.network.rule(*from, *to);
                rule.cut = group(*from) != group(*to);
                self.network.set_rule(*from, *to, rule);
            }
        }
        Ok(())
    }

    fn change_links(&self, order: &Order) -> Result<(), OrderError> {
        let Some((from, to)) = order.links() else { return Ok(()) };
        let change = order.relinking().ok_or(OrderError::Probability)?;
        let (from, to) = (self.network.resolve(from)?, self.network.resolve(to)?);
        for from in &from {
            for to in to.iter().filter(|to| *to != from) {
                self.network.set_rule(*from, *to, change(self.network.rule(*from, *to)));
            }
        }
        Ok(())
    }

    fn set_disk_speed(&self, servers: &Servers, speed: DiskSpeed) -> Result<(), OrderError> {
        for id in self.network.resolve(servers)? {
            if let Some(disk) = self.disks.get(&id) {
                disk.set_speed(speed);
            }
            if let Some(server) = self.network.running(id) {
                server.address.do_send(Wake);
            }
        }
        Ok(())
    }

    /// Sets clocks, and lets their servers set their timers again.
    fn set_clocks(
        &self,
        servers: &Servers,
        set: impl Fn(&LocalClock, Time),
    ) -> Result<(), OrderError> {
        for id in self.network.resolve(servers)? {
            if let Some(clock) = self.local_clocks.get(&id) {
                set(clock, self.clock.now());
            }
            if let Some(server) = self.network.running(id) {
                server.address.do_send(Wake);
            }
        }
        Ok(())
    }

    /// Starts servers. Of `all`, those that can; otherwise every one that is named must.
    fn start(&mut self, servers: &Servers) -> Result<(), OrderError> {
        let down = self.resolve_down(servers)?;
        if *servers != Servers::All {
            for id in &down {
                self.storage(*id).map_err(|error| OrderError::Failed(*id, error))?;
            }
        }
        for id in down {
            self.start_or_fail(id);
        }
        Ok(())
    }

    /// Has something happen to disks. It is an error if it cannot happen to a server that is
    /// named, or to none of those that are meant.
    fn inflict(&mut self, servers: &Servers, fault: DiskFault) -> Result<(), OrderError> {
        let named = matches!(servers, Servers::Only(_));
        let error = |id, why| match why {
            Refused::Memory => OrderError::MemoryDisk(id),
            Refused::NothingToHarm => OrderError::NothingToHarm(id),
            Refused::Running => OrderError::MustBeDown(id),
            Refused::Sound => OrderError::NotLost(id),
        };
        let (mut meant, mut refused) = (Vec::new(), None);
        for id in self.network.resolve(servers)? {
            let running = self.network.running(id);
            let Some(disk) = self.disks.get(&id) else { continue };
            match disk.can_suffer(fault, running.is_some()) {
                Ok(()) => meant.push((id, running)),
                Err(why) => refused = refused.or(Some(error(id, why))),
            }
        }
        if let Some(error) = refused.filter(|_| named || meant.is_empty()) {
            return Err(error);
        }
        for (id, running) in meant {
            let Some(disk) = self.disks.get_mut(&id) else { continue };
            disk.inflict(fault, running.is_some()).map_err(|why| error(id, why))?;
            if let Some(server) = running {
                server.address.do_send(Wake);
            }
        }
        Ok(())
    }

    fn set_pace(&mut self, servers: &Servers, pace: Option<Duration>) -> Result<(), OrderError> {
        for id in self.network.resolve(servers)? {
            self.paces.insert(id, pace);
            if let Some(server) = self.network.running(id) {
                server.machine.do_send(SetPace(pace));
            }
        }
        Ok(())
    }

    fn retime(&mut self, timing: Timing) -> Result<(), OrderError> {
        check_timing(timing).map_err(OrderError::Timing)?;
        self.options.timing = timing;
        for id in self.network.servers() {
            if let Some(server) = self.network.running(id) {
                server.address.do_send(Retime(timing));
            }
        }
        Ok(())
    }

    /// What can be said of a server without asking it.
    fn outside(&self, id: ServerId) -> ServerStatus {
        let disk = self.disks.get(&id);
        let (term, voted_for, last_log) = disk.map(ServerDisk::summary).unwrap_or_default();
        let condition = match self.network.running(id) {
            Some(server) if server.life.paused() => Condition::Paused,
            Some(_) => Condition::Running,
            None => self.ended.get(&id).copied().unwrap_or(Condition::Stopped),
        };
        let links = self.network.servers().into_iter().filter(|to| *to != id);
        let links = links.map(|to| (to, self.network.rule(id, to)));
        ServerStatus {
            id,
            condition,
            role: None,
            stale: false,
            term,
            voted_for,
            leader: None,
            last_log,
            commit_index: Index(0),
            applied_index: Index(0),
            latency: self.network.latency(id),
            failure: self.failures.get(&id).cloned(),
            disk: disk.map(ServerDisk::speed).unwrap_or_default(),
            sizes: disk.map(ServerDisk::sizes).unwrap_or_default(),
            disk_full: disk.is_some_and(ServerDisk::is_full),
            apply: self.paces.get(&id).copied().unwrap_or_default(),
            clock: self.local_clocks.get(&id).and_then(|clock| clock.error(self.clock.now())),
            links: links.filter(|(_, rule)| !rule.is_clear()).collect(),
            timer: None,
            raft: None,
        }
    }
}

/// Why these timeouts cannot work, if they cannot.
pub(super) fn check_timing(timing: Timing) -> Result<(), &'static str> {
    let Timing { election_timeout_min: min, election_timeout_max: max, heartbeat } = timing;
    if min > max {
        return Err("the shortest election timeout exceeds the longest");
    }
    if heartbeat.is_zero() || heartbeat >= min {
        return Err("the heartbeat must be shorter than the shortest election timeout, \
                    and longer than nothing");
    }
    Ok(())
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    /// The servers end with it, whether the sandbox was ended or dropped.
    fn stopped(&mut self, _: &mut Context<Self>) {
        for id in self.network.servers() {
            self.end(id, Condition::Stopped);
        }
    }
}

impl Handler<Carry> for Supervisor {
    type Result = ResponseActFuture<Self, Result<(), OrderError>>;

    fn handle(&mut self, Carry(order): Carry, _: &mut Context<Self>) -> Self::Result {
        self.look_after();
        // Recorded first: what the order causes comes after it.
        self.recorder.record(EventKind::Ordered(order.clone()));
        let asked = self.asks(&order).and_then(|asked| asked.map(|it| self.ask(it)).transpose());
        match asked.map(|asked| asked.or_else(|| self.leaves(&order))) {
            Err(error) => Box::pin(ready(self.finish(&order, Err(error)))),
            Ok(None) => Box::pin(ready(self.finish(&order, Ok(())))),
            Ok(Some(answer)) => Box::pin(answer.into_actor(self).map(move |answer, this, _| {
                // A leader that stops is stopped, whether it could hand over or not.
                let stops = matches!(order, Order::Stop(_));
                let answer = answer.unwrap_or(Err(OrderError::Unknown));
                this.finish(&order, if stops { Ok(()) } else { answer })
            })),
        }
    }
}

impl Supervisor {
    /// Carries an order out, if whoever was to be asked agrees.
    fn finish(&mut self, order: &Order, agreed: Result<(), OrderError>) -> Result<(), OrderError> {
        let result = agreed.and_then(|()| {
            self.create_missing(order);
            self.carry_out(order)
        });
        if let Err(error) = &result {
            self.recorder.record(EventKind::OrderRefused(error.clone()));
        }
        result
    }
}

impl Handler<GetStatus> for Supervisor {
    type Result = ResponseFuture<ClusterStatus>;

    fn handle(&mut self, _: GetStatus, _: &mut Context<Self>) -> Self::Result {
        self.look_after();
        let clock = self.clock;
        let timing = self.options.timing;
        let servers: Vec<_> = self
            .network
            .servers()
            .into_iter()
            .map(|id| {
                (self.outside(id), self.network.running(id), self.local_clocks.get(&id).cloned())
            })
            .collect();
        Box::pin(async move {
            let mut statuses = Vec::with_capacity(servers.len());
            for (mut status, running, local) in servers {
                if let (Some(running), Some(local)) = (running, local)
                    && let Ok(seen) = running.address.send(Observe).await
                {
                    let deadline = local.when(seen.raft.deadline);
                    let timer = deadline.since(clock.now());
                    status.see(&seen.raft, seen.applied, timer);
                }
                statuses.push(status);
            }
            ClusterStatus::new(clock.now(), timing, statuses)
        })
    }
}

impl Handler<GetLog> for Supervisor {
    type Result = MessageResult<GetLog>;

    fn handle(&mut self, message: GetLog, _: &mut Context<Self>) -> Self::Result {
        self.look_after();
        let GetLog { server, after, last } = message;
        MessageResult(self.network.known(server).map(|id| {
            /// Most bytes of entries that one look at a log reads.
            const MAX_BYTES: u64 = 16 << 20;
            let Some(disk) = self.disks.get(&id) else { return Vec::new() };
            let machine = (self.machine)();
            let indexes = (after.0..).skip(1).map(Index);
            let entries = disk.read(after, last, MAX_BYTES);
            let line = |(entry, index): (&Entry, Index)| LogLine {
                index,
                term: entry.term,
                command: match &entry.payload {
                    Payload::NoOp => "no-op".to_owned(),
                    Payload::Configuration(configuration) => configuration.to_string(),
                    Payload::Command(command) => machine.describe(command),
                },
            };
            entries.iter().zip(indexes).map(line).collect()
        }))
    }
}

impl Handler<Compare> for Supervisor {
    type Result = ResponseFuture<Vec<(ServerId, Index, [u8; 32])>>;

    fn handle(&mut self, _: Compare, _: &mut Context<Self>) -> Self::Result {
        let running = self.network.servers().into_iter();
        let running: Vec<_> =
            running.filter_map(|id| Some((id, self.network.running(id)?))).collect();
        Box::pin(async move {
            let mut states = Vec::with_capacity(running.len());
            for (id, server) in running {
                if let Ok(seen) = server.machine.send(Inspect).await {
                    states.push((id, seen.applied, seen.digest));
                }
            }
            states
        })
    }
}

impl Handler<EndAll> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: EndAll, ctx: &mut Context<Self>) {
        use actix::ActorContext;
        ctx.stop();
    }
}
