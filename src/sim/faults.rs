//! What each kind of fault orders, and how it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Fault;
use super::world::Luck;
use crate::actors::{Order, Servers, Side};
use crate::raft::ServerId;
use crate::script::{Statement, Wait};
use crate::storage::DiskFault;

/// Statements at their moments, in the making.
#[derive(Default)]
pub(super) struct Script {
    /// By moment, and in the order of their making within one.
    timed: BTreeMap<(Duration, usize), (Statement, Option<Fault>)>,
    /// When the faults end.
    end: Duration,
    /// What comes after all of them.
    closing: Vec<Statement>,
}

/// Makes faults happen to servers.
pub(super) struct Faults<'a> {
    /// Those that found the cluster.
    pub(super) founders: u64,
    /// Those that may be there by now.
    pub(super) servers: u64,
    /// Whether some of them may lose what they promised to keep.
    pub(super) losses: bool,
    /// Whether others may become members.
    pub(super) changes: bool,
    /// Whether clients may read by leases.
    pub(super) leases: bool,
    /// Clients of crowds so far.
    pub(super) crowded: u64,
    pub(super) luck: &'a mut Luck,
}

impl Script {
    pub(super) fn add(&mut self, at: Duration, statement: Statement) {
        self.timed.insert((at, self.timed.len()), (statement, None));
    }

    pub(super) fn begin(&mut self, at: Duration, fault: Fault, order: Order) {
        self.timed.insert((at, self.timed.len()), (Statement::Try(order), Some(fault)));
    }

    pub(super) fn order(&mut self, at: Duration, order: Order) {
        self.add(at, Statement::Try(order));
    }

    /// Lets the faults end here; what would come later is left out.
    pub(super) fn end(&mut self, end: Duration) {
        self.timed.retain(|(at, _), _| *at < end);
        self.end = end;
    }

    /// Adds a statement after everything else.
    pub(super) fn close(&mut self, statement: Statement) {
        self.closing.push(statement);
    }

    /// The statements, with waits between them, and the places among them where faults begin.
    pub(super) fn finish(self) -> (Vec<Statement>, Vec<(usize, Fault)>) {
        let (mut statements, mut begins) = (Vec::new(), Vec::new());
        let mut now = Duration::ZERO;
        let wait = |statements: &mut Vec<_>, now: &mut Duration, until: Duration| {
            if until > *now {
                statements.push(Statement::Wait(Wait::Time(until - *now)));
                *now = until;
            }
        };
        for ((at, _), (statement, fault)) in self.timed {
            wait(&mut statements, &mut now, at);
            begins.extend(fault.map(|fault| (statements.len(), fault)));
            statements.push(statement);
        }
        wait(&mut statements, &mut now, self.end);
        statements.extend(self.closing);
        (statements, begins)
    }
}

/// Leases are right only while clocks run alike and all servers have the same timings.
pub(super) fn leases_hold(kinds: &[Fault]) -> bool {
    let wrong = [Fault::ClockRate, Fault::ClockJump, Fault::Retime];
    !kinds.iter().any(|fault| wrong.contains(fault))
}

fn on_disk(servers: Servers, fault: DiskFault) -> Order {
    Order::DiskFault { servers, fault }
}

impl<'a> Faults<'a> {
    pub(super) fn new(founders: u64, kinds: &[Fault], luck: &'a mut Luck) -> Self {
        let losses = founders > 2 && kinds.iter().any(|fault| fault.loses_data());
        let changes = kinds.iter().any(|fault| fault.changes_members());
        let leases = leases_hold(kinds);
        Self { founders, servers: founders, losses, changes, leases, crowded: 0, luck }
    }

