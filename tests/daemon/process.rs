//! Clusters of processes, for tests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use jangada::net::tls::{Tls, TlsFiles};
use jangada::net::{Role, Security};
use jangada::raft::ServerId;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Some servers of one cluster, in a folder of their own. Dropped, they are killed.
pub(crate) struct Cluster {
    /// Gone before the folder that it is in.
    small_disk: Option<SmallDisk>,
    folder: TempDir,
    pub(crate) uuid: String,
    tls: bool,
    /// What every server is started with.
    flags: &'static [&'static str],
    servers: BTreeMap<u64, Server>,
}

/// How a cluster is founded.
#[derive(Clone, Copy)]
pub(crate) struct Founding {
    /// How many servers.
    pub(crate) servers: u64,
    /// With certificates, or in plain text.
    pub(crate) tls: bool,
    /// What every server is started with.
    pub(crate) flags: &'static [&'static str],
    /// The server that gets a disk of so many MiB for itself, if whoever runs this may mount one.
    pub(crate) small_disk: Option<(u64, u64)>,
}

/// A file system in memory, as long as this lives.
struct SmallDisk(PathBuf);

struct Server {
    running: Option<Child>,
    /// Where it listened last: there it listens again.
    peers: String,
    http: String,
}

/// The command.
pub(crate) fn jangada(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jangada"));
    // What the machine happens to have set is not part of the test.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("JANGADA_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").args(arguments).stdin(Stdio::null());
    command
}

/// Runs the command, and returns its exit code and what it said.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = jangada(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
    (status.code().expect("it exits"), text(stdout), text(stderr))
}

