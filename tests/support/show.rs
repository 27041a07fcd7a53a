//! How a cluster looks in a transcript.

use std::fmt;

use jangada::raft::{Entry, Index, Payload, Position, ServerId};

use super::cluster::{Cluster, Packet};
use super::disk::Write;

/// A run of entries, shown as `4@2, 5@3(x), 6@3(no-op)`.
pub(crate) struct Run<'a> {
    pub(crate) first: Index,
    pub(crate) entries: &'a [Entry],
}

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entries.is_empty() {
            return f.write_str("empty");
        }
        for (place, entry) in self.entries.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            let index = Index(self.first.0 + place as u64);
            Position::new(entry.term, index).fmt(f)?;
            match &entry.payload {
                Payload::NoOp => f.write_str("(no-op)")?,
                Payload::Configuration(configuration) => write!(f, "({configuration})")?,
                Payload::Command(command) if command.is_empty() => {}
                Payload::Command(command) => {
                    write!(f, "({})", String::from_utf8_lossy(command))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Write::Vote { term, voted_for: None } => write!(f, "term {term}, no vote"),
            Write::Vote { term, voted_for: Some(candidate) } => {
                write!(f, "term {term}, vote for {candidate}")
            }
            Write::Recovered => f.write_str("that it has recovered"),
            Write::Log { first, entries, .. } => Run { first: *first, entries }.fmt(f),
            Write::Snapshot(snapshot) => {
                write!(f, "a snapshot up to {}", snapshot.meta.last_included)
            }
            Write::Install { end, .. } => write!(f, "the snapshot up to {end} in place of its log"),
            Write::Compact(to) => write!(f, "nothing up to {to} any more"),
        }
    }
}

/// One line on a server: role, term, vote, leader, commit index and log.
pub(crate) fn describe(cluster: &Cluster, id: ServerId) -> String {
    let server = cluster.server(id);
    let Some(node) = &server.node else {
        let disk = &server.disk;
        let vote = Write::Vote { term: disk.term, voted_for: disk.voted_for };
        let log = Run { first: disk.base.index.next(), entries: &disk.log };
        let behind = behind(disk.current, disk.base);
        return format!("{id} crashed; its disk has {vote}, log{behind}: {log}");
    };
    let status = node.status(cluster.now);
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    let vote = or_empty(status.voted_for.map(|vote| format!(" vote={vote}")));
    let leader = status.leader.filter(|leader| *leader != id);
    let leader = or_empty(leader.map(|leader| format!(" leader={leader}")));
    let log = Run { first: server.base.index.next(), entries: &server.log };
    let behind = behind(status.snapshot, server.base);
    let recovering = if status.recovering { " recovering" } else { "" };
    let lags = status.durable_index < status.last_log.index;
    let durable = or_empty(lags.then(|| format!(" (on disk: {})", status.durable_index)));
    let (role, term, commit) = (status.role, status.term, status.commit_index);
    format!(
        "{id} {role}{recovering} term={term}{vote}{leader} commit={commit} log{behind}: {log}{durable}"
    )
}

fn behind(snapshot: Index, base: Position) -> String {
    match (snapshot, base.index) {
        (Index(0), _) => String::new(),
        (_, Index(0)) => format!(" (snapshot: {snapshot})"),
        _ => format!(" (snapshot: {snapshot}) behind {base}"),
    }
}
