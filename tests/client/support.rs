//! The program with somebody to ask.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::process::{Cluster, jangada};

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) error: String,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).expect("JSON")
    }

    /// It succeeded and complained of nothing.
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.error);
        self
    }
}

/// The program, asking these.
pub(crate) fn asking(endpoints: &str, arguments: &[&str]) -> Command {
    let mut command = jangada(arguments);
    command.env("JANGADA_ENDPOINTS", endpoints);
    command
}

/// Runs the program in a folder, with something on its standard input.
pub(crate) fn run(endpoints: &str, folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = asking(endpoints, arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    // It may not want to read all of it.
    let _ = stdin.write_all(input);
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let error = String::from_utf8(stderr).expect("UTF-8");
    Ran { code: status.code().expect("it exits"), out: stdout, error }
}

/// Where a server's HTTP is.
pub(crate) fn http(cluster: &Cluster, id: u64) -> String {
    let status = cluster.status(id).expect("it answers");
    let members = status["members"].as_array().expect("members");
    let own = members.iter().find(|member| member["id"] == id).expect("itself");
    format!("http://{}", own["http"].as_str().expect("an address"))
}

/// Where the HTTP of all servers is, once they have a leader.
pub(crate) fn all(cluster: &Cluster) -> String {
    cluster.leader();
    let endpoints: Vec<_> = cluster.running().into_iter().map(|id| http(cluster, id)).collect();
    endpoints.join(",")
}
