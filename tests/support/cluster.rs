//! A cluster of pure servers. Nothing happens by itself: a test delivers each message (or drops,
//! doubles, reorders it), lets each disk write be done, and moves the one clock. What must hold
//! at any moment is asserted as it goes: one leader a term, one content for each committed index.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use jangada::raft::{
    Change, ChangeRefusal, ChangeRequest, Configuration, Effect, Entry, EntryMeta, Index, Input,
    Luck, Message, Node, Options, Payload, Position, Refusal, RoleKind, ServerId, Status, Term,
    Ticket, Time, Timing, Why,
};

use super::disk::{Disk, Write};
use super::show::Run;
use super::snapshot::{Asked, Piece};

/// The servers, and everything between and around them.
pub(crate) struct Cluster {
    pub(crate) now: Time,
    /// Messages in flight, in the order in which they left.
    pub(crate) network: Vec<Packet>,
    /// What each read that a client began has come to.
    pub(crate) reads: BTreeMap<Ticket, Read>,
    /// Every committed entry, from index 1 on.
    pub(crate) committed: Vec<Entry>,
    /// How often what happened that a test of many schedules wants to have seen.
    pub(crate) happened: Happened,
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
    /// The entry before the first of `log`.
    pub(crate) base: Position,
    /// The log, whether on disk or not.
    pub(crate) log: Vec<Entry>,
    /// What its state machine has applied, from index 1 on: in this life, or by a snapshot.
    pub(crate) applied: Vec<Entry>,
    /// Its state machine does not say that it has applied anything.
    pub(crate) apply_stalled: bool,
    pub(crate) asked: Asked,
    id: ServerId,
    pub(crate) options: Options,
    /// Messages that may not leave before so many votes are on disk.
    outbox: VecDeque<(u64, Packet)>,
}

/// Counts over a run.
#[derive(Default)]
pub(crate) struct Happened {
    pub(crate) installed: u64,
    pub(crate) recovered: u64,
    pub(crate) handed_over: u64,
}

/// A message in flight.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) from: ServerId,
    pub(crate) to: ServerId,
    pub(crate) message: Message,
    pub(crate) entries: Vec<Entry>,
    /// What an `InstallSnapshot` brings.
    pub(crate) piece: Option<Piece>,
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
    /// And of a change of members.
    pub(crate) change: Option<Result<Index, ChangeRefusal>>,
}

