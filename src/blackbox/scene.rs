//! The cluster as the recordings tell it: the monitor, the trace, and which messages were sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use super::digest::fingerprint;
use super::player::{Player, Watcher};
use crate::invariants::{Fact, Monitor, Stamp, Violation};
use crate::raft::{
    AppendEntriesReply, AppendOutcome, Configuration, Index, Message, Node, Position, ServerId,
};

/// By how much clocks may differ, in nanoseconds.
pub(super) const SKEW: u64 = 1_000_000_000;

/// What all servers have in common.
pub(super) struct Scene<'a> {
    monitor: Option<Monitor>,
    /// The monitor counts indexes from here on: it would remember every one before.
    origin: u64,
    /// Up to this moment by the clock of every server, one may rest on what another did and has
    /// not been told yet.
    unclear_until: u64,
    clear: bool,
    /// Servers of which too much is missing for the monitor: it is told nothing of them.
    muted: BTreeSet<ServerId>,
    /// Servers that had writes under way when the monitor began, and the last of those: what their
    /// disks had before that was durable is not known.
    under_way: BTreeMap<ServerId, u64>,
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
            unclear_until: 0,
            clear: true,
            muted: BTreeSet::new(),
            under_way: BTreeMap::new(),
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

    /// At this moment by its own clock, a server may rest on what nobody has told yet.
    pub(super) fn is_unclear_at(&mut self, wall: u64) {
        self.unclear_until = self.unclear_until.max(wall.saturating_add(SKEW));
        self.clear = false;
        if let Some(monitor) = &mut self.monitor {
            monitor.believe(true);
        }
    }

    /// All servers have come to this moment, each by its own clock. Returns whether it is clear
    /// now, for the first time, what they rest on.
    pub(super) fn all_at(&mut self, wall: u64) -> bool {
        let clear = wall >= self.unclear_until;
        if let Some(monitor) = &mut self.monitor {
            monitor.believe(!clear);
        }
        clear && !std::mem::replace(&mut self.clear, clear)
    }

    /// Has the monitor begin, or begin anew, with all servers as they are: what happened before
    /// is not judged. Of those in the dark nothing is known; `newborn` ones have done nothing.
    pub(super) fn look(&mut self, players: &[(&Player, bool)], newborn: &BTreeSet<ServerId>) {
        let members = players.iter().flat_map(|(player, _)| player.node.configuration().members());
        let members: BTreeSet<_> = members.collect();
        if members.is_empty() {
            return;
        }
        let nodes = || players.iter().map(|(player, _)| &player.node);
        let (committed, gap) = committed(players);
        let is_grounded = |node: &&Node| node.log_base().index >= gap;
        let bases = nodes().filter(is_grounded).map(|node| node.log_base().index);
        // The base itself is an entry that is known.
        self.origin = bases.min().unwrap_or_default().0.saturating_sub(1);
        let committed = committed.range(Index(self.origin).next()..);
        let committed: Vec<_> = committed.map(|(_, stamp)| *stamp).collect();
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
        let mut monitor = Monitor::found(founding, &committed, &behind);
        // Until it is told otherwise.
        monitor.believe(true);
        self.monitor = Some(monitor);
        self.muted.clear();
        self.under_way.clear();
        let here: BTreeSet<_> = players.iter().map(|(player, _)| player.node.id()).collect();
        for server in members.iter().filter(|id| !here.contains(id) && !newborn.contains(id)) {
            self.tell(&Fact::Unseen { server: *server });
        }
        for (player, seen) in players {
            let (node, server) = (&player.node, player.node.id());
            // Who recovers has lost what nobody here has seen.
            if node.is_recovering() {
                self.tell(&Fact::Unseen { server });
            }
            let is_empty = node.last_log().index == Index(0);
            if !is_grounded(&node) && !is_empty {
                self.mute(server);
                continue;
            }
            self.found(player);
            if !seen {
                self.tell(&Fact::Unseen { server });
            }
        }
    }

    /// Tells the monitor no more of this server, of which too much is missing.
    fn mute(&mut self, server: ServerId) {
        self.tell(&Fact::Unseen { server });
        self.muted.insert(server);
    }

    /// Whether the monitor is told nothing of some server.
    pub(super) fn mutes_any(&self) -> bool {
        !self.muted.is_empty()
    }

    /// Tells the monitor how a server is.
    fn found(&mut self, player: &Player) {
        self.started(player);
        let (node, server) = (&player.node, player.node.id());
        self.under_way.extend(player.under_way().map(|write| (server, write)));
        self.tell(&Fact::Committed { server, index: node.commit_index() });
        // A snapshot may be on the disk and not in the state machine yet.
        if player.applied > node.snapshot().last_included.index {
            self.tell(&Fact::Restored { server, index: player.applied, digest: None });
        }
        self.tell(&Fact::Became { server, role: node.role(), term: node.term() });
    }

    /// A server starts from what its disk has kept.
    pub(super) fn started(&mut self, player: &Player) {
        let (node, server) = (&player.node, player.node.id());
        self.muted.remove(&server);
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
    /// stands on, and what the disk had before.
    pub(super) fn knows_of(&self, player: &Player) -> bool {
        if self.under_way.contains_key(&player.node.id()) {
            return false;
        }
        let (base, snapshot) = (player.node.log_base().index, player.node.snapshot());
        let commit = self.monitor.as_ref().map_or(Index(0), Monitor::commit_index);
        let grounded = base.0 > self.origin || (self.origin == 0 && base.0 == 0);
        let empty = player.node.last_log().index == Index(0);
        self.shift(snapshot.last_included.index) <= commit && (grounded || empty)
    }

    fn shift(&self, index: Index) -> Index {
        Index(index.0.saturating_sub(self.origin))
    }

    /// Whether a server goes on from what nobody told the monitor of.
    fn is_beyond(&self, fact: &Fact<'_>) -> bool {
        let Some(monitor) = self.monitor.as_ref().filter(|monitor| !monitor.sees_all()) else {
            return false;
        };
        let before = |index: Index| self.origin > 0 && index.0 <= self.origin;
        match fact {
            Fact::WroteSnapshot { last_included: Position { index, .. }, .. } => {
                before(*index) || self.shift(*index) > monitor.commit_index()
            }
            Fact::WroteEntries { first, .. } => before(*first),
            _ => false,
        }
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
        if let Fact::Durable { server, write } = fact
            && self.under_way.get(server).is_some_and(|last| last <= write)
        {
            self.under_way.remove(server);
        }
        if self.is_beyond(fact) {
            self.mute(fact.server());
        }
        match self.origin {
            _ if self.muted.contains(&fact.server()) => {}
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

/// What is committed, by the logs of those who know; and the index behind which nothing of it is
/// missing.
fn committed(players: &[(&Player, bool)]) -> (BTreeMap<Index, Stamp>, Index) {
    let nodes = || players.iter().map(|(player, _)| &player.node);
    let commits = nodes().filter_map(|node| {
        let index = node.commit_index();
        Some(Position::new(node.term_at(index)?, index))
    });
    let positions: Vec<_> = nodes().map(Node::log_base).chain(commits).collect();
    let mut committed = BTreeMap::new();
    for (player, _) in players {
        // Logs that have a committed entry agree up to there (section 5.3).
        let has = |it: &&Position| player.node.term_at(it.index) == Some(it.term);
        let last = positions.iter().filter(has).map(|it| it.index.0).max().unwrap_or_default();
        let indexes = (player.node.log_base().index.0 + 1..=last).map(Index);
        committed.extend(indexes.zip(player.stamps()));
    }
    let (mut before, mut gap) = (Index(0), Index(0));
    for index in committed.keys().copied() {
        if index > before.next() {
            gap = index.previous();
        }
        before = index;
    }
    // Of what a log stands on the term alone is known.
    for Position { term, index } in nodes().map(Node::log_base).filter(|it| it.index > Index(0)) {
        committed.entry(index).or_insert_with(|| {
            gap = gap.max(index);
            Stamp { term, payload: 0 }
        });
    }
    (committed, gap)
}

/// Names in a row, as in `S1, S2`.
pub(super) fn listed(servers: &BTreeSet<ServerId>) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
