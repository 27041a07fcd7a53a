//! Results as plain text.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use super::screen::{Progress, Screen};
use crate::actors::{ClusterStatus, Condition, Event, LogLine, ServerStatus};
use crate::files::{FileInfo, Size};
use crate::net::LinkRule;
use crate::raft::Index;
use crate::script::value::{Percent, Time};
use crate::script::{Step, members};
use crate::storage::DiskSpeed;

/// Writes what is asked for as plain text, without live notices or progress.
pub struct Plain<W> {
    out: RefCell<W>,
    /// Whether every line and what comes of it is written, too.
    verbose: bool,
    /// A file's content was written, and did not end its last line.
    open_line: Cell<bool>,
}

impl<W: Write> Plain<W> {
    /// Writes to `out`: only what was asked for, or (`verbose`) every line of a scenario and what
    /// came of it.
    pub fn new(out: W, verbose: bool) -> Self {
        Self { out: RefCell::new(out), verbose, open_line: Cell::new(false) }
    }

    fn write(&self, bytes: &[u8]) {
        let out = &mut *self.out.borrow_mut();
        // Nobody reads what cannot be written; the statements count, not their echo.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    fn line(&self, text: impl Display) {
        let end = if self.open_line.replace(false) { "\n" } else { "" };
        self.write(format!("{end}{text}\n").as_bytes());
    }

    /// Rows of as many cells each, of which the first are the titles.
    fn table(&self, rows: &[Vec<String>]) {
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
        for row in rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

impl<W: Write> Screen for Plain<W> {
    fn say(&self, text: &str) {
        self.line(text);
    }

    fn confirm(&self, text: &str) {
        if self.verbose {
            self.line(format_args!("      {text}"));
        }
    }

    fn status(&self, status: &ClusterStatus) {
        let head = ["", "role", "term", "vote", "leader", "log", "commit", "applied", "timer"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows[0].push("conditions".to_owned());
        rows.extend(status.servers.iter().map(|server| row(server, status)));
        self.table(&rows);
    }

    fn members(&self, status: &ClusterStatus) {
        self.line(members::summary(status));
        let mut rows = vec![members::TITLES.map(str::to_owned).to_vec()];
        rows.extend(members::rows(status).into_iter().map(Vec::from));
        if rows.len() > 1 {
            self.table(&rows);
        }
    }

    fn files(&self, files: &[FileInfo]) {
        for FileInfo { uuid, name, size, revision, .. } in files {
            let size = Size(*size).to_string();
            self.line(format_args!("{uuid}  {size:>10}  revision {revision:<4}  {name}"));
        }
    }

    fn log(&self, server: &ServerStatus, lines: &[LogLine]) {
        self.line(format_args!("log of {}, committed up to {}", server.id, server.commit_index));
        for LogLine { index, term, command } in lines {
            let known = if *index <= server.commit_index { ' ' } else { '?' };
            self.line(format_args!("{:>8}{known} term {term:<4}  {command}", index.0));
        }
    }

    fn events(&self, events: &[Event]) {
        for event in events {
            self.line(event);
        }
    }

    fn content(&self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.write(bytes);
            self.open_line.set(*last != b'\n');
        }
    }

    fn progress(&self, _: Option<&Progress>) {}

    fn watch(&self) -> bool {
        false
    }

    fn step(&self, step: &Step) {
        if self.verbose {
            self.line(format_args!("{:>4}  {}", step.number, step.text.trim_end()));
        }
    }
}

/// One server of the table.
fn row(server: &ServerStatus, cluster: &ClusterStatus) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let role = match server.condition {
        Condition::Crashed => "crashed".to_owned(),
        Condition::Stopped => "stopped".to_owned(),
        Condition::Failed => "failed".to_owned(),
        Condition::Paused => "paused".to_owned(),
        Condition::Running if server.stale => "leader (stale)".to_owned(),
        Condition::Running => or_none(server.role.map(|role| role.to_string())),
    };
    vec![
        server.id.to_string(),
        role,
        server.term.to_string(),
        or_none(server.voted_for.map(|id| id.to_string())),
        or_none(server.leader.map(|id| id.to_string())),
        server.last_log.index.to_string(),
        server.commit_index.to_string(),
        server.applied_index.to_string(),
        or_none(server.timer.map(|left| format!("{} ms", left.as_millis()))),
        circumstances(server, cluster),
    ]
}

/// What is unusual about the server: its part in the cluster, and what slows it down or cuts it
/// off.
fn circumstances(server: &ServerStatus, cluster: &ClusterStatus) -> String {
    let mut all = members::notes(server, cluster);
    if let Some(raft) = server.raft.as_ref().filter(|raft| raft.snapshot > Index(0)) {
        all.push(format!("snapshot up to {}", raft.snapshot));
    }
    if !server.latency.is_zero() {
        all.push(format!("speed {}", Time(server.latency)));
    }
    match server.disk {
        DiskSpeed::Latency(Duration::ZERO) => {}
        DiskSpeed::Latency(latency) => all.push(format!("disk {}", Time(latency))),
        DiskSpeed::Stalled => all.push("disk stall".to_owned()),
    }
    if server.disk_full {
        all.push("disk full".to_owned());
    }
    match server.apply {
        Some(Duration::ZERO) => {}
        Some(latency) => all.push(format!("apply {}", Time(latency))),
        None => all.push("apply stall".to_owned()),
    }
    all.extend(server.failure.iter().map(ToString::to_string));
    all.extend(server.links.iter().map(|(to, rule)| format!("-> {to} {}", link(rule))));
    all.join(", ")
}

fn link(rule: &LinkRule) -> String {
    if rule.cut {
        return "cut".to_owned();
    }
    let mut all = Vec::new();
    if !rule.latency.is_zero() || !rule.jitter.is_zero() {
        all.push(format!("delay {} to {}", Time(rule.latency), Time(rule.latency + rule.jitter)));
    }
    let chances = [(rule.loss, "loss"), (rule.duplicate, "duplicate"), (rule.reorder, "reorder")];
    for (chance, what) in chances.into_iter().filter(|(chance, _)| *chance > 0.0) {
        all.push(format!("{what} {}", Percent(chance)));
    }
    all.join(" ")
}
