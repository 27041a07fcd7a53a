//! Statements, carried out in virtual time.

use std::cell::RefCell;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::call::Seen;
use super::{Failure, Flow, Progress, Runner, Screen, read_scenario};
use crate::actors::{
    ClockKind, ClusterStatus, Consistency, Event, LogLine, Machine, Sandbox, SandboxOptions,
    ServerStatus, run,
};
use crate::files::{FileInfo, FileStore};
use crate::raft::Index;

/// Keeps what was shown.
#[derive(Default)]
struct Notebook {
    text: RefCell<String>,
    watching: RefCell<bool>,
    progress: RefCell<Vec<Option<Progress>>>,
}

impl Notebook {
    fn note(&self, line: impl std::fmt::Display) {
        writeln!(self.text.borrow_mut(), "{line}").unwrap();
    }

    fn text(&self) -> String {
        self.text.borrow().clone()
    }
}

impl Screen for Notebook {
    fn say(&self, text: &str) {
        self.note(text);
    }

    fn confirm(&self, text: &str) {
        self.note(text);
    }

    fn status(&self, status: &ClusterStatus) {
        self.note(format_args!("status of {} servers", status.servers.len()));
    }

    fn members(&self, status: &ClusterStatus) {
        self.note(format_args!("members: {}", crate::script::members::summary(status)));
    }

    fn files(&self, files: &[FileInfo]) {
        files.iter().for_each(|file| self.note(format_args!("file {} {}", file.name, file.size)));
    }

    fn log(&self, server: &ServerStatus, lines: &[LogLine]) {
        self.note(format_args!("log of {}", server.id));
        lines.iter().for_each(|line| self.note(format_args!("{} {}", line.index, line.command)));
    }

    fn events(&self, events: &[Event]) {
        self.note(format_args!("{} events", events.len()));
    }

    fn content(&self, bytes: &[u8]) {
        self.note(format_args!("content {}", bytes.escape_ascii()));
    }

    fn progress(&self, progress: Option<&Progress>) {
        self.progress.borrow_mut().push(progress.cloned());
    }

    fn watch(&self) -> bool {
        let watching = &mut *self.watching.borrow_mut();
        *watching = !*watching;
        *watching
    }
}

fn runner(servers: u64, seed: u64, clock: ClockKind) -> (Runner, Rc<Notebook>) {
    runner_on(SandboxOptions { servers, seed, ..SandboxOptions::default() }, clock)
}

fn runner_on(options: SandboxOptions, clock: ClockKind) -> (Runner, Rc<Notebook>) {
    let notebook = Rc::new(Notebook::default());
    (Runner::new(Sandbox::start(options), notebook.clone(), clock), notebook)
}

/// A directory with `notes.txt`, which is where relative paths begin.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "one\n").unwrap();
    directory
}

/// Carries out lines until one fails, on three servers with a leader.
fn lines(directory: &Path, lines: &[&str]) -> (Result<(), Failure>, String) {
    run(ClockKind::Virtual, async {
        let (mut runner, notebook) = runner(3, 1, ClockKind::Virtual);
        runner.home = directory.to_owned();
        let mut done = runner.line("wait leader").await.map(|_| ());
        for line in lines {
            done = done.and(runner.line(line).await.map(|_| ()));
            if done.is_err() {
                break;
            }
        }
        (done, notebook.text())
    })
    .unwrap()
}

/// What the lines show, none of which fails.
fn shown(text: &[&str]) -> String {
    let directory = directory();
    let (done, shown) = lines(directory.path(), text);
    done.unwrap_or_else(|failure| panic!("{failure}\n{shown}"));
    shown
}

/// Why the last of these lines fails.
fn failure(directory: &Path, text: &[&str]) -> String {
    let (last, before) = text.split_last().unwrap();
    let (done, shown) = lines(directory, before);
    done.unwrap_or_else(|failure| panic!("{failure}\n{shown}"));
    lines(directory, text).0.expect_err(last).to_string()
}

fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is not in:\n{text}");
}

