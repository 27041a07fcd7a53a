//! Histories known to be good and bad, by hand and by chance, and a checker too simple to be wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::Model;
use super::search::{Explained, Search, Supply};
use super::{
    LinearizabilityError, NotLinearizable, Undecided, check_linearizable, check_within, independent,
};
use crate::invariants::history::{Answer, Call, Content, History, Operation, Outcome};

type Files = BTreeMap<String, Vec<u8>>;

fn call(client: u64, operation: Operation, when: Range<u64>, outcome: Outcome) -> Call {
    let answer = Some(Answer { at: when.end, outcome });
    Call { client, operation, invoked: when.start, answer }
}

fn done(operation: Operation, when: Range<u64>) -> Call {
    call(1, operation, when, Outcome::Done)
}

fn unknown(operation: Operation, invoked: u64) -> Call {
    Call { client: 2, operation, invoked, answer: None }
}

fn saw(name: &str, content: &str, when: Range<u64>) -> Call {
    call(3, read(name), when, Outcome::Observed(content.into()))
}

fn create(name: &str, content: &str) -> Operation {
    Operation::Create { name: name.into(), content: content.into(), replace: false }
}

fn replace(name: &str, content: &str) -> Operation {
    Operation::Create { name: name.into(), content: content.into(), replace: true }
}

fn append(name: &str, content: &str) -> Operation {
    Operation::Append { name: name.into(), content: content.into() }
}

fn append_if(name: &str, holds: &str, content: &str) -> Operation {
    Operation::AppendIf { name: name.into(), holds: holds.into(), content: content.into() }
}

fn append_both(one: &str, other: &str, content: &str) -> Operation {
    Operation::AppendBoth { names: [one.into(), other.into()], content: content.into() }
}

fn read(name: &str) -> Operation {
    Operation::Read { name: name.into() }
}

fn delete(name: &str) -> Operation {
    Operation::Delete { name: name.into() }
}

fn rename(from: &str, to: &str) -> Operation {
    Operation::Rename { from: from.into(), to: to.into() }
}

fn check(calls: &[Call]) -> Result<(), NotLinearizable> {
    let history = History::from_calls(calls.to_vec()).expect("answered after invoked");
    match check_linearizable(&history) {
        Ok(summary) => assert_eq!(summary.calls, calls.len()),
        Err(LinearizabilityError::Violated(violation)) => return Err(violation),
        Err(LinearizabilityError::Undecided(undecided)) => panic!("{undecided}"),
    }
    Ok(())
}

#[track_caller]
fn good(calls: &[Call]) {
    check(calls).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(explicable(calls), "the simple checker disagrees");
}

#[track_caller]
fn bad(calls: &[Call]) -> NotLinearizable {
    assert!(!explicable(calls), "the simple checker disagrees");
    check(calls).expect_err("the history is not linearizable")
}

#[test]
fn nothing_happened() {
    good(&[]);
}

#[test]
fn one_call_after_the_other() {
    good(&[
        call(1, read("a"), 0..1, Outcome::NoSuchFile),
        done(create("a", "x"), 2..3),
        done(append("a", "y"), 4..5),
        saw("a", "xy", 6..7),
        call(1, create("a", "z"), 8..9, Outcome::NameExists),
        done(delete("a"), 10..11),
        call(1, append("a", "z"), 12..13, Outcome::NoSuchFile),
        call(1, delete("a"), 14..15, Outcome::NoSuchFile),
    ]);
}

#[test]
fn concurrent_calls_take_effect_in_either_order() {
    let both = [done(create("a", ""), 0..1), done(append("a", "x"), 2..9)];
    good(&[&both[..], &[done(append("a", "y"), 3..8), saw("a", "xy", 10..11)]].concat());
    good(&[&both[..], &[done(append("a", "y"), 3..8), saw("a", "yx", 10..11)]].concat());
    good(&[&both[..], &[saw("a", "", 3..4), saw("a", "x", 5..6)]].concat());
}

