//! The HTTP server: its sockets, its workers, its beginning and its end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::{Payload, ServerHandle};
use actix_web::{App, HttpRequest, HttpServer, web};
use socket2::{Domain, Protocol, Socket, Type};

use super::admin::Admin;
use super::config::Config;
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
    let tls = config.tls.clone();
    let shared = Arc::new(Shared::new(config, admin));
    let make: super::pool::MakeClient = Arc::new(client);
    let app = move || {
        let worker = Rc::new(Worker::new(Arc::clone(&shared), Arc::clone(&make)));
        let answer = move |request: HttpRequest, payload: web::Payload| {
            let payload: Payload = payload.into_inner();
            Rc::clone(&worker).answer(request, payload)
        };
        App::new().default_service(web::to(answer))
    };
    let mut server = HttpServer::new(app)
        .workers(workers)
        .max_connections(limits.connections.div_ceil(workers))
        .client_request_timeout(limits.header_time)
        .client_disconnect_timeout(limits.header_time)
        .keep_alive(limits.keep_alive)
        .shutdown_timeout(GRACE)
        .tcp_nodelay(true)
        .disable_signals();
    let mut addresses = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let failed = |error| HttpError::Listen { address: SocketAddr::from(([0; 4], 0)), error };
        let address = listener.local_addr().map_err(failed)?;
        let failed = |error| HttpError::Listen { address, error };
        addresses.push(address);
        server = match &tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls.clone()),
            None => server.listen(listener),
        }
        .map_err(failed)?;
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

/// A socket that listens. What it accepts closes a connection whose client takes nothing of what is
/// sent for too long.
fn listen(address: SocketAddr, config: &Config) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.limits.silence))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
