//! Carries statements out on a cluster.
//!
//! Paths of the host in a scenario are relative to the directory that holds it; at the prompt, to
//! the current one. A command that was refused fails its statement, unless `expect refused` asked
//! for it. Commands in the background tell what came of them when they end; `wait jobs`, and the
//! end of a scenario, wait for them and fail if one of them failed.

mod call;
mod calls;
mod clients;
mod expectations;
mod failure;
mod follow;
mod host;
mod jobs;
mod plain;
mod record;
mod references;
mod screen;
#[cfg(test)]
mod tests;
mod world;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

pub use failure::{Failure, Unmet};
pub use host::HostError;
pub use plain::Plain;
pub use screen::{Progress, Screen};
pub use world::World;

use self::call::Caller;
pub(crate) use self::calls::CallTally;
use self::calls::Calls;
use self::expectations::followed_leader;
use self::host::{Input, Output};
use self::jobs::Jobs;
use self::record::{Fate, Recording};
use self::references::{Reference, each_reference};
use super::value::Time as Text;
use super::{
    Binding, Expectation, FileCall, FileCommand, Mistake, OneServer, Scenario, Setting, Snapshots,
    Statement, Value, Variables, Wait, help, help_for, parse,
};
use crate::actors::{
    Client, ClockKind, Consistency, Event, EventKind, OrderError, Sandbox, Servers,
};
use crate::invariants::History;
use crate::raft::{Index, ServerId, Time};
use crate::storage::DiskKind;

/// Carries statements out, one after the other, on one cluster.
pub struct Runner<W = Sandbox> {
    world: Rc<W>,
    screen: Rc<dyn Screen>,
    clock_kind: ClockKind,
    /// The session of all file commands.
    client: Client,
    variables: Variables,
    jobs: Jobs,
    calls: Rc<RefCell<Calls>>,
    recording: Rc<RefCell<Recording>>,
    /// Where relative paths of the host begin at the prompt: the current directory.
    home: PathBuf,
    /// The directories of the scenarios that run inside one another, where theirs begin.
    places: Vec<PathBuf>,
    /// How many servers founded the cluster.
    founders: u64,
    /// A violation has failed a statement already.
    told_violation: bool,
    /// Whether what is to be written to the host is written.
    writes: Rc<Cell<bool>>,
}

/// What comes after a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// The next one.
    Next,
    /// Nothing: `quit` was said.
    Quit,
}

/// How long `wait leader` waits, unless told otherwise.
const LEADER_PATIENCE: Duration = Duration::from_secs(10);
/// How long `wait members` waits, unless told otherwise.
const MEMBERS_PATIENCE: Duration = Duration::from_secs(30);
/// How long `wait jobs` waits.
const JOBS_PATIENCE: Duration = Duration::from_secs(60);
/// The time between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(1);
/// How deep scenarios may submit one another.
const MAX_DEPTH: usize = 8;
/// The latest events that `events` shows unless told otherwise, and entries that `log` shows.
const SHOWN_EVENTS: usize = 20;
const SHOWN_ENTRIES: u64 = 50;

impl Runner {
    /// A runner on this sandbox. `clock_kind` is what [`run`](crate::actors::run) was given.
    pub fn new(
        sandbox: impl Into<Rc<Sandbox>>,
        screen: Rc<dyn Screen>,
        clock_kind: ClockKind,
    ) -> Self {
        Self::on(sandbox.into(), screen, clock_kind)
    }

    /// The sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        &self.world
    }
}

impl<W: World> Runner<W> {
    /// A runner on this cluster. `clock_kind` is what [`run`](crate::actors::run) was given.
    pub fn on(world: Rc<W>, screen: Rc<dyn Screen>, clock_kind: ClockKind) -> Self {
        let servers = world.resolve(&Servers::All).map_or(0, |servers| servers.len());
        Self {
            client: world.client(),
            founders: servers as u64,
            world,
            screen,
            clock_kind,
            variables: Variables::new(),
            jobs: Jobs::default(),
            calls: Rc::default(),
            recording: Rc::default(),
            home: PathBuf::new(),
            places: Vec::new(),
            told_violation: false,
            writes: Rc::new(Cell::new(true)),
        }
    }

