//! Connections under cuts, crashes and slow links, in virtual time and by a seed.

use std::time::Duration;

use bytes::Bytes;
use jangada::net::{Cargo, PeersConfig, Request, Role};
use jangada::raft::ServerId;
use turmoil::{Builder, Sim};

use crate::support::{
    CLUSTER, Diary, Sea, config, entries, heartbeat, host, snapshot_part, start, until,
};

const SECOND: Duration = Duration::from_secs(1);

fn sea(seed: u64) -> Sim<'static> {
    Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(120))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .tcp_capacity(1024)
        .build()
}

fn server(id: u64, count: u64) -> PeersConfig {
    config(Role::Server(ServerId(id)), count)
}

/// A server that sends a heartbeat to each of the others every 20 ms, numbered from 1.
fn beats(sim: &mut Sim<'static>, config: PeersConfig, diary: &Diary) {
    let Role::Server(id) = config.role else { panic!("a server beats") };
    let diary = diary.clone();
    sim.host(host(id.0), move || {
        let (config, diary) = (config.clone(), diary.clone());
        async move {
            let others = config.peers.keys().copied().filter(move |it| *it != id);
            let others: Vec<_> = others.collect();
            let peers = start(config, diary).await;
            for round in 1.. {
                for other in &others {
                    peers.send(*other, heartbeat(round), Cargo::Nothing);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
    });
}

fn run_for(sim: &mut Sim<'static>, time: Duration) {
    let end = sim.elapsed() + time;
    while sim.elapsed() < end {
        sim.step().expect("no host fails");
    }
}

#[test]
fn messages_arrive_in_the_order_of_sending() {
    let (mut sim, diary) = (sea(1), Diary::default());
    beats(&mut sim, server(1, 2), &Diary::default());
    beats(&mut sim, server(2, 2), &diary);
    run_for(&mut sim, SECOND);
    let rounds: Vec<u64> = diary
        .lines()
        .iter()
        .map(|(_, line)| {
            let (_, round) = line.split_once("round=").expect("a heartbeat");
            round.split(' ').next().expect("a number").parse().expect("a number")
        })
        .collect();
    assert!(rounds.len() > 40, "{} of 50 arrived", rounds.len());
    assert!(rounds.is_sorted_by(|a, b| a < b), "{rounds:?}");
}

#[test]
fn a_cut_is_noticed_and_mended() {
    let (mut sim, diary) = (sea(2), Diary::default());
    beats(&mut sim, server(1, 2), &Diary::default());
    beats(&mut sim, server(2, 2), &diary);
    run_for(&mut sim, SECOND);
    sim.partition(host(1), host(2));
    run_for(&mut sim, 10 * SECOND);
    let before = diary.lines().len();
    run_for(&mut sim, 10 * SECOND);
    assert_eq!(diary.lines().len(), before, "nothing passes a cut");
    sim.repair(host(1), host(2));
    let mended = sim.elapsed();
    run_for(&mut sim, 5 * SECOND);
    let lines = diary.lines();
    assert!(lines.len() > before + 40, "{} came", lines.len() - before);
    // What was sent while the link was cut is lost, not late.
    let (at, first) = &lines[before];
    let (_, round) = first.split_once("round=").expect("a heartbeat");
    let round: u64 = round.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
    assert!(round > 20 * 50, "round {round} is old at {at:?}");
    assert!(*at < mended + 4 * SECOND, "{at:?} after {mended:?}");
}

#[test]
fn a_server_that_crashed_is_connected_to_at_once_when_it_is_back() {
    let (mut sim, diary) = (sea(3), Diary::default());
    beats(&mut sim, server(1, 3), &Diary::default());
    beats(&mut sim, server(2, 3), &diary);
    beats(&mut sim, server(3, 3), &Diary::default());
    run_for(&mut sim, SECOND);
    sim.crash(host(2));
    run_for(&mut sim, 30 * SECOND);
    let before = diary.lines().len();
    let back = sim.elapsed();
    sim.bounce(host(2));
    run_for(&mut sim, SECOND);
    for from in ["S1:", "S3:"] {
        let later: Vec<_> = diary.find(from).into_iter().filter(|at| *at > back).collect();
        let first = later.first().expect("it is heard again");
        assert!(*first < back + Duration::from_millis(150), "{from} after {:?}", *first - back);
    }
    assert!(diary.lines().len() > before + 60);
}

/// Who is only cut off may still lead.
#[test]
fn a_server_is_gone_when_its_process_has_ended_and_not_when_it_is_cut_off() {
    let (mut sim, diary) = (sea(4), Diary::default());
    beats(&mut sim, server(1, 2), &diary);
    sim.host(host(2), || async {
        let peers = start(server(2, 2), Diary::default()).await;
        tokio::time::sleep(20 * SECOND).await;
        drop(peers);
        tokio::time::sleep(100 * SECOND).await;
        Ok(())
    });
    run_for(&mut sim, SECOND);
    sim.partition(host(1), host(2));
    run_for(&mut sim, 10 * SECOND);
    sim.repair(host(1), host(2));
    run_for(&mut sim, 8 * SECOND);
    assert_eq!(diary.count("gone"), 0);
    run_for(&mut sim, 8 * SECOND);
    let seen = diary.find("S2: gone");
    assert_eq!(seen.len(), 1, "it is said once: {seen:?}");
    let after = seen[0] - 20 * SECOND;
    assert!(after < Duration::from_millis(100), "{after:?} after its end");
}

/// No server crashes here: the runtime drops the tasks of one that does by their numbers, which
/// other tests of this process count on.
#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (mut sim, diary) = (sea(seed), Diary::default());
        for id in 1..=3 {
            beats(&mut sim, server(id, 3), &diary);
        }
        run_for(&mut sim, SECOND);
        sim.partition(host(1), host(2));
        run_for(&mut sim, 5 * SECOND);
        sim.repair(host(1), host(2));
        sim.hold(host(2), host(3));
        run_for(&mut sim, 5 * SECOND);
        sim.release(host(2), host(3));
        run_for(&mut sim, 3 * SECOND);
        diary.lines()
    };
    let (once, again, other) = (run(11), run(11), run(12));
    let differs = once.iter().zip(&again).position(|(a, b)| a != b);
    let around = |lines: &[_], at: usize| format!("{:#?}", &lines[at.saturating_sub(2)..at + 2]);
    if let Some(at) = differs {
        panic!("two runs of one seed: {} and {}", around(&once, at), around(&again, at));
    }
    assert_eq!(once.len(), again.len());
    assert!(once != other, "the seed decides nothing");
}

#[test]
fn a_snapshot_on_a_slow_link_delays_no_heartbeat() {
    let (mut sim, diary, sent) = (sea(4), Diary::default(), Diary::default());
    let slow = |id| {
        let mut config = server(id, 2);
        config.transport = std::sync::Arc::new(Sea { bytes_per_second: Some(1 << 20) });
        config
    };
    let listening = diary.clone();
    sim.host(host(2), move || {
        let (config, diary) = (slow(2), listening.clone());
        async move {
            let _peers = start(config, diary).await;
            std::future::pending().await
        }
    });
    let sending = sent.clone();
    sim.client(host(1), async move {
        let peers = start(slow(1), Diary::default()).await;
        let connected = || peers.stats(ServerId(2)).is_some_and(|stats| stats.connected.is_some());
        until("connected", SECOND, connected).await;
        tokio::time::sleep(SECOND).await;
        for _ in 0..16 {
            let (message, cargo) = snapshot_part(1 << 20);
            peers.send(ServerId(2), message, cargo);
        }
        for round in 1..=600 {
            sending.write(turmoil::sim_elapsed().expect("it runs"), "beat");
            peers.send(ServerId(2), heartbeat(round), Cargo::Nothing);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let stats = peers.stats(ServerId(2)).expect("it is known");
        assert_eq!(stats.connections, 2, "no connection was taken for dead");
        tokio::time::sleep(10 * SECOND).await;
        Ok(())
    });
    sim.run().expect("the servers go on");
    assert_eq!(diary.count("InstallSnapshot"), 16, "all parts came");
    let beats = diary.find("AppendEntries");
    assert_eq!(beats.len(), 600);
    let late = sent.find("beat").into_iter().zip(&beats).map(|(sent, came)| *came - sent);
    let latest = late.max().expect("600 beats");
    assert!(latest < Duration::from_millis(20), "a heartbeat took {latest:?}");
}

#[test]
fn a_dead_peer_costs_bounded_memory() {
    let mut sim = sea(5);
    let diary = Diary::default();
    let listening = diary.clone();
    sim.host(host(2), move || {
        let (config, diary) = (server(2, 3), listening.clone());
        async move {
            let _peers = start(config, diary).await;
            std::future::pending().await
        }
    });
    sim.client(host(1), async move {
        let peers = start(server(1, 3), Diary::default()).await;
        let connected = || peers.stats(ServerId(2)).is_some_and(|stats| stats.connected.is_some());
        until("connected", SECOND, connected).await;
        turmoil::hold(host(1), host(2));
        // 1 GiB to each: one is cut off but not noticed yet, the other was never there.
        let mut most = 0;
        for round in 0..1024 {
            for peer in [2, 3].map(ServerId) {
                peers.send(peer, heartbeat(round), entries(4, 256 << 10));
                most = most.max(peers.stats(peer).expect("it is known").waiting);
            }
            if round % 64 == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert!(most > 20 << 20, "the queue was used");
        assert!(most <= 24 << 20, "{most} B wait");
        let lost = |peer| peers.stats(ServerId(peer)).expect("it is known").dropped;
        assert!(lost(2) > 500 && lost(3) == 1024, "{} and {} lost", lost(2), lost(3));
        let gone = || peers.stats(ServerId(2)).is_some_and(|stats| stats.connected.is_none());
        until("noticed", 4 * SECOND, gone).await;
        assert_eq!(peers.stats(ServerId(2)).expect("it is known").waiting, 0);
        turmoil::release(host(1), host(2));
        Ok(())
    });
    sim.run().expect("the server goes on");
}

/// A call has exactly one outcome: answered, refused, or not known.
#[test]
fn every_call_has_one_outcome() {
    let (mut sim, answers) = (sea(6), Diary::default());
    let asked = Diary::default();
    let listening = asked.clone();
    sim.host(host(1), move || {
        let (config, diary) = (server(1, 1), listening.clone());
        async move {
            let _peers = start(config, diary).await;
            std::future::pending().await
        }
    });
    let heard = answers.clone();
    sim.client("c", async move {
        let client = start(config(Role::Client("test".to_owned()), 1), heard.clone()).await;
        let to = ServerId(1);
        let ask = |number| client.call(to, number, Request::Write(Bytes::from(vec![1; 100])));
        assert!(ask(1).is_err(), "there is no connection yet");
        let connected = || client.stats(to).is_some_and(|stats| stats.connected.is_some());
        until("connected", SECOND, connected).await;
        for number in 2..100 {
            ask(number).expect("it is connected");
        }
        until("answered", SECOND, || heard.count("Ok(100)") == 98).await;
        turmoil::hold("c", host(1));
        for number in 100..150 {
            ask(number).expect("that the link is cut is not known yet");
        }
        until("noticed", 4 * SECOND, || heard.count("Err(Unknown)") == 50).await;
        turmoil::release("c", host(1));
        until("connected again", 5 * SECOND, connected).await;
        ask(150).expect("it is connected");
        until("answered", SECOND, || heard.count("call 150: Ok") == 1).await;
        Ok(())
    });
    sim.run().expect("the server goes on");
    for number in 2..=150 {
        assert_eq!(answers.count(&format!("call {number}: ")), 1, "call {number}");
    }
}

/// Who is refused, and what both ends are told.
#[test]
fn strangers_are_refused() {
    let (mut sim, diary) = (sea(7), Diary::default());
    let listening = diary.clone();
    sim.host(host(1), move || {
        let (mut config, diary) = (server(1, 1), listening.clone());
        config.admits = Some(std::sync::Arc::new(|token| token == "open sesame"));
        async move {
            let _peers = start(config, diary).await;
            std::future::pending().await
        }
    });
    sim.client("c", async move {
        let address = |config: &PeersConfig| config.peers[&ServerId(1)].clone();
        let mut other_cluster = server(2, 1);
        other_cluster.cluster = uuid::Uuid::from_u128(5);
        let mut wrong_server = server(2, 1);
        wrong_server.peers = [(ServerId(3), address(&wrong_server))].into();
        let mut same_server = server(2, 1);
        same_server.peers = [(ServerId(1), address(&same_server))].into();
        same_server.role = Role::Server(ServerId(4));
        let no_token = config(Role::Client(String::new()), 1);
        let mut wrong_token = no_token.clone();
        wrong_token.token = Some("open barley".to_owned());
        for mut config in [other_cluster, wrong_server, no_token.clone(), wrong_token] {
            config.listen = None;
            let to = *config.peers.keys().next().expect("one peer");
            let peers = start(config, Diary::default()).await;
            peers.send(to, heartbeat(1), Cargo::Nothing);
            tokio::time::sleep(SECOND).await;
            let stats = peers.stats(to).expect("it is known");
            assert_eq!(stats.connections, 0);
            assert!(peers.call(to, 1, Request::Write(Bytes::new())).is_err());
        }
        let mut token = no_token;
        token.token = Some("open sesame".to_owned());
        let client = start(token, Diary::default()).await;
        let connected = || client.stats(ServerId(1)).is_some_and(|it| it.connected.is_some());
        until("the right token opens", SECOND, connected).await;
        Ok(())
    });
    sim.run().expect("the server goes on");
    assert!(diary.lines().is_empty(), "{:?}", diary.lines());
    assert_eq!(CLUSTER, config(Role::Client(String::new()), 1).cluster);
}
