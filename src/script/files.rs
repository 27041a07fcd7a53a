//! The file commands.

use super::cursor::{Cursor, Result, Token};
use super::{Content, FileCommand, Load};

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

/// `PATH [as NAME] [replace]`.
pub(super) fn load_arguments(c: &mut Cursor<'_>) -> Result<Load> {
    let path = path(c)?;
    let name = if c.keyword("as") { Some(name(c)?) } else { None };
    let replace = c.keyword("replace");
    Ok(Load { path, name, replace })
}

pub(super) fn list(_: &mut Cursor<'_>) -> Result<FileCommand> {
    Ok(FileCommand::List)
}

pub(super) fn get(c: &mut Cursor<'_>) -> Result<FileCommand> {
    Ok(FileCommand::Get { file: file(c)?, path: path(c)? })
}

pub(super) fn cat(c: &mut Cursor<'_>) -> Result<FileCommand> {
    file(c).map(FileCommand::Cat)
}

pub(super) fn append(c: &mut Cursor<'_>) -> Result<FileCommand> {
    let (file, content) = file_and_content(c)?;
    Ok(FileCommand::Append { file, content })
}

pub(super) fn delete(c: &mut Cursor<'_>) -> Result<FileCommand> {
    file(c).map(FileCommand::Delete)
}

pub(super) fn rename(c: &mut Cursor<'_>) -> Result<FileCommand> {
    Ok(FileCommand::Rename { file: file(c)?, name: name(c)? })
}

pub(super) fn stat(c: &mut Cursor<'_>) -> Result<FileCommand> {
    file(c).map(FileCommand::Stat)
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
    Ok((file, Content::Text(c.verbatim("a text, or @ and a path")?)))
}