#[test]
fn file_commands_say_what_came_of_them() {
    let directory = directory();
    let copy = directory.path().join("copy.txt");
    let (done, shown) = lines(
        directory.path(),
        &[
            "load notes.txt",
            "append notes.txt two\\n",
            "append notes.txt @notes.txt",
            "list",
            "cat notes.txt",
            "rename notes.txt diary",
            "stat diary",
            "get diary copy.txt",
            "delete diary",
            "list",
        ],
    );
    done.unwrap();
    for part in [
        "loaded `notes.txt`: 4 B, uuid ",
        "appended 5 B to `notes.txt`: 9 B now",
        "file notes.txt 13\n",
        "content one\\ntwo\\\\none\\n\n",
        "`notes.txt` is `diary` now",
        "size      13 bytes\nblake3    ",
        "wrote `diary`: 13 B to ",
        "deleted `diary`, uuid ",
    ] {
        assert_contains(&shown, part);
    }
    assert_eq!(fs::read(copy).unwrap(), b"one\ntwo\\none\n");
}

#[test]
fn older_versions_and_parts_of_a_file_are_read() {
    let directory = directory();
    let (done, shown) = lines(
        directory.path(),
        &[
            "load notes.txt",
            "append notes.txt \"two\\n\"",
            "cat notes.txt at 3",
            "cat notes.txt bytes 2..6",
            "cat notes.txt bytes 2..6 revision 1",
            "cat notes.txt bytes 8..9",
            "stat notes.txt at 3",
            "get notes.txt copy.txt at 3",
            "delete notes.txt",
            "get notes.txt again.txt at 4",
            "expect refused because \"not applied yet\" cat notes.txt at 400",
            "expect refused because \"no file named\" cat notes.txt at 2",
        ],
    );
    done.unwrap_or_else(|failure| panic!("{failure}\n{shown}"));
    for part in [
        "content one\\n\n",
        "content e\\ntw\n",
        "content e\\n\n",
        "content \n",
        "size      4 bytes\nrevision  1, since entry 3",
        "wrote `notes.txt` at entry 3, revision 1: 4 B to ",
    ] {
        assert_contains(&shown, part);
    }
    assert_eq!(fs::read(directory.path().join("copy.txt")).unwrap(), b"one\n");
    assert_eq!(fs::read(directory.path().join("again.txt")).unwrap(), b"one\ntwo\n");
}

#[test]
fn changes_are_made_on_conditions_and_all_at_once() {
    let shown = shown(&[
        "load notes.txt if revision 0",
        "expect refused because \"at revision 1, and was not to\" load notes.txt if revision 0",
        "append notes.txt \"two\\n\" if revision 1",
        "expect refused because \"is at revision 2, not 1\" append notes.txt \"x\" if revision 1",
        "expect refused because \"is at revision 2, not 1\" delete notes.txt if revision 1",
        "expect refused because \"is at revision 2, not 1\" rename notes.txt a if revision 1",
        "expect refused because \"command 2\" batch append notes.txt \"x\"; delete nobody",
        "batch load notes.txt as a; append a \"2\" if revision 1; rename notes.txt b",
        "expect content a \"one\\n2\"",
        "expect content b \"one\\ntwo\\n\"",
        "expect linearizable",
        "& append b \"\" if revision 3",
        "wait jobs",
    ]);
    for part in ["; appended 1 B to `a`: 5 B now; `notes.txt` is `b` now", "; 3 files not checked"]
    {
        assert_contains(&shown, part);
    }
}

#[test]
fn changes_are_followed_through_the_crash_of_a_leader() {
    let shown = shown(&[
        "load notes.txt",
        "& append notes.txt x",
        "wait jobs",
        "crash leader",
        "& rename notes.txt diary",
        "watch files from 4 for 3s",
        "wait jobs",
        "watch files from 3 for 1ms",
        "delete diary",
        "watch files for 100ms",
    ]);
    let followed: Vec<&str> = shown.lines().filter(|line| line.starts_with("     ")).collect();
    assert_contains(followed[0], "     4  appended 1 B to `notes.txt`: 5 B, revision 2");
    assert_contains(followed[1], "renamed `notes.txt` to `diary`, revision 3");
    assert_contains(followed[2], "     3  loaded `notes.txt`: 4 B, uuid ");
    assert_eq!(followed[3..], followed[..2], "the same again, and nothing that came before");
    let directory = directory();
    let endless = failure(directory.path(), &["watch files"]);
    assert_contains(&endless, "say for how long: `watch files for 5s`");
}

