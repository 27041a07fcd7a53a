//! How two ends of a connection learn who the other is, before anything else is said.
//!
//! The end that has connected greets; the other welcomes or refuses it, with the reason. Both
//! frames begin with eight bytes of magic. A greeting goes on with the lowest and the highest wire
//! version that its sender speaks, two bytes each, least significant first: this much is the same
//! in every version. The rest is a [`Hello`], and a reply is a [`Reply`], in the wire format of
//! postcard; what a later version adds stands behind it and is not looked at.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::packet::WIRE_VERSION;
use crate::raft::ServerId;

const MAGIC: [u8; 8] = *b"jangada\0";
/// The oldest wire version that is still spoken.
const OLDEST_VERSION: u16 = 1;

/// What the end that connects says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Who it is.
    pub from: Role,
    /// The server that it wants.
    pub to: ServerId,
    /// The cluster that it means.
    pub cluster: Uuid,
    /// What the connection is for.
    pub lane: Lane,
    /// Where it can be reached itself.
    pub advertise: Advertise,
    /// What lets it in, if certificates do not.
    pub token: Option<String>,
}

/// What one end of a connection is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// A server of the cluster.
    Server(ServerId),
    /// A client, by the name that its certificate has, if it has one.
    Client(String),
}

/// What a connection between servers carries. Nothing in bulk ever waits before a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Lane {
    /// Messages of the protocol.
    Consensus,
    /// Parts of snapshots, calls and their answers.
    Bulk,
}

/// Where a server can be reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Advertise {
    /// By servers and clients of this protocol: `host:port`.
    pub peers: Option<String>,
    /// Over HTTP: a URL.
    pub http: Option<String>,
}

/// What the other end answers.
pub type Reply = Result<Welcome, Refused>;

/// The connection may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The wire version that is spoken from here on.
    pub version: u16,
}

/// Why a connection is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// No wire version is common.
    #[error(
        "it speaks wire versions {oldest} to {latest}, and the other end none of them: \
         update the older of the two"
    )]
    Version {
        /// The oldest that the refusing end speaks.
        oldest: u16,
        /// The latest.
        latest: u16,
    },
    /// It is of another cluster.
    #[error("it is of cluster {0}: check the addresses, and the data directory's cluster")]
    Cluster(Uuid),
    /// It is another server.
    #[error("it is server {}: check the addresses of the peers", .0.0)]
    Server(ServerId),
    /// It has the number that the greeting end claims.
    #[error("it has the same number: two servers must not share one, nor one connect to itself")]
    SameServer,
    /// The certificate is not that of who it says it is.
    #[error("the certificate is not for `{0}`: make one with `jangada cert`")]
    Certificate(String),
    /// A client without a certificate of the cluster, or a token that is right.
    #[error("a client needs a certificate of the cluster's authority, or a valid token")]
    Token,
    /// A client asks for what is for servers.
    #[error("the lane is for servers only")]
    Lane,
    /// There is no room.
    #[error("it has as many connections as it allows: try again later")]
    Full,
}

/// Why a greeting or a reply cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GreetingError {
    /// Another protocol.
    #[error(
        "it does not speak jangada's protocol: is the address right, and TLS on at both ends or neither?"
    )]
    Stranger,
    /// Not in a version that is spoken here.
    #[error("it speaks wire versions {oldest} to {latest}, not {WIRE_VERSION}")]
    Version {
        /// The oldest that the sender speaks.
        oldest: u16,
        /// The latest.
        latest: u16,
    },
    /// The right magic, and then something else.
    #[error("its greeting cannot be read")]
    Garbled,
}

impl Hello {
    /// The greeting's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend(OLDEST_VERSION.to_le_bytes());
        out.extend(WIRE_VERSION.to_le_bytes());
        out.extend(postcard(self));
    }

    /// The greeting of these bytes, and the version to be spoken.
    ///
    /// # Errors
    /// If it is none, or of a version that is not spoken here.
    pub fn decode(bytes: &Bytes) -> Result<(Self, u16), GreetingError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(GreetingError::Stranger)?;
        let (oldest, rest) = number(rest)?;
        let (latest, rest) = number(rest)?;
        let version = latest.min(WIRE_VERSION);
        if version < oldest.max(OLDEST_VERSION) {
            return Err(GreetingError::Version { oldest, latest });
        }
        let hello = postcard::take_from_bytes(rest);
        let (hello, _) = hello.map_err(|_| GreetingError::Garbled)?;
        Ok((hello, version))
    }
}

/// The bytes of a reply.
pub fn encode_reply(reply: &Reply, out: &mut Vec<u8>) {
    out.extend(MAGIC);
    out.extend(postcard(reply));
}

/// The reply of these bytes.
///
/// # Errors
/// If it is none.
pub fn decode_reply(bytes: &Bytes) -> Result<Reply, GreetingError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(GreetingError::Stranger)?;
    let (reply, _) = postcard::take_from_bytes(rest).map_err(|_| GreetingError::Garbled)?;
    Ok(reply)
}

impl From<GreetingError> for Option<Refused> {
    /// What to tell a stranger: nothing, unless it is one of another version.
    fn from(error: GreetingError) -> Self {
        match error {
            GreetingError::Version { .. } => {
                Some(Refused::Version { oldest: OLDEST_VERSION, latest: WIRE_VERSION })
            }
            GreetingError::Stranger | GreetingError::Garbled => None,
        }
    }
}

fn number(bytes: &[u8]) -> Result<(u16, &[u8]), GreetingError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(GreetingError::Garbled)?;
    Ok((u16::from_le_bytes(*number), rest))
}

fn postcard(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("invariant: numbers and texts can be written to memory")
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Server(server) => server.fmt(f),
            Role::Client(name) if name.is_empty() => f.write_str("a client"),
            Role::Client(name) => write!(f, "client {name:?}"),
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lane::Consensus => "consensus",
            Lane::Bulk => "bulk",
        })
    }
}
