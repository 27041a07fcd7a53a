//! Bounds: of bodies, of time, of rates, of connections.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::process::{Cluster, Founding, until};
use crate::wire::{Wire, ask, get};

/// Memory of a server that is not shared, in bytes.
fn memory(cluster: &Cluster) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.process(1))).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_body_that_is_too_large_is_refused_and_the_client_hears_it() {
    let cluster = Cluster::alone(&["--http-body", "1MiB"]);
    let mut wire = Wire::to(&cluster, 1);
    wire.ask("PUT", "/v1/files/a", &[], &vec![7; 1 << 20]).good();
    let body = vec![7; (1 << 20) + 1];
    let refused = wire.ask("PUT", "/v1/files/b", &[], &body);
    assert_eq!((refused.status, refused.problem().as_str()), (413, "too_large"));
    // Of unknown length: it is refused when it has become too large.
    let mut wire = Wire::to(&cluster, 1);
    wire.send("PUT /v1/files/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..17 {
        wire.send(format!("10000\r\n{}\r\n", "x".repeat(65536)));
    }
    let refused = wire.answer().unwrap();
    assert_eq!((refused.status, refused.problem().as_str()), (413, "too_large"));
    assert_eq!(get(&cluster, 1, "/v1/files/b").problem(), "no_such_file");
    // A body in JSON is small.
    let large = format!(r#"{{"to":"{}"}}"#, "x".repeat(20_000));
    let refused = ask(&cluster, 1, "POST", "/v1/files/a/rename", &[], large.as_bytes());
    assert_eq!((refused.status, refused.problem().as_str()), (413, "too_large"));
    let encoded = ask(&cluster, 1, "PUT", "/v1/files/b", &["Content-Encoding: gzip"], b"x");
    assert_eq!((encoded.status, encoded.problem().as_str()), (400, "bad_header"));
}

#[test]
fn a_client_that_is_too_slow_is_not_waited_for() {
    let cluster = Cluster::alone(&["--http-silence", "500ms", "--http-headers-timeout", "500ms"]);
    // Headers, of the first request and of a later one.
    let mut wire = Wire::to(&cluster, 1);
    wire.send("GET /v1/files HTTP/1.1\r\nHost: ");
    let slow = wire.answer().unwrap();
    assert_eq!((slow.status, slow.problem().as_str()), (408, "too_slow"));
    let mut wire = Wire::to(&cluster, 1);
    wire.ask("GET", "/v1/files", &[], b"").good();
    let began = Instant::now();
    wire.send("GET /v1/files HTTP/1.1\r\nHost: ");
    assert!(wire.answer().is_none_or(|answer| answer.status == 408));
    assert!(began.elapsed() >= Duration::from_millis(400), "it had no time at all");
    // A body, of known length and of unknown, small and large.
    let chunk = format!("50000\r\n{}\r\n", "x".repeat(0x50000));
    for body in ["Content-Length: 5\r\n\r\nab", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"]
        .into_iter()
        .map(str::to_owned)
        .chain([format!("Transfer-Encoding: chunked\r\n\r\n{chunk}")])
    {
        let mut wire = Wire::to(&cluster, 1);
        wire.send(format!("PUT /v1/files/slow HTTP/1.1\r\nHost: localhost\r\n{body}"));
        let slow = wire.answer().unwrap();
        assert_eq!((slow.status, slow.problem().as_str()), (408, "too_slow"));
    }
    // One that breaks off leaves nothing.
    let mut wire = Wire::to(&cluster, 1);
    wire.send("PUT /v1/files/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab");
    drop(wire);
    assert_eq!(get(&cluster, 1, "/v1/files/slow").problem(), "no_such_file");
}

/// Whoever takes nothing of an answer, or next to nothing, is closed, and its memory is free again.
#[test]
fn a_client_that_does_not_read_is_closed() {
    let cluster = Cluster::alone(&["--http-silence", "700ms"]);
    let size = 24 << 20;
    ask(&cluster, 1, "PUT", "/v1/files/large", &[], &vec![7; size]).good();
    let mut wires: Vec<_> = (0..4).map(|_| Wire::to(&cluster, 1)).collect();
    for wire in &mut wires {
        wire.send("GET /v1/files/large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    let metric = |name: &str| {
        let text = String::from_utf8(get(&cluster, 1, "/metrics").good().body).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    until("all are closed", || (metric("jangada_http_connections ") <= 1.0).then_some(()));
    for wire in &mut wires {
        let (mut all, mut bytes) = (0, [0; 65536]);
        while let Ok(count @ 1..) = wire.stream.read(&mut bytes) {
            all += count;
        }
        assert!(all < size, "it was sent all of it");
    }
    // One that reads gets all, however often it pauses for a moment.
    let mut wire = Wire::to(&cluster, 1);
    wire.send("GET /v1/files/large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while wire.line().unwrap() != "\r\n" {}
    for _ in 0..24 {
        wire.take(1 << 20).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn connections_and_requests_are_bounded() {
    let cluster =
        Cluster::alone(&["--http-connections", "4", "--http-rate", "20", "--http-workers", "1"]);
    let mut wires: Vec<_> = (0..4).map(|_| Wire::to(&cluster, 1)).collect();
    for wire in &mut wires {
        wire.ask("GET", "/livez", &[], b"").good();
    }
    let mut waiting = Wire::to(&cluster, 1);
    waiting.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    waiting.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.stream.peek(&mut [0]).is_err(), "there were more connections");
    let mut first = wires.remove(0);
    let answers: Vec<_> = (0..40).map(|_| first.ask("GET", "/v1/files", &[], b"")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(refused.len() >= 10, "{}", refused.len());
    for answer in refused {
        assert_eq!((answer.status, answer.problem().as_str()), (429, "too_many_requests"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Whoever looks after the server is answered all the same.
    first.ask("GET", "/livez", &[], b"").good();
    drop(first);
    waiting.stream.set_read_timeout(Some(crate::process::PATIENCE)).unwrap();
    waiting.answer().unwrap().good();
}

#[test]
fn what_is_no_http_is_told_so() {
    let cluster = Cluster::alone(&[]);
    for (sent, status, code) in [
        ("\r\n\r\n\r\nHELLO\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost localhost\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX: \u{0}\r\n\r\n".to_owned(), 400, "bad_request"),
        (
            "PUT /v1/files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(),
            400,
            "bad_request",
        ),
        (
            "PUT /v1/files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\
             Content-Length: 2\r\n\r\nab"
                .to_owned(),
            400,
            "bad_request",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(140_000)),
            431,
            "headers_too_large",
        ),
    ] {
        let mut wire = Wire::to(&cluster, 1);
        wire.send(&sent);
        let answer = wire.answer().unwrap();
        let start = &sent[..sent.len().min(60)];
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{start:?}");
    }
}

/// Contents are in the store's memory for now, or on its disk; on their way they take a few MiB.
#[test]
fn many_uploads_at_once_take_little_memory() {
    let cluster = Cluster::alone(&[]);
    let before = memory(&cluster);
    let mut wires: Vec<_> = (0..8).map(|_| Wire::to(&cluster, 1)).collect();
    let size = 1 << 30;
    for (number, wire) in wires.iter_mut().enumerate() {
        wire.send(format!(
            "PUT /v1/files/{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        ));
        // All that is sent of each is in the cluster, or on its way.
        wire.send(vec![7; 2 << 20]);
    }
    let during = until("it has come", || {
        let text = get(&cluster, 1, "/livez");
        (text.status == 200).then(|| memory(&cluster))
    });
    assert!(during - before < 8 * (16 << 20), "{} MiB", (during - before) >> 20);
}

/// A server that has not served anybody yet has no session: requests that come together are spread
/// over several before the first is open, as none has room for the answers to all.
#[test]
fn a_burst_at_a_server_that_has_served_nobody_is_answered() {
    let flags = &["--http-workers", "1"];
    let cluster = Cluster::found(Founding { servers: 3, tls: true, flags, small_disk: None });
    let follower = cluster.leader() % 3 + 1;
    let mut wires: Vec<_> = (0..800).map(|_| Wire::to(&cluster, follower)).collect();
    // While it stands still all of them get there.
    cluster.signal(follower, "STOP");
    for (number, wire) in wires.iter_mut().enumerate() {
        let head = format!("PUT /v1/files/{number} HTTP/1.1\r\nHost: localhost\r\n");
        wire.send(format!("{head}Content-Length: 5\r\n\r\nhello"));
    }
    cluster.signal(follower, "CONT");
    for wire in &mut wires {
        let answer = wire.answer().expect("an answer");
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    }
}
