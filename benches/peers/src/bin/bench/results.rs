//! What was measured, and its medians.

use std::collections::BTreeMap;

use jangada_peers::{LoadReport, Report};

use crate::plan::{CONTENDERS, Contender, Run, Work};

/// All measurements.
#[derive(Debug, Default)]
pub struct Results {
    reports: BTreeMap<Run, Vec<Report>>,
    /// The loads.
    pub loads: Vec<LoadReport>,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub enum Quantity {
    /// Answers of one second of the clock on the wall.
    PerSecond,
    /// Answers of one second of CPU time.
    PerCpuSecond,
}

/// The median over the rounds of one system, in its best arrangement.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Answers a second.
    pub value: f64,
    /// The arrangement it is of.
    pub contender: &'static Contender,
    /// It had less than [`WHOLE`] of the one core that it could use: others took the rest.
    pub contended: bool,
}

/// The share of a core above which a program counts as having had it to itself.
pub const WHOLE: f64 = 0.9;

impl Results {
    /// Adds what one run measured.
    pub fn add(&mut self, run: Run, report: Report) {
        self.reports.entry(run).or_default().push(report);
    }

    /// The system's best arrangement for this work. `None` if nothing of it was measured.
    pub fn best(
        &self,
        system: &str,
        (work, clients, bytes): (Work, u32, u32),
        quantity: Quantity,
    ) -> Option<Figure> {
        let of_system = |place: &usize| CONTENDERS[*place].system == system;
        let runs = (0..CONTENDERS.len()).filter(of_system);
        let runs = runs.map(|contender| Run { contender, work, clients, bytes });
        let figures = runs.filter_map(|run| self.figure(&run, quantity));
        figures.max_by(|one, other| one.value.total_cmp(&other.value))
    }

    fn figure(&self, run: &Run, quantity: Quantity) -> Option<Figure> {
        let reports = self.reports.get(run)?;
        let value = match quantity {
            Quantity::PerSecond => median(reports.iter().map(|it| it.answers_per_second)),
            Quantity::PerCpuSecond => {
                median(reports.iter().map(|it| it.answers as f64 / it.cpu_seconds))
            }
        };
        let share = median(reports.iter().map(|it| it.cpu_seconds / it.seconds));
        let contender = run.contender();
        let by_the_clock = matches!(quantity, Quantity::PerSecond);
        let contended = by_the_clock && contender.one_thread && share? < WHOLE;
        Some(Figure { value: value?, contender, contended })
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().checked_sub(1)? / 2;
    Some((values[lower] + values[upper]) / 2.0)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Adds a run of a second, of 16 B each.
    pub fn add(results: &mut Results, contender: usize, clients: u32, writes: u64, cpu: f64) {
        let work = Work::Writes { servers: 3 };
        let report = Report {
            system: String::new(),
            arrangement: String::new(),
            clients,
            bytes: 16,
            answers: writes,
            seconds: 1.0,
            answers_per_second: writes as f64,
            cpu_seconds: cpu,
        };
        results.add(Run { contender, work, clients, bytes: 16 }, report);
    }

    #[test]
    fn medians() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0].into_iter()), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([9.0, 1.0, 2.0, 4.0].into_iter()), Some(3.0));
    }

    #[test]
    fn the_best_arrangement_depends_on_what_is_compared() {
        let mut results = Results::default();
        // Openraft 0.9 on one thread, on two, and with its clients apart.
        add(&mut results, 1, 64, 700, 0.5);
        add(&mut results, 2, 64, 800, 2.0);
        let cell = (Work::Writes { servers: 3 }, 64, 16);
        let best = |quantity| results.best("openraft 0.9", cell, quantity).unwrap();
        let wall = best(Quantity::PerSecond);
        let expected = (800.0, "two threads", false);
        assert_eq!((wall.value, wall.contender.arrangement, wall.contended), expected);
        let cpu = best(Quantity::PerCpuSecond);
        let expected = (1400.0, "one thread", false);
        assert_eq!((cpu.value, cpu.contender.arrangement, cpu.contended), expected);
        assert!(results.best("openraft 0.10", cell, Quantity::PerSecond).is_none());
    }

    #[test]
    fn a_thread_that_had_half_a_core_is_marked() {
        let mut results = Results::default();
        add(&mut results, 0, 1, 100, 0.5);
        let cell = (Work::Writes { servers: 3 }, 1, 16);
        assert!(results.best("jangada", cell, Quantity::PerSecond).unwrap().contended);
        assert!(!results.best("jangada", cell, Quantity::PerCpuSecond).unwrap().contended);
    }
}
