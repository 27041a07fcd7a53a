//! The comparison: jangada beside each peer, row by row.

use std::fmt::Write;

use serde::Serialize;

use crate::plan::{BYTES, CLIENTS, CONTENDERS, JANGADA, OPENRAFT, Plan, SERVERS, Work};
use crate::results::{Quantity, Results, WHOLE, median};

/// One figure of jangada beside one of a peer.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    peer: String,
    clients: u32,
    bytes: u64,
    jangada: f64,
    theirs: f64,
    /// The first divided by the second, whatever the unit.
    ratio: f64,
    unit: &'static str,
    #[serde(skip)]
    arrangement: &'static str,
    /// Whether jangada, or the peer, had to share the core that it ran on.
    #[serde(skip)]
    contended: (bool, bool),
}

const WRITES: Work = Work::Writes { servers: SERVERS };

/// Every row for which there are measurements.
pub fn rows(plan: &Plan, results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    let by_clients = || plan.clients.iter().map(|clients| (WRITES, *clients, BYTES));
    let by_size = plan.sizes.iter().map(|bytes| (WRITES, CLIENTS, *bytes));
    for cell in by_clients().chain(by_size) {
        rows.extend(beside_peers(results, "in-process writes", cell, Measure::Rate));
    }
    for cell in by_clients() {
        rows.extend(beside_peers(results, "writes per CPU second", cell, Measure::CpuRate));
    }
    for cell in by_clients().filter(|(_, clients, _)| [1, CLIENTS].contains(clients)) {
        rows.extend(beside_peers(results, "CPU time of a write", cell, Measure::CpuTime));
    }
    for clients in plan.appenders {
        let cells = ((Work::Appends, *clients, BYTES), (WRITES, *clients, BYTES));
        for (name, measure) in
            [("file appends", Measure::Rate), ("file appends per CPU second", Measure::CpuRate)]
        {
            let row = beside(results, name, cells, OPENRAFT, measure);
            rows.extend(row.map(|row| Row { peer: format!("{OPENRAFT} opaque write"), ..row }));
        }
    }
    for (lease, clients) in [false, true]
        .into_iter()
        .flat_map(|it| plan.readers.iter().map(move |clients| (it, *clients)))
    {
        let cell = (Work::Reads { lease }, clients, BYTES);
        let (name, per_cpu) = match lease {
            false => ("linearizable reads", "linearizable reads per CPU second"),
            true => ("lease reads", "lease reads per CPU second"),
        };
        rows.extend(beside_peers(results, name, cell, Measure::ReadRate));
        rows.extend(beside_peers(results, per_cpu, cell, Measure::ReadCpuRate));
    }
    for servers in plan.servers {
        let name = "CPU time of a write by servers";
        let cell = |servers| (Work::Writes { servers }, CLIENTS, BYTES);
        let cells = (cell(*servers), cell(1));
        let row = beside(results, name, cells, JANGADA, Measure::CpuTime);
        let peer = format!("{JANGADA}, {servers} beside 1 server");
        rows.extend(row.map(|row| Row { peer, ..row }));
    }
    rows.extend(loads(plan, results).into_iter().flatten());
    // Rows of one name stand together, in the order in which the names first appear.
    let names: Vec<String> = rows.iter().map(|row| row.heading()).collect();
    rows.sort_by_key(|row| names.iter().position(|name| *name == row.heading()));
    rows
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    Rate,
    CpuRate,
    CpuTime,
    ReadRate,
    ReadCpuRate,
}

impl Measure {
    fn quantity(self) -> Quantity {
        match self {
            Self::Rate | Self::ReadRate => Quantity::PerSecond,
            Self::CpuRate | Self::ReadCpuRate | Self::CpuTime => Quantity::PerCpuSecond,
        }
    }

    /// In the unit of this measure.
    fn of(self, answers_a_second: f64) -> f64 {
        match self {
            Self::CpuTime => 1e6 / answers_a_second,
            _ => answers_a_second,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Rate => "writes/s",
            Self::CpuRate => "writes/CPU s",
            Self::CpuTime => "µs CPU",
            Self::ReadRate => "reads/s",
            Self::ReadCpuRate => "reads/CPU s",
        }
    }
}

type Cell = (Work, u32, u32);

/// Jangada beside every peer that did the same.
fn beside_peers(results: &Results, name: &str, cell: Cell, measure: Measure) -> Vec<Row> {
    let mut peers: Vec<&str> = CONTENDERS.iter().map(|contender| contender.system).collect();
    peers.dedup();
    peers.retain(|peer| *peer != JANGADA);
    let row = |peer| beside(results, name, (cell, cell), peer, measure);
    peers.into_iter().filter_map(row).collect()
}

