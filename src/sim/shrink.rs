//! From a failed world to the shortest scenario that still fails.
//!
//! Leaving a line out changes what is drawn at random after it, so what fails without the line may
//! fail only with another seed: each candidate has a few tries. A candidate counts only if it
//! violates the same property.

use std::io;
use std::time::Duration;

use super::{Violation, World, WorldOptions, run_scenario};
use crate::actors::{Order, Servers};
use crate::raft::ServerId;
use crate::script::{Clients, Scenario, Setting, Statement, Variables, Wait};

/// A short scenario that fails as a world failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Shrunk {
    /// The scenario, which says its seed and its servers.
    pub scenario: Scenario,
    /// What it violates.
    pub violation: Violation,
    /// How many statements it has that are no waits.
    pub orders: usize,
    /// How many runs it took to find it.
    pub runs: u64,
}

/// What a scenario says, in a form that is easy to change.
#[derive(Clone)]
struct Candidate {
    servers: u64,
    seed: u64,
    /// Which disks, and when they get snapshots, if that is said.
    settings: Vec<Setting>,
    statements: Vec<Statement>,
    /// The last so many statements stay as they are.
    fixed: usize,
}

/// Whether a scenario goes well where nothing is wrong.
pub type Innocent<'a> = &'a mut dyn FnMut(&Scenario) -> io::Result<bool>;

struct Shrinker<'a> {
    innocent: Option<Innocent<'a>>,
    best: Candidate,
    violation: Violation,
    runs: u64,
    limit: u64,
}

/// Seeds that a candidate is tried with, besides its own.
const TRIES: u64 = 4;
/// Smaller worlds that are tried before lines are left out, for each length of time.
const WORLDS: u64 = 24;

/// Makes the scenario of a failed world as short as `limit` runs allow.
///
/// What is demanded in time at the end of a world can be demanded only there: with less of it before,
/// any cluster would fail. So nothing of the end is left out, unless it can be asked whether the
/// rest is `innocent`.
///
/// # Errors
/// If a run can have no runtime.
pub fn shrink(
    world: &World,
    violation: &Violation,
    limit: u64,
    innocent: Option<Innocent<'_>>,
) -> io::Result<Shrunk> {
    let in_time = violation.property == "liveness" && innocent.is_none();
    let mut shrinker = Shrinker {
        innocent,
        best: Candidate::of(world, in_time),
        violation: violation.clone(),
        runs: 0,
        limit,
    };
    shrinker.try_smaller_worlds(world)?;
    shrinker.end_with_the_violation()?;
    loop {
        let before = shrinker.size();
        shrinker.leave_statements_out()?;
        shrinker.take_fewer_servers()?;
        shrinker.leave_snapshots_out()?;
        shrinker.simplify()?;
        if shrinker.size() >= before || shrinker.spent() {
            break;
        }
    }
    shrinker.insist()?;
    let Shrinker { best, violation, runs, .. } = shrinker;
    let is_wait = |statement: &&Statement| !matches!(statement, Statement::Wait(Wait::Time(_)));
    let orders = best.statements.iter().filter(is_wait).count();
    Ok(Shrunk { scenario: best.scenario(), violation, orders, runs })
}

impl Candidate {
    /// A world's scenario has no variables, and every line of it parses.
    fn of(World { scenario, closing, .. }: &World, in_time: bool) -> Self {
        let variables = Variables::new();
        let statements = scenario.steps.iter().filter_map(|step| step.statement(&variables).ok());
        Self {
            servers: scenario.servers.unwrap_or(Scenario::SERVERS),
            seed: scenario.seed.unwrap_or(Scenario::SEED),
            settings: (scenario.disks.map(Setting::Disks).into_iter())
                .chain(scenario.snapshots.map(Setting::Snapshots))
                .collect(),
            statements: statements.collect(),
            fixed: if in_time { *closing } else { 0 },
        }
    }

    fn scenario(&self) -> Scenario {
        let (servers, seed) = (Setting::Servers(self.servers), Setting::Seed(self.seed));
        let settings: Vec<_> =
            [servers, seed].into_iter().chain(self.settings.iter().copied()).collect();
        Scenario::new(&settings, &self.statements)
    }

