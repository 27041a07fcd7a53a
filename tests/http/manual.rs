//! docs/http.md: what it shows is what happens.

use std::process::{Command, Stdio};

use crate::process::Cluster;

const PAGE: &str = include_str!("../../docs/http.md");

/// Every block of commands is run by one shell, with curl, on one cluster.
#[test]
fn the_commands_of_the_page_succeed() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no curl on this machine");
        return;
    }
    let cluster = Cluster::start(3);
    cluster.leader();
    let folder = tempfile::tempdir().unwrap();
    let blocks = PAGE.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let page: String = blocks.collect();
    assert!(page.matches("curl").count() >= 20, "the page has lost its commands");
    for id in cluster.running() {
        let script = page.replace("127.0.0.1:3001", &cluster.http(id));
        let output = Command::new("bash")
            .args(["-euxo", "pipefail", "-c", &script])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let copy = std::fs::read_to_string(folder.path().join("copy.txt")).unwrap();
        assert!(copy.starts_with("first line\n"), "{copy}");
    }
}
