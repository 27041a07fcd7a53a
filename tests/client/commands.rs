//! What the commands do when all is well, and when the cluster says no.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::process::Cluster;
use crate::support::{all, asking, run};

/// The text that a pattern of bytes makes, of any size.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 ^ (at >> 16) as u8).collect()
}

#[test]
fn files_come_and_go_under_any_name() {
    let cluster = Cluster::start(1);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let run = |arguments: &[&str], input: &[u8]| run(&endpoints, path, arguments, input);
    for name in ["plain", "with space.txt", "a/b/stat", "ünï/códé ☃", "100%", "-x?&#+", "a/append"]
    {
        let stored = run(&["put", "-o", "json", "-", "--", name], b"one\n").good().json();
        assert_eq!((&stored["name"], &stored["size"]), (&json!(name), &json!(4)));
        run(&["append", "--", name, "-"], b"two\n").good();
        assert_eq!(run(&["cat", "--", name], b"").good().text(), "one\ntwo\n");
        let stat = run(&["stat", "-o", "json", "--", name], b"").good().json();
        assert_eq!(stat["revision"], 2);
        assert_eq!(stat["hash"], blake3::hash(b"one\ntwo\n").to_string());
        let moved = format!("{name}, moved");
        run(&["mv", "--", name, &moved], b"").good();
        assert_eq!(run(&["cat", "--", name], b"").code, 3);
        assert_eq!(run(&["get", "--", &moved, "here"], b"").good().text(), "");
        assert_eq!(fs::read(path.join("here")).unwrap(), b"one\ntwo\n");
        run(&["rm", "--", &moved], b"").good();
    }
    assert_eq!(run(&["ls", "--names"], b"").good().text(), "");
    assert_eq!(run(&["ls", "-o", "json"], b"").good().json(), json!([]));
}

