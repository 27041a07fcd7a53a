//! What is measured once in a while: crashes, restarts, one large file; and what the disk alone does.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};

use crate::cluster::{Cluster, Port, SERVERS, System};
use crate::http::Http;
use crate::usage;

/// How long one attempt to write may take while nobody leads.
const ATTEMPT: Duration = Duration::from_millis(50);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(2);

/// Kills the leader; answers the milliseconds until a client of each other server has had one write
/// acknowledged by any of them. The leader is then started again.
pub(crate) async fn failover(cluster: &mut Cluster, port: Port) -> Result<f64> {
    let leader = cluster.leader().await?;
    let others: Vec<_> = (0..SERVERS).filter(|server| *server != leader).collect();
    let began = Instant::now();
    cluster.kill(leader)?;
    let (done, mut first) = tokio::sync::mpsc::channel(SERVERS);
    let mut tasks = Vec::new();
    for server in others {
        let address = cluster.address(server);
        let done = done.clone();
        // One that is connected by and by, as clients of servers in trouble are.
        tasks.push(actix_rt::spawn(async move {
            let mut client = None;
            loop {
                let attempt = async {
                    let mut connected = match client.take() {
                        Some(client) => client,
                        None => port.connect(&address).await?,
                    };
                    connected.put(0, &Bytes::from_static(b"after a crash")).await?;
                    anyhow::Ok(connected)
                };
                if let Ok(Ok(_)) = tokio::time::timeout(ATTEMPT, attempt).await {
                    let _ = done.send(Instant::now()).await;
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }));
    }
    let answered = tokio::time::timeout(Duration::from_secs(30), first.recv()).await;
    tasks.iter().for_each(|task| task.abort());
    let answered = answered.ok().flatten();
    let answered = answered.with_context(|| format!("{:?}: no leader in 30 s", cluster.system))?;
    cluster.spawn(leader)?;
    cluster.has(leader, 0).await?;
    // Whoever was away has caught up, and the new leader leads for a while.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    Ok((answered - began).as_secs_f64() * 1000.0)
}

/// Kills a follower and starts it again; answers the seconds until it answers from its own state,
/// and its memory in MiB.
pub(crate) async fn restart(cluster: &mut Cluster, key: usize) -> Result<(f64, f64)> {
    let leader = cluster.leader().await?;
    let follower = (leader + 1) % SERVERS;
    cluster.kill(follower)?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    cluster.spawn(follower)?;
    cluster.has(follower, key).await?;
    let seconds = began.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok((seconds, usage::memory(cluster.pids()[follower])))
}

/// The seconds that a file of this size takes into the cluster over HTTP.
pub(crate) async fn load(cluster: &Cluster, source: &Path) -> Result<f64> {
    if cluster.system != System::Jangada {
        bail!("the others keep no large values");
    }
    let leader = cluster.leader().await?;
    let size = fs::metadata(source)?.len();
    let mut client = Http::connect(&cluster.address(leader)).await?;
    let began = Instant::now();
    let (status, body) = client.upload("/v1/files/large", &mut File::open(source)?, size).await?;
    let seconds = began.elapsed().as_secs_f64();
    if !(200..300).contains(&status) {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    client.ask("DELETE", "/v1/files/large", None).await?;
    Ok(seconds)
}

/// A file that does not compress.
pub(crate) fn make_source(path: &Path, bytes: u64) -> Result<()> {
    let (mut file, mut state) = (File::create(path)?, 88_172_645_463_325_252_u64);
    let mut piece = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        for word in piece.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(())
}

/// The seconds that three copies of a file take, each synced.
pub(crate) fn copies(source: &Path, dir: &Path) -> Result<f64> {
    let began = Instant::now();
    for number in 0..SERVERS {
        let mut copy = File::create(dir.join(format!("copy{number}")))?;
        std::io::copy(&mut File::open(source)?, &mut copy)?;
        copy.sync_all()?;
    }
    let seconds = began.elapsed().as_secs_f64();
    for number in 0..SERVERS {
        fs::remove_file(dir.join(format!("copy{number}")))?;
    }
    Ok(seconds)
}

/// Writes of so many bytes a second that one loop makes durable, one after the other, in a file
/// whose zeros are written beforehand.
pub(crate) fn floor(dir: &Path, bytes: usize, seconds: f64) -> Result<f64> {
    const ROOM: u64 = 64 << 20;
    let path = dir.join("floor");
    let file = File::create(&path)?;
    fallocate(&file, FallocateFlags::empty(), 0, ROOM)?;
    file.write_all_at(&vec![0; ROOM as usize], 0)?;
    file.sync_all()?;
    let (began, value, mut count, mut at) = (Instant::now(), vec![b'x'; bytes], 0_u64, 0);
    while began.elapsed().as_secs_f64() < seconds {
        file.write_all_at(&value, at)?;
        file.sync_data()?;
        at = (at + bytes as u64) % (ROOM - bytes as u64);
        count += 1;
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}
