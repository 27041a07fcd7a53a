//! Random schedules over a few servers: messages lost, doubled and reordered, links cut, crashes
//! that lose what the disk had not done, disks lost whole (of few enough servers), proposals, reads
//! by round and by lease, changes of members, snapshots, handovers and elections out of turn. After
//! every event, what figure 3 of the paper promises must hold; at the end everything is mended and
//! progress is demanded. `RAFT_SEED=n` runs the one schedule that a failure names.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jangada::raft::{
    Change, Configuration, Entry, Index, Limits, Message, Options, Payload, RoleKind, ServerId,
    Term, Ticket,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use support::cluster::Cluster;
use support::show::describe;

const SCHEDULES: u64 = 2000;
const EVENTS: u64 = 400;

#[test]
fn random_schedules_keep_what_figure_3_promises() {
    let seeds = match std::env::var("RAFT_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("RAFT_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..SCHEDULES,
    };
    let mut totals = Totals::default();
    for seed in seeds.clone() {
        let _name = NameOnPanic(seed);
        let mut schedule = Schedule::new(seed);
        for _ in 0..EVENTS {
            schedule.event();
            schedule.check();
        }
        totals.add(&schedule);
        schedule.mend();
    }
    if seeds.end - seeds.start == SCHEDULES {
        // Schedules in which nothing happens prove nothing.
        assert!(totals.leaders > SCHEDULES, "{totals:?}");
        assert!(totals.committed > 3 * SCHEDULES, "{totals:?}");
        assert!(totals.reads > SCHEDULES / 2, "{totals:?}");
        assert!(totals.replaced > SCHEDULES / 8, "{totals:?}");
        assert!(totals.changes > SCHEDULES / 4, "{totals:?}");
        assert!(totals.installed > SCHEDULES / 20, "{totals:?}");
        assert!(totals.recovered > SCHEDULES / 20, "{totals:?}");
        assert!(totals.handed_over > SCHEDULES / 20, "{totals:?}");
    }
}

/// Says which schedule failed.
struct NameOnPanic(u64);

impl Drop for NameOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("schedule {0} failed; RAFT_SEED={0} runs it alone", self.0);
        }
    }
}

/// What happened in all schedules together, before they were mended.
#[derive(Default, Debug)]
struct Totals {
    leaders: u64,
    committed: u64,
    reads: u64,
    replaced: u64,
    changes: u64,
    installed: u64,
    recovered: u64,
    handed_over: u64,
}

impl Totals {
    fn add(&mut self, schedule: &Schedule) {
        self.leaders += schedule.leaders.len() as u64;
        self.committed += schedule.cluster.committed.len() as u64;
        let reads = schedule.cluster.reads.values();
        self.reads += reads.filter(|read| matches!(read.outcome, Some(Ok(_)))).count() as u64;
        self.replaced += schedule.replaced;
        let committed = schedule.cluster.committed.iter();
        self.changes += committed.filter(|entry| configuration_of(entry).is_some()).count() as u64;
        let happened = &schedule.cluster.happened;
        self.installed += happened.installed;
        self.recovered += happened.recovered;
        self.handed_over += happened.handed_over;
    }
}

struct Schedule {
    cluster: Cluster,
    random: ChaCha8Rng,
    ids: Vec<ServerId>,
    /// The configuration that the cluster was founded with.
    founding: Configuration,
    proposed: u64,
    /// How often a log became shorter, or its end another.
    replaced: u64,
    /// Who led which term.
    leaders: BTreeMap<Term, ServerId>,
    /// Whom each server told that it has its vote of a term; itself, by standing.
    votes: BTreeMap<(ServerId, Term), ServerId>,
    seen: BTreeMap<ServerId, Seen>,
    /// Reads that a server was asked for in an earlier life.
    forgotten: BTreeSet<Ticket>,
}

