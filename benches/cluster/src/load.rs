//! Clients that each wait for an answer before they ask again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use crate::client::{Client, Reading};
use crate::cluster::{Cluster, Port};
use crate::usage;

/// Keys that are written to and read.
pub(crate) const KEYS: usize = 1000;

/// How long a client waits for its last answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Work {
    Writes,
    Reads,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Operations a second.
    pub(crate) rate: f64,
    /// Latencies in milliseconds: half, 99 % and 99.9 % are below.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// CPU time of an operation, in microseconds: of all servers, and of the clients.
    pub(crate) server_cpu: f64,
    pub(crate) client_cpu: f64,
    /// The memory of the largest server at the end, in MiB.
    pub(crate) memory: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Counted,
    Over,
}

/// What the tasks of the clients share.
struct Shared {
    phase: Cell<Phase>,
    /// In microseconds, of what was answered while it counted.
    latencies: RefCell<Vec<u32>>,
}

/// Bytes of which no two are alike: a number, and filling.
fn value(number: u64, bytes: usize) -> Bytes {
    let mut value = vec![b'x'; bytes.max(8)];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value.into()
}

/// Makes keys, by as many clients.
pub(crate) async fn fill(
    cluster: &Cluster,
    port: Port,
    keys: std::ops::Range<usize>,
    clients: usize,
) -> Result<()> {
    let leader = cluster.leader().await?;
    let next = Rc::new(Cell::new(keys.start));
    let mut tasks = Vec::new();
    for mut client in cluster.clients(port, leader, clients).await? {
        let (next, end) = (next.clone(), keys.end);
        tasks.push(actix_rt::spawn(async move {
            while next.get() < end {
                let key = next.replace(next.get() + 1);
                retrying(async || client.create(key, &value(0, 100)).await).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// The clients connect while the servers may still be finding each other.
async fn retrying(mut attempt: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(_) if began.elapsed() < Duration::from_secs(5) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}

/// Has clients of the leader work for a while, and checks that each reads what it wrote last.
pub(crate) async fn measure(
    cluster: &Cluster,
    port: Port,
    work: Work,
    clients: usize,
    bytes: usize,
    seconds: f64,
) -> Result<Measured> {
    let leader = cluster.leader().await?;
    let shared = Rc::new(Shared { phase: Cell::new(Phase::WarmUp), latencies: RefCell::default() });
    let mut tasks = Vec::new();
    for (number, client) in (0..).zip(cluster.clients(port, leader, clients).await?) {
        let own = (0..KEYS).filter(|key| key % clients == number).collect();
        let shared = shared.clone();
        tasks.push(actix_rt::spawn(run(client, work, own, bytes, shared)));
    }
    let pids = cluster.pids();
    tokio::time::sleep(Duration::from_secs_f64((seconds / 3.0).min(1.0))).await;
    let (began, servers, own) =
        (Instant::now(), usage::cpu_of(&pids), usage::cpu(std::process::id()));
    shared.phase.set(Phase::Counted);
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    shared.phase.set(Phase::Over);
    let seconds = began.elapsed().as_secs_f64();
    let servers = usage::cpu_of(&pids) - servers;
    let own = usage::cpu(std::process::id()) - own;
    for task in tasks {
        let whose = || format!("{} ({work:?}, {clients} clients)", port.title());
        let ended = tokio::time::timeout(PATIENCE, task).await;
        ended.context("a client had no answer").with_context(whose)??.with_context(whose)?;
    }
    let mut latencies = shared.latencies.take();
    latencies.sort_unstable();
    let count = latencies.len().max(1);
    let part = |share: f64| {
        let place = ((count as f64 * share) as usize).min(count - 1);
        latencies.get(place).map_or(f64::NAN, |it| f64::from(*it) / 1000.0)
    };
    Ok(Measured {
        rate: count as f64 / seconds,
        p50: part(0.5),
        p99: part(0.99),
        p999: part(0.999),
        server_cpu: servers * 1e6 / count as f64,
        client_cpu: own * 1e6 / count as f64,
        memory: pids.iter().map(|pid| usage::memory(*pid)).fold(0.0, f64::max),
    })
}

async fn run(
    mut client: Client,
    work: Work,
    keys: Vec<usize>,
    bytes: usize,
    shared: Rc<Shared>,
) -> Result<()> {
    let mut last = None;
    for (number, key) in (1..).zip(keys.iter().cycle()) {
        let phase = shared.phase.get();
        if phase == Phase::Over {
            break;
        }
        let began = Instant::now();
        match work {
            Work::Writes => {
                client.put(*key, &value(number, bytes)).await?;
                last = Some((*key, number));
            }
            Work::Reads => drop(client.get(*key, Reading::Linearizable).await?),
        }
        if phase == Phase::Counted && shared.phase.get() == Phase::Counted {
            shared.latencies.borrow_mut().push(began.elapsed().as_micros() as u32);
        }
    }
    if let Some((key, number)) = last {
        let found = client.get(key, Reading::Linearizable).await?;
        if found != value(number, bytes) {
            bail!("a write that was answered is not there");
        }
    }
    Ok(())
}