    /// Lets one fault begin, and later end, or not.
    pub(super) fn happen(&mut self, fault: Fault, at: Duration, script: &mut Script) {
        let until = at + self.luck.duration_around(Duration::from_millis(1500));
        match fault {
            Fault::Delay | Fault::Jitter | Fault::SlowLink => {
                let latency = match fault {
                    Fault::SlowLink => self.luck.millis(200, 900),
                    _ => self.luck.millis(1, 120),
                };
                let jitter = match fault {
                    Fault::Jitter => self.luck.millis(1, 150),
                    _ => Duration::ZERO,
                };
                let (from, to) = self.link();
                let order = |latency, jitter| {
                    let (from, to) = (from.clone(), to.clone());
                    Order::Delay { from, to, latency, jitter }
                };
                script.begin(at, fault, order(latency, jitter));
                script.order(until, order(Duration::ZERO, Duration::ZERO));
            }
            Fault::Loss | Fault::Duplicate | Fault::Reorder => {
                let (from, to) = self.link();
                let probability = self.luck.within(1, 50) as f64 / 100.0;
                let order = |probability| {
                    let (from, to) = (from.clone(), to.clone());
                    match fault {
                        Fault::Loss => Order::Loss { from, to, probability },
                        Fault::Duplicate => Order::Duplicate { from, to, probability },
                        _ => Order::Reorder { from, to, probability },
                    }
                };
                script.begin(at, fault, order(probability));
                script.order(until, order(0.0));
            }
            Fault::OneWayCut => {
                let (from, to) = (self.one(), self.one());
                script.begin(at, fault, Order::Cut { from, to });
                self.maybe_heal(until, script);
            }
            Fault::PartialCut => {
                let (from, to) = match self.luck.below(2) {
                    0 => (self.one(), Servers::All),
                    _ => (Servers::All, self.one()),
                };
                script.begin(at, fault, Order::Cut { from, to });
                self.maybe_heal(until, script);
            }
            Fault::Partition => {
                let group = self.some();
                script.begin(at, fault, Order::Partition(vec![group]));
                self.maybe_heal(until, script);
            }
            Fault::Chain => self.chain(at, until, script),
            Fault::Constrained => self.constrained(at, until, script),
            Fault::LateAnswers => self.late_answers(at, script),
            Fault::QuorumLoss => {
                let hub = self.server();
                self.only_through(hub, at, fault, script);
                script.order(until, Order::Heal);
            }
            Fault::Speed => {
                let servers = self.anyone();
                let latency = self.luck.millis(1, 800);
                script.begin(at, fault, Order::Speed { servers: servers.clone(), latency });
                let latency = Duration::ZERO;
                script.order(until, Order::Speed { servers, latency });
            }
            Fault::Crash => {
                let servers = self.anyone();
                script.begin(at, fault, Order::Crash(servers.clone()));
                self.come_back(servers, at, until, script);
            }
            Fault::CrashAll => {
                script.begin(at, fault, Order::Crash(Servers::All));
                let first = Servers::Only(self.some());
                script.order(at + self.luck.millis(0, 300), Order::Recover(first));
                script.order(until, Order::Recover(Servers::All));
            }
            Fault::Stop => {
                let servers = self.anyone();
                script.begin(at, fault, Order::Stop(servers.clone()));
                self.come_back(servers, at, until, script);
            }
            Fault::Pause => {
                let servers = self.anyone();
                script.begin(at, fault, Order::Pause(servers));
                script.order(until, Order::Resume(Servers::All));
            }
            Fault::Campaign => {
                let servers = self.anyone();
                script.begin(at, fault, Order::Timeout(servers));
            }
            Fault::SlowApply => {
                let servers = self.anyone();
                let latency = self.luck.millis(1, 100);
                script.begin(at, fault, Order::ApplyLatency { servers: servers.clone(), latency });
                let latency = Duration::ZERO;
                script.order(until, Order::ApplyLatency { servers, latency });
            }
            Fault::StalledApply => {
                let servers = self.anyone();
                script.begin(at, fault, Order::ApplyStall(servers));
                let (servers, latency) = (Servers::All, Duration::ZERO);
                script.order(until, Order::ApplyLatency { servers, latency });
            }
            Fault::Retime => {
                let min = self.luck.within(100, 300);
                let max = min + self.luck.below(300);
                let order = match self.luck.below(2) {
                    0 => Order::ElectionTimeout {
                        min: Duration::from_millis(min),
                        max: Duration::from_millis(max),
                    },
                    _ => Order::Heartbeat(self.luck.millis(10, 90)),
                };
                script.begin(at, fault, order);
            }
            Fault::SlowDisk => {
                let servers = self.anyone();
                let latency = self.luck.millis(1, 200);
                script.begin(at, fault, Order::DiskLatency { servers: servers.clone(), latency });
                if self.luck.below(2) == 0 {
                    let latency = Duration::ZERO;
                    script.order(until, Order::DiskLatency { servers, latency });
                }
            }
            Fault::StalledDisk => {
                let servers = self.anyone();
                script.begin(at, fault, Order::DiskStall(servers));
                let (servers, latency) = (Servers::All, self.luck.millis(0, 10));
                script.order(until, Order::DiskLatency { servers, latency });
            }
            Fault::FullDisk => {
                let servers = self.anyone();
                script.begin(at, fault, on_disk(servers, DiskFault::Full));
                script.order(until, on_disk(Servers::All, DiskFault::Free));
            }
            Fault::FailedSync => {
                let servers = self.anyone();
                script.begin(at, fault, on_disk(servers, DiskFault::FailSync));
                script.order(until, Order::Recover(Servers::All));
            }
            Fault::TornWrite => {
                // Only what takes its time can be torn.
                let servers = Servers::from(self.server());
                let latency = self.luck.millis(1, 60);
                script.order(at, Order::DiskLatency { servers: servers.clone(), latency });
                script.begin(at, fault, on_disk(servers.clone(), DiskFault::Tear));
                let later = at + self.luck.millis(0, 400);
                script.order(later, Order::Crash(servers.clone()));
                script.order(until.max(later), Order::Recover(servers));
            }
            Fault::BitFlip | Fault::LostWrite | Fault::MisdirectedWrite | Fault::LostDisk => {
                self.harm(fault, at, until, script);
            }
            Fault::Rejoin => self.rejoin(at, until, script),
            Fault::ClockRate => {
                let servers = self.anyone();
                let rate = *self.luck.choose(&[0.5, 0.8, 0.9, 1.1, 1.25, 2.0, 5.0]);
                script.begin(at, fault, Order::ClockRate { servers, rate });
                let (servers, rate) = (Servers::All, 1.0);
                script.order(until, Order::ClockRate { servers, rate });
            }
            Fault::ClockJump => {
                let (servers, by) = (self.anyone(), self.luck.millis(1, 3000));
                let back = self.luck.below(2) == 0;
                script.begin(at, fault, Order::ClockJump { servers, by, back });
            }
            Fault::OldLeader => self.depose(at, script),
            Fault::Outlived => self.outlive(at, until, script),
            Fault::BrokenSnapshot => self.break_snapshot(at, until, script),
            Fault::Snapshot
            | Fault::Add
            | Fault::AddLearner
            | Fault::Remove
            | Fault::Members
            | Fault::RivalMembers
            | Fault::Priority
            | Fault::Transfer
            | Fault::BrokenTransfer => self.operate(fault, at, until, script),
        }
    }

