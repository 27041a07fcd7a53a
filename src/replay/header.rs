//! What stands at the top of a trace, so that its run can be done again.

use std::path::{Path, PathBuf};

use super::timeline::Timeline;
use crate::script::{self, Scenario, Setting, Statement, Variables};

/// The lines at the top of the trace of a scenario that was read from `path`, each with its
/// newline. The scenario must say all that it was run with.
pub fn header(scenario: &Scenario, path: &Path) -> String {
    let line = |what: std::fmt::Arguments<'_>| format!("{BEGINNING}{what}\n");
    let mut text = line(format_args!("file {}", path.display()));
    for setting in scenario.settings() {
        text.push_str(&line(format_args!("0 {setting}")));
    }
    for step in &scenario.steps {
        text.push_str(&line(format_args!("{} {}", step.number, step.text.trim())));
    }
    text
}

/// How every line of it begins.
const BEGINNING: &str = "0.000000 scenario ";

/// The top of a trace, as far as it was read.
#[derive(Default)]
pub(crate) struct Header {
    path: PathBuf,
    settings: Vec<Setting>,
    steps: Vec<script::Step>,
}

impl Header {
    /// Takes a line in, if it is one of a header.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        let Some((number, text)) =
            line.strip_prefix(BEGINNING).and_then(|line| line.split_once(' '))
        else {
            return false;
        };
        match (number.parse(), script::parse(text, &Variables::new())) {
            (Ok(0_usize), Ok(Some(Statement::Setting(setting)))) => self.settings.push(setting),
            (Ok(number), _) => self.steps.push(script::Step { number, text: text.to_owned() }),
            (Err(_), _) => self.path = text.into(),
        }
        true
    }

    /// The run, if all that it takes was there.
    pub(crate) fn timeline(self) -> Option<Timeline> {
        let mut scenario = Scenario::new(&self.settings, &[]);
        scenario.steps = self.steps;
        let complete = scenario.servers.is_some() && scenario.seed.is_some();
        complete.then(|| Timeline::new(&scenario, &self.path))
    }
}
