//! What operators want of the leader: other members, another leader.

use actix::prelude::{Context, Handler};
use tokio::sync::oneshot;

use super::{Server, Source};
use crate::actors::OrderError;
use crate::actors::messages::{Ask, Asked};
use crate::raft::{Input, RoleKind};

type Reply = oneshot::Sender<Result<(), OrderError>>;

/// Who waits for the leader's word.
#[derive(Default)]
pub(super) struct Asking {
    /// For what comes of the step that is taken now.
    now: Option<Reply>,
    /// For the server to lead no more.
    leaving: Vec<Reply>,
}

impl Asking {
    pub(super) fn answer(&mut self, result: Result<(), OrderError>) {
        if let Some(reply) = self.now.take() {
            // Whoever gave up waiting looks for itself.
            let _ = reply.send(result);
        }
    }

    /// The server leads no more.
    pub(super) fn left(&mut self) {
        self.end_waiting();
    }

    /// The server did not hand over, and will not.
    pub(super) fn stay(&mut self) {
        self.end_waiting();
    }

    fn end_waiting(&mut self) {
        for reply in self.leaving.drain(..) {
            let _ = reply.send(Ok(()));
        }
    }
}

impl Handler<Ask> for Server {
    type Result = ();

    fn handle(&mut self, Ask { asked, reply }: Ask, ctx: &mut Context<Self>) {
        if self.life.ended() {
            return;
        }
        match asked {
            Asked::Change(request) => {
                self.asking.now = Some(reply);
                self.step(Input::Change(&request), Source::Nothing, ctx);
            }
            Asked::HandOver(to) => {
                self.asking.now = Some(reply);
                self.step(Input::HandOver { to }, Source::Nothing, ctx);
            }
            Asked::Leave if self.node.role() != RoleKind::Leader => {
                let _ = reply.send(Ok(()));
            }
            Asked::Leave => {
                self.asking.leaving.push(reply);
                self.step(Input::HandOver { to: None }, Source::Nothing, ctx);
            }
        }
        // Whatever came of it was said.
        self.asking.now = None;
    }
}
