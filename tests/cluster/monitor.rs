//! What the monitor sees of a cluster, and what becomes of it.

use bytes::Bytes;
use jangada::actors::{ClockKind, EventKind, Machine, Sandbox, SandboxOptions, run};
use jangada::invariants::{Property, Violation};
use jangada::raft::Index;

use crate::support::*;

/// A state machine with a fault.
struct Faulty {
    tally: Tally,
    fault: Fault,
    number: u8,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It dies of the fifth command.
    Panics,
    /// It carries everything out as the same request.
    RepeatsItself,
    /// Its state depends on which server it is of.
    Differs,
}

impl Machine for Faulty {
    fn apply(&mut self, index: Index, command: &Bytes) -> Bytes {
        assert!(self.fault != Fault::Panics || index < Index(5), "five is too much");
        self.tally.apply(index, command)
    }

    fn query(&self, query: &Bytes) -> Bytes {
        self.tally.query(query)
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = self.tally.digest();
        digest[31] = if self.fault == Fault::Differs { self.number } else { 0 };
        digest
    }

    fn carried_out(&self) -> Option<(u64, u64)> {
        (self.fault == Fault::RepeatsItself).then_some((1, 1))
    }

    fn describe(&self, command: &Bytes) -> String {
        self.tally.describe(command)
    }
}

/// What is seen of a cluster whose state machines have this fault, and what its events tell.
fn seen_of(fault: Fault, monitor: bool) -> (Option<Violation>, Vec<Violation>) {
    run(ClockKind::Virtual, async {
        let numbers = std::cell::Cell::new(0);
        let machine = move || {
            numbers.set(numbers.get() + 1);
            Faulty { tally: Tally::default(), fault, number: numbers.get() }
        };
        let options = SandboxOptions { monitor, ..SandboxOptions::default() };
        let sandbox = Sandbox::start(options.with_machine(machine));
        let leader = leader(&sandbox).await;
        let proposer = sandbox.proposer(leader).unwrap();
        for _ in 0..200 {
            let _ = proposer.propose(Bytes::from_static(b"any")).await;
        }
        sleep(ms(200)).await;
        let violation = sandbox.violation();
        let told = |event| match event {
            EventKind::Violated(violation) => Some(violation),
            _ => None,
        };
        let events = sandbox.events().latest(usize::MAX).into_iter();
        let told = events.filter_map(|event| told(event.kind)).collect();
        sandbox.end().await;
        (violation, told)
    })
    .unwrap()
}

#[test]
fn a_sound_cluster_violates_nothing() {
    assert_eq!(seen_of(Fault::None, true), (None, Vec::new()));
}

#[test]
fn a_violation_is_kept_and_told_once() {
    let (kept, told) = seen_of(Fault::RepeatsItself, true);
    let violation = kept.expect("a violation");
    assert_eq!(violation.property, Property::SessionsApplyOnce);
    assert_eq!(told, [violation]);
}

#[test]
fn states_that_differ_are_seen() {
    let (kept, _) = seen_of(Fault::Differs, true);
    assert_eq!(kept.expect("a violation").property, Property::StateHash);
}

#[test]
fn without_a_monitor_nothing_is_checked() {
    assert_eq!(seen_of(Fault::RepeatsItself, false), (None, Vec::new()));
}

/// The runtime catches a panic of an actor; all that is left of it would be a server that answers
/// nobody.
#[test]
fn a_panic_of_an_actor_is_a_violation() {
    // First without: the first sandbox of a process sees to it that what panics say is kept.
    for monitor in [false, true] {
        let (kept, told) = seen_of(Fault::Panics, monitor);
        let violation = kept.expect("a violation");
        assert_eq!(violation.property, Property::Assertion);
        assert!(violation.text.ends_with("died of a panic: five is too much"), "{violation}");
        assert_eq!(told, [violation]);
    }
}
