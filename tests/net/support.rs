//! Servers that write down what comes in, over the network of turmoil.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use jangada::net::{
    Answered, Boxed, Cargo, Delivery, Listener, Peers, PeersConfig, Role, Security, Transport, Wire,
};
use jangada::raft::{
    AppendEntries, ChunkId, Entries, Entry, Index, InstallSnapshot, Message, Part, Payload,
    Position, Round, ServerId, Term,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use uuid::Uuid;

pub(crate) const CLUSTER: Uuid = Uuid::from_u128(0x6a61_6e67_6164_6100_0000_0000_0000_0001);
const PORT: u16 = 4000;

/// The network of the simulation that runs; streams carry so many bytes a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sea {
    pub(crate) bytes_per_second: Option<u64>,
}

impl Transport for Sea {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Wire>>> {
        Box::pin(async move { Ok(self.wire(turmoil::net::TcpStream::connect(address).await?)) })
    }

    fn listen<'a>(&'a self, _address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let any = (IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT);
            let listener = turmoil::net::TcpListener::bind(any).await?;
            Ok(Box::new(Harbour { listener, sea: *self }) as Box<dyn Listener>)
        })
    }
}

impl Sea {
    fn wire(self, stream: turmoil::net::TcpStream) -> Box<dyn Wire> {
        match self.bytes_per_second {
            None => Box::new(stream),
            Some(speed) => Box::new(Slow { stream, speed, busy: None }),
        }
    }
}

struct Harbour {
    listener: turmoil::net::TcpListener,
    sea: Sea,
}

impl Listener for Harbour {
    fn accept(&mut self) -> Boxed<'_, io::Result<(Box<dyn Wire>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = self.listener.accept().await?;
            Ok((self.sea.wire(stream), from))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream that takes its time for what it sends.
struct Slow<S> {
    stream: S,
    speed: u64,
    busy: Option<Pin<Box<Sleep>>>,
}

/// What a slow stream takes at a time.
const GULP: usize = 16 << 10;

impl<S: AsyncRead + Unpin> AsyncRead for Slow<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Slow<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(busy) = &mut self.busy {
            ready!(busy.as_mut().poll(context));
            self.busy = None;
        }
        let gulp = &bytes[..bytes.len().min(GULP)];
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, gulp))?;
        let time = Duration::from_nanos(count as u64 * 1_000_000_000 / self.speed);
        self.busy = Some(Box::pin(tokio::time::sleep(time)));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What came in somewhere, and when.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<(Duration, String)>>>);

impl Diary {
    pub(crate) fn write(&self, at: Duration, line: impl Into<String>) {
        self.0.lock().expect("no test panics while it writes").push((at, line.into()));
    }

    pub(crate) fn lines(&self) -> Vec<(Duration, String)> {
        self.0.lock().expect("no test panics while it writes").clone()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.lines().iter().filter(|(_, line)| line.contains(what)).count()
    }

    /// The lines that contain this, with their times.
    pub(crate) fn find(&self, what: &str) -> Vec<Duration> {
        let found = |(at, line): &(Duration, String)| line.contains(what).then_some(*at);
        self.lines().iter().filter_map(found).collect()
    }
}

/// The name of a server's host.
pub(crate) fn host(id: u64) -> String {
    format!("s{id}")
}

/// A server of `count`, or a client of theirs if it is none of them.
pub(crate) fn config(role: Role, count: u64) -> PeersConfig {
    let address = |id: u64| (ServerId(id), format!("{}:{PORT}", host(id)));
    let peers: BTreeMap<_, _> = (1..=count).map(address).collect();
    let (seed, listen) = match &role {
        Role::Server(id) => (id.0, Some(format!("0.0.0.0:{PORT}"))),
        Role::Client(_) => (99, None),
    };
    let mut config = PeersConfig::new(CLUSTER, role, Security::Insecure);
    (config.peers, config.seed, config.listen) = (peers, seed, listen);
    config.transport = Arc::new(Sea::default());
    config
}

/// Starts it. Calls are answered with what was asked; all else is written down.
pub(crate) async fn start(config: PeersConfig, diary: Diary) -> Peers {
    Peers::start(config, move |delivery| note(&diary, delivery)).await.expect("it can listen")
}

pub(crate) fn note(diary: &Diary, delivery: Delivery) {
    let at = turmoil::sim_elapsed().unwrap_or_default();
    match delivery {
        Delivery::Message { from, message, cargo } => {
            let bytes = match cargo {
                Cargo::Nothing => 0,
                Cargo::Entries(entries) => entries.len(),
                Cargo::Part(part) => part.len(),
            };
            diary.write(at, format!("{from}: {message} +{bytes}"));
        }
        Delivery::Audit { from, audit } => diary.write(at, format!("{from}: {audit:?}")),
        Delivery::Call { caller, request } => {
            diary.write(at, format!("{}: {} B asked", caller.from(), size(&request)));
            caller.answer(Ok(Answered { index: Index(7), answer: echo(request) }));
        }
        Delivery::Gone { from } => diary.write(at, format!("{from}: gone")),
        Delivery::Answer { from, number, answer } => {
            let answer = answer.map(|answered| answered.answer.len());
            diary.write(at, format!("{from}: call {number}: {answer:?}"));
        }
    }
}

fn size(request: &jangada::net::Request) -> usize {
    echo(request.clone()).len()
}

fn echo(request: jangada::net::Request) -> Bytes {
    match request {
        jangada::net::Request::Write(bytes) | jangada::net::Request::Read(bytes, _) => bytes,
    }
}

pub(crate) fn heartbeat(round: u64) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(3),
        prev_log: Position::new(Term(2), Index(40)),
        last: Index(40),
        leader_commit: Index(39),
        round: Round(round),
    })
}

/// Entries of this many bytes each.
pub(crate) fn entries(count: usize, bytes: usize) -> Cargo {
    let payload = Payload::Command(Bytes::from(vec![b'x'; bytes]));
    let entry = Entry { term: Term(3), payload };
    Cargo::Entries(std::iter::repeat_n(entry, count).collect::<Entries>())
}

pub(crate) fn snapshot_part(bytes: usize) -> (Message, Cargo) {
    let install = InstallSnapshot {
        term: Term(3),
        last_included: Position::new(Term(2), Index(40)),
        round: Round(1),
        part: Some(Part::Chunk(ChunkId([7; 32]))),
    };
    (Message::InstallSnapshot(install), Cargo::Part(Bytes::from(vec![b'y'; bytes])))
}

/// Waits, in virtual time, until something is so.
pub(crate) async fn until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !so() {
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
