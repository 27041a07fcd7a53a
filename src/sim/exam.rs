//! What a cluster must be able to do again when everything is mended.
//!
//! First what each must: lead, write, agree. Then one trial of its own, drawn for each world: bugs
//! that only cost time show where the time is known that a cluster without them takes.

use std::time::Duration;

use super::Fault;
use super::faults::Script;
use super::world::{Luck, ms};
use crate::actors::{Consistency, Order, Servers};
use crate::raft::ServerId;
use crate::script::{Clients, Expectation, Statement, Wait};
use crate::storage::DiskFault;

/// How long anything may take that takes time.
const WITHIN: Duration = Duration::from_secs(5);
/// Tries to have the wished-for members, which are refused while others are on their way.
const TRIES: usize = 4;

/// What is put to a cluster that is well.
pub(super) struct Exam<'a> {
    /// Who is to vote then.
    pub(super) voters: Vec<ServerId>,
    /// A server that is not there yet.
    pub(super) stranger: ServerId,
    pub(super) faults: &'a [Fault],
    pub(super) luck: &'a mut Luck,
    pub(super) script: &'a mut Script,
}

impl Exam<'_> {
    pub(super) fn hold(mut self) {
        self.mend();
        let leader = Expectation::Leader { server: None, within: WITHIN };
        self.expect(leader);
        self.expect(Expectation::Progress { within: WITHIN });
        self.settle();
        // While one recovers from the loss of its disk, one server less may be too few.
        self.expect(Expectation::CaughtUp { servers: Servers::Followers, within: WITHIN });
        // A leader may have found damage in what it sent them, and ended.
        self.replace_the_damaged();
        self.expect(Expectation::CaughtUp { servers: Servers::Followers, within: WITHIN });
        self.expect(Expectation::Progress { within: WITHIN });
        self.wait(ms(100));
        self.trial();
        self.script.close(Statement::Wait(Wait::Jobs));
        self.expect(Expectation::CaughtUp { servers: Servers::Followers, within: WITHIN });
        self.expect(Expectation::FilesEqual { within: WITHIN });
        self.expect(Expectation::Linearizable);
    }

    fn mend(&mut self) {
        let (all, none) = (|| Servers::All, Duration::ZERO);
        self.order(Order::Heal);
        self.order(Order::Speed { servers: all(), latency: none });
        self.order(Order::DiskFault { servers: all(), fault: DiskFault::Mend });
        self.order(Order::ApplyLatency { servers: all(), latency: none });
        self.order(Order::ClockRate { servers: all(), rate: 1.0 });
        self.order(Order::Resume(all()));
        self.order(Order::Recover(all()));
        self.replace_the_damaged();
        // Not otherwise: new timings start every election timer, also one that nobody started.
        if self.faults.contains(&Fault::Retime) {
            self.order(Order::ElectionTimeout { min: ms(150), max: ms(350) });
            self.order(Order::Heartbeat(ms(50)));
        }
    }

    fn replace_the_damaged(&mut self) {
        if self.faults.iter().any(|fault| fault.loses_data()) {
            self.order(Order::Rejoin(Servers::All));
        }
    }

    /// The change that is under way comes to its end, and another one as well.
    fn settle(&mut self) {
        if !self.faults.iter().any(|fault| fault.changes_members()) {
            return;
        }
        let voters = self.voters.clone();
        for _ in 0..TRIES {
            self.attempt(Order::Members(voters.clone()));
            self.wait(ms(300));
        }
        self.expect(Expectation::Members { voters, within: WITHIN });
    }

    /// Each trial needs so many voters, or leaders who stay where they are put.
    fn trial(&mut self) {
        let voters = self.voters.len();
        let stays = !self.faults.contains(&Fault::Priority);
        let kind = match self.luck.below(14) {
            // What is hard for one voter is no matter for several.
            _ if voters == 1 => 7,
            kind => kind,
        };
        match kind {
            0 if voters > 2 => self.cut(Servers::All, Servers::Leader),
            1 if voters > 2 => self.cut(Servers::Leader, Servers::All),
            2 if voters > 2 => self.stall(Order::DiskStall(Servers::Leader)),
            3 if voters > 1 => self.stall(Order::ApplyStall(Servers::Leader)),
            4 if voters > 1 && stays => self.hand_over(),
            5 if voters > 2 && stays => self.hand_over_in_vain(),
            6 if voters > 2 => self.remove_leader(),
            7 => self.add_a_stranger(),
            8 if voters > 2 => self.ask_for_the_impossible(),
            _ => {}
        }
    }

    /// One server less is no excuse.
    fn cut(&mut self, from: Servers, to: Servers) {
        self.attempt(Order::Cut { from, to });
        self.expect(Expectation::Progress { within: WITHIN });
        self.order(Order::Heal);
    }

    /// A leader that cannot do its work gives way to one that can.
    fn stall(&mut self, order: Order) {
        self.attempt(order);
        self.expect(Expectation::Progress { within: WITHIN });
        let (servers, latency) = (Servers::All, Duration::ZERO);
        self.order(Order::DiskLatency { servers: servers.clone(), latency });
        self.order(Order::ApplyLatency { servers, latency });
    }

    /// Leadership goes where it is wanted, however much there is to write.
    fn hand_over(&mut self) {
        let (from, to) = self.two_voters();
        let (side, latency, jitter) = (|| Servers::All, ms(5), Duration::ZERO);
        self.order(Order::Delay { from: side(), to: side(), latency, jitter });
        let reading = Consistency::Linearizable;
        let clients = Clients { count: 4, time: ms(800), every: ms(1), reading };
        self.script.close(Statement::Clients(clients));
        for server in [from, to] {
            // Until it has heard from everyone who answers.
            self.wait(ms(50));
            self.attempt(Order::Transfer(Some(server)));
            self.expect(Expectation::Leader { server: Some(server), within: ms(300) });
        }
        self.order(Order::Heal);
    }

    /// A leader whose heir does not hear it leads on.
    fn hand_over_in_vain(&mut self) {
        let (leader, heir) = self.two_voters();
        self.attempt(Order::Transfer(Some(leader)));
        self.expect(Expectation::Leader { server: Some(leader), within: WITHIN });
        self.order(Order::Cut { from: leader.into(), to: heir.into() });
        self.attempt(Order::Transfer(Some(heir)));
        self.wait(ms(400));
        self.expect(Expectation::Leader { server: Some(leader), within: ms(1) });
        self.order(Order::Heal);
    }

    /// A leader that is removed hands over: nobody waits for an election timeout.
    fn remove_leader(&mut self) {
        self.attempt(Order::Remove(Servers::Leader));
        self.wait(ms(20));
        self.expect(Expectation::Leader { server: None, within: ms(50) });
        // A client may look for it among many that are no members.
        self.expect(Expectation::Progress { within: WITHIN });
    }

    /// Whoever has not caught up is not waited for.
    fn add_a_stranger(&mut self) {
        let server = self.stranger;
        self.attempt(Order::Add { server, learner: true });
        self.wait(ms(200));
        self.attempt(Order::DiskStall(server.into()));
        self.expect(Expectation::Progress { within: WITHIN });
        self.attempt(Order::Add { server, learner: false });
        self.wait(ms(200));
        self.expect(Expectation::Progress { within: WITHIN });
        self.order(Order::DiskLatency { servers: Servers::All, latency: Duration::ZERO });
    }

    /// A cluster that cannot do without some servers does not agree to.
    fn ask_for_the_impossible(&mut self) {
        let down = self.voters[..(self.voters.len() - 1) / 2].to_vec();
        let mut wanted = down.clone();
        wanted.push(self.voters[down.len()]);
        self.order(Order::Crash(down.clone().into()));
        self.wait(ms(1000));
        self.attempt(Order::Members(wanted));
        self.expect(Expectation::Progress { within: WITHIN });
        // Some may find out only now that their disks are damaged.
        self.order(Order::Recover(Servers::All));
        self.order(Order::Rejoin(Servers::All));
    }

    fn two_voters(&mut self) -> (ServerId, ServerId) {
        let first = self.luck.below(self.voters.len() as u64) as usize;
        let second = (first + 1) % self.voters.len();
        (self.voters[first], self.voters[second])
    }

    fn order(&mut self, order: Order) {
        self.script.close(Statement::Order(order));
    }

    fn attempt(&mut self, order: Order) {
        self.script.close(Statement::Try(order));
    }

    fn expect(&mut self, expectation: Expectation) {
        self.script.close(Statement::Expect(expectation));
    }

    fn wait(&mut self, time: Duration) {
        self.script.close(Statement::Wait(Wait::Time(time)));
    }
}
