//! What a cluster tells the monitor.

use super::hash::{hash, mix};
use crate::raft::{
    Configuration, Entry, Index, Message, Payload, Position, RoleKind, ServerId, Term,
};

/// Something that a server, its disk or its state machine did. Facts are told in the order in
/// which they happen; those of one server only while it runs.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A server starts from what its disk kept.
    Started {
        /// The server.
        server: ServerId,
        /// `current_term` on its disk.
        term: Term,
        /// `voted_for` on its disk.
        voted_for: Option<ServerId>,
        /// The last entry that the snapshot on its disk covers; 0 without one.
        snapshot: Index,
        /// The configuration that held there, and where it stands.
        configuration: (Index, &'a Configuration),
        /// The entry before the first of `log`.
        base: Position,
        /// The log on its disk behind that.
        log: &'a [Stamp],
        /// It does not know what it promised in an earlier life.
        recovering: bool,
    },
    /// What a server does from now on is not seen, until it [starts](Self::Started) again; if it
    /// recovers then, until it has. Meanwhile whatever depends on it is believed.
    Unseen {
        /// The server.
        server: ServerId,
    },
    /// A server ended, by a crash or in good order.
    Ended {
        /// The server.
        server: ServerId,
    },
    /// A server wrote its term and its vote; they are not durable yet.
    WroteVote {
        /// The server.
        server: ServerId,
        /// The number of the write, which grows from write to write while the server lives.
        write: u64,
        /// The new `current_term`.
        term: Term,
        /// The new `voted_for`.
        voted_for: Option<ServerId>,
    },
    /// A server replaced its log from `first` on by these entries; they are not durable yet.
    WroteEntries {
        /// The server.
        server: ServerId,
        /// The number of the write, as above.
        write: u64,
        /// Where the first of them stands.
        first: Index,
        /// The entries.
        entries: &'a [Stamp],
    },
    /// A server put its leader's snapshot in the place of its whole log; it is not durable yet.
    WroteSnapshot {
        /// The server.
        server: ServerId,
        /// The number of the write, as above.
        write: u64,
        /// The last entry that it covers.
        last_included: Position,
        /// The configuration that holds there, and where it stands.
        configuration: (Index, &'a Configuration),
    },
    /// A server that did not know what it promised in an earlier life wrote that it does; it is
    /// not durable yet.
    WroteRecovered {
        /// The server.
        server: ServerId,
        /// The number of the write, as above.
        write: u64,
    },
    /// A server appended a configuration, which holds for it at once.
    Configures {
        /// The server.
        server: ServerId,
        /// Where it stands.
        at: Index,
        /// What it is.
        configuration: &'a Configuration,
    },
    /// A server knows that every write up to this one is durable.
    Durable {
        /// The server.
        server: ServerId,
        /// The number of the write.
        write: u64,
    },
    /// A message left a server.
    Sent {
        /// The sender.
        server: ServerId,
        /// The receiver.
        to: ServerId,
        /// What it says.
        message: Message,
    },
    /// A server changed its role or its term.
    Became {
        /// The server.
        server: ServerId,
        /// Its role now.
        role: RoleKind,
        /// Its term now.
        term: Term,
    },
    /// A server knows that every entry up to this one is committed.
    Committed {
        /// The server.
        server: ServerId,
        /// Its new `commit_index`.
        index: Index,
    },
    /// A server's state machine applied an entry.
    Applied {
        /// The server.
        server: ServerId,
        /// The place of the entry.
        index: Index,
        /// The entry.
        entry: Stamp,
        /// What the state machine answered.
        answer: &'a [u8],
        /// The request of a session that was carried out, not answered from the session table.
        request: Option<(u64, u64)>,
    },
    /// A server's state machine holds the state of a snapshot.
    Restored {
        /// The server.
        server: ServerId,
        /// The last entry that it covers.
        index: Index,
        /// The digest of the state, if it is known.
        digest: Option<[u8; 32]>,
    },
    /// The digest of a server's whole state, right after the entry at `index` was applied.
    Digest {
        /// The server.
        server: ServerId,
        /// What was applied last.
        index: Index,
        /// The digest.
        digest: [u8; 32],
    },
    /// A client was told that its command stands at this place of the log and was carried out.
    Answered {
        /// The server that told it.
        server: ServerId,
        /// The place.
        index: Index,
    },
    /// A server was made a cluster of its own, from what it had: from here on two clusters go
    /// different ways, and what was committed may be lost. Nothing more is judged.
    Salvaged {
        /// The server.
        server: ServerId,
    },
    /// How much a server holds of something that is bounded.
    Holds {
        /// The server.
        server: ServerId,
        /// Of what, in the plural.
        what: &'static str,
        /// How much.
        count: u64,
        /// The most that it may hold.
        limit: u64,
    },
}

/// What identifies an entry: its term and a hash of what it carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stamp {
    /// The term of the leader that created it.
    pub term: Term,
    /// A hash of its payload.
    pub payload: u64,
}

impl Stamp {
    /// The entry's stamp. Reads all of its payload.
    pub fn of(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            Payload::NoOp => 0,
            Payload::Configuration(configuration) => hash(configuration.to_string().as_bytes()),
            Payload::Command(command) => hash(command),
        };
        Self { term: entry.term, payload }
    }

    /// The chain of an entry, given that of the entry before it: equal chains, equal logs.
    pub(super) fn chain(self, before: u64) -> u64 {
        mix(mix(before, self.term.0), self.payload)
    }
}

impl<'a> Fact<'a> {
    /// A server of a new cluster starts.
    pub fn started_empty(server: ServerId, founding: &'a Configuration) -> Self {
        Self::Started {
            server,
            term: Term(0),
            voted_for: None,
            snapshot: Index(0),
            configuration: (Index(0), founding),
            base: Position::default(),
            log: &[],
            recovering: false,
        }
    }
}

impl Fact<'_> {
    /// Whom it is about.
    pub fn server(&self) -> ServerId {
        match *self {
            Self::Started { server, .. }
            | Self::Unseen { server }
            | Self::Ended { server }
            | Self::WroteVote { server, .. }
            | Self::WroteEntries { server, .. }
            | Self::WroteSnapshot { server, .. }
            | Self::WroteRecovered { server, .. }
            | Self::Configures { server, .. }
            | Self::Restored { server, .. }
            | Self::Durable { server, .. }
            | Self::Sent { server, .. }
            | Self::Became { server, .. }
            | Self::Committed { server, .. }
            | Self::Applied { server, .. }
            | Self::Digest { server, .. }
            | Self::Answered { server, .. }
            | Self::Salvaged { server }
            | Self::Holds { server, .. } => server,
        }
    }
}
