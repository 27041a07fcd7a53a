//! Applies committed commands, in order, beside the server that hands them over.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{Actor, Addr, AsyncContext, Context, Handler, MessageResult};
use bytes::Bytes;

use super::call::answer;
use super::messages::{
    Applied, Apply, Developed, End, Inspect, Inspection, Picture, Query, SetPace, Wake,
};
use super::network::Life;
use super::record::{Alarm, EventKind, Recorder};
use super::server::Server;
use crate::invariants::{Fact, Stamp};
use crate::museum::{Bug, on};
use crate::net::{Answered, CallError};
use crate::raft::{ChunkId, Entry, Index, Payload, Refusal, RoleKind, ServerId};
use crate::storage::ChunkReader;

/// What a cluster replicates: a deterministic function of the commands applied to it. The same
/// commands bring every copy to the same state and the same answers; whatever differs between
/// servers (clocks, randomness, the order of a hash map) has no place in it.
pub trait Machine: 'static {
    /// Applies the command that stands at `index` of the log. Bad commands get an answer too.
    fn apply(&mut self, index: Index, command: &Bytes) -> Bytes;

    /// Does what [`apply`](Self::apply) does where nobody wants the answer: on every server but
    /// the one that was asked.
    fn apply_unheard(&mut self, index: Index, command: &Bytes) {
        self.apply(index, command);
    }

    /// Answers a query from the state as it is.
    fn query(&self, query: &Bytes) -> Bytes;

    /// A digest of the state, equal exactly where the state is.
    fn digest(&self) -> [u8; 32];

    /// The session and the serial number of the request that the last `apply` carried out; `None`
    /// if it answered from the session table, refused, or knows no sessions.
    fn carried_out(&self) -> Option<(u64, u64)> {
        None
    }

    /// A hash of the state, kept up to date by every command; `None` if there is none. Servers
    /// compare theirs, and the one that differs is taken out of service.
    fn state_hash(&self) -> Option<u64> {
        None
    }

    /// A command in a few words, for people.
    fn describe(&self, command: &Bytes) -> String;

    /// The entry at `index` was applied too, but is not for the state machine.
    fn pass(&mut self, _index: Index) {}

    /// The state as it is now, to be taken apart while this goes on; cheap, however large it is.
    /// Without it, and [`restore`](Self::restore), logs are never compacted.
    fn freeze(&self) -> Option<Box<dyn Frozen>> {
        None
    }

    /// Begins to rebuild what a snapshot holds; this stays as it is.
    fn restore(&self) -> Option<Box<dyn Restoring>> {
        None
    }

    /// What a durable snapshot holds can be read from here: chunks of the latest that was taken or
    /// restored, and of the one before. A state machine that is [restored](Self::restore) by this
    /// one reads from there, too. If a chunk cannot be read, its server ends, and no answer leaves
    /// it any more.
    fn read_chunks_from(&mut self, _chunks: Box<dyn ChunkReader>) {}

    /// What happened up to `index` is covered by a snapshot, and by the one after it: a history, if
    /// there is one, may begin there.
    fn forget_before(&mut self, _index: Index) {}
}

/// A state that does not change any more, as a sequence of chunks.
pub trait Frozen {
    /// The blake3 hash of the bytes of the next chunk, and these, of at most 1 MiB; `None` behind the
    /// last chunk. States that are equal have equal chunks, and states that are alike have many in
    /// common: a chunk that is there already is neither stored nor sent again, and one that the
    /// snapshot before has may come without its bytes.
    fn next_chunk(&mut self) -> Option<(ChunkId, Option<Bytes>)>;

    /// The snapshot of all chunks that were handed out is durable.
    fn let_go(self: Box<Self>) {}
}

/// A state that is rebuilt from chunks.
pub trait Restoring {
    /// Takes the next chunk, in their order, whose bytes have this hash.
    ///
    /// # Errors
    /// Why it cannot be the next chunk.
    fn feed(&mut self, id: ChunkId, chunk: &Bytes) -> Result<(), String>;

