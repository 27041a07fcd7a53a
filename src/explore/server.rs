//! One server as the explorer sees it: the production core, its log, and a disk that does what it
//! was asked for later, or loses it in a crash.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::packet::{Entry, Packet};
use crate::raft::{
    Configuration, Effect, EntryMeta, Index, Input, Limits, Message, Node, Options, Persistent,
    RoleKind, ServerId, Term, Time, Timing,
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
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Write {
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
    /// The disk does the oldest write that it was asked for, and says so.
    Sync,
    /// It crashes, loses what is not on its disk, and starts again.
    Restart,
}

/// What came of an event.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) server: Server,
    pub(crate) sent: Vec<Packet>,
    pub(crate) effects: Vec<Effect>,
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
            log: disk.log.iter().map(|entry| entry.meta()).collect(),
        };
        let options = options(self.pre_vote);
        let node = Node::new(id, configuration, options, persistent, now(), &mut constant);
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

    /// Whether the disk has something to write.
    pub(crate) fn may_sync(&self) -> bool {
        !self.disk.staged.is_empty()
    }

    /// What comes of an event; the text of the assertion, if one of the core's fails.
    pub(crate) fn step(&self, event: Event<'_>, setup: &Setup) -> Result<Step, String> {
        let mut step = Step { server: self.clone(), sent: Vec::new(), effects: Vec::new() };
        catch_unwind(AssertUnwindSafe(|| step.take(event, setup))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            text.unwrap_or_else(|| "a panic without a text".to_owned())
        })?;
        step.server.node.forget_rounds();
        Ok(step)
    }

    fn write(&mut self, first: Index, entries: Vec<Entry>) {
        let write = Write { asked_in: self.node.term(), first, entries };
        write.put(&mut self.log);
        self.disk.staged.push_back(write);
    }
}

impl Step {
    fn take(&mut self, event: Event<'_>, setup: &Setup) {
        let server = &mut self.server;
        match event {
            Event::Deliver(packet) => {
                let metas: Vec<EntryMeta> = packet.entries.iter().map(|entry| entry.meta()).collect();
                let (from, message) = (packet.from, packet.message);
                let input = Input::Message { from, message, entries: &metas };
                self.input(input, &packet.entries, setup);
            }
            Event::Timer => self.input(Input::Deadline, &[], setup),
            Event::Propose(command) => {
                let entry = Entry { term: server.node.term(), command };
                self.input(Input::Propose { sizes: &[entry.meta().bytes] }, &[entry], setup);
            }
            Event::Sync => {
                let Some(write) = server.disk.staged.pop_front() else { return };
                write.put(&mut server.disk.log);
                let last = Index(write.first.previous().0 + write.entries.len() as u64);
                self.input(Input::Persisted { term: write.asked_in, last }, &[], setup);
            }
            Event::Restart => {
                server.disk.staged.clear();
                *server = setup.start(server.id, std::mem::take(&mut server.disk));
            }
        }
    }

    /// Steps the core and does what it asks for. Writes of term and vote are done at once: until
    /// they are nothing may be sent, so that nobody could tell the difference.
    fn input(&mut self, input: Input<'_>, entries: &[Entry], setup: &Setup) {
        let server = &mut self.server;
        server.node.step(now(), input, &mut constant, &mut self.effects);
        self.effects.retain(setup.obeys);
        for effect in &self.effects {
            match effect {
                Effect::SaveVote { term, voted_for } => {
                    (server.disk.term, server.disk.voted_for) = (*term, *voted_for);
                }
                Effect::Append { first, entries: range } => {
                    server.write(*first, entries[range.clone()].to_vec());
                }
                Effect::AppendNoOp { position } => {
                    server.write(position.index, vec![Entry { term: position.term, command: 0 }]);
                }
                Effect::Send { to, message } => {
                    let entries = match message {
                        Message::AppendEntries(append) => {
                            let (prev, last) = (append.prev_log.index.0, append.last.0);
                            server.log[prev as usize..last as usize].to_vec()
                        }
                        _ => Vec::new(),
                    };
                    self.sent.push(Packet::new(server.id, *to, *message, entries));
                }
                _ => {}
            }
        }
    }
}

impl Write {
    fn put(&self, log: &mut Vec<Entry>) {
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
