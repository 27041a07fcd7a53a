//! One server as the explorer sees it: the production core, its log, and a disk that does what it
//! was asked for later, or loses it in a crash.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::packet::{Packet, meta};
use crate::invariants::{Fact, Monitor, Stamp, Violation};
use crate::raft::{
    AppendOutcome, Configuration, Effect, Index, Input, Limits, Message, Node, Options, Persistent,
    Position, RoleKind, ServerId, Term, Time, Timing, Why,
};

/// A server with everything that belongs to it alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) node: Node,
    /// The log, durable or not.
    pub(crate) log: Vec<Stamp>,
    disk: Disk,
}

/// What survives a crash, and what is still to be written, oldest first.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Disk {
    term: Term,
    voted_for: Option<ServerId>,
    log: Vec<Stamp>,
    staged: VecDeque<Write>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Write {
    /// Writes that wait are numbered in order, from 1 on while none waits.
    number: u64,
    /// The server's term when it asked.
    asked_in: Term,
    first: Index,
    entries: Vec<Stamp>,
}

/// What may happen to a server.
#[derive(Clone, Copy)]
pub(crate) enum Event<'a> {
    Deliver(&'a Packet),
    /// Its timer fires: time stands still, so every deadline is always here.
    Timer,
    /// A client proposes the command of this number.
    Propose(u8),
    /// The disk does the oldest write that it was asked for, and says so.
    Sync,
    /// It crashes, loses what is not on its disk, and starts again.
    Restart,
}

/// What came of an event.
pub(crate) struct Step {
    pub(crate) server: Server,
    pub(crate) sent: Vec<Packet>,
    /// What there is to tell, in order.
    pub(crate) notes: Vec<Note>,
}

/// A [`Fact`] about a server that is known from elsewhere.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    Restarted {
        term: Term,
        voted_for: Option<ServerId>,
        log: Vec<Stamp>,
    },
    WroteVote {
        write: u64,
        term: Term,
        voted_for: Option<ServerId>,
    },
    WroteEntries {
        write: u64,
        first: Index,
        entries: Vec<Stamp>,
    },
    Durable {
        write: u64,
    },
    Sent {
        to: ServerId,
        message: Message,
    },
    Became {
        role: RoleKind,
        term: Term,
        why: Why,
    },
    Committed {
        index: Index,
    },
    /// If `answered`, its client was told.
    Applied {
        index: Index,
        entry: Stamp,
        answered: bool,
    },
}

impl Note {
    /// Tells the monitor.
    pub(crate) fn tell(&self, server: ServerId, monitor: &mut Monitor) -> Result<(), Violation> {
        let mut observe = |fact: Fact<'_>| monitor.observe(&fact);
        match self {
            Self::Restarted { term, voted_for, log } => {
                observe(Fact::Ended { server })?;
                let (term, voted_for) = (*term, *voted_for);
                observe(Fact::Started {
                    server,
                    term,
                    voted_for,
                    snapshot: Index(0),
                    configuration: (Index(0), &Configuration::default()),
                    base: Position::default(),
                    log,
                    recovering: false,
                })
            }
            Self::WroteVote { write, term, voted_for } => {
                let (write, term, voted_for) = (*write, *term, *voted_for);
                observe(Fact::WroteVote { server, write, term, voted_for })
            }
            Self::WroteEntries { write, first, entries } => {
                let (write, first) = (*write, *first);
                observe(Fact::WroteEntries { server, write, first, entries })
            }
            Self::Durable { write } => observe(Fact::Durable { server, write: *write }),
            Self::Sent { to, message } => {
                observe(Fact::Sent { server, to: *to, message: *message })
            }
            Self::Became { role, term, .. } => {
                observe(Fact::Became { server, role: *role, term: *term })
            }
            Self::Committed { index } => observe(Fact::Committed { server, index: *index }),
            Self::Applied { index, entry, answered } => {
                let (index, entry) = (*index, *entry);
                observe(Fact::Applied { server, index, entry, answer: &[], request: None })?;
                if *answered { observe(Fact::Answered { server, index }) } else { Ok(()) }
            }
        }
    }
}

/// What all servers of one exploration share.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) servers: u64,
    pub(crate) pre_vote: bool,
    /// Whether an effect is carried out: always, but in the tests of the explorer itself.
    pub(crate) obeys: fn(&Effect) -> bool,
}

