//! `jangada check-history`, as a person starts it, and where its histories come from.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use jangada::invariants::{Answer, Call, Content, History, Operation, Outcome};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn jangada(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jangada"))
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Checks a history from a file: the exit status, and what was said.
fn check(calls: Vec<Call>) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    History::from_calls(calls).unwrap().write_lines(&mut lines).unwrap();
    fs::write(directory.path().join("calls.jsonl"), lines).unwrap();
    let output = jangada(directory.path(), &["check-history", "calls.jsonl"]);
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

/// 10,000 calls of 20 clients on five files. Each takes effect at some moment before its answer;
/// of one in twenty nobody hears, and half of these take effect.
fn ten_thousand_calls(seed: u64) -> Vec<Call> {
    let mut luck = ChaCha8Rng::seed_from_u64(seed);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut calls: Vec<Call> = Vec::new();
    // For each client its call under way, and what became of it.
    let mut clients: [Option<(usize, Option<Outcome>)>; 20] = [const { None }; 20];
    for now in 0.. {
        let client = luck.random_range(0..20);
        clients[client] = match clients[client].take() {
            None if calls.len() == 10_000 => break,
            None => {
                let name = format!("f{}", luck.random_range(0..5));
                let content = Content::from(format!("({now})").as_str());
                let operation = match luck.random_range(0..100) {
                    0..45 => Operation::Append { name, content },
                    45..90 => Operation::Read { name },
                    90..98 => Operation::Create { name, content, replace: false },
                    _ => Operation::Delete { name },
                };
                calls.push(Call { client: client as u64, operation, invoked: now, answer: None });
                Some((calls.len() - 1, None))
            }
            Some((call, None)) if luck.random_ratio(1, 20) => {
                if luck.random() {
                    perform(&calls[call].operation, &mut files);
                }
                None
            }
            Some((call, None)) => Some((call, Some(perform(&calls[call].operation, &mut files)))),
            Some((call, Some(outcome))) => {
                calls[call].answer = Some(Answer { at: now, outcome });
                None
            }
        };
    }
    calls
}

fn perform(operation: &Operation, files: &mut BTreeMap<String, Vec<u8>>) -> Outcome {
    let name = operation.name();
    match (operation, files.get_mut(name)) {
        (Operation::Create { .. }, Some(_)) => Outcome::NameExists,
        (Operation::Create { content, .. }, None) => {
            files.insert(name.to_owned(), content.0.to_vec());
            Outcome::Done
        }
        (_, None) => Outcome::NoSuchFile,
        (Operation::Append { content, .. }, Some(file)) => {
            file.extend_from_slice(&content.0);
            Outcome::Done
        }
        (Operation::Read { .. }, Some(file)) => Outcome::Observed(file.clone().into()),
        (Operation::AppendIf { .. } | Operation::AppendBoth { .. }, Some(_)) => {
            unreachable!("not among the operations that are drawn")
        }
        (Operation::Delete { .. } | Operation::Rename { .. }, Some(_)) => {
            files.remove(name);
            Outcome::Done
        }
    }
}

#[test]
fn ten_thousand_calls_that_one_copy_answered_pass() {
    for seed in 0..3 {
        let (code, said) = check(ten_thousand_calls(seed));
        assert_eq!(code, 0, "{said}");
        assert!(said.starts_with("ok   calls.jsonl ("), "{said}");
        assert!(said.contains("\nlinearizable: 10000 calls on 5 files, "), "{said}");
        println!("seed {seed}: {said}");
    }
}

/// In the second half of the history one read lacks the end of what the file held, or sees an
/// append that nobody made, or everything twice.
#[test]
fn one_wrong_answer_among_ten_thousand_fails() {
    let wrong: [fn(&mut Vec<u8>); 3] = [
        |content| content.truncate(content.len() - 1),
        |content| content.extend_from_slice(b"(x)"),
        |content| content.extend_from_within(..),
    ];
    for (seed, spoil) in wrong.into_iter().enumerate() {
        let mut calls = ten_thousand_calls(seed as u64);
        let observed = calls[5000..].iter_mut().find_map(|call| match &mut call.answer {
            Some(Answer { outcome: Outcome::Observed(content), .. }) if content.0.len() > 9 => {
                Some(content)
            }
            _ => None,
        });
        let observed = observed.expect("someone reads something");
        let mut content = observed.0.to_vec();
        spoil(&mut content);
        *observed = content.into();
        let (code, said) = check(calls);
        assert_eq!(code, 1, "{said}");
        assert!(said.starts_with("FAIL calls.jsonl ("), "{said}");
        assert!(said.contains("\nnot linearizable: no order of the calls on f"), "{said}");
        println!("seed {seed}: {said}");
    }
}

/// To find that no order of appends of an even number of equal bytes makes an odd number, all sets
/// of them would have to be tried.
#[test]
fn what_is_not_decided_is_neither_good_nor_bad() {
    let call = |operation, when: [u64; 2], outcome| {
        let answer = Some(Answer { at: when[1], outcome });
        Call { client: 1, operation, invoked: when[0], answer }
    };
    let name = || "a".to_owned();
    let create = Operation::Create { name: name(), content: "".into(), replace: false };
    let mut calls = vec![call(create, [0, 1], Outcome::Done)];
    calls.extend((1..=30).map(|half| {
        let content = Content::from(&*"xx".repeat(half));
        call(Operation::Append { name: name(), content }, [10, 100], Outcome::Done)
    }));
    let odd = Outcome::Observed(Content::from(&*"x".repeat(201)));
    calls.push(call(Operation::Read { name: name() }, [10, 100], odd));
    let (code, said) = check(calls);
    assert_eq!(code, 3, "{said}");
    assert!(said.starts_with("???  calls.jsonl ("), "{said}");
    assert!(said.contains("configurations do not tell whether the 32 calls on a, 0 of"), "{said}");
}

#[test]
fn a_run_writes_the_history_that_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = "wait leader\nload a.jangada as a\n& append a x\ncrash leader\nwait jobs\n\
                    cat a\nhistory inside.jsonl\n";
    fs::write(directory.path().join("a.jangada"), scenario).unwrap();
    let output = jangada(directory.path(), &["run", "--history", "all.jsonl", "a.jangada"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for name in ["all.jsonl", "inside.jsonl"] {
        let output = jangada(directory.path(), &["check-history", name]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = text(&output.stdout);
        assert!(said.contains("linearizable: 3 calls on 1 file"), "{said}");
    }
    // A history that is there is not overwritten by the word.
    let output = jangada(directory.path(), &["run", "a.jangada"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("inside.jsonl exists; choose another name"), "{said}");
}

#[test]
fn what_cannot_be_checked_is_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("bad.jsonl"), "\n{\"client\":1}\n").unwrap();
    for (file, expected) in [
        ("bad.jsonl", "bad.jsonl: line 2: this is no call: missing field `operation`"),
        ("none.jsonl", "none.jsonl: No such file"),
    ] {
        let output = jangada(directory.path(), &["check-history", file]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.starts_with(expected), "{said}");
    }
    fs::write(directory.path().join("a.jangada"), "wait leader\n").unwrap();
    let twice = ["run", "--history", "h.jsonl", "a.jangada", "a.jangada"];
    assert_eq!(jangada(directory.path(), &twice).status.code(), Some(2));
}
