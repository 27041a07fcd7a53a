//! What is asked of every system, in its own words.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use jangada::actors;
use jangada::files::{Answer, MAX_READ, Query};

use crate::etcd::Etcd;
use crate::http::Http;
use crate::zookeeper::ZooKeeper;

/// One client.
pub(crate) enum Client {
    /// jangada over HTTP: a connection of its own.
    Http(Http),
    /// jangada over the native port: one connection for all, some clients a session.
    Native(Box<actors::Client>),
    /// etcd over gRPC: ten clients a connection.
    Etcd(Etcd),
    /// ZooKeeper: a connection and a session of its own.
    ZooKeeper(ZooKeeper),
}

/// What a read may miss.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nothing.
    Linearizable,
    /// What the server that is asked has not heard of.
    Local,
}

/// The key of a number: a file, a key, a node.
fn name(key: usize) -> String {
    format!("bench-{key:06}")
}

impl Client {
    /// Makes the key, if keys must be made before they are written.
    pub(crate) async fn create(&mut self, key: usize, value: &Bytes) -> Result<()> {
        match self {
            Self::ZooKeeper(client) => client.create(&format!("/{}", name(key)), value).await,
            _ => self.put(key, value).await,
        }
    }

    /// Durably writes a value under a key that is there.
    pub(crate) async fn put(&mut self, key: usize, value: &Bytes) -> Result<()> {
        match self {
            Self::Http(client) => {
                let path = format!("/v1/files/{}", name(key));
                match client.ask("PUT", &path, Some(value)).await? {
                    (200..300, _) => Ok(()),
                    (status, body) => bail!("{status}: {}", String::from_utf8_lossy(&body)),
                }
            }
            Self::Native(client) => {
                let size = value.len() as u64;
                client.load(&name(key), size, value.clone(), true, |_| {}).await?;
                Ok(())
            }
            Self::Etcd(client) => client.put(&name(key), value.clone()).await,
            Self::ZooKeeper(client) => client.set(&format!("/{}", name(key)), value).await,
        }
    }

    /// Reads the value of a key.
    pub(crate) async fn get(&mut self, key: usize, reading: Reading) -> Result<Bytes> {
        let local = reading == Reading::Local;
        match self {
            Self::Http(client) => {
                let stale = if local { "?consistency=stale" } else { "" };
                let path = format!("/v1/files/{}{stale}", name(key));
                match client.ask("GET", &path, None).await? {
                    (200, body) => Ok(body.freeze()),
                    (status, body) => bail!("{status}: {}", String::from_utf8_lossy(&body)),
                }
            }
            Self::Native(client) => {
                let (file, limit) = (name(key), MAX_READ as u64);
                let done = client.query(Query::Fetch { file, offset: 0, limit }).await?;
                match done.answer {
                    Answer::Fetched { bytes, .. } => Ok(bytes),
                    answer => bail!("another answer: {answer:?}"),
                }
            }
            Self::Etcd(client) => client.get(&name(key), local).await?.context("no such key"),
            Self::ZooKeeper(client) => {
                client.get(&format!("/{}", name(key)), !local).await?.context("no such node")
            }
        }
    }
}
