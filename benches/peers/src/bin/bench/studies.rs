//! What is not compared with a peer: outages, writes beside snapshots, restarts.

use jangada_peers::{ElectionsReport, Phase, RestartReport, SnapshotsReport};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::plan::{Plan, Section, Timing};
use crate::results::median;
use crate::table::grid;

/// Several runs of a program that make one table.
pub enum Study {
    /// Crashes of a leader.
    Failover { count: u32, timings: &'static [Timing], latencies: &'static [u64] },
    /// Hand-overs.
    Handover { count: u32, latencies: &'static [u64] },
    /// Appends beside snapshots.
    Snapshots { mebibytes: u64, clients: &'static [u32] },
    /// Restarts.
    Restart { entries: u64, rounds: u32 },
}

/// A study that was carried out.
pub struct Done {
    heading: &'static str,
    head: &'static [&'static str],
    /// Columns of words.
    left: &'static [usize],
    rows: Vec<Vec<String>>,
    /// What was reported, for programs.
    pub objects: Vec<Value>,
}

/// Those of the plan.
pub fn all(plan: &Plan) -> Vec<Study> {
    let mut studies = Vec::new();
    if plan.includes(Section::Failover) {
        let &Plan { outages: count, timings, latencies, .. } = plan;
        studies.push(Study::Failover { count, timings, latencies });
        // Timers of virtual time are exact to a millisecond: only a slow network shows round trips.
        studies.push(Study::Handover { count, latencies: &[10, 50] });
    }
    if plan.includes(Section::Snapshots) {
        let (mebibytes, clients) = (plan.mebibytes, plan.beside_snapshots);
        studies.push(Study::Snapshots { mebibytes, clients });
    }
    if plan.includes(Section::Restart) {
        studies.push(Study::Restart { entries: plan.entries, rounds: plan.rounds.min(3) });
    }
    studies
}

impl Study {
    /// Runs the programs with `measure`.
    ///
    /// # Errors
    /// One of them failed.
    pub fn carry_out(
        &self,
        mut measure: impl FnMut(&[String]) -> Result<Value, String>,
    ) -> Result<Done, String> {
        eprintln!("{}", self.heading());
        let mut done = Done::new(self.heading(), self.head(), self.left());
        match self {
            Self::Failover { count, timings, latencies } => {
                for timing in *timings {
                    for latency in *latencies {
                        let line = elections("failover", *count, timing, *latency);
                        let report: ElectionsReport = read(measure(&line)?)?;
                        done.add(&report, outage(&report));
                    }
                }
            }
            Self::Handover { count, latencies } => {
                for latency in *latencies {
                    let line = elections("handover", *count, &[150, 350, 50], *latency);
                    let report: ElectionsReport = read(measure(&line)?)?;
                    done.add(&report, handover(&report));
                }
            }
            Self::Snapshots { mebibytes, clients } => {
                for clients in *clients {
                    let numbers = [("--mebibytes", *mebibytes), ("--clients", (*clients).into())];
                    let line = command_line("snapshots", &numbers);
                    let report: SnapshotsReport = read(measure(&line)?)?;
                    for phase in &report.phases {
                        done.rows.push(beside(&report, phase));
                    }
                    done.object(&report);
                }
            }
            Self::Restart { entries, rounds } => {
                for disk in ["memory", "segments"] {
                    let mut line = command_line("restart", &[("--entries", *entries)]);
                    line.extend(["--disk", disk].map(str::to_owned));
                    let reports: Result<Vec<RestartReport>, String> =
                        (0..*rounds).map(|_| read(measure(&line)?)).collect();
                    let (row, middle) = restart(disk, &reports?).ok_or("no round")?;
                    done.add(&middle, row);
                }
            }
        }
        Ok(done)
    }

    fn heading(&self) -> &'static str {
        match self {
            Self::Failover { .. } => "from a leader's crash to the next acknowledged write (ms)",
            Self::Handover { .. } => "hand-over: without acknowledged writes (ms)",
            Self::Snapshots { .. } => "appends beside snapshots (ms)",
            Self::Restart { .. } => "restart until everything is applied (s)",
        }
    }

    fn head(&self) -> &'static [&'static str] {
        match self {
            Self::Failover { .. } => &[
                "timeouts/heartbeat",
                "round trip",
                "p50",
                "p99",
                "max",
                "floor p50",
                "floor p99",
                "over it p50",
                "p99 in timeouts",
                "p99 in round trips",
                "more elections",
                "a client's p50",
                "p99",
            ],
            Self::Handover { .. } => {
                &["round trip", "p50", "p99", "max", "floor", "p50 in round trips", "max"]
            }
            Self::Snapshots { .. } => &[
                "clients",
                "meanwhile",
                "seconds",
                "writes/s",
                "p50",
                "p99",
                "max",
                "longest between heartbeats",
            ],
            Self::Restart { .. } => {
                &["disk", "entries", "replaying all", "from its snapshot", "behind it", "ratio"]
            }
        }
    }

    fn left(&self) -> &'static [usize] {
        match self {
            Self::Failover { .. } | Self::Restart { .. } => &[0],
            Self::Handover { .. } => &[],
            Self::Snapshots { .. } => &[1],
        }
    }
}