#[test]
fn a_stale_read_is_found_and_explained() {
    let violation = bad(&[
        done(create("a", "x"), 0..1),
        done(append("a", "y"), 2..3),
        saw("a", "xy", 4..5),
        saw("a", "x", 6..7),
    ]);
    assert_eq!(violation.placed.len(), 3);
    assert_eq!(violation.unplaced, [saw("a", "x", 6..7)]);
    assert_eq!(violation.files, BTreeMap::from([("a".to_owned(), Content::from("xy"))]));
    let expected = "\
not linearizable: no order of the calls on a explains their answers.
3 of 4 answered calls can be put in order, the last of them:
  client 1: create a \"x\": done, 0.000000 ms to 0.000001 ms
  client 1: append a \"y\": done, 0.000002 ms to 0.000003 ms
  client 3: read a: saw \"xy\", 0.000004 ms to 0.000005 ms
After them, a holds \"xy\". Of these one had to come next, and none fits:
  client 3: read a: saw \"x\", 0.000006 ms to 0.000007 ms";
    assert_eq!(violation.to_string(), expected);
}

#[test]
fn a_conditional_append_finds_the_file_as_it_was_seen() {
    let begun = [done(create("a", "x"), 0..1), done(append_if("a", "x", "y"), 2..3)];
    good(&[&begun[..], &[saw("a", "xy", 4..5)]].concat());
    // Nothing came between: not another conditional append that saw the same,
    bad(&[&begun[..], &[done(append_if("a", "x", "z"), 4..5)]].concat());
    // not a concurrent one either,
    bad(&[done(create("a", "x"), 0..1), done(append_if("a", "x", "y"), 2..9)]
        .into_iter()
        .chain([done(append_if("a", "x", "z"), 3..8)])
        .collect::<Vec<_>>());
    // unless the file was put back.
    good(
        &[&begun[..], &[done(replace("a", "x"), 4..5), done(append_if("a", "x", "z"), 6..7)]]
            .concat(),
    );
    // One that was refused says nothing.
    good(&[&begun[..], &[call(1, append_if("a", "x", "z"), 4..5, Outcome::NotDone)]].concat());
    bad(&[call(1, append_if("a", "", "z"), 0..1, Outcome::Done)]);
}

#[test]
fn an_append_to_two_files_is_seen_in_both_or_in_none() {
    let begun = [done(create("a", ""), 0..1), done(create("b", ""), 0..1)];
    let both = |outcome| call(1, append_both("a", "b", "x"), 2..9, outcome);
    let reads = |a: &str, b: &str| [saw("a", a, 10..11), saw("b", b, 12..13)];
    good(&[&begun[..], &[both(Outcome::Done)], &reads("x", "x")].concat());
    bad(&[&begun[..], &[both(Outcome::Done)], &reads("x", "")].concat());
    good(&[&begun[..], &[both(Outcome::NotDone)], &reads("", "")].concat());
    bad(&[&begun[..], &[both(Outcome::NotDone)], &reads("x", "x")].concat());
    for (a, b, holds) in [("x", "x", true), ("", "", true), ("", "x", true), ("x", "", false)] {
        let calls = [&begun[..], &[unknown(append_both("a", "b", "x"), 2)], &reads(a, b)].concat();
        assert_eq!(check(&calls).is_ok(), holds, "{a} {b}");
        assert_eq!(explicable(&calls), holds, "{a} {b}");
    }
    // The second read may see what happened after the first.
    let while_it_runs = |a: &str, b: &str| [saw("a", a, 3..4), saw("b", b, 5..6)];
    good(&[&begun[..], &[both(Outcome::Done)], &while_it_runs("", "x")].concat());
    bad(&[&begun[..], &[both(Outcome::Done)], &while_it_runs("x", "")].concat());
}

#[test]
fn reads_do_not_go_back() {
    // While the append runs, one read sees it, and a later one does not.
    bad(&[
        done(create("a", ""), 0..1),
        done(append("a", "x"), 2..9),
        saw("a", "x", 3..4),
        saw("a", "", 5..6),
    ]);
}

#[test]
fn an_acknowledged_append_is_not_lost() {
    bad(&[
        done(create("a", ""), 0..1),
        done(append("a", "x"), 2..3),
        done(append("a", "y"), 4..5),
        saw("a", "y", 6..7),
    ]);
}

#[test]
fn an_append_is_not_applied_twice() {
    bad(&[done(create("a", ""), 0..1), done(append("a", "x"), 2..3), saw("a", "xx", 4..5)]);
    // Not by a retry whose first attempt is unknown either: one call takes effect once.
    bad(&[done(create("a", ""), 0..1), unknown(append("a", "x"), 2), saw("a", "xx", 4..5)]);
    good(&[
        done(create("a", ""), 0..1),
        unknown(append("a", "x"), 2),
        done(append("a", "x"), 3..4),
        saw("a", "xx", 5..6),
    ]);
}

