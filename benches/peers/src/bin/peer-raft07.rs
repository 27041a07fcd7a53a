//! Writes of tikv's raft 0.7: one thread drives three servers and hands their messages over.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use jangada_peers::{Args, Log, Measured, Meter, WARM_UP, exit_code, report};
use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Message, MessageType, Snapshot};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::util::limit_size;
use raft::{Config, Error, RawNode, StorageError};
use slog::{Discard, Logger, o};

/// Wall time between two ticks of a server.
const TICK: Duration = Duration::from_millis(50);

/// Commands proposed in one turn at most: larger batches leave the cache and are slower.
const BATCH: usize = 256;

/// Measures the writes of three servers of tikv's raft 0.7 in one process.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
    /// How the clients' commands reach the leader
    #[arg(long, value_enum, default_value_t = Arrangement::Batch)]
    arrangement: Arrangement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Arrangement {
    /// All commands that wait, in one proposal: the fastest
    Batch,
    /// A call of `propose` for each command, as in the library's examples
    Calls,
}

impl Arrangement {
    fn describe(self) -> &'static str {
        match self {
            Self::Batch => {
                "one thread, a proposal of up to 256 commands a turn, commits ride along"
            }
            Self::Calls => {
                "one thread, a call of propose a command, batch_append, commits ride along"
            }
        }
    }
}

/// What a server keeps in memory: the hard state and the log.
struct LogStore {
    hard_state: HardState,
    conf_state: ConfState,
    purged_term: u64,
    log: Log<Entry>,
}

impl LogStore {
    fn new() -> Self {
        Self {
            hard_state: HardState::default(),
            conf_state: ConfState::from((vec![1, 2, 3], vec![])),
            purged_term: 0,
            log: Log::starting_at(1),
        }
    }

    fn append(&mut self, entries: Vec<Entry>) {
        if let Some(first) = entries.first() {
            self.log.truncate(first.index);
            self.log.append(entries);
        }
    }

    /// Halves the log once it holds more than twice `keep` entries.
    fn shorten(&mut self, keep: u64) {
        let (first, next) = (self.log.first_index(), self.log.next_index());
        if next - first > 2 * keep {
            let purged = next - keep - 1;
            self.purged_term = self.log.get(purged).map_or(self.purged_term, |entry| entry.term);
            self.log.purge(purged + 1);
        }
    }
}

impl Storage for LogStore {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.conf_state.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.log.first_index() {
            return Err(Error::Store(StorageError::Compacted));
        }
        let mut entries = self.log.iter(low..high).cloned().collect();
        limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match self.log.get(index) {
            Some(entry) => Ok(entry.term),
            None if index + 1 == self.log.first_index() => Ok(self.purged_term),
            None if index < self.log.first_index() => Err(Error::Store(StorageError::Compacted)),
            None => Err(Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.log.first_index())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.log.next_index() - 1)
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        // No server ever lags behind the entries that are kept.
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

/// A server: the library's node, messages yet to be handled, a state machine that only counts.
struct Server {
    node: RawNode<LogStore>,
    inbox: Vec<Message>,
    count: u64,
}

impl Server {
    fn new(id: u64, arrangement: Arrangement) -> raft::Result<Self> {
        let config = Config {
            id,
            election_tick: 20,
            heartbeat_tick: 2,
            max_size_per_msg: u64::MAX,
            batch_append: arrangement == Arrangement::Calls,
            // Followers learn what is committed from the next message, not from one of its own.
            skip_bcast_commit: true,
            ..Config::default()
        };
        let node = RawNode::new(&config, LogStore::new(), &Logger::root(Discard, o!()))?;
        Ok(Self { node, inbox: Vec::new(), count: 0 })
    }

    /// Proposes `writes` commands in one message.
    fn propose(&mut self, writes: impl Iterator<Item = Vec<u8>>) -> raft::Result<()> {
        let entries: Vec<Entry> =
            writes.map(|data| Entry { data: data.into(), ..Entry::default() }).collect();
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(entries.into());
        self.node.step(message)
    }

    /// Handles what has arrived; what is to be sent goes to `network`.
    fn turn(&mut self, network: &mut Vec<Message>) -> raft::Result<()> {
        for message in self.inbox.drain(..) {
            self.node.step(message)?;
        }
        if !self.node.has_ready() {
            return Ok(());
        }
        let mut ready = self.node.ready();
        network.append(&mut ready.take_messages());
        self.apply(&ready.take_committed_entries());
        let store = self.node.mut_store();
        store.append(ready.take_entries());
        if let Some(hard_state) = ready.hs() {
            store.hard_state = hard_state.clone();
        }
        network.append(&mut ready.take_persisted_messages());

        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.node.mut_store().hard_state.commit = commit;
        }
        network.append(&mut light.take_messages());
        self.apply(&light.take_committed_entries());
        self.node.advance_apply();
        Ok(())
    }

