//! The console as a program: lines into its standard input, in real and in virtual time.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the console in `directory` on these lines.
fn console(directory: &Path, arguments: &[&str], lines: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_jangada"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A console that ends early reads no further.
    let mut input = child.stdin.take().expect("a pipe was asked for");
    let _ = input.write_all(lines.as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the console and demands its status and what it says on standard error.
fn demand(arguments: &[&str], lines: &str, status: i32, errors: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let output = console(directory.path(), arguments, lines);
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{shown}\n{told}");
    assert_eq!(told, errors, "{shown}");
    shown
}

/// Bytes that are no text, in several chunks.
fn binary() -> Vec<u8> {
    (0..700_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[test]
fn a_file_survives_all_that_a_session_does_to_the_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let content = binary();
    fs::write(directory.path().join("notes"), &content).unwrap();
    let lines = "\
# The main scenario of the project.
wait leader
load notes
crash leader
append notes \"\\x00 one more\\n\"
wait leader
crash leader
wait leader
crash leader
expect refused because \"no quorum: 2 of 5 servers are up\" append notes x
status
recover all
wait leader
append notes @notes
get notes back
expect files equal within 10s
list
";
    let output = console(directory.path(), &[], lines);
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}\n{told}");
    assert_eq!(told, "");
    let expected = [&content[..], b"\0 one more\n", &content[..]].concat();
    let back = fs::read(directory.path().join("back")).unwrap();
    assert!(back == expected, "{} bytes came back, not {}", back.len(), expected.len());
    assert!(shown.contains("2 of 5 up; no quorum;"), "{shown}");
    assert!(!shown.contains('\x1b'), "no colours in a pipe: {shown}");
}

#[test]
fn content_goes_to_standard_output_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let content = binary();
    fs::write(directory.path().join("notes"), &content).unwrap();
    let output = console(directory.path(), &["--servers", "3"], "load notes\ncat notes\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout.ends_with(&content));
}

#[test]
fn a_refused_write_says_why_and_ends_the_session() {
    let lines = "\
wait leader
crash leader
wait leader
crash leader
load Cargo.toml
status
";
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("Cargo.toml"), "x").unwrap();
    let output = console(directory.path(), &["--servers", "3"], lines);
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{shown}\n{told}");
    assert!(told.starts_with("line 5: not done: no quorum: 1 of 3 servers are up"), "{told}");
    assert!(!shown.contains("1 of 3 up"), "nothing follows the error: {shown}");
}

#[test]
fn the_first_error_ends_a_pipe() {
    let errors = "line 2: there is no S9: the servers are S1 to S5\n";
    demand(&[], "\ncrash 9\ncrush 1\n", 1, errors);
}

#[test]
fn a_line_that_does_not_parse_has_a_status_of_its_own() {
    let errors = "\
line 3: unknown word `crush`; did you mean `crash`?
    crush 1
    ^^^^^
";
    demand(&[], "# one\n\ncrush 1\nstatus\n", 2, errors);
}

#[test]
fn keep_going_goes_on_and_fails_at_the_end() {
    let errors = "\
line 1: there is no S9: the servers are S1 to S3
line 2: unknown word `crush`; did you mean `crash`?
    crush 1
    ^^^^^
";
    let lines = "crash 9\ncrush 1\nstatus\n";
    let shown = demand(&["--keep-going", "--servers", "3"], lines, 1, errors);
    assert!(shown.contains("3 of 3 up"), "{shown}");
}

#[test]
fn bad_bytes_and_endless_lines_are_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    for line in [format!("crash {}\n", "x".repeat(1 << 20)), "stat\u{0}us\n".to_owned()] {
        let output = console(directory.path(), &[], &line);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.starts_with("line 1: "), "{told}");
        assert!(told.len() < 1000, "{} bytes of error", told.len());
    }
}

#[test]
fn quit_ends_a_session_before_its_input_does() {
    demand(&[], "quit\ncrush\n", 0, "");
    demand(&[], "", 0, "");
}

#[test]
fn notices_are_shown_when_they_are_watched() {
    let directory = tempfile::tempdir().unwrap();
    let output = console(directory.path(), &[], "wait leader\nwatch\ncrash leader\nwait leader\n");
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("crashed") && told.contains("is leader"), "{told}");
}

#[test]
fn colors_can_be_forced() {
    let shown = demand(&["--color", "always"], "wait leader\nstatus\n", 0, "");
    assert!(shown.contains("\x1b[32mleader\x1b[0m"), "{shown}");
}

