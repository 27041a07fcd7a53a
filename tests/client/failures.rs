//! What the commands do when servers, answers or time are lost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Cluster, PATIENCE, until};
use crate::support::{all, asking, http, run};

/// Stands before a server, and loses the first answers to changes after the server gave them.
fn lossy(server: &str, lost: usize) -> String {
    let server: SocketAddr = server.strip_prefix("http://").unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut left = lost;
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let Some(request) = request_of(&mut client) else { continue };
            let mut upstream = TcpStream::connect(server).unwrap();
            upstream.set_read_timeout(Some(PATIENCE)).unwrap();
            upstream.write_all(&request).unwrap();
            let answer = answer_of(&mut upstream);
            let changes = !request.starts_with(b"GET");
            if changes && left > 0 {
                // Committed, and nobody will ever hear of it.
                left -= 1;
                continue;
            }
            let _ = client.write_all(&answer);
        }
    });
    address
}

/// Reads a request with a body of known length.
fn request_of(client: &mut TcpStream) -> Option<Vec<u8>> {
    message(client)
}

fn answer_of(server: &mut TcpStream) -> Vec<u8> {
    message(server).unwrap_or_default()
}

fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut piece = [0; 65536];
    loop {
        let count = stream.read(&mut piece).ok()?;
        if count == 0 {
            return None;
        }
        all.extend_from_slice(&piece[..count]);
        let Some(end) = all.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if all.len() >= end + 4 + length {
            return Some(all);
        }
    }
}

/// Accepts connections and answers nothing.
fn mute() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut held = Vec::new();
        held.extend(listener.incoming().flatten());
    });
    address
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_change_whose_answers_are_lost_is_made_once() {
    let cluster = Cluster::start(1);
    cluster.leader();
    let proxy = lossy(&http(&cluster, 1), 3);
    let folder = tempfile::tempdir().unwrap();
    run(&proxy, folder.path(), &["put", "-", "a"], b"0").good();
    let proxy = lossy(&http(&cluster, 1), 3);
    let done = run(&proxy, folder.path(), &["append", "a", "-", "-o", "json"], b"1").good().json();
    assert_eq!((done["size"].as_u64(), done["revision"].as_u64()), (Some(2), Some(2)));
    let proxy = lossy(&http(&cluster, 1), 1);
    run(&proxy, folder.path(), &["mv", "a", "b"], b"").good();
    let proxy = lossy(&http(&cluster, 1), 1);
    assert_eq!(run(&proxy, folder.path(), &["cat", "b"], b"").good().text(), "01");
    run(&proxy, folder.path(), &["rm", "b"], b"").good();
}

#[test]
fn a_change_that_nobody_answers_is_not_known() {
    let cluster = Cluster::start(1);
    cluster.leader();
    let proxy = lossy(&http(&cluster, 1), usize::MAX);
    let folder = tempfile::tempdir().unwrap();
    let put = run(&proxy, folder.path(), &["put", "-", "a", "--timeout", "500ms"], b"0");
    assert_eq!(put.code, 6, "{}", put.error);
    assert!(put.error.contains("not known"), "{}", put.error);
    // It was made: once.
    let stat = run(&proxy, folder.path(), &["stat", "a", "-o", "json"], b"").good().json();
    assert_eq!(stat["revision"], 1);
}

#[test]
fn appends_go_on_while_leaders_are_killed() {
    let mut cluster = Cluster::start(3);
    let endpoints = all(&cluster);
    let folder = tempfile::tempdir().unwrap();
    run(&endpoints, folder.path(), &["put", "-", "log"], b"").good();
    let mut expected = String::new();
    for number in 0..24 {
        let line = format!("{number}\n");
        if number == 8 || number == 16 {
            let leader = cluster.leader();
            let (endpoints, path) = (endpoints.clone(), folder.path().to_owned());
            let last = line.clone();
            let writing = thread::spawn(move || {
                run(&endpoints, &path, &["append", "log", "-"], last.as_bytes())
            });
            cluster.kill(leader);
            writing.join().unwrap().good();
            cluster.serve(leader, &[]);
        } else {
            run(&endpoints, folder.path(), &["append", "log", "-"], line.as_bytes()).good();
        }
        expected.push_str(&line);
    }
    assert_eq!(run(&endpoints, folder.path(), &["cat", "log"], b"").good().text(), expected);
}