    /// Harms what is on the disk of a server that the cluster can do without for ever, and lets
    /// the server find out.
    fn harm(&mut self, fault: Fault, at: Duration, until: Duration, script: &mut Script) {
        let Some(server) = self.expendable().map(Servers::from) else { return };
        let (down, harm) = match fault {
            Fault::BitFlip => (self.luck.below(2) == 0, DiskFault::Flip),
            Fault::LostWrite => (self.luck.below(2) == 0, DiskFault::Lose),
            Fault::MisdirectedWrite => (self.luck.below(2) == 0, DiskFault::Misdirect),
            _ => (true, DiskFault::Destroy),
        };
        let crash = || Order::Crash(server.clone());
        if down {
            script.order(at, crash());
        }
        script.begin(at, fault, on_disk(server.clone(), harm));
        if !down {
            script.order(at + self.luck.millis(0, 2000), crash());
        }
        let found_out = until.max(at + Duration::from_secs(2));
        script.order(found_out, Order::Recover(server.clone()));
        if self.luck.below(2) == 0 {
            script.order(found_out + self.luck.millis(0, 1000), Order::Rejoin(server));
        }
    }

    /// A disk is lost; its server joins again with an empty one, and may crash while it recovers.
    fn rejoin(&mut self, at: Duration, until: Duration, script: &mut Script) {
        let Some(server) = self.expendable().map(Servers::from) else { return };
        script.order(at, Order::Crash(server.clone()));
        script.order(at, on_disk(server.clone(), DiskFault::Destroy));
        script.begin(until, Fault::Rejoin, Order::Rejoin(server.clone()));
        if self.luck.below(2) == 0 {
            let later = until + self.luck.millis(0, 400);
            script.order(later, Order::Crash(server.clone()));
            script.order(later + self.luck.millis(0, 200), Order::Recover(server));
        }
    }

    /// How many of the first servers may all be lost: less than half of the founders, and of all
    /// who vote instead of them.
    pub(super) fn minority(&self) -> u64 {
        (self.founders - 1) / 2
    }

    fn expendable(&mut self) -> Option<ServerId> {
        let minority = self.minority();
        (minority > 0).then(|| ServerId(self.luck.within(1, minority)))
    }

