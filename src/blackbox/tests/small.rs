//! Three cores that talk to each other in virtual time, each with a black box.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use uuid::Uuid;

use crate::blackbox::{BlackBox, BoxSettings, Payloads, Recording, Report, replay};
use crate::raft::{
    Configuration, Effect, Entries, Entry, EntryMeta, Index, Input, Message, Node, Options,
    Payload, Persistent, ServerId, Term, Time,
};

pub(super) const SERVERS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

pub(super) struct Small {
    pub(super) folder: TempDir,
    settings: BoxSettings,
    pub(super) servers: BTreeMap<ServerId, Server>,
    mail: VecDeque<(ServerId, ServerId, Message, Entries)>,
    now: Time,
    luck: ChaCha8Rng,
}

pub(super) struct Server {
    pub(super) node: Node,
    pub(super) black_box: BlackBox,
    log: Vec<Entry>,
    vote: (Term, Option<ServerId>),
    writes: u64,
}

impl Small {
    pub(super) fn start(bytes: u64) -> Self {
        let mut small = Self {
            folder: tempfile::tempdir().unwrap(),
            settings: BoxSettings { bytes },
            servers: BTreeMap::new(),
            mail: VecDeque::new(),
            now: Time::default() + Duration::from_secs(1000),
            luck: ChaCha8Rng::seed_from_u64(7),
        };
        for id in SERVERS {
            small.begin(id, Vec::new(), (Term(0), None));
        }
        small
    }

    pub(super) fn data(&self, id: ServerId) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    /// Begins a life of a server with this on its disk.
    fn begin(&mut self, id: ServerId, log: Vec<Entry>, vote: (Term, Option<ServerId>)) {
        let mut persistent = Persistent::founding(Configuration::new(SERVERS));
        (persistent.current_term, persistent.voted_for) = vote;
        persistent.log = log.iter().map(Entry::meta).collect();
        let life = self.luck.next_u64();
        let (cluster, data) = (Uuid::from_u128(7), self.data(id));
        let mut black_box = BlackBox::open(&data, cluster, life, self.settings).unwrap();
        let luck = &mut self.luck;
        let mut draw = || luck.next_u64();
        let node = Node::new(id, Options::default(), persistent, self.now, &mut draw);
        black_box.begin(self.now, &node, &log.clone().into());
        self.servers.insert(id, Server { node, black_box, log, vote, writes: 0 });
    }

    /// Ends a server in good order and starts it again, from what it had or from nothing.
    pub(super) fn restart(&mut self, id: ServerId, with_all: bool) {
        let Server { log, vote, .. } = self.servers.remove(&id).unwrap();
        match with_all {
            true => self.begin(id, log, vote),
            false => self.begin(id, Vec::new(), (Term(0), None)),
        }
    }

    pub(super) fn leader(&mut self) -> ServerId {
        for _ in 0..1000 {
            let leads = |server: &&Server| server.node.leader() == Some(server.node.id());
            if let Some(server) = self.servers.values().find(leads) {
                return server.node.id();
            }
            self.go_on();
        }
        panic!("nobody leads");
    }

    /// Has the leader take so many commands, one after the other.
    pub(super) fn propose(&mut self, count: u64) {
        for number in 0..count {
            let leader = self.leader();
            let command = Bytes::from(vec![number as u8; 1 + number as usize % 50]);
            let (commands, sizes) = ([command.clone()], [command.len() as u32]);
            let payloads = Payloads::Commands(&commands);
            self.step(leader, Input::Propose { sizes: &sizes }, &payloads, &[]);
            self.deliver();
        }
    }

    /// Delivers what is on its way; then time goes on to the next timer.
    pub(super) fn go_on(&mut self) {
        self.deliver();
        let due = |server: &Server| (server.node.deadline(), server.node.id());
        let (due, id) = self.servers.values().map(due).min().unwrap();
        self.now = self.now.max(due);
        self.step(id, Input::Deadline, &Payloads::None, &[]);
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some((from, to, message, entries)) = self.mail.pop_front() {
            self.now = self.now + Duration::from_micros(20);
            let metas: Vec<_> = entries.iter().map(Entry::meta).collect();
            let input = Input::Message { from, message, entries: &metas };
            self.step(to, input, &Payloads::Entries(&entries), &metas);
        }
    }

    fn step(&mut self, id: ServerId, input: Input<'_>, payloads: &Payloads<'_>, _: &[EntryMeta]) {
        let (now, luck) = (self.now, &mut self.luck);
        let Some(server) = self.servers.get_mut(&id) else { return };
        let mut effects = Vec::new();
        let mut draw = || luck.next_u64();
        let Server { node, black_box, .. } = server;
        black_box.step(node, now, input, payloads, &mut draw, &mut effects);
        let (mut wrote, mut committed) = (false, None);
        for effect in effects {
            match effect {
                Effect::SaveVote { term, voted_for } => {
                    server.vote = (term, voted_for);
                    server.write();
                    server.black_box.synced(now, &server.node, server.writes);
                }
                Effect::Append { first, entries } => {
                    server.log.truncate(first.previous().0 as usize);
                    match payloads {
                        Payloads::Entries(all) => {
                            let new = all.slice(entries.start, entries.end);
                            server.log.extend(new.iter().cloned());
                        }
                        Payloads::Commands(commands) => {
                            let term = server.node.term();
                            let new = commands[entries].iter().cloned();
                            let entry = |it| Entry { term, payload: Payload::Command(it) };
                            server.log.extend(new.map(entry));
                        }
                        Payloads::None => {}
                    }
                    server.write();
                    wrote = true;
                }
                Effect::AppendNoOp { position } => {
                    server.log.push(Entry { term: position.term, payload: Payload::NoOp });
                    server.write();
                    wrote = true;
                }
                Effect::Send { to, message } => {
                    let entries = match &message {
                        Message::AppendEntries(append) => {
                            let range = append.prev_log.index.0 as usize..append.last.0 as usize;
                            server.log[range].to_vec()
                        }
                        _ => Vec::new(),
                    };
                    self.mail.push_back((id, to, message, entries.into()));
                }
                Effect::Commit(index) => committed = Some(index),
                _ => {}
            }
        }
        if let Some(index) = committed {
            server.apply(index, now);
        }
        if wrote {
            server.black_box.synced(now, &server.node, server.writes);
            let last = server.node.last_log_index();
            let input = Input::Persisted { term: server.node.term(), last };
            self.step(id, input, &Payloads::None, &[]);
        }
    }

    /// Ends all recordings.
    pub(super) fn end(self) -> TempDir {
        self.folder
    }
}

impl Server {
    fn write(&mut self) {
        self.writes += 1;
        self.black_box.wrote(self.writes);
    }

    fn apply(&mut self, index: Index, now: Time) {
        self.node.step(now, Input::Applied(index), &mut || 0, &mut Vec::new());
        self.black_box.applied(now, &self.node, |index| Some(index.0 * 3));
    }
}

/// Replays the recordings in a folder.
pub(super) fn replayed(folder: &TempDir) -> Report {
    let recordings = SERVERS.map(|id| folder.path().join(id.to_string()));
    let recordings = recordings.map(|path| Recording::open(&path).unwrap());
    replay(&recordings, None).unwrap()
}
