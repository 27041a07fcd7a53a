//! The table of the members.

use super::paint::{Color, Paint};
use super::table::{self, Column};
use crate::actors::ClusterStatus;
use crate::script::members::{TITLES, rows, summary};

/// The table, with a summary above it.
pub(crate) fn members(cluster: &ClusterStatus, paint: Paint) -> String {
    let [server, part, priority, matched, caught_up, state] = TITLES;
    let columns = [
        Column::left(server),
        Column::left(part),
        Column::right(priority),
        Column::right(matched),
        Column::right(caught_up),
        Column::left(state),
    ];
    let mut text = format!("{}\n", summary(cluster));
    let rows = rows(cluster);
    if rows.is_empty() {
        return text;
    }
    let cells: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let lines = table::lines(&columns.each_ref(), &cells);
    for (place, line) in lines.iter().enumerate() {
        let line = if place == 0 { paint.paint(Color::Bold, line) } else { line.clone() };
        text.push_str(&format!("{line}\n"));
    }
    text
}
