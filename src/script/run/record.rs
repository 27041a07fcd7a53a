//! What was done so far, for `save`.

use std::cell::Cell;
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use super::failure::Failure;
use super::references::{Reference, each_reference};
use crate::actors::{ClientError, Order, Servers};
use crate::raft::{ServerId, Time};
use crate::script::value::MAX_DURATION;
use crate::script::{Expectation, Scenario, Setting, Statement, Wait};

/// What became of a file command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Fate {
    /// It has not ended.
    #[default]
    Open,
    /// It was carried out.
    Done,
    /// It was not, and will not be.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// The statements that were carried out, and when.
#[derive(Default)]
pub(super) struct Recording {
    entries: Vec<Entry>,
    /// When the last of them had been carried out.
    ended: Time,
    /// The leader that the scenario has seen to.
    leader: Option<ServerId>,
    bytes: usize,
}

struct Entry {
    /// When it began.
    began: Time,
    /// How long nothing was done before.
    pause: Duration,
    /// Who must lead before it.
    leader: Option<ServerId>,
    statement: Statement,
    fate: Rc<Cell<Fate>>,
}

/// A longer recording cannot be saved: a scenario may not have more bytes than this.
const MAX_BYTES: usize = 4 << 20;

impl Fate {
    pub(super) fn of<T>(done: &Result<T, Failure>) -> Self {
        match done {
            Ok(_) => Self::Done,
            Err(Failure::File(ClientError::Unknown)) => Self::Unknown,
            Err(_) => Self::Refused,
        }
    }
}

impl Recording {
    /// Adds a statement that was carried out, or a file command that was refused or whose outcome
    /// is unknown. It began and ended at these moments; `leader` is who led before it.
    pub(super) fn add(
        &mut self,
        statement: Statement,
        leader: Option<ServerId>,
        began: Time,
        fate: Rc<Cell<Fate>>,
        ended: Time,
    ) {
        if self.is_full() {
            return;
        }
        // Whoever names servers has seen who leads.
        let matters = match &statement {
            Statement::Order(_) | Statement::Try(_) | Statement::BothWays { .. } => true,
            Statement::File { call, .. } => call.at.is_some(),
            _ => false,
        };
        let leader = leader.filter(|leader| matters && self.leader != Some(*leader));
        self.leader = leader.or(self.leader);
        self.bytes += statement.to_string().len() + 1;
        let pause = began.since(self.ended);
        self.entries.push(Entry { began, pause, leader, statement, fate });
        self.ended = ended;
    }

    fn is_full(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    /// What was carried out, and when; `None` if not all of it is known.
    pub(super) fn lines(&self) -> Option<Vec<(Time, String)>> {
        let line = |entry: &Entry| (entry.began, entry.statement.to_string());
        (!self.is_full()).then(|| self.entries.iter().map(line).collect())
    }

    /// The scenario. `path` says how the paths of the host are written there.
    pub(super) fn scenario(
        &self,
        settings: Vec<Setting>,
        path: impl Fn(&str) -> String,
    ) -> Result<String, String> {
        let too_long = || "more was done than one scenario can hold (4 MiB)".to_owned();
        if self.is_full() {
            return Err(too_long());
        }
        let mut text = String::from(
            "# What was done by hand. Where servers are named, `timeout` sees to it that the same\n\
             # one leads as then.\n\n",
        );
        let mut line = |statement: &Statement| {
            writeln!(text, "{statement}").expect("invariant: a string takes every text");
        };
        settings.into_iter().for_each(|setting| line(&Statement::Setting(setting)));
        for entry in &self.entries {
            if let Some(pause) = pause(entry.pause) {
                line(&Statement::Wait(Wait::Time(pause)));
            }
            if let Some(server) = entry.leader {
                let servers = Servers::Only(vec![server]);
                line(&Statement::Order(Order::Timeout(servers)));
                let within = Duration::from_secs(10);
                let leader = Expectation::Leader { server: Some(server), within };
                line(&Statement::Expect(leader));
            }
            let mut statement = entry.outcome();
            each_reference(&mut statement, &mut |reference| {
                if let Reference::Path(given) = reference {
                    *given = path(given);
                }
            });
            line(&statement);
        }
        let in_background = |it: &Entry| {
            matches!(it.statement, Statement::File { background: true, .. } | Statement::Clients(_))
        };
        if self.entries.iter().any(in_background) {
            line(&Statement::Wait(Wait::Jobs));
        }
        // What cannot be read back, such as a text whose escapes make its line too long, is not
        // worth writing.
        match Scenario::parse(text.as_bytes()) {
            Ok(_) => Ok(text),
            Err(error) => Err(format!("it would not be a scenario: {error}")),
        }
    }
}

impl Entry {
    /// The statement, demanding what happened if it is not what one would expect.
    fn outcome(&self) -> Statement {
        match (&self.statement, self.fate.get()) {
            (Statement::File { call, .. }, Fate::Refused) => {
                Statement::Expect(Expectation::Refused { because: None, call: call.clone() })
            }
            (Statement::File { call, .. }, Fate::Unknown) => {
                Statement::Expect(Expectation::Unknown(call.clone()))
            }
            (statement, _) => statement.clone(),
        }
    }
}

/// The pause in whole milliseconds, rounded up; none where the next line followed at once.
fn pause(pause: Duration) -> Option<Duration> {
    let milliseconds = pause.as_nanos().div_ceil(1_000_000) as u64;
    (milliseconds > 1).then(|| Duration::from_millis(milliseconds).min(MAX_DURATION))
}
