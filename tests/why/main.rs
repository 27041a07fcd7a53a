//! Why something is so: a hundred incidents with a known cause, and what is not so.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

mod incidents;

use std::path::Path;
use std::time::Duration;

use jangada::raft::Time;
use jangada::replay::Timeline;
use jangada::script::{Inquiry, Scenario, Statement, Variables, parse};
use jangada::sim::{World, WorldOptions};
use jangada::why::{Answer, Verdict, explain};

/// The run of a scenario, and when it ends.
fn run(scenario: &str) -> (Timeline, Time) {
    let scenario = Scenario::parse(scenario.as_bytes()).unwrap();
    let timeline = Timeline::new(&scenario, Path::new("test.jangada"));
    let end = timeline.finish().unwrap();
    (timeline, end)
}

fn inquiry(question: &str) -> Inquiry {
    match parse(question, &Variables::new()) {
        Ok(Some(Statement::Why(inquiry))) => inquiry,
        other => panic!("{question} is no question: {other:?}"),
    }
}

/// Asks at the end of a scenario.
fn ask(scenario: &str, question: &str) -> Answer {
    let (timeline, end) = run(scenario);
    explain(&timeline, &inquiry(question), end).unwrap()
}

#[test]
fn what_is_not_so_is_said_plainly() {
    let calm = "servers 3\nseed 7\nwait leader\nload Cargo.toml\nwait 1s\n";
    for (question, instead) in [
        ("why no-leader", "There is a leader: S3, which a majority has followed since 0.285 s."),
        ("why 3 lost leadership", "S3 leads: it has led term 1 since 0.285 s."),
        ("why 1 lost leadership", "S1 has never led, and so it lost no leadership."),
        ("why 2 is not committed", "2 is committed: S1, S2 and S3 know it."),
        ("why 99 is not committed", "No log has an entry 99: the longest ends at 3."),
        ("why 1 refused its vote", "S1 has refused nobody its vote."),
        ("why no-leader at 9s", "It is 1.326 s now; what is at 9.000 s, nobody knows yet."),
    ] {
        let answer = ask(calm, question);
        assert_eq!((answer.to_string().trim_end(), answer.causes().len()), (instead, 0));
        assert!(answer.chain.is_empty());
    }
}

#[test]
fn what_no_order_caused_is_told_from_events_alone() {
    let answer = ask("servers 3\nseed 7\nwait 100ms\n", "why no-leader");
    assert_eq!((&answer.verdict, answer.chain.len()), (&Verdict::NoOrder, 1));
    assert!(answer.to_string().contains("S3's election timeout ends first, at 0.284 s"));
    let harmless = "servers 3\nseed 7\ndisk 1 1ms\nwait 100ms\n";
    let answer = ask(harmless, "why no-leader");
    assert_eq!(answer.verdict, Verdict::NoOrder);
    assert!(answer.to_string().contains("it is so without all of them, too"));
}

#[test]
fn orders_that_did_it_together_are_named_together() {
    let scenario = "servers 3\nseed 7\nwait leader\nwait 1s\ncrash leader\nwait 1s\n\
                    crash leader\nwait 2s\n";
    let Verdict::Together(causes) = ask(scenario, "why no-leader").verdict else { panic!() };
    assert_eq!(causes.iter().filter_map(|cause| cause.line).collect::<Vec<_>>(), [5, 7]);
}

#[test]
fn a_slow_disk_a_slow_state_machine_and_a_slow_network_are_told_apart() {
    for (order, told) in [
        ("disk 3 stall", "its disk had finished no write for 350ms"),
        ("apply 3 stall", "its state machine had applied nothing for 350ms"),
        ("delay 3 <-> 1,2 2s", "it had no answer from a majority (check-quorum)"),
        ("transfer", "handed over to S"),
    ] {
        let scenario = format!(
            "servers 3\nseed 7\nwait leader\nclients 2 for 5s every 10ms\nwait 1s\n{order}\n\
             wait 2s\n"
        );
        let answer = ask(&scenario, "why 3 lost leadership");
        let Verdict::Because(cause) = &answer.verdict else { panic!("{order}: {answer}") };
        assert_eq!(cause.line, Some(6), "{order}: {answer}");
        assert!(answer.to_string().contains(told), "{order}: {answer}");
    }
}

#[test]
fn a_server_that_lost_its_disk_says_why_it_does_not_vote() {
    let scenario = "servers 3\nseed 7\ndisks simulated\nwait leader\nclients 2 for 5s every 10ms\n\
                    wait 1s\ncrash 1\ndisk-destroy 1\ncut 1 -> all\nrejoin 1\nwait 1s\n\
                    crash 3\nheal\nwait 300ms\n";
    let answer = ask(scenario, "why 1 refused its vote");
    let told = answer.to_string();
    assert!(told.contains("it lost its disk, and does not vote before a quorum"), "{told}");
    assert!(told.contains("S1 started, with a disk that had forgotten everything"), "{told}");
}

