//! What is wrong with a line, told so that a person can put it right.

use std::ops::Range;

use thiserror::Error;

use super::words::Word;

/// Longer lines are shown in part: the place of the mistake and what is around it.
const SHOWN: usize = 90;

/// Longer words are shown in part.
const QUOTED: usize = 40;

/// A line that does not parse.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the line.
    pub span: Range<usize>,
    /// How it is written rightly: usage and example of the word.
    pub hint: Option<String>,
}

impl ParseError {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, hint: None }
    }

    /// Adds how the word is used, unless a word inside of it has said so already.
    pub(crate) fn with_usage(mut self, word: &Word) -> Self {
        self.hint.get_or_insert_with(|| {
            format!("usage: {}   for example: {}", word.usage, word.example)
        });
        self
    }

    /// Three lines to print below the message: the line itself, carets under the mistake, and the
    /// hint if there is one. Each ends with a newline.
    pub fn excerpt(&self, line: &str) -> String {
        let line = line.trim_end_matches(['\n', '\r']);
        let first = columns(line, self.span.start);
        let carets = (columns(line, self.span.end) - first).clamp(1, SHOWN);
        let skipped = (first + carets).saturating_sub(SHOWN);
        let shown: String = line.chars().skip(skipped).take(SHOWN).map(printable).collect();
        let indent = " ".repeat(first - skipped.min(first));
        let mut text = format!("    {shown}\n    {indent}{}\n", "^".repeat(carets));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("    {hint}\n"));
        }
        text
    }
}

/// How many characters come before a byte of the line.
fn columns(line: &str, byte: usize) -> usize {
    line.char_indices().take_while(|&(at, _)| at < byte).count()
}

/// A tab takes one column, so that the carets stand right; a terminal obeys no control character.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The text between backquotes, shortened if it is long.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED).map(printable).collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
