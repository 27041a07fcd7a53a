//! A server whose disk was formatted after the cluster was founded (TRAPS 34 and 45).
//!
//! It may have voted and acknowledged entries in an earlier life, and does not know what. So it
//! neither votes nor counts until a quorum has recovered it: it asks the leader, the leader begins
//! an entry, and that is committed by a majority without it. Then
//! - nobody who lacks the entry can be elected any more, whatever vote it still holds of the
//!   earlier life: those who have the entry are a majority, and refuse;
//! - everything that was ever committed with the help of the earlier life stands before the entry,
//!   and so, once it has the entry on its disk, on its disk.

use serde::{Deserialize, Serialize};

use super::node::{Context, Node};
use super::progress::Standing;
use super::role::{Follower, Role};
use super::{
    AppendOutcome, Configuration, Effect, Index, Message, Position, Rejoin, RejoinReply, ServerId,
    Ticket,
};

/// How far the recovery of a server from a quorum is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Recovery {
    /// This life, never used before.
    life: Ticket,
    /// The entry that the leader has begun for it.
    entry: Option<Position>,
}

impl Recovery {
    pub(super) fn new(life: Ticket) -> Self {
        Self { life, entry: None }
    }

    /// Another leader may know nothing of the entry, and begins one of its own.
    pub(super) fn begin_anew(&mut self) {
        self.entry = None;
    }
}

impl Node {
    /// Asks the leader that it follows for an entry; with every message of it, until there is one.
    pub(super) fn ask_to_rejoin(&self, context: &mut Context<'_>) {
        let Some(Recovery { life, entry: None }) = self.recovery else { return };
        let Role::Follower(Follower { leader: Some(leader), .. }) = &self.role else { return };
        context.send(leader.id, Message::Rejoin(Rejoin { term: self.current_term, life }));
    }

    pub(super) fn on_rejoin(
        &mut self,
        from: ServerId,
        Rejoin { life, .. }: Rejoin,
        context: &mut Context<'_>,
    ) {
        let term = self.current_term;
        let last = self.log.last().index;
        if self.refusal().is_some() {
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.iter_mut().find(|peer| peer.id == from) else { return };
        peer.heard_at = Some(context.now);
        let entry = match peer.standing {
            Standing::Given { life: given, entry } if given == life => entry,
            _ => {
                let entry = Position::new(term, last.next());
                peer.forget(last);
                peer.standing = Standing::Given { life, entry };
                self.append_for_recovery(context);
                self.replicate(context);
                entry
            }
        };
        context.send(from, Message::RejoinReply(RejoinReply { term, life, entry }));
    }

    /// Appends something to wait for: nothing, unless the log does not say who the members are. A
    /// founder's disk knew it without, and that is lost.
    fn append_for_recovery(&mut self, context: &mut Context<'_>) {
        if self.log.configured_at() > Index(0) {
            self.append_no_op(context);
        } else {
            let founding = Configuration::clone(self.log.configuration());
            self.append_configuration(founding, context);
        }
    }

    pub(super) fn on_rejoin_reply(&mut self, reply: RejoinReply) {
        if let Some(recovery) = &mut self.recovery
            && recovery.life == reply.life
        {
            recovery.entry = Some(reply.entry);
        }
    }

    /// Whether the entry is committed, and on this server's disk.
    #[inline]
    pub(super) fn mind_recovery(&mut self, context: &mut Context<'_>) {
        let Some(Recovery { entry: Some(entry), .. }) = self.recovery else { return };
        if self.commit_index < entry.index {
            return;
        }
        // A snapshot that ends with an entry of the same leader has it too.
        let base = self.log.base();
        let covered = entry.term == base.term && entry.index <= base.index;
        if !covered && !self.log.contains(entry) {
            // Another leader's entry stands there, or it is not known what does: ask again.
            if let Some(recovery) = &mut self.recovery {
                recovery.begin_anew();
            }
            return self.ask_to_rejoin(context);
        }
        if self.durable_index >= entry.index {
            self.recovery = None;
            context.effects.push(Effect::SaveRecovered);
            let matched = self.matched_and_durable();
            self.answer_leader(AppendOutcome::Matched(matched), context);
        }
    }

    fn matched_and_durable(&self) -> Index {
        match &self.role {
            Role::Follower(Follower { leader: Some(leader), .. }) => {
                leader.matched.min(self.durable_index)
            }
            _ => Index(0),
        }
    }
}
