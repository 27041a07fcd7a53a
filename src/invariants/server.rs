//! One server as the facts tell it: its vote, its log, and what its disk has of them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cluster::{Link, Vote};
use super::configurations::{Configurations, Placed};
use super::fact::Stamp;
use crate::raft::{Configuration, Index, Position, RoleKind, ServerId, Term};

/// One server. Its log is told from index 1 on, also where its disk has a snapshot instead: what
/// stands there is what was committed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Server {
    pub(super) id: ServerId,
    pub(super) runs: bool,
    /// What it does is not seen, or what it did before it lost its disk was not.
    pub(super) unseen: bool,
    /// As written.
    pub(super) vote: Vote,
    /// As its disk has it.
    pub(super) kept_vote: Vote,
    pub(super) role: RoleKind,
    pub(super) commit_index: Index,
    pub(super) last_applied: Index,
    /// The latest in its log.
    pub(super) configuration: Placed,
    /// As its disk has it: what it promised in an earlier life is not known.
    pub(super) recovering: bool,
    /// Its disk has a snapshot up to here, or further.
    pub(super) kept_snapshot: Index,
    /// What it knows of the members without any entry: those that founded the cluster, or nobody.
    founding: Arc<Configuration>,
    log: Vec<Link>,
    /// Its disk has the log up to here.
    on_disk: Index,
    /// Writes that are not durable, oldest first.
    unsynced: VecDeque<(u64, Write)>,
    /// While it recovers, what the disk had that was lost: leaders may count it still.
    former: Vec<Link>,
}

/// What a server found on its disk.
pub(super) struct Start<'a> {
    pub(super) vote: Vote,
    pub(super) snapshot: Index,
    /// What it knows of the members without any entry behind the snapshot.
    pub(super) configuration: (Index, &'a Configuration),
    /// The entry before the first of `log`.
    pub(super) base: Position,
    pub(super) log: &'a [Stamp],
    pub(super) recovering: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Write {
    Vote(Vote),
    Entries { first: Index, last: Index },
    Snapshot { first: Index, last: Index },
    Recovered,
}

impl Start<'_> {
    /// Whether the disk is new, or as good as new.
    pub(super) fn is_formatted(&self) -> bool {
        let nothing = (Vote::default(), Index(0), Position::default());
        (self.vote, self.snapshot, self.base) == nothing && self.log.is_empty()
    }

    /// The last entry.
    pub(super) fn last(&self) -> Index {
        Index(self.base.index.0 + self.log.len() as u64)
    }

    /// The chain of the entry at `index`, behind the base, given that of the base.
    pub(super) fn chain(&self, base: Option<u64>, index: Index) -> Option<u64> {
        let behind = self.log.iter().take((index - self.base.index) as usize);
        base.map(|base| behind.fold(base, |before, entry| entry.chain(before)))
    }
}

impl Server {
    pub(super) fn new(id: ServerId, founding: Arc<Configuration>) -> Self {
        Self {
            id,
            runs: false,
            unseen: false,
            vote: Vote::default(),
            kept_vote: Vote::default(),
            role: RoleKind::Follower,
            commit_index: Index(0),
            last_applied: Index(0),
            configuration: (Index(0), founding.clone()),
            recovering: false,
            kept_snapshot: Index(0),
            founding,
            log: Vec::new(),
            on_disk: Index(0),
            unsynced: VecDeque::new(),
            former: Vec::new(),
        }
    }

    pub(super) fn last(&self) -> Index {
        Index(self.log.len() as u64)
    }

    /// The entry at `index`; for index 0, what stands before the first.
    pub(super) fn link(&self, index: Index) -> Option<Link> {
        Link::find(&self.log, index)
    }

    /// Whether its log holds the entry with this chain at `index`.
    pub(super) fn has(&self, index: Index, chain: Option<u64>) -> bool {
        self.link(index).map(|link| link.chain) == chain
    }

    /// Whether a leader may count on it for this entry: it is on its disk; or it was on the one
    /// that was lost, so that it votes for nobody who lacks the entry before it has it again.
    pub(super) fn keeps(&self, index: Index, chain: Option<u64>) -> bool {
        match self.recovering {
            _ if self.unseen => true,
            false => self.on_disk >= index && self.has(index, chain),
            true => Link::find(&self.former, index).map(|link| link.chain) == chain,
        }
    }

    /// Its disk has the log up to here, whatever becomes of the writes under way.
    pub(super) fn on_disk(&self) -> Index {
        self.on_disk
    }

    /// Whether it has written that it recovered, durable or not.
    pub(super) fn may_have_recovered(&self) -> bool {
        !self.recovering || self.unsynced.iter().any(|(_, write)| *write == Write::Recovered)
    }

