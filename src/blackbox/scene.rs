//! The cluster as the recordings tell it: the monitor, the trace, and which messages were sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use super::digest::fingerprint;
use super::player::{Player, Watcher};
use crate::invariants::{Fact, Monitor, Stamp, Violation};
use crate::raft::{
    AppendEntriesReply, AppendOutcome, Configuration, Index, Message, Position, ServerId, Term,
};

/// What all servers have in common.
pub(super) struct Scene<'a> {
    monitor: Option<Monitor>,
    /// The monitor counts indexes from here on: it would remember every one before.
    origin: u64,
    /// The first property that was broken, once it was.
    pub(super) violation: Option<Violation>,
    /// Every message that was sent, as a number, and its number in the trace.
    sent: BTreeMap<u64, u64>,
    messages: u64,
    trace: Option<&'a mut dyn Write>,
    pub(super) trace_failed: Option<std::io::Error>,
    /// The moment now, and that of the first record.
    pub(super) wall: u64,
    begun: u64,
}

impl<'a> Scene<'a> {
    pub(super) fn new(trace: Option<&'a mut dyn Write>, begun: u64) -> Self {
        Self {
            monitor: None,
            origin: 0,
            violation: None,
            sent: BTreeMap::new(),
            messages: 0,
            trace,
            trace_failed: None,
            wall: begun,
            begun,
        }
    }

    /// Whether anybody looks for broken properties.
    pub(super) fn is_monitored(&self) -> bool {
        self.monitor.is_some()
    }

    /// Messages that were sent.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// The moment now, in nanoseconds since the first record.
    pub(super) fn elapsed(&self) -> u64 {
        self.wall.saturating_sub(self.begun)
    }

    /// Whether this very message was sent.
    pub(super) fn was_sent(&self, from: ServerId, to: ServerId, message: &Message) -> bool {
        self.sent.contains_key(&fingerprint(&(from, to, message)))
    }

    /// Has the monitor begin, or begin anew, with all servers as they are: what happened before
    /// is not judged. Of those in the dark nothing is known.
    pub(super) fn look(&mut self, players: &[(&Player, bool)], recorded: &BTreeSet<ServerId>) {
        let members = players.iter().flat_map(|(player, _)| player.node.configuration().members());
        let members: BTreeSet<_> = members.collect();
        if members.is_empty() {
            return;
        }
        let nodes = || players.iter().map(|(player, _)| &player.node);
        let base = nodes().map(|node| node.log_base().index.0).min().unwrap_or_default();
        // The base itself is an entry that is known.
        self.origin = base.saturating_sub(1);
        let committed = self.committed(players);
        let known = nodes().flat_map(|node| {
            let commit = node.commit_index();
            node.log_configurations().iter().filter(move |(at, _)| *at <= commit)
        });
        let known: BTreeMap<Index, Arc<Configuration>> = known.cloned().collect();
        let mut before =
            known.range(..=Index(self.origin)).filter(|(_, it)| !it.incoming().is_empty());
        let founding =
            before.next_back().map(|(_, it)| Configuration::clone(it)).unwrap_or_default();
        let behind = known.range(Index(self.origin).next()..);
        let behind: Vec<_> = behind.map(|(at, it)| (self.shift(*at), it.clone())).collect();
        self.monitor = Some(Monitor::found(founding, &committed, &behind));
        for server in members.difference(recorded) {
            self.tell(&Fact::Unseen { server: *server });
        }
        for (player, seen) in players {
            self.found(player);
            if !seen {
                self.tell(&Fact::Unseen { server: player.node.id() });
            }
        }
    }

    /// What is committed, by the logs of those who know, behind the origin.
    fn committed(&self, players: &[(&Player, bool)]) -> Vec<Stamp> {
        let commits = players.iter().map(|(player, _)| player.node.commit_index());
        let last = self.shift(commits.max().unwrap_or_default());
        let unknown = Stamp { term: Term(0), payload: 0 };
        let mut committed = vec![unknown; last.0 as usize];
        let mut put = |index: Index, stamp| {
            let place = self.shift(index).0.checked_sub(1);
            let place = place.and_then(|place| committed.get_mut(place as usize));
            if let Some(known) = place {
                *known = stamp;
            }
        };
        for (player, _) in players {
            let Position { term, index } = player.node.log_base();
            put(index, Stamp { term, payload: 0 });
        }
        for (player, _) in players {
            let indexes = player.node.log_base().index.0 + 1..=player.node.commit_index().0;
            for (index, stamp) in indexes.zip(player.stamps()) {
                put(Index(index), stamp);
            }
        }
        committed
    }

    /// Tells the monitor how a server is.
    fn found(&mut self, player: &Player) {
        self.started(player);
        let (node, server) = (&player.node, player.node.id());
        self.tell(&Fact::Committed { server, index: node.commit_index() });
        self.tell(&Fact::Restored { server, index: player.applied, digest: None });
        self.tell(&Fact::Became { server, role: node.role(), term: node.term() });
    }

