//! Writes of jangada itself: three servers in one process, actors on one thread, with clients that
//! are tasks beside them.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use jangada::actors::{
    Client, ClockKind, Machine, Order, Sandbox, SandboxOptions, Servers, Source, run,
};
use jangada::files::{Answer, CHUNK_BYTES, Query};
use jangada::raft::{self, Index, ServerId, Timing};
use jangada_peers::{
    Args, LoadReport, Measured, Meter, WARM_UP, cpu_seconds, exit_code, peak_bytes, print_json,
    report,
};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

const SYSTEM: &str = "jangada";
const ARRANGEMENT: &str = "actix, actors and a task a client on one thread";
/// The file that clients append to, or that is loaded.
const FILE: &str = "file";
/// Servers of a file store.
const SERVERS: u64 = 3;

/// Measures jangada, its servers in one process.
#[derive(Debug, Parser)]
enum Cli {
    /// Opaque commands to a state machine that only counts
    Writes {
        #[command(flatten)]
        args: Args,
        /// Servers
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
        servers: u64,
    },
    /// Appends to one file, each client in a session of its own
    Appends {
        #[command(flatten)]
        args: Args,
    },
    /// Loads a file into three servers, then copies it three times
    Load {
        /// Size of the file
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1024))]
        mebibytes: u64,
        /// Where the file and its copies are for a while [default: the system's folder for such]
        #[arg(long)]
        folder: Option<PathBuf>,
    },
}

/// A state machine that only counts the commands; its digest is the count.
struct Counter(u64);

impl Machine for Counter {
    fn apply(&mut self, _index: Index, _command: &Bytes) -> Bytes {
        self.0 += 1;
        Bytes::new()
    }

    fn query(&self, _query: &Bytes) -> Bytes {
        Bytes::new()
    }

    fn digest(&self) -> [u8; 32] {
        digest_of(self.0)
    }

    fn describe(&self, _command: &Bytes) -> String {
        String::new()
    }
}

fn digest_of(count: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&count.to_le_bytes());
    digest
}

/// Servers with the timeouts of the peers, and no record of single commands.
fn options(servers: u64) -> SandboxOptions {
    let timing = Timing {
        election_timeout_min: Duration::from_secs(1),
        election_timeout_max: Duration::from_secs(2),
        ..Timing::default()
    };
    let raft = raft::Options { timing, ..raft::Options::default() };
    let (record_commands, monitor) = (false, false);
    SandboxOptions { servers, raft, record_commands, monitor, ..SandboxOptions::default() }
}

/// Starts the servers; the first leads.
async fn start(options: SandboxOptions) -> Result<(Sandbox, ServerId), String> {
    let sandbox = Sandbox::start(options);
    let first = Order::Timeout(Servers::Only(vec![ServerId(1)]));
    sandbox.order(first).await.map_err(|error| error.to_string())?;
    let leader = sandbox.wait_for_leader(Duration::from_secs(10)).await;
    let leader = leader.ok_or("no server led within 10 s")?;
    Ok((sandbox, leader))
}

async fn writes(args: &Args, servers: u64) -> Result<Measured, String> {
    let (sandbox, leader) = start(options(servers).with_machine(|| Counter(0))).await?;
    let proposer = sandbox.proposer(leader).ok_or("the leader is gone")?;
    let content = vec![7; args.bytes as usize];
    let clients = (0..args.clients).map(|_| {
        let (proposer, content) = (proposer.clone(), content.clone());
        async move || match proposer.propose(Bytes::copy_from_slice(&content)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("a write failed: {error}")),
        }
    });
    let (measured, answered) = measure(args, clients).await?;
    applied_everywhere(&sandbox, &format!("{answered} writes"), digest_of(answered)).await?;
    Ok(measured)
}

async fn appends(args: &Args) -> Result<Measured, String> {
    let (sandbox, _) = start(options(SERVERS)).await?;
    let clients: Vec<Client> = (0..args.clients).map(|_| sandbox.client()).collect();
    let Some(client) = clients.first().cloned() else { return Err("no clients".into()) };
    client.load_bytes(FILE, Bytes::new()).await.map_err(|error| error.to_string())?;
    let content = vec![7; args.bytes as usize];
    let clients = clients.into_iter().map(|client| {
        let content = content.clone();
        async move || match client.append_bytes(FILE, Bytes::copy_from_slice(&content)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("an append failed: {error}")),
        }
    });
    let (measured, answered) = measure(args, clients).await?;
    same_everywhere(&sandbox, &client, answered * u64::from(args.bytes)).await?;
    Ok(measured)
}

