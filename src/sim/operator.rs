//! What operators order: snapshots, other members, other leaders. Much of it is refused.

use std::time::Duration;

use super::Fault;
use super::faults::{Faults, Script};
use crate::actors::{Order, Servers};
use crate::raft::ServerId;

/// Most servers that a world has beyond those that found its cluster.
const GUESTS: u64 = 3;
/// Most voters that are wished for.
const VOTERS: u64 = 5;

impl Faults<'_> {
    pub(super) fn operate(
        &mut self,
        fault: Fault,
        at: Duration,
        until: Duration,
        script: &mut Script,
    ) {
        match fault {
            Fault::Snapshot => {
                let servers = self.anyone();
                script.begin(at, fault, Order::Snapshot(servers));
            }
            Fault::Priority => {
                let (server, priority) = (self.server(), self.luck.within(1, 3) as u8);
                // Whoever never leads may have entries that those lack who may: where one more is
                // lost, or they are few, nobody could.
                let barred = self.founders > 2 && self.luck.below(2) == 0 && !self.losses;
                let (server, priority) = match barred && !self.changes {
                    true => (ServerId(self.founders), 0),
                    false => (server, priority),
                };
                script.begin(at, fault, Order::Priority { servers: server.into(), priority });
            }
            Fault::Transfer => {
                let to = self.heir();
                script.begin(at, fault, Order::Transfer(to));
            }
            Fault::BrokenTransfer => self.break_transfer(at, until, script),
            Fault::RivalMembers => self.rival_members(at, until, script),
            change => {
                let order = self.change(change);
                script.begin(at, change, order);
                // The change goes on while who leads it, or is to join, is lost.
                match self.luck.below(8) {
                    0 => {
                        let soon = at + self.luck.millis(0, 60);
                        script.order(soon, Order::Crash(Servers::Leader));
                        script.order(until.max(soon), Order::Recover(Servers::All));
                    }
                    1 => {
                        let soon = at + self.luck.millis(0, 60);
                        let joins = ServerId(self.servers);
                        script.order(soon, Order::Crash(joins.into()));
                        script.order(until.max(soon), Order::Recover(joins.into()));
                    }
                    _ => {}
                }
            }
        }
    }

    fn heir(&mut self) -> Option<ServerId> {
        (self.luck.below(4) > 0).then(|| self.server())
    }

    /// A change of the members.
    fn change(&mut self, fault: Fault) -> Order {
        match fault {
            Fault::Add => Order::Add { server: self.newcomer(), learner: false },
            Fault::AddLearner => Order::Add { server: self.newcomer(), learner: true },
            Fault::Remove => Order::Remove(self.dispensable()),
            _ => Order::Members(self.voters()),
        }
    }

    /// A new server, or one that is there and may be a member or not.
    fn newcomer(&mut self) -> ServerId {
        if self.servers < self.founders + GUESTS && self.luck.below(2) == 0 {
            self.servers += 1;
            return ServerId(self.servers);
        }
        if self.losses {
            // A founder must not become a learner: it counts where others may lose their disks.
            let first = self.founders + 1;
            self.servers = self.servers.max(first);
            return ServerId(self.luck.within(first, self.servers));
        }
        self.server()
    }

    /// Somebody that the cluster can do without. Where data is lost, those who keep theirs stay.
    fn dispensable(&mut self) -> Servers {
        if !self.losses {
            return match self.luck.below(3) {
                0 => Servers::Leader,
                _ => self.server().into(),
            };
        }
        let (minority, guests) = (self.minority(), self.servers - self.founders);
        let nth = self.luck.within(1, (minority + guests).max(1));
        let id = if nth <= minority { nth } else { self.founders + nth - minority };
        ServerId(id).into()
    }

    /// Voters that are wished for. Where data is lost, those who keep theirs are among them.
    pub(super) fn voters(&mut self) -> Vec<ServerId> {
        if self.luck.below(2) == 0 {
            self.servers = (self.servers + 1).min(self.founders + GUESTS);
        }
        let kept = self.minority() + 1..=self.founders;
        let (one, most) = (self.server().0, self.luck.within(1, VOTERS));
        let mut voters = Vec::new();
        for id in 1..=self.servers {
            let must = if self.losses { kept.contains(&id) } else { id == one };
            let may = self.luck.below(2) == 0 && (voters.len() as u64) < most;
            if must || may {
                voters.push(ServerId(id));
            }
        }
        voters
    }

    /// The leader hands over while it is cut off from its heir, or is told something else, or
    /// either of them crashes.
    fn break_transfer(&mut self, at: Duration, until: Duration, script: &mut Script) {
        let heir = self.server();
        let leader = || Servers::Leader;
        let soon = at + self.luck.millis(0, 20);
        let begin = |script: &mut Script| {
            script.begin(at, Fault::BrokenTransfer, Order::Transfer(Some(heir)));
        };
        match self.luck.below(5) {
            0 => {
                script.order(at, Order::Cut { from: heir.into(), to: Servers::All });
                begin(script);
                script.order(until, Order::Heal);
            }
            1 => {
                let (latency, jitter) = (self.luck.millis(20, 200), Duration::ZERO);
                let delay = Order::Delay { from: leader(), to: heir.into(), latency, jitter };
                script.order(at, delay);
                begin(script);
                script.order(until, Order::Heal);
            }
            2 => {
                begin(script);
                script.order(soon, Order::Crash(heir.into()));
                script.order(until, Order::Recover(Servers::All));
            }
            3 => {
                begin(script);
                script.order(soon, Order::Pause(leader()));
                script.order(until, Order::Resume(Servers::All));
            }
            _ => {
                begin(script);
                script.order(soon, Order::Remove(self.dispensable()));
            }
        }
    }

    /// The leader is cut off as soon as it has begun a change; the next one begins another; then
    /// they hear each other.
    fn rival_members(&mut self, at: Duration, until: Duration, script: &mut Script) {
        let kinds = [Fault::Add, Fault::Remove, Fault::Members];
        let (first, second) = (*self.luck.choose(&kinds), *self.luck.choose(&kinds));
        let (first, second) = (self.change(first), self.change(second));
        let (leader, all) = (|| Servers::Leader, || Servers::All);
        if self.luck.below(2) == 0 {
            script.order(at, Order::Cut { from: leader(), to: all() });
            script.begin(at, Fault::RivalMembers, first);
        } else {
            let (latency, jitter) = (self.luck.millis(1, 20), Duration::ZERO);
            script.order(at, Order::Delay { from: leader(), to: all(), latency, jitter });
            script.begin(at, Fault::RivalMembers, first);
            let soon = at + self.luck.millis(0, 30);
            script.order(soon, Order::Cut { from: leader(), to: all() });
            script.order(soon, Order::Cut { from: all(), to: leader() });
        }
        let elected = at + self.luck.millis(300, 900);
        script.order(elected, second);
        if self.luck.below(2) == 0 {
            script.order(elected + self.luck.millis(10, 300), Order::Snapshot(Servers::All));
        }
        script.order(until.max(elected + self.luck.millis(0, 600)), Order::Heal);
    }
}
