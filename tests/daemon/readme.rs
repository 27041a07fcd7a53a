//! What README.md shows of `scripts/cluster` is what happens, at other ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::process::until;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The commands in the blocks of README.md's section, without the words that explain them.
fn commands() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let section = readme.split("## A cluster of processes").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().expect("invariant: a split has a first part");
    let lines = section.split("```").skip(1).step_by(2).flat_map(str::lines);
    let command = |line: &'static str| line.split(" #").next().unwrap_or(line).trim();
    lines.map(command).filter(|line| !line.is_empty() && *line != "sh").collect()
}

/// A number so that five ports above it, and five a thousand above those, are free.
fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let first = 10_000 + u16::try_from(std::process::id() % 2_000).expect("invariant: < 2000") * 20;
    let mut bases = (first..).step_by(10).take(100);
    let all = |base: &u16| (1..=5).all(|n| is_free(base + n) && is_free(base + 1000 + n));
    bases.find(all).expect("five free ports")
}

/// `scripts/cluster up`, ended with the test.
struct Up<'a>(Child, &'a dyn Fn(&str) -> Command);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = self.1("scripts/cluster down").output();
        let _ = self.0.wait();
    }
}

#[test]
fn the_cluster_comes_up_and_serves_as_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, base, jangada) =
        (folder.path().join("it"), free_ports(), env!("CARGO_BIN_EXE_jangada"));
    let endpoints = (1..=5).map(|n| format!("http://127.0.0.1:{}", base + n)).collect::<Vec<_>>();
    let shell = |line: &str| {
        let mut line = line.replace("target/release/jangada", jangada);
        if line.starts_with("scripts/cluster") {
            line = format!("{line} --dir {} --port {base}", dir.display());
        }
        for (n, endpoint) in (1..).zip(&endpoints) {
            line = line.replace(&format!("http://127.0.0.1:300{n}"), endpoint);
        }
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]).current_dir(ROOT).stdin(Stdio::null());
        command.env("JANGADA", jangada).env("JANGADA_ENDPOINTS", endpoints.join(","));
        command
    };
    let commands = commands();
    let [up, rest @ ..] = &commands[..] else { panic!("the section has lost its commands") };
    assert!(*up == "scripts/cluster up" && rest.len() > 5, "{commands:?}");
    let mut up = Up(shell(up).stdout(Stdio::null()).spawn().unwrap(), &shell);
    until("the servers serve", || {
        assert!(up.0.try_wait().unwrap().is_none(), "`up` stays");
        serves(&dir).then_some(())
    });
    let mut said = String::new();
    for line in rest {
        let Output { status, stdout, stderr } = shell(line).output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{line}: {told}");
        said.push_str(&String::from_utf8_lossy(&stdout));
    }
    for part in ["S5 pid", "killed with -9", "# jangada", "S2 serves http://127.0.0.1:"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    // As Ctrl+C, which whoever runs tests in the background has told all processes to ignore.
    let told = Command::new("kill").args(["-TERM", &up.0.id().to_string()]).status().unwrap();
    let ended = until("`up` ends", || up.0.try_wait().unwrap());
    assert!(told.success() && ended.success());
    let left = shell("scripts/cluster status").output().unwrap();
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    assert_eq!(left, "S1 down\nS2 down\nS3 down\nS4 down\nS5 down\n");
}

/// Whether all five have said that they serve.
fn serves(dir: &Path) -> bool {
    let says = |n: u8| std::fs::read_to_string(dir.join(format!("{n}/out"))).unwrap_or_default();
    (1..=5).all(|n| says(n).contains("\"event\":\"serving\""))
}
