//! Scenario files: statements with their line numbers, all checked before the first one runs.

use std::fmt::{self, Display, Formatter};

use uuid::Uuid;

use super::{Binding, ParseError, Setting, Snapshots, Statement, Value, Variables, parse};
use crate::actors::SandboxOptions;
use crate::raft::ServerId;
use crate::storage::DiskKind;

/// The longest scenario, in bytes.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The most mistakes that are kept; the others are counted.
const MAX_MISTAKES: usize = 20;

/// A scenario whose lines all parse.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scenario {
    /// `servers N`: how many servers it wants, if it says so.
    pub servers: Option<u64>,
    /// `seed N`: the seed it wants, if it says so.
    pub seed: Option<u64>,
    /// `disks KIND`: which disks it wants, if it says so.
    pub disks: Option<DiskKind>,
    /// `snapshots every N`: when its servers take snapshots by themselves, if it says so.
    pub snapshots: Option<Snapshots>,
    /// What is to be done, in order.
    pub steps: Vec<Step>,
}

/// A line of a scenario that is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The line's number in its file, from 1.
    pub number: usize,
    /// The line.
    pub text: String,
}

/// A mistake in a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// The line's number in the file, from 1.
    pub number: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub error: ParseError,
}

/// Why a scenario cannot run: its mistakes, in the order of the lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScenarioError {
    /// The mistakes, the first 20 of them.
    pub mistakes: Vec<Mistake>,
    /// How many more there are.
    pub more: usize,
}

impl Scenario {
    /// Servers of a scenario that does not say how many it wants.
    pub const SERVERS: u64 = 5;
    /// The seed of a scenario that does not say which it wants.
    pub const SEED: u64 = 1;

    /// The sandbox that it wants.
    pub fn sandbox(&self) -> SandboxOptions {
        let mut options = SandboxOptions {
            servers: self.servers.unwrap_or(Self::SERVERS),
            seed: self.seed.unwrap_or(Self::SEED),
            disks: self.disks.unwrap_or_default(),
            ..SandboxOptions::default()
        };
        if let Some(Snapshots { every, keep }) = self.snapshots {
            options.snapshots.entries = every;
            options.raft.limits.kept_entries = keep;
        }
        options
    }

    /// The scenario of these settings and statements, one a line.
    pub fn new(settings: &[Setting], statements: &[Statement]) -> Self {
        let mut scenario = Self::default();
        for setting in settings {
            match setting {
                Setting::Servers(count) => scenario.servers = Some(*count),
                Setting::Seed(seed) => scenario.seed = Some(*seed),
                Setting::Disks(disks) => scenario.disks = Some(*disks),
                Setting::Snapshots(snapshots) => scenario.snapshots = Some(*snapshots),
            }
        }
        let numbers = scenario.settings().len() + 1..;
        let step =
            |(number, statement): (usize, &Statement)| Step { number, text: statement.to_string() };
        scenario.steps = numbers.zip(statements).map(step).collect();
        scenario
    }

    /// Its steps with their statements, in which stand-ins are in the place of variables.
    pub(crate) fn statements(&self) -> Vec<(&Step, Statement)> {
        let mut variables = Variables::new();
        let mut statements = Vec::new();
        for step in &self.steps {
            if let Ok(statement) = step.statement(&variables) {
                stand_in(&mut variables, &statement, step.number);
                statements.push((step, statement));
            }
        }
        statements
    }

    /// What it says about the cluster.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let servers = self.servers.map(Setting::Servers);
        let seed = self.seed.map(Setting::Seed);
        let disks = self.disks.map(Setting::Disks);
        let snapshots = self.snapshots.map(Setting::Snapshots);
        [servers, seed, disks, snapshots].into_iter().flatten().collect()
    }

    /// Parses a whole file.
    ///
    /// # Errors
    ///
    /// All mistakes, not only the first one.
    pub fn parse(file: &[u8]) -> Result<Self, ScenarioError> {
        let mut reader = Reader::default();
        if file.len() > MAX_BYTES {
            let message = format!(
                "the scenario has {} bytes; {MAX_BYTES} is the most. Split it, and use `submit`",
                file.len()
            );
            reader.mistake(1, String::new(), ParseError::new(0..0, message));
            return Err(reader.error);
        }
        let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
        for (number, line) in (1..).zip(file.split(|&byte| byte == b'\n')) {
            reader.line(number, line);
        }
        if reader.error.mistakes.is_empty() { Ok(reader.scenario) } else { Err(reader.error) }
    }
}

impl Display for Scenario {
    /// The text of a scenario file, without the comments that it may have been read from.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.settings().iter().try_for_each(|setting| writeln!(f, "{setting}"))?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{}", step.text))
    }
}

impl Default for Snapshots {
    /// As servers do unless they are told otherwise.
    fn default() -> Self {
        let SandboxOptions { snapshots, raft, .. } = SandboxOptions::default();
        Self { every: snapshots.entries, keep: raft.limits.kept_entries }
    }
}