impl Server {
    /// The entry at this index; `None` if it is not in the log, or not any more.
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.log.get(index.checked_sub(self.base.index.0 as usize + 1)?)
    }

    /// Its whole log, with what a snapshot took the place of.
    pub(crate) fn history(&self) -> Vec<Entry> {
        let base = self.base.index.0 as usize;
        self.applied[..base].iter().chain(&self.log).cloned().collect()
    }

    fn with(id: ServerId, disk: Disk, options: Options) -> Self {
        let otherwise = Box::new(move || (id.0 - 1) * 20_000_000);
        Self {
            node: None,
            disk,
            dice: Dice { next: VecDeque::new(), otherwise },
            base: Position::default(),
            log: Vec::new(),
            applied: Vec::new(),
            apply_stalled: false,
            asked: Asked::new(),
            id,
            options,
            outbox: VecDeque::new(),
        }
    }
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
        let server = |id: ServerId| {
            let mut disk = disks.get(&id).cloned().unwrap_or_default();
            disk.found(configuration);
            Server::with(id, disk, options.clone())
        };
        let mut cluster = Self {
            now: Time::from_nanos(0),
            network: Vec::new(),
            reads: BTreeMap::new(),
            committed: Vec::new(),
            happened: Happened::default(),
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

    /// Starts a server that the cluster does not know yet, or whose disk was lost.
    pub(crate) fn join(&mut self, id: ServerId) {
        if self.servers.iter().all(|server| server.id != id) {
            let options = self.servers[0].options.clone();
            self.servers.push(Server::with(id, Disk::default(), options));
            self.servers.sort_unstable_by_key(|server| server.id);
        } else if self.is_up(id) {
            self.crash(id);
        }
        self.server_mut(id).disk = Disk::joining();
        self.start(id);
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
        self.servers.iter().any(|server| server.id == id && server.node.is_some())
    }

    pub(crate) fn status(&self, id: ServerId) -> Status {
        self.server(id).node.as_ref().expect("a server that is up").status(self.now)
    }

    pub(crate) fn role(&self, id: ServerId) -> RoleKind {
        self.status(id).role
    }

    /// The leader of the highest term, among the servers that are up.
    pub(crate) fn leader(&self) -> Option<ServerId> {
        let nodes = self.servers.iter().filter_map(|server| server.node.as_ref());
        let statuses = nodes.map(|node| node.status(self.now));
        let leaders = statuses.filter(|status| status.role == RoleKind::Leader);
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
        let Packet { from, to, message, ref entries, ref piece } = *packet;
        if !self.is_up(to) {
            self.note(|| format!("{from} -x {to} {packet}"));
            return;
        }
        self.note(|| format!("{from} -> {to} {packet}"));
        let metas: Vec<EntryMeta> = entries.iter().map(Entry::meta).collect();
        let input = Input::Message { from, message, entries: &metas };
        self.step_with(to, input, entries, piece.as_ref());
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
        server.asked.clear();
        self.lose_if(|packet| packet.to == id);
    }

    /// Starts a crashed server with what its disk kept.
    pub(crate) fn start(&mut self, id: ServerId) {
        let now = self.now;
        let server = self.server_mut(id);
        assert!(server.node.is_none(), "{id} is up");
        let (persistent, options) = (server.disk.load(), server.options.clone());
        let node = Node::new(id, options, persistent, now, &mut server.dice);
        (server.base, server.log) = (server.disk.base, server.disk.log.clone());
        server.applied = server.disk.snapshot().state.clone();
        server.node = Some(node);
    }

    /// Lets the disk do its oldest write. Returns whether there was one.
    pub(crate) fn persist_one(&mut self, id: ServerId) -> bool {
        let Some(write) = self.server_mut(id).disk.do_one() else { return false };
        self.release(id);
        if self.server(id).disk.stalled {
            self.note(|| format!("{id}'s disk has {write}"));
        }
        match write {
            Write::Log { asked_in: term, first, entries } => {
                let last = Index(first.0 + entries.len() as u64 - 1);
                self.step(id, Input::Persisted { term, last }, &[]);
            }
            Write::Install { asked_in: term, end } => {
                self.step(id, Input::Persisted { term, last: end.index }, &[]);
            }
            Write::Snapshot(snapshot) => {
                self.step(id, Input::Snapshotted(&snapshot.meta), &[]);
            }
            Write::Vote { .. } | Write::Recovered | Write::Compact(_) => {}
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
        self.read_by(id, false)
    }

    /// The same; the leader's lease will do if it has one.
    pub(crate) fn read_by(&mut self, id: ServerId, lease: bool) -> Ticket {
        let ticket = Ticket(self.reads.len() as u64 + 1);
        let committed = Index(self.committed.len() as u64);
        self.reads.insert(ticket, Read { server: id, committed, outcome: None });
        self.step(id, Input::Read { ticket, lease }, &[]);
        ticket
    }

    /// An operator wants other members. Returns where the change begins, or why it does not.
    pub(crate) fn change(&mut self, id: ServerId, change: Change) -> Result<Index, ChangeRefusal> {
        let request = ChangeRequest { change, expected: None };
        let done = self.step(id, Input::Change(&request), &[]);
        done.change.expect("a change is answered")
    }

    /// An operator wants another leader.
    pub(crate) fn hand_over(&mut self, id: ServerId, to: Option<ServerId>) {
        self.step(id, Input::HandOver { to }, &[]);
    }

    /// An operator makes the server stand.
    pub(crate) fn campaign(&mut self, id: ServerId) {
        self.step(id, Input::Campaign, &[]);
    }

    /// Tells the server that the process of another is gone.
    pub(crate) fn gone(&mut self, id: ServerId, gone: ServerId) {
        self.step(id, Input::Gone(gone), &[]);
    }

    /// Has the server win an election that everybody it can reach takes part in, and lets all
    /// that follows settle: its no-op is committed if a majority is there.
    pub(crate) fn elect(&mut self, id: ServerId) {
        self.campaign(id);
        self.deliver_all();
        assert_eq!(self.role(id), RoleKind::Leader, "{id} was to win");
        // Whoever it deposed may have a lease until then.
        if self.status(id).commits_from.is_some_and(|from| from > self.now) {
            self.run(Timing::default().election_timeout_min * 10 / 9);
        }
    }

    /// Lets time pass until somebody leads.
    pub(crate) fn elect_if_none(&mut self) {
        for _ in 0..20 {
            if self.leader().is_none() {
                self.run(Duration::from_millis(100));
            }
        }
        assert!(self.leader().is_some(), "somebody was to lead");
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
        self.step_with(id, input, carried, None)
    }

    fn step_with(
        &mut self,
        id: ServerId,
        input: Input<'_>,
        carried: &[Entry],
        piece: Option<&Piece>,
    ) -> Proposed {
        let now = self.now;
        let server = self.server_mut(id);
        let node = server.node.as_mut().expect("a server that is up");
        let mut effects = Vec::new();
        node.step(now, input, &mut server.dice, &mut effects);
        let mut proposed = Proposed::default();
        for effect in effects {
            match (effect, piece) {
                (Effect::Arrived { last_included, .. }, Some(piece)) => {
                    self.arrived(id, last_included, piece.clone());
                }
                (effect, _) => self.perform(id, effect, carried, &mut proposed),
            }
        }
        self.settle(id);
        proposed
    }

    /// Sends what may leave, and lets the disk work unless it is stalled.
    pub(super) fn settle(&mut self, id: ServerId) {
        self.release(id);
        if !self.server(id).disk.stalled {
            self.persist_all(id);
        }
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
            Effect::AppendConfiguration { position, configuration } => {
                let payload = Payload::Configuration(configuration);
                self.append(id, position.index, &[Entry { term: position.term, payload }]);
            }
            Effect::SaveRecovered => {
                self.note(|| format!("{id} saves {}", Write::Recovered));
                self.server_mut(id).disk.ask(Write::Recovered);
                self.happened.recovered += 1;
            }
            Effect::Install(meta) => {
                let (end, asked_in) = (meta.last_included, self.status(id).term);
                self.happened.installed += 1;
                self.note(|| format!("{id} installs the snapshot up to {end}"));
                let server = self.server_mut(id);
                let state = server.disk.snapshots[&end.index].state.clone();
                assert!(state.len() > server.applied.len(), "{id} goes back to {end}");
                (server.base, server.log, server.applied) = (end, Vec::new(), state.clone());
                server.disk.ask(Write::Install { asked_in, end });
                assert!(self.committed.starts_with(&state), "{id} installs what is not committed");
            }
            Effect::Compact(to) => {
                let server = self.server_mut(id);
                let term = server.entry(to.0 as usize).expect("an entry of the log").term;
                server.log.drain(..(to - server.base.index) as usize);
                server.base = Position::new(term, to);
                server.disk.ask(Write::Compact(Position::new(term, to)));
                self.note(|| format!("{id} drops its log up to {to}"));
            }
            Effect::Offered { last_included } => self.offered(id, last_included),
            Effect::Arrived { .. } => unreachable!("a part comes with its message"),
            Effect::ChangeAccepted(at) => {
                self.note(|| format!("{id} begins the change at {at}"));
                out.change = Some(Ok(at));
            }
            Effect::ChangeRefused(refusal) => {
                self.note(|| format!("{id} refuses the change: {refusal}"));
                out.change = Some(Err(refusal));
            }
            Effect::Configured { at, configuration } => {
                self.note(|| format!("{id} knows that {at} is committed: {configuration}"));
            }
            Effect::HandingOver { to, why } => {
                self.note(|| format!("{id} hands over to {to}: {why}"));
            }
            Effect::HandoverRefused(refusal) => {
                self.note(|| format!("{id} does not hand over: {refusal}"));
            }
            Effect::HandoverAborted { to } => {
                self.note(|| format!("{id} gives up handing over: {to} did not take over in time"));
            }
            Effect::Send { to, message } => {
                let server = self.server_mut(id);
                let entries = match message {
                    Message::AppendEntries(append) => {
                        let place = |index: Index| (index - server.base.index) as usize;
                        assert!(
                            append.prev_log.index >= server.base.index,
                            "{id} sends what is gone"
                        );
                        server.log[place(append.prev_log.index)..place(append.last)].to_vec()
                    }
                    _ => Vec::new(),
                };
                let piece = match message {
                    Message::InstallSnapshot(install) => install.part.map(|part| {
                        let snapshot = server.disk.snapshots.get(&install.last_included.index);
                        let snapshot = snapshot.expect("what is offered is on the disk");
                        snapshot.piece(part).expect("what is wanted is a part of it")
                    }),
                    _ => None,
                };
                let packet = Packet { from: id, to, message, entries, piece };
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
                self.happened.handed_over += u64::from(matches!(why, Why::HandedOver(_)));
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
        let kept = (first.previous() - server.base.index) as usize;
        assert!(first > server.base.index, "{id} appends before its log begins");
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
        let (applied, base) = (server.applied.len(), server.base.index);
        if index == base && applied as u64 == base.0 {
            return self.say_applied(id); // A snapshot was installed.
        }
        let place = |index: Index| (index - base) as usize;
        let entries = server.log[place(Index(applied as u64))..place(index)].to_vec();
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
        self.say_applied(id);
    }

    /// The state machine says how far it is.
    pub(crate) fn say_applied(&mut self, id: ServerId) {
        let now = self.now;
        let server = self.server_mut(id);
        let applied = Index(server.applied.len() as u64);
        if let Some(node) = server.node.as_mut().filter(|_| !server.apply_stalled) {
            node.step(now, Input::Applied(applied), &mut server.dice, &mut Vec::new());
        }
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

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.recording {
            self.events.push(line());
        }
    }
}

/// The text of a command; nothing for others.
fn label(entry: &Entry) -> Option<String> {
    match &entry.payload {
        Payload::NoOp | Payload::Configuration(_) => None,
        Payload::Command(command) => Some(String::from_utf8_lossy(command).into_owned()),
    }
}