impl Setup {
    /// A server that starts with what its disk kept.
    fn start(&self, id: ServerId, disk: Disk) -> Server {
        let configuration = Configuration::new((1..=self.servers).map(ServerId));
        let persistent = Persistent {
            current_term: disk.term,
            voted_for: disk.voted_for,
            log: disk.log.iter().map(meta).collect(),
            ..Persistent::founding(configuration)
        };
        let node = Node::new(id, options(self.pre_vote), persistent, now(), &mut constant);
        Server { id, node, log: disk.log.clone(), disk }
    }

    /// A server of a new cluster.
    pub(crate) fn server(&self, id: ServerId) -> Server {
        self.start(id, Disk::default())
    }
}

impl Server {
    pub(crate) fn is_leader(&self) -> bool {
        self.node.role() == RoleKind::Leader
    }

    /// How far it has come. Few moves lower it, so that a search from the lowest on meets most
    /// states after all those that lead to them.
    pub(crate) fn progress(&self) -> u64 {
        let status = self.node.status(now());
        let sums = status.peers.iter().map(|peer| peer.match_index.0 + peer.next_index.0);
        let role = match status.role {
            RoleKind::Follower => u64::from(status.leader.is_some()),
            RoleKind::PreCandidate | RoleKind::Candidate => 0,
            RoleKind::Leader => 2,
        };
        let log = status.last_log.term.0 * 8 + status.last_log.index.0 * 2 + status.durable_index.0;
        let known = status.commit_index.0 + sums.sum::<u64>();
        status.term.0 * 64 + u64::from(status.voted_for.is_some()) + role + log + known
    }

    /// Whether the disk has something to write.
    pub(crate) fn may_sync(&self) -> bool {
        !self.disk.staged.is_empty()
    }

    /// What comes of an event; the text of the assertion, if one of the core's fails.
    pub(crate) fn step(&self, event: Event<'_>, setup: &Setup) -> Result<Step, String> {
        let mut step = Step { server: self.clone(), sent: Vec::new(), notes: Vec::new() };
        catch_unwind(AssertUnwindSafe(|| step.take(event, setup))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            text.unwrap_or_else(|| "a panic without a text".to_owned())
        })?;
        step.server.node.forget_what_decides_nothing();
        Ok(step)
    }
}

impl Step {
    fn take(&mut self, event: Event<'_>, setup: &Setup) {
        match event {
            Event::Deliver(packet) => {
                let metas: Vec<_> = packet.entries.iter().map(meta).collect();
                let (from, message) = (packet.from, packet.message);
                let input = Input::Message { from, message, entries: &metas };
                self.input(input, &packet.entries, setup);
            }
            Event::Timer => self.input(Input::Deadline, &[], setup),
            Event::Propose(command) => {
                let entry = Stamp { term: self.server.node.term(), payload: u64::from(command) };
                self.input(Input::Propose { sizes: &[meta(&entry).bytes] }, &[entry], setup);
            }
            Event::Sync => {
                let write = self.server.disk.staged.front().map_or(0, |write| write.number);
                self.notes.push(Note::Durable { write });
                if let Some(input) = self.server.disk.sync(write) {
                    self.input(input, &[], setup);
                }
            }
            Event::Restart => {
                let disk = Disk { staged: VecDeque::new(), ..self.server.disk.clone() };
                let (term, voted_for, log) = (disk.term, disk.voted_for, disk.log.clone());
                self.server = setup.start(self.server.id, disk);
                self.notes.push(Note::Restarted { term, voted_for, log });
                self.commit(Index(0), self.server.node.commit_index());
            }
        }
    }

