//! Settings, as the command takes them.

use std::fs;

use crate::process::{jangada, run};

#[test]
fn check_prints_every_value_with_its_origin() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.toml");
    fs::write(&file, "id = 2\ndata = \"from-file\"\ninsecure = true\nheartbeat = \"40ms\"\n")
        .expect("a file");
    let path = file.to_str().expect("a path");
    let arguments = ["serve", "--check", "--config", path, "--http", "127.0.0.1:9999"];
    let output =
        jangada(&arguments).env("JANGADA_DATA", "from-variable").output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{said}");
    for line in [
        format!("id = 2  # {path}"),
        "data = \"from-variable\"  # JANGADA_DATA".to_owned(),
        "http = \"127.0.0.1:9999\"  # --http".to_owned(),
        "election-timeout = \"300ms..600ms\"  # default".to_owned(),
        "# tls-ca is not set".to_owned(),
    ] {
        assert!(said.lines().any(|it| it == line), "{line} is not in\n{said}");
    }
    // What was printed is a file that says the same.
    let again = folder.path().join("again.toml");
    fs::write(&again, &said).expect("a file");
    let (code, ..) = run(&["config", "show", "--config", again.to_str().expect("a path")]);
    assert_eq!(code, 0);
}

#[test]
fn what_is_wrong_is_named_with_where_it_comes_from() {
    let (code, _, error) = run(&["serve", "--id", "x", "--data", "d", "--insecure"]);
    assert_eq!((code, error.contains("`id` = `x` (--id)")), (2, true), "{error}");
    let (code, _, error) = run(&["serve", "--id", "1", "--data", "d"]);
    assert_eq!((code, error.contains("--insecure")), (2, true), "{error}");
    let mut command = jangada(&["serve", "--id", "1", "--data", "d", "--insecure"]);
    let output = command.env("JANGADA_HEARTBEAT", "soon").output().expect("it runs");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(error.contains("`heartbeat` = `soon` (JANGADA_HEARTBEAT)"), "{error}");
    assert_eq!(output.status.code(), Some(2));
}