impl Step {
    /// The statement, with the values that the variables have now.
    ///
    /// # Errors
    ///
    /// What only these values can make wrong, such as a server in two groups of a partition.
    pub fn statement(&self, variables: &Variables) -> Result<Statement, Mistake> {
        let mistake = |error| Mistake { number: self.number, text: self.text.clone(), error };
        match parse(&self.text, variables) {
            Ok(Some(statement)) => Ok(statement),
            Ok(None) => Err(mistake(ParseError::new(0..0, "there is no statement on this line"))),
            Err(error) => Err(mistake(error)),
        }
    }
}

/// Gives stand-ins to the variables that a statement names. `number` is that of its line.
fn stand_in(variables: &mut Variables, statement: &Statement, number: usize) {
    if let Statement::Let { name, binding } = statement {
        let value = match binding {
            Binding::Load(_) => Value::File(Uuid::nil()),
            // Different for each line, so that two variables never look like one server.
            Binding::Leader | Binding::Follower => {
                Value::Server(ServerId(u64::MAX - number as u64))
            }
        };
        variables.insert(name.clone(), value);
    }
}

#[derive(Default)]
struct Reader {
    scenario: Scenario,
    /// Stand-ins for the values that the variables will have.
    variables: Variables,
    error: ScenarioError,
}

impl Reader {
    fn line(&mut self, number: usize, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = match str::from_utf8(line) {
            Ok(text) => text,
            Err(error) => {
                let at = error.valid_up_to();
                let message =
                    format!("byte {} of this line, \\x{:02x}, is not UTF-8", at + 1, line[at]);
                let text = String::from_utf8_lossy(line).into_owned();
                self.mistake(number, text, ParseError::new(at..at + 1, message));
                return;
            }
        };
        match parse(text, &self.variables) {
            Ok(None) => {}
            Ok(Some(statement)) => {
                if let Err(message) = self.take(number, &statement) {
                    let error = ParseError::new(0..text.trim_end().len(), message);
                    self.mistake(number, text.to_owned(), error);
                } else if !matches!(statement, Statement::Setting(_)) {
                    self.scenario.steps.push(Step { number, text: text.to_owned() });
                }
            }
            Err(error) => self.mistake(number, text.to_owned(), error),
        }
    }

    fn take(&mut self, number: usize, statement: &Statement) -> Result<(), &'static str> {
        match statement {
            Statement::Setting(_) if !self.scenario.steps.is_empty() => {
                Err("`servers`, `seed`, `disks` and `snapshots` go at the top of a scenario, \
                     before all else")
            }
            Statement::Setting(Setting::Servers(count)) => {
                match self.scenario.servers.replace(*count) {
                    None => Ok(()),
                    Some(_) => Err("`servers` is set twice"),
                }
            }
            Statement::Setting(Setting::Seed(seed)) => match self.scenario.seed.replace(*seed) {
                None => Ok(()),
                Some(_) => Err("`seed` is set twice"),
            },
            Statement::Why(_) => Err(
                "a scenario asks for no cause: `jangada replay` does at a prompt, and `jangada why` \
                 on the command line",
            ),
            Statement::Travel(_) => Err(
                "a scenario does not travel in time: `wait 2s` lets it pass, and `jangada replay` \
                 runs the scenario step by step",
            ),
            Statement::Setting(Setting::Disks(kind)) => match self.scenario.disks.replace(*kind) {
                None => Ok(()),
                Some(_) => Err("`disks` is set twice"),
            },
            Statement::Setting(Setting::Snapshots(snapshots)) => {
                match self.scenario.snapshots.replace(*snapshots) {
                    None => Ok(()),
                    Some(_) => Err("`snapshots` is set twice"),
                }
            }
            statement => {
                stand_in(&mut self.variables, statement, number);
                Ok(())
            }
        }
    }

    fn mistake(&mut self, number: usize, text: String, error: ParseError) {
        if self.error.mistakes.len() < MAX_MISTAKES {
            self.error.mistakes.push(Mistake { number, text, error });
        } else {
            self.error.more += 1;
        }
    }
}

impl Mistake {
    /// `FILE:LINE: message`, the line itself with carets under the mistake, and a hint. Ends with
    /// a newline.
    pub fn report(&self, file: &str) -> String {
        format!("{file}:{}: {}\n{}", self.number, self.error, self.error.excerpt(&self.text))
    }
}

impl ScenarioError {
    /// The reports of all mistakes.
    pub fn report(&self, file: &str) -> String {
        let mut text: String = self.mistakes.iter().map(|mistake| mistake.report(file)).collect();
        if self.more > 0 {
            text.push_str(&format!("{file}: {} more mistakes\n", self.more));
        }
        text
    }
}

impl Display for Mistake {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.error)
    }
}

impl Display for ScenarioError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, mistake) in self.mistakes.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        if self.more > 0 { write!(f, "\nand {} more mistakes", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for Mistake {}
impl std::error::Error for ScenarioError {}
