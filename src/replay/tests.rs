//! What travelling in time must not change, and what it must.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::tap::Tap;
use super::*;
use crate::actors::{ClockKind, Event, EventKind, Sandbox, SandboxOptions, VirtualTime};
use crate::invariants::Fact;
use crate::raft::{ServerId, Time};
use crate::script::{Plain, Runner, Scenario, parse};
use crate::storage::DiskKind;

/// Elections, writes, losses and delays: everything that draws random numbers.
const SCENARIO: &str = "\
servers 5
seed 11
wait leader
load notes.txt
loss 10%
let old = leader
crash leader
wait leader
& append notes.txt one
append notes.txt two
delay 1 <-> 2 30ms jitter 20ms
recover $old
wait 1.5s
heal
expect files equal within 10s
cat notes.txt
wait jobs
";

const MINUTE: Duration = Duration::from_secs(60);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "zero\n").unwrap();
        Self(folder)
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("it.jangada")
    }

    fn traveller(&self, text: &str) -> Traveller {
        let scenario = Scenario::parse(text.as_bytes()).unwrap();
        travel(Timeline::new(&scenario, &self.path()), &self.path())
    }
}

fn travel(timeline: Timeline, path: &Path) -> Traveller {
    let screen = Rc::new(Plain::new(std::io::sink(), false));
    Traveller::new(timeline, path.to_owned(), screen, || Box::new(|_, _| {})).unwrap()
}

fn at(millis: u64) -> Time {
    Time::default() + Duration::from_millis(millis)
}

/// Plays to this moment and demands that nothing fails.
fn play(traveller: &mut Traveller, millis: u64) -> Fingerprint {
    match traveller.go(Until::time(at(millis))).unwrap() {
        Halt::Reached => traveller.fingerprint(),
        halt => panic!("{halt:?}"),
    }
}

fn finish(traveller: &mut Traveller) -> Fingerprint {
    let until = Until { finished: true, ..Until::time(at(60_000)) };
    match traveller.go(until).unwrap() {
        Halt::Finished => traveller.fingerprint(),
        halt => panic!("{halt:?}"),
    }
}

fn give(traveller: &mut Traveller, text: &str) -> Given {
    let statement = parse(text, traveller.variables()).unwrap().unwrap();
    let given = traveller.give(text, &statement).unwrap().unwrap();
    if given != Given::Looked {
        finish(traveller);
    }
    given
}

#[test]
fn a_scenario_has_the_trace_that_it_has_without_stops() {
    let folder = Folder::new();
    let scenario = Scenario::parse(SCENARIO.as_bytes()).unwrap();
    let tap = Tap::new(None, None);
    let trace = tap.clone();
    let time = VirtualTime::start().unwrap();
    time.block_on(async {
        let options =
            SandboxOptions { seed: 11, trace: Some(Box::new(trace)), ..SandboxOptions::default() };
        let screen = Rc::new(Plain::new(std::io::sink(), false));
        let mut runner = Runner::new(Sandbox::start(options), screen, ClockKind::Virtual);
        runner.scenario(&scenario, &folder.path()).await.unwrap();
        time.lull().await;
    });
    let expected = tap.fingerprint();
    assert!(expected.lines > 500, "{expected:?}");

    let mut whole = folder.traveller(SCENARIO);
    finish(&mut whole);
    let mut cut = folder.traveller(SCENARIO);
    for millis in [1, 2, 150, 151, 203, 204, 400, 401, 402, 777, 1300, 1301, 1700] {
        play(&mut cut, millis);
        give(&mut cut, "status");
        give(&mut cut, "log all");
        if millis % 2 == 0 {
            give(&mut cut, "list");
        }
    }
    finish(&mut cut);
    assert_eq!(whole.fingerprint(), expected);
    assert_eq!(cut.fingerprint(), expected);
    assert_eq!(cut.take_difference(), None);
}

#[test]
fn looking_before_a_scenario_begins_leaves_no_mark() {
    let folder = Folder::new();
    let text = "crash 1\nwait leader\nload notes.txt\n";
    let mut traveller = folder.traveller(text);
    give(&mut traveller, "status");
    give(&mut traveller, "status");
    assert_eq!(traveller.now(), at(0));
    assert_eq!(finish(&mut traveller), finish(&mut folder.traveller(text)));
    traveller.goto(at(0)).unwrap();
    assert_eq!(traveller.progress(), (0, false), "nothing has begun");
}