    /// The state machine, as it was when the entry at `index` had been applied.
    ///
    /// # Errors
    /// Why these were not all the chunks of one snapshot.
    fn finish(self: Box<Self>, index: Index) -> Result<Box<dyn Machine>, String>;
}

/// The actor that owns one server's copy of the state.
pub(crate) struct StateMachine {
    id: ServerId,
    machine: Box<dyn Machine>,
    server: Addr<Server>,
    life: Life,
    recorder: Recorder,
    /// What is to be applied, bounded by the window of the server that hands it over.
    queue: VecDeque<Apply>,
    /// Queries about a state that is not reached yet; beyond [`MAX_WAITING`] they are refused.
    waiting: Vec<Query>,
    /// How long a batch takes; `None` while the state machine is stalled.
    pace: Option<Duration>,
    /// A slow batch is being applied.
    working: bool,
    /// The snapshot that is being taken, until it is durable.
    frozen: Option<Box<dyn Frozen>>,
    /// A chunk that could not be read.
    lost: Rc<Cell<Option<ChunkId>>>,
    /// The snapshot that takes the place of the state, and its last entry. Nothing is applied
    /// until it is here.
    restoring: Option<(Index, Option<Box<dyn Restoring>>)>,
    _alarm: Alarm,
}

/// What the state machine reads chunks from.
struct Library {
    chunks: Box<dyn ChunkReader>,
    lost: Rc<Cell<Option<ChunkId>>>,
}

impl ChunkReader for Library {
    fn fetch_chunk(&self, id: &ChunkId) -> Option<Bytes> {
        let bytes = self.chunks.fetch_chunk(id);
        if bytes.is_none() {
            self.lost.set(Some(*id));
        }
        bytes
    }

    fn keeps_chunk(&self, id: &ChunkId) -> bool {
        self.chunks.keeps_chunk(id)
    }
}

/// Most queries that wait for the state to be reached that they are about.
const MAX_WAITING: usize = 1 << 16;
/// The monitor is told the digest of the state after each so many entries.
const DIGEST_EVERY: u64 = 128;

impl StateMachine {
    pub(crate) fn new(
        id: ServerId,
        (mut machine, chunks): (Box<dyn Machine>, Option<Box<dyn ChunkReader>>),
        server: Addr<Server>,
        life: Life,
        recorder: Recorder,
        pace: Option<Duration>,
    ) -> Self {
        let (queue, waiting, lost) = <(_, _, Rc<Cell<_>>)>::default();
        if let Some(chunks) = chunks {
            let lost = Rc::clone(&lost);
            machine.read_chunks_from(Box::new(Library { chunks, lost }));
        }
        Self {
            id,
            machine,
            server,
            life,
            _alarm: recorder.alarm(id),
            recorder,
            queue,
            waiting,
            pace,
            working: false,
            frozen: None,
            lost,
            restoring: None,
        }
    }

    /// Applies what waits, each batch taking as long as the pace says.
    fn work(&mut self, ctx: &mut Context<Self>) {
        while self.restoring.is_none() && !self.working && !self.life.paused() && !self.life.ended()
        {
            let Some(pace) = self.pace else { return };
            if pace.is_zero() {
                let Some(batch) = self.queue.pop_front() else { return };
                self.apply(batch);
            } else {
                if self.queue.is_empty() {
                    return;
                }
                self.working = true;
                ctx.run_later(pace, |this, ctx| {
                    this.working = false;
                    if this.pace.is_some()
                        && this.restoring.is_none()
                        && !this.life.paused()
                        && !this.life.ended()
                        && let Some(batch) = this.queue.pop_front()
                    {
                        this.apply(batch);
                    }
                    this.work(ctx);
                });
            }
        }
    }

