//! One server: a shell around [`raft::Node`](crate::raft::Node). A handler steps the node and
//! performs what it asks for; it decides nothing about the protocol, and waits for nothing.

mod audit;
mod members;
mod snapshots;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use actix::prelude::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, MessageResult};
use bytes::Bytes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use smallvec::SmallVec;
use tokio::task::JoinHandle;

pub(crate) use audit::AuditFrom;

use audit::Auditor;
use members::Asking;
use snapshots::Snapshots;

use super::SnapshotPolicy;
use super::call::{Call, Inbox, Reply, answer};
use super::clock::{Clock, LocalClock};
use super::messages::{
    Applied, Apply, Disrupt, End, FromPeer, Gone, Knock, Observation, Observe, Query, Replicate,
    Retime, Synced, Tick, Wake,
};
use super::network::{Life, Network};
use super::record::{Alarm, EventKind, Recorder};
use super::state_machine::StateMachine;
use super::supervisor::OrderError;
use crate::blackbox::{BlackBox, Payloads};
use crate::invariants::{Fact, Stamp};
use crate::museum::{Bug, on};
use crate::net::{CallError, Cargo, Consistency, Request};
use crate::raft::{
    Configuration, Effect, Entries, Entry, EntryMeta, Index, Input, Message, Node, Payload,
    Refusal, RoleKind, ServerId, Ticket, Time,
};
use crate::storage::{Durable, Storage, StorageError, WriteId};

/// The actor that runs one server.
pub(crate) struct Server {
    id: ServerId,
    node: Node,
    storage: Box<dyn Storage>,
    network: Network,
    recorder: Recorder,
    /// The sandbox's, by which the disk works.
    clock: Clock,
    /// The server's own, by which the node goes.
    local: LocalClock,
    life: Life,
    luck: ChaCha8Rng,
    machine: Addr<StateMachine>,
    inbox: Arc<Inbox>,
    /// Writes whose entry is not handed to the state machine yet, by index, ascending. From
    /// [`MAX_PENDING`] on, with those that are handed over, no more are taken in.
    pending: VecDeque<(Index, Reply)>,
    /// Reads that wait for the node's word. Bounded by the node's limit.
    reads: BTreeMap<Ticket, (Bytes, Reply)>,
    next_ticket: Ticket,
    /// Every entry up to here has been handed to the state machine.
    handed_over: Index,
    /// How far the node was told that the state machine is.
    told_applied: Index,
    /// A query waits for the state machine to be here.
    wanted: Index,
    /// What the node has been told is durable.
    durable: Durable,
    snapshots: Snapshots,
    /// Who waits for the leader's word.
    asking: Asking,
    auditor: Auditor,
    /// The write of a vote that is not durable yet: nothing may be said before it is.
    gate: Option<WriteId>,
    /// Something was written that no sync was asked for yet.
    wrote: bool,
    /// A vote was written and synced since the disk was asked what is durable.
    saved: bool,
    /// What waits for that write; the oldest are dropped beyond [`MAX_OUTBOX`], as if lost.
    outbox: VecDeque<(ServerId, Message)>,
    /// What the storage said when it failed: the server ends with this turn.
    failure: Option<StorageError>,
    /// When the next wake-up comes, and the task that brings it.
    timer: Option<(Time, JoinHandle<()>)>,
    scratch: Scratch,
    /// Records what enters the node.
    black_box: Option<BlackBox>,
    _alarm: Alarm,
}

/// What a server is made from.
pub(crate) struct Parts {
    pub(crate) id: ServerId,
    pub(crate) node: Node,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) network: Network,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) local: LocalClock,
    pub(crate) life: Life,
    pub(crate) luck: ChaCha8Rng,
    pub(crate) machine: Addr<StateMachine>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) policy: SnapshotPolicy,
    pub(crate) black_box: Option<BlackBox>,
}

