//! A cluster of three processes on this machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jangada::actors::Connection;
use jangada::net::{PeersConfig, Role, Security};
use jangada::raft::ServerId;
use uuid::Uuid;

use crate::client::{Client, Reading};
use crate::etcd::Etcd;
use crate::http::Http;
use crate::zookeeper::{self, ZooKeeper};

/// A system that is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum System {
    Jangada,
    Etcd,
    ZooKeeper,
}

/// How a system is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Port {
    /// jangada over HTTP.
    Http,
    /// jangada over its own protocol.
    Native,
    /// etcd over gRPC.
    Etcd,
    /// ZooKeeper over its own protocol.
    ZooKeeper,
}

/// Election timeouts, in milliseconds: etcd draws each from one to two of these, and jangada is
/// told to. ZooKeeper gives up a leader after as much silence.
const TIMEOUT: u32 = 1000;
/// The time between heartbeats.
const HEARTBEAT: u32 = 100;
/// Servers of a cluster.
pub(crate) const SERVERS: usize = 3;
/// How long a cluster may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clients of the native port that share a session, and clients of etcd that share a connection.
const SHARING: usize = 10;

/// A running cluster. Its processes end with it.
pub(crate) struct Cluster {
    pub(crate) system: System,
    program: PathBuf,
    dir: PathBuf,
    uuid: Uuid,
    servers: Vec<Server>,
}

struct Server {
    /// For clients; for the other servers (and native clients); for elections of ZooKeeper.
    ports: [u16; 3],
    process: Option<Child>,
}

impl System {
    pub(crate) fn ports(self) -> &'static [Port] {
        match self {
            Self::Jangada => &[Port::Http, Port::Native],
            Self::Etcd => &[Port::Etcd],
            Self::ZooKeeper => &[Port::ZooKeeper],
        }
    }
}

impl Port {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http => "jangada HTTP",
            Self::Native => "jangada native",
            Self::Etcd => "etcd",
            Self::ZooKeeper => "ZooKeeper",
        }
    }
}

impl Port {
    /// A client with a connection of its own.
    pub(crate) async fn connect(self, address: &str) -> Result<Client> {
        Ok(match self {
            Self::Http => Client::Http(Http::connect(address).await?),
            Self::Native => bail!("clients of the native port are made from a connection"),
            Self::Etcd => Client::Etcd(Etcd::connect(address).await?),
            Self::ZooKeeper => Client::ZooKeeper(ZooKeeper::connect(address).await?),
        })
    }
}