#[test]
fn going_back_and_forth_leads_through_the_same_trace() {
    let folder = Folder::new();
    let mut traveller = folder.traveller(SCENARIO);
    let stops = [0, 1, 180, 250, 700, 1200, 2100];
    let prints: Vec<Fingerprint> =
        stops.into_iter().map(|millis| play(&mut traveller, millis)).collect();
    for (millis, print) in stops.into_iter().zip(&prints).skip(1).rev() {
        traveller.goto(at(millis)).unwrap();
        assert_eq!(traveller.now(), at(millis));
        assert_eq!(traveller.fingerprint(), *print, "at {millis} ms");
    }
    traveller.goto(at(250)).unwrap();
    assert_eq!(play(&mut traveller, 2100), prints[6]);
    assert_eq!(traveller.take_difference(), None);
}

#[test]
fn what_was_done_by_hand_is_done_again_until_a_fork() {
    let mut traveller = travel(Timeline::by_hand(3, 5, DiskKind::default()), Path::new(""));
    give(&mut traveller, "wait leader");
    give(&mut traveller, "let old = leader");
    play(&mut traveller, 1000);
    give(&mut traveller, "loss 20%");
    give(&mut traveller, "crash $old");
    let first = play(&mut traveller, 3000);
    traveller.goto(at(900)).unwrap();
    assert_eq!(give(&mut traveller, "status"), Given::Looked);
    assert!(traveller.has_steps(), "the crash lies ahead");
    assert_eq!(play(&mut traveller, 3000), first);

    traveller.goto(at(900)).unwrap();
    assert_eq!(give(&mut traveller, "pause $old"), Given::Added { forgotten: 2 });
    assert!(!traveller.has_future());
    let other = play(&mut traveller, 3000);
    assert_ne!(other, first);
    traveller.goto(at(950)).unwrap();
    assert_eq!(play(&mut traveller, 3000), other);
    assert_eq!(traveller.take_difference(), None);
}

#[test]
fn what_is_interrupted_is_interrupted_again() {
    let mut traveller = travel(Timeline::by_hand(3, 5, DiskKind::default()), Path::new(""));
    give(&mut traveller, "wait leader");
    let text = "wait 1h";
    let statement = parse(text, traveller.variables()).unwrap().unwrap();
    traveller.give(text, &statement).unwrap().unwrap();
    play(&mut traveller, 2000);
    assert_eq!(traveller.progress(), (2, true));
    traveller.give_up().unwrap();
    assert_eq!(traveller.progress(), (2, false));
    give(&mut traveller, "crash leader");
    let print = play(&mut traveller, 4000);
    traveller.goto(at(1000)).unwrap();
    assert_eq!(traveller.progress(), (2, true));
    assert_eq!(play(&mut traveller, 4000), print);
    assert_eq!(traveller.take_difference(), None);
}

#[test]
fn an_order_during_a_wait_of_the_scenario_ends_the_wait() {
    let folder = Folder::new();
    let mut traveller = folder.traveller(SCENARIO);
    play(&mut traveller, 1000);
    let (begun, under_way) = traveller.progress();
    assert!(under_way);
    let forgotten = traveller.timeline().steps().len() - begun + 1;
    assert_eq!(give(&mut traveller, "heal"), Given::Added { forgotten });
    let print = play(&mut traveller, 3000);
    traveller.goto(at(500)).unwrap();
    assert_eq!(play(&mut traveller, 3000), print);
    assert_eq!(traveller.take_difference(), None);
}

#[test]
fn steps_count_messages() {
    let mut traveller = travel(Timeline::by_hand(3, 5, DiskKind::default()), Path::new(""));
    let arrived = |told: &Told| matches!(told, Told::Arrived(_));
    let mut seen = 0;
    for _ in 0..20 {
        traveller.step(arrived, 1, MINUTE).unwrap();
        while let Some(told) = traveller.take_told() {
            seen += usize::from(arrived(&told));
            if arrived(&told) {
                break;
            }
        }
    }
    assert_eq!(seen, 20);
    assert!(traveller.now() < at(2000));

    give(&mut traveller, "stop all");
    let (now, print) = (traveller.now(), traveller.fingerprint());
    assert!(matches!(traveller.step(arrived, 1, MINUTE), Ok(Halt::Reached)));
    assert_eq!((traveller.now(), traveller.fingerprint()), (now, print), "as before");
}

