//! What a seed stands for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::faults::{Faults, Script};
use super::{Fault, Profile};
use crate::actors::{Consistency, Order, Servers};
use crate::script::{Clients, Expectation, Scenario, Setting, Statement, Wait};
use crate::storage::{DiskFault, DiskKind};

/// What is not left to the seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WorldOptions {
    /// Which faults there may be.
    pub profile: Profile,
    /// How many servers; otherwise drawn, from one to seven, mostly three or five.
    pub servers: Option<u64>,
    /// How long the faults go on; otherwise [`World::TROUBLE`].
    pub trouble: Option<Duration>,
}

/// A cluster, its clients and its misfortunes.
#[derive(Clone, PartialEq, Debug)]
pub struct World {
    /// What it was drawn from.
    pub seed: u64,
    /// What was not drawn.
    pub options: WorldOptions,
    /// Servers.
    pub servers: u64,
    /// Clients, and how long each thinks between two commands on average.
    pub clients: (u64, Duration),
    /// The kinds of faults that may happen in it.
    pub faults: Vec<Fault>,
    /// The time between two faults, on average.
    pub pace: Duration,
    /// All of it, as the console's language says it.
    pub scenario: Scenario,
    /// The faults by the number of the scenario's step that begins them.
    pub begins: BTreeMap<usize, Fault>,
}

/// Draws of one seed.
pub(super) struct Luck(ChaCha8Rng);

impl World {
    /// How long the faults go on, unless told otherwise.
    pub const TROUBLE: Duration = Duration::from_secs(15);

    /// Expands a seed. The same seed and options always give the same world.
    pub fn expand(seed: u64, options: WorldOptions) -> Self {
        let luck = &mut Luck::new(seed);
        let drawn = *luck.choose(&[1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 5, 5, 6, 7]);
        let servers = options.servers.unwrap_or(drawn);
        let clients = luck.within(1, 5);
        let every = Duration::from_millis(*luck.choose(&[20, 50, 100, 200, 400]));
        let pace = Duration::from_millis(*luck.choose(&[100, 300, 1000, 3000]));
        let trouble = options.trouble.unwrap_or(Self::TROUBLE);
        // Not all kinds at a time: some failures show only where others do not hide them.
        let mut faults = options.profile.faults();
        let density = luck.within(1, 3);
        faults.retain(|_| luck.below(4) < density);

        let mut script = Script::default();
        let begin = luck.millis(0, 2000);
        let first = Clients { count: clients, time: trouble, every, reading: Consistency::default() };
        script.add(Duration::ZERO, Statement::Clients(first));
        let mut misfortunes = Faults::new(servers, luck);
        let mut now = begin;
        while now < trouble && !faults.is_empty() {
            let fault = *misfortunes.luck.choose(&faults);
            misfortunes.happen(fault, now, &mut script);
            now += misfortunes.luck.duration_around(pace);
        }
        script.end(trouble);
        epilogue(servers, &faults, luck, &mut script);
        let (statements, begins) = script.finish();
        let disks = Setting::Disks(DiskKind::Simulated);
        let settings = [Setting::Servers(servers), Setting::Seed(seed), disks];
        let scenario = Scenario::new(&settings, &statements);
        let begins = begins.into_iter().map(|(place, fault)| (scenario.steps[place].number, fault));
        let begins = begins.collect();
        let clients = (clients, every);
        Self { seed, options, servers, clients, faults, pace, scenario, begins }
    }
}

/// Everything is mended; then there must be progress, and the same files everywhere.
fn epilogue(servers: u64, faults: &[Fault], luck: &mut Luck, script: &mut Script) {
    let (all, none) = (|| Servers::All, Duration::ZERO);
    let orders = [
        Order::Heal,
        Order::Speed { servers: all(), latency: none },
        Order::DiskFault { servers: all(), fault: DiskFault::Mend },
        Order::ApplyLatency { servers: all(), latency: none },
        Order::ClockRate { servers: all(), rate: 1.0 },
        Order::Resume(all()),
        Order::Recover(all()),
    ];
    for order in orders {
        script.close(Statement::Order(order));
    }
    // Not otherwise: new timings start every election timer, also one that nobody started.
    if faults.contains(&Fault::Retime) {
        let timeout = Order::ElectionTimeout { min: ms(150), max: ms(350) };
        script.close(Statement::Order(timeout));
        script.close(Statement::Order(Order::Heartbeat(ms(50))));
    }
    let within = Duration::from_secs(5);
    let demand = |expectation| Statement::Expect(expectation);
    script.close(demand(Expectation::Leader { server: None, within }));
    script.close(demand(Expectation::Progress { within }));
    // One server less is no excuse, unless others were lost for ever.
    if servers > 2 && !faults.iter().any(|fault| fault.is_for_ever()) {
        let cut = match luck.below(4) {
            0 => Some(Order::Cut { from: all(), to: Servers::Leader }),
            1 => Some(Order::Cut { from: Servers::Leader, to: all() }),
            _ => None,
        };
        if let Some(cut) = cut {
            script.close(Statement::Try(cut));
            script.close(demand(Expectation::Progress { within }));
            script.close(Statement::Order(Order::Heal));
        }
    }
    script.close(Statement::Wait(Wait::Jobs));
    script.close(demand(Expectation::CaughtUp { servers: Servers::Followers, within }));
    script.close(demand(Expectation::FilesEqual { within }));
    script.close(demand(Expectation::Linearizable));
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Luck {
    pub(super) fn new(seed: u64) -> Self {
        let mut luck = ChaCha8Rng::seed_from_u64(seed);
        // The sandbox has the others.
        luck.set_stream(u64::MAX);
        Self(luck)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    /// A number of this range, both ends included.
    pub(super) fn within(&mut self, min: u64, max: u64) -> u64 {
        min + self.below(max - min + 1)
    }

    pub(super) fn millis(&mut self, min: u64, max: u64) -> Duration {
        ms(self.within(min, max))
    }

    /// From a tenth of this to twice as long, in whole milliseconds.
    pub(super) fn duration_around(&mut self, mean: Duration) -> Duration {
        let mean = mean.as_millis() as u64;
        self.millis((mean / 10).max(1), 2 * mean)
    }

    pub(super) fn choose<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len() as u64) as usize]
    }
}

impl fmt::Display for World {
    /// Its options, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (clients, every) = self.clients;
        write!(
            f,
            "seed {}: {} servers, {clients} clients every {} ms, profile {}, a fault every {} ms:",
            self.seed,
            self.servers,
            every.as_millis(),
            self.options.profile,
            self.pace.as_millis()
        )?;
        self.faults.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}