    /// A server starts from what its disk has kept.
    pub(super) fn started(&mut self, player: &Player) {
        let (node, server) = (&player.node, player.node.id());
        let snapshot = node.snapshot();
        self.tell(&Fact::Started {
            server,
            term: node.term(),
            voted_for: node.voted_for(),
            snapshot: snapshot.last_included.index,
            configuration: (snapshot.configured_at, &snapshot.configuration),
            base: node.log_base(),
            log: &player.stamps(),
            recovering: node.is_recovering(),
        });
        let commit = node.commit_index();
        for (at, configuration) in node.log_configurations() {
            if *at > commit && *at > node.log_base().index {
                self.tell(&Fact::Configures { server, at: *at, configuration });
            }
        }
    }

    /// Whether the monitor can make sense of a server that starts with this: it knows what that
    /// stands on.
    pub(super) fn knows_of(&self, player: &Player) -> bool {
        let (base, snapshot) = (player.node.log_base().index, player.node.snapshot());
        let commit = self.monitor.as_ref().map_or(Index(0), Monitor::commit_index);
        let grounded = base.0 > self.origin || (self.origin == 0 && base.0 == 0);
        let empty = player.node.last_log().index == Index(0);
        self.shift(snapshot.last_included.index) <= commit && (grounded || empty)
    }

    fn shift(&self, index: Index) -> Index {
        Index(index.0.saturating_sub(self.origin))
    }

    fn observe(&mut self, fact: &Fact<'_>) {
        let Some(monitor) = &mut self.monitor else { return };
        if self.violation.is_some() {
            return;
        }
        if let Err(mut violation) = monitor.observe(fact) {
            if self.origin > 0 {
                let from = self.origin;
                violation.text.push_str(&format!(" (indexes count from {from} on)"));
            }
            self.violation = Some(violation);
        }
    }

    /// The fact with its indexes counted from the origin.
    fn shifted(&mut self, fact: &Fact<'_>) {
        let at = |index| self.shift(index);
        let place = |position: Position| Position::new(position.term, at(position.index));
        let shifted = match *fact {
            Fact::Started {
                server,
                term,
                voted_for,
                snapshot,
                configuration,
                base,
                log,
                recovering,
            } => {
                let configuration = (at(configuration.0), configuration.1);
                let (snapshot, base) = (at(snapshot), place(base));
                Fact::Started {
                    server,
                    term,
                    voted_for,
                    snapshot,
                    configuration,
                    base,
                    log,
                    recovering,
                }
            }
            Fact::WroteEntries { server, write, first, entries } => {
                Fact::WroteEntries { server, write, first: at(first), entries }
            }
            Fact::WroteSnapshot { server, write, last_included, configuration } => {
                let configuration = (at(configuration.0), configuration.1);
                let last_included = place(last_included);
                Fact::WroteSnapshot { server, write, last_included, configuration }
            }
            Fact::Configures { server, at: index, configuration } => {
                Fact::Configures { server, at: at(index), configuration }
            }
            Fact::Committed { server, index } => Fact::Committed { server, index: at(index) },
            Fact::Applied { server, index, entry, answer, request } => {
                Fact::Applied { server, index: at(index), entry, answer, request }
            }
            Fact::Restored { server, index, digest } => {
                Fact::Restored { server, index: at(index), digest }
            }
            Fact::Digest { server, index, digest } => {
                Fact::Digest { server, index: at(index), digest }
            }
            Fact::Sent { server, to, message: Message::AppendEntriesReply(reply) } => {
                let outcome = match reply.outcome {
                    AppendOutcome::Matched(index) => AppendOutcome::Matched(at(index)),
                    rejected @ AppendOutcome::Rejected { .. } => rejected,
                };
                let message = AppendEntriesReply { outcome, ..reply };
                Fact::Sent { server, to, message: message.into() }
            }
            other => other,
        };
        self.observe(&shifted);
    }
}

impl Watcher for Scene<'_> {
    fn tell(&mut self, fact: &Fact<'_>) {
        if let Fact::Sent { server, to, message } = fact {
            self.messages += 1;
            let number = self.messages;
            self.sent.insert(fingerprint(&(*server, *to, message)), number);
            self.line(format_args!("{server} -> {to} #{number} {message}"));
        }
        match self.origin {
            0 => self.observe(fact),
            _ => self.shifted(fact),
        }
    }

    fn received(&mut self, server: ServerId, from: ServerId, message: &Message) {
        if self.trace.is_some() {
            match self.sent.get(&fingerprint(&(from, server, message))).copied() {
                Some(number) => self.line(format_args!("{server} <- {from} #{number}")),
                None => self.line(format_args!("{server} <- {from} from the dark: {message}")),
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let micros = self.elapsed() / 1_000;
        if let Some(trace) = &mut self.trace
            && let Err(error) =
                writeln!(trace, "{}.{:06} {line}", micros / 1_000_000, micros % 1_000_000)
        {
            (self.trace, self.trace_failed) = (None, Some(error));
        }
    }
}

/// Names in a row, as in `S1, S2`.
pub(super) fn listed(servers: &BTreeSet<ServerId>) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