#[test]
fn stale_reads_say_what_they_saw() {
    let shown = shown(&[
        "load notes.txt",
        "let far = follower",
        "wait 100ms",
        "cut all <-> $far",
        "append notes.txt \"two\\n\"",
        "at $far cat notes.txt stale",
        "at $far list stale",
        "at $far stat notes.txt stale",
        "cat notes.txt lease",
        "expect linearizable",
    ]);
    for part in [
        "content one\\n\nthat was `notes.txt`: 4 B, as of entry 3\n",
        "1 files, as of entry 3",
        "that was `notes.txt`, as of entry 3",
        "content one\\ntwo\\n\n",
        "linearizable: 3 calls",
    ] {
        assert_contains(&shown, part);
    }
}

#[test]
fn clients_read_as_they_are_told_and_their_stale_reads_are_checked() {
    for reading in ["lease", "stale"] {
        let clients = format!("clients 4 for 2s every 10ms reading {reading}");
        let lines = [&*clients, "wait 1s", "try crash leader", "wait jobs", "expect linearizable"];
        assert_contains(&shown(&lines), " calls on ");
    }
}

#[test]
fn a_stale_read_that_was_not_true_is_found() {
    for (index, content, part) in [
        (3, "one\n", None),
        (3, "two\n", Some("`notes.txt` had another content then")),
        (2, "one\n", Some("no file named")),
        (9, "one\n", Some("entry 9 is not applied yet")),
    ] {
        let directory = directory();
        let done = run(ClockKind::Virtual, async {
            let (mut runner, _) = runner(3, 1, ClockKind::Virtual);
            runner.home = directory.path().to_owned();
            for line in ["wait leader", "load notes.txt"] {
                runner.line(line).await.unwrap();
            }
            let caller = runner.caller(None).unwrap();
            let (file, _) = caller.stat("notes.txt", Consistency::Stale).await.unwrap();
            let content = Some(content.into());
            caller.check_stale(&Seen { file, content, index: Index(index) }).await;
            runner.line("expect linearizable").await.map_err(|failure| failure.to_string())
        });
        match (done.unwrap(), part) {
            (Ok(_), None) => {}
            (Err(failure), Some(part)) => assert_contains(&failure, part),
            (done, _) => panic!("{index} {content}: {done:?}"),
        }
    }
}

#[test]
fn members_come_and_go() {
    let shown = shown(&[
        "load notes.txt",
        "add 4",
        "wait members 1,2,3,4",
        "add 5 learner",
        "expect learners 5 within 5s",
        "expect members 4,3,2,1",
        "members",
        "expect caught-up all within 5s",
        "remove 5",
        "expect no learners within 5s",
        "let old = leader",
        "transfer",
        "expect role $old follower within 1s",
        "wait leader",
        "remove $old",
        "wait leader",
        "append notes.txt x",
        "expect files equal within 5s",
        "expect logs equal within 5s",
        "snapshot all",
        "expect snapshot all >= 5 within 1s",
        "save mine.jangada",
    ]);
    assert_contains(&shown, "members: voters S1 S2 S3 S4 learners S5; entry ");
    let directory = directory();
    for (line, part) in [
        ("wait members 1,2 within 1s", "these are not the voters after 1s: S"),
        ("wait members 1,2 within 1s", "voters S1 S2 S3; `members` shows"),
        ("expect learners 3", "knows: voters S1 S2 S3"),
        ("expect snapshot 1", "S1 has a snapshot up to 0, of 1"),
        ("remove 7", "there is no S7: the servers are S1 to S3"),
    ] {
        assert_contains(&failure(directory.path(), &[line]), part);
    }
    let gap = failure(directory.path(), &["wait leader", "add 6", "crash 4"]);
    assert_contains(&gap, "there is no S4: the servers are S1 to S3, S6");
}

#[test]
fn what_is_asked_for_is_shown() {
    let shown = shown(&["status", "log leader", "events 3", "watch", "watch", "help crash"]);
    for part in [
        "status of 3 servers",
        "1 no-op",
        "3 events",
        "live notices are on\nlive notices are off",
        "crash SERVERS",
    ] {
        assert_contains(&shown, part);
    }
}

