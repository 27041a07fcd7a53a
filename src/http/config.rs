//! How the HTTP server is to be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use super::access::Tokens;
use crate::raft::ServerId;

/// How the HTTP server is to be.
pub struct Config {
    /// The server that it speaks for: the one that stale reads and watches ask.
    pub server: ServerId,
    /// Where it listens. Port 0 is any free one; [`Http::addresses`](super::Http::addresses) says
    /// which.
    pub listen: Vec<SocketAddr>,
    /// TLS, if it speaks that.
    pub tls: Option<Https>,
    /// Names by which it may be called, beside its addresses and `localhost`: without port, in any
    /// case. Others are refused, so that no page can reach it under a name of its own (DNS
    /// rebinding).
    pub hosts: Vec<String>,
    /// Pages of other sites that may ask, as `https://example.org`.
    pub origins: Vec<String>,
    /// Who may do what. Without it everybody may do everything, and it listens on this machine
    /// alone.
    pub tokens: Option<Tokens>,
    /// Whether it may listen to others without tokens: somebody else decides then who gets through.
    pub open: bool,
    /// How many threads serve.
    pub workers: usize,
    /// Its bounds.
    pub limits: Limits,
}

/// How servers speak HTTPS, with clients and with each other.
pub struct Https {
    /// What this server shows. The protocols that it offers are set by the HTTP server.
    pub server: ServerConfig,
    /// Whom this server believes when it asks another; called for each time that it does.
    pub client: Box<dyn Fn() -> Arc<ClientConfig> + Send + Sync>,
    /// The name in another server's certificate.
    pub name: Box<dyn Fn(ServerId) -> String + Send + Sync>,
}

/// The bounds of the HTTP server, over all its workers unless it is said.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; more wait until one is closed.
    pub connections: usize,
    /// Requests that are being answered; more are told to come later (503).
    pub requests: usize,
    /// Answers that stay open (watches); more are told to come later (503).
    pub watches: usize,
    /// Bytes that bodies on their way hold, requests and answers together; more are told to come
    /// later (503). A small body counts as large as it is, an upload of any size 5 MiB, a download
    /// 512 KiB.
    pub body_memory: usize,
    /// Bytes of the body of one request; more are refused (413).
    pub body: u64,
    /// Requests a second of one token, or of everybody together without tokens; more are told to
    /// come later (429). A token may have a limit of its own.
    pub rate: Option<u32>,
    /// From the opening of a connection until all headers of a request are there (408).
    pub header_time: Duration,
    /// How long a body may bring nothing, and a client take nothing of an answer (408, or closed).
    pub silence: Duration,
    /// Bytes a second that a body must bring on average, after the first `silence`.
    pub slowest: u64,
    /// How long a connection may stay open without a request.
    pub keep_alive: Duration,
    /// How long a request may take in the cluster (503, or 504 if it may have been carried out).
    pub patience: Duration,
    /// How often a watch that has nothing to say says so.
    pub heartbeat: Duration,
}

impl Config {
    /// For this server, at one address: without TLS, names or tokens.
    pub fn new(server: ServerId, listen: SocketAddr) -> Self {
        Self {
            server,
            listen: vec![listen],
            tls: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            tokens: None,
            open: false,
            workers: 2,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            requests: 4096,
            watches: 256,
            body_memory: 256 << 20,
            body: 1 << 30,
            rate: None,
            header_time: Duration::from_secs(5),
            silence: Duration::from_secs(15),
            slowest: 1024,
            keep_alive: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
        }
    }
}