/// Polls until there is something, or panics with what was waited for.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        // Between two looks, not instead of one.
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Cluster {
    /// Founds a cluster of so many servers with certificates, and starts them.
    pub(crate) fn start(count: u64) -> Self {
        Self::found(Founding { servers: count, tls: true, flags: &[], small_disk: None })
    }

    /// The same in plain text.
    pub(crate) fn insecure(count: u64) -> Self {
        Self::found(Founding { servers: count, tls: false, flags: &[], small_disk: None })
    }

    /// A server alone, in plain text, with such settings; it leads.
    pub(crate) fn alone(flags: &[&str]) -> Self {
        let mut cluster = Self::insecure(1);
        cluster.kill(1);
        cluster.serve(1, flags);
        cluster.leader();
        cluster
    }

    /// Founds a cluster, and starts it.
    pub(crate) fn found(founding: Founding) -> Self {
        let Founding { servers: count, tls, flags, small_disk } = founding;
        let uuid = uuid::Uuid::new_v4().to_string();
        let folder = tempfile::tempdir().expect("a folder");
        let (small, servers) = (None, BTreeMap::new());
        let mut cluster = Self { small_disk: small, folder, uuid, tls, flags, servers };
        if let Some((id, mebibytes)) = small_disk {
            cluster.small_disk = SmallDisk::mount(cluster.data(id), mebibytes);
        }
        cluster.cert(&["ca", cluster.certs().to_str().unwrap(), "--cluster", &cluster.uuid]);
        cluster.cert(&["client", "test", "--dir", cluster.certs().to_str().unwrap()]);
        let voters: Vec<_> = (1..=count).map(|id| id.to_string()).collect();
        for id in 1..=count {
            let data = cluster.data(id);
            let (id, data, voters) = (id.to_string(), data.to_str().unwrap(), voters.join(","));
            let uuid = cluster.uuid.as_str();
            let found = ["init", "--id", &id, "--data", data, "--cluster", uuid];
            let (code, _, error) = run(&[&found[..], &["--voters", &voters]].concat());
            assert_eq!((code, error.as_str()), (0, ""));
        }
        (1..=count).for_each(|id| cluster.serve(id, &[]));
        cluster
    }

    /// Where the certificates are.
    pub(crate) fn certs(&self) -> PathBuf {
        self.folder.path().join("certs")
    }

    /// Has a certificate made.
    pub(crate) fn cert(&self, arguments: &[&str]) {
        let (code, _, error) = run(&[&["cert"], arguments].concat());
        assert_eq!((code, error.as_str()), (0, ""));
    }

    /// What a client needs to be let in.
    pub(crate) fn security(&self) -> Security {
        let role = Role::Client("test".to_owned());
        match self.tls {
            true => {
                let files = TlsFiles::in_directory(&self.certs(), &role);
                let cluster = self.uuid.parse().expect("a uuid");
                Security::Tls(Tls::load(files, cluster, role).expect("certificates"))
            }
            false => Security::Insecure,
        }
    }

    /// The data directory of a server.
    pub(crate) fn data(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("{id}"))
    }

    /// What the server has written to standard error, in all its lives.
    pub(crate) fn log(&self, id: u64) -> String {
        fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    fn log_path(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("{id}.log"))
    }

    /// Takes all room that the small disk has left, or gives it back; false without such a disk.
    pub(crate) fn fill_small_disk(&self, full: bool) -> bool {
        let Some(SmallDisk(path)) = &self.small_disk else { return false };
        let ballast = path.join("ballast");
        if !full {
            fs::remove_file(ballast).expect("it can be removed");
            return true;
        }
        let mut file = fs::File::create(ballast).expect("it can be made");
        while file.write_all(&[0; 1 << 16]).is_ok() {}
        true
    }

    /// Starts a server, and waits until it serves.
    pub(crate) fn serve(&mut self, id: u64, more: &[&str]) {
        self.spawn(id, more);
        self.await_serving(id);
    }

    /// Begins to start a server.
    pub(crate) fn spawn(&mut self, id: u64, more: &[&str]) {
        let (listen, http) = match self.servers.get(&id) {
            Some(before) => (before.peers.clone(), before.http.clone()),
            None => ("127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()),
        };
        let peers: Vec<_> =
            self.servers.iter().map(|(id, server)| format!("{id}={}", server.peers)).collect();
        let (number, certs) = (id.to_string(), self.certs());
        let certs = certs.to_str().expect("a path");
        if self.tls && !self.servers.contains_key(&id) {
            self.cert(&["server", &number, "--dir", certs]);
        }
        let security = if self.tls { &["--tls", certs][..] } else { &["--insecure"] };
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path(id));
        let child = jangada(&["serve", "--id", &number])
            .args(security)
            .arg("--data")
            .arg(self.data(id))
            .args(["--listen", &listen, "--http", &http, "--peers", &peers.join(",")])
            .args(self.flags)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("it starts");
        self.servers.insert(id, Server { running: Some(child), peers: listen, http });
    }

    /// Waits until a server serves that begins to start.
    pub(crate) fn await_serving(&mut self, id: u64) {
        let child = self.servers.get_mut(&id).and_then(|server| server.running.as_mut());
        let child = child.expect("it was spawned");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("it can be read");
        assert!(!line.is_empty(), "S{id} did not start: {}", self.log(id));
        let said: Value = serde_json::from_str(&line).expect("the line is JSON");
        assert_eq!((&said["event"], &said["id"]), (&"serving".into(), &id.into()));
        let peers = said["peers"].as_str().expect("an address").to_owned();
        let http = said["http"][0].as_str().expect("an address").to_owned();
        let server = self.servers.get_mut(&id).expect("it was spawned");
        (server.peers, server.http) = (peers, http);
    }

    /// Where a server serves HTTP.
    pub(crate) fn http(&self, id: u64) -> String {
        self.servers[&id].http.clone()
    }

    /// Where every server listens for others and for native clients.
    pub(crate) fn addresses(&self) -> BTreeMap<ServerId, String> {
        self.servers.iter().map(|(id, server)| (ServerId(*id), server.peers.clone())).collect()
    }

    /// The numbers of the servers that run.
    pub(crate) fn running(&self) -> Vec<u64> {
        let runs = |(_, server): &(&u64, &Server)| server.running.is_some();
        self.servers.iter().filter(runs).map(|(id, _)| *id).collect()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, id: u64) {
        let mut child = self.take(id);
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
    }

    /// Sends a signal by its name, as in `TERM`.
    pub(crate) fn signal(&self, id: u64, signal: &str) {
        let arguments = [format!("-{signal}"), self.process(id).to_string()];
        let status = Command::new("kill").args(arguments).status().expect("`kill` runs");
        assert!(status.success());
    }

    /// Waits for a server to end by itself, and returns how, and how long that took.
    pub(crate) fn wait(&mut self, id: u64) -> (ExitStatus, Duration) {
        let (mut child, began) = (self.take(id), Instant::now());
        let ended = until("the server ends", || child.try_wait().expect("a process"));
        (ended, began.elapsed())
    }

    fn take(&mut self, id: u64) -> Child {
        let server = self.servers.get_mut(&id).expect("there is such a server");
        server.running.take().expect("it runs")
    }

    /// The process of a server.
    pub(crate) fn process(&self, id: u64) -> u32 {
        self.servers[&id].running.as_ref().expect("it runs").id()
    }

    /// A path in the folder that goes with the cluster.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a server answers to a GET.
    pub(crate) fn get(&self, id: u64, path: &str) -> Option<(u16, String)> {
        request(&self.servers[&id].http, "GET", path, "application/json", "", PATIENCE)
    }

    /// What a server answers to a POST of JSON.
    pub(crate) fn post(&self, id: u64, path: &str, body: &Value) -> Option<(u16, String)> {
        request(
            &self.servers[&id].http,
            "POST",
            path,
            "application/json",
            &body.to_string(),
            PATIENCE,
        )
    }

    /// What a server answers to a POST of text.
    pub(crate) fn post_text(&self, id: u64, path: &str, body: &str) -> Option<(u16, String)> {
        request(&self.servers[&id].http, "POST", path, "text/plain", body, PATIENCE)
    }

    /// How a server is, if it says so within a moment.
    pub(crate) fn status_soon(&self, id: u64) -> Option<Value> {
        let http = &self.servers[&id].http;
        let moment = Duration::from_millis(200);
        let (_, body) = request(http, "GET", "/v1/cluster", "application/json", "", moment)?;
        serde_json::from_str(&body).ok()
    }

    /// Fails if a server has ended by itself.
    pub(crate) fn assert_all_run(&mut self) {
        for id in self.running() {
            let child = self.servers.get_mut(&id).and_then(|server| server.running.as_mut());
            let ended = child.expect("it runs").try_wait().expect("a process");
            assert!(ended.is_none(), "S{id} has ended: {ended:?}");
        }
    }

    /// How a server is.
    pub(crate) fn status(&self, id: u64) -> Option<Value> {
        let (code, body) = self.get(id, "/v1/cluster")?;
        (code == 200).then(|| serde_json::from_str(&body).expect("the status is JSON"))
    }

    /// The leader that all running servers agree on.
    pub(crate) fn leader(&self) -> u64 {
        until("all running servers follow one leader", || {
            let mut leaders = self.running().into_iter().map(|id| {
                let status = self.status(id)?;
                Some((status["term"].as_u64()?, status["leader"].as_u64()?))
            });
            let first = leaders.next()??;
            let agree = leaders.all(|other| other == Some(first));
            (agree && self.running().contains(&first.1)).then_some(first.1)
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for id in self.running() {
            self.kill(id);
        }
        if std::thread::panicking() {
            for id in self.servers.keys() {
                println!("== S{id} said\n{}", self.log(*id));
            }
        }
    }
}

impl SmallDisk {
    /// Not everybody may.
    fn mount(path: PathBuf, mebibytes: u64) -> Option<Self> {
        fs::create_dir_all(&path).expect("a folder");
        let size = format!("size={mebibytes}M,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(&path).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever may still have it open ends soon.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// One HTTP request, by hand: status and body. `None` if nobody answers.
fn request(
    address: &str,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
    patience: Duration,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    Some((code, if chunked { unchunked(body) } else { body.to_owned() }))
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
