//! The lines of a session, typed at a prompt or read from a pipe, from a thread of their own:
//! the cluster goes on while nobody types. The thread waits until each line is done with.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rustyline::config::{BellStyle, CompletionType};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{ColorMode, Config, Editor};
use tokio::sync::mpsc as tokio_mpsc;

use super::helper::LineHelper;

/// Lines that the history keeps.
const MAX_HISTORY: usize = 1000;
/// The longest line that is read from a pipe, in bytes: a little more than the language allows,
/// so that its parser refuses what is longer.
const MAX_LINE: u64 = 64 * 1024 + 1;

/// A line to be carried out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Line {
    /// What it says.
    pub(crate) text: String,
    /// Its number in the input, from 1.
    pub(crate) number: usize,
    /// How wide the terminal is, in columns.
    pub(crate) columns: Option<usize>,
}

/// What stands before the line that is typed next.
#[derive(Clone)]
pub(crate) struct Prompt(Arc<Mutex<String>>);

/// The lines, one at a time.
pub(crate) struct Lines {
    lines: tokio_mpsc::Receiver<io::Result<Line>>,
    done: mpsc::SyncSender<()>,
}

impl Default for Prompt {
    fn default() -> Self {
        Self(Arc::new(Mutex::new("jangada> ".to_owned())))
    }
}

impl Prompt {
    /// Takes the place of the text so far.
    pub(crate) fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The line editor with what it knows.
pub(crate) type LineEditor = Editor<LineHelper, FileHistory>;

impl Lines {
    /// Has `read` give the lines, on a thread of its own, until it gives none.
    fn start(mut read: impl FnMut() -> io::Result<Option<Line>> + Send + 'static) -> Self {
        let (sender, lines) = tokio_mpsc::channel(1);
        let (done, wait) = mpsc::sync_channel(1);
        #[expect(clippy::disallowed_methods, reason = "waits for a person, not for the cluster")]
        std::thread::spawn(move || {
            while let Some(line) = read().transpose() {
                let failed = line.is_err();
                if sender.blocking_send(line).is_err() || failed || wait.recv().is_err() {
                    break;
                }
            }
        });
        Self { lines, done }
    }

    /// The next line, once the one before is done with; `None` at the end.
    ///
    /// # Errors
    /// If the input cannot be read; nothing comes after that.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        self.lines.recv().await.transpose()
    }

    /// The line is done with: the next one may be read.
    pub(crate) fn done(&self) {
        // A thread that has ended reads no more.
        let _ = self.done.try_send(());
    }
}

/// An editor with the history of earlier sessions.
///
/// # Errors
/// If the terminal cannot be set up.
pub(crate) fn editor(helper: LineHelper, colors: bool) -> rustyline::Result<LineEditor> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::None)
        .color_mode(if colors { ColorMode::Forced } else { ColorMode::Disabled })
        .history_ignore_space(true)
        .max_history_size(MAX_HISTORY)?
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(helper));
    if let Some(path) = history_path() {
        // There is none yet, or it cannot be read: the session begins without.
        let _ = editor.load_history(&path);
    }
    Ok(editor)
}

/// The lines that a person types, or pastes several at a time.
pub(crate) fn typed(mut editor: LineEditor, prompt: Prompt) -> Lines {
    let history = history_path().inspect(|path| {
        // If it cannot be made, the history is not kept.
        let _ = path.parent().map(fs::create_dir_all);
    });
    let mut number = 0;
    let mut pasted = VecDeque::new();
    Lines::start(move || {
        loop {
            if let Some(text) = pasted.pop_front() {
                number += 1;
                let columns = editor.dimensions().map(|(columns, _)| usize::from(columns));
                return Ok(Some(Line { text, number, columns }));
            }
            match editor.readline(&prompt.get()) {
                Ok(text) => {
                    let kept = editor.add_history_entry(text.as_str()).unwrap_or(false);
                    if let Some(path) = history.as_ref().filter(|_| kept) {
                        let _ = editor.append_history(path);
                    }
                    pasted.extend(text.lines().map(str::to_owned));
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(ReadlineError::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    })
}

/// The lines of standard input.
pub(crate) fn piped() -> Lines {
    let mut number = 0;
    Lines::start(move || {
        number += 1;
        Ok(read_line(&mut io::stdin().lock())?.map(|text| Line { text, number, columns: None }))
    })
}

/// One line without its end; of a line that is too long, as much as it takes to be refused.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        bytes.pop_if(|last| *last == b'\r');
    } else {
        input.skip_until(b'\n')?;
    }
    // What is not UTF-8 becomes a character that no word has.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// `$XDG_STATE_HOME/jangada/history`, or the same below `~/.local/state`.
fn history_path() -> Option<PathBuf> {
    let directory = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state =
        directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")))?;
    Some(state.join("jangada/history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_every_known_way() {
        let mut input = &b"one\r\n\ntwo\nlast"[..];
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["one", "", "two", "last"]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let long = [vec![b'x'; 3 << 20], b"\nnext\n".to_vec()].concat();
        let mut input = &long[..];
        assert_eq!(read_line(&mut input).unwrap().unwrap().len() as u64, MAX_LINE);
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("next"));
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_visible() {
        let mut input = &b"crash \xff\n"[..];
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("crash \u{fffd}"));
    }
}
