//! How a server begins, and how it ends.

use std::time::Duration;

use crate::load::{Load, patient, with_runtime};
use crate::process::{Cluster, run, until};

/// The leader hands over, so that clients hardly notice, and ends in time.
#[test]
fn sigterm_ends_a_leader_in_good_order_within_five_seconds() {
    let mut cluster = Cluster::start(3);
    with_runtime(async {
        let load = Load::begin(&cluster, 4).await;
        load.goes_on(100).await;
        let leader = cluster.leader();
        let term = cluster.status(leader).expect("it answers")["term"].as_u64().expect("a term");
        cluster.signal(leader, "TERM");
        let (ended, took) = cluster.wait(leader);
        assert_eq!(ended.code(), Some(0), "{}", cluster.log(leader));
        assert!(took < Duration::from_secs(5), "it took {took:?}");
        assert!(cluster.log(leader).contains("hands over to"), "{}", cluster.log(leader));
        let next = cluster.leader();
        let now = cluster.status(next).expect("it answers")["term"].as_u64();
        assert_eq!(now, Some(term + 1), "one election is all that it took");
        load.goes_on(100).await;
        load.end().await;
    });
}

#[test]
fn a_server_says_whether_it_is_ready() {
    let mut cluster = Cluster::start(3);
    cluster.leader();
    for id in [1, 2, 3] {
        until("it is ready", || (cluster.get(id, "/readyz")?.0 == 200).then_some(()));
        assert_eq!(cluster.get(id, "/livez").map(|(code, _)| code), Some(200));
    }
    cluster.kill(1);
    cluster.kill(2);
    let (_, why) = until("a server without a quorum is not ready", || {
        cluster.get(3, "/readyz").filter(|(code, _)| *code == 503)
    });
    assert!(why.contains("no leader"), "{why}");
    assert_eq!(cluster.get(3, "/livez").map(|(code, _)| code), Some(200), "it lives all the same");
}

#[test]
fn a_server_tells_its_metrics() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    with_runtime(async {
        let client = patient(&cluster).await;
        client.load_bytes("notes.txt", "some").await.expect("a write");
    });
    until("the metrics tell of the leader", || {
        let (_, text) = cluster.get(leader, "/metrics")?;
        let has = |line: &str| text.lines().any(|it| it.starts_with(line));
        let told = has("jangada_raft_is_leader 1")
            && has("jangada_raft_term ")
            && has("jangada_elections_total ")
            && has("jangada_apply_seconds_bucket{le=")
            && has("jangada_disk_sync_seconds_count ")
            && has("jangada_peer_round_trip_seconds{peer=")
            && has("jangada_peer_lag_entries{peer=")
            && text.ends_with("# EOF\n");
        told.then_some(())
    });
}

/// Two processes on one directory would vote twice.
#[test]
fn a_directory_has_one_process_at_a_time() {
    let cluster = Cluster::start(1);
    let data = cluster.data(1);
    let data = data.to_str().expect("a path");
    let serve = ["serve", "--id", "1", "--data", data, "--insecure"];
    let (code, _, error) = run(&[&serve[..], &["--listen", "127.0.0.1:0"]].concat());
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path");
    let (code, ..) = run(&["init", "--id", "1", "--data", data, "--voters", "1"]);
    assert_eq!(code, 0);
    let serve = ["serve", "--id", "1", "--data", data, "--insecure"];
    for (listen, http) in [(at.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", at.as_str())] {
        let (code, _, error) = run(&[&serve[..], &["--listen", listen, "--http", http]].concat());
        assert_eq!(code, 4, "{error}");
        assert!(error.contains(&at), "{error}");
    }
}

/// With json, every line is an object.
#[test]
fn the_log_can_be_read_by_programs() {
    let mut cluster = Cluster::start(1);
    cluster.leader();
    cluster.kill(1);
    std::fs::remove_file(cluster.data(1).with_extension("log")).expect("the log so far");
    cluster.serve(1, &["--log-format", "json"]);
    cluster.leader();
    cluster.signal(1, "INT");
    let (ended, _) = cluster.wait(1);
    assert_eq!(ended.code(), Some(0));
    let log = cluster.log(1);
    let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<_> = lines.collect::<Result<_, _>>().unwrap_or_else(|_| panic!("{log}"));
    let leads = lines.iter().find(|line| line["role"] == "leader").expect("it leads");
    assert!(leads["term"].is_u64() && leads["level"] == "info", "{leads}");
    assert_eq!(lines.last().expect("a line")["message"], "S1 stopped");
}