#[test]
fn parts_and_the_past_can_be_read() {
    let cluster = Cluster::start(1);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let run = |arguments: &[&str], input: &[u8]| run(&endpoints, path, arguments, input);
    fs::write(path.join("a.txt"), "0123456789").unwrap();
    let first = run(&["put", "-o", "json", "a.txt"], b"").good().json()["index"].to_string();
    let second = run(&["append", "a.txt", "-", "-o", "json"], b"abc").good().json();
    for (range, expected) in [("3..5", "34"), ("8..", "89abc"), ("..2", "01"), ("9..99", "9abc")] {
        assert_eq!(run(&["cat", "a.txt", "--range", range], b"").good().text(), expected);
    }
    assert_eq!(run(&["cat", "a.txt", "--at", &first], b"").good().text(), "0123456789");
    assert_eq!(run(&["cat", "a.txt", "--at", &first, "--range", "8.."], b"").good().text(), "89");
    let late = (second["index"].as_u64().unwrap() + 1000).to_string();
    assert_eq!(run(&["cat", "a.txt", "--at", &late], b"").code, 3);
    for level in ["lease", "stale"] {
        let read = run(&["cat", "a.txt", "--consistency", level], b"").good();
        assert_eq!(read.text(), "0123456789abc");
    }
    // Into a folder, to a name of its own, and to standard output.
    fs::create_dir(path.join("d")).unwrap();
    run(&["get", "a.txt", "d"], b"").good();
    assert_eq!(fs::read(path.join("d/a.txt")).unwrap(), b"0123456789abc");
    assert_eq!(run(&["get", "a.txt", "-"], b"").good().text(), "0123456789abc");
    run(&["get", "a.txt"], b"").good();
    assert_eq!(fs::read(path.join("a.txt")).unwrap(), b"0123456789abc");
    assert_eq!(fs::read_dir(path).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn what_the_cluster_refuses_has_its_exit_code() {
    let cluster = Cluster::start(1);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| run(&endpoints, folder.path(), arguments, b"x").code;
    assert_eq!(code(&["put", "-", "a", "--no-replace"]), 0);
    assert_eq!(code(&["put", "-", "a", "--no-replace"]), 5);
    assert_eq!(code(&["put", "-", "a", "--if-revision", "0"]), 5);
    assert_eq!(code(&["append", "a", "-", "--if-revision", "1"]), 0);
    assert_eq!(code(&["append", "a", "-", "--if-revision", "1"]), 5);
    assert_eq!(code(&["put", "-", "b"]), 0);
    assert_eq!(code(&["mv", "a", "b"]), 5);
    assert_eq!(code(&["rm", "a", "--if-revision", "7"]), 5);
    for missing in [&["cat", "c"][..], &["get", "c"], &["stat", "c"], &["append", "c", "-"]] {
        assert_eq!(code(missing), 3, "{missing:?}");
    }
    // The others are deleted.
    assert_eq!(code(&["rm", "c", "a", "b"]), 3);
    assert_eq!(run(&endpoints, folder.path(), &["ls", "--names"], b"").good().text(), "");
    assert!(!folder.path().join("c").exists());
    for bad in [&["put", "-", "../a"][..], &["put", "-"], &["cat", "a", "--range", "3..1"]] {
        assert_eq!(code(bad), 2, "{bad:?}");
    }
    assert_eq!(code(&["put", "no-such-file"]), 1);
    assert_eq!(code(&["--log", "off", "ls", "--endpoints", "https://127.0.0.1:1"]), 2);
}

#[test]
fn many_files_are_listed_page_by_page() {
    let cluster = Cluster::start(1);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| run(&endpoints, folder.path(), arguments, b"");
    // More than a page, put there by way of a backup.
    let hash = blake3::hash(b"x").to_string();
    let names: Vec<_> = (0..1100).map(|number| format!("{}/{number:04}", number % 2)).collect();
    let files = names.iter().map(|name| {
        let uuid = uuid::Uuid::nil();
        json!({ "name": name, "size": 1, "hash": hash, "uuid": uuid, "revision": 1 })
    });
    let files: Vec<_> = files.collect();
    let manifest = json!({ "format": "jangada-backup-1", "index": 1, "files": files });
    let backup = folder.path().join("backup");
    fs::create_dir_all(backup.join("contents")).unwrap();
    fs::write(backup.join("contents").join(&hash), "x").unwrap();
    fs::write(backup.join("manifest.json"), manifest.to_string()).unwrap();
    let restored = run(&["restore", "backup", "-o", "json"]).good().json();
    assert_eq!((&restored["stored"], &restored["present"]), (&json!(1100), &json!(0)));
    let again = run(&["restore", "backup", "-o", "json"]).good().json();
    assert_eq!((&again["stored"], &again["present"]), (&json!(0), &json!(1100)));
    let mut sorted = names.clone();
    sorted.sort();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(run(&["ls", "--names"]).good().text()), sorted);
    let ones: Vec<_> = sorted.iter().filter(|name| name.starts_with("1/")).cloned().collect();
    assert_eq!(lines(run(&["ls", "1/", "--names"]).good().text()), ones);
    assert_eq!(lines(run(&["ls", "1/0001", "--names"]).good().text()), ["1/0001"]);
    assert_eq!(run(&["ls", "-o", "json"]).good().json().as_array().unwrap().len(), 1100);
}

#[test]
fn a_backup_is_every_file_and_goes_back() {
    let cluster = Cluster::start(1);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let run = |arguments: &[&str], input: &[u8]| run(&endpoints, path, arguments, input);
    let contents = [("a", &b"one"[..]), ("a/b", b"two"), ("c", b"one"), ("Ünï", b"")];
    for (name, content) in contents {
        run(&["put", "-", name], content).good();
    }
    run(&["backup", "saved"], b"").good();
    assert_eq!(fs::read_dir(path.join("saved/contents")).unwrap().count(), 3, "one for two");
    assert_eq!(run(&["backup", "saved"], b"").code, 5, "there is one");
    run(&["append", "a", "-"], b" more").good();
    run(&["rm", "c"], b"").good();
    let refused = run(&["restore", "saved"], b"");
    assert_eq!(refused.code, 5);
    assert!(refused.error.contains("`a`"), "{}", refused.error);
    assert_eq!(run(&["stat", "c"], b"").code, 3, "nothing was restored");
    run(&["restore", "saved", "--replace"], b"").good();
    for (name, content) in contents {
        assert_eq!(run(&["cat", name], b"").good().out, content, "{name}");
    }
    // What is damaged is not restored.
    let damaged = path.join("saved/contents").join(blake3::hash(b"two").to_string());
    fs::write(damaged, "tow").unwrap();
    let refused = run(&["restore", "saved"], b"");
    assert!(refused.code == 1 && refused.error.contains("`a/b`"), "{}", refused.error);
    assert_eq!(run(&["restore", "."], b"").code, 1);
}

/// The largest memory that a command had while it ran, in KiB.
fn peak(endpoints: &str, folder: &Path, arguments: &[&str]) -> u64 {
    let mut child = asking(endpoints, arguments).current_dir(folder).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{arguments:?}");
            return peak;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_large_file_streams_through_bounded_memory() {
    let cluster = Cluster::start(1);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let content = pattern(64 << 20);
    fs::write(path.join("large"), &content).unwrap();
    // What any command takes, and no more than a fraction of the content above that.
    let base = peak(&endpoints, path, &["ls", "-q"]);
    let put = peak(&endpoints, path, &["put", "large", "-q"]);
    let get = peak(&endpoints, path, &["get", "large", "copy", "-q"]);
    assert!(fs::read(path.join("copy")).unwrap() == content);
    let limit = base + (16 << 10);
    assert!(base > 0 && put < limit && get < limit, "{base} {put} {get} KiB");
    // Standard input of any size can be sent again, too.
    let stored =
        run(&endpoints, path, &["put", "-", "piped", "-o", "json"], &content).good().json();
    assert_eq!(stored["hash"], blake3::hash(&content).to_string());
}

#[test]
fn operators_see_and_steer_the_cluster() {
    let cluster = Cluster::start(3);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| run(&endpoints, folder.path(), arguments, b"x");
    let status = run(&["status"]).good();
    assert_eq!(status.text().lines().count(), 4, "{}", status.text());
    let leaders = status.text().lines().filter(|line| line.contains(" leader "));
    assert_eq!(leaders.count(), 1, "{}", status.text());
    let members = run(&["member", "list", "-o", "json"]).good().json();
    assert_eq!(members["members"].as_array().unwrap().len(), 3);
    let old = cluster.leader();
    let to = cluster.running().into_iter().find(|id| *id != old).unwrap();
    run(&["transfer", &to.to_string()]).good();
    crate::process::until("the other leads", || (cluster.leader() == to).then_some(()));
    run(&["snapshot"]).good();
    // A condition that does not hold, and a change of members by whoever is asked.
    let removed = cluster.running().into_iter().find(|id| *id != to).unwrap().to_string();
    assert_eq!(run(&["member", "remove", &removed, "--if", "999999"]).code, 5);
    run(&["member", "remove", &removed]).good();
    crate::process::until("it is no member", || {
        let members = run(&["member", "list", "-o", "json"]);
        let members = (members.code == 0).then(|| members.json())?;
        (members["members"].as_array()?.len() == 2).then_some(())
    });
}

#[test]
fn changes_are_watched_as_they_happen() {
    let cluster = Cluster::start(3);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &[u8]| run(&endpoints, folder.path(), arguments, input);
    let first = run(&["put", "-", "in/a", "-o", "json"], b"1").good().json()["index"].clone();
    run(&["put", "-", "out/b"], b"2").good();
    run(&["append", "in/a", "-"], b"3").good();
    run(&["mv", "in/a", "in/c"], b"").good();
    run(&["rm", "in/c"], b"").good();
    let before = (first.as_u64().unwrap() - 1).to_string();
    let watch = ["watch", "in/", "--from", &before, "--limit", "4", "-o", "json"];
    let told = run(&watch, b"").good();
    let changes: Vec<serde_json::Value> =
        told.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = changes.iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["created", "appended", "renamed", "deleted"]);
    assert_eq!(changes[0]["index"], first);
    assert_eq!(changes[2]["from"], "in/a");
}
