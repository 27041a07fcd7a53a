//! Snapshots: taken from the state machine, sent to followers, fetched from the leader, restored.
//!
//! All of it is done chunk by chunk, each a message of its own, so that whatever else there is to
//! do has its turn in between: a snapshot of any size holds up neither heartbeats nor writes.

use std::collections::VecDeque;

use actix::prelude::{Context, Handler};
use bytes::Bytes;

use super::{Server, Source};
use crate::actors::SnapshotPolicy;
use crate::actors::messages::{Developed, Picture, Snap, Transfer};
use crate::actors::record::EventKind;
use crate::actors::transfer::{Came, Fetch, page};
use crate::invariants::Fact;
use crate::net::Cargo;
use crate::raft::{
    ChunkId, Index, Input, InstallSnapshot, Message, Part, Position, SnapshotMeta, Time,
};
use crate::storage::{ChunkWrite, Snapshot, StorageError, WriteId};

/// Bytes of chunks on their way to the disk at which the next is not taken yet.
const MAX_UNSYNCED: usize = 4 << 20;

/// Where a server is with its snapshots.
pub(super) struct Snapshots {
    policy: SnapshotPolicy,
    /// The latest, and the one before, which a follower may still be fetching.
    latest: Option<Snapshot>,
    before: Option<Snapshot>,
    taking: Option<Taking>,
    /// The one that was taken is being written: done with this write.
    saving: Option<(WriteId, Snapshot)>,
    fetching: Option<Fetching>,
    restoring: Option<Restoring>,
    /// The log has not grown enough for the next one up to this entry: looked at once for each.
    not_due: Index,
    /// The state machine has none.
    impossible: bool,
}

/// A snapshot of this server's own state.
struct Taking {
    /// The last entry that it covers; `None` as long as the state machine has not said.
    index: Option<Index>,
    chunks: Vec<ChunkId>,
    /// Chunks that are not durable yet, with their sizes.
    unsynced: VecDeque<(ChunkWrite, usize)>,
    /// A chunk was asked for.
    asked: bool,
    /// There are no more.
    all: bool,
}

/// The leader's snapshot.
struct Fetching {
    fetch: Fetch,
    /// The last chunk that was kept.
    kept: ChunkWrite,
    /// The leader waits to hear what is lacking.
    offered: bool,
}

/// A snapshot on its way to the state machine.
struct Restoring {
    snapshot: Snapshot,
    next: usize,
}

impl Snapshots {
    pub(super) fn new(policy: SnapshotPolicy, latest: Option<Snapshot>) -> Self {
        Self {
            policy,
            latest,
            before: None,
            taking: None,
            saving: None,
            fetching: None,
            restoring: None,
            not_due: Index(0),
            impossible: false,
        }
    }

    pub(super) fn is_restoring(&self) -> bool {
        self.restoring.is_some()
    }

    /// The leader offers a snapshot, for the first time or again.
    pub(super) fn offered(&mut self, last_included: Position) {
        match &mut self.fetching {
            Some(it) if it.fetch.last_included() == last_included => it.offered = true,
            other => {
                self.taking = None;
                let fetch = Fetch::new(last_included);
                *other = Some(Fetching { fetch, kept: ChunkWrite::default(), offered: true });
            }
        }
    }

    /// One thing at a time.
    pub(super) fn is_busy(&self) -> bool {
        let Self { taking, saving, fetching, restoring, .. } = self;
        taking.is_some() || saving.is_some() || fetching.is_some() || restoring.is_some()
    }

    fn saved(&mut self, snapshot: Snapshot) {
        self.before = self.latest.replace(snapshot);
    }

    fn ending_with(&self, last_included: Position) -> Option<&Snapshot> {
        let known = [&self.latest, &self.before].into_iter().flatten();
        known.into_iter().find(|it| it.meta.last_included == last_included)
    }
}

impl Server {
    /// Does what there is to do about snapshots, now that the disk may have news.
    pub(super) fn mind_snapshots(&mut self, now: Time) {
        if self.snapshots.is_busy() {
            self.mind_saved(now);
            self.mind_taking();
            self.mind_fetching(now);
        }
        self.mind_policy(now);
    }

    /// Takes a snapshot when the log has grown enough. While another server is being sent one, the
    /// log is kept for it instead, up to four times as long.
    fn mind_policy(&mut self, now: Time) {
        let Snapshots { policy, impossible, not_due, .. } = &self.snapshots;
        let applied = self.life.applied();
        if *impossible || *not_due == applied || self.snapshots.is_busy() {
            return;
        }
        let (entries, bytes) = self.node.behind_snapshot(applied);
        let due = |times: u64| {
            entries >= policy.entries.saturating_mul(times)
                || bytes >= policy.bytes.saturating_mul(times)
        };
        if !due(1) {
            self.snapshots.not_due = applied;
            return;
        }
        // A server that joins again may not know yet who the members are.
        let known = self.node.snapshot_at(applied).is_some();
        if known && (due(4) || !self.node.sends_snapshot(self.local.at(now))) {
            self.take_snapshot();
        }
    }