#[test]
fn appends_keep_the_order_of_real_time() {
    bad(&[
        done(create("a", ""), 0..1),
        done(append("a", "x"), 2..3),
        done(append("a", "y"), 4..5),
        saw("a", "yx", 6..7),
    ]);
}

#[test]
fn an_unknown_write_may_have_happened_may_yet_or_never() {
    let start = [done(create("a", ""), 0..1), unknown(append("a", "x"), 2)];
    good(&[&start[..], &[saw("a", "x", 3..4)]].concat());
    good(&[&start[..], &[saw("a", "", 3..4), saw("a", "", 5..6)]].concat());
    good(
        &[&start[..], &[saw("a", "", 3..4), done(append("a", "y"), 5..6), saw("a", "yx", 7..8)]]
            .concat(),
    );
    // Once seen, it has happened.
    bad(&[&start[..], &[saw("a", "x", 3..4), saw("a", "", 5..6)]].concat());
    // It cannot have happened before it was asked for.
    bad(&[done(create("a", ""), 0..1), saw("a", "x", 2..3), unknown(append("a", "x"), 4)]);
}

#[test]
fn an_answer_of_unknown_ends_nothing() {
    let answered = call(2, append("a", "x"), 2..3, Outcome::Unknown);
    good(&[
        done(create("a", ""), 0..1),
        answered,
        saw("a", "", 4..5),
        done(append("a", "y"), 6..7),
        saw("a", "yx", 8..9),
    ]);
}

#[test]
fn a_call_that_was_not_done_is_never_seen() {
    let refused = call(2, append("a", "x"), 2..3, Outcome::NotDone);
    good(&[done(create("a", ""), 0..1), refused.clone(), saw("a", "", 4..5)]);
    bad(&[done(create("a", ""), 0..1), refused, saw("a", "x", 4..5)]);
}

#[test]
fn refusals_are_facts() {
    let exists = |when| call(1, create("a", "x"), when, Outcome::NameExists);
    let missing = |when| call(1, append("a", "x"), when, Outcome::NoSuchFile);
    bad(&[exists(0..1)]);
    bad(&[done(create("a", ""), 0..1), missing(2..3)]);
    bad(&[done(create("a", ""), 0..1), done(delete("a"), 2..3), exists(4..5)]);
    good(&[done(create("a", ""), 0..9), exists(1..2), missing(3..3)][..2]);
    good(&[done(create("a", ""), 0..9), missing(1..2), exists(3..4)]);
    bad(&[done(create("a", ""), 0..9), exists(1..2), missing(3..4)]);
}

#[test]
fn answers_that_no_state_can_give_are_refused() {
    bad(&[call(1, read("a"), 0..1, Outcome::Done)]);
    bad(&[call(1, append("a", "x"), 0..1, Outcome::NameExists)]);
    bad(&[call(1, create("a", "x"), 0..1, Outcome::NoSuchFile)]);
    bad(&[call(1, replace("a", "x"), 0..1, Outcome::NameExists)]);
}

#[test]
fn a_file_made_again_starts_afresh() {
    let first = [done(create("a", "x"), 0..1), done(append("a", "y"), 2..3)];
    good(&[&first[..], &[done(replace("a", "z"), 4..5), saw("a", "z", 6..7)]].concat());
    bad(&[&first[..], &[done(replace("a", "z"), 4..5), saw("a", "xy", 6..7)]].concat());
    bad(&[&first[..], &[done(create("a", "z"), 4..5)]].concat());
    // The delete whose answer was lost must have happened, before the second create.
    good(
        &[
            &first[..],
            &[unknown(delete("a"), 4), saw("a", "xy", 5..6), done(create("a", "z"), 7..8)],
            &[done(append("a", "!"), 9..10), saw("a", "z!", 11..12)],
        ]
        .concat(),
    );
}

#[test]
fn an_append_nobody_saw_may_belong_to_the_next_file_of_the_name() {
    // The append runs while the file is deleted and made again: it must come last.
    good(&[
        done(create("a", "x"), 0..1),
        done(append("a", "y"), 2..20),
        done(append("a", "z"), 2..20),
        done(delete("a"), 3..4),
        done(create("a", "w"), 5..6),
        saw("a", "wzy", 21..22),
    ]);
}