/// How far a server had come when it was last looked at.
#[derive(Clone, Default)]
struct Seen {
    disk_term: Term,
    /// In this life.
    life: Option<(Term, Index)>,
    last: Option<(usize, Term)>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |bound: u64| random.next_u64() % bound;
        let limits = Limits {
            message_entries: 1 + below(4),
            message_bytes: 1 + below(40),
            window_messages: 1 + below(4) as usize,
            window_bytes: 1 + below(100),
            uncommitted_entries: 4 + below(20),
            pending_reads: 1 + below(4) as usize,
            kept_entries: below(4),
            ..Limits::default()
        };
        let (pre_vote, check_quorum, leases) = (below(4) > 0, below(4) > 0, below(2) > 0);
        let options = Options { pre_vote, check_quorum, leases, limits, ..Options::default() };
        let voters: Vec<_> = (1..=3 + below(3)).map(ServerId).collect();
        let configuration = match below(4) {
            0 => Configuration::joint([], voters, [ServerId(9)]),
            1 => Configuration::joint([1, 2, 8].map(ServerId), voters, []),
            _ => Configuration::new(voters),
        };
        let mut cluster = Cluster::of(&configuration, &options, &BTreeMap::new());
        for id in cluster.ids() {
            let mut stream = ChaCha8Rng::seed_from_u64(seed);
            stream.set_stream(id.0);
            let server = cluster.server_mut(id);
            server.disk.stalled = below(3) == 0;
            server.dice.otherwise = Box::new(move || stream.next_u64());
        }
        let ids = cluster.ids();
        Self {
            cluster,
            random,
            ids,
            founding: configuration,
            proposed: 0,
            replaced: 0,
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            seen: BTreeMap::new(),
            forgotten: BTreeSet::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn anyone(&mut self) -> ServerId {
        let place = self.below(self.ids.len() as u64);
        self.ids[place as usize]
    }

    fn any_packet(&mut self) -> Option<usize> {
        let packets = self.cluster.network.len() as u64;
        (packets > 0).then(|| self.below(packets) as usize)
    }

    /// Whoever wants to be woken first.
    fn earliest(&self) -> Option<ServerId> {
        let up = self.ids.iter().filter(|id| self.cluster.is_up(**id));
        up.min_by_key(|id| self.cluster.status(**id).deadline).copied()
    }

    fn event(&mut self) {
        let (one, other) = (self.anyone(), self.anyone());
        let (up, kind) = (self.cluster.is_up(one), self.below(223));
        let leader = self.cluster.leader();
        match kind {
            // Mostly in order and most of it, or little would ever be done.
            0..60 => {
                for _ in 0..self.cluster.network.len().min(10) {
                    self.cluster.deliver(0);
                }
            }
            60..90 => {
                if let Some(place) = self.any_packet() {
                    self.cluster.deliver(place);
                }
            }
            90..96 => {
                if let Some(place) = self.any_packet() {
                    self.cluster.network.remove(place);
                }
            }
            96..102 => {
                if let Some(place) = self.any_packet() {
                    let packet = self.cluster.network[place].clone();
                    self.cluster.inject(packet);
                }
            }
            102..118 if up => drop(self.cluster.persist_one(one)),
            118..130 if up => self.cluster.persist_all(one),
            130..133 if up => self.cluster.wake(one),
            133..145 => {
                let next = if kind < 141 { leader } else { self.earliest() };
                if let Some(server) = next {
                    self.cluster.wake(server);
                }
            }
            145..148 => self.cluster.pass(Duration::from_millis(kind)),
            148..168 => {
                let server = if kind < 158 { leader } else { up.then_some(one) };
                let Some(server) = server else { return };
                self.proposed += 1;
                let command = self.proposed.to_string();
                self.cluster.propose(server, &[&command]);
            }
            168..176 if up => drop(self.cluster.read_by(one, kind >= 172)),
            176..180 if up => self.cluster.campaign(one),
            180..183 if up => self.crash(one),
            183..189 if !up => self.cluster.start(one),
            189..191 if one != other => self.cluster.cut(one, other),
            // A leader that is cut off without knowing it, and one who would succeed it.
            191 => {
                self.cluster.partition(&[&[leader.unwrap_or(one)]]);
                if Some(other) != leader && self.cluster.is_up(other) {
                    self.cluster.campaign(other);
                }
            }
            192..195 => self.cluster.heal(),
            195..198 => self.cluster.server_mut(one).disk.stalled = kind > 195,
            198..208 => {
                if let Some(leader) = leader.filter(|leader| self.all_know_their_past(*leader)) {
                    let change = self.any_change();
                    // Refused or not: both are to be lived with.
                    let _ = self.cluster.change(leader, change);
                }
            }
            208..214 if up => {
                self.cluster.snapshot(one);
            }
            214..218 => {
                if let Some(leader) = leader {
                    self.cluster.hand_over(leader, (kind > 215).then_some(other));
                }
            }
            218 if self.may_lose_disk_of(one) => {
                if up {
                    self.crash(one);
                }
                self.seen.remove(&one);
                self.votes.retain(|(voter, _), _| *voter != one);
                self.join(one);
            }
            219 => {
                let new = ServerId(6 + self.below(2));
                if !self.ids.contains(&new) {
                    self.join(new);
                }
            }
            // It may be true, or not.
            220..223 if up => {
                self.cluster.gone(one, leader.filter(|_| kind < 222).unwrap_or(other));
            }
            _ => {}
        }
        while self.cluster.network.len() > 60 {
            self.cluster.network.remove(0);
        }
    }

    fn crash(&mut self, id: ServerId) {
        let reads = self.cluster.reads.iter();
        let its = reads.filter(|(_, read)| read.server == id).map(|(ticket, _)| *ticket);
        self.forgotten.extend(its);
        self.cluster.crash(id);
    }

    fn join(&mut self, id: ServerId) {
        let mut stream = ChaCha8Rng::seed_from_u64(self.below(u64::MAX));
        self.cluster.join(id);
        self.cluster.server_mut(id).dice.otherwise = Box::new(move || stream.next_u64());
        self.ids = self.cluster.ids();
    }

    /// Whether no member's disk was lost. The leader may not know it yet, and would let go of those
    /// who are needed for the others to recover.
    fn all_know_their_past(&self, leader: ServerId) -> bool {
        let recovering =
            |id: &ServerId| self.ids.contains(id) && self.cluster.server(*id).disk.recovering;
        !self.cluster.status(leader).configuration.members().iter().any(recovering)
    }

    fn any_change(&mut self) -> Change {
        let one = ServerId(1 + self.below(7));
        match self.below(8) {
            0..3 => Change::Add(one),
            3..5 => Change::Remove(one),
            5 => Change::AddLearner(one),
            // With 0 there would not always be progress: see DEFAULT_PRIORITY.
            6 => Change::Priority(one, 1 + self.below(3) as u8),
            _ => {
                let all: Vec<_> = (1..=7).map(ServerId).collect();
                Change::Voters(all.into_iter().filter(|_| self.below(2) == 0).collect())
            }
        }
    }

    /// Whether, by any configuration that any server has in its log, a majority of those remains
    /// who know what they promised: without it nobody could recover.
    fn may_lose_disk_of(&self, id: ServerId) -> bool {
        let keeps = |server: &&ServerId| {
            **server != id
                && self.ids.contains(server)
                && !self.cluster.server(**server).disk.recovering
        };
        let majority = |half: &[ServerId]| {
            half.is_empty() || half.iter().filter(keeps).count() > half.len() / 2
        };
        let packets = self.cluster.network.iter();
        let mut logs: Vec<Vec<Entry>> = packets.map(|packet| packet.entries.clone()).collect();
        for server in &self.ids {
            logs.push(self.cluster.server(*server).disk.history());
            if self.cluster.is_up(*server) {
                logs.push(self.cluster.server(*server).history());
            }
        }
        let ahead = logs.iter().flatten().filter_map(configuration_of);
        ahead
            .chain([&self.founding])
            .all(|it| majority(it.incoming()) && majority(it.outgoing()) && majority(it.target()))
    }

    fn check(&mut self) {
        self.check_votes();
        self.check_configurations();
        for id in self.ids.clone() {
            self.check_progress(id);
        }
        self.check_logs();
        self.check_leader();
        self.check_durability();
    }

    /// One vote a term, whatever crashes lie between: what was told stays true.
    fn check_votes(&mut self) {
        for packet in &self.cluster.network {
            let (term, candidate) = match packet.message {
                Message::RequestVote(request) if !request.pre_vote => (request.term, packet.from),
                Message::RequestVoteReply(reply) if !reply.pre_vote && reply.vote.is_ok() => {
                    (reply.term, packet.to)
                }
                _ => continue,
            };
            let first = *self.votes.entry((packet.from, term)).or_insert(candidate);
            assert_eq!(first, candidate, "{} votes twice in term {term}", packet.from);
        }
    }

    /// Every server goes by the latest configuration in its log, wherever that came from.
    fn check_configurations(&self) {
        for id in self.ids.iter().filter(|id| self.cluster.is_up(**id)) {
            let (status, log) = (self.cluster.status(*id), self.cluster.server(*id).history());
            let latest = log.iter().enumerate().rev().find_map(|(place, entry)| {
                configuration_of(entry).map(|it| (place as u64 + 1, it.clone()))
            });
            let (at, latest) = latest.unwrap_or((0, status.configuration.clone()));
            assert_eq!(status.configured_at, Index(at), "{id}");
            assert_eq!(status.configuration, latest, "{id}");
        }
    }

    /// Terms never fall, not even by a crash once they are on disk; the commit index never falls
    /// in one life.
    fn check_progress(&mut self, id: ServerId) {
        let server = self.cluster.server(id);
        let seen = self.seen.entry(id).or_default();
        assert!(server.disk.term >= seen.disk_term, "{id}'s term falls on disk");
        seen.disk_term = server.disk.term;
        let base = server.base.index.0 as usize;
        let last = server.log.last().map(|entry| (base + server.log.len(), entry.term));
        if let Some((index, term)) = seen.last
            && index > base
            && server.entry(index).is_none_or(|entry| entry.term != term)
        {
            self.replaced += 1;
        }
        seen.last = last;
        let Some(status) = server.node.as_ref().map(|node| node.status(self.cluster.now)) else {
            seen.life = None;
            return;
        };
        assert!(status.term >= server.disk.term, "{id} forgot its term");
        assert!(status.commit_index <= status.last_log.index);
        let on_disk = server.disk.base.index.0 + server.disk.log.len() as u64;
        assert!(status.durable_index.0 <= on_disk, "{id} trusts its disk");
        if let Some((term, commit)) = seen.life {
            assert!(status.term >= term && status.commit_index >= commit, "{id} goes back");
        }
        seen.life = Some((status.term, status.commit_index));
        if status.role == RoleKind::Leader {
            let first = *self.leaders.entry(status.term).or_insert(id);
            assert_eq!(first, id, "two leaders in term {}", status.term);
        }
    }

    /// Log matching: two logs with an entry of the same index and term are equal up to there.
    fn check_logs(&self) {
        for (place, one) in self.ids.iter().enumerate() {
            for other in &self.ids[place + 1..] {
                let (a, b) = (self.cluster.server(*one), self.cluster.server(*other));
                let base = a.base.index.max(b.base.index);
                let a = &a.log[((base - a.base.index) as usize).min(a.log.len())..];
                let b = &b.log[((base - b.base.index) as usize).min(b.log.len())..];
                let same = a.iter().zip(b.iter()).rposition(|(a, b)| a.term == b.term);
                let agreed = same.map_or(0, |place| place + 1);
                assert_eq!(a[..agreed], b[..agreed], "the logs of {one} and {other}");
            }
        }
    }

    /// Leader completeness: the leader of the latest term has everything that is committed. And
    /// what it believes of the others' disks is so.
    fn check_leader(&self) {
        let Some((term, id)) = self.leaders.last_key_value() else { return };
        let server = self.cluster.server(*id);
        let Some(node) = &server.node else { return };
        let status = node.status(self.cluster.now);
        if status.role != RoleKind::Leader || status.term != *term {
            return;
        }
        let log = server.history();
        assert!(log.starts_with(&self.cluster.committed), "{id} lacks committed entries");
        for peer in &status.peers {
            assert!(peer.match_index < peer.next_index, "{id} on {}", peer.id);
            let matched = peer.match_index.0 as usize;
            if !self.ids.contains(&peer.id) || self.cluster.server(peer.id).disk.recovering {
                assert!(peer.match_index.0 == 0 || self.ids.contains(&peer.id));
                continue; // It has not started yet, or has lost what it had.
            }
            let disk = &self.cluster.server(peer.id).disk;
            let disk = disk.history();
            assert!(disk.len() >= matched, "{} has not what {id} believes", peer.id);
            assert_eq!(disk[..matched], log[..matched], "{} against {id}", peer.id);
        }
    }

    /// What is committed is on the disks of a majority, and stays there; disks that were lost
    /// aside.
    fn check_durability(&self) {
        let committed = &self.cluster.committed;
        let keeps = |id: &&ServerId| {
            let disk = &self.cluster.server(**id).disk;
            disk.recovering || disk.history().starts_with(committed)
        };
        let latest = committed.iter().rev().find_map(configuration_of);
        let voters = latest.unwrap_or(&self.founding).incoming();
        let copies = voters.iter().filter(keeps).count();
        assert!(copies > voters.len() / 2, "{} entries on {copies} disks", committed.len());
    }

    /// Mends everything, and demands a leader, a commit by everyone and an answer to every read.
    fn mend(&mut self) {
        self.cluster.heal();
        for id in self.ids.clone() {
            self.cluster.server_mut(id).disk.stalled = false;
            if self.cluster.is_up(id) {
                self.cluster.persist_all(id);
            } else {
                self.cluster.start(id);
            }
        }
        for id in (1..=7).map(ServerId) {
            if !self.ids.contains(&id) {
                self.join(id);
            }
        }
        let settled = |cluster: &Cluster| {
            let status = cluster.leader().map(|leader| cluster.status(leader));
            status.is_some_and(|it| {
                let members = it.configuration.members();
                let recovered = members.iter().all(|id| !cluster.status(*id).recovering);
                !it.configuration.is_changing() && it.hands_over_to.is_none() && recovered
            })
        };
        self.cluster.run(Duration::from_secs(1));
        for _ in 0..60 {
            if !settled(&self.cluster) {
                self.cluster.run(Duration::from_millis(300));
            }
            self.silence_the_removed();
        }
        self.check();
        let leader = self.cluster.leader().unwrap_or_else(|| {
            panic!("a leader when everything is mended:\n{}", self.describe());
        });
        let configuration = self.cluster.status(leader).configuration;
        assert!(settled(&self.cluster), "nothing settles:\n{}", self.describe());
        let done = self.cluster.propose(leader, &["last"]);
        assert_eq!(done.accepted.len(), 1, "{:?}", done.refused);
        // A handover because of priorities, and what it costs, may come between.
        self.cluster.run(Duration::from_secs(2));
        self.check();
        let entries = self.cluster.committed.len();
        for id in configuration.members() {
            let status = self.cluster.status(id);
            let committed = status.commit_index == Index(entries as u64);
            assert!(committed, "{id} has not everything:\n{}", self.describe());
            assert_eq!(self.cluster.server(id).history().len(), entries);
        }
        assert!(self.cluster.applied(leader).contains(&"last".to_owned()));
        for (ticket, read) in &self.cluster.reads {
            if !configuration.is_member(read.server) {
                continue; // It follows no leader, or is down.
            }
            let ended = read.outcome.is_some() || self.forgotten.contains(ticket);
            assert!(ended, "{ticket:?} at {} never ends", read.server);
        }
    }
}

impl Schedule {
    /// Without pre-vote or check-quorum, whoever was removed and does not know it disturbs the
    /// others for ever. With both it does not.
    fn silence_the_removed(&mut self) {
        let options = &self.cluster.server(self.ids[0]).options;
        if options.pre_vote && options.check_quorum {
            return;
        }
        let Some(leader) = self.cluster.leader() else { return };
        let status = self.cluster.status(leader);
        if status.configured_at > status.commit_index || status.configuration.is_changing() {
            return;
        }
        for id in self.ids.clone() {
            if self.cluster.is_up(id) && !status.configuration.is_member(id) && id != leader {
                self.crash(id);
            }
        }
    }

    fn describe(&self) -> String {
        let lines = self.ids.iter().map(|id| describe(&self.cluster, *id) + "\n");
        lines.collect()
    }
}

fn configuration_of(entry: &Entry) -> Option<&Configuration> {
    match &entry.payload {
        Payload::Configuration(configuration) => Some(configuration),
        Payload::NoOp | Payload::Command(_) => None,
    }
}
