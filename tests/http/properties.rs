//! Whatever comes: no panic, no answer of class 5xx for what is the client's mistake, and every
//! problem is told as one. `fuzz/` has the same for what is below the sockets.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::process::Cluster;
use crate::wire::{Answer, Wire};

const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "BREW"];
const ROUTES: [&str; 14] = [
    "/v1/files",
    "/v1/files/",
    "/v1/files/a",
    "/v1/files/a/append",
    "/v1/files/a/rename",
    "/v1/files/a/stat",
    "/v1/cluster",
    "/v1/cluster/members",
    "/v1/cluster/transfer",
    "/v1/cluster/snapshot",
    "/v1/cluster/why",
    "/v1/chaos",
    "/metrics",
    "/",
];
const PARAMETERS: [&str; 9] =
    ["at", "consistency", "by", "replace", "redirect", "after", "limit", "q", "x"];
const HEADERS: [&str; 12] = [
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Range",
    "Idempotency-Key",
    "Last-Event-ID",
    "Content-Type",
    "Content-Encoding",
    "Authorization",
    "Origin",
    "Host",
    "X",
];

/// Text that some part of a request may be, or nearly.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9]{1,8}",
        "(%[0-9a-fA-F]{2}|%|\\.|/|[a-z]){0,12}",
        "\"[0-9a-f.-]{0,40}\"(, \\*)?",
        "bytes=[0-9]{0,20}-[0-9]{0,20}",
        "[0-9]{1,25}",
        "true|false|stale|lease|any|name",
        "[!-~]{0,40}",
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        "\\{\"(to|add|remove|voters|if|id)\":([0-9]{1,20}|\"[^\"]{0,9}\"|\\[1\\]|\\{\\})\\}"
            .prop_map(String::into_bytes),
        "[{}\\[\\]\":,a-z0-9]{0,60}".prop_map(String::into_bytes),
        "(why|cut|heal|kill|slow)( S[0-9])?( -> S[0-9])?".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..300),
    ]
}

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    target: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

fn request() -> impl Strategy<Value = Request> {
    let route = prop_oneof![
        3 => proptest::sample::select(&ROUTES[..]).prop_map(str::to_owned),
        2 => text().prop_map(|text| format!("/v1/files/{text}")),
        1 => text().prop_map(|text| format!("/{text}")),
    ];
    let query =
        proptest::collection::vec((proptest::sample::select(&PARAMETERS[..]), text()), 0..3);
    let header = (proptest::sample::select(&HEADERS[..]), text());
    let headers = proptest::collection::vec(header, 0..3);
    let method = proptest::sample::select(&METHODS[..]);
    (method, route, query, headers, body()).prop_map(|(method, route, query, headers, body)| {
        let query: Vec<_> =
            query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let target = format!("{route}{mark}{}", query.join("&"));
        let headers = headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        Request { method, target, headers, body }
    })
}

/// What every answer is like.
fn check(method: &str, answer: &Answer) -> Result<(), TestCaseError> {
    prop_assert!(answer.status < 500 || answer.status == 507, "{answer:?}");
    if answer.status >= 300 && answer.status != 304 && method != "HEAD" {
        answer.problem();
    }
    Ok(())
}

#[test]
fn any_request_is_answered_with_sense() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let open = RefCell::new(Wire::to(&cluster, 1));
    let mut runner = TestRunner::new(Config { cases: 1500, ..Config::default() });
    let result = runner.run(&request(), |Request { method, target, headers, body }| {
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let mut wire = open.borrow_mut();
        let host = headers.iter().any(|header| header.starts_with("Host:"));
        let own = if host { "" } else { "Host: localhost\r\n" };
        let mut head = format!("{method} {target} HTTP/1.1\r\n{own}");
        for header in headers {
            head = head + header + "\r\n";
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        wire.send([head.as_bytes(), &body].concat());
        let answer = wire.answer_to(method);
        let answer = answer.ok_or_else(|| TestCaseError::fail("the connection was closed"))?;
        if answer.header("connection") == Some("close") {
            *wire = Wire::to(&cluster, 1);
        }
        check(method, &answer)
    });
    result.unwrap();
    assert!(!cluster.log(1).contains("panicked"));
    open.borrow_mut().ask("PUT", "/v1/files/after", &[], b"all that").good();
}

#[test]
fn any_bytes_are_answered_or_waited_for() {
    let cluster = Cluster::insecure(1);
    cluster.leader();
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..200),
        "[A-Z]{1,6} [!-~]{0,20} HTTP/1\\.[01]\r\n([A-Za-z-]{1,12}:? ?[ -~]{0,20}\r\n){0,4}\r\n"
            .prop_map(String::into_bytes),
    ];
    // A body in chunks that are none, or end too early.
    let chunked = "(([0-9a-fA-F]{1,3}|[0-9a-f]{17}|-1|)(;[a-z=]{0,5})?\r\n[ -~]{0,20}\r\n){0,4}"
        .prop_map(|body| {
            let head = "PUT /v1/files/f HTTP/1.1\r\nHost: localhost\r\n";
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
        });
    let result = runner.run(&prop_oneof![bytes, chunked], |bytes| {
        let mut wire = Wire::to(&cluster, 1);
        wire.send(&bytes);
        wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let method = if bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        match wire.answer_to(method) {
            Some(answer) => check(method, &answer),
            None => Ok(()),
        }
    });
    result.unwrap();
    assert!(!cluster.log(1).contains("panicked"));
}
