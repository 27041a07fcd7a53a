//! What servers record while they run is what they did.

use std::fs;
use std::path::{Path, PathBuf};

use crate::load::{Load, with_runtime};
use crate::process::{Cluster, run, until};

/// Three servers under load; the leader is killed with -9 and started again.
fn incident() -> Cluster {
    let mut cluster = Cluster::start(3);
    with_runtime(async {
        let load = Load::begin(&cluster, 8).await;
        load.kill_leaders(&mut cluster, 2, 300).await;
        load.end().await;
    });
    // One of them ends in good order.
    cluster.signal(1, "TERM");
    assert!(cluster.wait(1).0.success());
    cluster.kill(2);
    cluster.kill(3);
    cluster
}

fn replay(cluster: &Cluster, servers: &[u64], more: &[&str]) -> (i32, String, String) {
    let folders: Vec<_> = servers.iter().map(|id| cluster.data(*id)).collect();
    let folders = folders.iter().map(|folder| folder.to_str().expect("a path"));
    let all: Vec<_> = ["replay"].into_iter().chain(folders).chain(more.iter().copied()).collect();
    run(&all)
}

fn files(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("blackbox")).expect("a recording");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn what_three_servers_did_happens_again() {
    let cluster = incident();
    let trace = cluster.data(1).with_extension("trace");
    let to = trace.to_str().expect("a path");
    let (code, said, error) = replay(&cluster, &[1, 2, 3], &["--trace", to]);
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    assert!(said.lines().last().is_some_and(|it| it.starts_with("equal: ")), "{said}");
    let (steps, lives) =
        said.lines().filter_map(counts).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert!(steps > 2_000 && lives == 5, "{said}");
    // The trace can be drawn.
    let picture = cluster.data(1).with_extension("svg");
    let (code, _, error) = run(&["diagram", to, "-o", picture.to_str().expect("a path")]);
    assert_eq!(code, 0, "{error}");
    // Two of them say as much as two can.
    let (code, said, error) = replay(&cluster, &[2, 3], &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    assert!(said.contains("note: there is no recording of S1"), "{said}");

    // A recording that was changed is found out, and what is left of it is used.
    let file = files(&cluster.data(2)).swap_remove(0);
    let mut bytes = fs::read(&file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("a file");
    let (code, said, _) = replay(&cluster, &[1, 2, 3], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("damaged: 00000001.box: record "), "{said}");
    assert!(said.contains("equal, as far as the recordings can be used"), "{said}");
}

/// The steps and lives of a server, as a line of the report says.
fn counts(line: &str) -> Option<(u64, u64)> {
    let (steps, rest) = line.trim().split_once(" steps in ")?;
    Some((steps.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}

#[test]
fn a_server_says_what_it_records() {
    let mut cluster = Cluster::insecure(1);
    let metric = |cluster: &Cluster, name: &str| {
        let (_, text) = cluster.get(1, "/metrics")?;
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    until("something is recorded", || {
        metric(&cluster, "jangada_blackbox_bytes").filter(|it| *it > 0.0)
    });
    assert_eq!(metric(&cluster, "jangada_blackbox_lost_records_total"), Some(0.0));
    cluster.kill(1);
    cluster.serve(1, &["--blackbox", "off"]);
    assert_eq!(metric(&cluster, "jangada_blackbox_bytes"), None);
    cluster.kill(1);
    assert_eq!(files(&cluster.data(1)).len(), 1);
    let (code, said, _) = replay(&cluster, &[1], &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path");
    let (code, _, error) = run(&["replay", path]);
    assert_eq!(code, 2);
    assert!(error.contains("holds no recording"), "{error}");
    fs::write(folder.path().join("00000001.box"), "not at all").expect("a file");
    let (code, _, error) = run(&["replay", path]);
    assert_eq!(code, 2);
    assert!(error.contains("00000001.box: it is no recording of jangada's"), "{error}");
}
