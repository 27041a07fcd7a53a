//! Plain tables: a title over each column, no lines, two blanks between columns.

use comfy_table::{CellAlignment, Table, presets};

/// A column, and how its cells stand.
pub(crate) struct Column {
    title: &'static str,
    alignment: CellAlignment,
}

impl Column {
    pub(crate) const fn left(title: &'static str) -> Self {
        Self { title, alignment: CellAlignment::Left }
    }

    /// For numbers.
    pub(crate) const fn right(title: &'static str) -> Self {
        Self { title, alignment: CellAlignment::Right }
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }
}

/// The lines of a table, the titles first, none with blanks at its end.
pub(crate) fn lines(columns: &[&Column], rows: &[Vec<&str>]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| column.title));
    table.add_rows(rows.iter().map(|row| row.iter().copied()));
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        drawn.set_padding((0, 2));
        drawn.set_cell_alignment(column.alignment);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}
