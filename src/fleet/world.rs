//! A cluster of processes that scenarios run on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use uuid::Uuid;

use super::fit::unfit;
use super::orders::{Kind, kind};
use super::process::Process;
use super::reach::{Access, Reach};
use super::view;
use crate::actors::{
    Client, Clock, ClusterStatus, Condition, EventKind, LogLine, Order, OrderError, Recorder,
    Servers,
};
use crate::client::SetupError;
use crate::daemon::{self, BootstrapError};
use crate::invariants::Violation;
use crate::net::{PeersError, Security};
use crate::raft::{Index, ServerId, Term, Timing};
use crate::script::{Snapshots, World};
use crate::storage::{self, DiskKind, Identity};

/// What a fleet is founded from.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Where everything is kept that belongs to it: nothing may be there yet.
    pub folder: PathBuf,
    /// The program `jangada`, which serves.
    pub program: PathBuf,
    /// How many servers found it.
    pub servers: u64,
    /// What clients draw from.
    pub seed: u64,
    /// When its servers take snapshots by themselves.
    pub snapshots: Snapshots,
}

/// Servers that run as processes of this machine, in plain text. Dropped, they are killed.
pub struct Fleet {
    folder: PathBuf,
    program: PathBuf,
    cluster: Uuid,
    seed: u64,
    snapshots: Snapshots,
    reach: Reach,
    processes: RefCell<BTreeMap<ServerId, Process>>,
    timing: Cell<Timing>,
    /// Disturbances that a server must be told again when it has been started.
    lasting: RefCell<Vec<Order>>,
}