/// A port that nobody has now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Cluster {
    /// Founds a cluster in a directory that is not there yet, and waits for its leader.
    pub(crate) async fn start(system: System, program: &Path, dir: &Path) -> Result<Self> {
        let mut servers = Vec::new();
        for _ in 0..SERVERS {
            let ports = [free_port()?, free_port()?, free_port()?];
            servers.push(Server { ports, process: None });
        }
        let (program, dir, uuid) = (program.to_owned(), dir.to_owned(), Uuid::new_v4());
        let mut cluster = Self { system, program, dir, uuid, servers };
        for server in 0..SERVERS {
            cluster.prepare(server)?;
            cluster.spawn(server)?;
        }
        cluster.leader().await?;
        Ok(cluster)
    }

    fn data(&self, server: usize) -> PathBuf {
        self.dir.join(format!("{}", server + 1))
    }

    pub(crate) fn address(&self, server: usize) -> String {
        format!("127.0.0.1:{}", self.servers[server].ports[0])
    }

    fn peer_address(&self, server: usize) -> String {
        format!("127.0.0.1:{}", self.servers[server].ports[1])
    }

    /// What is there before a server is started for the first time.
    fn prepare(&self, server: usize) -> Result<()> {
        let data = self.data(server);
        fs::create_dir_all(&self.dir)?;
        match self.system {
            System::Jangada => {
                let mut init = Command::new(&self.program);
                init.arg("init").args(["--id", &format!("{}", server + 1), "--data"]).arg(&data);
                init.args(["--cluster", &self.uuid.to_string(), "--voters", "1,2,3"]);
                let made = init.stdout(Stdio::null()).status()?;
                if !made.success() {
                    bail!("`jangada init` failed");
                }
            }
            System::Etcd => {}
            System::ZooKeeper => {
                fs::create_dir_all(&data)?;
                fs::write(data.join("myid"), format!("{}", server + 1))?;
                let mut config = format!(
                    "tickTime={tick}\ninitLimit=20\nsyncLimit=2\nmaxClientCnxns=0\n\
                     maxSessionTimeout=600000\nadmin.enableServer=false\n\
                     4lw.commands.whitelist=*\nclientPort={port}\ndataDir={data}\n",
                    tick = TIMEOUT / 2,
                    port = self.servers[server].ports[0],
                    data = data.display(),
                );
                for (number, Server { ports: [_, peers, elections], .. }) in
                    (1..).zip(&self.servers)
                {
                    config += &format!("server.{number}=127.0.0.1:{peers}:{elections}\n");
                }
                fs::write(self.dir.join(format!("{}.cfg", server + 1)), config)?;
            }
        }
        Ok(())
    }

    /// Starts the process of a server.
    pub(crate) fn spawn(&mut self, server: usize) -> Result<()> {
        let (data, number) = (self.data(server), format!("{}", server + 1));
        let mut command = Command::new(&self.program);
        match self.system {
            System::Jangada => {
                let peers = (0..SERVERS).map(|it| format!("{}={}", it + 1, self.peer_address(it)));
                let timeout = format!("{TIMEOUT}ms..{}ms", 2 * TIMEOUT);
                command.args(["serve", "--id", &number, "--data"]).arg(&data);
                command.args(["--http", &self.address(server)]);
                command.args(["--listen", &self.peer_address(server)]);
                command.args(["--peers", &peers.collect::<Vec<_>>().join(",")]);
                command.args(["--election-timeout", &timeout]);
                command.args(["--heartbeat", &format!("{HEARTBEAT}ms"), "--insecure"]);
            }
            System::Etcd => {
                let url = |address: String| format!("http://{address}");
                let (own, peer) = (url(self.address(server)), url(self.peer_address(server)));
                let peers =
                    (0..SERVERS).map(|it| format!("{}={}", it + 1, url(self.peer_address(it))));
                command.args(["--name", &number, "--data-dir"]).arg(&data);
                command.args(["--listen-client-urls", &own, "--advertise-client-urls", &own]);
                command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
                command.args(["--initial-cluster", &peers.collect::<Vec<_>>().join(",")]);
                command.args(["--heartbeat-interval", &HEARTBEAT.to_string()]);
                command.args(["--election-timeout", &TIMEOUT.to_string()]);
                command.args(["--quota-backend-bytes", "8589934592", "--logger", "zap"]);
                command.args(["--log-level", "error"]);
            }
            System::ZooKeeper => {
                // As Debian starts it.
                let class_path = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar";
                command.args(["-cp", class_path, "-Dzookeeper.4lw.commands.whitelist=*"]);
                command.arg(format!("-Dzookeeper.log.dir={}", self.dir.display()));
                command.arg("-Dzookeeper.root.logger=ERROR,ROLLINGFILE");
                // A thousand clients reach its limit of 1,000, where it stops reading, for good at
                // times.
                command.arg("-Dzookeeper.globalOutstandingLimit=10000");
                command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
                command.arg(self.dir.join(format!("{number}.cfg")));
            }
        }
        let path = self.dir.join(format!("{number}.out"));
        let log = File::options().create(true).append(true).open(path)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn();
        let process = process.with_context(|| format!("cannot run {}", self.program.display()))?;
        self.servers[server].process = Some(process);
        Ok(())
    }

    /// Kills a server with signal 9.
    pub(crate) fn kill(&mut self, server: usize) -> Result<()> {
        if let Some(mut process) = self.servers[server].process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// The process of each server that runs.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(|it| it.process.as_ref().map(Child::id)).collect()
    }

    /// Waits for a leader.
    pub(crate) async fn leader(&self) -> Result<usize> {
        let began = Instant::now();
        loop {
            for server in 0..SERVERS {
                if self.servers[server].process.is_some()
                    && self.leads(server).await.unwrap_or(false)
                {
                    return Ok(server);
                }
            }
            if began.elapsed() > PATIENCE {
                bail!("{:?} has no leader; see {}/*.out", self.system, self.dir.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn leads(&self, server: usize) -> Result<bool> {
        let address = self.address(server);
        match self.system {
            System::Jangada => {
                let (_, answer) =
                    Http::connect(&address).await?.ask("GET", "/v1/cluster", None).await?;
                let status: serde_json::Value = serde_json::from_slice(&answer)?;
                Ok(status["role"] == "leader")
            }
            System::Etcd => Etcd::connect(&address).await?.leads().await,
            System::ZooKeeper => zookeeper::leads(&address).await,
        }
    }

    /// Clients of one server.
    pub(crate) async fn clients(
        &self,
        port: Port,
        server: usize,
        count: usize,
    ) -> Result<Vec<Client>> {
        let address = self.address(server);
        let mut clients = Vec::with_capacity(count);
        match port {
            Port::Http | Port::ZooKeeper => {
                // All at once: each session of ZooKeeper is a write of its own.
                let connect = |address: String| async move { port.connect(&address).await };
                let tasks = (0..count).map(|_| actix_rt::spawn(connect(address.clone())));
                for task in tasks.collect::<Vec<_>>() {
                    clients.push(task.await??);
                }
            }
            Port::Native => {
                let connection = self.connection().await?;
                let mut session = connection.client();
                for number in 0..count {
                    if number % SHARING == 0 {
                        session = connection.client();
                        session.set_patience(PATIENCE);
                    }
                    clients.push(Client::Native(Box::new(session.clone())));
                }
            }
            Port::Etcd => {
                let mut connection = Etcd::connect(&address).await?;
                for number in 0..count {
                    if number > 0 && number % SHARING == 0 {
                        connection = Etcd::connect(&address).await?;
                    }
                    clients.push(Client::Etcd(connection.clone()));
                }
            }
        }
        Ok(clients)
    }

    /// Waits until a server answers from its own state that it has this key.
    pub(crate) async fn has(&self, server: usize, key: usize) -> Result<()> {
        let port = self.system.ports()[0];
        let began = Instant::now();
        loop {
            let attempt = async {
                let mut clients = self.clients(port, server, 1).await?;
                clients[0].get(key, Reading::Local).await
            };
            match tokio::time::timeout(Duration::from_secs(1), attempt).await {
                Ok(Ok(_)) => return Ok(()),
                _ if began.elapsed() > PATIENCE => bail!("{:?} does not come back", self.system),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// A connection to the native ports.
    async fn connection(&self) -> Result<Connection> {
        let role = Role::Client("bench".to_owned());
        let mut config = PeersConfig::new(self.uuid, role, Security::Insecure);
        let server = |it: usize| (ServerId(it as u64 + 1), self.peer_address(it));
        config.peers = (0..SERVERS).map(server).collect::<BTreeMap<_, _>>();
        config.seed = Uuid::new_v4().as_u64_pair().0;
        Ok(Connection::open(config).await?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in 0..SERVERS {
            // What cannot be killed has ended.
            let _ = self.kill(server);
        }
    }
}