    /// A runner on the same sandbox, with the same session and records: it can look while this
    /// one carries something out. Its variables are those of now.
    pub(crate) fn twin(&self) -> Self {
        Self {
            world: self.world.clone(),
            screen: self.screen.clone(),
            clock_kind: self.clock_kind,
            client: self.client.clone(),
            variables: self.variables.clone(),
            jobs: Jobs::default(),
            calls: self.calls.clone(),
            recording: self.recording.clone(),
            home: self.home.clone(),
            places: Vec::new(),
            founders: self.founders,
            told_violation: self.told_violation,
            writes: self.writes.clone(),
        }
    }

    /// Takes over the variables of a twin, and what it has told.
    pub(crate) fn learn(&mut self, twin: &Self) {
        self.variables.clone_from(&twin.variables);
        self.told_violation |= twin.told_violation;
    }

    /// Relative paths of the host begin here from now on.
    pub(crate) fn set_home(&mut self, home: &Path) {
        home.clone_into(&mut self.home);
    }

    /// What is done again must not write its files again: `false` writes none from now on, and
    /// neither do the twins.
    pub(crate) fn set_writes(&self, writes: bool) {
        self.writes.set(writes);
    }

    /// What was carried out so far, and when; `None` if it was too much to be kept.
    pub(crate) fn carried_out(&self) -> Option<Vec<(Time, String)>> {
        self.recording.borrow().lines()
    }

    /// The names of the files, as far as they were told.
    pub(crate) fn known_files(&self) -> Vec<String> {
        self.calls.borrow().known_files()
    }

    /// What came of the clients' calls so far.
    pub(crate) fn tally_calls(&self) -> CallTally {
        self.calls.borrow().tally()
    }

    /// The variables and their values.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// What was asked about the files so far and what was answered, the first 20,000 calls: all
    /// that `expect linearizable` checks.
    pub fn history(&self) -> History {
        self.calls.borrow().history().0
    }

    /// The cluster.
    pub fn world(&self) -> &W {
        &self.world
    }

    /// Ends the cluster in good order.
    pub async fn end(self) {
        self.world.end().await;
    }

    /// Carries out one line as it was typed; a blank one does nothing. The future may be dropped
    /// to interrupt it: a file command may then have been carried out or not.
    ///
    /// # Errors
    /// If it does not parse, or as [`execute`](Self::execute).
    pub async fn line(&mut self, text: &str) -> Result<Flow, Failure> {
        // An interrupted line may have left scenarios that no longer run.
        self.places.clear();
        match parse(text, &self.variables) {
            Ok(None) => Ok(Flow::Next),
            Ok(Some(statement)) => self.execute(&statement).await,
            Err(error) => Err(Failure::Mistake(Mistake { number: 1, text: text.into(), error })),
        }
    }

    /// Carries out a scenario, up to its end or a `quit`; its `servers` and `seed` are for those
    /// who make the sandbox. `path` is where it was read from.
    ///
    /// # Errors
    /// [`Failure::At`], with the line that failed; another failure if a command in the background
    /// failed after the last line.
    pub async fn scenario(&mut self, scenario: &Scenario, path: &Path) -> Result<(), Failure> {
        self.places.push(path.parent().unwrap_or(Path::new("")).to_owned());
        let done = self.steps(scenario, path).await;
        self.places.pop();
        done?;
        if self.places.is_empty() {
            self.wait_jobs().await?;
        }
        self.look_for_violation()
    }