#[test]
fn variables_stand_for_files_and_servers() {
    let shown = shown(&[
        "let f = load notes.txt",
        "let old = leader",
        "crash $old",
        "expect role $old dead",
        "wait leader",
        "let other = follower",
        "expect role $other follower",
        "append $f \"two\\n\"",
        "expect content $f \"one\\ntwo\\n\"",
    ]);
    assert_contains(&shown, "appended 4 B to `notes.txt`");
}

#[test]
fn files_of_the_host_are_looked_at_before_they_are_read() {
    let directory = directory();
    let big = fs::File::create(directory.path().join("big")).unwrap();
    big.set_len((1 << 30) + 1).unwrap();
    for (line, part) in [
        ("load nothing.txt", "no such file on this host: "),
        ("load .", "is a directory: name a file"),
        ("load notes.txt/x", "cannot read "),
        ("load /dev/null", "/dev/null is not a regular file"),
        ("load big", "has 1073741825 bytes; the limit of a file is 1073741824 (1 GiB)"),
        ("append notes.txt @nothing.txt", "no such file on this host: "),
        ("expect content notes.txt @nothing.txt", "no such file on this host: "),
        ("submit nothing.jangada", "no such file on this host: "),
    ] {
        assert_contains(&failure(directory.path(), &["load notes.txt", line]), part);
    }
}

#[test]
fn get_leaves_a_whole_file_or_none() {
    let directory = directory();
    for (line, part) in [
        ("get notes.txt .", "is a directory: name a file"),
        ("get notes.txt nowhere/copy.txt", "its directory does not exist"),
        ("get other.txt copy.txt", "no file named `other.txt`"),
    ] {
        assert_contains(&failure(directory.path(), &["load notes.txt", line]), part);
    }
    let (done, _) = lines(directory.path(), &["load notes.txt", "get notes.txt notes.txt"]);
    done.unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    assert_eq!(fs::read(directory.path().join("notes.txt")).unwrap(), b"one\n");
}

#[test]
fn a_file_is_read_by_both_clocks() {
    let directory = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    fs::write(directory.path().join("big.bin"), &content).unwrap();
    for clock in [ClockKind::Virtual, ClockKind::Real] {
        run(clock, async {
            let (mut runner, notebook) = runner(3, 1, clock);
            runner.home = directory.path().to_owned();
            let lines = ["wait leader", "load big.bin", "get big.bin copy", "append big.bin more"];
            for line in lines.into_iter().chain(["expect linearizable", "append big.bin @big.bin"])
            {
                runner.line(line).await.unwrap();
            }
            let progress = notebook.progress.borrow();
            let full = Progress { what: "load big.bin".into(), done: 3_000_000, total: 3_000_000 };
            assert!(progress.contains(&Some(full)));
            assert_eq!(progress.last(), Some(&None), "it is taken away at the end");
            assert_contains(&notebook.text(), "1 file not checked: larger than 1 MiB");
        })
        .unwrap();
        assert!(fs::read(directory.path().join("copy")).unwrap() == content);
    }
}

#[test]
fn refused_orders_say_what_to_do() {
    let directory = directory();
    for (text, part) in [
        (&["crash 9"][..], "there is no S9: the servers are S1 to S3"),
        (&["crash 1", "crash 1"], "S1 is down; `recover 1` starts it again"),
        (&["recover 1"], "S1 runs already"),
        (&["stop all", "crash leader"], "`wait leader` waits for one"),
        (&["stop all", "let x = leader"], "`wait leader` waits for one"),
        (&["stop all", "let x = follower"], "no follower is up; `recover` some server"),
        (&["at 7 list"], "there is no S7"),
        (&["servers 4"], "`servers 4` goes at the top of a scenario file"),
        (&["help crahs"], "did you mean `help crash`?"),
        (&["crahs 1"], "did you mean `crash`?\n    crahs 1\n    ^^^^^"),
        (&["append nobody x"], "no file named `nobody`"),
    ] {
        assert_contains(&failure(directory.path(), text), part);
    }
}

