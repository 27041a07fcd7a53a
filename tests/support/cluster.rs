//! A cluster of pure servers. Nothing happens by itself: a test delivers each message (or drops,
//! doubles, reorders it), lets each disk write be done, and moves the one clock. What must hold
//! at any moment is asserted as it goes: one leader a term, one content for each committed index.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use jangada::raft::{
    Configuration, Effect, Entry, EntryMeta, Index, Input, Luck, Message, Node, Options, Payload,
    Position, Refusal, RoleKind, ServerId, Status, Term, Ticket, Time,
};

use super::disk::{Disk, Write};
use super::show::Run;

/// The servers, and everything between and around them.
pub(crate) struct Cluster {
    pub(crate) now: Time,
    /// Messages in flight, in the order in which they left.
    pub(crate) network: Vec<Packet>,
    /// What each read that a client began has come to.
    pub(crate) reads: BTreeMap<Ticket, Read>,
    /// Every committed entry, from index 1 on.
    pub(crate) committed: Vec<Entry>,
    /// Whether `events` is kept.
    pub(crate) recording: bool,
    servers: Vec<Server>,
    cut: BTreeSet<(ServerId, ServerId)>,
    leaders: BTreeMap<Term, ServerId>,
    events: Vec<String>,
}

/// One server with its disk, its dice and its state machine.
pub(crate) struct Server {
    /// None while it is crashed.
    pub(crate) node: Option<Node>,
    pub(crate) disk: Disk,
    pub(crate) dice: Dice,
    /// The log, whether on disk or not.
    pub(crate) log: Vec<Entry>,
    /// What its state machine has applied in this life.
    pub(crate) applied: Vec<Entry>,
    id: ServerId,
    pub(crate) options: Options,
    configuration: Configuration,
    /// Messages that may not leave before so many votes are on disk.
    outbox: VecDeque<(u64, Packet)>,
}

/// A message in flight.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) from: ServerId,
    pub(crate) to: ServerId,
    pub(crate) message: Message,
    pub(crate) entries: Vec<Entry>,
}

/// A read that a client began.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) server: ServerId,
    /// The highest index that was committed anywhere when it began.
    pub(crate) committed: Index,
    pub(crate) outcome: Option<Result<Index, Refusal>>,
}

/// What became of proposals: where those at the front went, and why the others were refused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Proposed {
    pub(crate) accepted: Vec<Position>,
    pub(crate) refused: Option<Refusal>,
}

/// Election timeouts as a test wants them: the shortest timeout plus what is drawn.
pub(crate) struct Dice {
    pub(crate) next: VecDeque<Duration>,
    pub(crate) otherwise: Box<dyn FnMut() -> u64>,
}

impl Luck for Dice {
    fn draw(&mut self) -> u64 {
        let next = self.next.pop_front();
        next.map_or_else(&mut self.otherwise, |draw| draw.as_nanos() as u64)
    }
}

impl Cluster {
    /// `size` voters that have never run. S1 always draws the shortest election timeout, each
    /// next server one that is 20 ms longer.
    pub(crate) fn new(size: u64) -> Self {
        Self::with(size, &Options::default(), &BTreeMap::new())
    }

    /// The same, with options, and with disks for those servers that have run before.
    pub(crate) fn with(size: u64, options: &Options, disks: &BTreeMap<ServerId, Disk>) -> Self {
        Self::of(&Configuration::new((1..=size).map(ServerId)), options, disks)
    }

    /// The same with any configuration, learners and joint ones included.
    pub(crate) fn of(
        configuration: &Configuration,
        options: &Options,
        disks: &BTreeMap<ServerId, Disk>,
    ) -> Self {
        let server = |id: ServerId| Server {
            node: None,
            disk: disks.get(&id).cloned().unwrap_or_default(),
            dice: Dice {
                next: VecDeque::new(),
                otherwise: Box::new(move || (id.0 - 1) * 20_000_000),
            },
            log: Vec::new(),
            applied: Vec::new(),
            id,
            options: options.clone(),
            configuration: configuration.clone(),
            outbox: VecDeque::new(),
        };
        let mut cluster = Self {
            now: Time::from_nanos(0),
            network: Vec::new(),
            reads: BTreeMap::new(),
            committed: Vec::new(),
            recording: false,
            servers: configuration.members().into_iter().map(server).collect(),
            cut: BTreeSet::new(),
            leaders: BTreeMap::new(),
            events: Vec::new(),
        };
        for id in cluster.ids() {
            cluster.start(id);
        }
        cluster
    }

