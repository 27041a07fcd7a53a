//! Many worlds, several at a time.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use super::{Fault, Tally, Violation, World, WorldOptions, run};

/// Seeds to be run.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// What they have in common.
    pub options: WorldOptions,
    /// How many run at a time, each on a thread of its own.
    pub jobs: usize,
    /// Whether the others go on after a violation.
    pub keep_going: bool,
}

/// What came of them.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened, in all worlds together.
    pub tally: Tally,
    /// The worlds that went wrong, by seed; the first [`Fleet::MAX_FAILED`] that were found.
    pub failed: Vec<Failed>,
    /// How many went wrong.
    pub violations: u64,
    /// The worlds of which it was not found out whether they are linearizable, by seed; the first
    /// [`Fleet::MAX_FAILED`] that were found.
    pub undecided: Vec<u64>,
    /// How many worlds of each thousand seeds were run, and the faults in them.
    thousands: BTreeMap<u64, (u64, BTreeMap<&'static str, u64>)>,
}

/// A world that went wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Failed {
    /// The world.
    pub world: World,
    /// What was violated in it.
    pub violation: Violation,
}

impl Report {
    /// The faults of these worlds that never happened in a thousand seeds, with the first of the
    /// thousand; only of those that were run from the first to the last, and only what can happen
    /// to so many servers.
    pub fn missing(&self, options: &WorldOptions) -> Vec<(u64, Fault)> {
        let mut demanded = options.profile.faults();
        if let Some(servers) = options.servers {
            demanded.retain(|fault| fault.least_servers() <= servers);
        }
        let mut missing = Vec::new();
        for (thousand, (seeds, faults)) in &self.thousands {
            let never = |fault: &&Fault| faults.get(fault.name()).is_none_or(|it| *it == 0);
            if *seeds == 1000 {
                let never = demanded.iter().filter(never);
                missing.extend(never.map(|fault| (thousand * 1000, *fault)));
            }
        }
        missing
    }
}

impl Fleet {
    /// Most failed worlds that a report holds, and most that were not decided.
    pub const MAX_FAILED: usize = 100;

    /// Runs every seed, or up to the first violation. `progress` sees the report grow, world by
    /// world.
    ///
    /// # Errors
    /// If a world can have no runtime, or a thread cannot be started.
    pub fn sail(&self, mut progress: impl FnMut(&Report)) -> io::Result<Report> {
        let next = AtomicU64::new(self.seeds.start);
        let (failed, undecided, thousands) = Default::default();
        let mut report =
            Report { tally: Tally::new(), failed, violations: 0, undecided, thousands };
        std::thread::scope(|scope| {
            // As many results wait as threads make them: a slow reader holds them up.
            let (sender, results) = mpsc::sync_channel(self.jobs);
            for _ in 0..self.jobs {
                let (sender, next) = (sender.clone(), &next);
                let work = move || {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.seeds.end {
                            return;
                        }
                        let world = World::expand(seed, self.options);
                        let outcome = run(&world);
                        if sender.send((world, outcome)).is_err() {
                            return;
                        }
                    }
                };
                std::thread::Builder::new().name("world".to_owned()).spawn_scoped(scope, work)?;
            }
            drop(sender);
            for (world, outcome) in results {
                let outcome = outcome?;
                report.tally.add(&outcome.tally);
                let (seeds, faults) = report.thousands.entry(world.seed / 1000).or_default();
                *seeds += 1;
                for (fault, count) in outcome.tally.faults {
                    *faults.entry(fault).or_default() += count;
                }
                if outcome.tally.undecided > 0 && report.undecided.len() < Self::MAX_FAILED {
                    report.undecided.push(world.seed);
                }
                if let Some(violation) = outcome.violation {
                    report.violations += 1;
                    if report.failed.len() < Self::MAX_FAILED {
                        report.failed.push(Failed { world, violation });
                    }
                    if !self.keep_going {
                        next.store(self.seeds.end, Ordering::Relaxed);
                    }
                }
                progress(&report);
            }
            report.failed.sort_by_key(|failed| failed.world.seed);
            report.undecided.sort_unstable();
            Ok(report)
        })
    }
}