#[test]
fn a_rename_carries_the_content() {
    let start = [done(create("a", "x"), 0..1), done(rename("a", "b"), 2..3)];
    let gone = call(1, read("a"), 4..5, Outcome::NoSuchFile);
    good(&[&start[..], &[gone, done(append("b", "y"), 6..7), saw("b", "xy", 8..9)]].concat());
    bad(&[&start[..], &[saw("a", "x", 4..5)]].concat());
    bad(&[&start[..], &[saw("b", "", 4..5)]].concat());
    // The append to the old name must come before the rename; it cannot.
    bad(&[&start[..], &[done(append("a", "y"), 4..5)]].concat());
    good(&[
        done(create("a", "x"), 0..1),
        unknown(rename("a", "b"), 2),
        done(append("a", "y"), 3..4),
        saw("b", "xy", 5..6),
    ]);
}

/// Calls of unknown outcome are placed right before what needs them: a rename may need two, one
/// for each of its names.
#[test]
fn two_unknown_calls_may_make_way_for_one_rename() {
    let history = |append: &str| {
        vec![
            done(create("a", "x"), 0..1),
            done(create("b", "y"), 2..3),
            unknown(self::append("a", append), 4),
            unknown(delete("b"), 4),
            done(rename("a", "b"), 5..6),
            saw("b", "xz", 7..8),
        ]
    };
    good(&history("z"));
    bad(&history("w"));
}

#[test]
fn a_refused_rename_tells_of_one_name() {
    let missing = |when| call(1, rename("a", "b"), when, Outcome::NoSuchFile);
    let taken = |when| call(1, rename("a", "b"), when, Outcome::NameExists);
    good(&[missing(0..1), done(create("a", ""), 2..3), done(create("b", ""), 4..5), taken(6..7)]);
    bad(&[done(create("a", ""), 0..1), missing(2..3)]);
    bad(&[done(create("a", ""), 0..1), taken(2..3)]);
}

#[test]
fn every_byte_counts_and_pieces_may_be_cut_anywhere() {
    good(&[
        done(create("a", "\0"), 0..1),
        done(append("a", ""), 2..3),
        done(append("a", "\0\0"), 4..5),
        saw("a", "\0\0\0", 6..7),
    ]);
    bad(&[done(create("a", "\0"), 0..1), done(append("a", "\0"), 2..3), saw("a", "\0", 4..5)]);
    // "ab" + "a" or "a" + "ba": only one of them leads on.
    good(&[
        done(create("a", ""), 0..1),
        done(append("a", "ab"), 2..9),
        done(append("a", "a"), 2..9),
        done(append("a", "ba"), 2..9),
        saw("a", "ababa", 10..11),
        saw("a", "ababa", 12..13),
    ]);
}

#[test]
fn a_piece_may_begin_in_what_two_contents_share() {
    good(&[
        done(create("a", "p"), 0..1),
        done(append("a", "qrs"), 2..3),
        saw("a", "pqrs", 4..5),
        done(replace("a", "p"), 6..7),
        done(append("a", "qxy"), 8..9),
        saw("a", "pqxy", 10..11),
    ]);
}

#[test]
fn files_are_checked_apart() {
    let violation = bad(&[
        done(create("a", "x"), 0..1),
        done(create("b", "x"), 2..3),
        saw("a", "x", 4..5),
        saw("b", "y", 4..5),
    ]);
    assert!(violation.to_string().contains("the calls on b"), "{violation}");
}

#[test]
fn an_endless_supply_of_one_delete_explains_too_much_and_says_so() {
    let once = [
        done(create("a", ""), 0..1),
        unknown(delete("a"), 2),
        call(1, read("a"), 3..4, Outcome::NoSuchFile),
    ];
    let again = [done(create("a", ""), 5..6), call(1, read("a"), 7..8, Outcome::NoSuchFile)];
    assert_eq!(search_endless(&once), Ok(Explained { each_once: true }));
    let twice = [&once[..], &again[..]].concat();
    assert_eq!(search_endless(&twice), Ok(Explained { each_once: false }));
    bad(&twice);
}

fn search_endless(calls: &[Call]) -> Result<Explained, NotLinearizable> {
    let model = Model::new(&calls.iter().collect::<Vec<_>>());
    Search::new(&model, Supply::Endless).run(usize::MAX).0.expect("patience without end")
}