    pub(crate) fn ids(&self) -> Vec<ServerId> {
        self.servers.iter().map(|server| server.id).collect()
    }

    pub(crate) fn server(&self, id: ServerId) -> &Server {
        self.servers.iter().find(|server| server.id == id).expect("a server of the cluster")
    }

    pub(crate) fn server_mut(&mut self, id: ServerId) -> &mut Server {
        self.servers.iter_mut().find(|server| server.id == id).expect("a server of the cluster")
    }

    pub(crate) fn is_up(&self, id: ServerId) -> bool {
        self.server(id).node.is_some()
    }

    pub(crate) fn status(&self, id: ServerId) -> Status {
        self.server(id).node.as_ref().expect("a server that is up").status()
    }

    pub(crate) fn role(&self, id: ServerId) -> RoleKind {
        self.status(id).role
    }

    /// The leader of the highest term, among the servers that are up.
    pub(crate) fn leader(&self) -> Option<ServerId> {
        let nodes = self.servers.iter().filter_map(|server| server.node.as_ref());
        let leaders = nodes.map(Node::status).filter(|status| status.role == RoleKind::Leader);
        leaders.max_by_key(|status| status.term).map(|status| status.id)
    }

    /// The terms of a server's log.
    pub(crate) fn terms(&self, id: ServerId) -> Vec<u64> {
        self.server(id).log.iter().map(|entry| entry.term.0).collect()
    }

    /// The commands that a server has applied in this life.
    pub(crate) fn applied(&self, id: ServerId) -> Vec<String> {
        self.server(id).applied.iter().filter_map(label).collect()
    }

    /// What happened since the last call, a line each. Empty unless `recording`.
    pub(crate) fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    // Time.

    /// Lets the clock reach the server's deadline, if it has not yet, and wakes that server only.
    pub(crate) fn wake(&mut self, id: ServerId) {
        let deadline = self.status(id).deadline;
        self.now = self.now.max(deadline);
        self.step(id, Input::Deadline, &[]);
    }

    /// Moves the clock and wakes every server at its deadlines; messages stay in flight.
    pub(crate) fn pass(&mut self, duration: Duration) {
        self.pass_and(duration, |_| ());
    }

    /// Moves the clock, wakes every server at its deadlines and delivers messages at once.
    pub(crate) fn run(&mut self, duration: Duration) {
        self.pass_and(duration, Self::deliver_all);
    }

    fn pass_and(&mut self, duration: Duration, mut between: impl FnMut(&mut Self)) {
        let end = self.now + duration;
        between(self);
        loop {
            let deadline = |server: &Server| Some((server.node.as_ref()?.deadline(), server.id));
            let next = self.servers.iter().filter_map(deadline).min();
            let Some((deadline, id)) = next.filter(|(deadline, _)| *deadline <= end) else { break };
            self.now = self.now.max(deadline);
            self.step(id, Input::Deadline, &[]);
            between(self);
        }
        self.now = end;
    }

    // Messages.

    /// Delivers until nothing is in flight.
    pub(crate) fn deliver_all(&mut self) {
        let mut delivered = 0;
        while !self.network.is_empty() {
            self.deliver(0);
            delivered += 1;
            assert!(delivered < 100_000, "the servers talk without end");
        }
    }

    /// Delivers what is in flight now; the answers stay in flight.
    pub(crate) fn deliver_round(&mut self) {
        for _ in 0..self.network.len() {
            self.deliver(0);
        }
    }

