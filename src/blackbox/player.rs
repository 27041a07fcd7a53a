//! One server, done again: its core is given what it was given, and must do the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use smallvec::SmallVec;

use super::digest::digest;
use super::file::Header;
use super::hashes::Hashes;
use super::record::{Checkpoint, Given, Mark, Record, Step, What, moved, of_configuration, stamp};
use super::recorder::follow;
use crate::invariants::{Fact, Stamp};
use crate::raft::{
    Configuration, Effect, Index, Input, Message, Node, Position, ServerId, Term, Time,
};

/// Who is told what a server does.
pub(super) trait Watcher {
    fn tell(&mut self, fact: &Fact<'_>);

    /// The server takes in a message.
    fn received(&mut self, server: ServerId, from: ServerId, message: &Message);

    /// A line for the trace.
    fn line(&mut self, line: std::fmt::Arguments<'_>);
}

/// A server's core, and what surrounds it.
pub(super) struct Player {
    pub(super) node: Node,
    pub(super) hashes: Hashes,
    /// Writes that it has asked for, and how many of them are durable.
    writes: u64,
    durable: u64,
    /// The write of a vote that is not durable yet, and what waits for it.
    gate: Option<u64>,
    outbox: Vec<(ServerId, Message)>,
    /// The monitor was told that the state machine is here.
    pub(super) applied: Index,
    /// A snapshot was installed up to here, and is not in the state machine yet.
    restoring: Option<Index>,
    now: Time,
    wall: (u64, Time),
}

/// A replayed core did something else than the recorded one.
pub(super) struct Differs(pub(super) String);

impl Player {
    /// Goes on from this checkpoint.
    pub(super) fn new(header: &Header, checkpoint: Checkpoint) -> Self {
        let Checkpoint { node, hashes, writes, durable } = checkpoint;
        let applied = node.applied();
        let (gate, outbox, restoring) = (None, Vec::new(), None);
        let (now, wall) = (header.local, (header.wall, header.local));
        Self { node, hashes, writes, durable, gate, outbox, applied, restoring, now, wall }
    }

    /// What a file that begins here begins with.
    #[cfg(test)]
    pub(super) fn checkpoint(&self) -> Checkpoint {
        let Self { node, hashes, writes, durable, .. } = self;
        let (node, hashes) = (node.clone(), hashes.clone());
        Checkpoint { node, hashes, writes: *writes, durable: *durable }
    }

    /// What the next life must go on from: term, vote and log.
    pub(super) fn promised(&self) -> (Term, Option<ServerId>, Position, &Hashes) {
        let Self { node, hashes, .. } = self;
        (node.term(), node.voted_for(), node.last_log(), hashes)
    }

    /// The last of the writes that it has asked for, if that is not durable.
    pub(super) fn under_way(&self) -> Option<u64> {
        (self.writes > self.durable).then_some(self.writes)
    }

    /// The moment of the latest step, in nanoseconds of Unix time.
    pub(super) fn wall(&self) -> u64 {
        self.wall_of(self.now)
    }

    /// The moment of a record to come.
    pub(super) fn wall_at(&self, record: &Record) -> u64 {
        match record {
            Record::Step(step) => self.wall_of(moved(self.now, step.later)),
            _ => self.wall(),
        }
    }

    fn wall_of(&self, local: Time) -> u64 {
        let (wall, begun) = self.wall;
        let since = local.as_nanos() as i64 - begun.as_nanos() as i64;
        wall.saturating_add_signed(since)
    }

    /// The next file of the recording begins, and nothing is missing: its checkpoint must be the
    /// state that was come to.
    pub(super) fn meet(&mut self, header: &Header, checkpoint: &Checkpoint) -> Result<(), Differs> {
        (self.now, self.wall) = (header.local, (header.wall, header.local));
        let (replayed, recorded) = (Mark::of(&self.node), Mark::of(&checkpoint.node));
        same(&replayed, &recorded)?;
        if let Some(index) = self.hashes.difference(&checkpoint.hashes) {
            return Err(Differs(format!("entry {index} is another than the recorded one")));
        }
        let counts = (self.writes, self.durable) == (checkpoint.writes, checkpoint.durable);
        if !counts || self.node != checkpoint.node || self.hashes != checkpoint.hashes {
            let text = "term, vote, log and indexes are as recorded, but timers, progress of peers \
                        or what is under way are not";
            return Err(Differs(text.to_owned()));
        }
        Ok(())
    }

    /// Does what a record says.
    pub(super) fn play(
        &mut self,
        record: &Record,
        watcher: &mut impl Watcher,
    ) -> Result<(), Differs> {
        match record {
            Record::Checkpoint(_) | Record::End => Ok(()),
            Record::Durable(writes) => self.synced(*writes, watcher),
            Record::Applied(index) => {
                self.told_applied(*index, watcher);
                Ok(())
            }
            Record::State(index, hash) => {
                let mut digest = [0; 32];
                digest[..8].copy_from_slice(&hash.to_le_bytes());
                watcher.tell(&Fact::Digest { server: self.node.id(), index: *index, digest });
                Ok(())
            }
            Record::Step(step) => self.step(step, watcher),
            Record::Mark(mark) => same(&Mark::of(&self.node), mark),
        }
    }

    fn synced(&mut self, writes: u64, watcher: &mut impl Watcher) -> Result<(), Differs> {
        if writes > self.writes {
            let asked = self.writes;
            let text = format!("{writes} writes are durable, but it asked for {asked}");
            return Err(Differs(text));
        }
        self.durable = writes;
        watcher.tell(&Fact::Durable { server: self.node.id(), write: writes });
        if self.gate.is_some_and(|vote| vote <= writes) {
            self.gate = None;
            for (to, message) in std::mem::take(&mut self.outbox) {
                watcher.tell(&Fact::Sent { server: self.node.id(), to, message });
            }
        }
        Ok(())
    }

    fn told_applied(&mut self, index: Index, watcher: &mut impl Watcher) {
        let server = self.node.id();
        self.node.step(self.now, Input::Applied(index), &mut || 0, &mut Vec::new());
        if let Some(restored) = self.restoring.take_if(|restored| *restored <= index) {
            watcher.tell(&Fact::Restored { server, index: restored, digest: None });
            self.applied = restored;
        }
        while self.applied < index {
            let next = self.applied.next();
            match self.stamp_at(next) {
                Some(entry) => {
                    let (answer, request) = (&[][..], None);
                    watcher.tell(&Fact::Applied { server, index: next, entry, answer, request });
                    self.applied = next;
                }
                // Its log does not reach so far back any more.
                None => {
                    watcher.tell(&Fact::Restored { server, index, digest: None });
                    self.applied = index;
                }
            }
        }
    }

    fn stamp_at(&self, index: Index) -> Option<Stamp> {
        let hash = self.hashes.at(index)?;
        Some(stamp(self.node.term_at(index)?, hash))
    }

    /// The entries of its log, behind the base.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        self.node
            .log_terms()
            .zip(self.hashes.iter())
            .map(|(term, hash)| stamp(term, hash))
            .collect()
    }

    fn step(&mut self, step: &Step, watcher: &mut impl Watcher) -> Result<(), Differs> {
        self.now = moved(self.now, step.later);
        let server = self.node.id();
        if let Given::Message { from, message, .. } = &step.given {
            watcher.received(server, *from, message);
        }
        let (mut draws, mut missing) = (step.draws.iter().copied(), false);
        let mut luck = || {
            draws.next().unwrap_or_else(|| {
                missing = true;
                0
            })
        };
        let (node, now, mut effects) = (&mut self.node, self.now, Vec::new());
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            step.given.with(|input| node.step(now, input, &mut luck, &mut effects));
        }));
        match (stepped, step.digest) {
            (Err(panic), recorded) => {
                let as_then = if recorded.is_none() { "as it did then" } else { "as it did not" };
                let text = panic_text(&*panic);
                return Err(Differs(format!("the core panics, {as_then}: {text}")));
            }
            (Ok(()), None) => {
                return Err(Differs("the core panicked then, and does not now".to_owned()));
            }
            (Ok(()), Some(recorded)) => {
                let drawn = !missing && draws.next().is_none();
                if !drawn || digest(&effects) != recorded.0 {
                    let given = step.given.with(|input| described(&input));
                    let all = effects.iter().map(|effect| format!("{effect:?}"));
                    let all = all.collect::<Vec<_>>().join(", ");
                    return Err(Differs(format!(
                        "given {given}, it asks for something else than it did then: [{all}]"
                    )));
                }
            }
        }
        for effect in &effects {
            self.perform(effect, &step.given, watcher);
        }
        follow(&mut self.hashes, &effects, &step.given.hashes(), &self.node);
        Ok(())
    }

    fn perform(&mut self, effect: &Effect, given: &Given, watcher: &mut impl Watcher) {
        let server = self.node.id();
        match effect {
            Effect::SaveVote { term, voted_for } => {
                let write = self.write();
                let (term, voted_for) = (*term, *voted_for);
                watcher.tell(&Fact::WroteVote { server, write, term, voted_for });
                self.gate = Some(write);
            }
            Effect::SaveRecovered => {
                let write = self.write();
                watcher.tell(&Fact::WroteRecovered { server, write });
                watcher.line(format_args!("{server} recovered from a quorum"));
                self.gate = Some(write);
            }
            Effect::Append { first, entries } => {
                let (mut stamps, mut configurations) = (Vec::new(), SmallVec::<[_; 1]>::new());
                match given {
                    Given::Message { entries: all, .. } => {
                        let new = all.get(entries.clone()).unwrap_or_default();
                        for (at, entry) in (first.0..).map(Index).zip(new) {
                            stamps.push(stamp(entry.term, entry.hash()));
                            if let What::Configuration(configuration) = &entry.what {
                                configurations.push((at, configuration.clone()));
                            }
                        }
                    }
                    Given::Propose(commands) => {
                        let term = self.node.term();
                        let new = commands.get(entries.clone()).unwrap_or_default();
                        stamps.extend(new.iter().map(|command| stamp(term, command.hash)));
                    }
                    _ => {}
                }
                self.append(*first, &stamps, &configurations, watcher);
            }
            Effect::AppendNoOp { position } => {
                self.append(position.index, &[stamp(position.term, 0)], &[], watcher);
            }
            Effect::AppendConfiguration { position, configuration } => {
                let entry = stamp(position.term, of_configuration(configuration));
                let placed = [(position.index, configuration.clone())];
                self.append(position.index, &[entry], &placed, watcher);
            }
            Effect::Install(meta) => {
                let write = self.write();
                let last_included = meta.last_included;
                let configuration = (meta.configured_at, &meta.configuration);
                let fact = Fact::WroteSnapshot { server, write, last_included, configuration };
                watcher.tell(&fact);
                watcher.line(format_args!("{server} installed a snapshot up to {last_included}"));
                self.restoring = Some(last_included.index);
            }
            Effect::Send { to, message } if self.gate.is_some() => {
                self.outbox.push((*to, *message));
            }
            Effect::Send { to, message } => {
                watcher.tell(&Fact::Sent { server, to: *to, message: *message });
            }
            Effect::Commit(index) => {
                watcher.tell(&Fact::Committed { server, index: *index });
                watcher.line(format_args!("{server} commit_index {index}"));
            }
            Effect::Became { role, term, leader, why } => {
                let (role, term) = (*role, *term);
                watcher.tell(&Fact::Became { server, role, term });
                match leader {
                    Some(leader) if *leader != server => {
                        let line = format_args!("{server} follows {leader} (term {term}): {why}");
                        watcher.line(line);
                    }
                    _ => watcher.line(format_args!("{server} is {role} (term {term}): {why}")),
                }
            }
            _ => {}
        }
    }

    fn write(&mut self) -> u64 {
        self.writes += 1;
        self.writes
    }

    fn append(
        &mut self,
        first: Index,
        entries: &[Stamp],
        configurations: &[(Index, Arc<Configuration>)],
        watcher: &mut impl Watcher,
    ) {
        let (server, write) = (self.node.id(), self.write());
        watcher.tell(&Fact::WroteEntries { server, write, first, entries });
        for (at, configuration) in configurations {
            watcher.tell(&Fact::Configures { server, at: *at, configuration });
        }
    }

    /// Where it stands, in a few words.
    pub(super) fn standing(&self) -> Standing {
        let mark = Mark::of(&self.node);
        Standing {
            term: mark.term,
            last: mark.last.index,
            commit: mark.commit,
            applied: mark.applied,
        }
    }
}

/// Where a core stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    term: Term,
    last: Index,
    commit: Index,
    applied: Index,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { term, last, commit, applied } = self;
        write!(f, "term {term}, log up to {last}, commit_index {commit}, applied {applied}")
    }
}

fn same(replayed: &Mark, recorded: &Mark) -> Result<(), Differs> {
    let differences = replayed.differences(recorded);
    if differences.is_empty() { Ok(()) } else { Err(Differs(differences.join("; "))) }
}

/// An input in a few words.
fn described(input: &Input<'_>) -> String {
    match input {
        Input::Message { from, message, .. } => format!("{message} from {from}"),
        Input::Propose { sizes } => format!("{} proposals", sizes.len()),
        other => format!("{other:?}"),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a word".to_owned())
}
