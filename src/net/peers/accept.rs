//! The connections that others make.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::outbox::Outbox;
use super::pipe::{Broken, Pipe, Taken};
use super::transport::{Listener, Wire};
use super::{Caller, Delivery, Peer, Security, Shared, lock};
use crate::net::frame::{Frames, MAX_GREETING, put};
use crate::net::handshake::{
    GreetingError, Hello, Lane, Refused, Reply, Role, Welcome, encode_reply,
};
use crate::net::packet::Packet;
use crate::net::tls::name_of;

/// Most connections whose other end is not known yet; more wait to be looked at.
const MAX_STRANGERS: usize = 64;
/// The wait after the system had no connection to give, such as for want of file descriptors.
const RECOVERY: Duration = Duration::from_millis(100);

/// Why a connection was not taken.
#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error("no greeting in time")]
    Late,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}; does it use TLS, and a certificate of this cluster?")]
    Tls(io::Error),
    #[error("it closed the connection without a greeting")]
    Closed,
    #[error("{0}")]
    Greeting(#[from] GreetingError),
    #[error("{from} was refused: {why}")]
    Refused { from: Role, why: Refused },
}

/// Who has connected, and what for.
struct Guest {
    hello: Hello,
    /// Of a server, what is known of it.
    peer: Option<Arc<Peer>>,
    /// Of a client, its place among them.
    place: Option<OwnedSemaphorePermit>,
}

/// Takes connections in for good.
pub(super) async fn listen(shared: Arc<Shared>, mut listener: Box<dyn Listener>) {
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    let clients = Arc::new(Semaphore::new(shared.config.max_clients));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let permit = strangers.clone().acquire_owned().await;
            (permit.expect("invariant: the semaphore is never closed"), listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            Some(_) = connections.join_next() => continue,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let serve = serve(shared.clone(), stream, from, permit, clients.clone());
                connections.spawn(serve);
            }
            Err(error) => {
                complain(&shared, None, &error.to_string());
                tokio::time::sleep(RECOVERY).await;
            }
        }
    }
}

async fn serve(
    shared: Arc<Shared>,
    stream: Box<dyn Wire>,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
    clients: Arc<Semaphore>,
) {
    let greet = tokio::time::timeout(shared.config.patience, greet(&shared, stream, &clients));
    let greeted = greet.await.unwrap_or(Err(Turned::Late));
    drop(permit);
    match greeted {
        Ok((guest, stream, frames)) => {
            let (from, lane) = (guest.hello.from.clone(), guest.hello.lane);
            log::debug!(from:%, address:%, lane:%; "taken a connection");
            let broken = host(&shared, guest, stream, frames).await;
            log::debug!(from:%, address:%, lane:%, error:% = broken; "a connection has ended");
        }
        Err(error) => complain(&shared, Some(address), &error.to_string()),
    }
}

/// Learns who has connected, and tells it whether it is welcome.
async fn greet(
    shared: &Arc<Shared>,
    stream: Box<dyn Wire>,
    clients: &Arc<Semaphore>,
) -> Result<(Guest, Box<dyn Wire>, Frames), Turned> {
    let (mut stream, certificate) = match &shared.config.security {
        Security::Tls(tls) => tls.accept(stream).await.map_err(Turned::Tls)?,
        Security::Insecure => (stream, None),
    };
    let mut frames = Frames::new(MAX_GREETING);
    let greeting = frames.read(&mut stream).await.map_err(|error| match error.kind() {
        // Most other protocols begin with what is no length of a greeting.
        io::ErrorKind::InvalidData => GreetingError::Stranger.into(),
        _ => Turned::Io(error),
    })?;
    let greeting = greeting.ok_or(Turned::Closed)?;
    let (hello, version) = match Hello::decode(&greeting) {
        Ok(hello) => hello,
        Err(error) => {
            let refused: Option<Refused> = error.clone().into();
            if let Some(refused) = refused {
                reply(&mut stream, &Err(refused)).await?;
            }
            return Err(error.into());
        }
    };
    match admit(shared, hello, certificate.as_ref(), clients) {
        Ok(guest) => {
            reply(&mut stream, &Ok(Welcome { version })).await?;
            Ok((guest, stream, frames))
        }
        Err((from, why)) => {
            reply(&mut stream, &Err(why.clone())).await?;
            Err(Turned::Refused { from, why })
        }
    }
}

