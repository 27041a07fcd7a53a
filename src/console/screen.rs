//! Where the results of lines go: standard output, and a progress bar on standard error.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

use super::notices::{Notice, Notices};
use super::paint::{Color, Paint};
use super::{members, render, status};
use crate::actors::{ClusterStatus, Event, LogLine, ServerStatus};
use crate::files::FileInfo;
use crate::script::{Failure, Progress, Screen, Step};

/// The screen of a session.
pub(crate) struct Terminal {
    output: Paint,
    errors: Paint,
    /// Whether a person sees it.
    terminal: bool,
    way: Way,
    bar: Bar,
    /// How wide it is, in columns.
    columns: Cell<usize>,
    /// Whether a line is being carried out, so that nobody types.
    busy: Cell<bool>,
    watching: Cell<bool>,
    content: Cell<Content>,
    /// Why standard output takes no more.
    broken: RefCell<Option<io::Error>>,
}

/// Where notices go.
pub(crate) enum Way {
    /// Above the line that is being typed.
    Above(Notices),
    /// To standard error, if they are asked for.
    Aside,
    /// Among the results: nothing happens while someone types.
    Among,
}

/// The progress bar, if there is one. The notices go above it.
#[derive(Clone, Default)]
pub(crate) struct Bar(Arc<Mutex<Option<ProgressBar>>>);

/// What became of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    /// None was shown, or it ended with a newline.
    Ended,
    /// It was shown, and its last line is still open.
    Open,
    /// It is not text, and this is a terminal.
    Hidden,
}

/// As wide as a terminal is that says nothing of it, or a pipe.
const COLUMNS: usize = 120;

impl Terminal {
    /// A screen on standard output, which is a terminal or not.
    pub(crate) fn new(output: Paint, errors: Paint, terminal: bool, way: Way, bar: Bar) -> Self {
        let watching = !matches!(way, Way::Aside);
        Self {
            output,
            errors,
            terminal,
            way,
            bar,
            columns: Cell::new(COLUMNS),
            busy: Cell::new(false),
            watching: Cell::new(watching),
            content: Cell::new(Content::Ended),
            broken: RefCell::new(None),
        }
    }

    /// A line begins to be carried out, on a terminal of this width if that is known.
    pub(crate) fn begin(&self, columns: Option<usize>) {
        self.busy.set(true);
        self.columns.set(columns.unwrap_or(COLUMNS));
    }

    /// The line is done with.
    ///
    /// # Errors
    /// If standard output takes no more.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.end_content();
        self.progress(None);
        self.busy.set(false);
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Tells what happens in the cluster, or not. Returns whether it did so far.
    pub(crate) fn set_watching(&self, watching: bool) -> bool {
        self.watching.replace(watching)
    }

    /// Says why a line failed. `number` is its number in the input, if nobody types.
    pub(crate) fn fail(&self, failure: &Failure, number: Option<usize>) {
        self.end_content();
        let text = failure.to_string();
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let first = match number {
            Some(number) => format!("line {number}: {first}"),
            None => first.to_owned(),
        };
        self.warn(&self.errors.paint(Color::Red, first));
        if !rest.is_empty() {
            self.warn(rest);
        }
    }

    /// The brush for the notices.
    pub(crate) fn notice_paint(&self) -> Paint {
        if matches!(self.way, Way::Among) { self.output } else { self.errors }
    }

    /// The brush for standard output.
    pub(crate) fn output_paint(&self) -> Paint {
        self.output
    }

    /// Says that the line was given up.
    pub(crate) fn interrupted(&self, why: &str) {
        self.end_content();
        self.bar.clear();
        self.warn(why);
    }

    /// Says something on standard error.
    fn warn(&self, text: &str) {
        warn(&format!("{text}\n"));
    }

    /// Tells what happened, if it is watched.
    pub(crate) fn notice(&self, notice: Notice) {
        match (&self.way, notice) {
            _ if !self.watching.get() => {}
            (Way::Above(notices), notice) => notices.send(notice),
            (Way::Aside, Notice::Commit(text) | Notice::Other(text)) => self.warn(&text),
            (Way::Among, Notice::Commit(text) | Notice::Other(text)) => self.show(&text),
        }
    }

