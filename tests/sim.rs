//! `jangada sim`, as a person starts it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

use std::fs;
use std::process::{Command, Output};

fn jangada(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jangada")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn seeds_run_and_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("report.json");
    let json = json.to_str().unwrap();
    let output = jangada(&["sim", "--seeds", "3..7", "--minutes", "0.05", "--json", json]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.ends_with("no violation\n") && said.contains("4 seeds in "), "{said}");
    assert!(said.contains(" virtual s, ") && said.contains("/64 (role, message) pairs"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(report["seeds"], 4);
    assert_eq!(report["linearizability"]["unchecked"], 0);
    assert_eq!(report["linearizability"]["undecided"], 0);
    assert_eq!(report["linearizability"]["undecided_seeds"], serde_json::json!([]));
    assert_eq!(report["violations"], serde_json::json!([]));
    assert!(report["virtual_seconds"].as_f64().unwrap() >= 12.0, "{report}");
    assert!(report["wall_seconds"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["faults"]["crash"].is_u64(), "{report}");
    let digest = report["digest"].as_str().unwrap();
    assert!(said.contains(&format!("digest {digest}")), "{said}");
}

/// A world is a scenario, which runs as any other.
#[test]
fn a_printed_seed_runs_as_a_scenario() {
    let directory = tempfile::tempdir().unwrap();
    let output = jangada(&["sim", "--seeds", "5", "--minutes", "0.05", "--print"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).starts_with("# seed 5: "), "{output:?}");
    let file = directory.path().join("five.jangada");
    fs::write(&file, output.stdout).unwrap();
    let output = jangada(&["run", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn one_seed_says_what_it_stands_for() {
    let output = jangada(&["sim", "--seeds", "5", "--minutes", "0.02", "--profile", "network"]);
    let said = text(&output.stdout);
    assert!(
        said.starts_with("seed 5: ") && said.contains("profile network, a fault every "),
        "{said}"
    );
}

#[test]
fn mistakes_in_the_arguments_are_explained() {
    for (arguments, part) in [
        (&["--seeds", "7..7"][..], "there is no seed in this range"),
        (&["--seeds", "a..b"], "`a` is no seed; write 0..1000, or 7"),
        (
            &["--profile", "storm"],
            "there are calm, network, process, disk, clock, operator, everything",
        ),
        (&["--minutes", "0"], "from 0.01 to 60"),
        (&["--servers", "0"], "not in 1..=9"),
    ] {
        let output = jangada(&[&["sim"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(part), "{part}: {output:?}");
    }
    let output = jangada(&["sim", "--seeds", "1", "--minutes", "0.01", "--json", "/no/such/place"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("cannot write the report to /no/such/place"),
        "{output:?}"
    );
}
