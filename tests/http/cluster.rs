//! Any server answers: by itself, by the leader, or by saying where that is.

use std::io::Read;

use crate::process::{Cluster, until};
use crate::wire::{Wire, ask, get};

const CLIENT: &str = "4f4c0f3a-0000-4000-8000-000000000001";

fn follower(cluster: &Cluster, leader: u64) -> u64 {
    cluster.running().into_iter().find(|id| *id != leader).unwrap()
}

#[test]
fn any_server_answers_and_sends_to_the_leader_who_likes_that_better() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    for id in 1..=3 {
        let name = format!("/v1/files/{id}");
        ask(&cluster, id, "PUT", &name, &[], b"0").good();
        ask(&cluster, id, "POST", &format!("{name}/append"), &[], b"1").good();
        for reader in 1..=3 {
            for consistency in ["linearizable", "lease"] {
                let target = format!("{name}?consistency={consistency}");
                assert_eq!(get(&cluster, reader, &target).good().body, b"01");
            }
            let target = format!("{name}?consistency=stale");
            until("it has been applied everywhere", || {
                (get(&cluster, reader, &target).body == b"01").then_some(())
            });
        }
        let there = ask(&cluster, id, "PUT", &format!("{name}?redirect=true"), &[], b"2");
        let list = get(&cluster, id, "/v1/files?redirect=true&limit=5");
        if id == leader {
            assert_eq!((there.status, list.status), (200, 200));
            continue;
        }
        let place = |target: &str| format!("http://{}{target}", cluster.http(leader));
        assert_eq!((there.status, list.status), (307, 307));
        assert_eq!(there.header("location"), Some(&*place(&format!("{name}?redirect=true"))));
        assert_eq!(list.header("location"), Some(&*place("/v1/files?redirect=true&limit=5")));
        assert_eq!(there.problem(), "not_leader");
        assert_eq!(there.json()["leader"]["id"], leader);
        assert_eq!(there.json()["leader"]["address"], cluster.http(leader));
    }
}

/// Has the leadership handed over, as soon as there is somebody to take it.
fn transfer(cluster: &Cluster, id: u64, body: &str) {
    until("the hand-over begins", || {
        let asked = ask(cluster, id, "POST", "/v1/cluster/transfer", &[], body.as_bytes());
        match asked.status {
            202 => Some(()),
            _ => (asked.problem() != "refused").then(|| panic!("{asked:?}")),
        }
    });
}

