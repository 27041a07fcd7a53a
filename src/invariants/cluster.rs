//! The cluster as the facts tell it: its servers, its members, and what is committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::configurations::{Configurations, Placed, majority};
use super::fact::Stamp;
use super::server::{Server, Start};
use crate::raft::{Configuration, Index, Position, ServerId, Term};

/// Every server, and what the cluster has committed. Of each entry of each log it keeps 16
/// bytes, of each committed one 16 more.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Cluster {
    /// In order of their numbers.
    pub(super) servers: Vec<Server>,
    pub(super) configurations: Configurations,
    /// The latest configuration that is committed.
    pub(super) configuration: Placed,
    founding: Arc<Configuration>,
    /// Every committed entry, from index 1 on.
    committed: Vec<Link>,
    /// Servers may rest on what others did and nobody has told yet.
    pub(super) believes: bool,
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

/// Fewer voters than a majority keep an entry.
pub(super) struct Shortfall {
    pub(super) keepers: usize,
    pub(super) voters: usize,
}

impl Link {
    /// What stands before the first entry.
    const NOTHING: Self = Self { term: Term(0), chain: 0 };

    /// The entry at `index` of a log from 1 on; for index 0, what stands before the first.
    pub(super) fn find(log: &[Self], index: Index) -> Option<Self> {
        match index.0.checked_sub(1) {
            None => Some(Self::NOTHING),
            Some(place) => log.get(place as usize).copied(),
        }
    }
}

impl Cluster {
    pub(super) fn new(servers: impl IntoIterator<Item = ServerId>) -> Self {
        let founding = Arc::new(Configuration::new(servers));
        let server = |id| Server::new(id, founding.clone());
        Self {
            servers: founding.voters().into_iter().map(server).collect(),
            configurations: Configurations::default(),
            configuration: (Index(0), founding.clone()),
            committed: Vec::new(),
            believes: false,
            founding,
        }
    }

    pub(super) fn place(&self, id: ServerId) -> Option<usize> {
        // Most clusters number their servers from 1 on.
        let guess = id.0.wrapping_sub(1) as usize;
        match self.servers.get(guess) {
            Some(server) if server.id == id => Some(guess),
            _ => self.servers.binary_search_by_key(&id, |server| server.id).ok(),
        }
    }

    /// The place of a server that may be new.
    pub(super) fn add(&mut self, id: ServerId) -> usize {
        self.place(id).unwrap_or_else(|| {
            let place = self.servers.partition_point(|server| server.id < id);
            self.servers.insert(place, Server::new(id, Arc::default()));
            place
        })
    }

    /// The cluster as it is found: with these entries committed, from index 1 on, and these
    /// configurations among them.
    pub(super) fn found(
        founding: Configuration,
        committed: &[Stamp],
        configurations: &[(Index, Arc<Configuration>)],
    ) -> Self {
        let members = configurations.iter().flat_map(|(_, it)| it.members());
        let members: BTreeSet<_> = founding.members().into_iter().chain(members).collect();
        let mut cluster = Self::new(members);
        let founding = Arc::new(founding);
        cluster.servers.iter_mut().for_each(|it| *it = Server::new(it.id, founding.clone()));
        (cluster.founding, cluster.configuration) = (founding.clone(), (Index(0), founding));
        let mut before = Link::NOTHING;
        cluster.committed.extend(committed.iter().map(|stamp| {
            before = Link { term: stamp.term, chain: stamp.chain(before.chain) };
            before
        }));
        let mut after = (Index(0), 0);
        for (at, configuration) in configurations {
            let Some(link) = cluster.committed_link(*at) else { continue };
            let place = (*at, link.chain);
            cluster.configurations.add(place, after, configuration.clone());
            after = place;
        }
        cluster.configuration = cluster.configuration_at(cluster.commit_index());
        cluster
    }

    /// Whether all that any server can rest on has been told.
    pub(super) fn sees_all(&self) -> bool {
        !self.believes && self.servers.iter().all(|server| !server.unseen)
    }

    /// The lowest term that any server is in, but for those that are gone for good.
    pub(super) fn lowest_term(&self) -> Term {
        let (at, latest) = &self.configuration;
        let next = || self.configurations.behind(*at).map(|seen| &seen.configuration);
        let stays = |server: &&Server| {
            server.runs || std::iter::once(latest).chain(next()).any(|it| it.is_member(server.id))
        };
        let terms = self.servers.iter().filter(stays).map(|server| server.vote.term);
        terms.min().unwrap_or_default()
    }

    /// The last index that is committed anywhere.
    pub(super) fn commit_index(&self) -> Index {
        Index(self.committed.len() as u64)
    }

    /// The chain of the entry that is committed at `index`; 0 for index 0.
    pub(super) fn committed(&self, index: Index) -> Option<u64> {
        self.committed_link(index).map(|link| link.chain)
    }

    fn committed_link(&self, index: Index) -> Option<Link> {
        Link::find(&self.committed, index)
    }

    /// Whether an entry of this term is committed at this index.
    pub(super) fn is_committed(&self, position: Position) -> bool {
        self.committed_link(position.index).is_some_and(|link| link.term == position.term)
    }

    /// The latest configuration up to `index` that is committed.
    pub(super) fn configuration_at(&self, index: Index) -> Placed {
        let latest = self.configurations.latest(index, |index| self.committed_link(index));
        latest.unwrap_or_else(|| (Index(0), self.founding.clone()))
    }

    /// The first of these sets of voters of which no majority keeps this entry, and all before it.
    pub(super) fn shortfall<'a>(
        &self,
        sets: impl Iterator<Item = &'a [ServerId]>,
        index: Index,
        chain: Option<u64>,
    ) -> Option<Shortfall> {
        let keeps = |id: &&ServerId| {
            self.place(**id).is_some_and(|place| self.servers[place].keeps(index, chain))
        };
        let count = |voters: &[ServerId]| {
            let (keepers, voters) = (voters.iter().filter(keeps).count(), voters.len());
            Shortfall { keepers, voters }
        };
        sets.map(count).find(|it| it.keepers < majority(it.voters))
    }

    /// Begins a life of a server with what its disk kept; what its log stands on is committed.
    pub(super) fn start(&mut self, place: usize, start: &Start<'_>) {
        let committed = &self.committed[..start.base.index.0 as usize];
        self.servers[place].start(start, committed, &self.configurations);
    }

    /// A server puts a snapshot of what is committed up to `index` in the place of its log.
    pub(super) fn install(
        &mut self,
        place: usize,
        write: u64,
        index: Index,
        configuration: (Index, &Configuration),
    ) {
        let committed = &self.committed[..index.0 as usize];
        self.servers[place].write_snapshot(write, committed, configuration);
        self.servers[place].configure(&self.configurations);
    }

    /// Commits what the server at `place` has up to `index`. Returns whether that changes the
    /// members.
    pub(super) fn commit(&mut self, place: usize, index: Index) -> bool {
        let server = &mut self.servers[place];
        server.commit_index = index;
        self.committed.extend(server.links(Index(self.committed.len() as u64), index));
        let before = self.configuration.0;
        if self.configurations.behind(before).next().is_some() {
            self.configuration = self.configuration_at(index.max(before));
        }
        self.configuration.0 > before
    }
}
