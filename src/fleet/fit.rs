//! What of a scenario has no meaning for processes: found before anything starts.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::actors::Order;
use crate::script::{Scenario, Setting, Snapshots, Statement, Variables, parse, read_scenario};
use crate::storage::DiskKind;

/// A line that no cluster of processes can carry out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misfit {
    /// The scenario.
    pub file: PathBuf,
    /// The line's number, from 1; 0 if it is not known.
    pub number: usize,
    /// The line.
    pub text: String,
    /// Why not.
    pub why: &'static str,
}

/// How deep scenarios may submit one another.
const MAX_DEPTH: usize = 8;

const DISK: &str = "the disks of processes are real: they cannot be told to fail, to stall or to \
                    lose what they have";
const CLOCK: &str = "processes go by the clock of this machine, which nobody sets for a scenario";
const LOST: &str = "no server of a cluster of processes has lost its disk";
const KEPT: &str = "how many entries stay in the log of a process cannot be set";

/// Every line of a scenario, and of those that it submits, that has no meaning for processes. `path`
/// is where it was read from.
pub fn misfits(scenario: &Scenario, path: &Path) -> Vec<Misfit> {
    let mut found = Vec::new();
    settings(scenario, path, &mut found);
    steps(scenario, path, MAX_DEPTH, &mut found);
    found
}

fn settings(scenario: &Scenario, path: &Path, found: &mut Vec<Misfit>) {
    let unfit = |setting: &Setting| match setting {
        Setting::Disks(kind) if *kind != DiskKind::default() => Some(DISK),
        Setting::Snapshots(snapshots) if snapshots.keep != Snapshots::default().keep => Some(KEPT),
        _ => None,
    };
    // Who looks at the file again learns the number of the line.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    for setting in scenario.settings() {
        if let Some(why) = unfit(&setting) {
            let same = |line: &str| {
                let read = parse(line, &Variables::new());
                matches!(read, Ok(Some(Statement::Setting(read))) if read == setting)
            };
            let number = text.lines().position(same).map_or(0, |place| place + 1);
            let (file, text) = (path.to_owned(), setting.to_string());
            found.push(Misfit { file, number, text, why });
        }
    }
}

fn steps(scenario: &Scenario, path: &Path, depth: usize, found: &mut Vec<Misfit>) {
    for (step, statement) in scenario.statements() {
        let why = match &statement {
            Statement::Order(order) | Statement::Try(order) => unfit(order),
            Statement::BothWays { there, .. } => unfit(there),
            Statement::Submit(other) if depth > 0 => {
                let other = path.parent().unwrap_or(Path::new("")).join(other);
                // What cannot be read is told when its turn comes.
                if let Ok(scenario) = read_scenario(&other) {
                    settings(&scenario, &other, found);
                    steps(&scenario, &other, depth - 1, found);
                }
                None
            }
            _ => None,
        };
        if let Some(why) = why {
            let (file, text) = (path.to_owned(), step.text.trim().to_owned());
            found.push(Misfit { file, number: step.number, text, why });
        }
    }
}

/// Why no process can be told this, if none can.
pub(super) fn unfit(order: &Order) -> Option<&'static str> {
    match order {
        Order::DiskLatency { .. } | Order::DiskStall(_) | Order::DiskFault { .. } => Some(DISK),
        Order::ClockRate { .. } | Order::ClockJump { .. } => Some(CLOCK),
        Order::Rejoin(_) | Order::Salvage(_) => Some(LOST),
        _ => None,
    }
}

impl fmt::Display for Misfit {
    /// `FILE:LINE: why`, and the line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, number, text, why } = self;
        write!(f, "{}:{number}: not for a cluster of processes: {why}\n    {text}", file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_meaning_are_named() {
        let text = "# a storm\nservers 3\ndisks simulated\nwait leader\nlet a = leader\n\
                    clock-rate $a 2\ncrash $a\ntry rejoin $a\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storm.jangada");
        std::fs::write(&path, text).unwrap();
        let found = misfits(&read_scenario(&path).unwrap(), &path);
        let numbers: Vec<_> = found.iter().map(|misfit| misfit.number).collect();
        assert_eq!(numbers, [3, 6, 8]);
        assert!(found[1].to_string().ends_with("\n    clock-rate $a 2"), "{}", found[1]);
        // One that submits it has the same faults.
        let other = folder.path().join("other.jangada");
        std::fs::write(&other, "submit storm.jangada\n").unwrap();
        assert_eq!(misfits(&read_scenario(&other).unwrap(), &other), found);
    }
}