#[test]
fn ten_thousand_calls_of_twenty_clients_are_checked_in_time() {
    for (seed, mix) in [(7, Mix::Appends), (8, Mix::Files), (9, Mix::Renames)] {
        let world = World { calls: 10_000, clients: 20, files: 5, mix, outages: false };
        let history = random_history(seed, &world);
        check_linearizable(&history).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[test]
fn one_wrong_answer_among_ten_thousand_is_found() {
    for (seed, mix) in [(7, Mix::Appends), (8, Mix::Files), (9, Mix::Renames)] {
        let world = World { calls: 10_000, clients: 20, files: 5, mix, outages: false };
        let history = random_history(seed, &world);
        let mut calls = history.calls().to_vec();
        garble_one_read(&mut calls, &mut ChaCha8Rng::seed_from_u64(seed));
        let history = History::from_calls(calls).expect("times are unchanged");
        check_linearizable(&history).expect_err("a read saw what was never there");
    }
}

/// How many configurations the check enters.
#[track_caller]
fn effort(history: &History, linearizable: bool) -> usize {
    let (verdict, entered) = check_within(history, 1 << 17);
    match verdict {
        Ok(_) => assert!(linearizable),
        Err(LinearizabilityError::Violated(violation)) => assert!(!linearizable, "{violation}"),
        Err(LinearizabilityError::Undecided(undecided)) => panic!("{undecided}"),
    }
    entered
}

/// What a simulated world once left behind: forty clients wait for a leader, with appends on
/// conditions and to two files, renames and calls of unknown outcome among them, and all is done
/// at one time. The search used to go through the orders on all five files together.
#[test]
fn much_that_is_done_at_one_time_is_little_effort() {
    let text = include_str!("outage.jsonl");
    let history = History::read_lines(text.as_bytes()).expect("is a history");
    assert!(history.calls().len() > 100);
    let entered = effort(&history, true);
    assert!(entered < 2_000, "{entered} configurations");
}

/// Outages of all kinds, and one wrong answer in each.
#[test]
fn effort_grows_with_the_calls() {
    for seed in 0..60 {
        let mix = [Mix::Appends, Mix::Files, Mix::Renames, Mix::WildRenames][seed as usize % 4];
        let clients = 5 + seed as usize % 40;
        let world = World { calls: 600, clients, files: 5, mix, outages: true };
        let history = random_history(seed, &world);
        let entered = effort(&history, true);
        let mut calls = history.calls().to_vec();
        garble_one_read(&mut calls, &mut ChaCha8Rng::seed_from_u64(seed));
        let garbled = History::from_calls(calls).expect("times are unchanged");
        let in_vain = effort(&garbled, false);
        assert!(entered < 4_000, "seed {seed}, {mix:?}: {entered} configurations");
        assert!(in_vain < 40_000, "seed {seed}, {mix:?}, garbled: {in_vain} configurations");
    }
}

/// Appends of an even number of equal bytes each, and a read of an odd number: to find that no
/// order has it, all sets of them have to be tried.
#[test]
fn a_search_that_is_too_long_ends_undecided() {
    let mut calls = vec![done(create("a", ""), 0..1)];
    calls.extend((1..=30).map(|half| done(append("a", &"xx".repeat(half)), 10..100)));
    calls.push(saw("a", &"x".repeat(201), 10..100));
    calls.extend([done(create("b", "x"), 2..3), saw("b", "x", 4..5)]);
    let history = History::from_calls(calls.clone()).expect("in order");
    let (verdict, entered) = check_within(&history, 1 << 16);
    let Err(LinearizabilityError::Undecided(undecided)) = verdict else { panic!("{verdict:?}") };
    let files = vec!["a".to_owned()];
    let expected = Undecided { files, calls: 32, unknown: 0, configurations: 1 << 16 };
    assert_eq!((&undecided, entered), (&expected, 1 << 16));
    let text = undecided.to_string();
    let begin =
        "not decided: 65536 configurations do not tell whether the 32 calls on a, 0 of them";
    assert!(text.starts_with(begin), "{text}");
    // What is wrong elsewhere is found all the same.
    calls.push(saw("b", "y", 6..7));
    let history = History::from_calls(calls).expect("in order");
    let (verdict, _) = check_within(&history, 1 << 16);
    assert!(matches!(verdict, Err(LinearizabilityError::Violated(_))), "{verdict:?}");
}

#[test]
fn a_history_survives_its_encoding() {
    let world = World { calls: 200, clients: 4, files: 2, mix: Mix::Renames, outages: false };
    let mut calls = random_history(1, &world).calls().to_vec();
    let bytes: Vec<u8> = (0..=255).collect();
    calls.push(call(1, read("a"), 0..1, Outcome::Observed(bytes.into())));
    let encoded = postcard::to_stdvec(&calls).expect("encodes");
    assert_eq!(postcard::from_bytes::<Vec<Call>>(&encoded).expect("decodes"), calls);
}

#[test]
fn a_call_answered_before_it_is_invoked_is_refused() {
    let mut late = call(1, read("a"), 4..5, Outcome::Done);
    late.invoked = 6;
    let error = History::from_calls(vec![saw("a", "", 0..1), late]);
    let text = error.expect_err("is malformed").to_string();
    assert!(text.starts_with("call 2 of the history (client 1: read a: done"), "{text}");
}

#[test]
fn events_of_one_moment_keep_their_order() {
    let mut history = History::new();
    let created = history.invoke(1, create("a", "x"), 5);
    history.answer(created, Outcome::Done, 5);
    let stale = history.invoke(2, read("a"), 5);
    history.answer(stale, Outcome::NoSuchFile, 5);
    check_linearizable(&history).expect_err("the read came after the create");
}

/// The same cases in every run.
fn fixed(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(1);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed(100))]

    #[test]
    fn what_one_copy_did_is_accepted(
        seed: u64,
        calls in 1..300_usize,
        clients in 1..12_usize,
        files in 1..4_usize,
        mix in mixes(),
        outages: bool,
    ) {
        let history = random_history(seed, &World { calls, clients, files, mix, outages });
        prop_assert_eq!(check_linearizable(&history).map(|summary| summary.calls), Ok(calls));
    }

    #[test]
    fn a_lost_append_is_rejected(seed: u64, calls in 20..200_usize, clients in 1..8_usize) {
        let world = World { calls, clients, files: 2, mix: Mix::Appends, outages: false };
        let mut calls = random_history(seed, &world).calls().to_vec();
        if lose_one_append(&mut calls, seed) {
            prop_assert!(check(&calls).is_err());
        }
    }
}

