//! The numbers and addresses of servers, as people write them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::raft::ServerId;

/// Where the servers of a cluster are reached, as in `1=host:4001,2=host:4002`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeerAddresses(pub BTreeMap<ServerId, String>);

/// The highest number of a server.
const MAX_NUMBER: u64 = 99;

/// A server's number: from 1 to 99, with or without an `S`.
pub(super) fn server_id(text: &str) -> Result<ServerId, String> {
    let digits = text.trim().trim_start_matches(['S', 's']);
    match digits.parse() {
        Ok(number @ 1..=MAX_NUMBER) => Ok(ServerId(number)),
        _ => Err(format!("a server's number is wanted, from 1 to {MAX_NUMBER}")),
    }
}

/// `HOST:PORT`, with the address of IPv6 in brackets.
pub(super) fn address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let wanted = "HOST:PORT is wanted, such as `127.0.0.1:4001` or `[::1]:4001`";
    let (host, port) = text.rsplit_once(':').ok_or(wanted)?;
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let spaces = host.contains(|c: char| c.is_whitespace() || c == '/' || c == '=');
    if host.is_empty() || bare_v6 || spaces || port.parse::<u16>().is_err() {
        return Err(wanted.to_owned());
    }
    Ok(text.to_owned())
}

/// The numbers of servers, as in `1,2,3`; each once.
///
/// # Errors
/// What is wrong with them.
pub fn server_ids(text: &str) -> Result<Vec<ServerId>, String> {
    let mut ids = Vec::new();
    for id in text.split(',').filter(|part| !part.trim().is_empty()) {
        let id = server_id(id)?;
        if ids.contains(&id) {
            return Err(format!("{id} is named twice"));
        }
        ids.push(id);
    }
    if ids.is_empty() { Err("at least one server must be named".to_owned()) } else { Ok(ids) }
}

impl FromStr for PeerAddresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut peers = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let wanted = || format!("`{part}` is not N=HOST:PORT");
            let (id, at) = part.split_once('=').ok_or_else(wanted)?;
            let id = server_id(id).map_err(|why| format!("`{part}`: {why}"))?;
            let at = address(at).map_err(|why| format!("`{part}`: {why}"))?;
            if peers.insert(id, at).is_some() {
                return Err(format!("{id} is named twice"));
            }
        }
        Ok(Self(peers))
    }
}

impl fmt::Display for PeerAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().map(|(id, address)| format!("{}={address}", id.0));
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}