    /// How many statements may be left out or changed.
    fn free(&self) -> usize {
        self.statements.len().saturating_sub(self.fixed)
    }

    fn with(&self, statements: Vec<Statement>) -> Self {
        let mut merged: Vec<Statement> = Vec::with_capacity(statements.len());
        for statement in statements {
            match (merged.last_mut(), &statement) {
                (Some(Statement::Wait(Wait::Time(sum))), Statement::Wait(Wait::Time(more))) => {
                    *sum += *more;
                }
                _ => merged.push(statement),
            }
        }
        Self { statements: merged, ..self.clone() }
    }
}

impl Shrinker<'_> {
    fn spent(&self) -> bool {
        self.runs >= self.limit
    }

    /// What must fall for another round to be worth it.
    fn size(&self) -> (usize, u64) {
        (self.best.statements.len(), self.best.servers)
    }

    /// Runs a scenario; what it violates, if that is the same property.
    fn fails_alike(&mut self, scenario: &Scenario) -> io::Result<Option<Violation>> {
        self.runs += 1;
        let violation = run_scenario(scenario)?.violation;
        let alike = violation.filter(|violation| violation.property == self.violation.property);
        let innocent = match (&alike, &mut self.innocent) {
            (Some(_), Some(innocent)) => innocent(scenario)?,
            _ => true,
        };
        Ok(alike.filter(|_| innocent))
    }

    /// Takes the candidate for the best if it fails in the same way, with its own seed or another.
    fn accept(&mut self, candidate: &Candidate) -> io::Result<bool> {
        for attempt in 0..=TRIES {
            if self.spent() {
                return Ok(false);
            }
            let seed = match attempt {
                0 => candidate.seed,
                other => other,
            };
            let candidate = Candidate { seed, ..candidate.clone() };
            if let Some(violation) = self.fails_alike(&candidate.scenario())? {
                (self.best, self.violation) = (candidate, violation);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks for a world that fails in a shorter time: much less is to be left out of it.
    fn try_smaller_worlds(&mut self, world: &World) -> io::Result<()> {
        for milliseconds in [500, 1000, 2000, 4000] {
            let trouble = Duration::from_millis(milliseconds);
            let options = WorldOptions {
                servers: Some(world.servers.min(3)),
                trouble: Some(trouble),
                ..world.options
            };
            for seed in 0..WORLDS {
                if self.runs >= self.limit / 2 {
                    return Ok(());
                }
                let world = World::expand(seed, options);
                if let Some(violation) = self.fails_alike(&world.scenario)? {
                    let in_time = self.best.fixed > 0;
                    (self.best, self.violation) = (Candidate::of(&world, in_time), violation);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Leaves out what comes after the violation.
    fn end_with_the_violation(&mut self) -> io::Result<()> {
        let mut now = Duration::ZERO;
        let mut statements = Vec::new();
        for statement in &self.best.statements {
            now += wait_of(statement);
            statements.push(statement.clone());
            if now > self.violation.at {
                let left_out = self.best.statements.len() - statements.len();
                let fixed = self.best.fixed.saturating_sub(left_out);
                let candidate = Candidate { fixed, ..self.best.with(statements) };
                self.accept(&candidate)?;
                break;
            }
        }
        Ok(())
    }

    /// Leaves runs of statements out, long ones first (delta debugging, Zeller 1999).
    fn leave_statements_out(&mut self) -> io::Result<()> {
        let mut length = self.best.free() / 2;
        while length > 0 {
            let mut end = self.best.free();
            while end > 0 {
                let start = end.saturating_sub(length);
                let mut statements = self.best.statements.clone();
                // Time goes on where something is left out, unless nothing but time is.
                let left_out: Vec<_> = statements.splice(start..end, []).collect();
                let waited: Duration = left_out.iter().map(wait_of).sum();
                let only_waits = left_out.iter().all(|statement| !wait_of(statement).is_zero());
                if !waited.is_zero() && !only_waits {
                    statements.insert(start, Statement::Wait(Wait::Time(waited)));
                }
                let candidate = self.best.with(statements);
                if candidate.statements.len() < self.best.statements.len() {
                    self.accept(&candidate)?;
                }
                if self.spent() {
                    return Ok(());
                }
                end = start.min(self.best.free());
            }
            length /= 2;
        }
        Ok(())
    }

    /// Not where the end stays as it is: what it demands depends on how many there are.
    fn take_fewer_servers(&mut self) -> io::Result<()> {
        if self.best.fixed > 0 {
            return Ok(());
        }
        for servers in 1..self.best.servers {
            let statements = self.best.statements.iter();
            // Nobody can be told what servers do that are not there.
            let possible = |it: &&Statement| order_of(it).is_none_or(|it| names_up_to(it, servers));
            let statements = statements.filter(possible).cloned().collect();
            let candidate = Candidate { servers, ..self.best.with(statements) };
            if self.accept(&candidate)? || self.spent() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Does without snapshots that servers take by themselves.
    fn leave_snapshots_out(&mut self) -> io::Result<()> {
        let mut candidate = self.best.clone();
        candidate.settings.retain(|setting| !matches!(setting, Setting::Snapshots(_)));
        if candidate.settings.len() < self.best.settings.len() {
            self.accept(&candidate)?;
        }
        Ok(())
    }

    /// Takes fewer clients, and shorter times.
    fn simplify(&mut self) -> io::Result<()> {
        for place in 0..self.best.free() {
            for simpler in simpler(&self.best.statements[place]) {
                let mut statements = self.best.statements.clone();
                statements[place] = simpler;
                let candidate = Candidate { statements, ..self.best.clone() };
                if self.accept(&candidate)? || self.spent() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Where an order need not be tried, it is given.
    fn insist(&mut self) -> io::Result<()> {
        for place in 0..self.best.free() {
            if self.spent() {
                break;
            }
            if let Statement::Try(order) = &self.best.statements[place] {
                let mut candidate = self.best.clone();
                candidate.statements[place] = Statement::Order(order.clone());
                if let Some(violation) = self.fails_alike(&candidate.scenario())? {
                    (self.best, self.violation) = (candidate, violation);
                }
            }
        }
        Ok(())
    }
}

fn wait_of(statement: &Statement) -> Duration {
    match statement {
        Statement::Wait(Wait::Time(time)) => *time,
        _ => Duration::ZERO,
    }
}

fn order_of(statement: &Statement) -> Option<&Order> {
    match statement {
        Statement::Order(order) | Statement::Try(order) => Some(order),
        _ => None,
    }
}

/// Whether an order names no server beyond this number.
fn names_up_to(order: &Order, servers: u64) -> bool {
    let exists = |id: &ServerId| id.0 <= servers;
    let exist = |named: &mut Servers| match named {
        Servers::Only(ids) => ids.iter().all(exists),
        Servers::All | Servers::Leader | Servers::Followers => true,
    };
    match order {
        Order::Partition(groups) => groups.iter().flatten().all(exists),
        // These make the servers that they name.
        Order::Members(voters) => voters.iter().all(exists),
        Order::Transfer(to) => to.iter().all(exists),
        order => order.clone().servers_mut().into_iter().all(exist),
    }
}

/// Simpler statements to be tried in a statement's place, the simplest first.
fn simpler(statement: &Statement) -> Vec<Statement> {
    match statement {
        Statement::Wait(Wait::Time(time)) => {
            let shorter = [time.as_secs() * 1000 / 4, time.as_millis() as u64 / 2];
            let rounded = shorter.map(|ms| Duration::from_millis(ms.div_ceil(10) * 10));
            let shorter = rounded.into_iter().filter(|ms| ms < time && !ms.is_zero());
            shorter.map(|time| Statement::Wait(Wait::Time(time))).collect()
        }
        Statement::Clients(clients) => {
            let fewer = (1..clients.count).map(|count| Clients { count, ..*clients });
            let half = clients.time / 2;
            let shorter = (half >= Duration::from_millis(250)).then_some(Clients {
                time: Duration::from_millis(half.as_millis() as u64),
                ..*clients
            });
            fewer.chain(shorter).map(Statement::Clients).collect()
        }
        _ => Vec::new(),
    }
}
