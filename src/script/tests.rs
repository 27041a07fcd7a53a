//! The language as a person meets it.

use uuid::Uuid;

use super::cursor::MAX_LINE;
use super::expect::EXPECTATIONS;
use super::words::{Category, WORDS, Word, nearest};
use super::*;
use crate::actors::{Order, Servers};
use crate::raft::ServerId;

pub(super) fn variables() -> Variables {
    let file = Value::File(Uuid::from_u128(0xf00d));
    [("f", file), ("old", Value::Server(ServerId(3))), ("mate", Value::Server(ServerId(5)))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[track_caller]
fn parsed(line: &str) -> Statement {
    match parse(line, &variables()) {
        Ok(Some(statement)) => statement,
        other => panic!("{line}: {other:?}"),
    }
}

/// The canonical text of a line.
#[track_caller]
fn canonical(line: &str) -> String {
    parsed(line).to_string()
}

#[track_caller]
fn error(line: &str) -> ParseError {
    match parse(line, &variables()) {
        Err(error) => error,
        other => panic!("{line}: {other:?}"),
    }
}

/// The message, and the part of the line that it is about.
#[track_caller]
fn complaint(line: &str) -> (String, &str) {
    let ParseError { message, span, .. } = error(line);
    (message, &line[span])
}

#[track_caller]
fn text_of(line: &str) -> Vec<u8> {
    match parsed(line) {
        Statement::File { call, .. } => match call.command {
            FileCommand::Append { content: Content::Text(text), revision: None, .. } => text,
            other => panic!("{line}: {other:?}"),
        },
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) fn all_words() -> impl Iterator<Item = &'static Word> {
    WORDS.iter().chain(EXPECTATIONS)
}

#[test]
fn every_word_has_an_example_that_parses_and_a_help() {
    for word in all_words() {
        let statement = parsed(word.example);
        assert_eq!(parsed(&statement.to_string()), statement, "{}", word.example);
        assert!(word.usage.contains(word.name), "{}", word.usage);
        assert!(!word.help.is_empty() && !word.help.ends_with('.'), "{}", word.name);
        assert!(word.help.len() <= 100 && word.usage.len() <= 100, "{}", word.name);
    }
    for word in WORDS {
        for name in word.names() {
            assert!(help_for(&name.to_uppercase()).unwrap().contains(word.example));
        }
        assert!(help().contains(word.usage));
    }
    for word in EXPECTATIONS {
        assert!(help_for("expect").unwrap().contains(word.usage));
        assert!(help_for(&format!("expect {}", word.name)).unwrap().contains(word.example));
    }
    assert!(Category::ALL.into_iter().all(|category| help().contains(category.title())));
    assert_eq!(
        help_for("crahs").unwrap_err(),
        "there is no word `crahs`; did you mean `help crash`?"
    );
    assert_eq!(
        help_for("bicycle").unwrap_err(),
        "there is no word `bicycle`; `help` lists the words"
    );
}

#[test]
fn no_two_words_share_a_name() {
    for table in [WORDS, EXPECTATIONS] {
        let mut names: Vec<&str> = table.iter().flat_map(Word::names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| name.to_lowercase() == *name));
    }
}

#[test]
fn words_of_the_classroom_mean_what_they_say() {
    for (classroom, ours) in [
        ("START", "start all"),
        ("START 2", "start 2"),
        ("CRASH 3", "crash 3"),
        ("KILL S3", "crash 3"),
        ("RECOVERY 3", "recover 3"),
        ("SPEED 3 LOW", "speed 3 slow"),
        ("SPEED low 3", "speed 3 slow"),
        ("Speed Medium s1,S2", "speed 1,2 normal"),
        ("SPEED high ALL", "speed all fast"),
        ("SPEED 3 200", "speed 3 200ms"),
        ("STATUS", "status"),
        ("TIMEOUT 4", "timeout 4"),
        ("PRINT_LOG 1", "log 1"),
        ("PRINT_LOG", "log all"),
        ("WAIT 2", "wait 2s"),
        ("SLEEP 0.5", "wait 500ms"),
        ("SLEEP 86400", "wait 86400s"),
        ("SUBMIT a.txt", "submit a.txt"),
        ("LOAD a.txt AS b REPLACE", "load a.txt as b replace"),
        ("LIST", "list"),
        ("GET a b", "get a b"),
        ("APPEND a Hello There", "append a \"Hello There\""),
        ("DELETE a", "delete a"),
        ("EXIT", "quit"),
    ] {
        assert_eq!(canonical(classroom), ours, "{classroom}");
    }
}

#[test]
fn lines_have_one_canonical_form() {
    for (line, text) in [
        ("  crash   1 , s2,1 # both", "crash 1,2"),
        ("crash $old,2", "crash 3,2"),
        ("at $old cat $f", "at 3 cat 00000000-0000-0000-0000-00000000f00d"),
        ("speed 2 0.25s", "speed 2 250ms"),
        ("speed 200ms leader", "speed leader 200ms"),
        ("speed 1 0", "speed 1 fast"),
        ("partition 1,2|3,4 ,5", "partition 1,2 | 3,4,5"),
        ("partition ${old},$mate", "partition 3,5"),
        ("cut 1->3", "cut 1 -> 3"),
        ("cut leader<->followers", "cut leader <-> followers"),
        ("delay 1 -> 3 1.5ms jitter 2m", "delay 1 -> 3 1500us jitter 120s"),
        ("delay 1 <-> 3 0ms", "delay 1 <-> 3 0s"),
        ("loss 7%", "loss 7% all -> all"),
        ("LOSS 0.07 1->2", "loss 7% 1 -> 2"),
        ("duplicate 100% 2 <-> 3", "duplicate 100% 2 <-> 3"),
        ("reorder .5", "reorder 50% all -> all"),
        ("disk all 0ms", "disk all fast"),
        ("apply followers STALL", "apply followers stall"),
        ("clock-rate 2,3 1.20", "clock-rate 2,3 1.2"),
        ("CLOCK-JUMP all + 1500ms", "clock-jump all +1500ms"),
        ("clock-jump leader -0.5s", "clock-jump leader -500ms"),
        ("wait leader WITHIN 5s", "wait leader within 5s"),
        ("& at leader append a x", "& at leader append a \"x\""),
        ("at 2 & list", "& at 2 list"),
        ("&files", "& list"),
        ("let old=leader", "let old = leader"),
        ("let f = load 'a b' as c", "let f = load \"a b\" as c"),
        ("expect leader $old within 1s", "expect leader 3 within 1s"),
        ("expect leader within 0s", "expect leader"),
        ("EXPECT NO LEADER FOR 3s", "expect no leader for 3s"),
        ("expect no leader", "expect no leader"),
        ("expect role $old crashed", "expect role 3 dead"),
        ("expect commit 1 >=5", "expect commit 1 >= 5"),
        (
            "expect refused because 'no quorum' at 2 append a b",
            "expect refused because \"no quorum\" at 2 append a \"b\"",
        ),
        ("cat don't.txt", "cat don't.txt"),
        ("cat a#b", "cat a#b"),
        ("cat '#b'", "cat \"#b\""),
        ("cat '$f'", "cat \"\\$f\""),
        ("cat costs$5", "cat \"costs\\$5\""),
        ("get a C:\\new\\table", "get a C:\\new\\table"),
        ("load as as as", "load as as as"),
        ("rename a \"\\xc3\\xa9\"", "rename a é"),
        ("\u{feff}status\r\n", "status"),
        ("help print_log", "help print_log"),
        ("snapshot s2, 3", "snapshot 2,3"),
        ("ADD S6 Learner", "add 6 learner"),
        ("add $mate", "add 5"),
        ("remove leader", "remove leader"),
        ("MEMBERS 3,1 ,3", "members 3,1"),
        ("members", "members"),
        ("priority leader 0", "priority leader 0"),
        ("transfer", "transfer"),
        ("transfer $old", "transfer 3"),
        ("rejoin all", "rejoin all"),
        ("salvage 1", "salvage 1"),
        ("try remove leader", "try remove leader"),
        ("expect voters 1,2", "expect members 1,2"),
        ("expect members 1,2 within 5s", "expect members 1,2 within 5s"),
        ("EXPECT NO LEARNERS", "expect no learners"),
        ("expect learners 4,5", "expect learners 4,5"),
        ("expect snapshot all", "expect snapshot all"),
        ("expect snapshot 2 >=7 within 1s", "expect snapshot 2 >= 7 within 1s"),
        ("wait members 1,2", "wait members 1,2"),
        ("sleep members 1 within 2s", "wait members 1 within 2s"),
        ("cat a STALE", "cat a stale"),
        ("cat a linearizable", "cat a"),
        ("cat stale stale", "cat stale stale"),
        ("list lease", "list lease"),
        ("at 3 cat a at 17 stale", "at 3 cat a at 17 stale"),
        ("get a b bytes 0..10 revision 2", "get a b bytes 0..10 revision 2"),
        ("stat a at 3", "stat a at 3"),
        ("append a \"x\" IF revision 3 # why", "append a \"x\" if revision 3"),
        ("append a @p if revision 0", "append a @p if revision 0"),
        ("append a x if revision 3", "append a \"x if revision 3\""),
        ("delete a if revision 3", "delete a if revision 3"),
        ("rename a b if revision 3", "rename a b if revision 3"),
        ("load p as a replace if revision 3", "load p as a replace if revision 3"),
        ("batch append a \"x;\";delete b ;", "batch append a \"x;\"; delete b"),
        ("BATCH rename a 'b;c'", "batch rename a \"b;c\""),
        ("& at 2 batch delete a; delete b", "& at 2 batch delete a; delete b"),
        ("watch", "watch"),
        ("watch files", "watch files"),
        ("watch from 3 for 5", "watch files from 3 for 5s"),
        ("clients 2 for 5s reading stale", "clients 2 for 5s every 50ms reading stale"),
        ("clients 2 for 5s every 9ms reading linearizable", "clients 2 for 5s every 9ms"),
    ] {
        assert_eq!(canonical(line), text, "{line}");
        assert_eq!(canonical(text), text, "{line}");
    }
}

#[test]
fn a_link_both_ways_is_two_orders() {
    let (one, two) = (Servers::Only(vec![ServerId(1)]), Servers::Only(vec![ServerId(2)]));
    let there = Order::Cut { from: one.clone(), to: two.clone() };
    let back = Order::Cut { from: two, to: one };
    assert_eq!(parsed("cut 1 <-> 2"), Statement::BothWays { there, back });
}

#[test]
fn appended_text_is_the_rest_of_the_line_byte_by_byte() {
    assert_eq!(text_of("append a hello  world  "), b"hello  world  ");
    assert_eq!(text_of("append a\t  x"), b"x");
    assert_eq!(text_of("append a costs $old # no comment"), b"costs $old # no comment");
    assert_eq!(text_of("append a # no comment"), b"# no comment");
    assert_eq!(text_of("append a 'tis \"so\" \\n"), b"'tis \"so\" \\n");
    assert_eq!(text_of("append a mail@example.org"), b"mail@example.org");
    assert_eq!(text_of("append a x\r\n"), b"x");
}

#[test]
fn quoted_text_has_escapes_variables_and_comments_after_it() {
    assert_eq!(text_of(r#"append a "a\n\t\r\\\"\x00\xfF\$old" # why"#), b"a\n\t\r\\\"\x00\xff$old");
    assert_eq!(text_of(r#"append a "old is $old, ${mate}!""#), b"old is S3, S5!");
    assert_eq!(text_of(r#"append a """#), b"");
    let content = Content::Path("a b".into());
    let append = FileCommand::Append { file: "a".into(), content, revision: None };
    let call = FileCall { at: None, command: append };
    assert_eq!(parsed(r#"append a @"a b""#), Statement::File { call, background: false });
}

#[test]
fn a_line_of_many_batches_goes_no_deeper() {
    let line = "batch ".repeat(10_000);
    assert!(error(&line).message.ends_with("`batch` is none"));
    let line = format!("batch {}", "delete a; ".repeat(65));
    assert_eq!(error(&line).message, "a batch has at most 64 changes");
}

#[test]
fn blank_lines_and_comments_say_nothing() {
    for line in ["", "  \t", "\n", "\r\n", "# crash all", "   # x", "\u{feff}"] {
        assert_eq!(parse(line, &variables()), Ok(None), "{line:?}");
    }
}

#[test]
fn unknown_words_get_the_nearest_known_one() {
    for (line, message, at) in [
        ("crahs 3", "unknown word `crahs`; did you mean `crash`?", "crahs"),
        ("  PARTITON 1", "unknown word `PARTITON`; did you mean `partition`?", "PARTITON"),
        ("bicycle", "unknown word `bicycle`; `help` lists those there are", "bicycle"),
        ("expect leadr", "unknown word `leadr`; did you mean `leader`?", "leadr"),
        ("expect no fiel x", "unknown word `no fiel`; did you mean `no file`?", "no fiel"),
        ("expect peace", "unknown word `peace`; `help expect` lists those there are", "peace"),
        ("expect unknown apend a x", "unknown word `apend`; did you mean `append`?", "apend"),
        ("cat $fx", "there is no variable `fx`; did you mean `$f`?", "$fx"),
        (
            "crash ${none}",
            "there is no variable `none`; give it a value first, as in `let none = leader`",
            "${none}",
        ),
    ] {
        assert_eq!(complaint(line), (message.to_owned(), at), "{line}");
    }
    assert_eq!(nearest("x", ["at", "&"].into_iter()), None);
    assert_eq!(nearest(&"x".repeat(60_000), WORDS.iter().flat_map(Word::names)), None);
}

#[test]
fn wrong_arguments_are_named_with_what_was_expected() {
    let servers = "servers: a number, a list such as 1,2, `all`, `leader` or `followers`";
    for (line, message, at) in [
        ("crash", format!("expected {servers}"), ""),
        ("crash bob", format!("expected {servers}, found `bob`"), "bob"),
        ("crash -1", format!("expected {servers}, found `-1`"), "-1"),
        (
            "crash $f",
            format!("expected {servers}, found `00000000-0000-0000-0000-00000000f00d`"),
            "$f",
        ),
        ("crash 0", "servers are numbered from 1".into(), "0"),
        ("crash 1,", "expected another server number after the comma".into(), ""),
        (
            "crash 1,all",
            "expected another server number after the comma, found `all`".into(),
            "all",
        ),
        (
            "crash leader,1",
            "`leader` cannot stand in a list; servers there have numbers".into(),
            "leader",
        ),
        ("crash 1 2", "expected the end of the line, found `2`".into(), "2"),
        (
            "crash 99999999999999999999",
            "there is no server of so high a number".into(),
            "99999999999999999999",
        ),
        ("speed 1", "expected fast, normal, slow or a duration".into(), ""),
        ("speed 1 fsat", "expected fast, normal, slow or a duration, found `fsat`".into(), "fsat"),
        ("disk 1", "expected fast, stall or a duration".into(), ""),
        ("delay 1 -> 2 5", "5 needs a unit: 5ms or 5s, say".into(), "5"),
        (
            "delay 1 -> 2 5sec",
            "`sec` is no unit of time; there are h, m, s, ms, us, ns".into(),
            "5sec",
        ),
        ("wait 25h", "a duration is at most 24h".into(), "25h"),
        ("wait 0.0000000001", "`0.0000000001` is finer than a nanosecond".into(), "0.0000000001"),
        ("wait 1.2.3", "`1.2.3` is no number".into(), "1.2.3"),
        ("wait soon", "`soon` is no duration; write 200ms or 2s, say".into(), "soon"),
        ("loss 10", "`10` is no probability; write 10% or 0.1, from 0% to 100%".into(), "10"),
        ("loss nan", "`nan` is no probability; write 10% or 0.1, from 0% to 100%".into(), "nan"),
        ("cut 1 3", "expected `->`, or `<->` for both ways, found `3`".into(), "3"),
        ("partition 1,2 | 3,2", "S2 is in two groups".into(), "3,2"),
        (
            "partition leader",
            "expected server numbers, such as 1,2, found `leader`".into(),
            "leader",
        ),
        (
            "election-timeout 300ms..150ms",
            "the range must begin above zero and end no lower".into(),
            "300ms..150ms",
        ),
        ("heartbeat 0ms", "the time between heartbeats must be above zero".into(), "0ms"),
        (
            "clock-jump 2 500ms",
            "expected a jump forward or back, such as +2s or -500ms, found `500ms`".into(),
            "500ms",
        ),
        (
            "clock-rate 2 0",
            "`0` is no rate of a clock: a number from 0.01 to 100, 1 is right".into(),
            "0",
        ),
        ("append a", "expected a text, or @ and a path".into(), ""),
        (
            "append a @ b",
            "expected a path right after `@` (a text that begins so needs quotes), found `b`"
                .into(),
            "b",
        ),
        ("append a \"x\" y", "expected the end of the line, found `y`".into(), "y"),
        ("cat \"a\"b", "a blank must come after the closing quote".into(), "b"),
        ("cat 'a'b", "a blank must come after the closing quote".into(), "b"),
        ("cat \"a", "the closing \" is missing".into(), "\"a"),
        ("cat 'a", "the closing ' is missing".into(), "'a"),
        ("cat ''", "a file's name cannot be empty".into(), "''"),
        (
            "cat \"\\q\"",
            "`\\q` is no escape; there are \\n \\r \\t \\\\ \\\" \\$ and \\xNN with two \
             hexadecimal digits"
                .into(),
            "\\q",
        ),
        (
            "cat \"\\xff\"",
            "a file: its name, its uuid or the beginning of it must be text, and this is not UTF-8"
                .into(),
            "\"\\xff\"",
        ),
        ("at 3 crash 1", "`at` goes only before a file command, and `crash` is none".into(), "at"),
        ("& status", "`&` goes only before a file command, and `status` is none".into(), "&"),
        ("& & list", "`&` stands here twice".into(), "&"),
        ("expect refused crash 1", "`crash` is no file command".into(), "crash"),
        (
            "let 2x = leader",
            "expected a name: a letter or _, then letters, digits and _, found `2x`".into(),
            "2x",
        ),
        (
            "let $old = leader",
            "expected a name: a letter or _, then letters, digits and _, found `$old`".into(),
            "$old",
        ),
        ("let x leader", "expected `=`, found `leader`".into(), "leader"),
        ("let x = 3", "expected `load PATH`, `leader` or `follower`, found `3`".into(), "3"),
        ("servers 65", "`65` is not a number of servers: a whole number from 1 to 64".into(), "65"),
        ("seed -1", "`-1` is not a seed: a whole number from 0".into(), "-1"),
        ("add 1,2", "expected the end of the line, found `,2`".into(), ",2"),
        ("add all", "expected the number of one server, found `all`".into(), "all"),
        ("members leader", "expected server numbers, such as 1,2, found `leader`".into(), "leader"),
        (
            "priority 1 256",
            "`256` is no priority: a whole number from 0, which never leads, to 255; 1 is usual"
                .into(),
            "256",
        ),
        (
            "cat a bytes 9..3",
            "`9..3` is no range of bytes: 0..100 are the first hundred, 100..200 the next ones"
                .into(),
            "9..3",
        ),
        (
            "cat a bytes +1..3",
            "`+1..3` is no range of bytes: 0..100 are the first hundred, \
             100..200 the next ones"
                .into(),
            "+1..3",
        ),
        ("cat a at", "expected an index".into(), ""),
        ("cat a stle", "expected the end of the line, found `stle`".into(), "stle"),
        ("delete a if 3", "expected `revision` and a number, found `3`".into(), "3"),
        (
            "batch cat a",
            "a batch is made of `load`, `append`, `delete` and `rename`; `cat` is none".into(),
            "cat",
        ),
        (
            "batch delete a; batch delete b",
            "a batch is made of `load`, `append`, `delete` and `rename`; `batch` is none".into(),
            "batch",
        ),
        (
            "batch append a x; delete b",
            "expected a text between double quotes, or @ and a path, as in any batch, found `x`"
                .into(),
            "x",
        ),
        (
            "batch ; delete b",
            "expected a change of a file, such as `append notes.txt \"x\"`, found `;`".into(),
            ";",
        ),
        (
            "batch delete ; delete b",
            "expected a file: its name, its uuid or the beginning of it, \
             found `;`"
                .into(),
            ";",
        ),
        (
            "clients 2 for 5s reading fast",
            "expected linearizable, lease or stale, found `fast`".into(),
            "fast",
        ),
        (
            "expect role 1 boss",
            "expected a role: follower, candidate, leader, stale or dead, found `boss`".into(),
            "boss",
        ),
    ] {
        let (found, place) = complaint(line);
        assert_eq!((found, place), (message, at), "{line}");
    }
}

#[test]
fn only_orders_are_tried_however_often_that_is_asked() {
    let advice = "`try` goes before an order to the supervisor, such as `crash leader`";
    for line in ["try list", "try try crash 1", "try cut 1 <-> 2", "try wait 1s"] {
        assert_eq!(error(line).message, advice, "{line}");
    }
    assert_eq!(error(&"try ".repeat(16_000)).message, advice);
    assert!(error("try crahs 1").message.contains("did you mean `crash`?"));
}

#[test]
fn an_error_shows_the_line_the_place_and_the_usage() {
    let line = "crash 1 bob";
    assert_eq!(
        error(line).excerpt(line),
        "    crash 1 bob\n            ^^^\n    usage: crash SERVERS   for example: crash leader\n"
    );
    let nested = error("expect refused append a").hint.unwrap_or_default();
    assert!(nested.starts_with("usage: append FILE TEXT|@PATH "), "{nested}");
    let line = format!("cat {} \"é", "x".repeat(500));
    let excerpt = error(&line).excerpt(&line);
    let lines: Vec<&str> = excerpt.lines().collect();
    assert!(lines[0].ends_with("xxx \"é") && lines[0].chars().count() < 100);
    assert!(lines[1].ends_with("^^") && lines[1].len() == lines[0].chars().count());
}

#[test]
fn lines_that_are_no_text_are_refused() {
    let (message, at) = complaint("status\0");
    assert!(message.starts_with("the control character U+0000 cannot"), "{message}");
    assert_eq!(at, "\0");
    assert_eq!(complaint("append a \u{1b}[2J").1, "\u{1b}");
    let long = format!("append a {}", "x".repeat(MAX_LINE));
    assert!(error(&long).message.contains("65536 is the most"), "{}", error(&long));
    assert_eq!(text_of(&long[..MAX_LINE]).len(), MAX_LINE - "append a ".len());
}

#[test]
fn a_scenario_has_settings_and_numbered_steps() {
    let file = "\u{feff}# Retry.\r\nservers 3\r\nseed 7\r\n\r\nlet old = leader\r\n\
                let mate = follower\r\npartition $old | $mate\r\ncrash $old";
    let scenario = Scenario::parse(file.as_bytes()).unwrap();
    assert_eq!((scenario.servers, scenario.seed), (Some(3), Some(7)));
    let numbers: Vec<usize> = scenario.steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, [5, 6, 7, 8]);
    assert_eq!(scenario.steps[1].text, "let mate = follower");
    let statement = scenario.steps[2].statement(&variables()).unwrap();
    assert_eq!(statement.to_string(), "partition 3 | 5");
    let unbound = scenario.steps[3].statement(&Variables::new()).unwrap_err();
    assert!(unbound.report("a.jangada").starts_with("a.jangada:8: there is no variable `old`"));
}

#[test]
fn a_scenario_names_all_of_its_mistakes() {
    let file =
        b"crahs 3\nseed 1\nstatus\nservers 3\nwait\ncat \xff\ncat $late\nlet late = leader\n";
    let error = Scenario::parse(file).unwrap_err();
    let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "line 1: unknown word `crahs`; did you mean `crash`?",
            "line 4: `servers`, `seed`, `disks` and `snapshots` go at the top of a scenario, before all else",
            "line 5: expected a duration, such as 200ms or 2s",
            "line 6: byte 5 of this line, \\xff, is not UTF-8",
            "line 7: there is no variable `late`; give it a value first, as in `let late = leader`",
        ]
    );
    let report = error.report("a.jangada");
    assert!(report.starts_with(
        "a.jangada:1: unknown word `crahs`; did you mean `crash`?\n    crahs 3\n    ^^^^^\n"
    ));
    let many = Scenario::parse("bicycle\n".repeat(30).as_bytes()).unwrap_err();
    assert_eq!((many.mistakes.len(), many.more), (20, 10));
    assert!(many.report("a").ends_with("a: 10 more mistakes\n"));
    let twice = Scenario::parse(b"seed 1\nseed 1").unwrap_err();
    assert_eq!(twice.to_string(), "line 2: `seed` is set twice");
}

fn completions(line: &str) -> Vec<String> {
    complete(line, line.len(), &known()).candidates
}

pub(super) fn known() -> Known {
    Known {
        servers: (1..=3).map(ServerId).collect(),
        files: vec!["notes.txt".into(), "my notes".into()],
        variables: vec!["old".into(), "f".into()],
    }
}

#[test]
fn completion_offers_what_fits() {
    for (line, expected) in [
        ("cra", &["crash"][..]),
        ("PRINT", &["print_log"]),
        ("crash ", &["all", "leader", "followers", "1", "2", "3"]),
        ("crash l", &["leader"]),
        ("crash 1,", &["1,2", "1,3"]),
        ("cut 1 ", &["->", "<->"]),
        ("speed 1 f", &["fast"]),
        ("cat n", &["notes.txt"]),
        ("cat my", &["\"my notes\""]),
        ("cat \"my n", &["\"my notes\""]),
        ("& at 3 ap", &["append"]),
        ("cat $o", &["$old"]),
        ("let x = ", &["load", "leader", "follower"]),
        ("expect no ", &["leader", "file", "learners"]),
        ("members 1,", &["1,2", "1,3"]),
        ("add 6 ", &["learner"]),
        ("expect members ", &["1", "2", "3"]),
        ("cat notes.txt ", &["at", "bytes", "lease", "stale"]),
        ("delete notes.txt ", &["if"]),
        ("watch ", &["files", "from", "for"]),
        ("try rem", &["remove"]),
        ("expect no leader ", &["for", "within"]),
        ("expect refused because \"no quorum\" app", &["append"]),
        ("expect refused append n", &["notes.txt"]),
        ("expect unknown de", &["delete"]),
        ("expect role 1 st", &["stale"]),
        ("try cra", &["crash"]),
        ("try disk-te", &["disk-tear"]),
        ("try app", &["apply"]),
        ("bicycle ", &[]),
        ("append notes.txt te", &[]),
    ] {
        assert_eq!(completions(line), expected, "{line}");
    }
    assert!(complete("load ", 5, &known()).paths);
    let path = complete("append notes.txt @a", 19, &known());
    assert_eq!((path.start, path.paths), (18, true));
    assert_eq!(complete("crash l 2", 7, &known()).candidates, ["leader"]);
    assert_eq!(complete("é", 1, &known()).start, 0);
}

#[test]
fn whatever_completion_offers_is_understood() {
    for (before, after) in [
        ("crash ", ""),
        ("speed ", " fast"),
        ("speed 1 ", ""),
        ("disk 1 ", ""),
        ("partition ", ""),
        ("cut 1 ", " 3"),
        ("cut 1 -> ", ""),
        ("at ", " list"),
        ("list ", ""),
        ("remove ", ""),
        ("expect role 1 ", ""),
    ] {
        let candidates = completions(before);
        assert!(!candidates.is_empty(), "{before}");
        candidates.iter().for_each(|word| drop(parsed(&format!("{before}{word}{after}"))));
    }
}
