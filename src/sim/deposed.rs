//! Leaders that are deposed and do not hear of it, while clients ask them and their successors;
//! and snapshots in the middle of which servers are lost.

use std::time::Duration;

use super::Fault;
use super::faults::{Faults, Script};
use crate::actors::{Consistency, Order, Servers};
use crate::script::{Clients, Statement};
use crate::storage::DiskFault;

/// Most clients of all crowds in one world: what they do is kept, and checked at the end.
const CROWDED: u64 = 48;

impl Faults<'_> {
    /// Many clients for a short time: what is true only for a moment must be asked for then.
    fn crowd(&mut self, count: u64, at: Duration, time: Duration, script: &mut Script) {
        if self.crowded + count > CROWDED {
            return;
        }
        self.crowded += count;
        let every = self.luck.millis(8, 16);
        let reading = match self.leases {
            true => Consistency::Lease,
            false => Consistency::Linearizable,
        };
        script.add(at, Statement::Clients(Clients { count, time, every, reading }));
    }

    /// The leader hears nobody any more, and another is elected before its lease is over, or while
    /// it sleeps (TRAPS 25, 26 and 29).
    pub(super) fn depose(&mut self, at: Duration, script: &mut Script) {
        let (leader, all, heir) = (|| Servers::Leader, || Servers::All, self.server());
        let time = self.luck.millis(200, 900);
        self.crowd(12, at, time, script);
        let at = at + self.luck.millis(20, 100);
        // While a round of heartbeats is under way, or just over.
        let soon = at + self.luck.millis(0, 60);
        script.begin(at, Fault::OldLeader, Order::Cut { from: all(), to: leader() });
        match self.luck.below(5) {
            0 => script.order(soon, Order::Transfer(Some(heir))),
            1 => script.order(soon, Order::Timeout(heir.into())),
            2 => {
                script.order(at, Order::Cut { from: leader(), to: all() });
                script.order(at, Order::Crash(Servers::Followers));
                script.order(at, Order::Recover(all()));
                script.order(at + self.luck.millis(0, 30), Order::Timeout(heir.into()));
            }
            3 => {
                script.order(at, Order::Cut { from: leader(), to: all() });
                script.order(soon, Order::Pause(leader()));
                script.order(at + time, Order::Resume(all()));
            }
            _ => script.order(at, Order::Cut { from: leader(), to: all() }),
        }
        script.order(at + time + self.luck.millis(0, 200), Order::Heal);
    }

    /// What a server asked the leader is answered when the server has begun another life
    /// (TRAPS 23). Of a life that has just begun, so that both have asked as much.
    pub(super) fn outlive(&mut self, at: Duration, until: Duration, script: &mut Script) {
        let asks = self.server();
        let (latency, jitter) = (self.luck.millis(120, 250), Duration::ZERO);
        for (from, to) in [(asks.into(), Servers::Leader), (Servers::Leader, asks.into())] {
            script.order(at, Order::Delay { from, to, latency, jitter });
        }
        script.order(at, Order::Crash(asks.into()));
        let first = at + self.luck.millis(0, 10);
        script.order(first, Order::Recover(asks.into()));
        self.crowd(28, first, 3 * latency, script);
        // It has heard the leader again.
        let second = first + latency + self.luck.millis(10, 100);
        script.begin(second, Fault::Outlived, Order::Crash(asks.into()));
        script.order(second + self.luck.millis(0, 5), Order::Recover(asks.into()));
        script.order(until.max(second + 3 * latency), Order::Heal);
    }

    /// A server is lost while it takes a snapshot, or while it has got one of another history.
    pub(super) fn break_snapshot(&mut self, at: Duration, until: Duration, script: &mut Script) {
        let all = || Servers::All;
        if self.luck.below(2) == 0 {
            let server = self.server();
            let servers = || Servers::from(server);
            let latency = self.luck.millis(5, 60);
            script.order(at, Order::DiskLatency { servers: servers(), latency });
            script.begin(at, Fault::BrokenSnapshot, Order::Snapshot(servers()));
            if self.luck.below(2) == 0 {
                script.order(at, Order::DiskFault { servers: servers(), fault: DiskFault::Tear });
            }
            let crash = at + self.luck.millis(0, 150);
            script.order(crash, Order::Crash(servers()));
            let latency = Duration::ZERO;
            script.order(until.max(crash), Order::DiskLatency { servers: servers(), latency });
            script.order(until.max(crash), Order::Recover(servers()));
            return;
        }
        // The old leader's log grows on; the new one's goes.
        self.crowd(12, at, Duration::from_millis(500), script);
        script.order(at, Order::Cut { from: all(), to: Servers::Leader });
        script.order(at, Order::Cut { from: Servers::Leader, to: all() });
        let elected = at + self.luck.millis(200, 500);
        script.begin(elected, Fault::BrokenSnapshot, Order::Snapshot(all()));
        let healed = elected + self.luck.millis(0, 200);
        script.order(healed, Order::Heal);
        let crash = healed + self.luck.millis(10, 200);
        script.order(crash, Order::Crash(all()));
        script.order(until.max(crash), Order::Recover(all()));
    }
}
