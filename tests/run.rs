//! `jangada run`, as a person starts it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn jangada(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jangada"))
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap()
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A life with some chance in it, and some files.
const LIFE: &str = "wait leader
loss 10%
load life.jangada as life
append life more
crash leader
wait leader
append life again
";

#[test]
fn a_scenario_that_passes() {
    let directory = directory(&[("life.jangada", LIFE)]);
    let output = jangada(directory.path(), &["run", "life.jangada"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.starts_with("ok   life.jangada (") && said.contains(" s virtual, "), "{said}");
}

/// Every fault of a disk in one life; two of five servers are lost to it.
const DISKS: &str = "servers 5
disks simulated
wait leader
load disks.jangada as f
wait 100ms
disk-fail 1
append f once
expect role 1 dead within 1s
disk-tear all
disk all 20ms
append f twice
crash all
recover all
disk-full 1
disk-free 1
disk-mend all
wait leader
append f thrice
wait 100ms
disk-flip 2
crash 2,3
disk-destroy 3
recover all
expect role 2,3 dead
append f enough
expect files equal within 2s
expect linearizable
status
";

#[test]
fn disks_fail_as_they_are_told() {
    let directory = directory(&[("disks.jangada", DISKS)]);
    let output = jangada(directory.path(), &["run", "disks.jangada"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains("00000001.log is damaged at byte "), "{said}");
    assert!(said.contains("its disk holds no log"), "{said}");
}

#[test]
fn what_a_scenario_asks_for_is_shown_and_with_verbose_every_line() {
    let directory =
        directory(&[("a.jangada", "wait leader\nload a.jangada as a\ncat a\nstatus\n")]);
    let shown = text(&jangada(directory.path(), &["run", "a.jangada"]).stdout);
    assert!(
        shown.starts_with("wait leader\nload a.jangada as a\ncat a\nstatus\n    role"),
        "{shown}"
    );
    let shown = text(&jangada(directory.path(), &["run", "-v", "a.jangada"]).stdout);
    assert!(shown.starts_with("   1  wait leader\n      S"), "{shown}");
}

#[test]
fn a_failed_expectation() {
    let scenario = "wait leader\n\nexpect no leader for 1s\n";
    let directory = directory(&[("a.jangada", scenario), ("b.jangada", "wait leader\n")]);
    let output = jangada(directory.path(), &["run", "a.jangada", "b.jangada"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(
        complaint.starts_with("a.jangada:3: expect no leader for 1s does not hold\n    found: "),
        "{complaint}"
    );
    assert!(complaint.contains("a majority voted for it"), "{complaint}");
    assert!(text(&output.stdout).starts_with("ok   b.jangada"), "the others run all the same");
}

#[test]
fn all_mistakes_are_found_before_anything_runs() {
    let files = [("a.jangada", "list\nlits\ncrash\n"), ("b.jangada", "quti\n")];
    let directory = directory(&files);
    let arguments = ["run", "a.jangada", "b.jangada", "nothing.jangada"];
    let output = jangada(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let complaint = text(&output.stderr);
    for part in [
        "a.jangada:2: unknown word `lits`; did you mean `list`?\n    lits\n    ^^^^\n",
        "a.jangada:3: expected servers",
        "b.jangada:1: unknown word `quti`; did you mean `quit`?",
        "no such file on this host: nothing.jangada",
    ] {
        assert!(complaint.contains(part), "`{part}` is not in:\n{complaint}");
    }
    for arguments in [&["run"][..], &["rnu"], &["run", "--servers", "0", "a.jangada"]] {
        assert_eq!(jangada(directory.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn one_seed_gives_one_trace() {
    let directory = directory(&[("life.jangada", LIFE)]);
    let trace = |seed: &str, file: &str| {
        let arguments = ["run", "--seed", seed, "--trace", file, "life.jangada"];
        let output = jangada(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        fs::read(directory.path().join(file)).unwrap()
    };
    let (one, same, other) = (trace("3", "one"), trace("3", "same"), trace("4", "other"));
    assert!(text(&one).lines().count() > 100, "{}", text(&one));
    assert!(one == same, "two processes, one seed");
    assert!(one != other, "another seed");
    let output = jangada(directory.path(), &["run", "--trace", "no/where", "life.jangada"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("cannot write the trace to no/where: "));
}

#[test]
fn servers_and_seed_are_those_of_the_file_unless_the_arguments_say_otherwise() {
    let scenario = "servers 3\nseed 4\nwait leader\nstatus\n";
    let directory = directory(&[("a.jangada", scenario)]);
    let shown = |arguments: &[&str]| {
        let output = jangada(directory.path(), &[&["run"], arguments, &["a.jangada"]].concat());
        let shown = text(&output.stdout);
        shown.split("ok ").next().unwrap().to_owned()
    };
    assert_eq!(shown(&[]).lines().count(), 1 + 3);
    assert_eq!(shown(&["--servers", "1"]).lines().count(), 1 + 1);
    assert_eq!(shown(&["--seed", "4"]), shown(&[]));
    assert_ne!(shown(&["--seed", "5"]), shown(&[]));
}

#[test]
fn every_scenario_of_the_examples_passes() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = fs::read_dir(&examples).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".jangada"));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert!(names.len() >= 14, "{names:?}");
    for seed in ["1", "2", "3"] {
        let output = jangada(&examples, &[&["run", "--seed", seed], &names[..]].concat());
        assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", text(&output.stderr));
    }
}
