//! The expectations.

use std::time::Duration;

use super::cursor::{Cursor, Result};
use super::{Expectation, NoLeader, Statement, files, parse, value};
use crate::raft::Index;

/// `[within DURATION]`.
fn within(c: &mut Cursor<'_>) -> Result<Duration> {
    if c.keyword("within") { value::duration(c, None) } else { Ok(Duration::ZERO) }
}

fn expected(expectation: Expectation) -> Result<Statement> {
    Ok(Statement::Expect(expectation))
}

pub(super) fn leader(c: &mut Cursor<'_>) -> Result<Statement> {
    let mut ahead = c.clone();
    let server = if c.at_end() || ahead.keyword("within") {
        None
    } else {
        Some(value::server_number(c, "a server's number, or `within`")?)
    };
    expected(Expectation::Leader { server, within: within(c)? })
}

pub(super) fn no_leader(c: &mut Cursor<'_>) -> Result<Statement> {
    let no_leader = if c.keyword("for") {
        NoLeader::For(value::duration(c, None)?)
    } else {
        NoLeader::Within(within(c)?)
    };
    expected(Expectation::NoLeader(no_leader))
}

fn equal(c: &mut Cursor<'_>) -> Result<Duration> {
    if c.keyword("equal") { within(c) } else { Err(c.expected("`equal`")) }
}

pub(super) fn files_equal(c: &mut Cursor<'_>) -> Result<Statement> {
    expected(Expectation::FilesEqual { within: equal(c)? })
}

pub(super) fn logs_equal(c: &mut Cursor<'_>) -> Result<Statement> {
    expected(Expectation::LogsEqual { within: equal(c)? })
}

pub(super) fn linearizable(_: &mut Cursor<'_>) -> Result<Statement> {
    expected(Expectation::Linearizable)
}

pub(super) fn refused(c: &mut Cursor<'_>) -> Result<Statement> {
    let because =
        if c.keyword("because") { Some(c.word("part of the reason")?.text) } else { None };
    expected(Expectation::Refused { because, call: parse::file_call(c)? })
}

pub(super) fn unknown(c: &mut Cursor<'_>) -> Result<Statement> {
    expected(Expectation::Unknown(parse::file_call(c)?))
}

pub(super) fn content(c: &mut Cursor<'_>) -> Result<Statement> {
    let (file, content) = files::file_and_content(c)?;
    expected(Expectation::Content { file, content })
}

pub(super) fn no_file(c: &mut Cursor<'_>) -> Result<Statement> {
    expected(Expectation::NoFile(files::file(c)?))
}

pub(super) fn role(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    expected(Expectation::Role { servers, role: value::role(c)?, within: within(c)? })
}

pub(super) fn commit(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    if !c.symbol(">=") {
        return Err(c.expected("`>=`"));
    }
    let index = Index(value::number(c, "an index", 0, u64::MAX)?);
    expected(Expectation::Commit { servers, index, within: within(c)? })
}

pub(super) fn caught_up(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    expected(Expectation::CaughtUp { servers, within: within(c)? })
}