/// Buffers that are used again and again.
#[derive(Default)]
struct Scratch {
    effects: Vec<Effect>,
    metas: Vec<EntryMeta>,
    calls: Vec<Call>,
    proposals: Proposals,
}

/// Commands that are proposed together, at most [`CALLS_A_TURN`].
#[derive(Default)]
struct Proposals {
    commands: Vec<Bytes>,
    sizes: Vec<u32>,
    replies: Vec<Reply>,
}

/// What the entries of an [`Effect::Append`] are.
enum Source<'a> {
    Nothing,
    Message(&'a Entries),
    Part(&'a Bytes),
    Proposals { commands: &'a mut Vec<Bytes>, replies: &'a mut Vec<Reply> },
}

/// Most calls that are taken in at a time; then messages have their turn.
const CALLS_A_TURN: usize = 4096;
/// Writes in waiting, on the log or on the state machine, at which others are refused.
const MAX_PENDING: usize = 1 << 17;
/// Most bytes that the state machine is handed at a time.
const APPLY_BYTES: u64 = 1 << 20;
/// Most entries that the state machine has been handed and has not applied.
const APPLY_WINDOW: u64 = 1 << 14;
/// Entries that are handed to the state machine together, if nobody waits for them.
const GATHERED: u64 = 16;
/// Most messages that wait for the disk to keep a vote.
const MAX_OUTBOX: usize = 1024;

impl Source<'_> {
    fn payloads(&self) -> Payloads<'_> {
        match self {
            Source::Nothing | Source::Part(_) => Payloads::None,
            Source::Message(entries) => Payloads::Entries(entries),
            Source::Proposals { commands, .. } => Payloads::Commands(commands),
        }
    }
}

