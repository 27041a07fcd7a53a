//! What a person or a program is told: data on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::options::{Options, Output};

pub(crate) struct Screen {
    json: bool,
    quiet: bool,
    everywhere: bool,
}

/// What takes less shows no progress, in bytes.
const SMALL: u64 = 1 << 20;
/// Bytes that are gathered before they are written.
const GATHERED: usize = 64 * 1024;

impl Screen {
    pub(super) fn new(options: &Options) -> Self {
        let everywhere = options.asks_everywhere();
        Self { json: options.output == Output::Json, quiet: options.quiet, everywhere }
    }

    /// Whether a program reads.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nobody said whom to ask, so that some may not be there.
    pub(super) fn asks_everywhere(&self) -> bool {
        self.everywhere
    }

    /// Standard output.
    pub(super) fn out(&self) -> BufWriter<Stdout> {
        BufWriter::with_capacity(GATHERED, io::stdout())
    }

    /// One thing: in JSON for a program, as a message for a person.
    pub(super) fn show(&self, data: &impl Serialize, message: impl Display) -> io::Result<()> {
        if self.json {
            return self.print_json(data);
        }
        self.say(message);
        Ok(())
    }

    pub(super) fn print_json(&self, data: &impl Serialize) -> io::Result<()> {
        let mut out = self.out();
        serde_json::to_writer(&mut out, data)?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Something that is no data.
    pub(super) fn say(&self, message: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{message}");
        }
    }

    /// A table: a title over each column, numbers on the right.
    pub(super) fn print_table(&self, titles: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(titles.to_vec());
        let numeric = |column: usize| {
            let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|it| *it != "-");
            cells.all(|cell| cell.starts_with(|first: char| first.is_ascii_digit()))
        };
        let numeric: Vec<_> = (0..titles.len()).map(numeric).collect();
        table.add_rows(rows);
        for (column, numeric) in table.column_iter_mut().zip(numeric) {
            column.set_padding((0, 2));
            if numeric {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut out = self.out();
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        out.flush()
    }

    /// A bar for so many bytes; it is seen on a terminal alone.
    pub(super) fn bytes(&self, what: &str, total: u64) -> ProgressBar {
        if self.quiet || total < SMALL {
            return ProgressBar::hidden();
        }
        let words = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        self.bar(what, total, words)
    }

    /// A bar for so many files.
    pub(super) fn files(&self, what: &str) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        self.bar(what, 0, "{msg} [{bar:30}] {pos}/{len}")
    }

    fn bar(&self, what: &str, total: u64, words: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(words);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        ProgressBar::new(total).with_style(style).with_message(what.to_owned())
    }
}