#[test]
fn a_wish_reaches_the_leader_from_anywhere() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let other = follower(&cluster, leader);
    let third = 6 - leader - other;
    let body = format!(r#"{{"to":{third}}}"#);
    let to_leader =
        ask(&cluster, other, "POST", "/v1/cluster/transfer?redirect=true", &[], body.as_bytes());
    assert_eq!((to_leader.status, to_leader.problem().as_str()), (307, "not_leader"));
    transfer(&cluster, other, &body);
    until("the third leads", || (cluster.leader() == third).then_some(()));
    let at = cluster.status(third).unwrap()["configuration_index"].as_u64().unwrap();
    let members =
        |id, body: String| ask(&cluster, id, "POST", "/v1/cluster/members", &[], body.as_bytes());
    let late = members(other, format!(r#"{{"remove":{other},"if":{}}}"#, at + 99));
    assert_eq!((late.status, late.problem().as_str()), (409, "refused"));
    for (bad, code) in [
        ("{}", "bad_body"),
        ("{", "bad_body"),
        ("", "bad_body"),
        (r#"{"remove":1,"voters":[1]}"#, "bad_body"),
        (r#"{"remove":1,"by":2}"#, "bad_body"),
        (r#"{"remove":100}"#, "bad_body"),
        (r#"{"remove":-1}"#, "bad_body"),
    ] {
        let refused = members(other, bad.to_owned());
        assert_eq!((refused.status, refused.problem().as_str()), (400, code), "{bad}");
    }
    // It may, once it has committed an entry of its term.
    until("the third changes the members", || {
        let asked = members(leader, format!(r#"{{"remove":{leader},"if":{at}}}"#));
        (asked.status == 202).then_some(())
    });
    until("it has left", || {
        let status = cluster.status(third)?;
        (status["members"].as_array()?.len() == 2).then_some(())
    });
    assert_eq!(ask(&cluster, other, "POST", "/v1/cluster/snapshot", &[], b"").status, 202);
    until("it is taken", || (cluster.status(other)?["snapshot_index"].as_u64()? > 0).then_some(()));
}

/// What reached the leader is asked for again at another server when the leader is gone.
#[test]
fn a_change_under_a_key_is_made_once_though_its_leader_is_killed() {
    let mut cluster = Cluster::start(3);
    let mut leader = cluster.leader();
    ask(&cluster, leader, "PUT", "/v1/files/log", &[], b"").good();
    let key = |serial: usize| match serial % 2 {
        0 => format!("Idempotency-Key: {CLIENT}:{serial}"),
        _ => format!("Idempotency-Key: \"drawn-for-{serial}\""),
    };
    for serial in 0..6 {
        let line = format!("{serial}\n");
        let asked = |cluster: &Cluster, id, wait: bool| {
            let mut wire = Wire::to(cluster, id);
            let head = format!(
                "POST /v1/files/log/append HTTP/1.1\r\nHost: localhost\r\n{}\r\n\
                 Content-Length: {}\r\n\r\n{line}",
                key(serial),
                line.len()
            );
            wire.send(head);
            if wait { wire.answer() } else { None }
        };
        // Once without waiting for an answer, so that it may be anywhere when the leader is killed.
        asked(&cluster, leader, serial % 3 == 0);
        cluster.kill(leader);
        let other = cluster.running()[serial % 2];
        let first = until("somebody answers", || {
            asked(&cluster, other, true).filter(|answer| answer.status == 200)
        });
        let again = asked(&cluster, cluster.running()[0], true).unwrap().good();
        for key in ["uuid", "size", "added", "revision"] {
            assert_eq!(first.json()[key], again.json()[key]);
        }
        assert_eq!(first.json()["revision"], serial + 2);
        cluster.serve(leader, &[]);
        leader = cluster.leader();
    }
    assert_eq!(get(&cluster, leader, "/v1/files/log").good().body, b"0\n1\n2\n3\n4\n5\n");
    let other = ask(&cluster, leader, "POST", "/v1/files/log/append", &[&key(4)], b"other");
    assert_eq!((other.status, other.problem().as_str()), (422, "key_reused"));
    for bad in ["", "a b", &"x".repeat(300)] {
        let header = format!("Idempotency-Key: {bad}");
        let refused = ask(&cluster, leader, "POST", "/v1/files/log/append", &[&header], b"x");
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_header"), "{bad}");
    }
}

#[test]
fn without_a_quorum_the_problem_says_so() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let left = follower(&cluster, leader);
    ask(&cluster, left, "PUT", "/v1/files/a", &[], b"kept").good();
    until("it has been applied there", || {
        (get(&cluster, left, "/v1/files/a?consistency=stale").status == 200).then_some(())
    });
    let other = 6 - leader - left;
    cluster.kill(leader);
    cluster.kill(other);
    let refused = ask(&cluster, left, "PUT", "/v1/files/a", &[], b"x");
    assert!([503, 504].contains(&refused.status), "{refused:?}");
    assert!(refused.header("retry-after").is_some());
    refused.problem();
    let stale = get(&cluster, left, "/v1/files/a?consistency=stale");
    assert_eq!(stale.good().body, b"kept");
    until("it is not ready", || {
        let ready = get(&cluster, left, "/readyz");
        (ready.status == 503 && ready.problem() == "not_ready").then_some(())
    });
    get(&cluster, left, "/livez").good();
}

/// The lines of events that come until one begins so.
fn events(wire: &mut Wire, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let chunk = wire.chunk().expect("the watch goes on");
        lines.extend(String::from_utf8(chunk).unwrap().lines().map(str::to_owned));
        if lines.iter().any(|line| line.contains(last)) {
            return lines;
        }
    }
}

/// A watch that has begun.
fn watch(cluster: &Cluster, id: u64, target: &str, more: &str) -> Wire {
    let mut wire = Wire::to(cluster, id);
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"));
    let mut lines = Vec::new();
    loop {
        let line = wire.line().unwrap().trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    assert!(lines[0].contains("200") && lines.contains(&"content-type: text/event-stream".into()));
    wire
}

#[test]
fn a_watch_goes_on_at_another_server_where_it_ended() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let change = |cluster: &Cluster, id, name: &str| {
        ask(cluster, id, "PUT", &format!("/v1/files/{name}"), &[], b"x").good().json()
    };
    let other = follower(&cluster, leader);
    let mut wire = watch(&cluster, leader, "/v1/watch?prefix=a", "");
    change(&cluster, other, "b/1");
    let first = change(&cluster, other, "a/1")["index"].as_u64().unwrap();
    let lines = events(&mut wire, "a/1");
    assert!(!lines.iter().any(|line| line.contains("b/1")), "{lines:?}");
    assert!(lines.contains(&format!("id: {first}")), "{lines:?}");
    cluster.kill(leader);
    until("somebody leads", || {
        let put = ask(&cluster, other, "PUT", "/v1/files/a/2", &[], b"x");
        (put.status < 300).then_some(())
    });
    let mut rest = String::new();
    let _ = wire.stream.read_to_string(&mut rest);
    let seen = format!("Last-Event-ID: {first}\r\n");
    let mut wire = watch(&cluster, other, "/v1/watch?prefix=a", &seen);
    change(&cluster, other, "a/3");
    let lines = events(&mut wire, "a/3").join("\n");
    assert!(!lines.contains("a/1") && lines.matches("\"a/2\"").count() >= 1, "{lines}");
    let bad = ask(&cluster, other, "GET", "/v1/watch", &["Last-Event-ID: x"], b"");
    assert_eq!((bad.status, bad.problem().as_str()), (400, "bad_header"));
    // A server that stops in good order ends its watches.
    cluster.signal(other, "TERM");
    let mut rest = Vec::new();
    wire.stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    assert!(cluster.wait(other).0.success());
}

#[test]
fn a_server_tells_why_it_leads_no_more() {
    let cluster = Cluster::insecure(3);
    let leader = cluster.leader();
    let why = |id, question: &str| get(&cluster, id, &format!("/v1/cluster/why?{question}"));
    let question = format!("q=why+S{leader}+lost+leadership");
    let before = String::from_utf8(why(leader, &question).good().body).unwrap();
    transfer(&cluster, leader, "");
    until("another leads", || (cluster.leader() != leader).then_some(()));
    let told = String::from_utf8(why(leader, &question).good().body).unwrap();
    assert!(told.contains(&format!("S{leader}")) && told != before, "{before}\n{told}");
    for bad in ["", "q=", "q=S1", "q=why+S1+sings", "q=cut+S1+S2", "q=why+no-leader&x=1"] {
        let refused = why(leader, bad);
        assert_eq!((refused.status, refused.problem().as_str()), (400, "bad_parameter"), "{bad}");
    }
}

#[test]
fn chaos_is_for_those_servers_that_allow_it() {
    let mut cluster = Cluster::insecure(1);
    cluster.leader();
    let order = |cluster: &Cluster, order: &str| {
        ask(cluster, 1, "POST", "/v1/chaos", &[], order.as_bytes())
    };
    let refused = order(&cluster, "cut S1 -> S2");
    assert_eq!((refused.status, refused.problem().as_str()), (403, "forbidden"));
    cluster.kill(1);
    cluster.serve(1, &["--chaos"]);
    for bad in ["", "flood S1", "kill S1", "\u{0}", "propose x"] {
        let refused = order(&cluster, bad);
        assert!([400, 409].contains(&refused.status), "{bad}: {refused:?}");
        refused.problem();
    }
}
