//! Clusters of three processes on real disks, side by side: jangada, etcd, ZooKeeper. One thread of
//! clients asks the leader of each in turn, round after round.

mod client;
mod cluster;
mod etcd;
mod http;
mod load;
mod report;
mod studies;
mod usage;
mod zookeeper;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use jangada::actors::{ClockKind, run};

use crate::cluster::{Cluster, Port, System};
use crate::load::{KEYS, Work};
use crate::report::Results;

/// Measures jangada beside etcd and ZooKeeper, and prints medians and ratios as Markdown.
#[derive(Parser)]
struct Arguments {
    /// What to measure: writes, reads, failover, restart, load. All of it if nothing is given.
    sections: Vec<String>,
    /// Less than five minutes.
    #[arg(long)]
    quick: bool,
    /// Write what was measured to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the servers keep their data: a folder on a disk, which is emptied.
    #[arg(long)]
    dir: PathBuf,
    /// The programs.
    #[arg(long)]
    jangada: PathBuf,
    #[arg(long, default_value = "/usr/bin/etcd")]
    etcd: PathBuf,
    #[arg(long, default_value = "/usr/bin/java")]
    java: PathBuf,
    /// Only these systems: jangada, etcd, zookeeper.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Of jangada, only this port: http or native.
    #[arg(long)]
    port: Option<String>,
    /// Only these numbers of clients.
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// Rounds.
    #[arg(long)]
    rounds: Option<usize>,
}

/// How much is measured.
struct Plan {
    rounds: usize,
    seconds: f64,
    writes: Vec<(usize, usize)>,
    reads: Vec<usize>,
    failovers: usize,
    restarts: usize,
    restart_keys: usize,
    loads: usize,
}

/// The size of the large file.
const LARGE: u64 = 1 << 30;

