//! What writes feel while snapshots are taken, sent and restored.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jangada::actors::{ClientError, EventKind, Order, Sandbox, SandboxOptions, Servers};
use jangada::files::CHUNK_BYTES;
use jangada::raft::ServerId;
use jangada_peers::{Phase, SnapshotsReport, Spread};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::cluster::{BY_ORDER, SERVERS, options, start};

/// Bytes of a file.
const FILE_BYTES: u64 = 16 << 20;
/// How long to look when nothing is done about snapshots.
const QUIET: Duration = Duration::from_secs(2);
/// How long a snapshot may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Fills three servers with files and has clients append to them, while one server takes a
/// snapshot, then all, and a fourth server is sent one.
///
/// # Errors
/// A write failed, or a snapshot was not done in time.
pub async fn writes_beside(clients: u32, mebibytes: u64) -> Result<SnapshotsReport, String> {
    let watch = Rc::new(RefCell::new(Watch::default()));
    let trace: Box<dyn Write> = Box::new(Trace { watch: watch.clone(), line: Vec::new() });
    let trace = Some(trace);
    let options = SandboxOptions { snapshots: BY_ORDER, trace, ..options(SERVERS) };
    let (sandbox, leader) = start(options).await?;
    let follower = ServerId(leader.0 % SERVERS + 1);
    let files = (mebibytes << 20).div_ceil(FILE_BYTES);
    fill(&sandbox, files).await?;
    let stop = Rc::new(Cell::new(false));
    let writers: Vec<_> = (0..clients)
        .map(|number| {
            let (client, watch, stop) = (sandbox.client(), watch.clone(), stop.clone());
            let name = name(u64::from(number) % files);
            spawn_local(async move {
                while !stop.get() {
                    let began = Instant::now();
                    client.append_bytes(&name, Bytes::from_static(&[7; 16])).await?;
                    watch.borrow_mut().latencies.push(began.elapsed());
                }
                Ok(())
            })
        })
        .collect();

    let stage = Stage { sandbox, watch, done: Rc::default() };
    stage.listen();
    sleep(QUIET).await;
    stage.watch.borrow_mut().begin();
    let mut phases = vec![stage.quiet("before").await];
    let take = |servers: Servers| Order::Snapshot(servers);
    phases.push(stage.during("a follower takes one", take(follower.into()), 1).await?);
    phases.push(stage.during("the leader takes one", take(leader.into()), 1).await?);
    phases.push(stage.during("all take one again", take(Servers::All), SERVERS).await?);
    let join = Order::Add { server: ServerId(SERVERS + 1), learner: true };
    phases.push(stage.during("a new server is sent one", join, 1).await?);
    phases.push(stage.quiet("after").await);
    stop.set(true);
    for writer in writers {
        let done = writer.await.map_err(|error| format!("a client's task ended: {error}"))?;
        done.map_err(|error: ClientError| error.to_string())?;
    }
    stage.sandbox.end().await;
    Ok(SnapshotsReport { clients, bytes: files * FILE_BYTES, phases })
}

fn name(number: u64) -> String {
    format!("file{number}")
}

/// Loads files of bytes that have no piece in common.
async fn fill(sandbox: &Sandbox, files: u64) -> Result<(), String> {
    let client = sandbox.client();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..files {
        let mut content = vec![0; FILE_BYTES as usize];
        for word in content.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        debug_assert!(content.len().is_multiple_of(CHUNK_BYTES));
        let loaded = client.load_bytes(&name(number), content).await;
        loaded.map_err(|error| error.to_string())?;
    }
    sandbox.wait_for_agreement(PATIENCE).await.ok_or("the servers do not agree")?;
    Ok(())
}

/// A sandbox that is being looked at.
struct Stage {
    sandbox: Sandbox,
    watch: Rc<RefCell<Watch>>,
    /// Snapshots that are on a disk, and those that took the place of a log.
    done: Rc<Cell<u64>>,
}

impl Stage {
    fn listen(&self) {
        let done = self.done.clone();
        self.sandbox.events().watch(move |event| {
            if let EventKind::Snapshotted { .. } | EventKind::Installed { .. } = event.kind {
                done.set(done.get() + 1);
            }
        });
    }

    async fn quiet(&self, name: &str) -> Phase {
        let began = Instant::now();
        sleep(QUIET).await;
        self.watch.borrow_mut().end(name, began)
    }

    /// Gives the order and looks until so many snapshots are done and every server has applied
    /// what the leader had committed then.
    async fn during(&self, name: &str, order: Order, snapshots: u64) -> Result<Phase, String> {
        let (began, until) = (Instant::now(), self.done.get() + snapshots);
        self.sandbox.order(order).await.map_err(|error| error.to_string())?;
        while self.done.get() < until {
            if began.elapsed() > PATIENCE {
                return Err(format!("{name}: not done in {} s", PATIENCE.as_secs()));
            }
            sleep(Duration::from_millis(1)).await;
        }
        let status = self.sandbox.status().await.map_err(|error| error.to_string())?;
        let committed = status.leader().ok_or("nobody leads")?.commit_index;
        let applied = self.sandbox.wait_until(PATIENCE, |status| {
            status.servers.iter().all(|server| server.applied_index >= committed)
        });
        applied.await.ok_or_else(|| format!("{name}: a server does not follow"))?;
        Ok(self.watch.borrow_mut().end(name, began))
    }
}

/// What is noted of a phase.
#[derive(Default)]
struct Watch {
    latencies: Vec<Duration>,
    /// When the leader last wrote to each follower, by the two ends of the link.
    heard: BTreeMap<Vec<u8>, Instant>,
    longest_gap: Duration,
}

impl Watch {
    fn begin(&mut self) {
        self.latencies.clear();
        self.longest_gap = Duration::ZERO;
    }

    fn end(&mut self, name: &str, began: Instant) -> Phase {
        let latencies = mem::take(&mut self.latencies);
        Phase {
            name: name.to_owned(),
            seconds: began.elapsed().as_secs_f64(),
            answers: latencies.len() as u64,
            latency: Spread::of(latencies),
            heartbeat_gap: mem::take(&mut self.longest_gap).as_secs_f64() * 1e3,
        }
    }

    /// A line of the trace: a moment, then perhaps `S1 -> S2 #7 AppendEntries term=…`.
    fn see(&mut self, line: &[u8]) {
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        let (from, arrow, to) = (words.next(), words.next(), words.next());
        let (Some(from), Some(b"->"), Some(to)) = (from, arrow, to) else { return };
        if words.nth(1) != Some(b"AppendEntries") {
            return;
        }
        let now = Instant::now();
        let link = [from, to].concat();
        if let Some(before) = self.heard.insert(link, now) {
            self.longest_gap = self.longest_gap.max(now - before);
        }
    }
}

/// Reads the trace of a sandbox.
struct Trace {
    watch: Rc<RefCell<Watch>>,
    line: Vec<u8>,
}

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if bytes.ends_with(b"\n") {
            self.watch.borrow_mut().see(&self.line);
            self.line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