impl Server {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { id, node, storage, network, recorder, clock, local, .. } = parts;
        let Parts { life, mut luck, machine, inbox, policy, black_box, .. } = parts;
        life.set_role(node.role(), node.term());
        let handed_over = match on(Bug::LastAppliedSurvives) {
            true => node.last_log_index(),
            false => Index(0),
        };
        let snapshots = Snapshots::new(policy, storage.snapshot());
        Self {
            id,
            node,
            storage,
            network,
            _alarm: recorder.alarm(id),
            recorder,
            clock,
            local,
            life,
            // Never a number of an earlier life, so that no late answer meets a new read.
            next_ticket: Ticket(luck.next_u64() >> 1),
            luck,
            machine,
            inbox,
            pending: VecDeque::new(),
            reads: BTreeMap::new(),
            handed_over,
            told_applied: Index(0),
            wanted: Index(0),
            durable: Durable::default(),
            snapshots,
            asking: Asking::default(),
            auditor: Auditor::default(),
            gate: None,
            wrote: false,
            saved: false,
            outbox: VecDeque::new(),
            failure: None,
            timer: None,
            scratch: Scratch::default(),
            black_box,
        }
    }

    /// Steps the node, performs its effects, and everything that follows from them at once.
    fn step(&mut self, input: Input<'_>, source: Source<'_>, ctx: &mut Context<Self>) {
        if self.life.ended() {
            return;
        }
        let now = self.clock.now();
        self.tell_applied(now);
        self.step_once(now, input, source);
        self.settle(now);
        self.rest(ctx);
    }

    /// Tells the node how far the state machine is.
    fn tell_applied(&mut self, now: Time) {
        let applied = self.life.applied();
        if applied > self.told_applied {
            self.told_applied = applied;
            let (at, luck, mut effects) = (self.local.at(now), &mut self.luck, Vec::new());
            let input = Input::Applied(applied);
            self.node.step(at, input, &mut || luck.next_u64(), &mut effects);
            debug_assert!(effects.is_empty(), "invariant: nothing follows from it at once");
            if let Some(black_box) = &mut self.black_box {
                black_box.applied(at, &self.node, |index| self.life.state_at(index));
            }
        }
    }

    fn step_once(&mut self, now: Time, input: Input<'_>, mut source: Source<'_>) {
        let mut effects = std::mem::take(&mut self.scratch.effects);
        let (at, luck) = (self.local.at(now), &mut self.luck);
        let mut luck = || luck.next_u64();
        match &mut self.black_box {
            None => self.node.step(at, input, &mut luck, &mut effects),
            Some(black_box) => {
                let payloads = source.payloads();
                black_box.step(&mut self.node, at, input, &payloads, &mut luck, &mut effects);
            }
        }
        for effect in effects.drain(..) {
            if self.failure.is_none() {
                self.perform(effect, now, &mut source);
            }
        }
        self.scratch.effects = effects;
    }

    /// Has everything written synced, and tells the node what the disk has done, until there is
    /// nothing new.
    fn settle(&mut self, now: Time) {
        while self.failure.is_none() {
            self.saved = false;
            if std::mem::take(&mut self.wrote) {
                self.storage.sync(now);
            }
            let durable = match self.storage.durable(now) {
                Ok(durable) => durable,
                Err(error) => {
                    self.failure = Some(error);
                    return;
                }
            };
            let news = durable != self.durable;
            if durable.write > self.durable.write {
                self.durable = durable;
                self.tell_durable(durable.write, now);
                if self.gate.is_some_and(|vote| vote <= durable.write) {
                    self.gate = None;
                    for (to, message) in std::mem::take(&mut self.outbox) {
                        self.send(to, message);
                    }
                }
                let Durable { term, last, .. } = durable;
                self.step_once(now, Input::Persisted { term, last }, Source::Nothing);
            }
            self.durable = durable;
            self.mind_snapshots(now);
            let more = news && (self.saved || self.snapshots.is_busy() || self.disk_is_busy());
            if !self.wrote && !more {
                return;
            }
        }
    }

    /// Whether the disk may have news without being given anything to do.
    fn disk_is_busy(&self) -> bool {
        self.storage.deadline().is_some()
    }

    /// Lets nothing be said before this write is durable.
    fn save(&mut self, write: WriteId, now: Time) {
        self.saved = true;
        self.storage.sync(now);
        match self.storage.durable(now) {
            Ok(durable) => {
                self.tell_durable(durable.write, now);
                if durable.write < write && !on(Bug::VoteToldBeforeDurable) {
                    self.gate = Some(write);
                }
            }
            Err(error) => self.failure = Some(error),
        }
    }

    fn perform(&mut self, effect: Effect, now: Time, source: &mut Source<'_>) {
        match effect {
            Effect::SaveVote { term, voted_for } => {
                let vote = self.storage.save_vote(term, voted_for);
                let (server, write) = (self.id, vote.0);
                self.recorder.tell(&Fact::WroteVote { server, write, term, voted_for });
                self.note_write(vote);
                self.save(vote, now);
            }
            Effect::SaveRecovered => {
                let write = self.storage.save_recovered();
                let server = self.id;
                self.recorder.tell(&Fact::WroteRecovered { server, write: write.0 });
                self.note_write(write);
                self.recorder.record(EventKind::Recovered { server });
                self.save(write, now);
            }
            Effect::Append { first, entries } => {
                let appended = match source {
                    Source::Message(message) => message.slice(entries.start, entries.end),
                    Source::Proposals { commands, .. } => self.entries_of(commands.drain(entries)),
                    Source::Nothing | Source::Part(_) => return,
                };
                self.append(first, appended);
            }
            Effect::AppendNoOp { position } => {
                let entry = Entry { term: position.term, payload: Payload::NoOp };
                self.append(position.index, vec![entry].into());
            }
            Effect::Send { to, message } => self.send(to, message),
            Effect::AppendConfiguration { position, configuration } => {
                let payload = Payload::Configuration(configuration);
                self.append(position.index, vec![Entry { term: position.term, payload }].into());
            }
            Effect::Install(meta) => self.install(&meta),
            Effect::Compact(to) => self.storage.compact(to),
            Effect::Offered { last_included } => self.snapshots.offered(last_included),
            Effect::Arrived { part, .. } => {
                if let Source::Part(bytes) = source {
                    self.arrived(part, bytes, now);
                }
            }
            Effect::ChangeAccepted(_) => self.asking.answer(Ok(())),
            Effect::ChangeRefused(refusal) => {
                self.asking.answer(Err(OrderError::Change(refusal)));
            }
            Effect::Configured { at, configuration } => {
                let server = self.id;
                self.recorder.record(EventKind::Configured { server, at, configuration });
            }
            Effect::HandingOver { to, why } => {
                self.asking.answer(Ok(()));
                self.recorder.record(EventKind::HandingOver { server: self.id, to, why });
            }
            Effect::HandoverRefused(refusal) => {
                self.asking.answer(Err(OrderError::Handover(refusal)));
                self.asking.stay();
            }
            Effect::HandoverAborted { to } => {
                self.asking.stay();
                self.recorder.record(EventKind::HandoverAborted { server: self.id, to });
            }
            Effect::Commit(index) => {
                self.recorder.tell(&Fact::Committed { server: self.id, index });
                self.recorder.trace(format_args!("{} commit_index {index}", self.id));
                if !self.may_gather(index) {
                    self.hand_over();
                }
            }
            Effect::Accepted { first, count } => {
                if let Source::Proposals { replies, .. } = source {
                    let indexes = (first.0..).map(Index);
                    self.pending.extend(indexes.zip(replies.drain(..count)));
                    self.tell_holds("unanswered writes", self.in_waiting(), MAX_PENDING);
                    let tail = self.node.last_log_index() - self.node.commit_index();
                    let limit = self.node.limits().uncommitted_entries as usize;
                    self.tell_holds("uncommitted entries", tail as usize, limit);
                }
            }
            Effect::Refused(refusal) => {
                if let Source::Proposals { replies, .. } = source {
                    for reply in replies.drain(..) {
                        self.refuse(reply, refusal);
                    }
                }
            }
            Effect::ReadReady { ticket, index } => {
                if let Some((query, reply)) = self.reads.remove(&ticket) {
                    self.wanted = self.wanted.max(index);
                    self.hand_over();
                    self.machine.do_send(Query { query, index, reply });
                }
            }
            Effect::ReadRefused { ticket, reason } => {
                if let Some((_, reply)) = self.reads.remove(&ticket) {
                    self.refuse(reply, reason);
                }
            }
            Effect::Became { role, term, leader, why } => {
                self.life.set_role(role, term);
                // What an ended leadership accepted may be committed by the next, or not.
                let outcome = match on(Bug::LostLeaderSaysFailed) {
                    true => CallError::Refused(Refusal::ElectionRunning),
                    false => CallError::Unknown,
                };
                let lost = if on(Bug::AnswersForAnotherCommand) { 0 } else { self.pending.len() };
                for (_, reply) in self.pending.drain(..lost) {
                    answer(reply, Err(outcome));
                }
                if role != RoleKind::Leader {
                    self.asking.left();
                }
                let server = self.id;
                self.recorder.tell(&Fact::Became { server, role, term });
                self.recorder.record(EventKind::Became { server, role, term, leader, why });
            }
        }
    }

    fn append(&mut self, first: Index, entries: Entries) {
        self.wrote = true;
        if !self.recorder.monitors() {
            let write = self.storage.append(first, entries);
            return self.note_write(write);
        }
        let stamps: SmallVec<[Stamp; 4]> = entries.iter().map(Stamp::of).collect();
        let configurations: SmallVec<[_; 1]> = configurations(first, &entries).collect();
        let write = self.storage.append(first, entries);
        self.note_write(write);
        let (server, write, entries) = (self.id, write.0, &stamps);
        self.recorder.tell(&Fact::WroteEntries { server, write, first, entries });
        for (at, configuration) in configurations {
            let configuration = &configuration;
            self.recorder.tell(&Fact::Configures { server, at, configuration });
        }
    }

    fn refuse(&self, reply: Reply, refusal: Refusal) {
        if let Some(meter) = self.recorder.meter() {
            meter.refused(refusal);
        }
        answer(reply, Err(CallError::Refused(refusal)));
    }

    fn tell_durable(&mut self, write: WriteId, now: Time) {
        self.recorder.tell(&Fact::Durable { server: self.id, write: write.0 });
        if let Some(black_box) = &mut self.black_box {
            black_box.synced(self.local.at(now), &self.node, write.0);
        }
    }

    /// The node has had something written.
    fn note_write(&mut self, write: WriteId) {
        if let Some(black_box) = &mut self.black_box {
            black_box.wrote(write.0);
        }
    }

    fn tell_holds(&self, what: &'static str, count: usize, limit: usize) {
        let (count, limit) = (count as u64, limit as u64);
        self.recorder.tell(&Fact::Holds { server: self.id, what, count, limit });
    }

    fn entries_of(&self, commands: impl Iterator<Item = Bytes>) -> Entries {
        let term = self.node.term();
        let entry = |command| Entry { term, payload: Payload::Command(command) };
        commands.map(entry).collect()
    }

    /// Sends a message, once the vote that was written before it is durable.
    fn send(&mut self, to: ServerId, message: Message) {
        if self.gate.is_some() {
            if self.outbox.len() == MAX_OUTBOX {
                self.outbox.pop_front();
            }
            self.outbox.push_back((to, message));
            self.tell_holds("messages behind a vote", self.outbox.len(), MAX_OUTBOX);
            return;
        }
        self.recorder.tell(&Fact::Sent { server: self.id, to, message });
        let cargo = match &message {
            Message::AppendEntries(append) => {
                let last = append.last;
                Cargo::Entries(self.storage.read(append.prev_log.index, last, u64::MAX))
            }
            Message::InstallSnapshot(install) => self.part(install),
            _ => Cargo::Nothing,
        };
        self.network.send(self.id, to, message, cargo);
    }

    /// Whether the state machine may have what is committed later, with more: nobody waits for
    /// it, it is not much, and a message that commits more is sure to come.
    fn may_gather(&self, commit_index: Index) -> bool {
        self.pending.is_empty()
            && self.wanted <= self.handed_over
            && commit_index - self.handed_over < GATHERED
            && commit_index < self.node.last_log_index()
    }

    /// Writes that are not answered yet.
    fn in_waiting(&self) -> usize {
        let restoring = self.snapshots.is_restoring();
        let applying = if restoring { 0 } else { self.handed_over - self.life.applied() };
        self.pending.len() + applying as usize
    }

    /// Hands committed entries to the state machine, in bounded pages, with those who wait for
    /// their answers. It reports when the entries behind the window wait for it.
    fn hand_over(&mut self) {
        let commit_index = match self.node.role() {
            RoleKind::Leader if on(Bug::AppliesUncommitted) => self.node.last_log_index(),
            _ => self.node.commit_index(),
        };
        let window_end = Index(self.life.applied().0 + APPLY_WINDOW);
        while self.handed_over < commit_index && self.handed_over < window_end {
            let end = commit_index.min(window_end);
            // Without looking at each entry, if all fit.
            let fit = self.node.bytes_between(self.handed_over, end) < APPLY_BYTES;
            let most = if fit { u64::MAX } else { APPLY_BYTES };
            let entries = self.storage.read(self.handed_over, end, most);
            let first = self.handed_over.next();
            self.handed_over = Index(self.handed_over.0 + entries.len() as u64);
            if on(Bug::SkipsAtThePageBorder) && self.handed_over < end {
                self.handed_over = self.handed_over.next();
            }
            let awaited = self.pending.partition_point(|(index, _)| *index <= self.handed_over);
            let replies = self.pending.drain(..awaited).collect();
            let report = self.handed_over == window_end;
            self.machine.do_send(Apply { first, entries, replies, report });
        }
    }

    fn receive(
        &mut self,
        from: ServerId,
        message: Message,
        entries: &Entries,
        ctx: &mut Context<Self>,
    ) {
        if self.life.ended() {
            return;
        }
        let mut metas = std::mem::take(&mut self.scratch.metas);
        metas.clear();
        metas.extend(entries.iter().map(Entry::meta));
        let input = Input::Message { from, message, entries: &metas };
        self.step(input, Source::Message(entries), ctx);
        self.scratch.metas = metas;
    }

    /// Ends a turn: until the next timer, or for ever if the storage has failed.
    fn rest(&mut self, ctx: &mut Context<Self>) {
        let Some(error) = self.failure.take() else { return self.set_timer(ctx) };
        let server = self.id;
        self.network.fail(server, error.clone());
        self.recorder.tell(&Fact::Ended { server });
        self.recorder.record(EventKind::Failed { server, error });
        self.end(ctx);
    }

    fn end(&self, ctx: &mut Context<Self>) {
        self.machine.do_send(End);
        ctx.terminate();
    }

    /// Sees to it that the server wakes when the node or the disk wants it. A timer that fires
    /// too early is set again: heartbeats put the deadline off far more often than it comes. The
    /// timer is a task beside the actor: a timer of its context is polled with every message.
    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let node = self.local.when(self.node.deadline());
        let due = self.storage.deadline().map_or(node, |disk| disk.min(node));
        if let Some((armed, task)) = &self.timer {
            if *armed <= due {
                return;
            }
            task.abort();
        }
        let (clock, server) = (self.clock, ctx.address().downgrade());
        let task = actix_rt::spawn(async move {
            clock.sleep_until(due).await;
            if let Some(server) = server.upgrade() {
                server.do_send(Tick);
            }
        });
        self.timer = Some((due, task));
    }

    fn on_timer(&mut self, ctx: &mut Context<Self>) {
        if let Some((_, task)) = self.timer.take() {
            task.abort();
        }
        if self.life.ended() || self.life.paused() {
            return;
        }
        // The node knows whether its deadline is here, or its clock went back.
        self.step(Input::Deadline, Source::Nothing, ctx);
        self.audit();
    }

    /// Takes calls in from the door: the writes as one proposal, the reads one by one (the node
    /// confirms them together).
    fn take_calls(&mut self, ctx: &mut Context<Self>) {
        let mut calls = std::mem::take(&mut self.scratch.calls);
        if self.inbox.take(CALLS_A_TURN, &mut calls) {
            // By a task: what an actor tells itself, it handles before any other has its turn.
            let server = ctx.address();
            actix_rt::spawn(async move { server.do_send(Knock) });
        }
        let mut proposals = std::mem::take(&mut self.scratch.proposals);
        let Proposals { commands, sizes, replies } = &mut proposals;
        for Call { request, reply } in calls.drain(..) {
            match request {
                Request::Write(_) if self.in_waiting() + commands.len() >= MAX_PENDING => {
                    self.refuse(reply, Refusal::Busy);
                }
                Request::Write(_) if self.is_full_leader() => {
                    answer(reply, Err(CallError::Refused(Refusal::DiskFull)));
                }
                Request::Write(command) => {
                    sizes.push(u32::try_from(command.len()).unwrap_or(u32::MAX));
                    commands.push(command);
                    replies.push(reply);
                }
                Request::Read(query, Consistency::Stale) => {
                    self.machine.do_send(Query { query, index: Index(0), reply });
                }
                Request::Read(query, consistency) => {
                    let lease = consistency == Consistency::Lease;
                    let ticket = self.next_ticket;
                    self.next_ticket = Ticket(ticket.0 + 1);
                    self.reads.insert(ticket, (query, reply));
                    self.step(Input::Read { ticket, lease }, Source::Nothing, ctx);
                    self.tell_holds("reads", self.reads.len(), self.node.limits().pending_reads);
                }
            }
        }
        self.scratch.calls = calls;
        if !commands.is_empty() {
            self.step(Input::Propose { sizes }, Source::Proposals { commands, replies }, ctx);
            // What was refused is left.
            commands.clear();
            sizes.clear();
        }
        self.scratch.proposals = proposals;
    }

    /// It takes no writes, and gives way to another when what it took has waited for too long
    /// (`raft/handover.rs`). Reads go on.
    fn is_full_leader(&self) -> bool {
        self.node.role() == RoleKind::Leader && self.storage.is_full()
    }
}