#[test]
fn nobody_there_is_told_soon() {
    let endpoints = [nobody(), nobody(), nobody()].join(",");
    let folder = tempfile::tempdir().unwrap();
    let verbs = [
        &["ls"][..],
        &["cat", "a"],
        &["put", "-", "a"],
        &["rm", "a", "b"],
        &["status"],
        &["member", "list"],
        &["member", "remove", "1"],
        &["snapshot"],
        &["watch"],
    ];
    for verb in verbs {
        let began = Instant::now();
        let ran = run(&endpoints, folder.path(), verb, b"x");
        assert_eq!(ran.code, 4, "{verb:?}: {}", ran.error);
        assert!(ran.error.contains("refused"), "{verb:?}: {}", ran.error);
        assert!(began.elapsed() < Duration::from_secs(10), "{verb:?} took {:?}", began.elapsed());
    }
}

#[test]
fn whoever_does_not_answer_is_passed_by() {
    let cluster = Cluster::start(1);
    cluster.leader();
    let endpoints = [nobody(), http(&cluster, 1)].join(",");
    let folder = tempfile::tempdir().unwrap();
    run(&endpoints, folder.path(), &["put", "-", "a"], b"x").good();
    assert_eq!(run(&endpoints, folder.path(), &["cat", "a"], b"").good().text(), "x");
}

#[test]
fn silence_has_its_exit_codes() {
    let endpoints = mute();
    let folder = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| {
        let arguments = [arguments, &["--timeout", "300ms"]].concat();
        run(&endpoints, folder.path(), &arguments, b"x").code
    };
    assert_eq!(code(&["cat", "a"]), 124);
    assert_eq!(code(&["append", "a", "-"]), 6, "it may have been heard");
    assert_eq!(code(&["transfer"]), 6);
}

/// Interrupts the program once it has connected, and waits for its end.
fn interrupted(folder: &Path, signal: &str, arguments: &[&str]) -> (i32, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut child = asking(&endpoint, arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut piece = [0; 1024];
    assert!(stream.read(&mut piece).unwrap() > 0);
    let head = "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 100\r\n\r\nthe beginning";
    if arguments[0] == "get" {
        stream.write_all(head.as_bytes()).unwrap();
        // The file beside the destination is there when some of it has come.
        until("something is written", || std::fs::read_dir(folder).unwrap().next().map(|_| ()));
    }
    let kill = std::process::Command::new("kill");
    let status = { kill }.arg(format!("-{signal}")).arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    (child.wait().unwrap().code().unwrap(), error)
}

#[test]
fn an_interrupted_command_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (code, error) = interrupted(folder.path(), "INT", &["get", "a"]);
    assert_eq!((code, error.as_str()), (130, "jangada: interrupted\n"));
    assert_eq!(interrupted(folder.path(), "TERM", &["get", "a"]).0, 143);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A download that breaks off goes on where it ended.
#[test]
fn a_download_that_breaks_off_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let hash = blake3::hash(b"0123456789");
        let mut asked = Vec::new();
        for (status, length, part) in [("200 OK", 10, "0123"), ("206 Partial Content", 6, "456789")]
        {
            let (mut client, _) = listener.accept().unwrap();
            let request = request_of(&mut client).unwrap();
            asked.push(String::from_utf8(request).unwrap().to_lowercase());
            let head = format!(
                "HTTP/1.1 {status}\r\nETag: \"v\"\r\nX-Jangada-Hash: {hash}\r\n\
                 Content-Length: {length}\r\n\r\n{part}"
            );
            client.write_all(head.as_bytes()).unwrap();
        }
        asked
    });
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&endpoint, folder.path(), &["cat", "a"], b"").good();
    assert_eq!(ran.text(), "0123456789");
    let asked = serving.join().unwrap();
    assert!(!asked[0].contains("range:"), "{}", asked[0]);
    assert!(asked[1].contains("range: bytes=4-9") && asked[1].contains("if-match: \"v\""));
}

/// What does not hash to what it should is not put in place.
#[test]
fn a_damaged_download_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        request_of(&mut client).unwrap();
        let hash = blake3::hash(b"right");
        let head = format!(
            "HTTP/1.1 200 OK\r\nETag: \"v\"\r\nX-Jangada-Hash: {hash}\r\n\
             Content-Length: 5\r\n\r\nwrong"
        );
        client.write_all(head.as_bytes()).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "before").unwrap();
    let ran = run(&endpoint, folder.path(), &["get", "a"], b"");
    assert_eq!(ran.code, 1);
    assert!(ran.error.contains("hash"), "{}", ran.error);
    assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
