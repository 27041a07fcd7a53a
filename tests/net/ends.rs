//! Ends that come, move, and misbehave.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jangada::net::frame::put;
use jangada::net::handshake::{Hello, Lane};
use jangada::net::packet::{Frame, Packet};
use jangada::net::{Advertise, Cargo, Request, Role, Transport};
use jangada::raft::ServerId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::{Builder, Sim};

use crate::support::{CLUSTER, Diary, Sea, config, heartbeat, host, start, until};

const SECOND: Duration = Duration::from_secs(1);

fn sea(capacity: usize) -> Sim<'static> {
    Builder::new()
        .rng_seed(1)
        .simulation_duration(Duration::from_secs(60))
        .tcp_capacity(capacity)
        .build()
}

fn server(sim: &mut Sim<'static>, id: u64, diary: &Diary) {
    let diary = diary.clone();
    sim.host(host(id), move || {
        let diary = diary.clone();
        async move {
            let _peers = start(config(Role::Server(ServerId(id)), 1), diary).await;
            std::future::pending().await
        }
    });
}

/// A connection to server 1 that has said this, and nothing after it.
async fn greet(from: Role, lane: Lane) -> Box<dyn jangada::net::Wire> {
    let mut stream = Sea::default().connect("s1:4000").await.expect("it listens");
    let hello = Hello {
        from,
        to: ServerId(1),
        cluster: CLUSTER,
        lane,
        advertise: Advertise::default(),
        token: None,
    };
    let mut bytes = Vec::new();
    put(&mut bytes, |out| hello.encode(out));
    stream.write_all(&bytes).await.expect("it reads");
    let length = stream.read_u32().await.expect("it answers");
    let mut reply = vec![0; length as usize];
    stream.read_exact(&mut reply).await.expect("it answers");
    assert_eq!(reply, b"jangada\0\x00\x01", "it is welcome");
    stream
}

/// Whether the other end closes it within this time.
async fn closes(stream: &mut (impl tokio::io::AsyncRead + Unpin), time: Duration) -> bool {
    let read = async {
        let mut buffer = [0; 4096];
        while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
    };
    tokio::time::timeout(time, read).await.is_ok()
}

fn frame(packet: Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, |out| Frame::Packet(packet).encode(out));
    bytes
}

/// A client that calls and reads no answer is not read any more, and then not waited for.
#[test]
fn a_client_that_reads_nothing_costs_bounded_memory() {
    let (mut sim, diary) = (sea(16), Diary::default());
    server(&mut sim, 1, &diary);
    sim.client("c", async {
        let mut stream = greet(Role::Client(String::new()), Lane::Bulk).await;
        let request = Request::Write(Bytes::from(vec![0; 64 << 10]));
        let call = frame(Packet::Call { number: 1, request });
        let calls = async {
            for _ in 0..10_000 {
                stream.write_all(&call).await?;
            }
            std::io::Result::Ok(())
        };
        let wrote = tokio::time::timeout(10 * SECOND, calls).await;
        assert!(!matches!(wrote, Ok(Ok(()))), "640 MB were taken");
        assert!(closes(&mut stream, SECOND).await, "it is given up");
        Ok(())
    });
    sim.run().expect("the server goes on");
    let asked = diary.count("asked");
    assert!(asked > 16 && asked < 200, "{asked} of 64 KiB were taken in");
}

#[test]
fn an_end_that_says_nothing_more_is_given_up() {
    let (mut sim, diary) = (sea(64), Diary::default());
    server(&mut sim, 1, &diary);
    sim.client("c", async {
        let mut stream = greet(Role::Client(String::new()), Lane::Bulk).await;
        assert!(!closes(&mut stream, SECOND).await, "it is waited for");
        assert!(closes(&mut stream, 2 * SECOND).await, "not for ever");
        let mut silent = Sea::default().connect("s1:4000").await.expect("it listens");
        assert!(!closes(&mut silent, 2 * SECOND).await);
        assert!(closes(&mut silent, 2 * SECOND).await, "nobody greets for ever");
        Ok(())
    });
    sim.run().expect("the server goes on");
}

#[test]
fn what_may_not_be_sent_ends_the_connection() {
    let (mut sim, diary) = (sea(64), Diary::default());
    server(&mut sim, 1, &diary);
    sim.client("c", async {
        let message = Packet::Message { message: heartbeat(1), cargo: Cargo::Nothing };
        let answer = Packet::Answer { number: 1, answer: Err(jangada::net::CallError::Unknown) };
        let client = || Role::Client(String::new());
        let server = || Role::Server(ServerId(2));
        let mut torn = frame(message.clone());
        torn[4] = 200;
        for (from, bytes) in [
            (client(), frame(message.clone())),
            (client(), frame(answer.clone())),
            (server(), frame(answer)),
            (server(), torn),
            (server(), u32::MAX.to_be_bytes().to_vec()),
        ] {
            let mut stream = greet(from.clone(), Lane::Bulk).await;
            stream.write_all(&bytes).await.expect("it reads");
            assert!(closes(&mut stream, SECOND / 2).await, "{from}: {bytes:?}");
        }
        let mut stranger = Sea::default().connect("s1:4000").await.expect("it listens");
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("it reads");
        assert!(closes(&mut stranger, SECOND / 2).await, "HTTP is not spoken here");
        Ok(())
    });
    sim.run().expect("the server goes on");
    assert!(diary.lines().is_empty(), "{:?}", diary.lines());
}

