//! Random schedules over a few servers: messages lost, doubled and reordered, links cut, crashes
//! that lose what the disk had not done, proposals, reads and elections out of turn. After every
//! event, what figure 3 of the paper promises must hold; at the end everything is mended and
//! progress is demanded. `RAFT_SEED=n` runs the one schedule that a failure names.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jangada::raft::{
    Configuration, Index, Limits, Message, Options, RoleKind, ServerId, Term, Ticket,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use support::cluster::Cluster;

const SCHEDULES: u64 = 2000;
const EVENTS: u64 = 300;

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
        assert!(totals.replaced > SCHEDULES / 4, "{totals:?}");
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
}

impl Totals {
    fn add(&mut self, schedule: &Schedule) {
        self.leaders += schedule.leaders.len() as u64;
        self.committed += schedule.cluster.committed.len() as u64;
        let reads = schedule.cluster.reads.values();
        self.reads += reads.filter(|read| matches!(read.outcome, Some(Ok(_)))).count() as u64;
        self.replaced += schedule.replaced;
    }
}

struct Schedule {
    cluster: Cluster,
    random: ChaCha8Rng,
    ids: Vec<ServerId>,
    /// The voters, and those on their way out if there are any.
    halves: Vec<Vec<ServerId>>,
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
            ..Limits::default()
        };
        let (pre_vote, check_quorum) = (below(4) > 0, below(4) > 0);
        let options = Options { pre_vote, check_quorum, limits, ..Options::default() };
        let voters: Vec<_> = (1..=3 + below(3)).map(ServerId).collect();
        let (configuration, halves) = match below(4) {
            0 => (Configuration::joint([], voters.clone(), [ServerId(9)]), vec![voters]),
            1 => {
                let outgoing = vec![ServerId(1), ServerId(2), ServerId(8)];
                let joint = Configuration::joint(outgoing.clone(), voters.clone(), []);
                (joint, vec![voters, outgoing])
            }
            _ => (Configuration::new(voters.clone()), vec![voters]),
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
            halves,
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
        let (up, kind) = (self.cluster.is_up(one), self.below(200));
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
            168..176 if up => drop(self.cluster.read(one)),
            176..180 if up => self.cluster.campaign(one),
            180..183 if up => {
                let reads = self.cluster.reads.iter();
                let its = reads.filter(|(_, read)| read.server == one).map(|(ticket, _)| *ticket);
                self.forgotten.extend(its);
                self.cluster.crash(one);
            }
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
            _ => {}
        }
        while self.cluster.network.len() > 60 {
            self.cluster.network.remove(0);
        }
    }

    fn check(&mut self) {
        self.check_votes();
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
            let disk = &self.cluster.server(peer.id).disk;
            if disk.recovering {
                continue; // It has lost what it had.
            }
            let disk = disk.history();
            assert!(disk.len() >= matched, "{} has not what {id} believes", peer.id);
            assert_eq!(disk[..matched], log[..matched], "{} against {id}", peer.id);
        }
    }

    /// What is committed is on the disks of a majority of each half, and stays there.
    fn check_durability(&self) {
        let committed = &self.cluster.committed;
        let keeps =
            |id: &&ServerId| self.cluster.server(**id).disk.history().starts_with(committed);
        for half in &self.halves {
            let copies = half.iter().filter(keeps).count();
            assert!(copies > half.len() / 2, "{} entries on {copies} disks", committed.len());
        }
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
        self.cluster.run(Duration::from_secs(1));
        for _ in 0..10 {
            if self.cluster.leader().is_none() {
                self.cluster.run(Duration::from_millis(300));
            }
        }
        self.check();
        let leader = self.cluster.leader().expect("a leader when everything is mended");
        let done = self.cluster.propose(leader, &["last"]);
        assert_eq!(done.accepted.len(), 1, "{:?}", done.refused);
        self.cluster.run(Duration::from_millis(200));
        self.check();
        let entries = self.cluster.committed.len();
        for id in &self.ids {
            let status = self.cluster.status(*id);
            assert_eq!(status.commit_index, Index(entries as u64), "{id} has not everything");
            assert_eq!(self.cluster.server(*id).history().len(), entries);
        }
        assert_eq!(self.cluster.committed.last(), self.cluster.server(leader).log.last());
        for (ticket, read) in &self.cluster.reads {
            let ended = read.outcome.is_some() || self.forgotten.contains(ticket);
            assert!(ended, "{ticket:?} at {} never ends", read.server);
        }
    }
}
