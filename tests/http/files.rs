//! Files: bodies, ranges, conditions, names, pages.

use std::io::Write;

use crate::process::Cluster;
use crate::wire::{Wire, ask, get};

/// So many bytes, none of them where another is expected.
fn content(size: usize) -> Vec<u8> {
    (0..size as u32 / 4 + 1).flat_map(u32::to_le_bytes).take(size).collect()
}

#[test]
fn a_body_of_any_size_comes_back_whole_and_in_parts() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let mut wire = Wire::to(&cluster, 1);
    for size in [0, 1, 262_143, 262_144, 262_145, 3_000_001] {
        let sent = content(size);
        let put = wire.ask("PUT", "/v1/files/a", &[], &sent).good();
        assert_eq!(put.json()["size"], size);
        let all = wire.ask("GET", "/v1/files/a", &[], b"").good();
        assert!(all.body == sent, "{size} bytes");
        let hash = blake3::hash(&sent).to_string();
        assert_eq!(all.header("x-jangada-hash"), Some(hash.as_str()));
        assert_eq!(put.json()["hash"], hash);
        let head = wire.ask("HEAD", "/v1/files/a", &[], b"");
        assert_eq!(head.header("content-length"), Some(size.to_string().as_str()));
        for (range, expected) in [
            (format!("bytes={}-", size / 2), &sent[size / 2..]),
            ("bytes=-5".to_owned(), &sent[size.saturating_sub(5)..]),
            (format!("bytes=0-{size}"), &sent[..]),
            (format!("bytes={}-{}", size / 3, size / 2), &sent[size / 3..size.min(size / 2 + 1)]),
        ] {
            let part = wire.ask("GET", "/v1/files/a", &[&format!("Range: {range}")], b"");
            if expected.is_empty() {
                assert_eq!(part.problem(), "range_not_satisfiable");
                assert_eq!(part.header("content-range"), Some("bytes */0"));
            } else {
                assert_eq!((part.status, part.body == expected), (206, true), "{size} {range}");
            }
        }
    }
}

#[test]
fn a_body_of_unknown_length_is_a_file_all_at_once() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let sent = content(700_000);
    for name in ["new", "grown"] {
        let mut wire = Wire::to(&cluster, 1);
        let (method, tail) = if name == "new" { ("PUT", "") } else { ("POST", "/append") };
        if name == "grown" {
            ask(&cluster, 1, "PUT", "/v1/files/grown", &[], b"first").good();
        }
        wire.send(format!("{method} /v1/files/{name}{tail} HTTP/1.1\r\nHost: localhost\r\n"));
        wire.send("Transfer-Encoding: chunked\r\n\r\n");
        let before = get(&cluster, 1, &format!("/v1/files/{name}"));
        for chunk in sent.chunks(100_003) {
            write!(wire.stream, "{:x}\r\n", chunk.len()).unwrap();
            wire.send(chunk);
            wire.send("\r\n");
        }
        assert_eq!(get(&cluster, 1, &format!("/v1/files/{name}")).body, before.body);
        wire.send("0\r\n\r\n");
        wire.answer().unwrap().good();
        let after = get(&cluster, 1, &format!("/v1/files/{name}")).good();
        assert!(after.body.ends_with(&sent) && after.body.len() - sent.len() < 6, "{name}");
    }
}

#[test]
fn conditions_hold_at_the_moment_of_the_change() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let mut wire = Wire::to(&cluster, 1);
    let first = wire.ask("PUT", "/v1/files/a", &["If-None-Match: *"], b"1").good();
    assert_eq!(first.status, 201);
    let etag = first.header("etag").unwrap().to_owned();
    let again = wire.ask("PUT", "/v1/files/a", &["If-None-Match: *"], b"2");
    assert_eq!((again.status, again.problem().as_str()), (412, "precondition_failed"));
    let held = format!("If-Match: {etag}");
    let grown = wire.ask("POST", "/v1/files/a/append", &[&held], b"2").good();
    assert_ne!(grown.header("etag"), Some(etag.as_str()));
    for (method, target, body) in [
        ("PUT", "/v1/files/a", &b"x"[..]),
        ("POST", "/v1/files/a/append", b"x"),
        ("POST", "/v1/files/a/rename", br#"{"to":"b"}"#),
        ("DELETE", "/v1/files/a", b""),
        ("GET", "/v1/files/a", b""),
        ("PUT", "/v1/files/none", b"x"),
    ] {
        let refused = wire.ask(method, target, &[&held], body);
        assert_eq!((refused.status, refused.problem().as_str()), (412, "precondition_failed"));
    }
    let known = format!("If-None-Match: {}", grown.header("etag").unwrap());
    assert_eq!(wire.ask("GET", "/v1/files/a", &[&known], b"").status, 304);
    assert_eq!(wire.ask("GET", "/v1/files/a", &["If-None-Match: \"x\""], b"").body, b"12");
    // A range of a version that is gone is not given: all of the file is.
    let ranges = ["Range: bytes=0-0", &format!("If-Range: {etag}")];
    assert_eq!(wire.ask("GET", "/v1/files/a", &ranges, b"").status, 200);
    let replaced = wire.ask("PUT", "/v1/files/a?replace=false", &[], b"x");
    assert_eq!((replaced.status, replaced.problem().as_str()), (409, "name_exists"));
}