    /// Delivers what is in flight and fits, in order. Returns how many that were.
    pub(crate) fn deliver_if(&mut self, fits: impl Fn(&Packet) -> bool) -> usize {
        let (chosen, rest) = std::mem::take(&mut self.network).into_iter().partition(&fits);
        self.network = rest;
        let chosen: Vec<Packet> = chosen;
        let count = chosen.len();
        for packet in &chosen {
            self.receive(packet);
        }
        count
    }

    /// Delivers the packet at this place of the network.
    pub(crate) fn deliver(&mut self, place: usize) {
        let packet = self.network.remove(place);
        self.receive(&packet);
    }

    /// Loses what is in flight and fits. Returns how many that were.
    pub(crate) fn lose_if(&mut self, fits: impl Fn(&Packet) -> bool) -> usize {
        let (lost, rest) = std::mem::take(&mut self.network).into_iter().partition(fits);
        self.network = rest;
        let lost: Vec<Packet> = lost;
        for packet in &lost {
            self.note(|| format!("{} -x {} {packet}", packet.from, packet.to));
        }
        lost.len()
    }

    /// Puts a packet into the network, as a duplicate or a forgery.
    pub(crate) fn inject(&mut self, packet: Packet) {
        self.network.push(packet);
    }

    fn receive(&mut self, packet: &Packet) {
        let Packet { from, to, message, ref entries } = *packet;
        if !self.is_up(to) {
            self.note(|| format!("{from} -x {to} {packet}"));
            return;
        }
        self.note(|| format!("{from} -> {to} {packet}"));
        let metas: Vec<EntryMeta> = entries.iter().map(Entry::meta).collect();
        self.step(to, Input::Message { from, message, entries: &metas }, entries);
    }

    /// Cuts the link in one direction; what is on it is lost.
    pub(crate) fn cut(&mut self, from: ServerId, to: ServerId) {
        self.cut.insert((from, to));
        self.lose_if(|packet| (packet.from, packet.to) == (from, to));
    }

    /// Cuts every link between servers of different groups, both ways.
    pub(crate) fn partition(&mut self, groups: &[&[ServerId]]) {
        let group = |id: ServerId| groups.iter().position(|group| group.contains(&id));
        for from in self.ids() {
            for to in self.ids() {
                if group(from) != group(to) {
                    self.cut(from, to);
                }
            }
        }
    }

    /// Mends every link.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    // Crashes and disks.

    /// Kills the server: what its disk has not done, and what is in flight to it, is lost.
    pub(crate) fn crash(&mut self, id: ServerId) {
        self.note(|| format!("{id} crashed"));
        let server = self.server_mut(id);
        server.node = None;
        server.disk.crash();
        server.outbox.clear();
        server.applied.clear();
        self.lose_if(|packet| packet.to == id);
    }

    /// Starts a crashed server with what its disk kept.
    pub(crate) fn start(&mut self, id: ServerId) {
        let now = self.now;
        let server = self.server_mut(id);
        assert!(server.node.is_none(), "{id} is up");
        let persistent = server.disk.load();
        let (configuration, options) = (server.configuration.clone(), server.options.clone());
        let node = Node::new(id, configuration, options, persistent, now, &mut server.dice);
        server.log = server.disk.log.clone();
        server.node = Some(node);
    }

    /// Lets the disk do its oldest write. Returns whether there was one.
    pub(crate) fn persist_one(&mut self, id: ServerId) -> bool {
        let Some(write) = self.server_mut(id).disk.do_one() else { return false };
        self.release(id);
        if self.server(id).disk.stalled {
            self.note(|| format!("{id}'s disk has {write}"));
        }
        if let Write::Log { asked_in: term, first, entries } = write {
            let last = Index(first.0 + entries.len() as u64 - 1);
            self.step(id, Input::Persisted { term, last }, &[]);
        }
        true
    }

    /// Lets the disk do everything that it was asked for.
    pub(crate) fn persist_all(&mut self, id: ServerId) {
        while self.persist_one(id) {}
    }

