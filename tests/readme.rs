//! What README.md shows is what happens: its session is typed again, and its scenarios are run.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const README: &str = include_str!("../README.md");

#[test]
fn the_session_ends_as_shown() -> std::io::Result<()> {
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("notes.txt"), "first line\n")?;
    let typed: Vec<&str> =
        README.lines().filter_map(|line| line.strip_prefix("jangada> ")).collect();
    assert!(typed.len() > 5, "the README has lost its session");
    // A person waits until the notices tell of a leader.
    let quorum_is_gone = |line: &str| line.starts_with("append") && line.contains("third");
    let mut lines = String::from("wait leader\n");
    for line in &typed {
        if *line == "crash leader" || line.starts_with("cat") {
            lines.push_str("wait leader\n");
        }
        lines.push_str(&format!("{line}\n"));
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_jangada"))
        .args(["--seed", "11", "--keep-going"])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.as_bytes())?;
    }
    let Output { stdout, stderr, .. } = child.wait_with_output()?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(stdout.ends_with("first line\nand a second line\n"), "{stdout}\n{stderr}");
    let refused = README.lines().filter(|line| line.starts_with("not done")).collect::<Vec<_>>();
    assert_eq!(refused.len(), typed.iter().filter(|line| quorum_is_gone(line)).count());
    for reason in refused {
        assert!(stderr.contains(reason), "{stderr}");
    }
    for shown in
        README.lines().filter(|line| line.starts_with("loaded") || line.starts_with("appended"))
    {
        assert!(stdout.contains(shown), "`{shown}` is not in:\n{stdout}");
    }
    assert_eq!(stderr.lines().count(), 1, "only the shown line fails: {stderr}");
    Ok(())
}

#[test]
fn the_session_in_virtual_time_is_the_same_to_the_letter() -> std::io::Result<()> {
    let is_time = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let (mut lines, mut shown) = (String::new(), String::new());
    let session = README.split("```").find(|block| block.starts_with("console\n0.000s> "));
    for line in session.expect("the session in virtual time").lines().skip(1) {
        match line.split_once("s> ").filter(|(time, _)| is_time(time)) {
            Some((_, typed)) => lines.push_str(&format!("{typed}\n")),
            None => shown.push_str(&format!("{line}\n")),
        }
    }
    assert!(lines.contains("rewind") && lines.contains("step"), "{lines}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_jangada"))
        .args(["--virtual", "--seed", "11"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), shown);
    Ok(())
}

#[test]
fn its_scenarios_run() -> std::io::Result<()> {
    let directory = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let commands: Vec<&str> =
        README.lines().filter_map(|line| line.strip_prefix("jangada run ")).collect();
    assert!(commands.len() > 2, "the README has lost its scenarios");
    for command in commands {
        let place = |word: &str| match word.starts_with("examples/") {
            true => root.join(word).display().to_string(),
            false => word.to_owned(),
        };
        let output = Command::new(env!("CARGO_BIN_EXE_jangada"))
            .arg("run")
            .args(command.split(' ').map(place))
            .current_dir(directory.path())
            .output()?;
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