    /// Begins a life with what the disk kept; these entries are committed up to its base.
    pub(super) fn start(
        &mut self,
        start: &Start<'_>,
        committed: &[Link],
        configurations: &Configurations,
    ) {
        let founding = match start.configuration {
            (Index(0), known) => Arc::new(known.clone()),
            _ => self.founding.clone(),
        };
        let mut fresh = Self::new(self.id, founding);
        fresh.log.reserve(committed.len() + start.log.len());
        fresh.log.extend(committed);
        start.log.iter().for_each(|stamp| fresh.push(*stamp));
        // The log may have outlived the record of its term.
        let logged = fresh.log.last().map_or(Term(0), |link| link.term);
        fresh.vote = match logged > start.vote.term {
            true => Vote { term: logged, voted_for: None },
            false => start.vote,
        };
        fresh.kept_vote = fresh.vote;
        fresh.on_disk = fresh.last();
        (fresh.runs, fresh.recovering) = (true, start.recovering);
        // Nobody knows what the disk had that was lost.
        fresh.unseen = self.unseen && start.recovering;
        fresh.kept_snapshot = start.snapshot;
        (fresh.commit_index, fresh.last_applied) = (start.snapshot, start.snapshot);
        if start.recovering {
            // While it recovered, it promised nothing new.
            let lost = start.is_formatted() && !self.recovering;
            fresh.former = std::mem::take(if lost { &mut self.log } else { &mut self.former });
            if lost {
                fresh.former.truncate(self.on_disk.0 as usize);
            }
        }
        fresh.configure(configurations);
        *self = fresh;
    }

    /// Finds the latest configuration in its log.
    pub(super) fn configure(&mut self, configurations: &Configurations) {
        self.configuration = self.configuration_before(self.last().next(), configurations);
    }

    /// The latest configuration in its log before `index`.
    pub(super) fn configuration_before(
        &self,
        index: Index,
        configurations: &Configurations,
    ) -> Placed {
        let latest = configurations.latest(index.previous(), |index| self.link(index));
        latest.unwrap_or_else(|| (Index(0), self.founding.clone()))
    }

    /// The entries behind `after`, up to `last`.
    pub(super) fn links(&self, after: Index, last: Index) -> &[Link] {
        self.log.get(after.0 as usize..last.0 as usize).unwrap_or_default()
    }

    pub(super) fn write_vote(&mut self, number: u64, vote: Vote) {
        self.vote = vote;
        self.unsynced.push_back((number, Write::Vote(vote)));
    }

    pub(super) fn write_entries(&mut self, number: u64, first: Index, entries: &[Stamp]) {
        self.cut(first);
        entries.iter().for_each(|stamp| self.push(*stamp));
        self.unsynced.push_back((number, Write::Entries { first, last: self.last() }));
    }

    /// Replaces its log by these links: from the first on that differs, as a crash may undo it.
    pub(super) fn write_snapshot(
        &mut self,
        number: u64,
        committed: &[Link],
        configuration: (Index, &Configuration),
    ) {
        if configuration.0 == Index(0) {
            self.founding = Arc::new(configuration.1.clone());
        }
        let same = |place: &usize| self.log.get(*place) == committed.get(*place);
        // Equal links, equal logs up to there.
        let (mut equal, mut most) = (0, self.log.len().min(committed.len()));
        while equal < most {
            let middle = equal.midpoint(most);
            if same(&middle) { equal = middle + 1 } else { most = middle }
        }
        let first = Index(equal as u64 + 1);
        self.cut(first);
        self.log.extend(&committed[equal..]);
        self.unsynced.push_back((number, Write::Snapshot { first, last: self.last() }));
    }

    pub(super) fn write_recovered(&mut self, number: u64) {
        self.unsynced.push_back((number, Write::Recovered));
    }

    fn cut(&mut self, first: Index) {
        self.log.truncate(first.previous().0 as usize);
        self.on_disk = self.on_disk.min(first.previous());
    }

    fn push(&mut self, stamp: Stamp) {
        let before = self.log.last().map_or(0, |link| link.chain);
        self.log.push(Link { term: stamp.term, chain: stamp.chain(before) });
    }

    /// Notes that every write up to `number` is durable. What a later write replaces does not
    /// count: that write may become durable at any moment. Returns whether it has recovered.
    pub(super) fn synced(&mut self, number: u64) -> bool {
        let (mut kept, was_recovering) = (None, self.recovering);
        let done = self.unsynced.partition_point(|(write, _)| *write <= number);
        for (_, write) in self.unsynced.drain(..done) {
            match write {
                Write::Vote(vote) => self.kept_vote = vote,
                Write::Entries { last, .. } => kept = Some(last),
                Write::Snapshot { last, .. } => (kept, self.kept_snapshot) = (Some(last), last),
                Write::Recovered => {
                    (self.recovering, self.unseen, self.former) = (false, false, Vec::new());
                }
            }
        }
        if let Some(kept) = kept {
            let replaced = self.unsynced.iter().filter_map(|(_, write)| match write {
                Write::Entries { first, .. } | Write::Snapshot { first, .. } => {
                    Some(first.previous())
                }
                Write::Vote(_) | Write::Recovered => None,
            });
            self.on_disk = replaced.fold(kept, Index::min);
        }
        was_recovering && !self.recovering
    }
}