    // Clients and operators.

    /// Clients ask the server to log these commands.
    pub(crate) fn propose(&mut self, id: ServerId, commands: &[&str]) -> Proposed {
        let term = self.status(id).term;
        let command = |text: &&str| Payload::Command(Bytes::copy_from_slice(text.as_bytes()));
        let entry = |text: &&str| Entry { term, payload: command(text) };
        let entries: Vec<Entry> = commands.iter().map(entry).collect();
        let sizes: Vec<u32> = entries.iter().map(|entry| entry.meta().bytes).collect();
        self.step(id, Input::Propose { sizes: &sizes }, &entries)
    }

    /// A client asks the server to read.
    pub(crate) fn read(&mut self, id: ServerId) -> Ticket {
        let ticket = Ticket(self.reads.len() as u64 + 1);
        let committed = Index(self.committed.len() as u64);
        self.reads.insert(ticket, Read { server: id, committed, outcome: None });
        self.step(id, Input::Read { ticket }, &[]);
        ticket
    }

    /// An operator makes the server stand.
    pub(crate) fn campaign(&mut self, id: ServerId) {
        self.step(id, Input::Campaign, &[]);
    }

    /// Has the server win an election that everybody it can reach takes part in, and lets all
    /// that follows settle: its no-op is committed if a majority is there.
    pub(crate) fn elect(&mut self, id: ServerId) {
        self.campaign(id);
        self.deliver_all();
        assert_eq!(self.role(id), RoleKind::Leader, "{id} was to win");
    }

    /// Has the server's heartbeat sent and answered.
    pub(crate) fn beat(&mut self, id: ServerId) {
        assert_eq!(self.role(id), RoleKind::Leader, "{id} was to lead");
        self.wake(id);
        self.deliver_all();
    }

    // The driver of one server.

    /// Steps the server, and does what it asks for.
    pub(crate) fn step(&mut self, id: ServerId, input: Input<'_>, carried: &[Entry]) -> Proposed {
        let now = self.now;
        let server = self.server_mut(id);
        let node = server.node.as_mut().expect("a server that is up");
        let mut effects = Vec::new();
        node.step(now, input, &mut server.dice, &mut effects);
        let mut proposed = Proposed::default();
        for effect in effects {
            self.perform(id, effect, carried, &mut proposed);
        }
        self.release(id);
        if !self.server(id).disk.stalled {
            self.persist_all(id);
        }
        proposed
    }

    fn perform(&mut self, id: ServerId, effect: Effect, carried: &[Entry], out: &mut Proposed) {
        match effect {
            Effect::SaveVote { term, voted_for } => {
                self.note(|| format!("{id} saves {}", Write::Vote { term, voted_for }));
                let (last_term, last_vote) = self.server(id).disk.last_vote();
                assert!(term >= last_term, "{id}'s term falls from {last_term} to {term}");
                let twice = term == last_term && last_vote.is_some() && voted_for != last_vote;
                assert!(!twice, "{id} votes twice in term {term}");
                self.server_mut(id).disk.ask(Write::Vote { term, voted_for });
            }
            Effect::Append { first, entries } => self.append(id, first, &carried[entries]),
            Effect::AppendNoOp { position } => {
                let entry = Entry { term: position.term, payload: Payload::NoOp };
                self.append(id, position.index, &[entry]);
            }
            Effect::Send { to, message } => {
                let server = self.server_mut(id);
                let entries = match message {
                    Message::AppendEntries(append) => {
                        let sent = append.prev_log.index.0 as usize..append.last.0 as usize;
                        server.log[sent].to_vec()
                    }
                    _ => Vec::new(),
                };
                let packet = Packet { from: id, to, message, entries };
                server.outbox.push_back((server.disk.votes_asked(), packet));
            }
            Effect::Commit(index) => self.apply(id, index),
            Effect::Accepted { first, count } => {
                let term = self.status(id).term;
                let position = |place| Position::new(term, Index(first.0 + place as u64));
                out.accepted = (0..count).map(position).collect();
            }
            Effect::Refused(refusal) => {
                self.note(|| format!("{id} refuses a proposal: {refusal}"));
                out.refused = Some(refusal);
            }
            Effect::ReadReady { ticket, index } => {
                self.note(|| format!("{id} may answer read {} from index {index}", ticket.0));
                self.read_ended(id, ticket, Ok(index));
            }
            Effect::ReadRefused { ticket, reason } => {
                self.note(|| format!("{id} refuses read {}: {reason}", ticket.0));
                self.read_ended(id, ticket, Err(reason));
            }
            Effect::Became { role, term, leader, why } => {
                if role == RoleKind::Leader {
                    let first = *self.leaders.entry(term).or_insert(id);
                    assert_eq!(first, id, "two leaders in term {term}");
                }
                self.note(|| match leader {
                    Some(leader) if leader != id => {
                        format!("{id} became {role} of {leader} (term {term}): {why}")
                    }
                    _ => format!("{id} became {role} (term {term}): {why}"),
                });
            }
        }
    }

