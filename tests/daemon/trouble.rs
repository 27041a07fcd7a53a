//! What is done to a cluster of processes, and to their disks.

use serde_json::json;

use crate::load::{Load, connect, patient, with_runtime};
use crate::process::{Cluster, Founding, until};

/// Links are cut by the servers themselves, and no client is told anything wrong meanwhile.
#[test]
fn a_leader_that_is_cut_off_is_deposed_and_comes_back() {
    let mut cluster = Cluster::start(3);
    for id in [1, 2, 3] {
        cluster.kill(id);
    }
    for id in [1, 2, 3] {
        cluster.serve(id, &["--chaos"]);
    }
    let cluster = cluster;
    with_runtime(async {
        let load = Load::begin(&cluster, 4).await;
        load.goes_on(100).await;
        let old = cluster.leader();
        order(&cluster, &format!("cut {old} <-> all"));
        until("the others elect another", || {
            let others = [1, 2, 3].into_iter().filter(|id| *id != old);
            let mut leaders = others.map(|id| cluster.status(id)?["leader"].as_u64());
            leaders.all(|leader| leader.is_some_and(|leader| leader != old)).then_some(())
        });
        load.goes_on(100).await;
        order(&cluster, "heal");
        cluster.leader();
        load.goes_on(100).await;
        load.end().await;
    });
}

/// Gives an order to every server.
fn order(cluster: &Cluster, order: &str) {
    for id in [1, 2, 3] {
        let answer = cluster.post_text(id, "/v1/chaos", order);
        assert!(answer.as_ref().is_some_and(|(code, _)| (200..300).contains(code)), "{answer:?}");
    }
}

#[test]
fn without_leave_nobody_disturbs_anything() {
    let cluster = Cluster::start(1);
    let (code, why) = cluster.post_text(1, "/v1/chaos", "cut 1 -> 2").expect("an answer");
    assert_eq!(code, 403, "{why}");
}

/// A server whose disk fails does not go on as if nothing were wrong.
#[test]
fn a_disk_that_fails_ends_the_process_with_a_code_and_a_reason() {
    let mut cluster = Cluster::insecure(1);
    let log = cluster.data(1).join("log");
    cluster.leader();
    std::fs::remove_dir_all(&log).expect("the log is there");
    with_runtime(async {
        let client = connect(&cluster).await.client();
        // More than fits into the segment that is open.
        let much = vec![b'x'; 1 << 20];
        for number in 0..64 {
            if client.load_bytes(&format!("{number}"), much.clone()).await.is_err() {
                return;
            }
        }
        panic!("a log that is gone takes everything");
    });
    let (ended, _) = cluster.wait(1);
    let said = cluster.log(1);
    assert_eq!(ended.code(), Some(5), "{said}");
    let last = said.lines().last().expect("a line");
    assert!(last.starts_with("jangada serve: the storage in "), "{last}");
}

/// A full disk is said when it begins and when it has passed, and the server has everything then.
#[test]
fn a_disk_without_room_is_said_once_and_passes() {
    let cluster =
        Cluster::found(Founding { servers: 3, tls: false, flags: &[], small_disk: Some((1, 128)) });
    // As the leader it would refuse what fills it.
    until("another leads", || {
        let leads = cluster.leader() == 1;
        if leads {
            cluster.post(1, "/v1/cluster/transfer", &json!({ "to": 2 }));
        }
        (!leads).then_some(())
    });
    if !cluster.fill_small_disk(true) {
        println!("skipped: only root may mount a small disk");
        return;
    }
    let said = |what: &str| cluster.log(1).matches(what).count();
    let full = format!("the disk of {} is full: ", cluster.data(1).display());
    let room = format!("the disk of {} has room again", cluster.data(1).display());
    with_runtime(async {
        let client = patient(&cluster).await;
        // The segments that are there already take some.
        for number in 0..64 {
            let much = vec![b'x'; 1 << 20];
            client.load_bytes(&format!("{number}"), much).await.expect("the others have room");
            if said(&full) > 0 {
                break;
            }
        }
        until("it is said that there is no room", || (said(&full) == 1).then_some(()));
        client.load_bytes("late", "while it was full").await.expect("the others have room");
        assert_eq!((said(&full), said(&room)), (1, 0), "{}", cluster.log(1));
        cluster.fill_small_disk(false);
        until("it is said that there is room", || (said(&room) == 1).then_some(()));
    });
    until("the server has caught up", || {
        let (_, body) = cluster.get(1, "/v1/files/late?consistency=stale")?;
        (body == "while it was full").then_some(())
    });
    assert_eq!((said(&full), said(&room)), (1, 1), "{}", cluster.log(1));
    assert!(cluster.log(1).contains("WARN  the disk of "), "{}", cluster.log(1));
}

/// Members are changed and the leader is moved by whoever may.
#[test]
fn an_operator_moves_the_leader_and_removes_a_member() {
    let cluster = Cluster::start(3);
    let old = cluster.leader();
    let next = if old == 1 { 2 } else { 1 };
    until("the leader hands over", || {
        let answer = cluster.post(old, "/v1/cluster/transfer", &json!({ "to": next }))?;
        (200..300).contains(&answer.0).then_some(answer)
    });
    until("the other leads", || (cluster.leader() == next).then_some(()));
    // Any server takes the order to the leader.
    until("the leader hands over again", || {
        let answer = cluster.post(old, "/v1/cluster/transfer", &json!({ "to": old }))?;
        (200..300).contains(&answer.0).then_some(answer)
    });
    until("the first leads again", || (cluster.leader() == old).then_some(()));
    until("the leader may change members", || {
        let answer = cluster.post(old, "/v1/cluster/members", &json!({ "remove": next }))?;
        (200..300).contains(&answer.0).then_some(answer)
    });
    until("two members are left", || {
        let members = cluster.status(old)?["members"].as_array()?.len();
        (members == 2).then_some(())
    });
    until("the leader is ready", || cluster.get(old, "/readyz").filter(|(code, _)| *code == 200));
}
