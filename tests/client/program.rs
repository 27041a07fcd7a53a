//! The program of docs/client.md.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use jangada::actors::Connection;
use jangada::net::tls::Tls;
use jangada::net::{PeersConfig, Role, Security};
use jangada::raft::ServerId;
use uuid::Uuid;

pub(crate) async fn note(
    cluster: Uuid,
    tls: Arc<Tls>,
    servers: BTreeMap<ServerId, String>,
) -> Result<(), Box<dyn Error>> {
    let role = Role::Client("ada".to_owned());
    let mut config = PeersConfig::new(cluster, role, Security::Tls(tls));
    config.peers = servers; // as in {1: "10.0.0.1:4001", 2: "10.0.0.2:4001"}
    config.seed = Uuid::new_v4().as_u64_pair().0;
    let connection = Connection::open(config).await?;
    let client = connection.client(); // a session of its own; clones share it
    client.append_bytes("log.txt", "hello\n").await?;
    Ok(())
}