/// Why a fleet was not founded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// Another one may have been founded there.
    #[error("{} is there already: name another folder, or remove it", .0.display())]
    Exists(PathBuf),
    /// A file or a process.
    #[error("the cluster in {} cannot be made: {error}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A data directory.
    #[error("{0}")]
    Bootstrap(#[from] BootstrapError),
    /// The native port.
    #[error("{0}")]
    Peers(#[from] PeersError),
    /// HTTP.
    #[error("{0}")]
    Http(#[from] SetupError),
    /// A server does not start.
    #[error("{0}")]
    Start(#[from] OrderError),
}

/// How long a server may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two looks at a process.
const LOOK: Duration = Duration::from_millis(2);

impl Fleet {
    /// Founds the servers, and starts them. Call it inside [`run`](crate::actors::run).
    ///
    /// # Errors
    /// If something is there already, or they do not start.
    pub async fn found(founding: Founding) -> Result<Self, FleetError> {
        let Founding { folder, program, servers, seed, snapshots } = founding;
        if folder.exists() {
            return Err(FleetError::Exists(folder));
        }
        let io = |error| FleetError::Io { path: folder.clone(), error };
        std::fs::create_dir_all(&folder).map_err(io)?;
        let path = folder.canonicalize().map_err(io)?;
        let cluster = Uuid::new_v4();
        std::fs::write(path.join("cluster"), format!("{cluster}\n")).map_err(io)?;
        let reach = Reach::open(cluster, Security::Insecure, Access::default()).await?;
        let fleet = Self {
            folder: path,
            program,
            cluster,
            seed,
            snapshots,
            reach,
            processes: RefCell::default(),
            timing: Cell::default(),
            lasting: RefCell::default(),
        };
        let ids: Vec<_> = (1..=servers).map(ServerId).collect();
        for id in &ids {
            fleet.create(*id, |data, identity| daemon::found(data, identity, &ids))?;
        }
        fleet.start(&ids).await?;
        Ok(fleet)
    }

    /// Makes a server, which is not started yet.
    fn create(
        &self,
        id: ServerId,
        format: impl FnOnce(&Path, &Identity) -> Result<(), BootstrapError>,
    ) -> Result<(), FleetError> {
        let io = |error| FleetError::Io { path: self.folder.clone(), error };
        let process = Process::new(&self.folder, id).map_err(io)?;
        format(&process.data(), &Identity { cluster: self.cluster, server: id })?;
        let endpoint = process.http.parse().map_err(|_| io(io::ErrorKind::InvalidData.into()))?;
        self.reach.know(id, endpoint, &process.peer)?;
        self.processes.borrow_mut().insert(id, process);
        Ok(())
    }

    /// Starts servers that are down, and waits until they serve.
    async fn start(&self, ids: &[ServerId]) -> Result<(), OrderError> {
        let flags = self.flags();
        {
            let processes = &mut *self.processes.borrow_mut();
            let peers: Vec<_> = processes
                .iter()
                .map(|(id, process)| format!("{}={}", id.0, process.peer))
                .collect();
            let more = match self.snapshots.every {
                every if every == Snapshots::default().every => String::new(),
                every => format!("snapshot-entries = {every}\n"),
            };
            for id in ids {
                let Some(process) = processes.get_mut(id) else { continue };
                let started = process.configure(&peers, &more);
                let started = started.and_then(|()| process.start(&self.program, &flags));
                started.map_err(|error| cannot("start", *id, &error))?;
            }
        }
        let deadline = self.clock().now() + PATIENCE;
        for id in ids {
            while !self.with(*id, Process::serves).map_err(OrderError::Process)? {
                if self.clock().now() > deadline {
                    let log = self.with(*id, |process| process.log().display().to_string());
                    let why = format!("{id} does not serve after {PATIENCE:?}; see {log}");
                    return Err(OrderError::Process(why));
                }
                self.clock().sleep(LOOK).await;
            }
            let lasting = self.lasting.borrow().clone();
            for order in lasting {
                self.reach.disturb(*id, &order.to_string()).await?;
            }
            self.reach.connected(*id).await;
            self.reach.recorder.record(EventKind::Started(*id));
        }
        self.count();
        Ok(())
    }

    /// The timings that hold now.
    fn flags(&self) -> Vec<String> {
        let Timing { election_timeout_min: min, election_timeout_max: max, heartbeat } =
            self.timing.get();
        let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
        vec![
            "--election-timeout".to_owned(),
            format!("{}..{}", milliseconds(min), milliseconds(max)),
            "--heartbeat".to_owned(),
            milliseconds(heartbeat),
        ]
    }

    /// Does something with the process of a server that is there.
    fn with<T>(&self, id: ServerId, act: impl FnOnce(&mut Process) -> T) -> T {
        let processes = &mut *self.processes.borrow_mut();
        act(processes.get_mut(&id).expect("invariant: resolved servers have a process"))
    }

    fn condition(&self, id: ServerId) -> Condition {
        self.with(id, |process| process.condition)
    }

    /// Notices who has ended.
    fn look_after(&self) {
        let ended: Vec<_> =
            self.processes.borrow_mut().values_mut().filter_map(Process::ended).collect();
        ended.iter().for_each(|why| log::warn!("{why}"));
        self.count();
    }

    /// The servers that run and are not frozen.
    fn up(&self) -> Vec<ServerId> {
        let processes = self.processes.borrow();
        let up = processes.iter().filter(|(_, it)| it.condition == Condition::Running);
        up.map(|(id, _)| *id).collect()
    }

    fn count(&self) {
        self.reach.count(self.up().len(), self.processes.borrow().len());
    }

    /// The running servers that are meant. Naming one that is down is an error; of `all`, only
    /// those that run are meant.
    fn running(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        let mut running = Vec::new();
        for id in self.resolve(servers)? {
            match self.condition(id) {
                Condition::Running | Condition::Paused => running.push(id),
                _ if *servers == Servers::All => {}
                _ => return Err(OrderError::Down(id)),
            }
        }
        Ok(running)
    }

    fn down(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        let mut down = Vec::new();
        for id in self.resolve(servers)? {
            match self.condition(id) {
                Condition::Running | Condition::Paused if *servers == Servers::All => {}
                Condition::Running | Condition::Paused => return Err(OrderError::Running(id)),
                _ => down.push(id),
            }
        }
        Ok(down)
    }

    async fn carry_out(&self, order: &Order) -> Result<(), OrderError> {
        if let Some(why) = unfit(order) {
            return Err(OrderError::Process(why.to_owned()));
        }
        match kind(order) {
            Kind::Processes => self.handle(order).await,
            Kind::Disturbance => self.disturb(order).await,
            Kind::Snapshots => {
                let Order::Snapshot(servers) = order else { return Ok(()) };
                for id in self.running(servers)? {
                    self.reach.snapshot(id).await?;
                }
                Ok(())
            }
            Kind::Leadership => {
                self.create_missing(order).await?;
                self.reach.lead(order, &self.up()).await
            }
        }
    }

    async fn handle(&self, order: &Order) -> Result<(), OrderError> {
        match order {
            Order::Crash(servers) => {
                for id in self.running(servers)? {
                    self.with(id, Process::kill);
                    self.reach.recorder.record(EventKind::Ended { server: id, orderly: false });
                }
            }
            Order::Pause(servers) => {
                for id in self.running(servers)? {
                    self.with(id, |process| {
                        process.signal(Signal::STOP);
                        process.condition = Condition::Paused;
                    });
                }
            }
            Order::Resume(servers) => {
                for id in self.running(servers)? {
                    self.resume(id);
                }
            }
            Order::Stop(servers) => {
                let ids = self.running(servers)?;
                self.stop(&ids).await;
            }
            Order::Recover(servers) | Order::Start(servers) => {
                self.start(&self.down(servers)?).await?;
            }
            _ => {}
        }
        self.count();
        Ok(())
    }

    fn resume(&self, id: ServerId) {
        self.with(id, |process| {
            process.signal(Signal::CONT);
            process.condition = Condition::Running;
        });
    }

    /// Tells servers to stop, and waits until they have; kills those that do not.
    async fn stop(&self, ids: &[ServerId]) {
        for id in ids {
            self.resume(*id);
            self.with(*id, |process| process.signal(Signal::TERM));
        }
        let deadline = self.clock().now() + PATIENCE;
        for id in ids {
            while !self.with(*id, Process::has_stopped) {
                if self.clock().now() > deadline {
                    self.with(*id, Process::kill);
                }
                self.clock().sleep(LOOK).await;
            }
            self.reach.recorder.record(EventKind::Ended { server: *id, orderly: true });
        }
        self.count();
    }

    /// Has every server carry out what concerns it, and remembers it for those that start later.
    async fn disturb(&self, order: &Order) -> Result<(), OrderError> {
        let up = self.up();
        if let Order::Timeout(servers) = order {
            for id in self.running(servers)? {
                if self.condition(id) == Condition::Paused {
                    return Err(OrderError::Paused(id));
                }
                let alone = Order::Timeout(Servers::Only(vec![id]));
                self.reach.disturb(id, &alone.to_string()).await?;
            }
            return Ok(());
        }
        let order = self.reach.by_number(order, &up)?;
        let text = order.to_string();
        for id in up {
            self.reach.disturb(id, &text).await?;
        }
        match &order {
            Order::ElectionTimeout { min, max } => {
                let (timing, min, max) = (self.timing.get(), *min, *max);
                self.timing.set(Timing {
                    election_timeout_min: min,
                    election_timeout_max: max,
                    ..timing
                });
            }
            Order::Heartbeat(heartbeat) => {
                self.timing.set(Timing { heartbeat: *heartbeat, ..self.timing.get() });
            }
            // It mends links, and nothing else.
            Order::Heal => self.lasting.borrow_mut().retain(|order| {
                matches!(
                    order,
                    Order::Speed { .. } | Order::ApplyLatency { .. } | Order::ApplyStall(_)
                )
            }),
            _ => {
                let lasting = &mut *self.lasting.borrow_mut();
                lasting.retain(|before| *before != order);
                lasting.push(order);
            }
        }
        Ok(())
    }

    /// Makes and starts those servers that an order names as members, and that are not there yet.
    async fn create_missing(&self, order: &Order) -> Result<(), OrderError> {
        let named = match order {
            Order::Add { server, .. } => vec![*server],
            Order::Members(voters) => voters.clone(),
            _ => Vec::new(),
        };
        let missing: Vec<_> = named.into_iter().filter(|id| !self.reach.knows(*id)).collect();
        for id in &missing {
            let made = self.create(*id, daemon::join);
            made.map_err(|error| OrderError::Process(error.to_string()))?;
        }
        self.start(&missing).await
    }

    /// What a server's log holds on its disk.
    fn read_log(&self, server: ServerId) -> Result<BTreeMap<Index, (Term, String)>, OrderError> {
        self.resolve(&Servers::Only(vec![server]))?;
        let data = self.with(server, |process| process.data());
        let mut entries = BTreeMap::new();
        let read = storage::inspect(&data, |line| {
            if let Some(place) = line.entry {
                // What came later at the same place is what counts, and nothing behind it is left.
                entries.split_off(&place.index);
                let text = match line.text.as_str() {
                    "" => format!("{}, {} bytes", line.kind, line.bytes),
                    text => format!("{}: {text}", line.kind),
                };
                entries.insert(place.index, (place.term, text));
            }
        });
        read.map_err(|error| OrderError::Process(error.to_string()))?;
        Ok(entries)
    }
}

impl World for Fleet {
    fn clock(&self) -> Clock {
        self.reach.clock
    }

    async fn look(&self) {
        self.look_after();
        self.reach.ask(&self.up()).await;
    }

    fn leader(&self) -> Option<ServerId> {
        self.reach.leader(&self.up())
    }

    fn resolve(&self, servers: &Servers) -> Result<Vec<ServerId>, OrderError> {
        self.reach.resolve(servers, &self.up())
    }

    async fn order(&self, order: Order) -> Result<(), OrderError> {
        self.look().await;
        self.reach.recorded(&order, self.carry_out(&order)).await
    }

    async fn status(&self) -> Result<ClusterStatus, OrderError> {
        self.look().await;
        let processes = self.processes.borrow();
        let servers = processes.iter().map(|(id, process)| {
            view::server(*id, process.condition, self.reach.said(*id).as_ref())
        });
        Ok(ClusterStatus::new(self.clock().now(), self.timing.get(), servers.collect()))
    }

    async fn log(
        &self,
        server: ServerId,
        after: Index,
        last: Index,
    ) -> Result<Vec<LogLine>, OrderError> {
        let mut entries = self.read_log(server)?;
        let behind = entries.split_off(&Index(after.0 + 1));
        let wanted = behind.into_iter().take_while(|(index, _)| *index <= last);
        Ok(wanted.map(|(index, (term, command))| LogLine { index, term, command }).collect())
    }

    async fn states(&self) -> Result<Vec<(ServerId, Index, [u8; 32])>, OrderError> {
        self.reach.states(&self.up()).await
    }

    fn client(&self) -> Client {
        self.reach.client()
    }

    fn events(&self) -> &Recorder {
        &self.reach.recorder
    }

    /// A server that sees what must not be ends, which shows in its condition.
    fn violation(&self) -> Option<Violation> {
        None
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn disks(&self) -> DiskKind {
        DiskKind::default()
    }

    fn snapshots(&self) -> (u64, u64) {
        (self.snapshots.every, self.snapshots.keep)
    }

    async fn end(&self) {
        if let Ok(running) = self.running(&Servers::All) {
            self.stop(&running).await;
        }
    }
}

fn cannot(what: &str, id: ServerId, error: &io::Error) -> OrderError {
    OrderError::Process(format!("cannot {what} {id}: {error}"))
}