fn beside(
    results: &Results,
    name: &str,
    (ours, theirs): (Cell, Cell),
    peer: &str,
    measure: Measure,
) -> Option<Row> {
    let (_, clients, bytes) = ours;
    let ours = results.best(JANGADA, ours, measure.quantity())?;
    let theirs = results.best(peer, theirs, measure.quantity())?;
    let row = Row::new(name, peer, (measure.of(ours.value), measure.of(theirs.value)));
    Some(Row {
        clients,
        bytes: bytes.into(),
        unit: measure.unit(),
        arrangement: theirs.contender.arrangement,
        contended: (ours.contended, theirs.contended),
        ..row
    })
}

fn loads(plan: &Plan, results: &Results) -> Option<[Row; 2]> {
    let bytes = plan.mebibytes << 20;
    let size = match plan.mebibytes {
        1024 => "1 GiB".to_owned(),
        mebibytes => format!("{mebibytes} MiB"),
    };
    let loads = || results.loads.iter();
    let mebibytes = plan.mebibytes as f64;
    let load = median(loads().map(|it| mebibytes / it.load_seconds))?;
    let copy = median(loads().map(|it| mebibytes / it.copy_seconds))?;
    let share = median(loads().map(|it| it.load_cpu_seconds / it.load_seconds))?;
    let peak = median(loads().map(|it| it.peak_bytes as f64))? / f64::from(1 << 20);
    let speed = Row {
        bytes,
        unit: "MiB/s",
        contended: (share < WHOLE, false),
        ..Row::new(&format!("{size} load"), "three copies, synced", (load, copy))
    };
    let name = format!("{size} load, peak memory");
    let memory =
        Row { bytes, unit: "MiB", ..Row::new(&name, "the file's size", (peak, mebibytes)) };
    Some([speed, memory])
}

impl Row {
    fn new(name: &str, peer: &str, (jangada, theirs): (f64, f64)) -> Self {
        Self {
            name: name.to_owned(),
            peer: peer.to_owned(),
            clients: 1,
            bytes: 0,
            jangada,
            theirs,
            ratio: jangada / theirs,
            unit: "",
            arrangement: "",
            contended: (false, false),
        }
    }

    fn heading(&self) -> String {
        format!("{} ({})", self.name, self.unit)
    }

    fn cells(&self) -> [String; 7] {
        let mark = |contended| if contended { "*" } else { "" };
        [
            self.clients.to_string(),
            self.bytes.to_string(),
            self.peer.clone(),
            self.arrangement.to_owned(),
            format!("{}{}", short(self.jangada), mark(self.contended.0)),
            format!("{}{}", short(self.theirs), mark(self.contended.1)),
            format!("{:.2}", self.ratio),
        ]
    }
}

/// Three or four digits.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{:.2} M", value / 1e6),
        1e5.. => format!("{:.0} K", value / 1e3),
        1e4.. => format!("{:.1} K", value / 1e3),
        100.0.. => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// The rows as Markdown, a table for each name.
pub fn markdown(rows: &[Row]) -> String {
    const HEAD: [&str; 7] =
        ["clients", "bytes", "peer", "its best arrangement", "jangada", "theirs", "ratio"];
    let mut text = String::new();
    for group in rows.chunk_by(|one, other| one.heading() == other.heading()) {
        let cells: Vec<_> = group.iter().map(|row| row.cells().to_vec()).collect();
        text.push_str(&grid(&group[0].heading(), &HEAD, &[2, 3], &cells));
    }
    if rows.iter().any(|row| row.contended.0 || row.contended.1) {
        text.push_str(
            "\n\\* This one thread had less than 90 % of a core, as others used the machine: \
             compare the writes per CPU second.\n",
        );
    }
    text
}

/// A table under a heading; the columns at the places in `left` are set to the left.
pub fn grid(heading: &str, head: &[&str], left: &[usize], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    let lines: Vec<&Vec<String>> = [&head].into_iter().chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    // Writing to a string cannot fail.
    let mut text = format!("\n### {heading}\n\n");
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = match left.contains(&column) {
                true => write!(text, "| {cell:<width$} "),
                false => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if left.contains(&column) { "-" } else { ":" };
                let _ = write!(text, "|{}{end}", "-".repeat(width + 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::add;

    #[test]
    fn rows_are_complete_as_json_and_as_markdown() {
        let mut results = Results::default();
        add(&mut results, 0, 64, 3_000_000, 0.5);
        add(&mut results, 1, 64, 1_500_000, 1.0);
        let rows = rows(&Plan::quick(&[]), &results);
        let json = serde_json::to_string(&rows[0]).unwrap();
        assert_eq!(
            json,
            r#"{"name":"in-process writes","peer":"openraft 0.9","clients":64,"bytes":16,"#
                .to_owned()
                + r#""jangada":3000000.0,"theirs":1500000.0,"ratio":2.0,"unit":"writes/s"}"#
        );
        let text = markdown(&rows);
        assert!(text.contains("### in-process writes (writes/s)"), "{text}");
        assert!(
            text.contains("| openraft 0.9 | one thread           | 3.00 M* | 1.50 M |"),
            "{text}"
        );
        assert!(text.contains("0.17 |   0.67 |  0.25 |"), "CPU time of a write: {text}");
        assert!(text.contains("less than 90 %"), "{text}");
    }
}