    fn append(&mut self, id: ServerId, first: Index, entries: &[Entry]) {
        let server = self.server_mut(id);
        let asked_in = server.node.as_ref().map(Node::term).expect("it has just been stepped");
        let kept = first.previous().0 as usize;
        assert!(kept <= server.log.len(), "{id}'s log has a gap before {first}");
        let removed = server.log.split_off(kept);
        server.log.extend(entries.iter().cloned());
        server.disk.ask(Write::Log { asked_in, first, entries: entries.to_vec() });
        self.note(|| {
            let appended = Run { first, entries };
            if removed.is_empty() {
                format!("{id} appends {appended}")
            } else {
                format!("{id} replaces {} by {appended}", Run { first, entries: &removed })
            }
        });
    }

    fn apply(&mut self, id: ServerId, index: Index) {
        let server = self.server(id);
        let applied = server.applied.len();
        let entries = server.log[applied..index.0 as usize].to_vec();
        assert!(!entries.is_empty(), "{id} commits {index} twice");
        let first = Index(applied as u64 + 1);
        for (place, entry) in entries.iter().enumerate().map(|(at, entry)| (applied + at, entry)) {
            match self.committed.get(place) {
                Some(committed) => {
                    let index = place + 1;
                    assert_eq!(committed, entry, "{id} commits something else at {index}");
                }
                None => self.committed.push(entry.clone()),
            }
        }
        self.note(|| format!("{id} commits {}", Run { first, entries: &entries }));
        self.server_mut(id).applied.extend(entries);
    }

    fn read_ended(&mut self, id: ServerId, ticket: Ticket, outcome: Result<Index, Refusal>) {
        let read = self.reads.get_mut(&ticket).expect("a read that was begun");
        assert_eq!(read.server, id, "another server answers");
        assert_eq!(read.outcome, None, "a read is answered twice");
        if let Ok(index) = outcome {
            assert!(index >= read.committed, "a stale read: {index} < {}", read.committed);
        }
        read.outcome = Some(outcome);
    }

    /// Sends what no vote holds back any more.
    fn release(&mut self, id: ServerId) {
        let server = self.server_mut(id);
        let done = server.disk.votes_done();
        let free = server.outbox.iter().take_while(|(votes, _)| *votes <= done).count();
        let packets: Vec<_> = server.outbox.drain(..free).map(|(_, packet)| packet).collect();
        for packet in packets {
            if self.cut.contains(&(packet.from, packet.to)) {
                self.note(|| format!("{} -x {} {packet}", packet.from, packet.to));
            } else {
                self.network.push(packet);
            }
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.recording {
            self.events.push(line());
        }
    }
}

/// The text of a command; nothing for a no-op.
fn label(entry: &Entry) -> Option<String> {
    match &entry.payload {
        Payload::NoOp => None,
        Payload::Command(command) => Some(String::from_utf8_lossy(command).into_owned()),
    }
}