#[test]
fn a_failure_stops_the_run_and_not_its_repetition() {
    let folder = Folder::new();
    let text = "servers 3\nwait leader\nexpect no leader\nwait 1s\nstop all\n";
    let mut traveller = folder.traveller(text);
    let until = Until { finished: true, ..Until::time(at(60_000)) };
    let Halt::Failed { step: 1, failure } = traveller.go(until).unwrap() else { panic!() };
    assert!(traveller.placed(1, failure).to_string().contains("it.jangada:3: "));
    let print = finish(&mut traveller);
    let end = traveller.now();
    assert!(traveller.goto(at(1000)).unwrap().is_none(), "it was told when it failed");
    traveller.goto(at(100)).unwrap();
    let failure = traveller.goto(end).unwrap().expect("a failure on the way");
    assert!(failure.to_string().contains("it.jangada:3: "), "{failure}");
    assert_eq!(traveller.fingerprint(), print);
}

#[test]
fn a_violation_stops_the_run_in_which_it_happens() {
    let mut traveller = travel(Timeline::by_hand(3, 5, DiskKind::default()), Path::new(""));
    let (events, violated) = (traveller.sandbox().events().clone(), traveller.violated());
    let looks = Cell::new(0);
    let seen = || {
        looks.set(looks.get() + 1);
        if looks.get() == 20 {
            let (server, what) = (ServerId(1), "boats");
            events.tell(&Fact::Holds { server, what, count: 2, limit: 1 });
        }
        violated()
    };
    let halt = traveller.go(Until { seen: Some(&seen), ..Until::time(at(60_000)) }).unwrap();
    assert!(matches!(halt, Halt::Seen), "{halt:?}");
    assert!(traveller.violated()() && traveller.now() < at(60_000));
    assert_eq!(looks.get(), 20, "it stops at that moment");
    traveller.goto(at(1)).unwrap();
    assert!(!traveller.violated()(), "done again, it has not come to it yet");
}

#[test]
fn a_file_of_the_host_that_changed_makes_a_difference() {
    let folder = Folder::new();
    let mut traveller = folder.traveller("seed 3\nwait leader\nload notes.txt\nwait 2s\n");
    finish(&mut traveller);
    std::fs::write(folder.0.path().join("notes.txt"), "other, and longer\n").unwrap();
    let end = traveller.now();
    traveller.goto(at(1000)).unwrap();
    traveller.goto(end).unwrap();
    assert!(traveller.take_difference().is_some());
}

#[test]
fn a_timeline_runs_without_some_of_its_steps() {
    let folder = Folder::new();
    let scenario = Scenario::parse(SCENARIO.as_bytes()).unwrap();
    let timeline = Timeline::new(&scenario, &folder.path());
    let until = || Until { finished: true, ..Until::time(at(60_000)) };
    let crashed = |stage: &Stage| {
        let ended = |event: &Event| matches!(event.kind, EventKind::Ended { .. });
        stage.sandbox().events().latest(1000).iter().any(ended)
    };
    let (whole, halt) = timeline.run(&BTreeSet::new(), until()).unwrap();
    assert!(matches!(halt, Halt::Finished) && crashed(&whole));
    let (again, _) = timeline.run(&BTreeSet::new(), until()).unwrap();
    assert_eq!(whole.fingerprint(), again.fingerprint());
    let crash = timeline.steps().iter().position(|step| step.text == "crash leader").unwrap();
    // `recover` and what names it as down are refused now.
    let (mut other, halt) = timeline.run(&BTreeSet::from([crash]), until()).unwrap();
    assert!(matches!(halt, Halt::Failed { step, .. } if step > crash), "{halt:?}");
    other.follow(timeline.steps(), &BTreeSet::from([crash]), until());
    assert!(!crashed(&other));
    assert_ne!(other.fingerprint(), whole.fingerprint());
}
