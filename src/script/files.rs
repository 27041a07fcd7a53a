//! The file commands.

use super::cursor::{Cursor, Result, Token};
use super::error::quoted;
use super::words::{self, Grammar, WORDS};
use super::{Content, FileCommand, Follow, Load, Statement, View, value};
use crate::actors::Consistency;
use crate::files::MAX_BATCH;
use crate::raft::Index;

/// A file: its name, its uuid or a prefix of the uuid.
pub(super) fn file(c: &mut Cursor<'_>) -> Result<String> {
    let token = c.word("a file: its name, its uuid or the beginning of it")?;
    not_empty(token, "a file's name")
}

/// A path of the host.
pub(super) fn path(c: &mut Cursor<'_>) -> Result<String> {
    let token = c.word("a path")?;
    not_empty(token, "a path")
}

fn name(c: &mut Cursor<'_>) -> Result<String> {
    let token = c.word("a name")?;
    not_empty(token, "a name")
}

fn not_empty(token: Token, what: &str) -> Result<String> {
    if token.text.is_empty() {
        return Err(token.error(format!("{what} cannot be empty")));
    }
    Ok(token.text)
}

pub(super) fn load(c: &mut Cursor<'_>) -> Result<FileCommand> {
    load_arguments(c).map(FileCommand::Load)
}

/// `PATH [as NAME] [replace] [if revision NUMBER]`.
pub(super) fn load_arguments(c: &mut Cursor<'_>) -> Result<Load> {
    let path = path(c)?;
    let name = if c.keyword("as") { Some(name(c)?) } else { None };
    let replace = c.keyword("replace");
    Ok(Load { path, name, replace, revision: condition(c)? })
}

pub(super) fn list(c: &mut Cursor<'_>) -> Result<FileCommand> {
    Ok(FileCommand::List(consistency(c)))
}

pub(super) fn get(c: &mut Cursor<'_>) -> Result<FileCommand> {
    let (file, path) = (file(c)?, path(c)?);
    Ok(FileCommand::Get { file, path, view: view(c)?, how: consistency(c) })
}

pub(super) fn cat(c: &mut Cursor<'_>) -> Result<FileCommand> {
    Ok(FileCommand::Cat { file: file(c)?, view: view(c)?, how: consistency(c) })
}

pub(super) fn append(c: &mut Cursor<'_>) -> Result<FileCommand> {
    let (file, content) = file_and_content(c)?;
    Ok(FileCommand::Append { file, content, revision: condition(c)? })
}

pub(super) fn delete(c: &mut Cursor<'_>) -> Result<FileCommand> {
    Ok(FileCommand::Delete { file: file(c)?, revision: condition(c)? })
}

pub(super) fn rename(c: &mut Cursor<'_>) -> Result<FileCommand> {
    Ok(FileCommand::Rename { file: file(c)?, name: name(c)?, revision: condition(c)? })
}

pub(super) fn stat(c: &mut Cursor<'_>) -> Result<FileCommand> {
    let file = file(c)?;
    let at = if c.keyword("at") { Some(index(c)?) } else { None };
    Ok(FileCommand::Stat { file, at, how: consistency(c) })
}

/// Changes between semicolons. Their words are looked up here, and not by parsing any file
/// command, so that no line of many `batch`es goes ever deeper.
pub(super) fn batch(c: &mut Cursor<'_>) -> Result<FileCommand> {
    const WHAT: &str = "a change of a file, such as `append notes.txt \"x\"`";
    c.separate();
    let mut parts = Vec::new();
    loop {
        let token = c.word(WHAT)?;
        let word = words::find(WORDS, &token.text).filter(|word| word.name != "batch");
        let command = match word.map(|word| word.grammar) {
            Some(Grammar::File(parse)) => Some(parse(c)?).filter(FileCommand::changes),
            _ => None,
        };
        let Some(command) = command else {
            let found = quoted(&token.text);
            return Err(token.error(format!(
                "a batch is made of `load`, `append`, `delete` and `rename`; {found} is none"
            )));
        };
        parts.push(command);
        if parts.len() > MAX_BATCH {
            return Err(token.error(format!("a batch has at most {MAX_BATCH} changes")));
        }
        if !c.symbol(";") || c.at_end() {
            return Ok(FileCommand::Batch(parts));
        }
    }
}

/// `[at INDEX|bytes FROM..TO [revision NUMBER]]`.
fn view(c: &mut Cursor<'_>) -> Result<View> {
    if c.keyword("at") {
        return index(c).map(View::At);
    }
    if !c.keyword("bytes") {
        return Ok(View::Whole);
    }
    let token = c.word("a range of bytes, such as 0..100")?;
    let bounds = token.text.split_once("..").and_then(|(from, to)| {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| text.parse().ok().filter(|_| digits(text));
        Some((number(from)?, number(to)?))
    });
    let Some((from, to)) = bounds.filter(|(from, to)| from <= to) else {
        let found = quoted(&token.text);
        return Err(token.error(format!(
            "{found} is no range of bytes: 0..100 are the first hundred, 100..200 the next ones"
        )));
    };
    let revision = if c.keyword("revision") { Some(revision(c, 1)?) } else { None };
    Ok(View::Bytes { range: from..to, revision })
}

fn index(c: &mut Cursor<'_>) -> Result<Index> {
    value::number(c, "an index", 0, u64::MAX).map(Index)
}

fn revision(c: &mut Cursor<'_>, least: u64) -> Result<u64> {
    value::number(c, "a revision", least, u64::MAX)
}

/// `[linearizable|lease|stale]`.
fn consistency(c: &mut Cursor<'_>) -> Consistency {
    let given = value::CONSISTENCIES.iter().find(|(word, _)| c.keyword(word));
    given.map_or(Consistency::default(), |(_, how)| *how)
}

/// `[if revision NUMBER]`.
fn condition(c: &mut Cursor<'_>) -> Result<Option<u64>> {
    if !c.keyword("if") {
        return Ok(None);
    }
    if !c.keyword("revision") {
        return Err(c.expected("`revision` and a number"));
    }
    revision(c, 0).map(Some)
}

/// `watch`, `watch files [from INDEX] [for DURATION]`; `files` may be left out before these.
pub(super) fn watch(c: &mut Cursor<'_>) -> Result<Statement> {
    let files = c.keyword("files");
    let from = if c.keyword("from") { Some(index(c)?) } else { None };
    let time = if c.keyword("for") { Some(value::duration(c, Some("s"))?) } else { None };
    if !files && from.is_none() && time.is_none() {
        return Ok(Statement::Watch);
    }
    Ok(Statement::Follow(Follow { from, time }))
}

/// `FILE TEXT` or `FILE @PATH`.
pub(super) fn file_and_content(c: &mut Cursor<'_>) -> Result<(String, Content)> {
    let file = file(c)?;
    if c.symbol("@") {
        if !c.touches_word() {
            return Err(c.expected("a path right after `@` (a text that begins so needs quotes)"));
        }
        return Ok((file, Content::Path(path(c)?)));
    }
    if let Some(text) = c.quoted_bytes()? {
        return Ok((file, Content::Text(text)));
    }
    if c.is_separated() {
        // What is left of the line belongs to other commands, too.
        return Err(c.expected("a text between double quotes, or @ and a path, as in any batch"));
    }
    Ok((file, Content::Text(c.verbatim("a text, or @ and a path")?)))
}