    /// Steps the core and does what it asks for. Term and vote are written and synced at once,
    /// and what was written before with them: until they are, nothing is sent, so that nobody
    /// could tell the difference.
    fn input(&mut self, input: Input<'_>, entries: &[Stamp], setup: &Setup) {
        let mut applied = self.server.node.commit_index();
        let mut effects = Vec::new();
        self.server.node.step(now(), input, &mut constant, &mut effects);
        let mut synced = None;
        for effect in effects.into_iter().filter(setup.obeys) {
            match effect {
                Effect::SaveVote { term, voted_for } => {
                    let write = self.server.disk.next_number();
                    self.notes.push(Note::WroteVote { write, term, voted_for });
                    synced = self.server.disk.sync(write).or(synced);
                    (self.server.disk.term, self.server.disk.voted_for) = (term, voted_for);
                    self.notes.push(Note::Durable { write });
                }
                Effect::Append { first, entries: range } => {
                    self.write(first, entries[range].to_vec());
                }
                Effect::AppendNoOp { position } => {
                    self.write(position.index, vec![Stamp { term: position.term, payload: 0 }]);
                }
                Effect::Send { to, message } => self.send(to, message),
                Effect::Became { role, term, why, .. } => {
                    self.notes.push(Note::Became { role, term, why });
                }
                Effect::Commit(index) => {
                    self.commit(applied, index);
                    applied = index;
                }
                Effect::Accepted { .. }
                | Effect::Refused(_)
                | Effect::ReadReady { .. }
                | Effect::ReadRefused { .. } => {}
                // What only clients, operators and snapshots bring about.
                _ => {}
            }
        }
        if let Some(input) = synced {
            self.input(input, &[], setup);
        }
    }

    fn write(&mut self, first: Index, entries: Vec<Stamp>) {
        let server = &mut self.server;
        let (number, asked_in) = (server.disk.next_number(), server.node.term());
        let write = Write { number, asked_in, first, entries };
        write.put(&mut server.log);
        let entries = write.entries.clone();
        self.notes.push(Note::WroteEntries { write: number, first, entries });
        server.disk.staged.push_back(write);
    }

    fn send(&mut self, to: ServerId, message: Message) {
        let entries = match &message {
            Message::AppendEntries(append) => {
                let (prev, last) = (append.prev_log.index.0, append.last.0);
                self.server.log[prev as usize..last as usize].to_vec()
            }
            _ => Vec::new(),
        };
        if promises(&message) {
            self.notes.push(Note::Sent { to, message });
        }
        self.sent.push(Packet::new(self.server.id, to, message, entries));
    }

    /// Applies what is committed. A leader answers the clients whose commands these are.
    fn commit(&mut self, after: Index, last: Index) {
        if last == after {
            return;
        }
        self.notes.push(Note::Committed { index: last });
        let leads = self.server.is_leader();
        for index in (after.0 + 1..=last.0).map(Index) {
            let entry = self.server.log[index.0 as usize - 1];
            self.notes.push(Note::Applied { index, entry, answered: leads && entry.payload > 0 });
        }
    }
}

impl Disk {
    fn next_number(&self) -> u64 {
        self.staged.back().map_or(1, |write| write.number + 1)
    }

    /// Does every write up to this one. Returns what the core is to be told, if anything.
    fn sync(&mut self, number: u64) -> Option<Input<'static>> {
        let mut told = None;
        let waiting = self.staged.partition_point(|write| write.number <= number);
        for write in self.staged.drain(..waiting) {
            write.put(&mut self.log);
            let last = Index(self.log.len() as u64);
            told = Some(Input::Persisted { term: write.asked_in, last });
        }
        told
    }
}

/// Whether a message says more of its sender than that it is there: only then the monitor is told.
fn promises(message: &Message) -> bool {
    match message {
        Message::RequestVote(request) => !request.pre_vote,
        Message::RequestVoteReply(reply) => !reply.pre_vote && reply.vote.is_ok(),
        Message::AppendEntriesReply(reply) => matches!(reply.outcome, AppendOutcome::Matched(_)),
        _ => false,
    }
}

impl Write {
    fn put(&self, log: &mut Vec<Stamp>) {
        log.truncate(self.first.previous().0 as usize);
        log.extend(&self.entries);
    }
}

/// Time stands still.
fn now() -> Time {
    Time::default()
}

fn constant() -> u64 {
    0
}

/// Timeouts of no length, so that any timer may fire at any time; one entry a message, so that
/// every part of a log travels alone.
fn options(pre_vote: bool) -> Options {
    let timing = Timing {
        election_timeout_min: Duration::ZERO,
        election_timeout_max: Duration::ZERO,
        heartbeat: Duration::ZERO,
    };
    let limits = Limits { message_entries: 1, window_messages: 1, ..Limits::default() };
    Options { timing, pre_vote, check_quorum: false, limits }
}
