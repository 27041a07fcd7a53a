//! `jangada diagram`, as a person starts it; and the diagrams of `docs/`, drawn again.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test diagram` writes `docs/diagrams/` anew. Look at them
//! then.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn jangada(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jangada"))
        .current_dir(root())
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs an example, and draws its trace.
fn draw(example: &str, directory: &Path, more: &[&str]) -> PathBuf {
    let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let (trace, picture) = (path("trace.txt"), path("picture.svg"));
    let scenario = format!("examples/{example}.jangada");
    let output = jangada(&["run", "--trace", &trace, &scenario]);
    assert!(output.status.success(), "{output:?}");
    let output = jangada(&[&["diagram", &trace, "-o", &picture], more].concat());
    assert!(output.status.success(), "{output:?}");
    picture.into()
}

#[test]
fn the_diagrams_of_the_documentation_are_those_of_today() {
    for (example, title) in
        [("leader_crash", "The crash of a leader"), ("divergent_logs", "Divergent logs")]
    {
        let directory = tempfile::tempdir().unwrap();
        let picture = draw(example, directory.path(), &["--title", title]);
        let kept = root().join(format!("docs/diagrams/{example}.svg"));
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            fs::create_dir_all(kept.parent().unwrap()).unwrap();
            fs::copy(&picture, &kept).unwrap();
        }
        let (drawn, kept) =
            (fs::read_to_string(picture).unwrap(), fs::read_to_string(kept).unwrap());
        let differs = drawn.lines().zip(kept.lines()).find(|(drawn, kept)| drawn != kept);
        assert_eq!(differs, None, "{example}.svg: UPDATE_GOLDENFILES=1 draws it anew; look at it");
        assert_eq!(drawn.len(), kept.len());
    }
}

#[test]
fn a_part_is_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let part = ["--from", "400ms", "--to", "0.5s", "--servers", "1,2"];
    let svg = fs::read_to_string(draw("leader_crash", directory.path(), &part)).unwrap();
    assert!(svg.contains("; only S1, S2<") && svg.contains(">trace<"), "{svg}");
    assert!(svg.contains("leader, term 2") && !svg.contains("leader, term 1"), "{svg}");
}

#[test]
fn what_cannot_be_drawn_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    fs::write(path("no.txt"), "servers 5\n").unwrap();
    fs::write(path("short.txt"), "0.000000 S1 started\n").unwrap();
    let picture = path("picture.svg");
    for (arguments, expected) in [
        (vec!["no.txt"], "line 1: \"servers 5\" is no line of a trace"),
        (vec!["none.txt"], "none.txt: No such file"),
        (vec!["short.txt", "--from", "3s"], "nothing to draw: the trace ends at 0.000 s"),
        (vec!["short.txt", "--servers", "7"], "there is no S7"),
        (vec!["short.txt", "--to", "soon"], "`soon` is no duration"),
    ] {
        let trace = path(arguments[0]);
        let output = jangada(&[&["diagram", &trace, "-o", &picture], &arguments[1..]].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(expected), "{said}");
        assert!(!Path::new(&picture).exists());
    }
}
