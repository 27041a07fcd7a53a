//! The cluster as the facts tell it: every server's log, vote and disk, and what is committed.

use std::collections::VecDeque;

use super::fact::Stamp;
use crate::raft::{Index, RoleKind, ServerId, Term};

/// Every server, and what the cluster has committed. Of each entry of each log it keeps 16
/// bytes, of each committed one 8 more.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Cluster {
    pub(super) servers: Vec<Server>,
    /// The chain of every committed entry, from index 1 on.
    committed: Vec<u64>,
}

/// One server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Server {
    pub(super) id: ServerId,
    /// As written.
    pub(super) vote: Vote,
    /// As its disk has it.
    pub(super) kept_vote: Vote,
    pub(super) role: RoleKind,
    pub(super) commit_index: Index,
    pub(super) last_applied: Index,
    log: Vec<Link>,
    /// Its disk has the log up to here.
    on_disk: Index,
    /// Writes that are not durable, oldest first.
    unsynced: VecDeque<(u64, Write)>,
}

/// `current_term` and `voted_for`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Vote {
    pub(super) term: Term,
    pub(super) voted_for: Option<ServerId>,
}

/// An entry, and with it all entries before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Link {
    pub(super) term: Term,
    pub(super) chain: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Write {
    Vote(Vote),
    Entries { first: Index, last: Index },
}

impl Cluster {
    pub(super) fn new(servers: impl IntoIterator<Item = ServerId>) -> Self {
        Self { servers: servers.into_iter().map(Server::new).collect(), committed: Vec::new() }
    }

    pub(super) fn place(&self, id: ServerId) -> Option<usize> {
        self.servers.iter().position(|server| server.id == id)
    }

    /// How many servers are more than half.
    pub(super) fn majority(&self) -> usize {
        self.servers.len() / 2 + 1
    }

    /// The lowest term that any server is in.
    pub(super) fn lowest_term(&self) -> Term {
        self.servers.iter().map(|server| server.vote.term).min().unwrap_or_default()
    }

    /// The last index that is committed anywhere.
    pub(super) fn commit_index(&self) -> Index {
        Index(self.committed.len() as u64)
    }

    /// The chain of the entry that is committed at `index`; 0 for index 0.
    pub(super) fn committed(&self, index: Index) -> Option<u64> {
        match index.0.checked_sub(1) {
            None => Some(0),
            Some(place) => self.committed.get(place as usize).copied(),
        }
    }

    /// How many servers have this entry, and all before it, on their disks.
    pub(super) fn keepers(&self, index: Index, chain: Option<u64>) -> usize {
        self.servers.iter().filter(|server| server.keeps(index, chain)).count()
    }

    /// Commits what the server at `place` has up to `index`.
    pub(super) fn commit(&mut self, place: usize, index: Index) {
        let server = &mut self.servers[place];
        server.commit_index = index;
        let known = self.committed.len();
        if let Some(new) = server.log.get(known..index.0 as usize) {
            self.committed.extend(new.iter().map(|link| link.chain));
        }
    }
}

impl Server {
    fn new(id: ServerId) -> Self {
        Self {
            id,
            vote: Vote::default(),
            kept_vote: Vote::default(),
            role: RoleKind::Follower,
            commit_index: Index(0),
            last_applied: Index(0),
            log: Vec::new(),
            on_disk: Index(0),
            unsynced: VecDeque::new(),
        }
    }

    pub(super) fn last(&self) -> Index {
        Index(self.log.len() as u64)
    }

    /// The entry at `index`; for index 0, what stands before the first.
    pub(super) fn link(&self, index: Index) -> Option<Link> {
        match index.0.checked_sub(1) {
            None => Some(Link { term: Term(0), chain: 0 }),
            Some(place) => self.log.get(place as usize).copied(),
        }
    }

    /// Whether its log holds the entry with this chain at `index`.
    pub(super) fn has(&self, index: Index, chain: Option<u64>) -> bool {
        self.link(index).map(|link| link.chain) == chain
    }

    fn keeps(&self, index: Index, chain: Option<u64>) -> bool {
        self.on_disk >= index && self.has(index, chain)
    }

    /// Its disk has the log up to here, whatever becomes of the writes under way.
    pub(super) fn on_disk(&self) -> Index {
        self.on_disk
    }

    /// Begins a life with what the disk kept.
    pub(super) fn start(&mut self, term: Term, voted_for: Option<ServerId>, log: &[Stamp]) {
        let mut fresh = Self::new(self.id);
        fresh.log.reserve(log.len());
        log.iter().for_each(|stamp| fresh.push(*stamp));
        // The log may have outlived the record of its term.
        let logged = fresh.log.last().map_or(Term(0), |link| link.term);
        fresh.vote = match logged > term {
            true => Vote { term: logged, voted_for: None },
            false => Vote { term, voted_for },
        };
        fresh.kept_vote = fresh.vote;
        fresh.on_disk = fresh.last();
        *self = fresh;
    }

    pub(super) fn write_vote(&mut self, number: u64, vote: Vote) {
        self.vote = vote;
        self.unsynced.push_back((number, Write::Vote(vote)));
    }

    pub(super) fn write_entries(&mut self, number: u64, first: Index, entries: &[Stamp]) {
        self.log.truncate(first.previous().0 as usize);
        self.on_disk = self.on_disk.min(first.previous());
        entries.iter().for_each(|stamp| self.push(*stamp));
        self.unsynced.push_back((number, Write::Entries { first, last: self.last() }));
    }

    fn push(&mut self, stamp: Stamp) {
        let before = self.log.last().map_or(0, |link| link.chain);
        self.log.push(Link { term: stamp.term, chain: stamp.chain(before) });
    }

    /// Notes that every write up to `number` is durable. What a later write replaces does not
    /// count: that write may become durable at any moment.
    pub(super) fn synced(&mut self, number: u64) {
        let mut kept = None;
        let done = self.unsynced.partition_point(|(write, _)| *write <= number);
        for (_, write) in self.unsynced.drain(..done) {
            match write {
                Write::Vote(vote) => self.kept_vote = vote,
                Write::Entries { last, .. } => kept = Some(last),
            }
        }
        let Some(kept) = kept else { return };
        let replaced = self.unsynced.iter().filter_map(|(_, write)| match write {
            Write::Entries { first, .. } => Some(first.previous()),
            Write::Vote(_) => None,
        });
        self.on_disk = replaced.fold(kept, Index::min);
    }
}