#[test]
fn waiting_ends() {
    let directory = directory();
    for (text, part) in [
        (&["stop all", "wait leader"][..], "no server leads after 10s: 0 of 3 servers are up"),
        (&["wait 2s", "apply all stall", "& load notes.txt", "wait jobs"], "1 in the background"),
        (&["& append nobody x", "wait jobs"], "`append nobody \"x\"`: no file named `nobody`"),
    ] {
        assert_contains(&failure(directory.path(), text), part);
    }
    let mut many = vec!["load notes.txt", "apply all stall"];
    many.extend(["& append notes.txt x"; 65]);
    assert_contains(
        &failure(directory.path(), &many),
        "64 commands and clients run in the background",
    );
}

#[test]
fn commands_in_the_background_are_told_when_they_end() {
    let shown = shown(&[
        "load notes.txt",
        "& append notes.txt x",
        "& append notes.txt y",
        "stat notes.txt",
        "wait jobs",
    ]);
    assert_contains(&shown, "[1] appended 1 B to `notes.txt`");
    assert_contains(&shown, "[2] appended 1 B to `notes.txt`");
}

#[test]
fn expectations_hold() {
    shown(&[
        "load notes.txt",
        "expect leader within 1s",
        "expect role followers follower",
        "expect role leader leader",
        "expect files equal within 1s",
        "expect logs equal within 1s",
        "expect commit all >= 3 within 1s",
        "expect caught-up all within 1s",
        "expect content notes.txt @notes.txt",
        "expect no file other.txt",
        "expect refused load notes.txt",
        "expect refused because exists load notes.txt",
        "expect refused because host load nothing.txt",
        "expect linearizable",
        "let old = leader",
        "disk all stall",
        "expect unknown append notes.txt lost",
        "disk all fast",
        "crash $old",
        "expect no leader",
        "expect linearizable",
        "stop followers",
        "expect no leader within 1s",
        "expect no leader for 2s",
    ]);
}

#[test]
fn failed_expectations_say_what_was_there() {
    let directory = directory();
    for (text, part) in [
        (&["stop 1", "expect leader 1 within 1s"][..], "S1 is down; "),
        (&["expect no leader"], " is leader in term 1"),
        (&["expect no leader for 1s"], "after 0.000 s: "),
        (&["expect role all follower within 1s"], " is leader in term 1"),
        (&["expect commit all >= 9 within 1s"], "S1 knows of 1; "),
        (&["crash 1", "expect commit all >= 1"], "S1 is down; "),
        (&["apply 1 stall", "load notes.txt", "expect caught-up all within 1s"], "S1 has applied "),
        (&["apply 1 stall", "load notes.txt", "expect files equal within 1s"], ", digest "),
        (&["pause 1", "expect role 9 leader"], "there is no S9"),
        (&["load notes.txt", "expect content notes.txt two"], "found: \"one\\n\""),
        (&["expect content notes.txt two"], "no file named `notes.txt`"),
        (&["load notes.txt", "expect no file notes.txt"], "`notes.txt`: 4 B, uuid "),
        (&["expect refused load notes.txt"], "it was carried out: loaded `notes.txt`"),
        (&["expect refused because zebra delete x"], "it is refused because of: no file"),
        (&["expect unknown load notes.txt"], "it was carried out: loaded"),
        (&["expect unknown delete x"], "it is refused: no file named `x`"),
        (
            &["load notes.txt", "disk all stall", "expect refused delete notes.txt"],
            "its outcome is unknown",
        ),
    ] {
        let text = failure(directory.path(), text);
        assert_contains(&text, part);
        assert_contains(&text, "does not hold\n    found: ");
        assert_contains(&text, "what happened before:\n");
    }
}

#[test]
fn logs_that_differ_are_not_equal() {
    let directory = directory();
    let text = failure(
        directory.path(),
        &[
            "load notes.txt",
            "let old = leader",
            "partition $old",
            "expect unknown at $old append notes.txt x",
            "expect leader within 2s",
            "append notes.txt y",
            "expect logs equal within 1s",
        ],
    );
    assert_contains(&text, ": the log of S1 ends at ");
}