proptest! {
    #![proptest_config(fixed(4000))]

    #[test]
    fn agrees_with_the_simple_checker(seed: u64, distinct: bool) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let calls = small_history(&mut rng, distinct);
        let right = explicable(&calls);
        prop_assert_eq!(check(&calls).is_ok(), right, "{:#?}", calls);
        for group in independent(&History::from_calls(calls.clone()).expect("in order")) {
            let group: Vec<Call> = group.into_iter().cloned().collect();
            match search_endless(&group) {
                Ok(explained) if explained.each_once => prop_assert!(explicable(&group)),
                Ok(_) => {}
                Err(violation) => prop_assert!(!explicable(&group), "{}", violation),
            }
        }
    }
}

fn mixes() -> impl Strategy<Value = Mix> {
    prop::sample::select(vec![Mix::Appends, Mix::Files, Mix::Renames, Mix::WildRenames])
}

/// Tries every order of the calls.
fn explicable(calls: &[Call]) -> bool {
    fn go(left: &[&Call], files: &Files) -> bool {
        let ends = |call: &Call| match call.outcome() {
            Outcome::Unknown => u64::MAX,
            _ => call.answer.as_ref().map_or(u64::MAX, |answer| answer.at),
        };
        let first_end = left.iter().map(|call| ends(call)).min().unwrap_or(u64::MAX);
        first_end == u64::MAX
            || (0..left.len()).any(|place| {
                let call = left[place];
                let rest = [&left[..place], &left[place + 1..]].concat();
                let mut after = files.clone();
                let told = perform(&call.operation, &mut after);
                let either = match (&call.operation, call.outcome()) {
                    // Of two reasons to refuse a rename, either may be given.
                    (Operation::Rename { to, .. }, Outcome::NameExists) => files.contains_key(to),
                    // What could not be done had no effect, and need not be placed.
                    (_, Outcome::Unknown) => true,
                    (_, outcome) => *outcome == told,
                };
                call.invoked <= first_end && either && go(&rest, &after)
            })
    }
    let happened = |call: &&Call| *call.outcome() != Outcome::NotDone;
    go(&calls.iter().filter(happened).collect::<Vec<_>>(), &Files::new())
}