    fn apply(&mut self, entries: &[Entry]) {
        let is_command = |entry: &&Entry| {
            entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty()
        };
        self.count += entries.iter().filter(is_command).count() as u64;
    }
}

struct Cluster {
    servers: Vec<Server>,
    network: Vec<Message>,
    last_tick: Instant,
    keep: u64,
}

impl Cluster {
    /// Three servers, the first of which leads. A log keeps `keep` entries at least.
    fn start(arrangement: Arrangement, keep: u64) -> raft::Result<Self> {
        let start = |id| Server::new(id, arrangement);
        let servers = (1..=3).map(start).collect::<raft::Result<_>>()?;
        let mut cluster = Self { servers, network: Vec::new(), last_tick: Instant::now(), keep };
        cluster.servers[0].node.campaign()?;
        while cluster.servers[0].node.raft.raft_log.applied == 0 {
            cluster.turn()?;
        }
        Ok(cluster)
    }

    /// One turn of each server, then the messages are handed over.
    fn turn(&mut self) -> raft::Result<()> {
        let tick = self.last_tick.elapsed() >= TICK;
        if tick {
            self.last_tick = Instant::now();
        }
        for server in &mut self.servers {
            if tick {
                server.node.tick();
            }
            server.turn(&mut self.network)?;
            server.node.mut_store().shorten(self.keep);
        }
        for message in self.network.drain(..) {
            self.servers[message.to as usize - 1].inbox.push(message);
        }
        Ok(())
    }
}

/// The clients: those that are free write, and wait until the leader has applied their commands.
/// Commands are applied in the order they were proposed, so the answers need only be counted.
struct Clients {
    arrangement: Arrangement,
    content: Vec<u8>,
    free: usize,
    answered: u64,
}

impl Clients {
    fn new(cli: &Cli) -> Self {
        Self {
            arrangement: cli.arrangement,
            content: vec![7; cli.args.bytes as usize],
            free: cli.args.clients as usize,
            answered: 0,
        }
    }

    fn write(&mut self, leader: &mut Server) -> raft::Result<()> {
        let batch = self.free.min(BATCH);
        if batch == 0 {
            return Ok(());
        }
        let mut commands = (0..batch).map(|_| self.content.clone());
        match self.arrangement {
            Arrangement::Batch => leader.propose(commands)?,
            Arrangement::Calls => {
                commands.try_for_each(|command| leader.node.propose(Vec::new(), command))?;
            }
        }
        self.free -= batch;
        Ok(())
    }

    fn hear(&mut self, leader: &Server) {
        self.free += (leader.count - self.answered) as usize;
        self.answered = leader.count;
    }
}

fn run(cli: &Cli) -> Result<Measured, String> {
    let failed = |error: Error| format!("a server refused to go on: {error}");
    let keep = 1000 + 2 * u64::from(cli.args.clients);
    let mut cluster = Cluster::start(cli.arrangement, keep).map_err(failed)?;
    let mut clients = Clients::new(cli);
    let mut write_for = |duration: Duration| {
        let meter = Meter::start(clients.answered);
        while meter.elapsed() < duration {
            clients.write(&mut cluster.servers[0]).map_err(failed)?;
            cluster.turn().map_err(failed)?;
            clients.hear(&cluster.servers[0]);
        }
        Ok::<_, String>(meter.stop(clients.answered))
    };
    write_for(WARM_UP)?;
    let measured = write_for(cli.args.duration())?;

    let since = Instant::now();
    let proposed = clients.answered + u64::from(cli.args.clients) - clients.free as u64;
    while cluster.servers.iter().any(|server| server.count != proposed) {
        if since.elapsed() > Duration::from_secs(10) {
            let counts: Vec<u64> = cluster.servers.iter().map(|server| server.count).collect();
            return Err(format!("{proposed} writes were made, the servers applied {counts:?}"));
        }
        cluster.turn().map_err(failed)?;
    }
    Ok(measured)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit_code(run(&cli).map(|measured| {
        report("raft 0.7.0", cli.arrangement.describe(), &cli.args, &measured);
    }))
}
