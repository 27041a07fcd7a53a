//! What was acknowledged is there, whoever is killed.

use serde_json::json;

use crate::load::{Load, patient, with_runtime};
use crate::process::{Cluster, run, until};

/// The leader is killed with -9 again and again while eight clients write and read.
#[test]
fn nothing_acknowledged_is_lost_when_leaders_are_killed_under_load() {
    let mut cluster = Cluster::start(3);
    with_runtime(async {
        let load = Load::begin(&cluster, 8).await;
        load.kill_leaders(&mut cluster, 3, 200).await;
        let checked = load.end().await;
        assert!(checked.starts_with("linearizable: "), "{checked}");
    });
}

#[test]
fn all_servers_killed_at_once_have_what_they_acknowledged() {
    let mut cluster = Cluster::insecure(3);
    with_runtime(async {
        let load = Load::begin(&cluster, 4).await;
        load.goes_on(200).await;
        for id in [1, 2, 3] {
            cluster.kill(id);
        }
        for id in [1, 2, 3] {
            cluster.serve(id, &[]);
        }
        load.goes_on(200).await;
        load.end().await;
    });
}

/// A fourth server is told where the others are, and they learn from it where it is.
#[test]
fn a_fourth_server_joins_and_votes() {
    let mut cluster = Cluster::start(3);
    with_runtime(async {
        let client = patient(&cluster).await;
        client.load_bytes("notes.txt", "there before").await.expect("a write");
    });
    let (data, uuid) = (cluster.data(4), cluster.uuid.clone());
    let data = data.to_str().expect("a path");
    let (code, said, error) = run(&["join", "--id", "4", "--data", data, "--cluster", &uuid]);
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    let leader = cluster.leader();
    cluster.serve(4, &[]);
    let answer = cluster.post(leader, "/v1/cluster/members", &json!({"add": {"id": 4}}));
    assert!(answer.as_ref().is_some_and(|(code, _)| (200..300).contains(code)), "{answer:?}");
    until("server 4 votes", || {
        let status = cluster.status(4)?;
        let members = status["members"].as_array()?.clone();
        let four = members.into_iter().find(|member| member["id"] == 4)?;
        let recovered = status["recovering"] == false;
        (recovered && four["membership"] == "voter").then_some(())
    });
    // With two of the three others down it decides.
    cluster.kill(1);
    let leader = cluster.leader();
    assert_ne!(leader, 1);
    with_runtime(async {
        let client = patient(&cluster).await;
        assert_eq!(client.read_bytes("notes.txt").await.expect("a read"), "there before");
        client.append_bytes("notes.txt", ", and after").await.expect("a write");
        let own = client.at(jangada::raft::ServerId(4)).with(jangada::actors::Consistency::Stale);
        let deadline = tokio::time::Instant::now() + crate::process::PATIENCE;
        while own.read_bytes("notes.txt").await.is_ok_and(|it| it != "there before, and after") {
            assert!(tokio::time::Instant::now() < deadline, "server 4 does not have it");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
}
