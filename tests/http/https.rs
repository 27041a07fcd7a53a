//! HTTPS, with clients and among the servers.

use std::process::Command;

use crate::process::{Cluster, Founding, until};
use crate::wire::Wire;

/// Servers that speak HTTPS; nothing, where there is no curl to speak with.
fn serving(servers: u64) -> Option<Cluster> {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: there is no curl on this machine");
        return None;
    }
    let flags = &["--https"];
    Some(Cluster::found(Founding { servers, tls: true, flags, small_disk: None }))
}

/// What curl shows of an answer, with its version and status in a last line. It believes the
/// cluster's authority unless it is told otherwise.
fn curl(cluster: &Cluster, id: u64, more: &[&str], path: &str) -> String {
    let at = cluster.http(id);
    let port = at.rsplit(':').next().unwrap();
    let name = format!("server{id}.{}.jangada", cluster.uuid);
    let output = Command::new("curl")
        .args(["-sS", "-w", "\n%{http_version} %{http_code}"])
        .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
        .args(["--cacert", cluster.certs().join("ca.pem").to_str().unwrap()])
        .args(more)
        .arg(format!("https://{name}:{port}{path}"))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The leader that all servers follow.
fn leader(cluster: &Cluster) -> u64 {
    until("all servers follow one leader", || {
        let leaders = cluster.running().into_iter().map(|id| {
            let told = curl(cluster, id, &[], "/v1/cluster");
            let status: serde_json::Value = serde_json::from_str(told.lines().next()?).ok()?;
            status["leader"].as_u64()
        });
        let leaders: Option<Vec<_>> = leaders.collect();
        let leaders = leaders?;
        leaders.iter().all(|leader| *leader == leaders[0]).then_some(leaders[0])
    })
}

/// In both versions of HTTP, to whoever believes the cluster's authority.
#[test]
fn https_shows_the_certificate_of_the_cluster() {
    let Some(cluster) = serving(1) else { return };
    leader(&cluster);
    let large = cluster.path("large");
    std::fs::write(&large, vec![b'x'; 3 << 20]).unwrap();
    for version in ["1.1", "2"] {
        let flag = format!("--http{version}");
        let told = curl(&cluster, 1, &[&flag, "-T", large.to_str().unwrap()], "/v1/files/large");
        assert!(told.ends_with("201") || told.ends_with("200"), "{told}");
        let got = curl(&cluster, 1, &[&flag], "/v1/files/large");
        assert!(got.ends_with(&format!("x\n{version} 200")), "{}", &got[got.len() - 20..]);
        assert_eq!(got.len(), (3 << 20) + 5 + version.len());
        let told = curl(&cluster, 1, &[&flag], "/v1/files/../x");
        assert!(told.contains("no_such_route"), "{told}");
    }
    // Nobody else is believed, and nothing else is spoken.
    assert!(curl(&cluster, 1, &["--cacert", "/dev/null"], "/livez").ends_with("000"));
    let mut wire = Wire::to(&cluster, 1);
    wire.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(wire.take(9).is_none_or(|bytes| bytes != b"HTTP/1.1 "));
}

/// What only the leader can do, it is asked by the server that was asked, as without TLS.
#[test]
fn a_wish_reaches_the_leader_over_https() {
    let Some(cluster) = serving(3) else { return };
    let first = leader(&cluster);
    let (other, third) = (first % 3 + 1, (first + 1) % 3 + 1);
    let wish = |id, path: &str, body: &str| curl(&cluster, id, &["--data", body], path);
    let to_third = format!(r#"{{"to":{third}}}"#);
    let told = wish(other, "/v1/cluster/transfer?redirect=true", &to_third);
    assert!(told.contains("not_leader") && told.ends_with(" 307"), "{told}");
    until("the hand-over begins", || {
        let told = wish(other, "/v1/cluster/transfer", &to_third);
        // The third may be a little behind.
        assert!(told.ends_with(" 202") || told.contains("\"refused\""), "{told}");
        told.ends_with(" 202").then_some(())
    });
    until("the third leads", || (leader(&cluster) == third).then_some(()));
    // The answer is the leader's own.
    let told = wish(other, "/v1/cluster/members", r#"{"remove":1,"if":99999}"#);
    assert!(told.contains("\"refused\"") && told.ends_with(" 409"), "{told}");
    until("the leader may change members", || {
        let told = wish(other, "/v1/cluster/members", &format!(r#"{{"remove":{first}}}"#));
        told.ends_with(" 202").then_some(())
    });
    until("two members are left", || {
        let told = curl(&cluster, other, &[], "/v1/cluster");
        let status: serde_json::Value = serde_json::from_str(told.lines().next()?).ok()?;
        (status["members"].as_array()?.len() == 2).then_some(())
    });
}