#[test]
fn scenarios_submit_one_another() {
    let directory = directory();
    let write = |path: &str, text: &str| fs::write(directory.path().join(path), text).unwrap();
    fs::create_dir(directory.path().join("inner")).unwrap();
    write("inner/notes.txt", "inner\n");
    write("inner/load.jangada", "servers 3\nseed 1\nload notes.txt as inner.txt\nquit\ncrash 9\n");
    write("outer.jangada", "submit inner/load.jangada\nload notes.txt\n");
    let ends = ["expect content inner.txt \"inner\\n\"", "expect content notes.txt \"one\\n\""];
    let (done, _) = lines(directory.path(), &[&["submit outer.jangada"][..], &ends].concat());
    done.unwrap();

    write("inner/bad.jangada", "list\n\ncrash 9\n");
    write("bad.jangada", "submit inner/bad.jangada\n");
    write("typo.jangada", "list\nlits\n");
    write("itself.jangada", "submit itself.jangada\n");
    write("five.jangada", "servers 5\n");
    for (line, part) in [
        ("submit bad.jangada", "inner/bad.jangada:3: there is no S9: the servers are S1 to S3\n"),
        ("submit typo.jangada", "typo.jangada:2: unknown word `lits`; did you mean `list`?"),
        ("submit itself.jangada", "inside 8 other scenarios, which is the limit"),
        ("submit five.jangada", "is for 5 servers, and this cluster began with 3"),
    ] {
        assert_contains(&failure(directory.path(), &[line]), part);
    }
}

#[test]
fn a_scenario_waits_for_its_commands_in_the_background() {
    let directory = directory();
    let path = directory.path().join("jobs.jangada");
    fs::write(&path, "wait leader\n& append nobody x\n").unwrap();
    let failure = run(ClockKind::Virtual, async {
        let (mut runner, _) = runner(3, 1, ClockKind::Virtual);
        runner.scenario(&read_scenario(&path).unwrap(), &path).await.unwrap_err()
    });
    assert_contains(&failure.unwrap().to_string(), "no file named `nobody`");
}

#[test]
fn an_interrupted_line_leaves_nothing_behind() {
    let directory = directory();
    let path = directory.path().join("inner");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("long.jangada"), "load long.jangada as x\nwait 1h\n").unwrap();
    let (big, copy) = (directory.path().join("big"), directory.path().join("copy"));
    fs::write(&big, vec![7; 2 << 20]).unwrap();
    run(ClockKind::Virtual, async {
        let (mut runner, notebook) = runner(3, 1, ClockKind::Virtual);
        runner.home = directory.path().to_owned();
        runner.line("wait leader").await.unwrap();
        runner.line("load big").await.unwrap();
        let second = Duration::from_secs(1);
        for line in ["submit inner/long.jangada", "apply all stall", "append big @big"] {
            let _ = tokio::time::timeout(second, runner.line(line)).await;
        }
        assert_eq!(notebook.progress.borrow().last(), Some(&None));
        runner.line("apply all fast").await.unwrap();
        runner.line("append big @notes.txt").await.unwrap();
        runner.line("disk all stall").await.unwrap();
        for _ in 0..300 {
            let interrupted = Duration::from_millis(1);
            let _ = tokio::time::timeout(interrupted, runner.line("append big x")).await;
        }
        runner.line("disk all fast").await.unwrap();
        runner.line("append big y").await.unwrap();
        let _ = tokio::time::timeout(Duration::ZERO, runner.line("get big copy")).await;
    })
    .unwrap();
    assert!(!copy.exists());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3, "notes.txt, big and inner");
}

#[test]
fn quit_is_told() {
    run(ClockKind::Virtual, async {
        let (mut runner, _) = runner(1, 1, ClockKind::Virtual);
        assert_eq!(runner.line("# nothing").await.unwrap(), Flow::Next);
        assert_eq!(runner.line("quit").await.unwrap(), Flow::Quit);
    })
    .unwrap();
}

