//! Reads one line from left to right, as the grammar asks for it.
//!
//! There is no list of tokens made beforehand, because what a character means depends on what the
//! word before it wants: `->` joins two servers but may stand in a file's name, and the text of an
//! `append` is taken as it is.

use std::ops::Range;

use super::error::{ParseError, quoted};
use super::words;
use super::{Value, Variables};

/// The longest line, in bytes.
pub(crate) const MAX_LINE: usize = 64 * 1024;

pub(crate) type Result<T> = std::result::Result<T, ParseError>;

/// A word of the line after quotes, escapes and variables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
}

impl Token {
    /// An error about this word.
    pub(crate) fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.span.clone(), message)
    }
}

/// A place in a line.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    line: &'a str,
    at: usize,
    variables: &'a Variables,
    /// A `;` ends a word, too.
    separated: bool,
}

impl<'a> Cursor<'a> {
    /// The beginning of a line. A byte order mark before it and a line ending after it are no part
    /// of it. Errors: a line that is too long, a control character other than the tab.
    pub(crate) fn new(line: &'a str, variables: &'a Variables) -> Result<Self> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.len() > MAX_LINE {
            let message = format!(
                "the line has {} bytes; {MAX_LINE} is the most. Put long text into a file and \
                 name it: `append FILE @PATH`",
                line.len()
            );
            return Err(ParseError::new(0..0, message));
        }
        if let Some((at, c)) = line.char_indices().find(|&(_, c)| c.is_control() && c != '\t') {
            let message = format!(
                "the control character U+{:04X} cannot stand in a line; bytes are written \\xNN \
                 inside double quotes",
                u32::from(c)
            );
            return Err(ParseError::new(at..at + c.len_utf8(), message));
        }
        let at = if line.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Ok(Self { line, at, variables, separated: false })
    }

    /// From here on a `;` ends a word, too: several commands follow.
    pub(crate) fn separate(&mut self) {
        self.separated = true;
    }

    /// Whether a `;` ends a word, too.
    pub(crate) fn is_separated(&self) -> bool {
        self.separated
    }

    fn ends_word(&self, c: char) -> bool {
        matches!(c, ' ' | '\t') || self.separated && c == ';'
    }

    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    /// Where the next word begins, in bytes of the line.
    pub(crate) fn position(&mut self) -> usize {
        self.skip_blanks();
        self.at
    }

    /// What was taken since `start`, without blanks at its end.
    pub(crate) fn span_since(&self, start: usize) -> Range<usize> {
        start..start + self.line[start..self.at].trim_end_matches([' ', '\t']).len()
    }

    fn skip_blanks(&mut self) {
        self.at = self.line.len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    /// Whether nothing but blanks and a comment is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty() || self.rest().starts_with('#')
    }

    /// Demands that nothing is left.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    /// An error about what comes next, which should be something else.
    pub(crate) fn expected(&mut self, what: &str) -> ParseError {
        if self.at_end() {
            return ParseError::new(self.at..self.at, format!("expected {what}"));
        }
        let span = self.at..self.at + self.run().len();
        let found = quoted(&self.line[span.clone()]);
        ParseError::new(span, format!("expected {what}, found {found}"))
    }

    /// What comes before the next blank; a `;` that ends a word is a word of its own.
    fn run(&self) -> &'a str {
        let rest = self.rest();
        match rest.find(|c| self.ends_word(c)).unwrap_or(rest.len()) {
            0 if rest.starts_with(';') => &rest[..1],
            length => &rest[..length],
        }
    }

    /// Takes this symbol if it comes next; a blank after it is not needed.
    pub(crate) fn symbol(&mut self, symbol: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    /// Takes this word, in any case, if it comes next. Between quotes it would be no keyword.
    pub(crate) fn keyword(&mut self, keyword: &str) -> bool {
        self.skip_blanks();
        let found = self.run().eq_ignore_ascii_case(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// Takes the next word; `what` says what it stands for if there is none.
    pub(crate) fn word(&mut self, what: &str) -> Result<Token> {
        if self.at_end() || self.separated && self.rest().starts_with(';') {
            return Err(self.expected(what));
        }
        let start = self.at;
        let bytes = if self.rest().starts_with('"') {
            self.double_quoted()?
        } else if self.rest().starts_with('\'') {
            self.single_quoted()?
        } else {
            self.bare_word()?
        };
        let span = start..self.at;
        let text = String::from_utf8(bytes).map_err(|_| {
            ParseError::new(span.clone(), format!("{what} must be text, and this is not UTF-8"))
        })?;
        Ok(Token { text, span })
    }

    /// Takes the name of a variable that is to get a value.
    pub(crate) fn variable_name(&mut self) -> Result<String> {
        self.skip_blanks();
        let name = &self.rest()[..name_length(self.rest())];
        if name.is_empty() {
            return Err(self.expected("a name: a letter or _, then letters, digits and _"));
        }
        self.at += name.len();
        Ok(name.to_owned())
    }

    /// Takes letters, digits and variables: one element of a list of servers.
    pub(crate) fn element(&mut self) -> Result<Token> {
        self.skip_blanks();
        let start = self.at;
        let bytes = self.bare(|c| c.is_alphanumeric() || c == '_' || c == '$')?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Token { text, span: start..self.at })
    }

    /// Takes what is left of the line, as it stands; at least one byte.
    pub(crate) fn verbatim(&mut self, what: &str) -> Result<Vec<u8>> {
        self.skip_blanks();
        if self.rest().is_empty() {
            return Err(self.expected(what));
        }
        let bytes = self.rest().as_bytes().to_vec();
        self.at = self.line.len();
        Ok(bytes)
    }

    /// Takes a text between double quotes, if one comes next.
    pub(crate) fn quoted_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        self.skip_blanks();
        if self.rest().starts_with('"') { self.double_quoted().map(Some) } else { Ok(None) }
    }

    /// Whether a word begins right here, without a blank before it.
    pub(crate) fn touches_word(&self) -> bool {
        !self.rest().is_empty() && !self.rest().starts_with(|c| self.ends_word(c))
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn bare(&mut self, belongs: impl Fn(char) -> bool) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.rest().starts_with(&belongs) {
            match self.variable()? {
                Some(value) => bytes.extend(value.into_bytes()),
                None => self.push_char(&mut bytes),
            }
        }
        Ok(bytes)
    }

    fn bare_word(&mut self) -> Result<Vec<u8>> {
        let separated = self.separated;
        self.bare(|c| !(matches!(c, ' ' | '\t') || separated && c == ';'))
    }

    fn push_char(&mut self, bytes: &mut Vec<u8>) {
        if let Some(c) = self.next_char() {
            bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Takes `$name` or `${name}` if it comes next. Any other `$` is just itself.
    fn variable(&mut self) -> Result<Option<String>> {
        let Some(after) = self.rest().strip_prefix('$') else { return Ok(None) };
        let braced = after.starts_with('{');
        let after = after.strip_prefix('{').unwrap_or(after);
        let name = &after[..name_length(after)];
        let length = 1 + name.len() + if braced { 2 } else { 0 };
        let closed = !braced || after[name.len()..].starts_with('}');
        if name.is_empty() || !closed {
            return Ok(None);
        }
        let span = self.at..self.at + length;
        match self.variables.get(name) {
            Some(value) => {
                self.at = span.end;
                Ok(Some(match value {
                    Value::File(uuid) => uuid.to_string(),
                    Value::Server(server) => server.to_string(),
                }))
            }
            None => {
                let known = self.variables.keys().map(String::as_str);
                let advice = match words::nearest(name, known) {
                    Some(near) => format!("did you mean `${near}`?"),
                    None => format!("give it a value first, as in `let {name} = leader`"),
                };
                let message = format!("there is no variable {}; {advice}", quoted(name));
                Err(ParseError::new(span, message))
            }
        }
    }

    /// Between single quotes everything stands for itself.
    fn single_quoted(&mut self) -> Result<Vec<u8>> {
        let inside = &self.rest()[1..];
        let Some(length) = inside.find('\'') else { return Err(self.unclosed(self.at, '\'')) };
        self.at += length + 2;
        self.after_quote()?;
        Ok(inside.as_bytes()[..length].to_vec())
    }

    /// Between double quotes there are escapes and variables.
    fn double_quoted(&mut self) -> Result<Vec<u8>> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            if let Some(value) = self.variable()? {
                bytes.extend(value.into_bytes());
                continue;
            }
            match self.rest().chars().next() {
                None => return Err(self.unclosed(start, '"')),
                Some('"') => {
                    self.at += 1;
                    self.after_quote()?;
                    return Ok(bytes);
                }
                Some('\\') => bytes.push(self.escape()?),
                Some(_) => self.push_char(&mut bytes),
            }
        }
    }

    fn escape(&mut self) -> Result<u8> {
        let start = self.at;
        self.at += 1;
        let byte = match self.next_char() {
            Some('n') => Some(b'\n'),
            Some('r') => Some(b'\r'),
            Some('t') => Some(b'\t'),
            Some('\\') => Some(b'\\'),
            Some('"') => Some(b'"'),
            Some('$') => Some(b'$'),
            Some('x') => self.hex_digit().zip(self.hex_digit()).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        byte.ok_or_else(|| {
            let span = start..self.at;
            let found = quoted(&self.line[span.clone()]);
            let message = format!(
                "{found} is no escape; there are \\n \\r \\t \\\\ \\\" \\$ and \\xNN with two \
                 hexadecimal digits"
            );
            ParseError::new(span, message)
        })
    }

    fn hex_digit(&mut self) -> Option<u8> {
        let digit = self.rest().chars().next()?.to_digit(16)?;
        self.at += 1;
        u8::try_from(digit).ok()
    }

    fn after_quote(&mut self) -> Result<()> {
        if self.touches_word() {
            let span = self.at..self.at + self.run().len();
            return Err(ParseError::new(span, "a blank must come after the closing quote"));
        }
        Ok(())
    }

    fn unclosed(&self, start: usize, quote: char) -> ParseError {
        ParseError::new(start..self.line.len(), format!("the closing {quote} is missing"))
    }
}

/// How long the variable name at the beginning of the text is: a letter or `_`, then letters,
/// digits and `_`, all of ASCII.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}
