//! A cluster of `scripts/cluster`, as the pages show it, at other ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::process::until;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const JANGADA: &str = env!("CARGO_BIN_EXE_jangada");

/// A number so that five ports above it, and five a thousand above those, are free; another one
/// each time.
pub(crate) fn free_ports() -> u16 {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let process = u16::try_from(std::process::id() % 1000).expect("invariant: < 1000");
    let first = 10_000 + process * 20 + CALLS.fetch_add(1, Ordering::Relaxed) * 300;
    let mut bases = (first..).step_by(10).take(30);
    let all = |base: &u16| (1..=5).all(|n| is_free(base + n) && is_free(base + 1000 + n));
    bases.find(all).expect("five free ports")
}

/// A shell in a folder, that knows the program by its name.
pub(crate) fn shell(script: &str, folder: &Path) -> Command {
    let bin = Path::new(JANGADA).parent().expect("a file is in a folder");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH"));
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).stdin(Stdio::null());
    command.env("PATH", path);
    command
}

/// What a command says that succeeds.
pub(crate) fn good(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, told) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {out}{told}");
    out.into_owned()
}

/// `scripts/cluster up`, ended with the test.
pub(crate) struct Up {
    process: Option<Child>,
    /// Where lines are run.
    folder: PathBuf,
    /// Where the cluster is.
    dir: PathBuf,
    base: u16,
}

impl Up {
    /// Runs the line that brings it up, and waits until all five serve.
    pub(crate) fn begin(line: &str, folder: &Path, dir: PathBuf) -> Self {
        let mut up = Self { process: None, folder: folder.to_owned(), dir, base: free_ports() };
        let mut process = up.shell(&format!("exec {line}")).stdout(Stdio::null()).spawn().unwrap();
        until("the servers serve", || {
            assert!(process.try_wait().unwrap().is_none(), "`up` stays");
            up.serves().then_some(())
        });
        up.process = Some(process);
        up
    }

    /// Whether all five have said that they serve.
    fn serves(&self) -> bool {
        let said = |n: u8| std::fs::read_to_string(self.dir.join(format!("{n}/out")));
        (1..=5).all(|n| said(n).unwrap_or_default().contains("\"event\":\"serving\""))
    }

    /// A line of a page, about this cluster.
    fn shell(&self, line: &str) -> Command {
        let mut line = line.replace("target/release/jangada", JANGADA);
        line = line.replace("cluster/tls", &self.dir.join("tls").display().to_string());
        if line.contains("scripts/cluster") {
            let script = format!("{ROOT}/scripts/cluster");
            line = line.replace("scripts/cluster", &script);
            line = format!("{line} --dir {} --port {}", self.dir.display(), self.base);
        }
        let endpoints: Vec<_> =
            (1..=5).map(|n| format!("http://127.0.0.1:{}", self.base + n)).collect();
        for (n, endpoint) in (1..).zip(&endpoints) {
            line = line.replace(&format!("http://127.0.0.1:300{n}"), endpoint);
        }
        let mut command = shell(&line, &self.folder);
        command.env("JANGADA", JANGADA).env("JANGADA_ENDPOINTS", endpoints.join(","));
        command
    }

    /// Runs a line of a page, which succeeds, and returns what it says.
    pub(crate) fn run(&self, line: &str) -> String {
        good(self.shell(line))
    }

    /// As Ctrl+C, which whoever runs tests in the background has told all processes to ignore.
    pub(crate) fn end(&mut self) {
        let mut process = self.process.take().expect("it is up");
        let told = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        let ended = until("`up` ends", || process.try_wait().unwrap());
        assert!(told.unwrap().success() && ended.success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = self.shell("scripts/cluster down").output();
            let _ = process.wait();
        }
    }
}

/// The commands of a block, or of several, without the words that explain them.
pub(crate) fn commands<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let command = |line: &'a str| line.split(" #").next().unwrap_or(line).trim();
    lines.map(command).filter(|line| !line.is_empty()).collect()
}
