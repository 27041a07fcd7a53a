//! Applies committed commands, in order, beside the server that hands them over.

use std::collections::VecDeque;
use std::time::Duration;

use actix::prelude::{Actor, AsyncContext, Context, Handler, MessageResult, Recipient};
use bytes::Bytes;

use super::call::{Answered, answer};
use super::messages::{Applied, Apply, End, Inspect, Inspection, Query, SetPace, Wake};
use super::network::Life;
use super::record::{EventKind, Recorder};
use crate::raft::{Index, Payload, RoleKind, ServerId};

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
    applied: Index,
    /// What is to be applied. The server hands over no more than it has answers pending for, so
    /// this is bounded by its window.
    queue: VecDeque<Apply>,
    /// How long a batch takes; `None` while the state machine is stalled.
    pace: Option<Duration>,
    /// A slow batch is being applied.
    working: bool,
}

impl StateMachine {
    pub(crate) fn new(
        id: ServerId,
        machine: Box<dyn Machine>,
        server: Recipient<Applied>,
        life: Life,
        recorder: Recorder,
        pace: Option<Duration>,
    ) -> Self {
        Self {
            id,
            machine,
            server,
            life,
            recorder,
            applied: Index(0),
            queue: VecDeque::new(),
            pace,
            working: false,
        }
    }

    /// Applies what waits, each batch taking as long as the pace says.
    fn work(&mut self, ctx: &mut Context<Self>) {
        while !self.working && !self.life.paused() && !self.life.ended() {
            let Some(pace) = self.pace else { return };
            if pace.is_zero() {
                let Some(batch) = self.queue.pop_front() else { return };
                self.apply(&batch);
            } else {
                if self.queue.is_empty() {
                    return;
                }
                self.working = true;
                ctx.run_later(pace, |this, ctx| {
                    this.working = false;
                    if this.pace.is_some()
                        && !this.life.paused()
                        && let Some(batch) = this.queue.pop_front()
                    {
                        this.apply(&batch);
                    }
                    this.work(ctx);
                });
            }
        }
    }

    fn apply(&mut self, batch: &Apply) {
        let leads = matches!(self.life.role(), Some((RoleKind::Leader, _)));
        let tell = leads && self.recorder.records_commands();
        let mut answers = Vec::with_capacity(if batch.answers { batch.entries.len() } else { 0 });
        let mut index = batch.first;
        for entry in batch.entries.iter() {
            let answer = match &entry.payload {
                Payload::NoOp => Bytes::new(),
                Payload::Command(command) => {
                    if tell {
                        let command = self.machine.describe(command);
                        self.recorder.record(EventKind::Applied {
                            server: self.id,
                            index,
                            command,
                        });
                    }
                    self.machine.apply(index, command)
                }
            };
            if batch.answers {
                answers.push(answer);
            }
            self.applied = index;
            index = index.next();
        }
        self.server.do_send(Applied { last: self.applied, answers });
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

impl Handler<Query> for StateMachine {
    type Result = ();

    fn handle(&mut self, message: Query, _: &mut Context<Self>) {
        let Query { query, index, reply } = message;
        answer(reply, Ok(Answered { index, answer: self.machine.query(&query) }));
    }
}

impl Handler<Inspect> for StateMachine {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Inspection { applied: self.applied, digest: self.machine.digest() })
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
