//! Why an entry is not committed: who has it, and why the others do not.

use super::{Rank, Teller, count, list};
use crate::actors::ServerStatus;
use crate::raft::{AppendOutcome, Index, Message, ServerId, Time};
use crate::storage::DiskSpeed;
use crate::why::account::{Fate, Passage};

impl Teller<'_> {
    pub(super) fn not_committed(&mut self, index: Index, at: Time) {
        let Some(status) = self.seen.looks.last() else { return };
        let holders = |it: &&ServerStatus| it.last_log.index >= index;
        // The one that counts copies, or the one that last did.
        let leader =
            status.leader().or(status.servers.iter().filter(holders).max_by_key(|it| it.term));
        let Some(leader) = leader else { return };
        let id = leader.id;
        let followed = status.leader().is_some();
        if leader.last_log.index < index {
            let has: Vec<ServerId> =
                status.servers.iter().filter(holders).map(|it| it.id).collect();
            let text = format!(
                "entry {index} is in the log of {} alone; {id} leads, and its log ends at {}",
                list(&has),
                leader.last_log.index
            );
            self.elected(id, leader.term, Rank::Near);
            if let Some(author) = has.first() {
                self.copies(*author, index);
            }
            return self.conclude(Rank::End, at, text);
        }
        let copies = self.copies(id, index);
        let needed = self.majority();
        let text = if copies.len() >= needed {
            format!(
                "{} have entry {index}, but {id} has not committed an entry of its own term, and \
                 commits older ones only with such a one (section 5.4.2)",
                list(&copies)
            )
        } else if followed {
            let have = count(copies.len(), "server");
            format!(
                "{id} knows of {have} with entry {index} on disk ({}); it takes {needed}",
                list(&copies)
            )
        } else {
            format!("entry {index} is in the log of {id}, and nobody leads who could commit it")
        };
        self.conclude(Rank::End, at, text);
    }

    /// Tells how an entry went from its leader to the others. Returns who has it on disk, as far
    /// as the leader knows.
    fn copies(&mut self, leader: ServerId, index: Index) -> Vec<ServerId> {
        let carries = |it: &Passage| {
            it.from == leader
                && matches!(it.message, Message::AppendEntries(append)
                    if append.prev_log.index < index && append.last >= index)
        };
        let account = self.account();
        let messages = || account.messages();
        let first = messages().find(|it| it.what.fate == Fate::Sent && carries(&it.what));
        let first_place = first.map_or(0, |it| it.place);
        if let Some(first) = first {
            let text = format!("{leader} logged entry {index} and began to send it");
            self.add(Rank::Near, first.place, first.at, text);
        }
        let mut have = Vec::new();
        let own_disk = self.seen.looks.last().and_then(|status| status.server(leader));
        if own_disk.is_some_and(|it| it.disk != DiskSpeed::Stalled && !it.disk_full) {
            have.push(leader);
        }
        let mut missing = Vec::new();
        for peer in self.others(leader) {
            let answered = messages().find(|it| {
                (it.what.from, it.what.to, &it.what.fate) == (peer, leader, &Fate::Delivered)
                    && it.place > first_place
                    && matches!(it.what.message, Message::AppendEntriesReply(reply)
                        if matches!(reply.outcome, AppendOutcome::Matched(to) if to >= index))
            });
            let got = messages().find(|it| {
                it.what.to == peer && it.what.fate == Fate::Delivered && carries(&it.what)
            });
            match (answered, got) {
                (Some(_), _) => have.push(peer),
                (None, Some(got)) => {
                    let text = format!(
                        "{peer} got entry {index}, and has not said since that its disk has it"
                    );
                    self.add(Rank::Near, got.place, got.at, text);
                    missing.push((peer, leader));
                }
                (None, None) => missing.push((leader, peer)),
            }
        }
        self.silence(&missing, first_place.saturating_sub(1), u64::MAX);
        have.sort_unstable();
        have
    }
}