impl Plan {
    fn new(arguments: &Arguments) -> Self {
        let all = [1, 16, 64, 256, 1000];
        let mut plan = if arguments.quick {
            Self {
                rounds: 2,
                seconds: 1.5,
                writes: vec![(100, 1), (100, 64), (100, 1000), (1024, 64)],
                reads: vec![1, 64, 1000],
                failovers: 5,
                restarts: 1,
                restart_keys: 20_000,
                loads: 1,
            }
        } else {
            Self {
                rounds: 5,
                seconds: 3.0,
                writes: [100, 1024].into_iter().flat_map(|it| all.map(|n| (it, n))).collect(),
                reads: all.to_vec(),
                failovers: 15,
                restarts: 3,
                restart_keys: 100_000,
                loads: 3,
            }
        };
        plan.rounds = arguments.rounds.unwrap_or(plan.rounds);
        if !arguments.clients.is_empty() {
            plan.writes.retain(|(_, clients)| arguments.clients.contains(clients));
            plan.reads.retain(|clients| arguments.clients.contains(clients));
        }
        plan
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let results = run(ClockKind::Real, compare(&arguments))??;
    results.print();
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&results.json())?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

async fn compare(arguments: &Arguments) -> Result<Results> {
    let plan = Plan::new(arguments);
    let dir = &arguments.dir;
    let wanted = |section: &str| {
        arguments.sections.is_empty() || arguments.sections.iter().any(|it| it == section)
    };
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut results = Results::default();
    if wanted("writes") || wanted("reads") {
        loads(arguments, &plan, &wanted, &mut results).await?;
    }
    if wanted("failover") {
        failovers(arguments, &plan, &mut results).await?;
    }
    if wanted("restart") {
        restarts(arguments, &plan, &mut results).await?;
    }
    if wanted("load") {
        large_files(arguments, &plan, &mut results).await?;
    }
    fs::remove_dir_all(dir)?;
    Ok(results)
}

/// Every system that is wanted, running.
async fn clusters(arguments: &Arguments, dir: &Path) -> Result<Vec<Cluster>> {
    let all = [
        (System::Jangada, "jangada", &arguments.jangada),
        (System::Etcd, "etcd", &arguments.etcd),
        (System::ZooKeeper, "zookeeper", &arguments.java),
    ];
    let mut clusters = Vec::new();
    for (system, name, program) in all {
        if arguments.only.is_empty() || arguments.only.iter().any(|it| it == name) {
            clusters.push(Cluster::start(system, program, &dir.join(name)).await?);
        }
    }
    Ok(clusters)
}

async fn loads(
    arguments: &Arguments,
    plan: &Plan,
    wanted: &impl Fn(&str) -> bool,
    results: &mut Results,
) -> Result<()> {
    let dir = arguments.dir.join("loads");
    let clusters = clusters(arguments, &dir).await?;
    for cluster in &clusters {
        load::fill(cluster, cluster.system.ports()[0], 0..KEYS, 16).await?;
    }
    let writes = plan.writes.iter().map(|(bytes, clients)| (Work::Writes, *bytes, *clients));
    let reads = plan.reads.iter().map(|clients| (Work::Reads, 100, *clients));
    for round in 0..plan.rounds {
        for step in writes.clone().filter(|_| wanted("writes")) {
            each_port(arguments, &clusters, step, plan.seconds, results).await?;
        }
        for bytes in [100, 1024].into_iter().filter(|_| wanted("writes")) {
            let rate = studies::floor(&dir, bytes, plan.seconds / 2.0)?;
            results.floors.entry(bytes).or_default().push(rate);
        }
        // What is read has 100 bytes again.
        for cluster in clusters.iter().filter(|_| wanted("reads")) {
            load::fill(cluster, cluster.system.ports()[0], 0..KEYS, 16).await?;
        }
        for step in reads.clone().filter(|_| wanted("reads")) {
            each_port(arguments, &clusters, step, plan.seconds, results).await?;
        }
        eprintln!("round {} of {}", round + 1, plan.rounds);
    }
    Ok(())
}

async fn each_port(
    arguments: &Arguments,
    clusters: &[Cluster],
    (work, bytes, clients): (Work, usize, usize),
    seconds: f64,
    results: &mut Results,
) -> Result<()> {
    for cluster in clusters {
        let unwanted = match arguments.port.as_deref() {
            Some("http") => Some(Port::Native),
            Some("native") => Some(Port::Http),
            _ => None,
        };
        for port in cluster.system.ports().iter().filter(|it| Some(**it) != unwanted) {
            let measured = load::measure(cluster, *port, work, clients, bytes, seconds).await;
            let measured = match measured {
                Ok(measured) => measured,
                // What troubles a peer is no reason to measure nothing else.
                Err(error) if cluster.system != System::Jangada => {
                    eprintln!("{:>14} is left out: {error:#}", port.title());
                    continue;
                }
                Err(error) => return Err(error),
            };
            eprintln!(
                "{:>14} {work:?} {bytes:>4} B {clients:>4} clients: {:>8.0}/s p50 {:.2} p99 {:.2} \
                 ms, CPU {:.1} + {:.1} us",
                port.title(),
                measured.rate,
                measured.p50,
                measured.p99,
                measured.server_cpu,
                measured.client_cpu,
            );
            let ports = results.loads.entry((work, bytes, clients)).or_default();
            ports.entry(*port).or_default().push(measured);
        }
    }
    Ok(())
}

async fn failovers(arguments: &Arguments, plan: &Plan, results: &mut Results) -> Result<()> {
    let mut clusters = clusters(arguments, &arguments.dir.join("failover")).await?;
    for cluster in &clusters {
        load::fill(cluster, cluster.system.ports()[0], 0..KEYS, 16).await?;
    }
    for _ in 0..plan.failovers {
        for cluster in &mut clusters {
            let port = cluster.system.ports()[0];
            let milliseconds = studies::failover(cluster, port).await?;
            eprintln!("{:>14} failover {milliseconds:.0} ms", port.title());
            results.study("Failover after kill -9 of the leader, ms", port.title(), milliseconds);
        }
    }
    Ok(())
}

async fn restarts(arguments: &Arguments, plan: &Plan, results: &mut Results) -> Result<()> {
    let keys = plan.restart_keys;
    let mut clusters = clusters(arguments, &arguments.dir.join("restart")).await?;
    for cluster in &clusters {
        load::fill(cluster, cluster.system.ports()[0], 0..keys, 256).await?;
    }
    for _ in 0..plan.restarts {
        for cluster in &mut clusters {
            let (seconds, memory) = studies::restart(cluster, keys - 1).await?;
            let name = match cluster.system {
                System::Jangada => "jangada",
                System::Etcd => Port::Etcd.title(),
                System::ZooKeeper => Port::ZooKeeper.title(),
            };
            eprintln!("{name:>14} restart {seconds:.2} s, {memory:.0} MiB");
            results.study(&format!("Restart with {keys} keys of 100 B, s"), name, seconds);
            results.study(&format!("Memory with {keys} keys, restarted, MiB"), name, memory);
        }
    }
    Ok(())
}

async fn large_files(arguments: &Arguments, plan: &Plan, results: &mut Results) -> Result<()> {
    let dir = arguments.dir.join("load");
    fs::create_dir_all(&dir)?;
    let source = dir.join("source");
    studies::make_source(&source, LARGE)?;
    let program = &arguments.jangada;
    let cluster = Cluster::start(System::Jangada, program, &dir.join("jangada")).await?;
    for _ in 0..plan.loads {
        for (who, seconds) in [
            ("three copies, each synced", studies::copies(&source, &dir)?),
            ("jangada HTTP", studies::load(&cluster, &source).await?),
        ] {
            eprintln!("{who:>14} 1 GiB in {seconds:.2} s");
            results.study("A file of 1 GiB, s", who, seconds);
        }
    }
    Ok(())
}