async fn reply(stream: &mut Box<dyn Wire>, reply: &Reply) -> io::Result<()> {
    let mut bytes = Vec::new();
    put(&mut bytes, |out| encode_reply(reply, out));
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Whether somebody who says so may come in.
fn admit(
    shared: &Arc<Shared>,
    hello: Hello,
    certificate: Option<&CertificateDer<'_>>,
    clients: &Arc<Semaphore>,
) -> Result<Guest, (Role, Refused)> {
    let config = &shared.config;
    let refused = |why| Err((hello.from.clone(), why));
    if hello.cluster != config.cluster {
        return refused(Refused::Cluster(config.cluster));
    }
    if hello.from == config.role {
        return refused(Refused::SameServer);
    }
    if let Role::Server(own) = config.role
        && hello.to != own
    {
        return refused(Refused::Server(own));
    }
    match hello.from {
        Role::Server(id) => {
            if let Security::Tls(tls) = &config.security
                && !tls.is_for(certificate, &hello.from)
            {
                let name = name_of(&hello.from, config.cluster);
                return refused(Refused::Certificate(name));
            }
            let Some(peer) = shared.peer_or_new(id) else { return refused(Refused::Full) };
            peer.learn(hello.advertise.clone());
            Ok(Guest { hello, peer: Some(peer), place: None })
        }
        Role::Client(_) => {
            if hello.lane != Lane::Bulk {
                return refused(Refused::Lane);
            }
            let proven = match (&config.security, &config.admits) {
                (Security::Tls(tls), _) => tls.is_for(certificate, &hello.from),
                (Security::Insecure, admits) => admits.is_none(),
            };
            let admits = |token: &str| config.admits.as_ref().is_some_and(|admits| admits(token));
            if !proven && !hello.token.as_deref().is_some_and(admits) {
                return refused(Refused::Token);
            }
            let Ok(place) = clients.clone().try_acquire_owned() else {
                return refused(Refused::Full);
            };
            Ok(Guest { hello, peer: None, place: Some(place) })
        }
    }
}

/// Takes what comes over a connection until it breaks.
async fn host(shared: &Shared, guest: Guest, stream: Box<dyn Wire>, frames: Frames) -> Broken {
    let Guest { hello: Hello { from, lane, .. }, peer, place: _place } = guest;
    let outbox = Arc::new(Outbox::default());
    outbox.open();
    let counters =
        peer.as_ref().map(|peer| peer.incoming(lane).counters.clone()).unwrap_or_default();
    // Of two connections of one server the older one is a dead one, which has not been noticed.
    let end = Arc::new(Notify::new());
    if let Some(peer) = &peer
        && let Some(before) = lock(&peer.incoming(lane).end).replace(end.clone())
    {
        before.notify_one();
    }
    let pipe = Pipe { stream, frames, outbox: outbox.clone(), counters };
    let from = Arc::new(from);
    let take = |packet| match (&*from, packet) {
        (_, Packet::Call { number, request }) => {
            let caller = Caller::new(from.clone(), number, outbox.clone());
            (shared.inbound)(Delivery::Call { caller, request });
            Ok(Taken::Call)
        }
        (Role::Server(from), Packet::Message { message, cargo }) => {
            (shared.inbound)(Delivery::Message { from: *from, message, cargo });
            Ok(Taken::Done)
        }
        (Role::Server(from), Packet::Audit(audit)) => {
            (shared.inbound)(Delivery::Audit { from: *from, audit });
            Ok(Taken::Done)
        }
        (Role::Client(_), Packet::Message { .. } | Packet::Audit(_)) => {
            Err(Broken::Forbidden("a client only calls"))
        }
        (_, Packet::Answer { .. }) => Err(Broken::Forbidden("nothing was asked")),
    };
    let broken = tokio::select! {
            biased;
        broken = pipe.run(shared.config.keepalive, take) => broken,
        () = end.notified() => Broken::Superseded,
    };
    outbox.close();
    broken
}

/// Says why somebody was not let in, but not again and again.
fn complain(shared: &Shared, address: Option<SocketAddr>, error: &str) {
    if let Some(left_out) = lock(&shared.strangers).allow() {
        let address = address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        log::warn!(address:%, error:%, left_out; "a connection was not taken");
    }
}
