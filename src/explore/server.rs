//! One server as the explorer sees it: the production core, its log, and a disk that does what it
//! was asked for later, or loses it in a crash.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Payload};
use super::packet::Packet;
use super::report::Bounds;
use crate::invariants::{Fact, Monitor, Stamp, Violation};
use crate::raft::{
    AppendOutcome, Change, ChangeRequest, Configuration, Effect, Index, Input, Limits, Message,
    Node, Options, Persistent, Position, RoleKind, ServerId, Term, Time, Timing, Why,
};

/// A server with everything that belongs to it alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) node: Node,
    /// The log, durable or not.
    pub(crate) log: Vec<Entry>,
    disk: Disk,
}

/// What survives a crash, and what is still to be written, oldest first.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Disk {
    term: Term,
    voted_for: Option<ServerId>,
    log: Vec<Entry>,
    staged: VecDeque<Write>,
    /// What it was founded with: its members, or nobody if it joins.
    founding: Arc<Configuration>,
    recovering: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Write {
    /// Writes that wait are numbered in order, from 1 on while none waits.
    number: u64,
    /// The server's term when it asked.
    asked_in: Term,
    first: Index,
    entries: Vec<Entry>,
}

/// What may happen to a server.
#[derive(Clone, Copy)]
pub(crate) enum Event<'a> {
    Deliver(&'a Packet),
    /// Its timer fires: time stands still, so every deadline is always here.
    Timer,
    /// A client proposes the command of this number.
    Propose(u8),
    /// An operator asks it for other members.
    Change,
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
    Started {
        term: Term,
        voted_for: Option<ServerId>,
        founding: Arc<Configuration>,
        log: Vec<Stamp>,
        recovering: bool,
    },
    WroteVote {
        write: u64,
        term: Term,
        voted_for: Option<ServerId>,
    },
    WroteEntries {
        write: u64,
        first: Index,
        entries: Vec<Entry>,
    },
    WroteRecovered {
        write: u64,
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
            Self::Started { term, voted_for, founding, log, recovering } => {
                observe(Fact::Ended { server })?;
                let (term, voted_for, recovering) = (*term, *voted_for, *recovering);
                observe(Fact::Started {
                    server,
                    term,
                    voted_for,
                    snapshot: Index(0),
                    configuration: (Index(0), founding),
                    base: Position::default(),
                    log,
                    recovering,
                })
            }
            Self::WroteVote { write, term, voted_for } => {
                let (write, term, voted_for) = (*write, *term, *voted_for);
                observe(Fact::WroteVote { server, write, term, voted_for })
            }
            Self::WroteEntries { write, first, entries } => {
                let (write, first) = (*write, *first);
                let stamps: Vec<_> = entries.iter().map(Entry::stamp).collect();
                observe(Fact::WroteEntries { server, write, first, entries: &stamps })?;
                entries.iter().zip(first.0..).try_for_each(|(entry, at)| {
                    let Some(configuration) = entry.configuration() else { return Ok(()) };
                    observe(Fact::Configures { server, at: Index(at), configuration })
                })
            }
            Self::WroteRecovered { write } => {
                observe(Fact::WroteRecovered { server, write: *write })
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
#[derive(Clone)]
pub(crate) struct Setup {
    /// How many servers there are.
    pub(crate) servers: u64,
    pub(crate) founding: Arc<Configuration>,
    pub(crate) pre_vote: bool,
    /// What an operator asks for.
    request: ChangeRequest,
    /// Whether an effect is carried out: always, but in the tests of the explorer itself.
    obeys: fn(&Effect) -> bool,
}

impl Setup {
    pub(crate) fn new(bounds: &Bounds, obeys: fn(&Effect) -> bool) -> Self {
        let founding = Configuration::new((1..=bounds.servers).map(ServerId));
        Self {
            servers: bounds.all_servers(),
            founding: Arc::new(founding),
            pre_vote: bounds.pre_vote,
            request: ChangeRequest {
                change: Change::Voters(bounds.members.clone()),
                expected: None,
            },
            obeys,
        }
    }

    /// Of each server a number: only those of equal numbers may change names.
    pub(crate) fn kinds(&self) -> Vec<u8> {
        let Change::Voters(wanted) = &self.request.change else { return Vec::new() };
        let founds = |id: &ServerId| self.founding.is_voter(*id);
        let leaves = |id: &ServerId| founds(id) && !wanted.contains(id);
        let may_leave =
            !wanted.is_empty() && (1..=self.servers).map(ServerId).any(|id| leaves(&id));
        let kind = |id: u64| match may_leave {
            true => id as u8,
            false => u8::from(founds(&ServerId(id))) + 2 * u8::from(wanted.contains(&ServerId(id))),
        };
        (1..=self.servers).map(kind).collect()
    }

    /// A server that starts with what its disk kept.
    fn start(&self, id: ServerId, disk: Disk) -> Server {
        let persistent = Persistent {
            current_term: disk.term,
            voted_for: disk.voted_for,
            log: disk.log.iter().map(Entry::meta).collect(),
            recovering: disk.recovering,
            ..Persistent::founding(Configuration::clone(&disk.founding))
        };
        let node = Node::new(id, options(self.pre_vote), persistent, now(), &mut constant);
        Server { id, node, log: disk.log.clone(), disk }
    }

    /// A server at the beginning: it founds the cluster, or is to join it.
    pub(crate) fn server(&self, id: ServerId) -> Server {
        let disk = match self.founding.is_voter(id) {
            true => Disk { founding: self.founding.clone(), ..Disk::default() },
            false => Disk { recovering: true, ..Disk::default() },
        };
        self.start(id, disk)
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

    pub(crate) fn is_recovering(&self) -> bool {
        self.disk.recovering
    }

    /// That it has just started.
    pub(crate) fn started(&self) -> Note {
        let Disk { term, voted_for, recovering, .. } = self.disk;
        let (founding, log) = (self.disk.founding.clone(), &self.disk.log);
        let log = log.iter().map(Entry::stamp).collect();
        Note::Started { term, voted_for, founding, log, recovering }
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
                let metas: Vec<_> = packet.entries.iter().map(Entry::meta).collect();
                let (from, message) = (packet.from, packet.message);
                let input = Input::Message { from, message, entries: &metas };
                self.input(input, &packet.entries, setup);
            }
            Event::Timer => self.input(Input::Deadline, &[], setup),
            Event::Propose(command) => {
                let entry = Entry::new(self.server.node.term(), Payload::Command(command));
                let sizes = &[entry.meta().bytes];
                self.input(Input::Propose { sizes }, &[entry], setup);
            }
            Event::Change => self.input(Input::Change(&setup.request), &[], setup),
            Event::Sync => {
                let write = self.server.disk.staged.front().map_or(0, |write| write.number);
                self.notes.push(Note::Durable { write });
                if let Some(input) = self.server.disk.sync(write) {
                    self.input(input, &[], setup);
                }
            }
            Event::Restart => {
                let disk = Disk { staged: VecDeque::new(), ..self.server.disk.clone() };
                self.server = setup.start(self.server.id, disk);
                self.notes.push(self.server.started());
                self.commit(Index(0), self.server.node.commit_index());
            }
        }
    }

    /// Steps the core and does what it asks for. Term and vote are written and synced at once,
    /// and what was written before with them: until they are, nothing is sent, so that nobody
    /// could tell the difference.
    fn input(&mut self, input: Input<'_>, entries: &[Entry], setup: &Setup) {
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
                    self.write(position.index, vec![Entry::new(position.term, Payload::NoOp)]);
                }
                Effect::AppendConfiguration { position, configuration } => {
                    let payload = Payload::Configuration(configuration);
                    self.write(position.index, vec![Entry::new(position.term, payload)]);
                }
                Effect::SaveRecovered => {
                    let write = self.server.disk.next_number();
                    self.notes.push(Note::WroteRecovered { write });
                    synced = self.server.disk.sync(write).or(synced);
                    self.server.disk.recovering = false;
                    self.notes.push(Note::Durable { write });
                }
                Effect::Send { to, message } => self.send(to, message),
                Effect::Became { role, term, why, .. } => {
                    self.notes.push(Note::Became { role, term, why });
                }
                Effect::Commit(index) => {
                    self.commit(applied, index);
                    applied = index;
                }
                // What clients and operators are told, and what there is about snapshots: none.
                _ => {}
            }
        }
        if let Some(input) = synced {
            self.input(input, &[], setup);
        }
    }

    fn write(&mut self, first: Index, entries: Vec<Entry>) {
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
            let entry = &self.server.log[index.0 as usize - 1];
            let answered = leads && matches!(entry.payload, Payload::Command(_));
            self.notes.push(Note::Applied { index, entry: entry.stamp(), answered });
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
    fn put(&self, log: &mut Vec<Entry>) {
        log.truncate(self.first.previous().0 as usize);
        log.extend_from_slice(&self.entries);
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
    Options { timing, pre_vote, check_quorum: false, leases: false, limits }
}
