//! The HTTP server: its sockets, its workers, its beginning and its end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Payload, Server, ServerHandle};
use actix_web::{App, HttpRequest, web};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::admin::Admin;
use super::config::Config;
use super::stream::{Stream, Transport};
use super::worker::{Shared, Worker};
use crate::actors::Client;

/// An HTTP server that runs.
pub struct Http {
    handle: ServerHandle,
    addresses: Vec<SocketAddr>,
}

/// Why there is no HTTP server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Others could do everything.
    #[error(
        "HTTP would be open to everybody on {0}: give it tokens, let it listen on a loopback \
         address, or say that it is to be open"
    )]
    Open(SocketAddr),
    /// It cannot listen there.
    #[error("HTTP cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
}

/// Seconds that requests may still take when the server stops.
const GRACE: u64 = 3;
/// Bytes that may wait in the kernel to be sent, for each connection; it takes up to 64 KiB more, and
/// tells of room when half of them are gone.
const UNSENT: u32 = 32 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Starts an HTTP server, in the actor system of this thread; its workers are threads of their own.
/// `client` makes a client on each of them.
///
/// # Errors
/// As [`HttpError`] says.
pub fn start(
    config: Config,
    client: impl Fn() -> Client + Send + Sync + 'static,
    admin: Arc<dyn Admin>,
) -> Result<Http, HttpError> {
    let open = config.tokens.is_none() && !config.open;
    let others = config.listen.iter().find(|address| !address.ip().is_loopback());
    if let Some(address) = others.filter(|_| open) {
        return Err(HttpError::Open(*address));
    }
    let mut listeners = Vec::with_capacity(config.listen.len());
    for address in &config.listen {
        let listener = listen(*address, &config);
        listeners.push(listener.map_err(|error| HttpError::Listen { address: *address, error })?);
    }
    let (limits, workers) = (config.limits.clone(), config.workers.max(1));
    let tls = config.tls.as_ref().map(|https| acceptor(https.server.clone()));
    let shared = Arc::new(Shared::new(config, admin));
    let make: super::pool::MakeClient = Arc::new(client);
    let mut server = Server::build()
        .workers(workers)
        .max_concurrent_connections(limits.connections.div_ceil(workers))
        .shutdown_timeout(GRACE)
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let mut addresses = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let failed = |error| HttpError::Listen { address: SocketAddr::from(([0; 4], 0)), error };
        let address = listener.local_addr().map_err(failed)?;
        addresses.push(address);
        let (limits, tls, stopping) = (limits.clone(), tls.clone(), stopping.clone());
        let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
        let service = move || {
            let worker = Rc::new(Worker::new(Arc::clone(&shared), Arc::clone(&make)));
            let answer = move |request: HttpRequest, payload: web::Payload| {
                let payload: Payload = payload.into_inner();
                Rc::clone(&worker).answer(request, payload)
            };
            let app = App::new().default_service(web::to(answer));
            let stopping = stopping.clone();
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .client_request_timeout(limits.header_time)
                .client_disconnect_timeout(limits.header_time)
                .keep_alive(limits.keep_alive)
                .on_connect_ext(|stream: &Stream, data| {
                    data.insert(Rc::clone(&stream.requests));
                })
                .finish(map_config(app, |()| AppConfig::default()));
            let (tls, shared) = (tls.clone(), Arc::clone(&shared));
            let begin = move |socket| connect(socket, tls.clone(), Arc::clone(&shared));
            fn_service(begin).and_then(http)
        };
        server = server
            .listen("http", listener, service)
            .map_err(|error| HttpError::Listen { address, error })?;
    }
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            log::error!("the HTTP server ended: {error}");
        }
    });
    Ok(Http { handle, addresses })
}

impl Http {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops: no connection is accepted any more, requests that are being answered have 3 s left.
    /// Watches end by [`Admin::stopping`].
    pub async fn stop(&self) {
        self.handle.stop(true).await;
    }
}

/// What speaks TLS, and by it HTTP in one of two versions.
fn acceptor(mut tls: ServerConfig) -> TlsAcceptor {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(tls))
}

/// Makes a connection of what was accepted, in which version of HTTP the client wishes.
async fn connect(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) -> Result<(Stream, Protocol, Option<SocketAddr>), DispatchError> {
    let peer = socket.peer_addr().ok();
    // Without it, answers may be late; they come all the same.
    let _ = socket.set_nodelay(true);
    let Some(tls) = tls else {
        return Ok((Stream::new(Transport::Plain(socket), shared), Protocol::Http1, peer));
    };
    let greeting = tokio::time::timeout(shared.config.limits.header_time, tls.accept(socket));
    let io = greeting.await.map_err(|_| DispatchError::SlowRequestTimeout)??;
    let protocol = match io.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok((Stream::new(Transport::Tls(Box::new(io)), shared), protocol, peer))
}

/// A socket that listens. What it accepts closes a connection whose client takes nothing of what is
/// sent for too long.
fn listen(address: SocketAddr, config: &Config) -> io::Result<TcpListener> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(config.limits.silence))?;
        // What waits in the kernel is what a slow client has not taken: little of it, so that we
        // notice.
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