    fn take_snapshot(&mut self) {
        if !self.snapshots.is_busy() {
            let (chunks, unsynced) = Default::default();
            let taking = Taking { index: None, chunks, unsynced, asked: false, all: false };
            self.snapshots.taking = Some(taking);
            self.machine.do_send(Picture::Take);
        }
    }

    /// Asks for the next chunk if the disk keeps up, and saves the snapshot when it has all.
    fn mind_taking(&mut self) {
        let Some(taking) = &mut self.snapshots.taking else { return };
        let Some(index) = taking.index else { return };
        let durable = self.durable.chunks;
        while taking.unsynced.front().is_some_and(|(write, _)| *write <= durable) {
            taking.unsynced.pop_front();
        }
        let unsynced: usize = taking.unsynced.iter().map(|(_, bytes)| bytes).sum();
        if !taking.all {
            if !taking.asked && unsynced < MAX_UNSYNCED {
                taking.asked = true;
                self.machine.do_send(Picture::Next);
            }
            return;
        }
        if !taking.unsynced.is_empty() {
            return;
        }
        let chunks = std::mem::take(&mut taking.chunks).into();
        self.snapshots.taking = None;
        // Nothing, if a later one was installed meanwhile.
        let Some(meta) = self.node.snapshot_at(index) else { return };
        let snapshot = Snapshot { meta, chunks };
        let write = self.storage.save_snapshot(snapshot.clone(), true);
        self.wrote = true;
        self.snapshots.saving = Some((write, snapshot));
    }

    /// A snapshot that was taken is on the disk: the log before it may go.
    fn mind_saved(&mut self, now: Time) {
        let durable = self.durable.write;
        let saved = self.snapshots.saving.take_if(|(write, _)| *write <= durable);
        let Some((_, snapshot)) = saved else { return };
        let meta = snapshot.meta.clone();
        self.snapshots.saved(snapshot);
        let (server, last_included) = (self.id, meta.last_included);
        self.recorder.record(EventKind::Snapshotted { server, last_included });
        let before = self.snapshots.before.as_ref();
        let outdated = before.map(|before| before.meta.last_included.index);
        self.machine.do_send(Picture::Saved { outdated });
        self.step_once(now, Input::Snapshotted(&meta), Source::Nothing);
    }

    /// Tells the leader what is lacking, and the node when nothing is.
    fn mind_fetching(&mut self, now: Time) {
        let Some(fetching) = &mut self.snapshots.fetching else { return };
        let local = self.local.at(now);
        let last_included = fetching.fetch.last_included();
        if last_included.index <= self.node.commit_index() {
            // The log has come as far meanwhile.
            self.snapshots.fetching = None;
            return;
        }
        let wants = fetching.fetch.wants(local);
        if std::mem::take(&mut fetching.offered) || !wants.is_empty() {
            let have = fetching.fetch.have();
            let input = Input::Fetching { last_included, want: &wants, have };
            self.step_once(now, input, Source::Nothing);
        }
        let Some(fetching) = &self.snapshots.fetching else { return };
        if fetching.kept > self.durable.chunks {
            return;
        }
        let Some(snapshot) = fetching.fetch.complete() else { return };
        self.step_once(now, Input::Fetched(&snapshot.meta), Source::Nothing);
        self.snapshots.fetching = None;
    }

    /// A part of the leader's snapshot came.
    pub(super) fn arrived(&mut self, part: Part, bytes: &Bytes, now: Time) {
        let local = self.local.at(now);
        let Some(fetching) = &mut self.snapshots.fetching else { return };
        match fetching.fetch.came(part, bytes, local) {
            Came::Nothing => {}
            Came::List(ids) => {
                // Its chunks stay, whatever becomes of this server's own snapshots.
                self.storage.discard_chunks(ids.clone());
                let lacking = ids.into_iter().filter(|id| !self.storage.has_chunk(id));
                fetching.fetch.lack(lacking);
            }
            Came::Chunk(id, bytes) => {
                fetching.kept = self.storage.put_chunk(id, bytes);
                self.wrote = true;
            }
        }
    }

    /// Puts the snapshot that was fetched in the place of the log and of the state.
    pub(super) fn install(&mut self, meta: &SnapshotMeta) {
        let Some(fetching) = self.snapshots.fetching.take() else { return };
        let Some(snapshot) = fetching.fetch.complete() else { return };
        let write = self.storage.save_snapshot(snapshot.clone(), false);
        self.note_write(write);
        self.wrote = true;
        let (server, write, last_included) = (self.id, write.0, meta.last_included);
        let configuration = (meta.configured_at, &meta.configuration);
        self.recorder.tell(&Fact::WroteSnapshot { server, write, last_included, configuration });
        let chunks = fetching.fetch.counts();
        self.recorder.record(EventKind::Installed { server, last_included, chunks });
        (self.snapshots.taking, self.snapshots.saving) = (None, None);
        self.snapshots.saved(snapshot.clone());
        self.restore(snapshot);
    }