/// What one copy of the files does.
fn perform(operation: &Operation, files: &mut Files) -> Outcome {
    let exists = files.contains_key(operation.name());
    match operation {
        Operation::Create { replace: false, .. } if exists => return Outcome::NameExists,
        Operation::Create { name, content, .. } => {
            files.insert(name.clone(), content.0.to_vec());
        }
        Operation::AppendBoth { names, content } => {
            if !names.iter().all(|name| files.contains_key(name)) {
                return Outcome::NotDone;
            }
            for name in names {
                files.entry(name.clone()).or_default().extend_from_slice(&content.0);
            }
        }
        _ if !exists => return Outcome::NoSuchFile,
        Operation::AppendIf { name, holds, .. } if files[name] != holds.0 => {
            return Outcome::NotDone;
        }
        Operation::Append { name, content } | Operation::AppendIf { name, content, .. } => {
            files.entry(name.clone()).or_default().extend_from_slice(&content.0);
        }
        Operation::Read { name } => return Outcome::Observed(files[name].clone().into()),
        Operation::Delete { name } => {
            files.remove(name);
        }
        Operation::Rename { from, to } if from == to => {}
        Operation::Rename { to, .. } if files.contains_key(to) => return Outcome::NameExists,
        Operation::Rename { from, to } => {
            let content = files.remove(from).unwrap_or_default();
            files.insert(to.clone(), content);
        }
    }
    Outcome::Done
}

struct World {
    calls: usize,
    clients: usize,
    files: usize,
    mix: Mix,
    /// Whether all that is asked for waits, again and again, until nearly every client does.
    outages: bool,
}

/// What the clients do.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mix {
    /// Append and read, once the files are there.
    Appends,
    /// Also create, replace and delete.
    Files,
    /// Also rename: each file has two names, which it may swap.
    Renames,
    /// Also rename, any file to any name.
    WildRenames,
}

/// Clients that call one copy of the files, each call taking effect at some moment before its
/// answer. One call in ten ends with an unknown outcome; it may take effect much later, or never.
fn random_history(seed: u64, world: &World) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut history = History::new();
    let mut files = Files::new();
    let mut calls = 0;
    if world.mix == Mix::Appends {
        for file in 0..world.files.min(world.calls) {
            calls += 1;
            let operation = create(&format!("f{file}"), "");
            let pending = history.invoke(0, operation.clone(), 0);
            let told = perform(&operation, &mut files);
            history.answer(pending, told, 0);
        }
    }
    // For each client its call under way and what it was told, once that took effect.
    let mut clients: Vec<_> = (0..world.clients).map(|_| None).collect();
    let mut late = Vec::new();
    let mut outage = false;
    while calls < world.calls || clients.iter().any(Option::is_some) {
        if !late.is_empty() && rng.random_ratio(1, 50) {
            let operation: Operation = late.swap_remove(rng.random_range(0..late.len()));
            perform(&operation, &mut files);
        }
        let client = rng.random_range(0..world.clients);
        let waiting = clients.iter().flatten().count();
        outage = match outage {
            true => calls < world.calls && waiting < world.clients,
            false => world.outages && rng.random_ratio(1, 100) && calls < world.calls,
        };
        clients[client] = match clients[client].take() {
            None if calls == world.calls => None,
            waits @ Some(_) if outage => waits,
            None => {
                calls += 1;
                let operation = random_operation(&mut rng, calls, world, &files);
                let pending = history.invoke(client as u64, operation.clone(), 0);
                Some((pending, operation, None))
            }
            Some((pending, operation, None)) if rng.random_ratio(1, 10) => {
                if rng.random() {
                    late.push(operation);
                }
                if rng.random() {
                    history.answer(pending, Outcome::Unknown, 0);
                }
                None
            }
            Some((pending, operation, None)) => {
                let told = match rng.random_ratio(1, 40) {
                    true => Outcome::NotDone,
                    false => perform(&operation, &mut files),
                };
                Some((pending, operation, Some(told)))
            }
            Some((_, _, Some(_))) if rng.random_ratio(1, 10) => None,
            Some((pending, _, Some(told))) => {
                history.answer(pending, told, 0);
                None
            }
        };
    }
    history
}

fn random_operation(
    rng: &mut ChaCha8Rng,
    number: usize,
    world: &World,
    files: &Files,
) -> Operation {
    let file = rng.random_range(0..world.files);
    let name = match world.mix {
        Mix::Renames if rng.random() => format!("g{file}"),
        _ => format!("f{file}"),
    };
    let to = match world.mix {
        Mix::Renames => format!("{}{file}", if name.starts_with('f') { 'g' } else { 'f' }),
        _ => format!("f{}", rng.random_range(0..world.files)),
    };
    let content = Content::from(format!("({number})").as_str());
    let kinds = match world.mix {
        Mix::Appends => 85,
        Mix::Files => 97,
        Mix::Renames | Mix::WildRenames => 100,
    };
    match rng.random_range(0..kinds) {
        38..45 if name != to => Operation::AppendBoth { names: [name, to], content },
        34..38 if files.contains_key(&name) => {
            let holds = files[&name].clone().into();
            Operation::AppendIf { name, holds, content }
        }
        0..45 => Operation::Append { name, content },
        45..85 => Operation::Read { name },
        85..94 => Operation::Create { name, content, replace: rng.random_ratio(1, 5) },
        94..97 => Operation::Delete { name },
        _ => Operation::Rename { from: name, to },
    }
}

