//! What shells and scripts rely on.

use std::io::Read;
use std::process::Stdio;

use crate::process::{Cluster, run as plain};
use crate::support::{all, asking, run};

#[test]
fn a_closed_pipe_is_no_failure() {
    let cluster = Cluster::start(1);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    run(&endpoints, folder.path(), &["put", "-", "a"], &vec![b'x'; 4 << 20]).good();
    let mut child = asking(&endpoints, &["cat", "a"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn shells_and_manuals_are_told_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = plain(&["completions", shell]);
        assert_eq!(code, 0);
        for word in ["put", "backup", "if-revision"] {
            assert!(script.contains(word), "{shell} is not told of {word}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man");
    assert_eq!(plain(&["man", dir.to_str().unwrap()]).0, 0);
    let page = std::fs::read_to_string(dir.join("jangada-put.1")).unwrap();
    assert!(page.contains("endpoints"), "{page}");
    assert!(dir.join("jangada-member-add.1").exists());
}

#[test]
fn help_tells_the_exit_codes() {
    for verb in ["put", "get", "cat", "ls", "append", "rm", "mv", "stat", "watch", "backup"] {
        let (code, help, _) = plain(&[verb, "--help"]);
        assert!(code == 0 && help.contains("Exit codes: 0 done"), "{verb}: {help}");
    }
}