    async fn steps(&mut self, scenario: &Scenario, path: &Path) -> Result<(), Failure> {
        for step in &scenario.steps {
            self.screen.step(step);
            let at = |cause| Failure::At {
                file: path.to_owned(),
                line: step.number,
                text: step.text.trim().to_owned(),
                cause: Box::new(cause),
            };
            let statement = step.statement(&self.variables).map_err(Failure::Mistake);
            let statement = statement.map_err(at)?;
            if self.execute(&statement).await.map_err(at)? == Flow::Quit {
                break;
            }
        }
        Ok(())
    }

    /// Carries out one statement.
    ///
    /// # Errors
    /// If it could not be carried out, if what it expects does not hold, or, before all else and
    /// once, if something that must always hold was seen not to ([`Failure::Violated`]).
    pub async fn execute(&mut self, statement: &Statement) -> Result<Flow, Failure> {
        self.world.look().await;
        let (began, leader) = (self.world.clock().now(), self.world.leader());
        // In another run a file has the same name, but another uuid.
        let mut portable = statement.clone();
        each_reference(&mut portable, &mut |reference| match reference {
            Reference::File(file) => *file = self.calls.borrow().name_of(file),
            Reference::Path(path) => {
                *path = self.base().join(&*path).to_string_lossy().into_owned();
            }
        });
        let fate = Rc::new(Cell::new(Fate::Open));
        let done = self.carry_out(statement, &fate).await;
        if let Some(statement) = recorded(portable, &done, &fate) {
            let recording = &mut *self.recording.borrow_mut();
            recording.add(statement, leader, began, fate, self.world.clock().now());
        }
        self.look_for_violation().and(done)
    }

    /// Fails once if something that must always hold was seen not to.
    fn look_for_violation(&mut self) -> Result<(), Failure> {
        let Some(violation) = self.world.violation().filter(|_| !self.told_violation) else {
            return Ok(());
        };
        self.told_violation = true;
        let mut events = self.world.events().latest(usize::MAX);
        let seen = |event: &Event| matches!(event.kind, EventKind::Violated(_));
        events.truncate(events.iter().position(seen).unwrap_or(events.len()));
        let skip = events.len().saturating_sub(SHOWN_EVENTS);
        Err(Failure::Violated { violation, events: events.split_off(skip) })
    }

    async fn carry_out(
        &mut self,
        statement: &Statement,
        fate: &Rc<Cell<Fate>>,
    ) -> Result<Flow, Failure> {
        match statement {
            Statement::Order(order) => self.world.order(order.clone()).await?,
            Statement::BothWays { there, back } => {
                self.world.order(there.clone()).await?;
                self.world.order(back.clone()).await?;
            }
            Statement::Try(order) => match self.world.order(order.clone()).await {
                Ok(()) | Err(OrderError::Ended) => {}
                Err(refused) => self.screen.confirm(&format!("not done: {refused}")),
            },
            Statement::Clients(clients) => self.start_clients(clients)?,
            Statement::File { call, background: true } => {
                let caller = self.caller(call.at)?;
                self.jobs.start(caller, call.clone(), fate.clone())?;
            }
            Statement::File { call, background: false } => {
                let done = self.caller(call.at)?.call(&call.command).await;
                fate.set(Fate::of(&done));
                let told = done?;
                // What was asked for has been shown; but of what is stale, not how stale it is.
                let stale = call.command.reading() == Some(Consistency::Stale);
                if stale || !call.command.shows() {
                    self.screen.confirm(&told);
                }
            }
            Statement::Submit(path) => self.submit(path).await?,
            Statement::Status => self.screen.status(&self.world.status().await?),
            Statement::Members => self.screen.members(&self.world.status().await?),
            Statement::Log(servers) => self.show_logs(servers).await?,
            Statement::Events(count) => {
                let count = count.unwrap_or(SHOWN_EVENTS);
                self.screen.events(&self.world.events().latest(count));
            }
            Statement::Watch => {
                let now = if self.screen.watch() { "on" } else { "off" };
                self.screen.confirm(&format!("live notices are {now}"));
            }
            Statement::Follow(follow) => self.follow(follow).await?,
            Statement::Help(None) => self.screen.say(help().trim_end()),
            Statement::Help(Some(topic)) => {
                let text = help_for(topic).map_err(Failure::Other)?;
                self.screen.say(text.trim_end());
            }
            Statement::Save(path) if self.writes.get() => self.save(path)?,
            Statement::History(path) if self.writes.get() => self.write_history(path)?,
            Statement::Save(_) | Statement::History(_) => {}
            Statement::Quit => return Ok(Flow::Quit),
            Statement::Travel(travel) => {
                return Err(Failure::Other(format!(
                    "`{travel}` needs virtual time: `jangada --virtual` opens a console in it, \
                     `jangada replay FILE` one on a scenario"
                )));
            }
            Statement::Why(inquiry) => {
                return Err(Failure::Other(format!(
                    "`{inquiry}` is asked at a prompt; of a scenario, `jangada why` asks it"
                )));
            }
            Statement::Wait(Wait::Time(time)) => self.world.clock().sleep(*time).await,
            Statement::Wait(Wait::Leader(within)) => self.wait_leader(*within).await?,
            Statement::Wait(Wait::Members { voters, within }) => {
                self.wait_members(voters, *within).await?;
            }
            Statement::Wait(Wait::Jobs) => self.wait_jobs().await?,
            Statement::Let { name, binding } => {
                let value = self.bind(binding, fate).await?;
                self.variables.insert(name.clone(), value);
            }
            Statement::Expect(expectation) => self.expect(expectation).await?,
            Statement::Setting(setting) => {
                return Err(Failure::Other(format!(
                    "`{setting}` goes at the top of a scenario file, for a cluster that is yet to \
                     be made; this one keeps what it has"
                )));
            }
        }
        Ok(Flow::Next)
    }