/// A few calls on few names with few contents, or with distinct ones, true or nearly so.
fn small_history(rng: &mut impl Rng, distinct: bool) -> Vec<Call> {
    let mut files = Files::new();
    let mut calls: Vec<Call> = (0..rng.random_range(1..8_u64))
        .map(|client| {
            let name = ["a", "b"][rng.random_range(0..2) * rng.random_range(0..2)].to_owned();
            let content = match distinct {
                true => client.to_string().as_str().into(),
                false => Content::from(["", "x", "y", "xy", "yx"][rng.random_range(0..5)]),
            };
            let operation = match rng.random_range(0..14) {
                0..4 => Operation::Append { name, content },
                12 => append_both("a", "b", &String::from(content)),
                13 => {
                    let holds = match files.get(&name) {
                        Some(held) if rng.random() => held.clone().into(),
                        _ => Content::from(["", "x", "y", "xy"][rng.random_range(0..4)]),
                    };
                    Operation::AppendIf { name, holds, content }
                }
                4..7 => Operation::Read { name },
                7..10 => Operation::Create { name, content, replace: rng.random_ratio(1, 3) },
                10 => Operation::Delete { name },
                _ => {
                    let to = ["a", "b"][rng.random_range(0..2)].to_owned();
                    Operation::Rename { from: name, to }
                }
            };
            let effect = 10 * client;
            let when =
                effect - rng.random_range(0..=effect.min(20))..effect + rng.random_range(1..30);
            if rng.random_ratio(1, 6) {
                if rng.random() {
                    perform(&operation, &mut files);
                }
                return unknown(operation, when.start);
            }
            let told = perform(&operation, &mut files);
            call(client, operation, when, told)
        })
        .collect();
    let other = |rng: &mut _| RngExt::random_range(rng, 0..calls.len());
    let (one, another) = (other(rng), other(rng));
    let invoked = calls[one].invoked;
    match rng.random_range(0..4) {
        0 => {
            calls[one].answer = calls[another].answer.clone().filter(|answer| answer.at > invoked);
        }
        1 => calls[one].operation = calls[another].operation.clone(),
        2 => {
            if let Some(answer) = &mut calls[one].answer {
                answer.at = invoked + 1;
            }
        }
        _ => {}
    }
    calls
}

fn garble_one_read(calls: &mut [Call], rng: &mut impl Rng) {
    let mut seen: Vec<_> = calls
        .iter_mut()
        .filter_map(|call| call.answer.as_mut())
        .filter(
            |answer| matches!(&answer.outcome, Outcome::Observed(content) if !content.0.is_empty()),
        )
        .collect();
    let place = rng.random_range(0..seen.len());
    if let Outcome::Observed(content) = &mut seen[place].outcome {
        let shorter = content.0.len() - 1;
        *content = content.0[..shorter].to_vec().into();
    }
}

/// Takes one acknowledged append out of all that was read after its answer; false if none saw it.
fn lose_one_append(calls: &mut [Call], seed: u64) -> bool {
    let appends: Vec<(Vec<u8>, u64)> = calls
        .iter()
        .filter_map(|call| match (&call.operation, &call.answer) {
            (Operation::Append { content, .. }, Some(Answer { at, outcome: Outcome::Done })) => {
                Some((content.0.to_vec(), *at))
            }
            _ => None,
        })
        .collect();
    let Some((piece, at)) = appends.get(seed as usize % appends.len().max(1)) else { return false };
    let mut lost = false;
    for call in calls.iter_mut().filter(|call| call.invoked > *at) {
        if let Some(Answer { outcome: Outcome::Observed(content), .. }) = &mut call.answer {
            let found = content.0.windows(piece.len()).position(|window| window == piece);
            if let Some(place) = found {
                let rest = &content.0[place + piece.len()..];
                *content = [&content.0[..place], rest].concat().into();
                lost = true;
            }
        }
    }
    lost
}