    fn apply(&mut self, batch: Apply) {
        let began =
            self.recorder.meter().map(|_| (tokio::time::Instant::now(), batch.entries.len()));
        let leads = matches!(self.life.role(), Some((RoleKind::Leader, _)));
        let tell = leads && self.recorder.records_commands();
        let monitored = self.recorder.monitors();
        let mut replies = batch.replies.into_iter().peekable();
        for (index, entry) in (batch.first.0..).map(Index).zip(batch.entries.iter()) {
            let reply = replies.next_if(|(awaited, _)| *awaited == index);
            let said = match &entry.payload {
                Payload::NoOp | Payload::Configuration(_) => {
                    self.machine.pass(index);
                    Bytes::new()
                }
                Payload::Command(command)
                    if on(Bug::AppliesByLocalRoom) && command.len() as u64 > 4096 / self.id.0 =>
                {
                    Bytes::new()
                }
                Payload::Command(command) => {
                    if tell {
                        let command = self.machine.describe(command);
                        let server = self.id;
                        self.recorder.record(EventKind::Applied { server, index, command });
                    }
                    if reply.is_some() || monitored {
                        self.machine.apply(index, command)
                    } else {
                        self.machine.apply_unheard(index, command);
                        Bytes::new()
                    }
                }
            };
            if self.is_lost() {
                return;
            }
            if monitored {
                self.tell_applied(index, entry, &said);
            }
            self.life.set_applied(index);
            if let Some(hash) = self.machine.state_hash() {
                self.life.note_state(index, hash);
            }
            if let Some((_, reply)) = reply {
                self.recorder.tell(&Fact::Answered { server: self.id, index });
                answer(reply, Ok(Answered { index, answer: said }));
            }
        }
        if let (Some(meter), Some((began, entries))) = (self.recorder.meter(), began) {
            meter.applied(entries, began.elapsed());
        }
        self.answer_waiting();
        if batch.report {
            self.server.do_send(Applied);
        }
    }

    fn tell_applied(&self, index: Index, entry: &Entry, answer: &[u8]) {
        let server = self.id;
        let request = match entry.payload {
            Payload::NoOp | Payload::Configuration(_) => None,
            Payload::Command(_) => self.machine.carried_out(),
        };
        let entry = Stamp::of(entry);
        self.recorder.tell(&Fact::Applied { server, index, entry, answer, request });
        if index.0.is_multiple_of(DIGEST_EVERY) {
            let digest = self.machine.digest();
            self.recorder.tell(&Fact::Digest { server, index, digest });
        }
    }

    fn answer_waiting(&mut self) {
        let applied = self.life.applied();
        if self.restoring.is_some() {
            return;
        }
        for query in self.waiting.extract_if(.., |query| query.index <= applied) {
            answer_query(&*self.machine, applied, query, &self.lost);
        }
        self.is_lost();
    }

    /// Whether a chunk of the state could not be read; the server is told, and ends. What was to be
    /// answered with it never is.
    fn is_lost(&mut self) -> bool {
        let lost = self.lost.take();
        if let Some(chunk) = lost {
            self.restoring = Some((Index(0), None));
            self.server.do_send(Developed::Lost(chunk));
        }
        lost.is_some()
    }
}

impl StateMachine {
    fn begin_restore(&mut self, index: Index) {
        self.frozen = None;
        // What was to be applied before then, the snapshot covers.
        self.queue.clear();
        self.restoring = Some((index, self.machine.restore()));
        match &self.restoring {
            Some((_, None)) => self.refuse("this state machine has no snapshots".to_owned()),
            _ => self.server.do_send(Developed::Hungry),
        }
    }