    async fn bind(&self, binding: &Binding, fate: &Cell<Fate>) -> Result<Value, Failure> {
        match binding {
            Binding::Load(load) => {
                let done = self.caller(None)?.load(load).await;
                fate.set(Fate::of(&done));
                let file = done?;
                self.screen.confirm(&call::loaded(&file));
                Ok(Value::File(file.uuid))
            }
            Binding::Leader => {
                let leader = self.world.leader().ok_or(OrderError::NoLeader)?;
                Ok(Value::Server(leader))
            }
            Binding::Follower => {
                let status = self.world.status().await?;
                let leader = self.world.leader();
                let follower = status.servers.iter().find(|it| it.is_up() && Some(it.id) != leader);
                let none = || Failure::Other("no follower is up; `recover` some server".to_owned());
                Ok(Value::Server(follower.ok_or_else(none)?.id))
            }
        }
    }

    /// Carries out file commands, by whichever server answers or by this one alone.
    fn caller(&self, at: Option<OneServer>) -> Result<Caller, Failure> {
        let server = match at {
            None => None,
            Some(OneServer::Number(server)) => {
                self.world.resolve(&Servers::Only(vec![server]))?;
                Some(server)
            }
            Some(OneServer::Leader) => Some(self.world.leader().ok_or(OrderError::NoLeader)?),
        };
        Ok(Caller {
            client: server.map_or_else(|| self.client.clone(), |server| self.client.at(server)),
            clock: self.world.clock(),
            clock_kind: self.clock_kind,
            screen: self.screen.clone(),
            calls: self.calls.clone(),
            number: 0,
            base: self.base().to_owned(),
            writes: self.writes.get(),
        })
    }

    /// Where relative paths of the host begin now.
    fn base(&self) -> &Path {
        self.places.last().unwrap_or(&self.home)
    }

    /// How many servers founded the cluster.
    pub(crate) fn founders(&self) -> u64 {
        self.founders
    }