/// Does this by hand, saves it, and runs what was saved on another cluster. Returns the scenario.
fn saved(text: &[&str]) -> String {
    let directory = directory();
    run(ClockKind::Virtual, async {
        let (mut runner, notebook) = runner(5, 7, ClockKind::Virtual);
        runner.home = directory.path().to_owned();
        for line in text.iter().chain(&["save it.jangada"]) {
            // Some lines are refused; the scenario must expect that.
            if let Err(failure) = runner.line(line).await {
                notebook.note(failure);
            }
        }
        assert_contains(&notebook.text(), "saved as ");
    })
    .unwrap();
    let path = directory.path().join("it.jangada");
    let scenario = read_scenario(&path).unwrap();
    for seed in [7, 8, 9] {
        run(ClockKind::Virtual, async {
            let (mut runner, _) = runner(scenario.servers.unwrap(), seed, ClockKind::Virtual);
            if let Err(failure) = runner.scenario(&scenario, &path).await {
                panic!("seed {seed}: {failure}\n{}", fs::read_to_string(&path).unwrap());
            }
        })
        .unwrap();
    }
    fs::read_to_string(&path).unwrap()
}

#[test]
fn what_was_done_is_saved_as_a_scenario_that_passes() {
    let text = saved(&[
        "wait leader",
        "let f = load notes.txt",
        "append $f two\\n",
        "status",
        "let old = leader",
        "crash leader",
        "recover leader",
        "append $f three",
        "wait 1.5s",
        "crash 9",
        "let second = leader",
        "crash $second",
        "wait leader",
        "crash leader",
        "append notes.txt \"nobody hears this\"",
        "recover all",
        "append nobody x",
        "rename $f diary",
        "& append $f last",
        "wait jobs",
        "append $f",
        "expect files equal within 5s",
        "get diary copy.txt",
    ]);
    assert_contains(&text, "\nservers 5\nseed 7\nwait leader\nload ");
    for part in [
        "\nappend notes.txt \"two\\\\n\"\n",
        "\ncrash leader\n",
        "\nexpect refused append notes.txt \"nobody hears this\"\n",
        "\nexpect refused append nobody \"x\"\n",
        "\nrename notes.txt diary\n",
        "\n& append diary \"last\"\n",
    ] {
        assert_contains(&text, part);
    }
    assert!(!text.contains("crash 9") && !text.contains("status"), "{text}");
    let pause = text.lines().filter_map(|line| line.strip_prefix("wait ")).nth(1).unwrap();
    assert_contains(pause, "ms");
}

#[test]
fn unknown_outcomes_are_saved_too() {
    let text = saved(&[
        "wait leader",
        "load notes.txt",
        "let old = leader",
        "partition $old",
        "at $old append notes.txt x",
        "wait 1s",
        "heal",
        "expect logs equal within 5s",
    ]);
    assert_contains(&text, "\nexpect unknown at ");
    assert_contains(&text, "\nexpect leader ");
}

#[test]
fn nothing_is_saved_over_another_file() {
    let directory = directory();
    let text = failure(directory.path(), &["save notes.txt"]);
    assert_contains(&text, "notes.txt exists; choose another name, or remove it");
}

/// A file store that carries everything out as the same request.
struct Repetitive(FileStore);

impl Machine for Repetitive {
    fn apply(&mut self, index: Index, command: &Bytes) -> Bytes {
        Machine::apply(&mut self.0, index, command)
    }

    fn query(&self, query: &Bytes) -> Bytes {
        Machine::query(&self.0, query)
    }

    fn digest(&self) -> [u8; 32] {
        Machine::digest(&self.0)
    }

    fn carried_out(&self) -> Option<(u64, u64)> {
        Some((1, 1))
    }

    fn describe(&self, command: &Bytes) -> String {
        Machine::describe(&self.0, command)
    }
}

#[test]
fn a_violation_fails_the_statement_that_sees_it_and_no_other() {
    let directory = directory();
    run(ClockKind::Virtual, async {
        let options = SandboxOptions { servers: 3, ..SandboxOptions::default() };
        let options = options.with_machine(|| Repetitive(FileStore::default()));
        let (mut runner, _) = runner_on(options, ClockKind::Virtual);
        runner.home = directory.path().to_owned();
        runner.line("wait leader").await.unwrap();
        let failure = runner.line("load notes.txt").await.unwrap_err();
        let text = failure.to_string();
        assert_contains(&text, "sessions_apply_once is violated: S");
        assert_contains(&text, "what happened before:");
        assert!(!failure.is_mistake());
        runner.line("list").await.unwrap();
    })
    .unwrap();
}
