//! How long a server takes to apply everything again: from its whole log, or from its snapshot.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jangada::actors::{Order, Sandbox, SandboxOptions, Servers, SnapshotPolicy};
use jangada::raft::{Index, ServerId};
use jangada::storage::DiskKind;
use jangada_peers::RestartReport;
use tokio::task::spawn_local;

use crate::cluster::{BY_ORDER, SERVERS, options, start};

/// Clients that fill the log.
const CLIENTS: u64 = 256;
/// How long any of it may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Fills a log with appends and starts a follower again, with and without snapshots.
///
/// # Errors
/// The log could not be filled, or the server did not come back.
pub async fn restarts(entries: u64, disks: DiskKind) -> Result<RestartReport, String> {
    let (replay_seconds, _) = restart(entries, disks, BY_ORDER).await?;
    let by_itself = SnapshotPolicy::default();
    let (snapshot_seconds, behind_snapshot) = restart(entries, disks, by_itself).await?;
    Ok(RestartReport { entries, replay_seconds, snapshot_seconds, behind_snapshot })
}

/// Returns the time in seconds, and how many entries were behind the server's snapshot.
async fn restart(
    entries: u64,
    disks: DiskKind,
    snapshots: SnapshotPolicy,
) -> Result<(f64, u64), String> {
    let options = SandboxOptions { disks, snapshots, ..options(SERVERS) };
    let (sandbox, leader) = start(options).await?;
    let server = ServerId(leader.0 % SERVERS + 1);
    fill(&sandbox, entries).await?;
    let last = sandbox.wait_for_agreement(PATIENCE).await.ok_or("the servers do not agree")?;
    if last.0 < entries {
        return Err(format!("the log has only {last} entries of {entries}"));
    }
    let order = async |order| sandbox.order(order).await.map_err(|error| error.to_string());
    order(Order::Stop(server.into())).await?;
    let began = Instant::now();
    order(Order::Start(Servers::Only(vec![server]))).await?;
    let is_back = sandbox.wait_until(PATIENCE, |status| {
        status.server(server).is_some_and(|server| server.applied_index >= last)
    });
    let status = is_back.await.ok_or("the server did not apply everything again")?;
    let seconds = began.elapsed().as_secs_f64();
    let raft = status.server(server).and_then(|server| server.raft.as_ref());
    let covered = raft.map_or(Index(0), |raft| raft.snapshot);
    sandbox.end().await;
    Ok((seconds, last - covered))
}

/// Has clients append 16 B again and again, each to a file of its own.
async fn fill(sandbox: &Sandbox, entries: u64) -> Result<(), String> {
    let clients = (0..CLIENTS).map(|number| {
        let client = sandbox.client();
        spawn_local(async move {
            let name = format!("file{number}");
            client.load_bytes(&name, Bytes::new()).await?;
            for _ in 0..entries.div_ceil(CLIENTS) {
                client.append_bytes(&name, Bytes::from_static(&[7; 16])).await?;
            }
            Ok(())
        })
    });
    for client in clients.collect::<Vec<_>>() {
        let done = client.await.map_err(|error| format!("a client's task ended: {error}"))?;
        done.map_err(|error: jangada::actors::ClientError| error.to_string())?;
    }
    Ok(())
}
