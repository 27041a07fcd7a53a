//! The connections to one server: made, used, made again.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::limiter::Limiter;
use super::pipe::{Broken, Pipe, Taken};
use super::{Delivery, Peer, Security, Shared, lock};
use crate::net::frame::{Frames, MAX_GREETING, put};
use crate::net::handshake::{GreetingError, Lane, Refused, decode_reply};
use crate::net::packet::Packet;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot connect: {0}; does the server run, and listen there?")]
    Connect(io::Error),
    #[error("no answer in time; is it stopped, or the network between cut?")]
    Late,
    #[error("{0}; are the certificates those of this cluster, and does the other end expect TLS?")]
    Tls(io::Error),
    #[error("the connection broke during the handshake: {0}")]
    Io(#[from] io::Error),
    #[error("the other end closed the connection instead of an answer; does it expect TLS?")]
    Closed,
    #[error("{0}")]
    Greeting(#[from] GreetingError),
    #[error("it refuses: {0}")]
    Refused(#[from] Refused),
}

/// Connects to a server for good, over one lane.
pub(super) async fn keep_connected(shared: Arc<Shared>, peer: Arc<Peer>, lane: Lane) {
    let seed = shared.config.seed ^ (peer.id.0 << 8) ^ ((lane as u64) << 1);
    let mut backoff = Backoff::new(shared.config.longest_backoff, seed);
    let mut limiter = Limiter::default();
    let mut last_error = String::new();
    // It closed the connection of itself, and was not reached since.
    let mut left = false;
    loop {
        let hurry = &peer.hurry[lane as usize];
        let Some(address) = lock(&peer.address).text.clone() else {
            hurry.notified().await;
            continue;
        };
        let dial =
            tokio::time::timeout(shared.config.patience, dial(&shared, &peer, lane, &address));
        match dial.await.unwrap_or(Err(DialError::Late)) {
            Ok(pipe) => {
                backoff.reset();
                last_error.clear();
                if let Some(left_out) = limiter.allow() {
                    log::info!(
                        peer:% = peer.id, address:%, lane:%, left_out; "connected to a server"
                    );
                }
                let broken = converse(&shared, &peer, lane, &address, pipe).await;
                left = matches!(broken, Broken::Closed | Broken::Io(_));
                if let Some(left_out) = limiter.allow() {
                    log::warn!(
                        peer:% = peer.id, address:%, lane:%, error:% = broken, left_out;
                        "lost the connection to a server"
                    );
                }
            }
            Err(error) => {
                let refused = |it: &io::Error| it.kind() == io::ErrorKind::ConnectionRefused;
                if let DialError::Connect(error) = &error
                    && std::mem::take(&mut left)
                    && lane == Lane::Consensus
                    && refused(error)
                {
                    (shared.inbound)(Delivery::Gone { from: peer.id });
                }
                // The same again and again is said once.
                let error = error.to_string();
                if error != last_error
                    && let Some(left_out) = limiter.allow()
                {
                    log::warn!(
                        peer:% = peer.id, address:%, lane:%, error:%, left_out;
                        "no connection to a server"
                    );
                    last_error = error;
                }
            }
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(backoff.draw()) => {}
            () = hurry.notified() => tokio::time::sleep(backoff.least()).await,
        }
    }
}

async fn dial(shared: &Shared, peer: &Peer, lane: Lane, address: &str) -> Result<Pipe, DialError> {
    let stream = shared.config.transport.connect(address).await.map_err(DialError::Connect)?;
    let mut stream = match &shared.config.security {
        Security::Tls(tls) => tls.connect(stream, peer.id).await.map_err(DialError::Tls)?,
        Security::Insecure => stream,
    };
    let mut greeting = Vec::new();
    put(&mut greeting, |out| shared.hello(peer.id, lane).encode(out));
    stream.write_all(&greeting).await?;
    stream.flush().await?;
    let mut frames = Frames::new(MAX_GREETING);
    let reply = frames.read(&mut stream).await?.ok_or(DialError::Closed)?;
    decode_reply(&reply)??;
    let outgoing = peer.lane(lane);
    let (outbox, counters) = (outgoing.outbox.clone(), outgoing.counters.clone());
    Ok(Pipe { stream, frames, outbox, counters })
}

/// Uses a connection until it breaks, or leads to where the server is no more.
async fn converse(shared: &Shared, peer: &Peer, lane: Lane, address: &str, pipe: Pipe) -> Broken {
    let outgoing = peer.lane(lane);
    let from = peer.id;
    let deliver = |number, answer| (shared.inbound)(Delivery::Answer { from, number, answer });
    *lock(&outgoing.since) = Some(Instant::now());
    outgoing.counters.connected();
    outgoing.outbox.open();
    let take = |packet| match packet {
        Packet::Answer { number, answer } => {
            // An answer that nobody waits for may be one to a call of a connection before.
            if outgoing.outbox.answered(number) {
                deliver(number, answer);
            }
            Ok(Taken::Done)
        }
        _ => Err(Broken::Forbidden("only answers come back over a connection")),
    };
    let moved = async {
        loop {
            peer.hurry[lane as usize].notified().await;
            if lock(&peer.address).text.as_deref() != Some(address) {
                return Broken::Moved;
            }
        }
    };
    let broken = tokio::select! {
            biased;
        broken = pipe.run(shared.config.keepalive, take) => broken,
        broken = moved => broken,
    };
    *lock(&outgoing.since) = None;
    outgoing.counters.disconnected();
    for (number, error) in outgoing.outbox.close() {
        deliver(number, Err(error));
    }
    broken
}