impl Actor for Server {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.recorder.record(EventKind::Started(self.id));
        self.restore_latest();
        self.set_timer(ctx);
    }
}

impl<M: Into<Message> + Send + 'static> Handler<FromPeer<M>> for Server {
    type Result = ();

    fn handle(&mut self, FromPeer { from, message }: FromPeer<M>, ctx: &mut Context<Self>) {
        self.receive(from, message.into(), &Entries::default(), ctx);
    }
}

impl Handler<Replicate> for Server {
    type Result = ();

    fn handle(&mut self, message: Replicate, ctx: &mut Context<Self>) {
        let Replicate { from, append, entries } = message;
        self.receive(from, Message::AppendEntries(append), &entries, ctx);
    }
}

impl Handler<Knock> for Server {
    type Result = ();

    fn handle(&mut self, _: Knock, ctx: &mut Context<Self>) {
        if !self.life.ended() && !self.life.paused() {
            self.take_calls(ctx);
        }
    }
}

impl Handler<Applied> for Server {
    type Result = ();

    fn handle(&mut self, _: Applied, _: &mut Context<Self>) {
        if !self.life.ended() {
            self.hand_over();
        }
    }
}

/// The configurations among these entries, and where they stand.
fn configurations(
    first: Index,
    entries: &Entries,
) -> impl Iterator<Item = (Index, Arc<Configuration>)> {
    (first.0..).map(Index).zip(entries.iter()).filter_map(|(at, entry)| match &entry.payload {
        Payload::Configuration(configuration) => Some((at, configuration.clone())),
        Payload::NoOp | Payload::Command(_) => None,
    })
}