/// Runs the clients in a closed loop, a task each. Returns what was measured after the warm-up,
/// and the number of all writes answered, before and after included.
async fn measure<W>(
    args: &Args,
    clients: impl Iterator<Item = W>,
) -> Result<(Measured, u64), String>
where
    W: AsyncFnMut() -> Result<(), String> + 'static,
{
    let (stop, answered) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let clients: Vec<JoinHandle<Result<(), String>>> = clients
        .map(|mut write| {
            let (stop, answered) = (stop.clone(), answered.clone());
            spawn_local(async move {
                while !stop.get() {
                    write().await?;
                    answered.set(answered.get() + 1);
                }
                Ok(())
            })
        })
        .collect();

    sleep(WARM_UP).await;
    let meter = Meter::start(answered.get());
    sleep(args.duration()).await;
    let measured = meter.stop(answered.get());
    stop.set(true);
    for client in clients {
        client.await.map_err(|error| format!("a client's task ended early: {error}"))??;
    }
    Ok((measured, answered.get()))
}

/// Waits until the state of every server has this digest, at most 10 s.
async fn applied_everywhere(
    sandbox: &Sandbox,
    expected: &str,
    digest: [u8; 32],
) -> Result<(), String> {
    let since = Instant::now();
    loop {
        let states = sandbox.states().await.map_err(|error| error.to_string())?;
        if states.iter().all(|(_, _, state)| *state == digest) {
            return Ok(());
        }
        if since.elapsed() > Duration::from_secs(10) {
            return Err(format!("{expected} were answered, the servers hold {states:?}"));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until every server holds the file as the leader does, and checks its size in bytes.
async fn same_everywhere(sandbox: &Sandbox, client: &Client, size: u64) -> Result<(), String> {
    let stat = client.query(Query::Stat { file: FILE.to_owned() }).await;
    let Answer::Stat(info) = stat.map_err(|error| error.to_string())?.answer else {
        return Err("the file cannot be looked at".into());
    };
    if info.size != size {
        return Err(format!("the file has {} bytes, {size} were answered", info.size));
    }
    let sum = client.query(Query::Checksum).await.map_err(|error| error.to_string())?;
    let Answer::Checksum { digest, .. } = sum.answer else { return Err("no checksum".into()) };
    applied_everywhere(sandbox, &format!("{size} bytes"), digest.0).await
}

/// Reads a file of the host chunk by chunk.
struct Chunks(File);

impl Source for Chunks {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        (&self.0).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

async fn load(path: &Path, bytes: u64) -> Result<LoadReport, String> {
    let (sandbox, _) = start(options(SERVERS)).await?;
    let client = sandbox.client();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let source = Chunks(File::open(path).map_err(|error| format!("cannot read: {error}"))?);
    let loaded = client.load(FILE, bytes, source, false, |_| {}).await;
    loaded.map_err(|error| error.to_string())?;
    same_everywhere(&sandbox, &client, bytes).await?;
    Ok(LoadReport {
        bytes,
        load_seconds: began.elapsed().as_secs_f64(),
        load_cpu_seconds: cpu_seconds() - cpu,
        copy_seconds: 0.0,
        peak_bytes: peak_bytes(),
    })
}

/// A file of bytes that no file system could store shorter.
fn generate(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    for _ in 0..bytes / CHUNK_BYTES as u64 {
        for word in chunk.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&chunk)?;
    }
    // What is still to be written to disk would slow the measurement down.
    file.sync_all()
}

/// Copies in pieces of 1 MiB: a file system that shares blocks would not copy at all.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::create(to)?);
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = source.read(&mut piece)?;
        if length == 0 {
            return target.sync_all();
        }
        target.write_all(&piece[..length])?;
    }
}

fn load_and_copy(mebibytes: u64, folder: Option<PathBuf>) -> Result<LoadReport, String> {
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let place = tempfile::tempdir_in(&folder).map_err(failed)?;
    let (path, bytes) = (place.path().join(FILE), mebibytes << 20);
    generate(&path, bytes).map_err(failed)?;
    let mut report = in_system(load(&path, bytes))?;
    let began = Instant::now();
    for number in 1..=SERVERS {
        copy(&path, &place.path().join(format!("copy{number}"))).map_err(failed)?;
    }
    report.copy_seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

fn in_system<T>(main: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    run(ClockKind::Real, main).map_err(|error| format!("no runtime: {error}"))?
}

fn main() -> ExitCode {
    let print = |args: &Args, measured: Measured| report(SYSTEM, ARRANGEMENT, args, &measured);
    exit_code(match Cli::parse() {
        Cli::Writes { args, servers } => {
            in_system(writes(&args, servers)).map(|measured| print(&args, measured))
        }
        Cli::Appends { args } => in_system(appends(&args)).map(|measured| print(&args, measured)),
        Cli::Load { mebibytes, folder } => {
            load_and_copy(mebibytes, folder).map(|report| print_json(&report))
        }
    })
}
