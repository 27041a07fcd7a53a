//! One server's process: founded in a folder, started, stopped, killed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::actors::Condition;
use crate::raft::ServerId;

/// A server of this machine. Its folder has what `scripts/cluster` has for one.
pub(super) struct Process {
    id: ServerId,
    folder: PathBuf,
    child: Option<Child>,
    pub(super) condition: Condition,
    /// Where it listens, as `host:port`.
    pub(super) http: String,
    pub(super) peer: String,
    /// Keep the addresses, also while it does not run.
    _held: [Socket; 2],
}

impl Process {
    /// One that has not been started yet, at addresses of its own.
    pub(super) fn new(cluster: &Path, id: ServerId) -> io::Result<Self> {
        let folder = cluster.join(id.0.to_string());
        fs::create_dir_all(&folder)?;
        let held = [hold_address()?, hold_address()?];
        let [http, peer] = held.each_ref().map(address);
        let (http, peer) = (http?, peer?);
        Ok(Self { id, folder, child: None, condition: Condition::Stopped, http, peer, _held: held })
    }

    /// Its data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where what it says is kept.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Writes its settings.
    pub(super) fn configure(&self, peers: &[String], more: &str) -> io::Result<()> {
        let Self { id, http, peer, .. } = self;
        let peers: Vec<_> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
        let text = format!(
            "id = {}\ndata = {:?}\nlisten = \"{peer}\"\nhttp = \"{http}\"\npeers = [{}]\n\
             insecure = true\nchaos = true\n{more}",
            id.0,
            self.data(),
            peers.join(", ")
        );
        fs::write(self.folder.join("config.toml"), text)
    }

    /// Begins to start it, with these flags over its settings.
    pub(super) fn start(&mut self, program: &Path, flags: &[String]) -> io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new(program);
        // What the machine happens to have set is not part of it.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("JANGADA_") {
                command.env_remove(name);
            }
        }
        let config = self.folder.join("config.toml");
        let child = command.arg("serve").arg("--config").arg(config).args(flags);
        let child = child.stdin(Stdio::null()).stdout(File::create(self.said())?).stderr(log);
        self.child = Some(child.spawn()?);
        self.condition = Condition::Running;
        Ok(())
    }

    /// Whether it has said that it serves; if it has ended instead, why, as far as it said.
    pub(super) fn serves(&mut self) -> Result<bool, String> {
        if let Some(ended) = self.ended() {
            return Err(ended);
        }
        let said = fs::read_to_string(self.said()).unwrap_or_default();
        Ok(said.contains("\"serving\"") && said.ends_with('\n'))
    }

    /// Notices if it has ended by itself, and says what it said last.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        (self.child, self.condition) = (None, Condition::Failed);
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        Some(format!("{} has ended with {status}: {last}", self.id))
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself at this very moment.
            let _ = child.kill().and_then(|()| child.wait());
        }
        self.condition = Condition::Crashed;
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id() as i32));
        if let Some(pid) = pid {
            // It may have ended by itself at this very moment.
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it has ended, as it was told to.
    pub(super) fn has_stopped(&mut self) -> bool {
        let running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if self.child.as_mut().is_some_and(running) {
            return false;
        }
        (self.child, self.condition) = (None, Condition::Stopped);
        true
    }

    fn said(&self) -> PathBuf {
        self.folder.join("out")
    }
}

/// Keeps the system from giving an address of this machine to somebody else: whoever names it can
/// listen there, as this socket does not.
fn hold_address() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket)
}

fn address(socket: &Socket) -> io::Result<String> {
    let address = socket.local_addr()?.as_socket();
    address.map(|it| it.to_string()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
