//! A sandbox to measure: how it is started, and what must be true of it at the end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jangada::actors::{
    Client, ClockKind, Machine, Order, Sandbox, SandboxOptions, Servers, SnapshotPolicy, run,
};
use jangada::files::{Answer, Query};
use jangada::raft::{self, Index, ServerId, Timing};
use tokio::time::sleep;

use crate::FILE;

/// Servers of a file store.
pub const SERVERS: u64 = 3;
/// Snapshots are taken by order only.
pub const BY_ORDER: SnapshotPolicy = SnapshotPolicy { entries: u64::MAX, bytes: u64::MAX };

/// A state machine that only counts the commands; its digest is the count.
pub struct Counter(pub u64);

impl Machine for Counter {
    fn apply(&mut self, _index: Index, _command: &Bytes) -> Bytes {
        self.0 += 1;
        Bytes::new()
    }

    /// The count.
    fn query(&self, _query: &Bytes) -> Bytes {
        Bytes::copy_from_slice(&self.0.to_le_bytes())
    }

    fn digest(&self) -> [u8; 32] {
        digest_of(self.0)
    }

    fn describe(&self, _command: &Bytes) -> String {
        String::new()
    }
}

/// The digest of a state machine that has counted so many commands.
pub fn digest_of(count: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&count.to_le_bytes());
    digest
}

/// Servers with the timeouts of the peers, and no record of single commands.
pub fn options(servers: u64) -> SandboxOptions {
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
pub async fn start(options: SandboxOptions) -> Result<(Sandbox, ServerId), String> {
    let sandbox = Sandbox::start(options);
    let first = Order::Timeout(Servers::Only(vec![ServerId(1)]));
    sandbox.order(first).await.map_err(|error| error.to_string())?;
    let leader = sandbox.wait_for_leader(Duration::from_secs(10)).await;
    let leader = leader.ok_or("no server led within 10 s")?;
    Ok((sandbox, leader))
}

/// Waits until the state of every server has this digest, at most 10 s.
pub async fn applied_everywhere(
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
pub async fn same_everywhere(sandbox: &Sandbox, client: &Client, size: u64) -> Result<(), String> {
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

/// Runs in an actor system of its own, in real time.
///
/// # Errors
/// Those of `main`.
pub fn in_system<T>(main: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    run(ClockKind::Real, main).map_err(|error| format!("no runtime: {error}"))?
}
