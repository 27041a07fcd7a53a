//! Medians and ratios, as tables in Markdown and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::Port;
use crate::load::{Measured, Work};

/// What was measured, round by round.
#[derive(Default)]
pub(crate) struct Results {
    /// By the work, the bytes of a value and the clients.
    pub(crate) loads: BTreeMap<(Work, usize, usize), BTreeMap<Port, Vec<Measured>>>,
    /// By what it is and in which unit; less is better.
    pub(crate) studies: BTreeMap<String, Vec<(&'static str, Vec<f64>)>>,
    /// Durable writes a second of a loop, by their bytes.
    pub(crate) floors: BTreeMap<usize, Vec<f64>>,
}

/// The median; of two in the middle, the lesser.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "-".to_owned(),
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.1} K", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

impl Results {
    pub(crate) fn study(&mut self, what: &str, who: &'static str, value: f64) {
        let rows = self.studies.entry(what.to_owned()).or_default();
        match rows.iter_mut().find(|(name, _)| *name == who) {
            Some((_, values)) => values.push(value),
            None => rows.push((who, vec![value])),
        }
    }

    /// Prints everything.
    pub(crate) fn print(&self) {
        for work in [Work::Writes, Work::Reads] {
            self.print_loads(work);
        }
        if !self.floors.is_empty() {
            println!("\n### One loop of write and fdatasync\n\n| bytes | writes/s |\n|--:|--:|");
            for (bytes, rates) in &self.floors {
                println!("| {bytes} | {} |", number(median(rates.iter().copied())));
            }
        }
        for (what, rows) in &self.studies {
            println!("\n### {what}\n\n| | median | least | most | runs |\n|---|--:|--:|--:|--:|");
            for (who, values) in rows {
                let least = values.iter().copied().fold(f64::INFINITY, f64::min);
                let most = values.iter().copied().fold(0.0, f64::max);
                let (middle, least) = (number(median(values.iter().copied())), number(least));
                println!("| {who} | {middle} | {least} | {} | {} |", number(most), values.len());
            }
        }
    }

    fn print_loads(&self, work: Work) {
        let of_work = || self.loads.iter().filter(|((it, ..), _)| *it == work);
        if of_work().next().is_none() {
            return;
        }
        let what = match work {
            Work::Writes => "Durable writes",
            Work::Reads => "Linearizable reads",
        };
        println!("\n### {what} a second\n");
        println!(
            "| bytes | clients | HTTP | native | etcd | ZooKeeper | HTTP/etcd | native/etcd | \
             HTTP/ZooKeeper | native/ZooKeeper |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        );
        for ((_, bytes, clients), ports) in of_work() {
            let rate = |port| middle(ports, port, |it| it.rate);
            let [http, native] = [rate(Port::Http), rate(Port::Native)];
            let [etcd, zookeeper] = [rate(Port::Etcd), rate(Port::ZooKeeper)];
            println!(
                "| {bytes} | {clients} | {} | {} | {} | {} | {} | {} | {} | {} |",
                number(http),
                number(native),
                number(etcd),
                number(zookeeper),
                number(http / etcd),
                number(native / etcd),
                number(http / zookeeper),
                number(native / zookeeper),
            );
        }
        println!("\n### {what}: latency, CPU time and memory\n");
        println!(
            "| bytes | clients | | p50 ms | p99 ms | p999 ms | servers' CPU µs | clients' CPU µs | \
             MiB of a server |\n|--:|--:|---|--:|--:|--:|--:|--:|--:|"
        );
        for ((_, bytes, clients), ports) in of_work() {
            for port in ports.keys().copied() {
                let of = |field: fn(&Measured) -> f64| number(middle(ports, port, field));
                println!(
                    "| {bytes} | {clients} | {} | {} | {} | {} | {} | {} | {} |",
                    port.title(),
                    of(|it| it.p50),
                    of(|it| it.p99),
                    of(|it| it.p999),
                    of(|it| it.server_cpu),
                    of(|it| it.client_cpu),
                    of(|it| it.memory),
                );
            }
        }
    }

    /// All that was measured, one object a row: medians, and every round.
    pub(crate) fn json(&self) -> Value {
        let mut rows = Vec::new();
        for ((work, bytes, clients), ports) in &self.loads {
            for (port, rounds) in ports {
                let of = |field: fn(&Measured) -> f64| median(rounds.iter().map(field));
                rows.push(json!({
                    "section": format!("{work:?}").to_lowercase(), "system": port.title(),
                    "bytes": bytes, "clients": clients,
                    "per_second": of(|it| it.rate),
                    "rounds": rounds.iter().map(|it| it.rate).collect::<Vec<_>>(),
                    "p50_ms": of(|it| it.p50), "p99_ms": of(|it| it.p99),
                    "p999_ms": of(|it| it.p999), "server_cpu_us": of(|it| it.server_cpu),
                    "client_cpu_us": of(|it| it.client_cpu), "memory_mib": of(|it| it.memory),
                }));
            }
        }
        for (bytes, rates) in &self.floors {
            let per_second = median(rates.iter().copied());
            rows.push(json!({
                "section": "floor", "bytes": bytes, "per_second": per_second, "rounds": rates,
            }));
        }
        for (what, studies) in &self.studies {
            for (who, values) in studies {
                rows.push(json!({
                    "section": what, "system": who, "median": median(values.iter().copied()),
                    "rounds": values,
                }));
            }
        }
        rows.into()
    }
}

fn middle(ports: &BTreeMap<Port, Vec<Measured>>, port: Port, field: fn(&Measured) -> f64) -> f64 {
    ports.get(&port).map_or(f64::NAN, |rounds| median(rounds.iter().map(field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_them() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.123, 12.34, 123.4, 12_345.0, 1_234_567.0].map(number);
        assert_eq!(shown, ["0.12", "12.3", "123", "12.3 K", "1.23 M"]);
    }
}
