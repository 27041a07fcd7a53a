//! What travels: a message, and the entries that an `AppendEntries` carries.

use std::fmt;

use crate::raft::{EntryMeta, Message, Round, ServerId, Term, VoteRefusal};

/// A log entry: the protocol knows its term, and which command it carries tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Entry {
    pub(crate) term: Term,
    /// The number of the client's command; 0 is a no-op.
    pub(crate) command: u8,
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Packet {
    pub(crate) from: ServerId,
    pub(crate) to: ServerId,
    pub(crate) message: Message,
    pub(crate) entries: Vec<Entry>,
}

impl Entry {
    pub(crate) fn meta(self) -> EntryMeta {
        EntryMeta { term: self.term, bytes: u32::from(self.command > 0) }
    }
}

impl Packet {
    /// A message as the explorer sends it: rounds are not told apart.
    pub(crate) fn new(
        from: ServerId,
        to: ServerId,
        mut message: Message,
        entries: Vec<Entry>,
    ) -> Self {
        match &mut message {
            Message::AppendEntries(append) => append.round = Round(0),
            Message::AppendEntriesReply(reply) => reply.round = Round(0),
            _ => {}
        }
        Self { from, to, message, entries }
    }

    /// The same message between servers of other names.
    pub(crate) fn renamed(&self, renaming: &Renaming) -> Self {
        let mut packet = self.clone();
        packet.from = renaming.name(self.from);
        packet.to = renaming.name(self.to);
        if let Message::RequestVoteReply(reply) = &mut packet.message
            && let Err(VoteRefusal::LeaderAlive(named) | VoteRefusal::AlreadyVoted(named)) =
                &mut reply.vote
        {
            *named = renaming.name(*named);
        }
        packet
    }

    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.message, Message::RequestVoteReply(_) | Message::AppendEntriesReply(_))
    }
}

/// New names for the servers: the `n`th of them is `ServerId`'s of the server `n + 1`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Renaming(Vec<ServerId>);

impl Renaming {
    /// Every way to rename `servers` servers; the first keeps all names.
    pub(crate) fn all(servers: u64) -> Vec<Self> {
        let mut all = vec![Vec::new()];
        for _ in 0..servers {
            let extend = |names: Vec<ServerId>| {
                let free = (1..=servers).map(ServerId).filter(|id| !names.contains(id));
                free.map(|id| [&names[..], &[id]].concat()).collect::<Vec<_>>()
            };
            all = all.into_iter().flat_map(extend).collect();
        }
        all.into_iter().map(Self).collect()
    }

    pub(crate) fn name(&self, server: ServerId) -> ServerId {
        self.0[server.0 as usize - 1]
    }

    /// This renaming and then `next`.
    pub(crate) fn then(&self, next: &Self) -> Self {
        Self(self.0.iter().map(|name| next.name(*name)).collect())
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounds are all the same here.
        let text = self.message.to_string();
        f.write_str(text.strip_suffix(" round=0").unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamings_are_a_group() {
        let all = Renaming::all(3);
        assert_eq!(all.len(), 6);
        assert_eq!(all[0], Renaming([1, 2, 3].map(ServerId).to_vec()));
        for one in &all {
            let products = all.iter().map(|other| one.then(other));
            assert!(products.clone().all(|product| all.contains(&product)));
            assert_eq!(products.filter(|product| *product == all[0]).count(), 1);
        }
    }
}
