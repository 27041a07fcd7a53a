//! What a seed stands for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::exam::Exam;
use super::faults::{Faults, Script, leases_hold};
use super::{Fault, Profile};
use crate::actors::Consistency;
use crate::raft::ServerId;
use crate::script::{Clients, Scenario, Setting, Snapshots, Statement};
use crate::storage::DiskKind;

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
    /// How many of the last statements mend everything and demand that it is well.
    pub closing: usize,
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
        let snapshots = snapshots(luck);

        let mut script = Script::default();
        let begin = luck.millis(0, 2000);
        let reading = readings(&faults, clients, luck);
        for (count, reading) in reading.into_iter().filter(|(count, _)| *count > 0) {
            let clients = Clients { count, time: trouble, every, reading };
            script.add(Duration::ZERO, Statement::Clients(clients));
        }
        let mut misfortunes = Faults::new(servers, &faults, luck);
        let mut now = begin;
        while now < trouble && !faults.is_empty() {
            let fault = *misfortunes.luck.choose(&faults);
            misfortunes.happen(fault, now, &mut script);
            now += misfortunes.luck.duration_around(pace);
        }
        script.end(trouble);
        let founders = || (1..=servers).map(ServerId).collect();
        let voters = if misfortunes.changes { misfortunes.voters() } else { founders() };
        let stranger = ServerId(misfortunes.servers + 1);
        Exam { voters, stranger, faults: &faults, luck: misfortunes.luck, script: &mut script }
            .hold();
        let closing = script.closing();
        let (statements, begins) = script.finish();
        let disks = Setting::Disks(DiskKind::Simulated);
        let mut settings = vec![Setting::Servers(servers), Setting::Seed(seed), disks];
        settings.extend(snapshots.map(Setting::Snapshots));
        let scenario = Scenario::new(&settings, &statements);
        let begins = begins.into_iter().map(|(place, fault)| (scenario.steps[place].number, fault));
        let begins = begins.collect();
        let clients = (clients, every);
        Self { seed, options, servers, clients, faults, pace, scenario, closing, begins }
    }
}

/// How many clients read in which way.
fn readings(faults: &[Fault], clients: u64, luck: &mut Luck) -> [(u64, Consistency); 3] {
    let leases = leases_hold(faults);
    let (lease, stale) = match luck.below(4) {
        0 | 1 if leases => (luck.within(1, clients), 0),
        2 => (0, 1),
        _ => (0, 0),
    };
    [
        (clients - lease, Consistency::Linearizable),
        (lease, Consistency::Lease),
        (stale, Consistency::Stale),
    ]
}

/// When servers take snapshots by themselves, mostly often.
fn snapshots(luck: &mut Luck) -> Option<Snapshots> {
    let every = luck.within(20, 200);
    let keep = *luck.choose(&[0, 0, 5, 20, every]);
    (luck.below(4) > 0).then_some(Snapshots { every, keep })
}

pub(super) fn ms(milliseconds: u64) -> Duration {
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