impl Done {
    fn new(heading: &'static str, head: &'static [&'static str], left: &'static [usize]) -> Self {
        Self { heading, head, left, rows: Vec::new(), objects: Vec::new() }
    }

    fn add(&mut self, report: &impl Serialize, row: Vec<String>) {
        self.rows.push(row);
        self.object(report);
    }

    fn object(&mut self, report: &impl Serialize) {
        let mut object = serde_json::json!({ "name": self.heading });
        if let (Some(object), Ok(Value::Object(fields))) =
            (object.as_object_mut(), serde_json::to_value(report))
        {
            object.extend(fields);
        }
        self.objects.push(object);
    }

    /// The table.
    pub fn markdown(&self) -> String {
        grid(self.heading, self.head, self.left, &self.rows)
    }
}

fn read<T: DeserializeOwned>(report: Value) -> Result<T, String> {
    serde_json::from_value(report).map_err(|error| format!("not the report expected: {error}"))
}

fn command_line(what: &str, numbers: &[(&str, u64)]) -> Vec<String> {
    let mut line = vec!["jangada".to_owned(), what.to_owned()];
    line.extend(numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]));
    line
}

fn elections(what: &str, count: u32, [min, max, heartbeat]: &Timing, latency: u64) -> Vec<String> {
    let count = ("--count", count.into());
    let timing = [("--min", *min), ("--max", *max), ("--heartbeat", *heartbeat)];
    command_line(what, &[&[count, ("--latency", latency)], &timing[..]].concat())
}

fn outage(report: &ElectionsReport) -> Vec<String> {
    let ElectionsReport { outage, floor, excess, client, round_trip, .. } = report;
    let ElectionsReport { election_timeout_min, election_timeout_max, heartbeat, .. } = report;
    vec![
        format!("{election_timeout_min}-{election_timeout_max}/{heartbeat}"),
        round_trip.to_string(),
        whole(outage.p50),
        whole(outage.p99),
        whole(outage.max),
        whole(floor.p50),
        whole(floor.p99),
        tenth(excess.p50),
        tenth(outage.p99 / election_timeout_min),
        tenth(outage.p99 / round_trip),
        format!("{:.1} %", 100.0 * f64::from(report.split) / f64::from(report.count)),
        whole(client.p50),
        whole(client.p99),
    ]
}

fn handover(report: &ElectionsReport) -> Vec<String> {
    let ElectionsReport { outage, floor, round_trip, .. } = report;
    vec![
        round_trip.to_string(),
        whole(outage.p50),
        whole(outage.p99),
        whole(outage.max),
        whole(floor.p50),
        tenth(outage.p50 / round_trip),
        tenth(outage.max / round_trip),
    ]
}

fn beside(report: &SnapshotsReport, phase: &Phase) -> Vec<String> {
    let Phase { name, seconds, answers, latency, heartbeat_gap } = phase;
    vec![
        report.clients.to_string(),
        name.clone(),
        tenth(*seconds),
        whole(*answers as f64 / seconds),
        format!("{:.3}", latency.p50),
        format!("{:.2}", latency.p99),
        tenth(latency.max),
        tenth(*heartbeat_gap),
    ]
}

/// A row of the medians, and the report of them.
fn restart(disk: &str, reports: &[RestartReport]) -> Option<(Vec<String>, RestartReport)> {
    let middle = |of: fn(&RestartReport) -> f64| median(reports.iter().map(of));
    let report = RestartReport {
        replay_seconds: middle(|it| it.replay_seconds)?,
        snapshot_seconds: middle(|it| it.snapshot_seconds)?,
        ..reports.first()?.clone()
    };
    let RestartReport { entries, replay_seconds, snapshot_seconds, behind_snapshot } = report;
    let row = vec![
        disk.to_owned(),
        entries.to_string(),
        format!("{replay_seconds:.2}"),
        format!("{snapshot_seconds:.2}"),
        behind_snapshot.to_string(),
        tenth(replay_seconds / snapshot_seconds),
    ];
    Some((row, report))
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

fn tenth(number: f64) -> String {
    format!("{number:.1}")
}

#[cfg(test)]
mod tests {
    use jangada_peers::Spread;

    use super::*;

    #[test]
    fn a_study_runs_each_program_once_and_makes_a_row_of_each() {
        let spread = Spread { p50: 31.0, p99: 32.0, max: 33.0 };
        let report = ElectionsReport {
            election_timeout_min: 150.0,
            election_timeout_max: 350.0,
            heartbeat: 50.0,
            round_trip: 20.0,
            count: 5,
            outage: spread,
            floor: spread,
            excess: spread,
            client: spread,
            split: 1,
        };
        let mut lines = Vec::new();
        let measure = |line: &[String]| {
            lines.push(line.join(" "));
            Ok(serde_json::json!(report))
        };
        let study = Study::Failover { count: 5, timings: &[[150, 350, 50]], latencies: &[1, 10] };
        let done = study.carry_out(measure).unwrap();
        let expected = "jangada failover --count 5 --latency 10 --min 150 --max 350 --heartbeat 50";
        assert_eq!((lines.len(), lines[1].as_str()), (2, expected));
        assert_eq!(done.objects[1]["outage"]["p99"], 32.0);
        assert!(done.markdown().contains("| 150-350/50         |         20 |  31 |  32 |"));
    }
}