#[test]
fn orders_each_of_which_is_enough_are_told_apart_from_those() {
    let scenario = "servers 3\nseed 7\nwait leader\nwait 1s\nloss 100% all -> all\n\
                    partition 1 | 2 | 3\nwait 2s\n";
    let Verdict::Either(causes) = ask(scenario, "why no-leader").verdict else { panic!() };
    assert_eq!(causes.iter().filter_map(|cause| cause.line).collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn an_order_that_was_refused_is_no_cause_and_stays_refused() {
    // Without the crash there would be a leader for the other line to crash.
    let scenario = "servers 3\nseed 7\nwait leader\nwait 1s\ncrash leader\nwait 20ms\n\
                    try crash leader\nwait 60ms\n";
    let Verdict::Because(cause) = ask(scenario, "why no-leader").verdict else { panic!() };
    assert_eq!(cause.line, Some(5));
}

#[test]
fn an_order_that_is_enough_by_itself_is_named_alone() {
    // S3 leads, and again after the second election: without that, its crash would be harmless;
    // without the first one, too, it would not.
    let scenario = "servers 3\nseed 7\nwait leader\nwait 1s\ntimeout 1\nwait 500ms\ntimeout 3\n\
                    wait 500ms\ncrash 3\nwait 60ms\n";
    let Verdict::Because(cause) = ask(scenario, "why no-leader").verdict else { panic!() };
    assert_eq!(cause.line, Some(9));
}

#[test]
fn a_moment_before_the_end_is_asked_about_as_it_was() {
    let scenario = "servers 3\nseed 7\nwait leader\nwait 1s\ncrash leader\nwait 3s\nheal\n";
    assert_eq!(ask(scenario, "why no-leader").verdict, Verdict::NotSo);
    let answer = ask(scenario, "why no-leader at 1.3s");
    assert_eq!(answer.causes().iter().map(|cause| cause.line).collect::<Vec<_>>(), [Some(5)]);
    assert!(answer.chain.iter().all(|link| link.at <= Time::from_nanos(1_300_000_000)));
}

/// `docs/learning.md` shows commands and what they answer.
#[test]
fn the_answers_in_the_docs_are_those_that_are_given() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let learning = std::fs::read_to_string(root.join("docs/learning.md")).unwrap();
    let mut shown = 0;
    for block in learning.split("```").filter(|block| block.contains("$ jangada why")) {
        let (command, answer) = block.trim_start().split_once('\n').unwrap();
        let words = command.strip_prefix("$ jangada ").unwrap().split(' ');
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_jangada"))
            .args(words)
            .current_dir(root)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), answer, "{command}");
        shown += 1;
    }
    assert!(shown > 0, "the docs have lost their answers");
}

#[test]
fn a_trace_answers_as_its_scenario_does() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = "servers 3\nseed 7\nwait leader\nwait 1s\nspeed leader slow\nwait 1s\n";
    std::fs::write(directory.path().join("slow.jangada"), scenario).unwrap();
    let jangada = |arguments: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_jangada"))
            .args(arguments.split(' '))
            .current_dir(directory.path())
            .output()
            .unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        (output.status.code(), out, err)
    };
    assert_eq!(jangada("run --trace trace.txt slow.jangada").0, Some(0));
    let expected = jangada("why 3 lost leadership --scenario slow.jangada");
    assert!(expected.1.contains("speed leader slow   (line 5)"), "{expected:?}");
    assert_eq!(jangada("why 3 lost leadership --trace trace.txt"), expected);

    // Without its scenario it tells what is recorded, and names no cause.
    let trace = std::fs::read_to_string(directory.path().join("trace.txt")).unwrap();
    let lines = trace.lines().filter(|line| !line.contains(" scenario "));
    let bare: Vec<&str> = lines.collect();
    std::fs::write(directory.path().join("bare.txt"), bare.join("\n") + "\n").unwrap();
    let (code, told, _) = jangada("why 3 lost leadership --trace bare.txt");
    assert!(code == Some(0) && told.contains("no cause can be confirmed"), "{told}");
    assert!(told.contains("S3 stepped down"), "{told}");

    // Nor does one that is not of its scenario.
    std::fs::write(
        directory.path().join("other.txt"),
        trace.replace("leader (term 1)", "leader (term 9)"),
    )
    .unwrap();
    let (_, told, _) = jangada("why 3 lost leadership --trace other.txt");
    assert!(told.contains("no cause can be confirmed"), "{told}");

    for (arguments, complaint) in [
        ("why no-leader --trace slow.jangada", "line 1 is no line of a trace"),
        ("why no-leader --trace gone.txt", "gone.txt: cannot be opened"),
        ("why bicycle --trace bare.txt", "`bicycle` is neither"),
    ] {
        let (code, _, err) = jangada(arguments);
        assert!(code == Some(2) && err.contains(complaint), "{err}");
    }
}

#[test]
fn whatever_happens_is_explained_within_bounds() {
    let options = WorldOptions { trouble: Some(Duration::from_secs(2)), ..WorldOptions::default() };
    let mut named = 0;
    for seed in [1, 10, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42] {
        let world = World::expand(seed, options);
        let timeline = Timeline::new(&world.scenario, Path::new("world.jangada"));
        let now = Time::default() + Duration::from_secs(2);
        for question in [
            "no-leader",
            "1 lost leadership",
            "2 lost leadership",
            "3 lost leadership",
            "1 refused its vote",
            "2 refused its vote",
            "9 is not committed",
        ] {
            let answer = explain(&timeline, &inquiry(&format!("why {question}")), now).unwrap();
            // The run is done again message for message.
            assert_ne!(answer.verdict, Verdict::Unconfirmed, "{answer}");
            assert!(answer.chain.len() <= 10 && answer.replays <= 256, "{answer}");
            assert!(answer.chain.is_sorted_by_key(|link| link.at), "{answer}");
            assert_eq!(answer.chain.is_empty(), answer.verdict == Verdict::NotSo, "{answer}");
            named += usize::from(!answer.causes().is_empty());
        }
    }
    assert!(named > 9, "only {named} questions have found a cause");
}
