//! What a disk has lost stops its server, which says where; and what it says to do then works.

use std::fs;
use std::path::{Path, PathBuf};

use crate::load::{patient, with_runtime};
use crate::process::{Cluster, Founding, run, until};

/// Files of 1 MiB: more than the log keeps behind a snapshot, in several segments.
const MANY: usize = 40;
/// As few as stay in the log.
const FEW: usize = 3;

/// ASCII, and of this file alone wherever one looks.
fn content(file: usize) -> String {
    (0..1 << 16).map(|line| format!("{file:03} {line:08x} ..")).collect()
}

/// Three servers that take snapshots often, so that little of many files is in their logs.
fn loaded(files: usize) -> Cluster {
    let flags = &["--snapshot-bytes", "8MiB"];
    let cluster = Cluster::found(Founding { servers: 3, tls: true, flags, small_disk: None });
    with_runtime(async {
        let client = patient(&cluster).await;
        for file in 0..files {
            client.load_bytes(&format!("f{file}"), content(file)).await.expect("a write");
        }
    });
    cluster
}

/// The bytes of one of the files on a server's disk: the first file that has them, and where.
fn find(cluster: &Cluster, id: u64, kind: &str, file: usize) -> (PathBuf, usize) {
    let folder = fs::read_dir(cluster.data(id).join("log")).expect("a log");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == kind));
    files.sort();
    let wanted = &content(file)[..64];
    let place = |path: &PathBuf| {
        let bytes = fs::read(path).expect("a file");
        bytes.windows(wanted.len()).position(|part| part == wanted.as_bytes())
    };
    files.into_iter().find_map(|path| place(&path).map(|at| (path, at))).expect("it is there")
}

/// One bit that the disk does not keep.
fn rot(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("a file");
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("a file");
}

/// What the server said last, which names the file and the place; and the command that it names.
fn told(cluster: &Cluster, id: u64, file: &Path, place: &str) -> Vec<String> {
    let log = cluster.log(id);
    let last = log.lines().last().expect("it says why").to_owned();
    let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(last.contains(&format!("{name} {place}")), "{last}");
    let command = last.split('`').nth(1).unwrap_or_else(|| panic!("no command: {last}"));
    command.strip_prefix("jangada ").expect(command).split(' ').map(str::to_owned).collect()
}

/// Does what the server said, and waits until it votes and has everything.
fn repair(cluster: &mut Cluster, id: u64, command: &[String], files: usize) {
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    let (code, said, error) = run(&command);
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    cluster.serve(id, &[]);
    until("it has recovered", || (cluster.status(id)?["recovering"] == false).then_some(()));
    for file in 0..files {
        let path = format!("/v1/files/f{file}?consistency=stale");
        until("it has the file", || {
            let (_, body) = cluster.get(id, &path).filter(|(code, _)| *code == 200)?;
            assert!(body == content(file), "f{file} is another file");
            Some(())
        });
    }
}

#[test]
fn a_server_with_a_damaged_chunk_ends_and_joins_again_as_it_says() {
    let mut cluster = loaded(MANY);
    let leader = cluster.leader();
    let victim = leader % 3 + 1;
    let has_snapshot = |cluster: &Cluster| {
        until("most of the log is gone", || {
            let base = cluster.status(victim)?["log_base_index"].as_u64()?;
            (base as usize > MANY / 2).then_some(())
        });
    };

    // In a segment that is kept for its content, while the server runs.
    has_snapshot(&cluster);
    let (segment, at) = find(&cluster, victim, "log", 0);
    rot(&segment, at + 1000);
    // A client is told nothing wrong.
    let answer = cluster.get(victim, "/v1/files/f0?consistency=stale");
    assert!(answer.is_none_or(|(code, body)| code != 200 || body != content(0)));
    let (ended, _) = cluster.wait(victim);
    assert_eq!(ended.code(), Some(3), "{}", cluster.log(victim));
    let place = format!("cannot be read at byte {at}");
    let command = told(&cluster, victim, &segment, &place);
    // It does not help to start it again.
    cluster.spawn(victim, &[]);
    let (ended, _) = cluster.wait(victim);
    assert_eq!(ended.code(), Some(3), "{}", cluster.log(victim));
    assert_eq!(told(&cluster, victim, &segment, &place), command);
    repair(&mut cluster, victim, &command, MANY);

    // In a pack, where now all of it is, as the server starts.
    cluster.kill(victim);
    let (pack, at) = find(&cluster, victim, "pack", 0);
    rot(&pack, at + 1000);
    cluster.spawn(victim, &[]);
    let (ended, _) = cluster.wait(victim);
    assert_eq!(ended.code(), Some(3), "{}", cluster.log(victim));
    let said = cluster.log(victim);
    assert!(said.contains("is damaged or gone"), "{said}");
    let place = format!("cannot be read at byte {}", at - HEAD);
    let command = told(&cluster, victim, &pack, &place);
    repair(&mut cluster, victim, &command, MANY);

    // It counts: without one of the others the two decide.
    cluster.kill(leader);
    cluster.leader();
    with_runtime(async {
        let client = patient(&cluster).await;
        client.load_bytes("more", "and more").await.expect("a write");
        assert_eq!(client.read_bytes("more").await.expect("a read"), "and more");
    });
    cluster.kill(victim);
    for number in [1, 2] {
        let aside = cluster.data(victim).join(format!("damaged-{number}"));
        assert!(aside.is_dir(), "what was there is kept");
    }
    let (code, said, _) = run(&["log", "verify", cluster.data(victim).to_str().expect("a path")]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_server_whose_log_is_damaged_in_the_middle_joins_again_as_it_says() {
    let mut cluster = loaded(FEW);
    let victim = cluster.leader() % 3 + 1;
    let path = format!("/v1/files/f{}?consistency=stale", FEW - 1);
    until("all of it is there", || cluster.get(victim, &path).filter(|(code, _)| *code == 200));
    // What stands behind a record says that it was synced.
    cluster.signal(victim, "TERM");
    assert!(cluster.wait(victim).0.success());
    let (segment, at) = find(&cluster, victim, "log", 0);
    rot(&segment, at);
    cluster.spawn(victim, &[]);
    let (ended, _) = cluster.wait(victim);
    assert_eq!(ended.code(), Some(3), "{}", cluster.log(victim));
    let command = told(&cluster, victim, &segment, "is damaged at byte ");
    repair(&mut cluster, victim, &command, FEW);
}

/// What stands in a pack before the bytes of a chunk: the head of a record, and the chunk's name.
const HEAD: usize = 24 + 32;