    /// Begins with the state of the snapshot on the disk, if there is one.
    pub(super) fn restore_latest(&mut self) {
        if let Some(snapshot) = self.snapshots.latest.clone() {
            self.restore(snapshot);
        }
    }

    fn restore(&mut self, snapshot: Snapshot) {
        let index = snapshot.meta.last_included.index;
        self.handed_over = index;
        self.snapshots.restoring = Some(Restoring { snapshot, next: 0 });
        self.machine.do_send(Picture::Restore(index));
    }

    /// The part of a snapshot that goes with this message; nothing, if it is not here any more. A
    /// server that cannot read its latest snapshot ends: it would keep others waiting for ever.
    pub(super) fn part(&mut self, install: &InstallSnapshot) -> Cargo {
        let bytes = match install.part {
            None => return Cargo::Nothing,
            Some(Part::List(number)) => self
                .snapshots
                .ending_with(install.last_included)
                .and_then(|snapshot| page(snapshot, number)),
            Some(Part::Chunk(id)) => {
                let bytes = self.storage.chunk(&id);
                let latest = self.snapshots.latest.as_ref();
                if bytes.is_none() && latest.is_some_and(|latest| latest.chunks.contains(&id)) {
                    self.failure = Some(self.storage.chunk_lost(id));
                }
                bytes
            }
        };
        bytes.map_or(Cargo::Nothing, Cargo::Part)
    }

    fn on_developed(&mut self, message: Developed) {
        match message {
            Developed::Began(None) => {
                (self.snapshots.taking, self.snapshots.impossible) = (None, true);
            }
            Developed::Began(index) => {
                let before = self.snapshots.latest.as_ref().map(|it| it.meta.last_included.index);
                // Nothing new was applied.
                if index.unwrap_or_default() <= before.unwrap_or_default() {
                    self.snapshots.taking = None;
                } else if let Some(taking) = &mut self.snapshots.taking {
                    taking.index = index;
                }
            }
            Developed::Chunk(chunk) => {
                let Some(taking) = &mut self.snapshots.taking else { return };
                taking.asked = false;
                let Some((id, bytes)) = chunk else {
                    taking.all = true;
                    return;
                };
                taking.chunks.push(id);
                if let Some(bytes) = bytes {
                    let size = bytes.len();
                    let write = self.storage.put_chunk(id, bytes);
                    taking.unsynced.push_back((write, size));
                    self.wrote = true;
                } else if !self.storage.has_chunk(&id) {
                    self.failure = Some(self.storage.chunk_lost(id));
                }
            }
            Developed::Hungry => self.feed(),
            Developed::Restored => {
                self.snapshots.restoring = None;
                self.hand_over();
            }
            Developed::Inedible(reason) => self.failure = Some(StorageError::Snapshot(reason)),
            Developed::Lost(chunk) => {
                self.failure = Some(self.storage.chunk_lost(chunk));
            }
        }
    }

    /// Gives the state machine the next chunk of what it restores.
    fn feed(&mut self) {
        let Some(restoring) = &mut self.snapshots.restoring else { return };
        let id = restoring.snapshot.chunks.get(restoring.next).copied();
        restoring.next += 1;
        let Some(id) = id else { return self.machine.do_send(Picture::Feed(None)) };
        match self.storage.chunk(&id) {
            Some(bytes) => self.machine.do_send(Picture::Feed(Some((id, bytes)))),
            None => self.failure = Some(self.storage.chunk_lost(id)),
        }
    }
}

impl Handler<Developed> for Server {
    type Result = ();

    fn handle(&mut self, message: Developed, ctx: &mut Context<Self>) {
        if self.life.ended() {
            return;
        }
        self.on_developed(message);
        if !self.life.paused() {
            self.settle(self.clock.now());
        }
        self.rest(ctx);
    }
}

impl Handler<Snap> for Server {
    type Result = ();

    fn handle(&mut self, _: Snap, _: &mut Context<Self>) {
        if !self.life.ended() {
            // With all that is committed, be it gathered for later.
            self.hand_over();
            self.take_snapshot();
        }
    }
}

impl Handler<Transfer> for Server {
    type Result = ();

    fn handle(&mut self, message: Transfer, ctx: &mut Context<Self>) {
        let Transfer { from, install, part } = message;
        let message = Message::InstallSnapshot(install);
        let input = Input::Message { from, message, entries: &[] };
        self.step(input, Source::Part(&part), ctx);
    }
}