    /// Each server hears only its neighbours.
    fn chain(&mut self, at: Duration, until: Duration, script: &mut Script) {
        let mut begun = false;
        for from in 1..=self.founders {
            let far = |to: &u64| to.abs_diff(from) > 1;
            let to: Vec<_> = (1..=self.founders).filter(far).map(ServerId).collect();
            if to.is_empty() {
                continue;
            }
            let order = Order::Cut { from: ServerId(from).into(), to: Servers::Only(to) };
            match std::mem::replace(&mut begun, true) {
                false => script.begin(at, Fault::Chain, order),
                true => script.order(at, order),
            }
        }
        script.order(until, Order::Heal);
    }

    /// Cuts a server off until its log is behind; then it is the only one that all others hear.
    fn constrained(&mut self, at: Duration, until: Duration, script: &mut Script) {
        let hub = self.server();
        let later = at + (until - at) / 2;
        let (from, all) = (Servers::from(hub), Servers::All);
        script.order(at, Order::Cut { from: from.clone(), to: all.clone() });
        script.order(at, Order::Cut { from: all, to: from });
        script.order(later, Order::Heal);
        self.only_through(hub, later, Fault::Constrained, script);
        script.order(until, Order::Heal);
    }

    /// Slows the way of answers to the leader. While some are under way another server is elected,
    /// or the leader falls silent, or it is elected anew, hears them in the next term, and is then
    /// cut off.
    fn late_answers(&mut self, at: Duration, script: &mut Script) {
        let (all, leader) = (|| Servers::All, || Servers::Leader);
        let kind = self.luck.below(4);
        let (from, latency) = match kind {
            0 => (Servers::Only(self.some()), self.luck.millis(200, 900)),
            _ => (all(), self.luck.millis(100, 320)),
        };
        let jitter = Duration::ZERO;
        let delay = Order::Delay { from, to: leader(), latency, jitter };
        script.begin(at, Fault::LateAnswers, delay);
        let mut at = at + latency + self.luck.millis(100, 1500);
        match kind {
            0 => {
                script.order(at, Order::Timeout(leader()));
                at += latency + self.luck.millis(0, 200);
                script.order(at, Order::Cut { from: leader(), to: all() });
                script.order(at, Order::Cut { from: all(), to: leader() });
            }
            1 => script.order(at, Order::Cut { from: leader(), to: all() }),
            _ => script.order(at, Order::Timeout(self.server().into())),
        }
        script.order(at + self.luck.millis(300, 2000), Order::Heal);
    }

    /// Cuts every link but those from and to one server.
    fn only_through(&mut self, hub: ServerId, at: Duration, fault: Fault, script: &mut Script) {
        let others = (1..=self.founders).map(ServerId).filter(|id| *id != hub).collect();
        let others = Servers::Only(others);
        if self.founders > 1 {
            script.begin(at, fault, Order::Cut { from: others.clone(), to: others });
        }
    }

    /// Mostly recovers at the end; sometimes at once, sometimes not at all.
    fn come_back(&mut self, servers: Servers, at: Duration, until: Duration, script: &mut Script) {
        let servers = match servers {
            // The leader of now is not the leader of then.
            Servers::Leader | Servers::Followers => Servers::All,
            servers => servers,
        };
        match self.luck.below(8) {
            0 => script.order(at, Order::Recover(servers)),
            1 => {}
            _ => script.order(until, Order::Recover(servers)),
        }
    }

    fn maybe_heal(&mut self, until: Duration, script: &mut Script) {
        if self.luck.below(4) > 0 {
            script.order(until, Order::Heal);
        }
    }

    pub(super) fn server(&mut self) -> ServerId {
        ServerId(self.luck.within(1, self.servers))
    }

    fn one(&mut self) -> Side {
        match self.luck.below(4) {
            0 => Servers::Leader,
            _ => self.server().into(),
        }
    }

    /// At least one server. Mostly founders: of a list with a server that is not there, nothing is
    /// done.
    fn some(&mut self) -> Vec<ServerId> {
        let among = if self.luck.below(2) == 0 { self.servers } else { self.founders };
        let always = ServerId(self.luck.within(1, among));
        let mut some = Vec::new();
        for id in (1..=among).map(ServerId) {
            if id == always || self.luck.below(2) == 0 {
                some.push(id);
            }
        }
        some
    }

    pub(super) fn anyone(&mut self) -> Servers {
        match self.luck.below(16) {
            0 => Servers::All,
            1 => Servers::Followers,
            2..5 => Servers::Leader,
            5 => Servers::Only(self.some()),
            _ => self.server().into(),
        }
    }

    fn link(&mut self) -> (Side, Side) {
        match self.luck.below(4) {
            0 => (Servers::All, Servers::All),
            1 => (self.one(), Servers::All),
            2 => (Servers::All, self.one()),
            _ => (self.one(), self.one()),
        }
    }
}
