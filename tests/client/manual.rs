//! docs/client.md: what it shows is what happens.

use std::process::{Command, Stdio};

use crate::process::Cluster;
use crate::support::all;

const PAGE: &str = include_str!("../../docs/client.md");

/// Every block of commands is run by a shell, in one folder, on one cluster.
#[test]
fn the_commands_of_the_page_succeed() {
    let cluster = Cluster::start(3);
    let folder = tempfile::tempdir().unwrap();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_jangada")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    std::fs::write(folder.path().join("notes.txt"), "first line\n").unwrap();
    let blocks = PAGE.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let blocks: Vec<_> = blocks.collect();
    assert!(blocks.len() >= 6, "the page has lost its commands");
    for block in blocks {
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
