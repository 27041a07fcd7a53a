//! What README.md shows of `scripts/cluster` is what happens, at other ports.

use std::path::Path;

use crate::script::{Up, commands};

/// The lines in the blocks of README.md's section.
fn lines() -> impl Iterator<Item = &'static str> {
    let readme = include_str!("../../README.md");
    let section = readme.split("## A cluster of processes").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().expect("invariant: a split has a first part");
    let lines = section.split("```").skip(1).step_by(2).flat_map(str::lines);
    lines.filter(|line| *line != "sh")
}

#[test]
fn the_cluster_comes_up_and_serves_as_shown() {
    let folder = tempfile::tempdir().unwrap();
    let commands = commands(lines());
    let [up, rest @ ..] = &commands[..] else { panic!("the section has lost its commands") };
    assert!(*up == "scripts/cluster up" && rest.len() > 5, "{commands:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut up = Up::begin(up, root, folder.path().join("it"));
    let said: String = rest.iter().map(|line| up.run(line)).collect();
    for part in ["S5 pid", "killed with -9", "# jangada", "S2 serves http://127.0.0.1:"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    up.end();
    let left = up.run("scripts/cluster status");
    assert_eq!(left, "S1 down\nS2 down\nS3 down\nS4 down\nS5 down\n");
}
