//! `cargo bench --bench blackbox`: what it costs a cluster of processes to record what enters its
//! cores.
//!
//! Two clusters of three processes on this machine, one that records and one that does not. Clients
//! append 100 B each over the native port, to one cluster and to the other in turn. Medians of the
//! rounds and their ratio, in writes a second, and in CPU time of the servers for a write: that is
//! what can be told apart when the machine has other things to do.
//! `BLACKBOX_BENCH` has `ROUNDS,SECONDS,CLIENTS`; without it 15,2,32. `JANGADA` names another build
//! of the command to be measured.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures how long real processes take"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use jangada::actors::{Client, ClockKind, Connection, run};
use jangada::net::{PeersConfig, Role, Security};
use jangada::raft::ServerId;

type Outcome<T> = Result<T, Box<dyn Error>>;

const WRITE: &[u8] = &[b'x'; 100];
/// Clock ticks of a second in `/proc`.
const TICKS: f64 = 100.0;

/// What one round came to.
struct Round {
    writes_a_second: f64,
    /// Microseconds of CPU of all three servers for a write.
    cpu: f64,
}

fn main() -> Outcome<()> {
    let given = std::env::var("BLACKBOX_BENCH").unwrap_or_else(|_| "15,2,32".to_owned());
    let numbers: Vec<u64> = given.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [rounds, seconds, clients] = numbers[..] else { return Err("three numbers".into()) };
    let folder = tempfile::tempdir()?;
    let plain = Cluster::start(&folder.path().join("plain"), "off")?;
    let boxed = Cluster::start(&folder.path().join("boxed"), "64MiB")?;
    let bench = async {
        let mut sides = Vec::new();
        for cluster in [&plain, &boxed] {
            let connection = cluster.connect().await?;
            let all: Vec<_> = (0..clients).map(|_| Rc::new(connection.client())).collect();
            for (number, client) in all.iter().enumerate() {
                client.set_patience(Duration::from_secs(60));
                client.load_bytes(&format!("f{number}"), "").await?;
            }
            sides.push((cluster, connection, all, Vec::new()));
        }
        // The first round is to warm up.
        for round in 0..=rounds {
            for (cluster, _, clients, results) in &mut sides {
                let result = cluster.round(clients, Duration::from_secs(seconds)).await?;
                if round > 0 {
                    results.push(result);
                }
            }
        }
        Outcome::Ok(sides.into_iter().map(|(.., results)| results).collect::<Vec<_>>())
    };
    let results = run(ClockKind::Real, bench)??;
    println!("| | without | with | with / without |");
    println!("|---|---|---|---|");
    for (name, value) in [
        ("writes/s", (|it| it.writes_a_second) as fn(&Round) -> f64),
        ("µs CPU of the servers for a write", |it| it.cpu),
    ] {
        let of = |results: &Vec<Round>| median(results.iter().map(value).collect());
        let (without, with) = (of(&results[0]), of(&results[1]));
        println!("| {name} | {without:.0} | {with:.0} | {:.3} |", with / without);
    }
    Ok(())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

struct Cluster {
    uuid: uuid::Uuid,
    peers: BTreeMap<ServerId, String>,
    processes: Vec<Child>,
}

impl Cluster {
    fn start(folder: &Path, blackbox: &str) -> Outcome<Self> {
        let uuid = uuid::Uuid::new_v4();
        // Free a moment ago.
        let sockets: Vec<_> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let addresses: Vec<_> =
            sockets.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        drop(sockets);
        let peers: BTreeMap<_, _> =
            (1..).map(ServerId).zip(addresses.iter().map(ToString::to_string)).collect();
        let list: Vec<_> =
            peers.iter().map(|(id, address)| format!("{}={address}", id.0)).collect();
        let mut cluster = Self { uuid, peers: peers.clone(), processes: Vec::new() };
        for (id, address) in &peers {
            let (id, data) = (id.0.to_string(), folder.join(id.0.to_string()));
            let founded = jangada()
                .args(["init", "--id", &id, "--voters", "1,2,3", "--cluster", &uuid.to_string()])
                .arg("--data")
                .arg(&data)
                .stdout(Stdio::null())
                .status()?;
            if !founded.success() {
                return Err("`jangada init` failed".into());
            }
            let mut server = jangada()
                .args(["serve", "--id", &id, "--insecure", "--listen", address])
                .args(["--http", "127.0.0.1:0", "--peers", &list.join(","), "--blackbox", blackbox])
                .args(["--log", "error"])
                .arg("--data")
                .arg(&data)
                .stdout(Stdio::piped())
                .spawn()?;
            let mut line = String::new();
            BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut line)?;
            cluster.processes.push(server);
        }
        Ok(cluster)
    }

    async fn connect(&self) -> Outcome<Connection> {
        let role = Role::Client("bench".to_owned());
        let mut config = PeersConfig::new(self.uuid, role, Security::Insecure);
        config.peers = self.peers.clone();
        config.seed = uuid::Uuid::new_v4().as_u64_pair().0;
        Ok(Connection::open(config).await?)
    }

    /// Has every client append again and again.
    async fn round(&self, clients: &[Rc<Client>], time: Duration) -> Outcome<Round> {
        let (cpu, began) = (self.cpu()?, Instant::now());
        let tasks: Vec<_> = clients
            .iter()
            .cloned()
            .enumerate()
            .map(|(number, client)| {
                actix_rt::spawn(async move {
                    let (name, mut writes) = (format!("f{number}"), 0u64);
                    while began.elapsed() < time && client.append_bytes(&name, WRITE).await.is_ok()
                    {
                        writes += 1;
                    }
                    writes
                })
            })
            .collect();
        let mut writes = 0;
        for task in tasks {
            writes += task.await?;
        }
        let taken = began.elapsed().as_secs_f64();
        let cpu = (self.cpu()? - cpu) / TICKS * 1e6;
        Ok(Round { writes_a_second: writes as f64 / taken, cpu: cpu / writes as f64 })
    }

    /// Ticks that the servers have taken.
    fn cpu(&self) -> Outcome<f64> {
        let mut ticks = 0.0;
        for process in &self.processes {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
            let fields = text.rsplit(')').next().ok_or("no fields")?.split_whitespace();
            let times: Vec<f64> =
                fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
            ticks += times.iter().sum::<f64>();
        }
        Ok(ticks)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn jangada() -> Command {
    let own = || env!("CARGO_BIN_EXE_jangada").into();
    Command::new(std::env::var_os("JANGADA").unwrap_or_else(own))
}