    async fn wait_leader(&self, within: Option<Duration>) -> Result<(), Failure> {
        let clock = self.world.clock();
        let within = within.unwrap_or(LEADER_PATIENCE);
        let deadline = clock.now() + within;
        loop {
            let status = self.world.status().await?;
            if let Some(leader) = followed_leader(&status) {
                self.screen.confirm(&format!("{leader} leads"));
                return Ok(());
            }
            if clock.now() >= deadline {
                let (voters, up, _) = status.voters();
                return Err(Failure::Other(format!(
                    "no server leads after {}: {up} of {voters} servers are up, {} are needed; \
                     `status` shows them and their links",
                    Text(within),
                    voters / 2 + 1
                )));
            }
            clock.sleep(POLL).await;
        }
    }

    async fn wait_members(
        &self,
        voters: &[ServerId],
        within: Option<Duration>,
    ) -> Result<(), Failure> {
        let within = within.unwrap_or(MEMBERS_PATIENCE);
        let expectation = Expectation::Members { voters: voters.to_vec(), within };
        match self.expect(&expectation).await {
            Err(Failure::Unmet(unmet)) => Err(Failure::Other(format!(
                "these are not the voters after {}: {}; `members` shows how far the change is",
                Text(within),
                unmet.found
            ))),
            done => done,
        }
    }

    async fn wait_jobs(&self) -> Result<(), Failure> {
        let clock = self.world.clock();
        let deadline = clock.now() + JOBS_PATIENCE;
        while self.jobs.running() > 0 {
            if clock.now() >= deadline {
                return Err(Failure::Other(format!(
                    "{} commands in the background have no answer after {}",
                    self.jobs.running(),
                    Text(JOBS_PATIENCE)
                )));
            }
            clock.sleep(POLL).await;
        }
        self.jobs.look()
    }

    async fn show_logs(&self, servers: &Servers) -> Result<(), Failure> {
        let meant = self.world.resolve(servers)?;
        let status = self.world.status().await?;
        for server in meant.iter().filter_map(|id| status.server(*id)) {
            let last = server.last_log.index;
            let base = server.raft.as_ref().map_or(Index(0), |raft| raft.log_base);
            let after = base.max(Index(last.0.saturating_sub(SHOWN_ENTRIES)));
            self.screen.log(server, &self.world.log(server.id, after, last).await?);
        }
        Ok(())
    }

    async fn submit(&mut self, path: &str) -> Result<(), Failure> {
        let path = self.base().join(path);
        if self.places.len() == MAX_DEPTH {
            return Err(Failure::Other(format!(
                "{} is submitted inside {MAX_DEPTH} other scenarios, which is the limit; does one \
                 submit itself?",
                path.display()
            )));
        }
        let scenario = read_scenario(&path)?;
        let servers = self.founders;
        if let Some(wanted) = scenario.servers.filter(|wanted| *wanted != servers) {
            return Err(Failure::Other(format!(
                "{} is for {wanted} servers, and this cluster began with {servers}; `jangada run {0}` makes a \
                 cluster for it",
                path.display()
            )));
        }
        let disks = self.world.disks();
        if let Some(wanted) = scenario.disks.filter(|wanted| *wanted != disks) {
            let (wanted, disks) = (Setting::Disks(wanted), Setting::Disks(disks));
            return Err(Failure::Other(format!(
                "{} wants `{wanted}`, and this cluster has `{disks}`; `jangada run {0}` makes a \
                 cluster for it",
                path.display()
            )));
        }
        let snapshots = self.snapshots();
        if let Some(wanted) = scenario.snapshots.filter(|wanted| *wanted != snapshots) {
            let (wanted, has) = (Setting::Snapshots(wanted), Setting::Snapshots(snapshots));
            return Err(Failure::Other(format!(
                "{} wants `{wanted}`, and this cluster has `{has}`; `jangada run {0}` makes a \
                 cluster for it",
                path.display()
            )));
        }
        if scenario.seed.is_some_and(|seed| seed != self.world.seed()) {
            let seed = self.world.seed();
            self.screen.confirm(&format!("its seed is not used: this cluster has seed {seed}"));
        }
        Box::pin(self.scenario(&scenario, &path)).await
    }

