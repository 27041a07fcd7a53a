//! Applies committed commands, in order, beside the server that hands them over.

use std::collections::VecDeque;
use std::time::Duration;

use actix::prelude::{Actor, AsyncContext, Context, Handler, MessageResult, Recipient};
use bytes::Bytes;

use super::call::{Answered, CallError, answer};
use super::messages::{Applied, Apply, End, Inspect, Inspection, Query, SetPace, Wake};
use super::network::Life;
use super::record::{Alarm, EventKind, Recorder};
use crate::invariants::{Fact, Stamp};
use crate::museum::{Bug, on};
use crate::raft::{Entry, Index, Payload, Refusal, RoleKind, ServerId};

/// What a cluster replicates: a deterministic function of the commands applied to it. The same
/// commands bring every copy to the same state and the same answers; whatever differs between
/// servers (clocks, randomness, the order of a hash map) has no place in it.
pub trait Machine: 'static {
    /// Applies the command that stands at `index` of the log. Bad commands get an answer too.
    fn apply(&mut self, index: Index, command: &Bytes) -> Bytes;

    /// Answers a query from the state as it is.
    fn query(&self, query: &Bytes) -> Bytes;

    /// A digest of the state, equal exactly where the state is.
    fn digest(&self) -> [u8; 32];

    /// The session and the serial number of the request that the last `apply` carried out; `None`
    /// if it answered from the session table, refused, or knows no sessions.
    fn carried_out(&self) -> Option<(u64, u64)> {
        None
    }

    /// A command in a few words, for people.
    fn describe(&self, command: &Bytes) -> String;
}

/// The actor that owns one server's copy of the state.
pub(crate) struct StateMachine {
    id: ServerId,
    machine: Box<dyn Machine>,
    server: Recipient<Applied>,
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
    _alarm: Alarm,
}

/// Most queries that wait for the state to be reached that they are about.
const MAX_WAITING: usize = 1 << 16;
/// The monitor is told the digest of the state after each so many entries.
const DIGEST_EVERY: u64 = 128;

impl StateMachine {
    pub(crate) fn new(
        id: ServerId,
        machine: Box<dyn Machine>,
        server: Recipient<Applied>,
        life: Life,
        recorder: Recorder,
        pace: Option<Duration>,
    ) -> Self {
        let (queue, waiting) = Default::default();
        let (working, _alarm) = (false, recorder.alarm(id));
        Self { id, machine, server, life, recorder, queue, waiting, pace, working, _alarm }
    }

    /// Applies what waits, each batch taking as long as the pace says.
    fn work(&mut self, ctx: &mut Context<Self>) {
        while !self.working && !self.life.paused() && !self.life.ended() {
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
        let leads = matches!(self.life.role(), Some((RoleKind::Leader, _)));
        let tell = leads && self.recorder.records_commands();
        let mut replies = batch.replies.into_iter().peekable();
        for (index, entry) in (batch.first.0..).map(Index).zip(batch.entries.iter()) {
            let said = match &entry.payload {
                Payload::NoOp | Payload::Configuration(_) => Bytes::new(),
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
                    self.machine.apply(index, command)
                }
            };
            if self.recorder.monitors() {
                self.tell_applied(index, entry, &said);
            }
            self.life.set_applied(index);
            if let Some((_, reply)) = replies.next_if(|(awaited, _)| *awaited == index) {
                self.recorder.tell(&Fact::Answered { server: self.id, index });
                answer(reply, Ok(Answered { index, answer: said }));
            }
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
        for query in self.waiting.extract_if(.., |query| query.index <= applied) {
            answer_query(&*self.machine, query);
        }
    }
}

fn answer_query(machine: &dyn Machine, query: Query) {
    let Query { query, index, reply } = query;
    answer(reply, Ok(Answered { index, answer: machine.query(&query) }));
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

impl Handler<Query> for StateMachine {
    type Result = ();

    fn handle(&mut self, query: Query, _: &mut Context<Self>) {
        let applied = query.index <= self.life.applied() || on(Bug::ReadsUnappliedState);
        if applied && !self.life.paused() {
            answer_query(&*self.machine, query);
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
