//! How fast a connection is, beside bare TCP with the same bytes. It measures, and fails nothing:
//! `cargo test --release --test net speed -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use jangada::net::frame::put;
use jangada::net::packet::{Frame, Packet};
use jangada::net::tls::{Authority, Tls, TlsFiles, Validity};
use jangada::net::{Cargo, Delivery, Peers, PeersConfig, Role, Security};
use jangada::raft::ServerId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{CLUSTER, entries, heartbeat};

/// What is sent: its name, and how many may be on their way.
struct Load {
    name: &'static str,
    window: u64,
    cargo: Cargo,
}

const TIME: Duration = Duration::from_millis(400);
const ROUNDS: usize = 7;

#[test]
#[ignore = "it measures"]
fn speed() {
    codec();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::create(directory.path(), CLUSTER).expect("it is new");
        let tls = [1, 2].map(|id| {
            let role = Role::Server(ServerId(id));
            authority.issue(&role, &[], Validity::default()).expect("it is new");
            let files = TlsFiles::in_directory(directory.path(), &role);
            Security::Tls(Tls::load(files, CLUSTER, role).expect("good certificates"))
        });
        println!("frames a second over loopback, both ends on one thread; medians of {ROUNDS}");
        println!(
            "{:32} {:>11} {:>11} {:>6} {:>11} {:>6}",
            "", "bare TCP", "plain", "ratio", "TLS", "ratio"
        );
        for load in [
            Load { name: "heartbeats, one at a time", window: 1, cargo: Cargo::Nothing },
            Load { name: "heartbeats, 1024 on their way", window: 1024, cargo: Cargo::Nothing },
            Load { name: "64 entries of 256 B, one", window: 1, cargo: entries(64, 256) },
            Load { name: "64 entries of 256 B, 64", window: 64, cargo: entries(64, 256) },
        ] {
            let (mut bare, mut plain, mut secure) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                bare.push(bytes_alone(&load).await);
                plain.push(frames(&load, [Security::Insecure, Security::Insecure]).await);
                secure.push(frames(&load, tls.clone()).await);
            }
            let [bare, plain, secure] = [bare, plain, secure].map(median);
            println!(
                "{:32} {bare:11.0} {plain:11.0} {:6.2} {secure:11.0} {:6.2}",
                load.name,
                plain / bare,
                secure / bare
            );
        }
    });
}

/// What writing and reading a frame takes, apart from any connection.
fn codec() {
    println!("{:32} {:>11} {:>11} {:>11}", "ns for one frame", "bytes", "write", "read");
    for (name, cargo) in
        [("a heartbeat", Cargo::Nothing), ("64 entries of 256 B", entries(64, 256))]
    {
        let frame = Frame::Packet(Packet::Message { message: heartbeat(1 << 20), cargo });
        let (mut out, mut reads, mut writes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            writes.push(nanos(|| {
                out.clear();
                frame.encode(&mut out);
            }));
            let bytes = Bytes::copy_from_slice(&out);
            reads.push(nanos(|| drop(Frame::decode(&bytes).expect("it was written"))));
        }
        let (write, read) = (median(writes), median(reads));
        println!("{name:32} {:11} {write:11.0} {read:11.0}", out.len());
    }
}

fn nanos(mut what: impl FnMut()) -> f64 {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME / 10 {
        (0..100).for_each(|_| what());
        count += 100;
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Frames a second from one server to another, which answers the last of each window.
async fn frames(load: &Load, [one, two]: [Security; 2]) -> f64 {
    let answerer: Arc<OnceLock<Peers>> = Arc::default();
    let (answers, count, window) = (answerer.clone(), AtomicU64::new(0), load.window);
    let receiver = server(2, two, BTreeMap::new(), move |_| {
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(window)
            && let Some(peers) = answers.get()
        {
            peers.send(ServerId(1), heartbeat(count), Cargo::Nothing);
        }
    });
    let receiver = receiver.await;
    let there = receiver.local_address().expect("it listens").to_string();
    answerer.set(receiver.clone()).expect("it is set once");
    let answered = Arc::new(Notify::new());
    let notify = answered.clone();
    let peers = [(ServerId(2), there)].into();
    let sender = server(1, one, peers, move |_| notify.notify_one()).await;
    let connected = |peers: &Peers, to| peers.stats(to).is_some_and(|it| it.connections == 2);
    while !connected(&sender, ServerId(2)) || !connected(&receiver, ServerId(1)) {
        tokio::task::yield_now().await;
    }
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < TIME {
        for _ in 0..load.window {
            sent += 1;
            sender.send(ServerId(2), heartbeat(sent), load.cargo.clone());
        }
        answered.notified().await;
    }
    sent as f64 / start.elapsed().as_secs_f64()
}

async fn server(
    id: u64,
    security: Security,
    peers: BTreeMap<ServerId, String>,
    inbound: impl Fn(Delivery) + Send + Sync + 'static,
) -> Peers {
    let mut config = PeersConfig::new(CLUSTER, Role::Server(ServerId(id)), security);
    config.listen = Some("127.0.0.1:0".to_owned());
    config.peers = peers;
    Peers::start(config, inbound).await.expect("a free port")
}

/// The same bytes over a TCP connection that knows nothing of frames.
async fn bytes_alone(load: &Load) -> f64 {
    let mut bytes = Vec::new();
    for number in 1..=load.window {
        let packet = Packet::Message { message: heartbeat(number), cargo: load.cargo.clone() };
        put(&mut bytes, |out| Frame::Packet(packet).encode(out));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let length = bytes.len();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("it connects");
        stream.set_nodelay(true).expect("it is TCP");
        let mut buffer = vec![0; length];
        while stream.read_exact(&mut buffer).await.is_ok() {
            stream.write_all(&[1]).await.expect("it listens");
        }
    });
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is TCP");
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < TIME {
        stream.write_all(&bytes).await.expect("it reads");
        stream.read_u8().await.expect("it answers");
        sent += load.window;
    }
    sent as f64 / start.elapsed().as_secs_f64()
}