#[test]
fn options_out_of_range_are_refused() {
    for arguments in [["--servers", "0"], ["--servers", "65"], ["--seed", "x"]] {
        let directory = tempfile::tempdir().unwrap();
        let output = console(directory.path(), &arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

/// Runs the console in virtual time and demands its status and what it says on standard error.
fn travel(lines: &str, status: i32, errors: &str) -> String {
    demand(&["--virtual", "--seed", "11"], lines, status, errors)
}

#[test]
fn in_virtual_time_only_lines_let_time_pass() {
    let shown = travel("status\nstatus\nplay 1s\nstatus\n", 0, "");
    assert_eq!(shown.matches("nobody leads").count(), 2, "{shown}");
    assert!(shown.contains("0.212 s  S1 is leader") && shown.contains("S1 leads"), "{shown}");
    assert_eq!(shown, travel("status\nstatus\nplay 1s\nstatus\n", 0, ""));
}

#[test]
fn what_lies_ahead_is_played_again_until_an_order() {
    let lines = "\
play 1s
crash leader
play 1s
rewind 1.5s
status
list
fork
play 1s
timeline
";
    let shown = travel(lines, 0, "");
    let expected = "\
at 0.500 s; 1 line lies ahead
5 of 5 up; S1 leads term 1;";
    assert!(shown.contains(expected), "{shown}");
    let end = "\
forked at 0.500 s: 1 line that lay ahead is forgotten
servers 5, seed 11
 -->    1.500 s  here
";
    assert!(shown.ends_with(end), "{shown}");
    let again = travel("play 1s\ncrash leader\nplay 1s\ngoto 500ms\nplay\n", 0, "");
    let (first, second) = again.split_once("at 0.500 s").expect("it was there");
    let crash = first.find("   1.000 s").expect("a crash");
    assert_eq!(second, format!("; 1 line lies ahead\n{}", &first[crash..]));
}

#[test]
fn steps_go_from_message_to_message_and_from_event_to_event() {
    let shown = travel("step event\nstep 3\nstep\n", 0, "");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].contains("S1 started"), "{shown}");
    let messages = lines.iter().filter(|line| line.contains(" -> "));
    assert_eq!(messages.count(), 4, "{shown}");
    let errors = "line 2: nothing happens within 60 s; still at 0.000 s\n";
    travel("stop all\nstep event\n", 1, errors);
    let errors = "line 2: fewer than 2 messages arrive within 60 s; still at 0.000 s\n";
    travel("stop all\nstep 2\n", 1, errors);
    let errors = "line 1: nothing recorded lies ahead; say how long: `play 10s`\n";
    travel("play\n", 1, errors);
}

#[test]
fn a_scenario_waits_to_be_played() {
    let directory = tempfile::tempdir().unwrap();
    let file = "servers 3\nseed 4\nwait leader\nload it.jangada as x\nexpect no leader\nwait 1s\n";
    fs::write(directory.path().join("it.jangada"), file).unwrap();
    let replay = |lines: &str| {
        let output = console(directory.path(), &["replay", "it.jangada", "--keep-going"], lines);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (status, shown, told) = replay("timeline\nplay\nplay\nget x copy\nsave done.jangada\n");
    assert!(shown.starts_with("servers 3, seed 4\n -->    0.000 s  here\n"), "{shown}");
    assert_eq!(status, Some(1), "{shown}\n{told}");
    assert!(told.starts_with("line 2: it.jangada:5: expect no leader does not hold"), "{told}");
    assert!(!told.contains("line 3"), "it goes on after that: {told}");
    let (_, _, told) = replay("goto 3s\nrewind 1s\ngoto 0s\n");
    assert!(told.starts_with("line 1: it.jangada:5: expect no leader does not hold"), "{told}");
    assert!(!told.contains("line 2") && !told.contains("line 3"), "it lies behind: {told}");
    assert_eq!(fs::read_to_string(directory.path().join("copy")).unwrap(), file);
    let output = console(directory.path(), &["run", "done.jangada"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = console(directory.path(), &["replay", "nothing.jangada"], "");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn a_seed_is_replayed_as_the_scenario_it_stands_for() {
    let lines = "play 2s\nrewind 1s\nplay 1s\nstatus\ntimeline\n";
    let arguments = ["replay", "7", "--servers", "3", "--minutes", "0.05"];
    let shown = demand(&arguments, lines, 0, "");
    assert!(shown.contains("servers 3, seed 7\n") && shown.contains("then  expect"), "{shown}");
    assert_eq!(shown, demand(&arguments, lines, 0, ""));
}

#[test]
fn real_time_says_where_time_travel_is() {
    let errors = "line 1: `rewind 3s` needs virtual time: `jangada --virtual` opens a console in \
                  it, `jangada replay FILE` one on a scenario\n";
    demand(&[], "rewind 3s\n", 1, errors);
}
