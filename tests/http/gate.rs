//! Who may: hosts, origins, tokens.

use jangada::http::hash_token;

use crate::process::Cluster;
use crate::wire::{Answer, Wire, ask};

/// What comes back for these headers alone.
fn raw(cluster: &Cluster, headers: &str) -> Answer {
    let mut wire = Wire::to(cluster, 1);
    wire.send(format!("GET /v1/files HTTP/1.1\r\n{headers}\r\n"));
    wire.answer().unwrap()
}

#[test]
fn a_server_answers_to_its_own_names_alone() {
    let cluster = Cluster::alone(&["--http-hosts", "files.example.org, other.example"]);
    for own in ["localhost", "127.0.0.1:1", "[::1]", "FILES.example.org:80", "other.example."] {
        assert_eq!(raw(&cluster, &format!("Host: {own}\r\n")).status, 200, "{own}");
    }
    for (headers, status, code) in [
        ("Host: evil.example\r\n", 403, "host_refused"),
        ("Host: localhost.evil.example\r\n", 403, "host_refused"),
        ("Host: \r\n", 403, "host_refused"),
        ("Host: localhost\r\nHost: localhost\r\n", 400, "bad_request"),
        ("", 400, "bad_request"),
        ("Host: \u{e9}\r\n", 403, "host_refused"),
        ("Host: localhost@evil.example\r\n", 403, "host_refused"),
    ] {
        let refused = raw(&cluster, headers);
        assert_eq!((refused.status, refused.problem().as_str()), (status, code), "{headers:?}");
    }
    // What the request names counts, whatever the header says.
    let mut wire = Wire::to(&cluster, 1);
    wire.send("GET http://evil.example/v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(wire.answer().unwrap().problem(), "host_refused");
}

#[test]
fn a_page_asks_where_it_may() {
    let cluster = Cluster::alone(&["--http-origins", "https://app.example"]);
    let own = cluster.http(1);
    let with = |headers: &[&str]| ask(&cluster, 1, "GET", "/v1/files", headers, b"");
    with(&[&format!("Origin: http://{own}")]).good();
    let allowed = with(&["Origin: https://app.example"]).good();
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
    for other in ["https://evil.example", "null", "http://app.example", "https://app.example:1", ""]
    {
        let refused = with(&[&format!("Origin: {other}")]);
        assert_eq!((refused.status, refused.problem().as_str()), (403, "origin_refused"));
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    let asked = ["Origin: https://app.example", "Access-Control-Request-Method: PUT"];
    let may = ask(&cluster, 1, "OPTIONS", "/v1/files/a", &asked, b"");
    assert_eq!(may.status, 204);
    assert!(may.header("access-control-allow-methods").unwrap().contains("PUT"));
    assert!(may.header("access-control-allow-headers").unwrap().contains("if-match"));
}

#[test]
fn a_token_may_what_its_roles_say() {
    let mut cluster = Cluster::insecure(1);
    cluster.kill(1);
    let path = cluster.path("tokens");
    let line = |name: &str, roles: &str, more: &str| {
        format!("{name} {roles} {}{more}\n", hash_token(&format!("{name}-secret")))
    };
    let tokens = [
        line("reader", "read", ""),
        line("writer", "write", ""),
        line("boss", "read,admin", ""),
        line("monkey", "chaos", ""),
        line("slow", "read", " 3/s"),
    ];
    std::fs::write(&path, format!("# who may\n{}", tokens.concat())).unwrap();
    cluster.serve(1, &["--chaos", "--tokens", path.to_str().unwrap()]);
    let asked = |token: Option<&str>, method: &str, target: &str, body: &str| {
        let header = token.map(|token| format!("Authorization: Bearer {token}-secret"));
        let headers: Vec<_> = header.iter().map(String::as_str).collect();
        ask(&cluster, 1, method, target, &headers, body.as_bytes())
    };
    crate::process::until("it leads", || {
        (asked(Some("boss"), "GET", "/v1/cluster", "").json()["role"] == "leader").then_some(())
    });
    let cases = [
        ("PUT", "/v1/files/a", "x", "writer"),
        ("POST", "/v1/files/a/append", "x", "writer"),
        ("GET", "/v1/files/a", "", "reader"),
        ("GET", "/v1/files/a/stat", "", "reader"),
        ("GET", "/v1/files", "", "reader"),
        ("POST", "/v1/files/a/rename", r#"{"to":"b"}"#, "writer"),
        ("DELETE", "/v1/files/b", "", "writer"),
        ("GET", "/v1/cluster", "", "reader"),
        ("GET", "/metrics", "", "reader"),
        ("POST", "/v1/cluster/snapshot", "", "boss"),
        ("POST", "/v1/chaos", "heal", "monkey"),
    ];
    for (method, target, body, who) in cases {
        for token in ["reader", "writer", "boss", "monkey"] {
            let answer = asked(Some(token), method, target, body);
            let may = token == who || (token == "boss" && who == "reader");
            match may {
                true => drop(answer.good()),
                false => {
                    assert_eq!(answer.problem(), "forbidden", "{token} {method} {target}");
                    assert!(answer.json()["detail"].as_str().unwrap().contains(token));
                }
            }
        }
        let nobody = asked(None, method, target, body);
        assert_eq!((nobody.status, nobody.problem().as_str()), (401, "unauthorized"), "{target}");
        assert!(nobody.header("www-authenticate").unwrap().starts_with("Bearer"));
        assert_eq!(asked(Some("stranger"), method, target, body).problem(), "unauthorized");
    }
    crate::process::until("it is ready", || {
        (asked(None, "GET", "/readyz", "").status == 200).then_some(())
    });
    for open in ["/livez", "/version", "/openapi.json"] {
        asked(None, "GET", open, "").good();
    }
    let many: Vec<_> = (0..6).map(|_| asked(Some("slow"), "GET", "/v1/files", "")).collect();
    let refused = many.iter().find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too_many_requests"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    asked(Some("reader"), "GET", "/v1/files", "").good();
    // Secrets are in no log.
    assert!(!cluster.log(1).contains("-secret"));
}
