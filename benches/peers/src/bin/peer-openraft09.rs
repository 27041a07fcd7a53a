//! Writes of openraft 0.9: three servers in one process, a log in memory, calls for a network.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::ops::RangeBounds;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use jangada_peers::{By, Cluster, Command, Log, Threads, exit_code, run};
use openraft::error::{Fatal, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage, RaftStateMachine, Snapshot};
use openraft::{
    Config, EntryPayload, OptionalSend, RaftLogReader, RaftSnapshotBuilder, SnapshotPolicy,
};
use openraft09 as openraft;

openraft::declare_raft_types!(
    Types: D = Command, R = u64, Node = (), SnapshotData = u64
);

type Entry = openraft::Entry<Types>;
type LogId = openraft::LogId<u64>;
type Membership = openraft::StoredMembership<u64, ()>;
type Raft = openraft::Raft<Types>;
type SnapshotMeta = openraft::SnapshotMeta<u64, ()>;
type Stored<T> = Result<T, openraft::StorageError<u64>>;
type Vote = openraft::Vote<u64>;

#[derive(Clone)]
struct LogStore(Arc<Mutex<Durable>>);

struct Durable {
    vote: Option<Vote>,
    purged: Option<LogId>,
    log: Log<Entry>,
}

impl LogStore {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Durable { vote: None, purged: None, log: Log::starting_at(0) })))
    }

    fn lock(&self) -> MutexGuard<'_, Durable> {
        self.0.lock().expect("invariant: nobody panics while holding the log")
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Stored<Vec<Entry>> {
        Ok(self.lock().log.iter(range).cloned().collect())
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Stored<LogState<Types>> {
        let Durable { purged, log, .. } = &*self.lock();
        let last_log_id = log.last().map(|entry| entry.log_id).or(*purged);
        Ok(LogState { last_purged_log_id: *purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Stored<()> {
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote>> {
        Ok(self.lock().vote)
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
    {
        self.lock().log.append(entries);
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Stored<()> {
        self.lock().log.truncate(from.index);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Stored<()> {
        let mut durable = self.lock();
        durable.purged = Some(upto);
        durable.log.purge(upto.index + 1);
        Ok(())
    }
}

/// A state machine that only counts the commands; its snapshot is the count.
#[derive(Clone, Default)]
struct Counter {
    count: Arc<AtomicU64>,
    applied: Option<LogId>,
    membership: Membership,
}

impl RaftStateMachine<Types> for Counter {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Stored<(Option<LogId>, Membership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<u64>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
    {
        let mut count = self.count.load(Relaxed);
        let answers = entries
            .into_iter()
            .map(|entry| {
                self.applied = Some(entry.log_id);
                match entry.payload {
                    EntryPayload::Blank => {}
                    EntryPayload::Normal(_) => count += 1,
                    EntryPayload::Membership(members) => {
                        self.membership = Membership::new(Some(entry.log_id), members);
                    }
                }
                count
            })
            .collect();
        self.count.store(count, Relaxed);
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        Self { count: Arc::new(AtomicU64::new(self.count.load(Relaxed))), ..self.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, count: Box<u64>) -> Stored<()> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.count.store(*count, Relaxed);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Types>>> {
        Ok(Some(self.build_snapshot().await?))
    }
}

impl RaftSnapshotBuilder<Types> for Counter {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Types>> {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: self.applied.map_or(0, |last| last.index).to_string(),
        };
        Ok(Snapshot { meta, snapshot: Box::new(self.count.load(Relaxed)) })
    }
}

/// The servers by id, known to all of them once they are started.
#[derive(Clone, Default)]
struct Servers(Arc<OnceLock<Vec<Raft>>>);

impl RaftNetworkFactory<Types> for Servers {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &()) -> Link {
        let servers = self.0.get().expect("invariant: servers are known before they are members");
        Link { id: target, raft: servers[target as usize].clone() }
    }
}

/// A network that is a call of the target's own handle.
struct Link {
    id: u64,
    raft: Raft,
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, (), RaftError<u64>>> {
        let answer = self.raft.append_entries(request).await;
        Ok(answer.map_err(|error| RemoteError::new(self.id, error))?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, (), RaftError<u64>>> {
        let answer = self.raft.vote(request).await;
        Ok(answer.map_err(|error| RemoteError::new(self.id, error))?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Types>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        let answer = self.raft.install_full_snapshot(vote, snapshot).await;
        Ok(answer.map_err(|error| RemoteError::new(self.id, error))?)
    }
}

fn config(log_limit: u64) -> Config {
    Config {
        heartbeat_interval: 100,
        election_timeout_min: 1000,
        election_timeout_max: 2000,
        max_payload_entries: 1024,
        replication_lag_threshold: 1_000_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(log_limit),
        max_in_snapshot_log_to_keep: log_limit / 10,
        purge_batch_size: 1024,
        ..Config::default()
    }
}

/// The leader's handle, which the clients share.
#[derive(Clone)]
struct Leader {
    raft: Raft,
    /// What its state machine has counted.
    count: Arc<AtomicU64>,
}

impl jangada_peers::Peer for Leader {
    const SYSTEM: &str = "openraft 0.9.25";

    fn best_threads(clients: u32) -> Threads {
        match clients {
            ..32 => Threads::Two,
            32.. => Threads::One,
        }
    }

    async fn start(log_limit: u64) -> Result<Cluster<Self>, String> {
        let config = Arc::new(config(log_limit).validate().map_err(|error| error.to_string())?);
        let network = Servers::default();
        let mut servers = Vec::new();
        let mut counts = Vec::new();
        for id in 0..3 {
            let (log, counter) = (LogStore::new(), Counter::default());
            counts.push(counter.count.clone());
            let server = Raft::new(id, config.clone(), network.clone(), log, counter).await;
            servers.push(server.map_err(|error| format!("server {id} did not start: {error}"))?);
        }
        let first = servers[0].clone();
        let _ = network.0.set(servers);
        let members: BTreeMap<u64, ()> = (0..3).map(|id| (id, ())).collect();
        first.initialize(members).await.map_err(|error| format!("no first members: {error}"))?;
        let elected = first.wait(Some(Duration::from_secs(10))).current_leader(0, "election").await;
        elected.map_err(|error| format!("server 0 was not elected: {error}"))?;
        Ok(Cluster { leader: Self { raft: first, count: counts[0].clone() }, counts })
    }

    async fn write(&self, command: Command) -> Result<(), String> {
        self.raft.client_write(command).await.map(drop).map_err(|error| error.to_string())
    }

    async fn read(&self, by: By) -> Result<u64, String> {
        let By::Index = by else { return Err("openraft 0.9 has no lease reads".into()) };
        let ready = self.raft.ensure_linearizable().await;
        ready.map(|_| self.count.load(Relaxed)).map_err(|error| error.to_string())
    }
}

fn main() -> ExitCode {
    exit_code(run::<Leader>())
}
