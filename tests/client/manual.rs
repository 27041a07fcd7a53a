//! docs/client.md: what it shows is what happens.

use std::process::{Command, Stdio};

use jangada::actors::{ClockKind, run};
use jangada::net::Role;
use jangada::net::tls::{Tls, TlsFiles};

use crate::process::Cluster;
use crate::program;
use crate::support::all;

const PAGE: &str = include_str!("../../docs/client.md");

/// The blocks of the page: what they are in, and what they are.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').expect("a kind and a block")).collect()
}

/// Every block of commands is run by a shell, in one folder, on one cluster.
#[test]
fn the_commands_of_the_page_succeed() {
    let cluster = Cluster::start(3);
    let folder = tempfile::tempdir().unwrap();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_jangada")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    std::fs::write(folder.path().join("notes.txt"), "first line\n").unwrap();
    let (commands, rest): (Vec<_>, Vec<_>) =
        blocks().into_iter().partition(|(kind, _)| *kind == "sh");
    assert!(commands.len() >= 6, "the page has lost its commands");
    // The other test is about that.
    assert!(matches!(rest[..], [("rust", _)]), "no test runs one of these: {rest:?}");
    for (_, block) in commands {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("JANGADA_ENDPOINTS", all(&cluster))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{told}");
    }
}

#[test]
fn the_program_of_the_page_writes_its_note() {
    let shown = blocks().into_iter().find(|(kind, _)| *kind == "rust").expect("a program").1;
    let shown = shown.replace("pub async fn", "pub(crate) async fn");
    assert!(include_str!("program.rs").ends_with(&shown), "another program is shown");
    let cluster = Cluster::start(3);
    cluster.leader();
    let certs = cluster.certs();
    cluster.cert(&["client", "ada", "--dir", certs.to_str().unwrap()]);
    let role = Role::Client("ada".to_owned());
    let files = TlsFiles::in_directory(&certs, &role);
    let uuid = cluster.uuid.parse().unwrap();
    let tls = Tls::load(files, uuid, role).unwrap();
    let (code, _, error) =
        crate::process::run(&["put", "--endpoints", &all(&cluster), "-", "log.txt"]);
    assert_eq!(code, 0, "{error}");
    run(ClockKind::Real, program::note(uuid, tls, cluster.addresses())).unwrap().unwrap();
    let (_, said, error) = crate::process::run(&["cat", "--endpoints", &all(&cluster), "log.txt"]);
    assert_eq!((said.as_str(), error.as_str()), ("hello\n", ""));
}