    fn feed(&mut self, chunk: Option<(ChunkId, Bytes)>, ctx: &mut Context<Self>) {
        let Some((index, Some(restoring))) = &mut self.restoring else { return };
        if let Some((id, chunk)) = chunk {
            match restoring.feed(id, &chunk) {
                Ok(()) => self.server.do_send(Developed::Hungry),
                Err(reason) => self.refuse(reason),
            }
            return;
        }
        let index = *index;
        let Some((_, Some(restoring))) = self.restoring.take() else { return };
        match restoring.finish(index) {
            Ok(machine) => self.machine = machine,
            Err(reason) => return self.refuse(reason),
        }
        self.life.set_applied(index);
        if self.recorder.monitors() {
            let (server, digest) = (self.id, self.machine.digest());
            self.recorder.tell(&Fact::Restored { server, index, digest: Some(digest) });
        }
        self.server.do_send(Developed::Restored);
        self.answer_waiting();
        self.work(ctx);
    }

    /// Nothing can be applied to a state that is not there.
    fn refuse(&mut self, reason: String) {
        self.restoring = Some((Index(0), None));
        self.server.do_send(Developed::Inedible(reason));
    }
}

/// Answers a query, unless something is lost.
fn answer_query(machine: &dyn Machine, index: Index, query: Query, lost: &Cell<Option<ChunkId>>) {
    let Query { query, reply, .. } = query;
    let said = machine.query(&query);
    if lost.get().is_none() {
        answer(reply, Ok(Answered { index, answer: said }));
    }
}

impl Actor for StateMachine {
    type Context = Context<Self>;
}

impl Handler<Apply> for StateMachine {
    type Result = ();

    fn handle(&mut self, batch: Apply, ctx: &mut Context<Self>) {
        self.queue.push_back(batch);
        self.work(ctx);
    }
}

impl Handler<Picture> for StateMachine {
    type Result = ();

    fn handle(&mut self, message: Picture, ctx: &mut Context<Self>) {
        if self.life.ended() {
            return;
        }
        match message {
            Picture::Take if self.restoring.is_some() => {}
            Picture::Take => {
                self.frozen = self.machine.freeze();
                let index = self.frozen.as_ref().map(|_| self.life.applied());
                self.server.do_send(Developed::Began(index));
            }
            Picture::Next => {
                if let Some(frozen) = &mut self.frozen {
                    let chunk = frozen.next_chunk();
                    self.server.do_send(Developed::Chunk(chunk));
                }
            }
            Picture::Saved { outdated } => {
                if let Some(frozen) = self.frozen.take() {
                    frozen.let_go();
                }
                // Whoever follows the changes may be a snapshot behind.
                if let Some(index) = outdated {
                    self.machine.forget_before(index);
                }
            }
            Picture::Restore(index) => self.begin_restore(index),
            Picture::Feed(chunk) => self.feed(chunk, ctx),
        }
    }
}

impl Handler<Query> for StateMachine {
    type Result = ();

    fn handle(&mut self, query: Query, _: &mut Context<Self>) {
        let applied = query.index <= self.life.applied() || on(Bug::ReadsUnappliedState);
        if applied && self.restoring.is_none() && !self.life.paused() {
            answer_query(&*self.machine, self.life.applied(), query, &self.lost);
            self.is_lost();
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push(query);
            let (count, limit) = (self.waiting.len() as u64, MAX_WAITING as u64);
            let what = "queries that wait for the state";
            self.recorder.tell(&Fact::Holds { server: self.id, what, count, limit });
        } else {
            answer(query.reply, Err(CallError::Refused(Refusal::Busy)));
        }
    }
}

impl Handler<Inspect> for StateMachine {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Inspection { applied: self.life.applied(), digest: self.machine.digest() })
    }
}

impl Handler<SetPace> for StateMachine {
    type Result = ();

    fn handle(&mut self, SetPace(pace): SetPace, ctx: &mut Context<Self>) {
        self.pace = pace;
        self.work(ctx);
    }
}

impl Handler<Wake> for StateMachine {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.answer_waiting();
        self.work(ctx);
    }
}

impl Handler<End> for StateMachine {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Context<Self>) {
        use actix::ActorContext;
        ctx.terminate();
    }
}
