//! Worlds of the simulation, run in pieces: where a run stops leaves no mark on it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jangada::raft::Time;
use jangada::replay::{Fingerprint, Halt, Stage, Timeline, Until};
use jangada::sim::{World, WorldOptions, run};

const NONE: BTreeSet<usize> = BTreeSet::new();

fn world(seed: u64) -> World {
    let trouble = Some(Duration::from_secs(8));
    World::expand(seed, WorldOptions { trouble, ..WorldOptions::default() })
}

fn timeline(seed: u64) -> Timeline {
    Timeline::new(&world(seed).scenario, Path::new("world.jangada"))
}

fn end() -> Until<'static> {
    Until { finished: true, ..Until::time(Time::default() + Duration::from_secs(600)) }
}

fn whole(timeline: &Timeline) -> Fingerprint {
    let (stage, halt) = timeline.run(&NONE, end()).expect("a runtime");
    assert!(matches!(halt, Halt::Finished), "{halt:?}");
    stage.fingerprint()
}

#[test]
fn a_world_in_pieces_has_the_trace_of_the_whole() {
    for seed in 0..10 {
        let timeline = timeline(seed);
        let expected = whole(&timeline);
        assert!(expected.lines > 200, "seed {seed}: {expected:?}");
        let mut time = Time::default() + Duration::from_millis(1);
        let mut stage: Option<Stage> = None;
        loop {
            let until = Until { finished: true, ..Until::time(time) };
            let halt = match &mut stage {
                Some(stage) => stage.follow(timeline.steps(), &NONE, until),
                None => {
                    let (begun, halt) = timeline.run(&NONE, until).expect("a runtime");
                    stage = Some(begun);
                    halt
                }
            };
            match halt {
                Halt::Finished => break,
                Halt::Reached => time = time + Duration::from_millis(1 + time.as_nanos() % 83),
                halt => panic!("seed {seed}: {halt:?}"),
            }
        }
        let found = stage.expect("it has begun").fingerprint();
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// Nothing that is watched or recorded of a run changes it: the console replays what `sim` saw.
#[test]
fn a_replayed_seed_exchanges_the_messages_of_the_simulation() {
    for seed in 0..4 {
        let seen = run(&world(seed)).expect("a runtime").tally.digest;
        let (stage, _) = timeline(seed).run(&NONE, end()).expect("a runtime");
        assert_eq!(stage.sandbox().traffic().digest(), seen, "seed {seed}");
    }
}

#[test]
fn leaving_steps_out_changes_the_run() {
    let timeline = timeline(1);
    let orders: BTreeSet<usize> = (0..timeline.steps().len())
        .filter(|place| timeline.steps()[*place].text.starts_with("try "))
        .collect();
    assert!(!orders.is_empty());
    let (stage, _) = timeline.run(&orders, end()).expect("a runtime");
    assert_ne!(stage.fingerprint(), whole(&timeline));
}