/// A server that comes again is heard over its new connection, and the old one ends.
#[test]
fn of_two_connections_of_one_server_the_later_one_counts() {
    let (mut sim, diary) = (sea(64), Diary::default());
    server(&mut sim, 1, &diary);
    let heard = diary.clone();
    sim.client("c", async move {
        let from = || Role::Server(ServerId(2));
        let mut before = greet(from(), Lane::Consensus).await;
        let mut bulk = greet(from(), Lane::Bulk).await;
        let mut after = greet(from(), Lane::Consensus).await;
        assert!(closes(&mut before, SECOND / 4).await);
        assert!(!closes(&mut bulk, SECOND / 4).await, "another lane");
        let message = Packet::Message { message: heartbeat(9), cargo: Cargo::Nothing };
        after.write_all(&frame(message)).await.expect("it reads");
        until("heard", SECOND, || heard.count("S2: AppendEntries") == 1).await;
        Ok(())
    });
    sim.run().expect("the server goes on");
}

/// A server that nobody was told of says where it is when it connects.
#[test]
fn an_unknown_server_is_answered_where_it_says_it_is() {
    let mut sim = sea(64);
    let diary = Diary::default();
    let heard = diary.clone();
    sim.host(host(1), || async {
        let mut alone = config(Role::Server(ServerId(1)), 1);
        alone.advertise.peers = Some("s1:4000".to_owned());
        let peers = start(alone, Diary::default()).await;
        let knows = || peers.known().contains(&ServerId(7));
        until("it has connected", 5 * SECOND, knows).await;
        let (address, advertise) = peers.address(ServerId(7)).expect("it is known");
        assert_eq!(address, "s7:4000");
        assert_eq!(advertise.http.as_deref(), Some("http://s7:3007"));
        loop {
            peers.send(ServerId(7), heartbeat(1), Cargo::Nothing);
            tokio::time::sleep(SECOND / 50).await;
        }
    });
    sim.client(host(7), async move {
        let mut config = config(Role::Server(ServerId(7)), 1);
        config.advertise.peers = Some("s7:4000".to_owned());
        config.advertise.http = Some("http://s7:3007".to_owned());
        let peers = start(config, heard.clone()).await;
        until("answered", SECOND, || heard.count("S1: AppendEntries") > 0).await;
        assert_eq!(peers.known(), [ServerId(1)]);
        Ok(())
    });
    sim.run().expect("both go on");
}

/// A server that is elsewhere now, and one that is a member no more.
#[test]
fn a_server_can_move_and_be_forgotten() {
    let (mut sim, before, after) = (sea(64), Diary::default(), Diary::default());
    for (name, diary) in [("old", &before), ("new", &after)] {
        let diary = diary.clone();
        sim.host(name, move || {
            let diary = diary.clone();
            async move {
                let _peers = start(config(Role::Server(ServerId(2)), 0), diary).await;
                std::future::pending().await
            }
        });
    }
    let (old, new) = (before.clone(), after.clone());
    sim.client(host(1), async move {
        let mut config = config(Role::Server(ServerId(1)), 0);
        config.peers = [(ServerId(2), "old:4000".to_owned())].into();
        let peers = Arc::new(start(config, Diary::default()).await);
        let beating = peers.clone();
        let beat = tokio::spawn(async move {
            loop {
                beating.send(ServerId(2), heartbeat(1), Cargo::Nothing);
                tokio::time::sleep(SECOND / 50).await;
            }
        });
        until("the old one hears", SECOND, || !old.lines().is_empty()).await;
        peers.set_address(ServerId(2), "new:4000");
        until("the new one hears", SECOND, || !new.lines().is_empty()).await;
        tokio::time::sleep(SECOND).await;
        let count = old.lines().len();
        tokio::time::sleep(SECOND).await;
        assert_eq!(old.lines().len(), count, "the old one hears no more");
        peers.remove(ServerId(2));
        assert_eq!(peers.known(), []);
        tokio::time::sleep(SECOND).await;
        let count = new.lines().len();
        tokio::time::sleep(SECOND).await;
        assert_eq!(new.lines().len(), count, "it is forgotten");
        beat.abort();
        Ok(())
    });
    sim.run().expect("all go on");
}
