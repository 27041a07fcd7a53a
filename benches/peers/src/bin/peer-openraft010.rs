//! Writes of openraft 0.10: three servers in one process, a log in memory, calls for a network.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use jangada_peers::{By, Cluster, Command, Log, Threads, exit_code, run};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::entry::RaftEntry;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::ReadPolicy;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use openraft::storage::{
    EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder,
    RaftStateMachine, Snapshot,
};
use openraft::{Config, EntryPayload, OptionalSend, SnapshotPolicy, StoredMembership};
use openraft010 as openraft;

openraft::declare_raft_types!(
    Types: D = Command, R = u64, Node = ()
);

type Raft = openraft::Raft<Types, Counter>;

#[derive(Clone)]
struct LogStore(Arc<Mutex<Stored>>);

struct Stored {
    vote: Option<VoteOf<Types>>,
    purged: Option<LogIdOf<Types>>,
    log: Log<EntryOf<Types>>,
}

impl LogStore {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Stored { vote: None, purged: None, log: Log::starting_at(0) })))
    }

    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().expect("invariant: nobody panics while holding the log")
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<EntryOf<Types>>> {
        Ok(self.lock().log.iter(range).cloned().collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        Ok(self.lock().vote)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let Stored { purged, log, .. } = &*self.lock();
        let last_log_id = log.last().map(RaftEntry::log_id).or(*purged);
        Ok(LogState { last_purged_log_id: *purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
    {
        self.lock().log.append(entries);
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        self.lock().log.truncate(last.map_or(0, |last| last.index + 1));
        Ok(())
    }

    async fn purge(&mut self, upto: LogIdOf<Types>) -> io::Result<()> {
        let mut stored = self.lock();
        stored.purged = Some(upto);
        stored.log.purge(upto.index + 1);
        Ok(())
    }
}

/// A state machine that only counts the commands; its snapshot is the count.
#[derive(Clone, Default)]
struct Counter {
    count: Arc<AtomicU64>,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl RaftStateMachine<Types> for Counter {
    type SnapshotData = u64;
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut count = self.count.load(Relaxed);
        while let Some((entry, responder)) = entries.try_next().await? {
            self.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(_) => count += 1,
                EntryPayload::Membership(members) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), members);
                }
            }
            if let Some(responder) = responder {
                responder.send(count);
            }
        }
        self.count.store(count, Relaxed);
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        Self { count: Arc::new(AtomicU64::new(self.count.load(Relaxed))), ..self.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        count: u64,
    ) -> io::Result<()> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.count.store(count, Relaxed);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, u64>>> {
        Ok(Some(self.build_snapshot().await?))
    }
}

impl RaftSnapshotBuilder<Types> for Counter {
    type SnapshotData = u64;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, u64>> {
        let meta = SnapshotMetaOf::<Types> {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        };
        Ok(Snapshot { meta, snapshot: self.count.load(Relaxed) })
    }
}

/// The servers by id, known to all of them once they are started.
#[derive(Clone, Default)]
struct Servers(Arc<OnceLock<Vec<Raft>>>);

impl RaftNetworkFactory<Types> for Servers {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &()) -> Link {
        let servers = self.0.get().expect("invariant: servers are known before they are members");
        Link(servers[target as usize].clone())
    }
}

/// A network that is a call of the target's own handle.
struct Link(Raft);

fn unreachable(error: impl std::error::Error + 'static) -> Unreachable<Types> {
    Unreachable::new(&error)
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = u64;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.0.append_entries(request).await.map_err(unreachable)?)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let answers = self.0.stream_append(requests);
        let answers = answers.map(|answer| answer.map_err(|error| unreachable(error).into()));
        Box::pin(async move { Ok(answers.boxed()) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Ok(self.0.vote(request).await.map_err(unreachable)?)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, u64>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Ok(self.0.install_full_snapshot(vote, snapshot).await.map_err(unreachable)?)
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
    const SYSTEM: &str = "openraft 0.10.0-alpha.37";

    fn best_threads(clients: u32) -> Threads {
        match clients {
            ..32 => Threads::Two,
            32..512 => Threads::One,
            512.. => Threads::Split,
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
        let policy = match by {
            By::Index => ReadPolicy::ReadIndex,
            By::Lease => ReadPolicy::LeaseRead,
        };
        let ready = self.raft.ensure_linearizable(policy).await;
        ready.map(|_| self.count.load(Relaxed)).map_err(|error| error.to_string())
    }
}

fn main() -> ExitCode {
    exit_code(run::<Leader>())
}
