//! `cargo bench --bench blackbox`: what it costs a cluster of processes to record what enters its
//! cores.
//!
//! Two clusters of three processes on this machine, one that records and one that does not. Clients
//! append 100 B each over the native port, to one cluster and to the other in turn; each round the
//! other one begins. Printed are the medians of the rounds, and the median and the middle half of
//! their ratios, in writes a second, and in CPU time of the servers for a write: that is what can
//! be told apart when the machine has other things to do.
//! `BLACKBOX_BENCH` has `ROUNDS,SECONDS,CLIENTS,SIZE`; without it 60,0.5,32,64MiB. The size `off`
//! measures what two clusters differ by that do the same. `JANGADA` names another build of the
//! command to be measured.

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
/// What one round came to.
struct Round {
    writes_a_second: f64,
    /// Microseconds of CPU of all three servers for a write.
    cpu: f64,
}

fn main() -> Outcome<()> {
    let given = std::env::var("BLACKBOX_BENCH").unwrap_or_else(|_| "60,0.5,32,64MiB".to_owned());
    let [rounds, seconds, clients, size] = given.split(',').collect::<Vec<_>>()[..] else {
        return Err("BLACKBOX_BENCH is ROUNDS,SECONDS,CLIENTS,SIZE".into());
    };
    let (rounds, clients): (usize, usize) = (rounds.parse()?, clients.parse()?);
    let time = Duration::from_secs_f64(seconds.parse()?);
    let folder = tempfile::tempdir()?;
    let plain = Cluster::start(&folder.path().join("plain"), "off")?;
    let boxed = Cluster::start(&folder.path().join("boxed"), size)?;
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
            for turn in 0..2 {
                let (cluster, _, clients, results) = &mut sides[(round + turn) % 2];
                let result = cluster.round(clients, time).await?;
                if round > 0 {
                    results.push(result);
                }
            }
        }
        Outcome::Ok(sides.into_iter().map(|(.., results)| results).collect::<Vec<_>>())
    };
    let results = run(ClockKind::Real, bench)??;
    println!("| | without | with | with / without | half of the rounds |");
    println!("|---|--:|--:|--:|--:|");
    for (name, value) in [
        ("writes/s", (|it| it.writes_a_second) as fn(&Round) -> f64),
        ("µs CPU of the servers for a write", |it| it.cpu),
    ] {
        let of = |results: &Vec<Round>| median(results.iter().map(value).collect());
        let (without, with) = (of(&results[0]), of(&results[1]));
        let pairs = results[0].iter().zip(&results[1]);
        let ratios: Vec<f64> = pairs.map(|(one, other)| value(other) / value(one)).collect();
        let [low, middle, high] = [1, 2, 3].map(|quarter| quantile(ratios.clone(), quarter));
        println!("| {name} | {without:.1} | {with:.1} | {middle:.3} | {low:.3} to {high:.3} |");
    }
    Ok(())
}

fn median(numbers: Vec<f64>) -> f64 {
    quantile(numbers, 2)
}

/// The number that so many quarters are below.
fn quantile(mut numbers: Vec<f64>, quarters: usize) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[(numbers.len() - 1) * quarters / 4]
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
        let cpu = self.cpu()? - cpu;
        Ok(Round { writes_a_second: writes as f64 / taken, cpu: cpu / writes as f64 })
    }

    /// Microseconds of CPU that the threads of the servers have taken.
    fn cpu(&self) -> Outcome<f64> {
        let mut nanos = 0.0;
        for process in &self.processes {
            for thread in std::fs::read_dir(format!("/proc/{}/task", process.id()))? {
                let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
                nanos += text.split(' ').next().ok_or("no fields")?.parse::<f64>()?;
            }
        }
        Ok(nanos / 1e3)
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
