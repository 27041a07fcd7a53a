//! Three cores that talk to each other in virtual time, each with a black box.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use uuid::Uuid;

use crate::blackbox::{BlackBox, BoxSettings, Payloads, Recording, Report, replay};
use crate::raft::{
    Configuration, Effect, Entries, Entry, EntryMeta, Index, Input, Message, Node, Options,
    Payload, Persistent, ServerId, SnapshotMeta, Term, Time,
};

pub(super) const SERVERS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

pub(super) struct Small {
    pub(super) folder: TempDir,
    settings: BoxSettings,
    pub(super) servers: BTreeMap<ServerId, Server>,
    mail: VecDeque<(ServerId, ServerId, Message, Entries)>,
    now: Time,
    luck: ChaCha8Rng,
    /// Nothing reaches it, and nothing comes of it.
    pub(super) cut_off: Option<ServerId>,
    /// It stands still, and takes in what was sent to it when it goes on.
    pub(super) frozen: Option<ServerId>,
    held: VecDeque<(ServerId, ServerId, Message, Entries)>,
    /// Its core is told that entries are durable, and its disk does not write them.
    pub(super) liar: Option<ServerId>,
    /// Messages take their time, and overtake each other; logs are compacted.
    pub(super) lively: bool,
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
        Self::seeded(7, bytes)
    }

    pub(super) fn seeded(seed: u64, bytes: u64) -> Self {
        let mut small = Self {
            cut_off: None,
            frozen: None,
            held: VecDeque::new(),
            liar: None,
            lively: false,
            folder: tempfile::tempdir().unwrap(),
            settings: BoxSettings { bytes },
            servers: BTreeMap::new(),
            mail: VecDeque::new(),
            now: Time::default() + Duration::from_secs(1000),
            luck: ChaCha8Rng::seed_from_u64(seed),
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
        let before = self.servers.remove(&id).filter(|_| !log.is_empty());
        if let Some(Server { node, .. }) = before {
            (persistent.snapshot, persistent.base) = (node.snapshot().clone(), node.log_base());
        }
        let behind = &log[persistent.base.index.0 as usize..];
        persistent.log = behind.iter().map(Entry::meta).collect();
        let life = self.luck.next_u64();
        let (cluster, data) = (Uuid::from_u128(7), self.data(id));
        let mut black_box = BlackBox::open(&data, cluster, life, self.settings).unwrap();
        black_box.wall = |now| now.as_nanos();
        let luck = &mut self.luck;
        let mut draw = || luck.next_u64();
        let mut options = Options::default();
        options.limits.kept_entries = 20;
        let node = Node::new(id, options, persistent, self.now, &mut draw);
        black_box.begin(self.now, &node, &behind.to_vec().into());
        self.servers.insert(id, Server { node, black_box, log, vote, writes: 0 });
    }

    /// Ends a server in good order and starts it again, from what it had or from nothing.
    pub(super) fn restart(&mut self, id: ServerId, with_all: bool) {
        self.held.retain(|(_, to, ..)| *to != id);
        let server = self.servers.get_mut(&id).unwrap();
        let (log, vote) = (std::mem::take(&mut server.log), server.vote);
        match with_all {
            true => self.begin(id, log, vote),
            false => self.begin(id, Vec::new(), (Term(0), None)),
        }
    }

    pub(super) fn leader(&mut self) -> ServerId {
        for _ in 0..1000 {
            let leads = |server: &&Server| {
                let id = server.node.id();
                server.node.leader() == Some(id) && Some(id) != self.frozen
            };
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

    /// Lets so much time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.go_on();
        }
    }

    /// Delivers what is on its way; then time goes on to the next timer.
    pub(super) fn go_on(&mut self) {
        self.deliver();
        let due = |server: &Server| (server.node.deadline(), server.node.id());
        let awake = self.servers.values().filter(|it| Some(it.node.id()) != self.frozen);
        let (due, id) = awake.map(due).min().unwrap();
        self.now = self.now.max(due);
        self.step(id, Input::Deadline, &Payloads::None, &[]);
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some((from, to, message, entries)) = self.next_mail() {
            if [Some(from), Some(to)].contains(&self.cut_off) {
                continue;
            }
            if Some(to) == self.frozen {
                self.held.push_back((from, to, message, entries));
                continue;
            }
            self.now = self.now + Duration::from_micros(20);
            let metas: Vec<_> = entries.iter().map(Entry::meta).collect();
            let input = Input::Message { from, message, entries: &metas };
            self.step(to, input, &Payloads::Entries(&entries), &metas);
        }
    }

    /// Whoever stands still goes on.
    pub(super) fn thaw(&mut self) {
        self.frozen = None;
        self.mail.append(&mut self.held);
    }

    fn next_mail(&mut self) -> Option<(ServerId, ServerId, Message, Entries)> {
        if !self.lively || self.mail.is_empty() {
            return self.mail.pop_front();
        }
        let next = self.luck.random_range(0..self.mail.len().min(4));
        self.now = self.now + Duration::from_micros(self.luck.random_range(0..3_000));
        self.mail.remove(next)
    }

    fn step(&mut self, id: ServerId, input: Input<'_>, payloads: &Payloads<'_>, _: &[EntryMeta]) {
        let (now, luck) = (self.now, &mut self.luck);
        let Some(mut server) = self.servers.remove(&id) else { return };
        let others = &self.servers;
        let mut effects = Vec::new();
        let mut draw = || luck.next_u64();
        let Server { node, black_box, .. } = &mut server;
        black_box.step(node, now, input, payloads, &mut draw, &mut effects);
        let (mut wrote, mut committed, mut offered) = (false, None, None);
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
                Effect::Offered { last_included } => offered = Some(last_included.index),
                Effect::Install(meta) => {
                    let has = |it: &&Server| it.log.len() as u64 >= meta.last_included.index.0;
                    let mut log = others.values().find(has).unwrap().log.clone();
                    log.truncate(meta.last_included.index.0 as usize);
                    server.log = log;
                    server.write();
                    wrote = true;
                }
                _ => {}
            }
        }
        if let Some(index) = committed {
            server.apply(index, now);
        }
        let snapshot = server.snapshot().filter(|_| self.lively);
        self.servers.insert(id, server);
        if let Some(meta) = snapshot {
            self.step(id, Input::Snapshotted(&meta), &Payloads::None, &[]);
        }
        if let Some(index) = offered {
            let covers = |it: &&Server| it.node.snapshot().last_included.index == index;
            if let Some(meta) =
                self.servers.values().find(covers).map(|it| it.node.snapshot().clone())
            {
                self.step(id, Input::Fetched(&meta), &Payloads::None, &[]);
            }
        }
        let server = self.servers.get_mut(&id).unwrap();
        if wrote {
            if self.liar != Some(id) {
                server.black_box.synced(now, &server.node, server.writes);
            }
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

    /// One that is due.
    fn snapshot(&self) -> Option<SnapshotMeta> {
        let applied = self.node.applied();
        let (entries, _) = self.node.behind_snapshot(applied);
        self.node.snapshot_at(applied).filter(|_| entries > 40)
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