#[test]
fn a_file_is_renamed_told_of_and_deleted() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let mut wire = Wire::to(&cluster, 1);
    let created = wire.ask("PUT", "/v1/files/a", &[], b"old").good().json();
    wire.ask("PUT", "/v1/files/b", &[], b"other").good();
    let taken = wire.ask("POST", "/v1/files/a/rename", &[], br#"{"to":"b"}"#);
    assert_eq!(taken.problem(), "name_exists");
    let renamed = wire.ask("POST", "/v1/files/a/rename", &[], br#"{"to":"c d/\u00e9"}"#).good();
    assert_eq!(renamed.header("location"), Some("/v1/files/c%20d%2F%C3%A9"));
    let stat = wire.ask("GET", "/v1/files/c%20d/%c3%a9/stat", &[], b"").good().json();
    assert_eq!((&stat["uuid"], &stat["revision"]), (&created["uuid"], &2.into()));
    let was = format!("/v1/files/a?at={}", created["index"]);
    assert_eq!(wire.ask("GET", &was, &[], b"").good().body, b"old");
    let uuid = format!("/v1/files/{}?by=any", created["uuid"].as_str().unwrap());
    assert_eq!(wire.ask("GET", &uuid, &[], b"").good().body, b"old");
    let gone = wire.ask("DELETE", "/v1/files/c%20d%2F%C3%A9", &[], b"");
    assert_eq!(gone.status, 204);
    for (method, target) in [
        ("GET", "/v1/files/a"),
        ("GET", "/v1/files/c%20d%2F%C3%A9/stat"),
        ("POST", "/v1/files/a/append"),
        ("DELETE", "/v1/files/a"),
    ] {
        let absent = wire.ask(method, target, &[], b"");
        assert_eq!((absent.status, absent.problem().as_str()), (404, "no_such_file"));
    }
}

#[test]
fn pages_hold_every_file_once_by_name() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let mut wire = Wire::to(&cluster, 1);
    let mut names: Vec<_> = (0..25).map(|number| format!("{}/x y", number * 7 % 25)).collect();
    for name in &names {
        let target = format!("/v1/files/{}", name.replace(' ', "%20"));
        wire.ask("PUT", &target, &[], name.as_bytes()).good();
    }
    names.sort();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = wire.ask("GET", &format!("/v1/files?limit=4{after}"), &[], b"").good().json();
        let files = page["files"].as_array().unwrap();
        listed.extend(files.iter().map(|file| file["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(files.len(), 4);
        after = format!("&after={}", next.replace('/', "%2F").replace(' ', "+"));
    }
    assert_eq!(listed, names);
    for bad in ["limit=0", "limit=501", "limit=x", "limt=1", "limit=1&limit=2"] {
        let refused = wire.ask("GET", &format!("/v1/files?{bad}"), &[], b"");
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_parameter"), "{bad}");
    }
}

/// Whatever a client does to a path, what gets through is a name, and one file has one.
#[test]
fn a_name_has_one_form() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let mut wire = Wire::to(&cluster, 1);
    for (one, other) in [("a/b", "a%2Fb"), ("%41", "A"), ("e%CC%81", "e%cc%81"), ("%2e.a", "..a")] {
        wire.ask("PUT", &format!("/v1/files/{one}"), &[], one.as_bytes()).good();
        let found = wire.ask("GET", &format!("/v1/files/{other}"), &[], b"").good();
        assert_eq!(found.body, one.as_bytes());
    }
    assert_eq!(wire.ask("GET", "/v1/files/%C3%A9", &[], b"").problem(), "no_such_file");
    for path in [
        "",
        "..",
        ".",
        "%2e%2e",
        "a/..%2f..%2fetc%2fpasswd",
        "../../etc/passwd",
        "a//b",
        "%2Fetc",
        "a%00b",
        "%0d%0aSet-Cookie:x",
        "%ff",
        "%",
        "%zz",
        "a/",
        "a%C0%AF..",
    ] {
        for method in ["PUT", "GET", "DELETE"] {
            let refused = wire.ask(method, &format!("/v1/files/{path}"), &[], b"x");
            assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_name"), "{path}");
        }
    }
    for to in ["../x", "", "/x", "a\\u0000"] {
        let body = format!(r#"{{"to":"{to}"}}"#);
        let refused = wire.ask("POST", "/v1/files/a%2Fb/rename", &[], body.as_bytes());
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_name"), "{to}");
    }
}