impl Handler<Tick> for Server {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Context<Self>) {
        self.on_timer(ctx);
    }
}

impl Handler<Synced> for Server {
    type Result = ();

    fn handle(&mut self, _: Synced, ctx: &mut Context<Self>) {
        if !self.life.ended() {
            let now = self.clock.now();
            self.tell_applied(now);
            self.settle(now);
            self.rest(ctx);
        }
    }
}

impl Handler<Wake> for Server {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.machine.do_send(Wake);
        self.on_timer(ctx);
        if !self.life.ended() {
            // Calls may have waited at the door.
            ctx.notify(Knock);
        }
    }
}

impl Handler<Disrupt> for Server {
    type Result = ();

    fn handle(&mut self, _: Disrupt, ctx: &mut Context<Self>) {
        if !self.life.ended() {
            self.step(Input::Campaign, Source::Nothing, ctx);
        }
    }
}

impl Handler<Gone> for Server {
    type Result = ();

    fn handle(&mut self, Gone(server): Gone, ctx: &mut Context<Self>) {
        if !self.life.ended() && !self.life.paused() {
            self.step(Input::Gone(server), Source::Nothing, ctx);
        }
    }
}

impl Handler<Retime> for Server {
    type Result = ();

    fn handle(&mut self, Retime(timing): Retime, ctx: &mut Context<Self>) {
        if !self.life.ended() {
            // No more than the timers: a paused server must not say what its disk did meanwhile.
            self.step_once(self.clock.now(), Input::Retime(timing), Source::Nothing);
            self.rest(ctx);
        }
    }
}

impl Handler<Observe> for Server {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Observation {
            raft: self.node.status(self.local.at(self.clock.now())),
            applied: self.life.applied(),
        })
    }
}

impl Handler<End> for Server {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Context<Self>) {
        self.end(ctx);
    }
}
