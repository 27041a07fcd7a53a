//! Worlds are what their seed says, and what fails becomes short.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::invariants::Undecided;
use crate::script::{Expectation, Failure, Scenario, Setting, Statement};

fn world(seed: u64, profile: Profile) -> World {
    let trouble = Some(Duration::from_secs(3));
    World::expand(seed, WorldOptions { profile, trouble, ..WorldOptions::default() })
}

#[test]
fn a_world_is_a_scenario_that_reads_back_to_the_same() {
    for seed in 0..50 {
        let world = world(seed, Profile::Everything);
        let text = world.scenario.to_string();
        let read = Scenario::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(read, world.scenario);
        assert_eq!(world, self::world(seed, Profile::Everything));
    }
}

#[test]
fn every_fault_has_a_profile_and_a_name_of_its_own() {
    let names: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    assert_eq!(names.len(), Fault::ALL.len());
    assert!(Profile::Calm.faults().is_empty());
    assert_eq!(Profile::Everything.faults(), Fault::ALL);
}

#[test]
fn every_kind_of_fault_begins_somewhere() {
    let worlds = (0..300).map(|seed| world(seed, Profile::Everything));
    let begun: BTreeSet<_> = worlds.flat_map(|world| world.begins.into_values()).collect();
    assert_eq!(begun, Fault::ALL.iter().copied().collect());
}

#[test]
fn a_fault_begins_in_every_cluster_that_it_can_happen_to_and_in_no_other() {
    for servers in 1..=3 {
        let options = WorldOptions { servers: Some(servers), ..WorldOptions::default() };
        let worlds = (0..300).map(|seed| World::expand(seed, options));
        let begun: BTreeSet<_> = worlds.flat_map(|world| world.begins.into_values()).collect();
        let can = |fault: &Fault| fault.least_servers() <= servers;
        assert_eq!(begun, Fault::ALL.iter().copied().filter(can).collect(), "{servers} servers");
    }
}

#[test]
fn a_world_goes_as_it_went_before() {
    for seed in 0..4 {
        let world = world(seed, Profile::Everything);
        let first = run(&world).unwrap();
        assert_eq!(first, run(&world).unwrap());
        assert_eq!(first.violation, None, "{world}");
        assert!(first.tally.writes > 0, "{first:?}");
    }
    let digests = (0..4).map(|seed| run(&world(seed, Profile::Everything)).unwrap().tally.digest);
    assert_eq!(digests.collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn many_worlds_on_two_threads_are_what_each_is_alone() {
    let trouble = Some(Duration::from_secs(1));
    let options = WorldOptions { profile: Profile::Network, trouble, ..WorldOptions::default() };
    let mut alone = Tally::new();
    for seed in 5..9 {
        alone.add(&run(&World::expand(seed, options)).unwrap().tally);
    }
    let fleet = Fleet { seeds: 5..9, options, jobs: 2, keep_going: false };
    let mut seen = 0;
    let report = fleet.sail(|report| seen = report.tally.seeds).unwrap();
    assert_eq!((report.tally, report.violations, seen), (alone, 0, 4));
}

#[test]
fn what_fails_shrinks_to_what_makes_it_fail() {
    let mut world = world(1, Profile::Everything);
    let statements = [
        "clients 3 for 2s every 50ms",
        "wait 500ms",
        "try cut all -> 2",
        "wait 1s",
        "try crash 1,2,3",
        "wait 300ms",
        "try heal",
        "wait 2s",
    ];
    let statement = |text: &&str| crate::script::parse(text, &Default::default()).unwrap().unwrap();
    let mut statements: Vec<Statement> = statements.iter().map(statement).collect();
    let within = Duration::from_secs(1);
    statements.push(Statement::Expect(Expectation::Leader { server: None, within }));
    world.closing = 1;
    world.scenario = Scenario::new(&[Setting::Servers(5), Setting::Seed(1)], &statements);
    let violation = run_scenario(&world.scenario).unwrap().violation.unwrap();
    assert_eq!(violation.property, "liveness");
    let shrunk = shrink(&world, &violation, 300, None).unwrap();
    assert!(shrunk.orders <= 2, "{}", shrunk.scenario);
    let again = run_scenario(&shrunk.scenario).unwrap();
    assert_eq!(again.violation, Some(shrunk.violation));
    for limit in [0, 7] {
        let shrunk = shrink(&world, &violation, limit, None).unwrap();
        assert!(shrunk.runs <= limit, "{} of {limit} runs", shrunk.runs);
    }
}

/// A leader that finds out that it cannot read the snapshot which a follower needs stops, as one
/// does that finds its log damaged; it does not offer for ever what it cannot send (TRAPS 73).
#[test]
fn a_leader_with_a_damaged_snapshot_does_not_keep_others_waiting() {
    for seed in 0..40 {
        let text = format!(
            "servers 3\nseed {seed}\ndisks simulated\nsnapshots every 1000 keep 0\n\
             expect leader within 5s\nclients 4 for 500ms every 5ms\nwait 100ms\n\
             crash 3\nwait leader within 5s\nwait jobs\nsnapshot all\nwait 100ms\n\
             try disk-flip leader\nrecover 3\nexpect caught-up 3 within 5s"
        );
        let scenario = Scenario::parse(text.as_bytes()).unwrap();
        assert_eq!(run_scenario(&scenario).unwrap().violation, None, "{text}");
    }
}

#[test]
fn a_history_that_is_not_decided_is_no_violation() {
    let at = |cause| Failure::At {
        file: "world.jangada".into(),
        line: 7,
        text: "expect linearizable".to_owned(),
        cause: Box::new(cause),
    };
    let files = vec!["ants".to_owned()];
    let undecided = Undecided { files, calls: 9, unknown: 5, configurations: 1000 };
    let failure = at(Failure::Undecided(undecided));
    assert_eq!(Violation::of(&failure, Duration::ZERO), None);
    let text = failure.to_string();
    let begin = "world.jangada:7: not decided: 1000 configurations do not tell whether the 9 calls";
    assert!(text.starts_with(begin), "{text}");
    let failure = at(Failure::Other("nothing".to_owned()));
    let violation = Violation::of(&failure, Duration::ZERO).unwrap();
    assert_eq!(violation.property, "liveness");
}
