//! One scenario, three worlds, the same verdict: virtual time, real time, processes of their own.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs a scenario, and returns its exit code, its output and what it complained about.
fn run(file: &Path, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jangada"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("JANGADA_")) {
        command.env_remove(name);
    }
    let ran = command.env_remove("RUST_LOG").arg("run").args(more).arg(file).output();
    let Output { status, stdout, stderr } = ran.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Runs a scenario in the three worlds.
fn in_three_worlds(file: &Path) -> [(i32, String, String); 3] {
    let folder = tempfile::tempdir().unwrap();
    let cluster = folder.path().join("cluster");
    let processes = ["--cluster", cluster.to_str().unwrap()];
    [run(file, &[]), run(file, &["--real"]), run(file, &processes)]
}

/// Passes in all three.
fn holds_everywhere(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    for (code, said, complained) in in_three_worlds(&file) {
        assert_eq!(code, 0, "{said}{complained}");
        assert!(said.contains("ok   "), "{said}");
    }
}

fn scenario(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("it.jangada"), text).unwrap();
    folder
}

#[test]
fn a_leader_that_crashes() {
    holds_everywhere("leader_crash.jangada");
}

#[test]
fn a_leader_on_the_small_side() {
    holds_everywhere("minority_leader.jangada");
}

#[test]
fn a_command_that_is_sent_twice() {
    holds_everywhere("retry_once.jangada");
}

#[test]
fn two_leaders_and_other_timeouts() {
    holds_everywhere("two_leaders.jangada");
}

#[test]
fn a_leader_that_is_removed() {
    holds_everywhere("leader_removed.jangada");
}

#[test]
fn a_cluster_that_starts_again() {
    holds_everywhere("start_cluster.jangada");
}

/// A pause is no end: who was frozen goes on where it was.
#[test]
fn a_leader_that_is_frozen() {
    let folder = scenario(
        "servers 3\nwait leader\nload it.jangada as f\nlet old = leader\npause $old\n\
         expect leader within 5s\nappend f more\nresume $old\nexpect role $old follower within 5s\n\
         expect caught-up all within 5s\nexpect files equal within 5s\nexpect linearizable\n",
    );
    for (code, said, complained) in in_three_worlds(&folder.path().join("it.jangada")) {
        assert_eq!(code, 0, "{said}{complained}");
    }
}

/// What does not hold does not hold anywhere, at the same line.
#[test]
fn what_fails_fails_everywhere() {
    let folder = scenario("servers 3\nwait leader\nlet a = leader\nexpect role $a dead\n");
    for (code, said, complained) in in_three_worlds(&folder.path().join("it.jangada")) {
        assert_eq!((code, said.as_str()), (1, ""), "{complained}");
        let place = "it.jangada:4: expect role ";
        assert!(complained.contains(place) && complained.contains(" is leader in term "));
    }
}

/// What has no meaning for processes is named before anything starts.
#[test]
fn what_processes_cannot_do_is_refused_with_its_line() {
    let folder = scenario("servers 3\nwait leader\nclock-rate 1 2\ndisk-full 2\n");
    let cluster = folder.path().join("cluster");
    let file = folder.path().join("it.jangada");
    let (code, said, complained) = run(&file, &["--cluster", cluster.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (2, ""));
    assert!(complained.contains("it.jangada:3: not for a cluster of processes"), "{complained}");
    assert!(complained.contains("it.jangada:4: not for a cluster of processes"), "{complained}");
    assert!(!cluster.exists());
}

/// What is there is never taken for a new cluster.
#[test]
fn a_folder_that_is_taken_is_left_alone() {
    let folder = scenario("servers 1\n");
    let cluster = folder.path().join("cluster");
    fs::create_dir_all(cluster.join("it")).unwrap();
    let file = folder.path().join("it.jangada");
    let (code, _, complained) = run(&file, &["--cluster", cluster.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(complained.contains("is there already"), "{complained}");
}
