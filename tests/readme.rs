//! What README.md shows is what happens: its sessions are typed again, and its commands are run, as
//! are those of the pages about the simulation and the exploration.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const README: &str = include_str!("../README.md");
const SIMULATION: &str = include_str!("../docs/simulation.md");
const EXPLORATION: &str = include_str!("../docs/exploration.md");

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

/// The commands in a page's blocks, without the words that explain them.
fn commands(page: &'static str) -> Vec<&'static str> {
    let blocks = page.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("jangada "));
    let command = |line: &'static str| line.split("  ").next().unwrap_or(line);
    lines.filter(|line| !line.starts_with('<')).map(command).collect()
}

/// With fewer seeds and states than a person has time for.
#[test]
fn the_commands_that_the_pages_show_succeed() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = |word: &str| match word {
        "0..1000" => "0..2".to_owned(),
        word if word.starts_with("examples/") => root.join(word).display().to_string(),
        word => word.to_owned(),
    };
    for (page, least) in [(README, 10), (SIMULATION, 4), (EXPLORATION, 4)] {
        let directory = tempfile::tempdir()?;
        let commands = commands(page);
        assert!(commands.len() >= least, "a page has lost its commands: {commands:?}");
        for command in commands {
            let (more, success): (&[&str], i32) = match command.split(' ').next() {
                Some("sim") => (&["--minutes", "0.02"], 0),
                // It ends before it has seen everything, and says so.
                Some("explore") => (&["--states", "1000", "--quiet"], 1),
                _ => (&[], 0),
            };
            let output = Command::new(env!("CARGO_BIN_EXE_jangada"))
                .args(command.split(' ').map(place))
                .args(more)
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .output()?;
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(success), "{command}: {told}");
            assert_eq!(told, "", "{command}");
        }
    }
    Ok(())
}