    /// Shows complete lines. What comes from the background while someone types goes above.
    fn show(&self, text: &str) {
        match &self.way {
            Way::Above(notices) if !self.busy.get() => {
                notices.send(Notice::Other(text.trim_end_matches('\n').to_owned()));
            }
            _ => {
                self.end_content();
                self.write(text.as_bytes());
                if !text.ends_with('\n') {
                    self.write(b"\n");
                }
            }
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut output = io::stdout().lock();
        if let Err(error) = output.write_all(bytes).and_then(|()| output.flush()) {
            self.broken.borrow_mut().get_or_insert(error);
        }
    }

    /// Begins a new line below content without a newline at its end.
    fn end_content(&self) {
        if self.content.replace(Content::Ended) == Content::Open {
            self.write(b"\n");
        }
    }
}

impl Screen for Terminal {
    fn say(&self, text: &str) {
        if self.terminal {
            self.show(&render::wrapped(text, self.columns.get()));
        } else {
            self.show(text);
        }
    }

    fn confirm(&self, text: &str) {
        self.show(text);
    }

    fn status(&self, cluster: &ClusterStatus) {
        self.show(&status::status(cluster, self.columns.get(), self.output));
    }

    fn members(&self, cluster: &ClusterStatus) {
        self.show(&members::members(cluster, self.output));
    }

    fn files(&self, files: &[FileInfo]) {
        self.show(&render::files(files, self.output));
    }

    fn log(&self, server: &ServerStatus, lines: &[LogLine]) {
        self.show(&render::log(server, lines, self.output));
    }

    fn events(&self, events: &[Event]) {
        self.show(&render::events(events, self.output));
    }

    /// Raw bytes; but a terminal gets nothing that is not text.
    fn content(&self, bytes: &[u8]) {
        let terminal = self.terminal;
        if self.content.get() == Content::Hidden {
            return;
        }
        if terminal && !is_text(bytes) {
            self.end_content();
            self.warn("this is not text, so it is not shown: `get FILE PATH` writes it to a file");
            self.content.set(Content::Hidden);
            return;
        }
        self.write(bytes);
        let open = terminal && bytes.last().is_some_and(|last| *last != b'\n');
        self.content.set(if open { Content::Open } else { Content::Ended });
    }

    fn progress(&self, progress: Option<&Progress>) {
        let Some(progress) = progress.filter(|_| self.terminal && self.busy.get()) else {
            return self.bar.clear();
        };
        self.bar.show(progress);
    }

    fn watch(&self) -> bool {
        self.watching.set(!self.watching.get());
        self.watching.get()
    }

    fn step(&self, step: &Step) {
        if !matches!(self.way, Way::Aside) {
            self.show(&self.output.paint(Color::Grey, format!("> {}", step.text)));
        }
    }
}

impl Bar {
    fn show(&self, progress: &Progress) {
        let mut bar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bar.get_or_insert_with(|| {
            let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
            let style = ProgressStyle::with_template(template)
                .expect("invariant: the template is well formed")
                .progress_chars("=> ");
            ProgressBar::new(progress.total).with_style(style).with_message(progress.what.clone())
        });
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }

    fn clear(&self) {
        if let Some(bar) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    /// Prints above the bar. Returns whether there is one.
    pub(crate) fn print_above(&self, text: &str) -> bool {
        let bar = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        bar.inspect(|bar| bar.suspend(|| warn(text))).is_some()
    }
}

/// Writes to standard error.
fn warn(text: &str) {
    // There is nobody left to tell that nobody listens.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Whether a terminal can show it: UTF-8, perhaps cut at both ends, that does not move the cursor.
fn is_text(bytes: &[u8]) -> bool {
    const LONGEST: usize = 4;
    let mut at = 0;
    bytes.utf8_chunks().all(|chunk| {
        let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
        at += chunk.valid().len() + chunk.invalid().len();
        let cut = at < LONGEST || at + LONGEST > bytes.len();
        chunk.valid().chars().all(harmless) && (chunk.invalid().is_empty() || cut)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_other_bytes() {
        for text in ["", "plain\r\n\ttext\n", "jangada à vela ✓"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        for other in [&b"\0"[..], b"\x1b[2J", b"long enough \xff\xfe to be sure", b"\x7fELF"] {
            assert!(!is_text(other), "{other:?}");
        }
        let text = "✓ a text whose ends are cut ✓".as_bytes();
        assert!(is_text(&text[1..text.len() - 1]));
        assert!(is_text(&text[2..text.len() - 2]));
    }
}