    fn snapshots(&self) -> Snapshots {
        let (every, keep) = self.world.snapshots();
        Snapshots { every, keep }
    }

    /// What is not as it is without settings, and how many servers of which seed there are.
    fn settings(&self) -> Vec<Setting> {
        let mut settings = vec![Setting::Servers(self.founders), Setting::Seed(self.world.seed())];
        let (disks, snapshots) = (self.world.disks(), self.snapshots());
        if disks != DiskKind::default() {
            settings.push(Setting::Disks(disks));
        }
        if snapshots != Snapshots::default() {
            settings.push(Setting::Snapshots(snapshots));
        }
        settings
    }

    fn save(&self, path: &str) -> Result<(), Failure> {
        let path = self.new_file(path)?;
        let here = path.parent() == Some(Path::new(""));
        let found_from_there = |given: &str| match std::path::absolute(given) {
            Ok(absolute) if !here => absolute.to_string_lossy().into_owned(),
            _ => given.to_owned(),
        };
        let text = self.recording.borrow().scenario(self.settings(), found_from_there);
        let text = text.map_err(|why| Failure::Other(format!("not saved: {why}")))?;
        let mut output = Output::create(&path)?;
        output.write(text.as_bytes()).map_err(|error| HostError::io("write", &path, error))?;
        output.keep()?;
        self.screen.confirm(&format!("saved as {}: `jangada run` runs it", path.display()));
        Ok(())
    }

    fn write_history(&self, path: &str) -> Result<(), Failure> {
        let path = self.new_file(path)?;
        let history = self.history();
        let mut output = Output::create(&path)?;
        let written = output.write_with(|out| history.write_lines(out));
        written.map_err(|error| HostError::io("write", &path, error))?;
        output.keep()?;
        self.screen.confirm(&format!(
            "{} calls written to {}: `jangada check-history` checks them",
            history.calls().len(),
            path.display()
        ));
        Ok(())
    }

    /// The path of a file of the host that is yet to be made.
    fn new_file(&self, path: &str) -> Result<PathBuf, Failure> {
        let path = self.base().join(path);
        if path.exists() {
            let message = format!("{} exists; choose another name, or remove it", path.display());
            return Err(Failure::Other(message));
        }
        Ok(path)
    }
}

/// Reads a scenario file.
///
/// # Errors
/// If it cannot be read, or does not parse.
pub fn read_scenario(path: &Path) -> Result<Scenario, Failure> {
    let io = |error| HostError::io("read", path, error);
    let mut input = Input::open(path)?;
    let bytes = input.whole(super::scenario::MAX_BYTES).map_err(io)?;
    let size = input.size;
    let limit = super::scenario::MAX_BYTES as u64;
    let too_large = || HostError::TooLarge { path: path.to_owned(), size, limit };
    let bytes = bytes.ok_or_else(too_large)?;
    let file = path.to_owned();
    Scenario::parse(&bytes).map_err(|error| Failure::Scenario { file, error })
}

/// What a scenario that repeats this statement says, if it says anything.
fn recorded(
    statement: Statement,
    done: &Result<Flow, Failure>,
    fate: &Cell<Fate>,
) -> Option<Statement> {
    match statement {
        Statement::Let { binding: Binding::Load(load), .. } => {
            let call = FileCall { at: None, command: FileCommand::Load(load) };
            recorded(Statement::File { call, background: false }, done, fate)
        }
        Statement::File { background: false, .. } => {
            (fate.get() != Fate::Open).then_some(statement)
        }
        Statement::Order(_)
        | Statement::Try(_)
        | Statement::BothWays { .. }
        | Statement::Clients(_)
        | Statement::File { background: true, .. }
        | Statement::Wait(Wait::Leader(_) | Wait::Members { .. } | Wait::Jobs)
        | Statement::Expect(_) => done.is_ok().then_some(statement),
        _ => None,
    }
}
