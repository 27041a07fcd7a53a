//! One seed and the same orders give the same trace, byte for byte.

use std::io::Write;
use std::process::Command;

use jangada::actors::SandboxOptions;
use jangada::storage::DiskKind;

use crate::chaos;
use crate::support::Trace;

/// Where [`a_trace_of_this_build`] writes the trace of [`SEED`].
const TRACE_TO: &str = "JANGADA_TRACE_TO";
const SEED: u64 = 7;

/// The trace of a run with every kind of order and of client call, on disks that fail.
fn trace(seed: u64) -> Vec<u8> {
    trace_on(DiskKind::Simulated, seed)
}

fn trace_on(disks: DiskKind, seed: u64) -> Vec<u8> {
    let trace = Trace::default();
    let writer: Option<Box<dyn Write>> = Some(Box::new(trace.clone()));
    chaos::run_seed(SandboxOptions { seed, disks, trace: writer, ..SandboxOptions::default() });
    trace.take()
}

fn assert_equal(one: &[u8], other: &[u8]) {
    let (mut one, mut other) = (one.split(|b| *b == b'\n'), other.split(|b| *b == b'\n'));
    for line in 1.. {
        let (left, right) = (one.next(), other.next());
        let text =
            |line: Option<&[u8]>| line.map(|line| String::from_utf8_lossy(line).into_owned());
        assert_eq!(text(left), text(right), "line {line} differs");
        if left.is_none() {
            return;
        }
    }
}

#[test]
fn one_seed_gives_one_trace_and_another_seed_another() {
    for disks in [DiskKind::Memory, DiskKind::Simulated] {
        let first = trace_on(disks, SEED);
        assert!(first.len() > 100_000, "a trace of {} bytes shows little", first.len());
        assert_equal(&first, &trace_on(disks, SEED));
        assert_ne!(first, trace_on(disks, SEED + 1));
    }
}

/// Run by the tests below in a process of its own; by itself it does nothing.
#[test]
fn a_trace_of_this_build() {
    if let Some(path) = std::env::var_os(TRACE_TO) {
        std::fs::write(path, trace(SEED)).unwrap();
    }
}

fn trace_by(command: &mut Command, name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let output = command.env(TRACE_TO, &path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path).unwrap()
}

#[test]
fn separate_processes_give_the_same_trace() {
    let this = std::env::current_exe().unwrap();
    let mut traces = ["one", "two"].map(|name| {
        let mut command = Command::new(&this);
        trace_by(command.args(["--exact", "determinism::a_trace_of_this_build"]), name)
    });
    traces.sort_by_key(Vec::len);
    assert_equal(&traces[0], &traces[1]);
    assert_equal(&traces[0], &trace(SEED));
}

#[test]
#[ignore = "builds the other profile; `cargo test -- --ignored` runs it"]
fn debug_and_release_builds_give_the_same_trace() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--quiet", "--test", "cluster"]);
    if cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.args(["--", "--exact", "determinism::a_trace_of_this_build"]);
    assert_equal(&trace_by(&mut command, "other"), &trace(SEED));
}
