//! The expectations.

use std::time::Duration;

use super::cursor::{Cursor, Result};
use super::words::Argument::{Content, File, FileCommands, Is, Numbers, Servers};
use super::words::{Category, Grammar, Word};
use super::{Expectation, NoLeader, Statement, files, parse, value};
use crate::raft::Index;

/// The words that may follow `expect`.
pub(crate) const EXPECTATIONS: &[Word] = &[
    Word {
        name: "leader",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect leader [SERVER] [within DURATION]",
        help: "There is a leader that a majority follows, this one if it is named",
        example: "expect leader within 2s",
        arguments: &[&[Numbers, Is("within")], &[Is("within")]],
        grammar: Grammar::Statement(leader),
    },
    Word {
        name: "no leader",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect no leader [for DURATION|within DURATION]",
        help: "There is none: now, for this long, or at some time within it",
        example: "expect no leader for 3s",
        arguments: &[&[Is("for"), Is("within")]],
        grammar: Grammar::Statement(no_leader),
    },
    Word {
        name: "role",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect role SERVERS follower|candidate|leader|stale|dead [within DURATION]",
        help: "Servers have this role; stale is a leader that does not know it is deposed",
        example: "expect role 1 stale within 2s",
        arguments: &[
            &[Servers],
            &[Is("follower"), Is("candidate"), Is("leader"), Is("stale"), Is("dead")],
            &[Is("within")],
        ],
        grammar: Grammar::Statement(role),
    },
    Word {
        name: "members",
        aliases: &["voters"],
        category: Category::Scenarios,
        usage: "expect members SERVERS [within DURATION]",
        help: "These vote and no others, it is committed, and no change is under way",
        example: "expect members 1,2,3 within 5s",
        arguments: &[&[Numbers], &[Is("within")]],
        grammar: Grammar::Statement(members),
    },
    Word {
        name: "learners",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect learners SERVERS [within DURATION]",
        help: "These members receive the log and do not vote, and no others, and it is committed",
        example: "expect learners 4 within 5s",
        arguments: &[&[Numbers], &[Is("within")]],
        grammar: Grammar::Statement(learners),
    },
    Word {
        name: "no learners",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect no learners [within DURATION]",
        help: "Every member votes, and it is committed",
        example: "expect no learners",
        arguments: &[&[Is("within")]],
        grammar: Grammar::Statement(no_learners),
    },
    Word {
        name: "snapshot",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect snapshot SERVERS [>= INDEX] [within DURATION]",
        help: "Servers have a snapshot on their disks, of the state up to this index or a later one",
        example: "expect snapshot 2 >= 100 within 2s",
        arguments: &[&[Servers], &[Is(">="), Is("within")], &[], &[Is("within")]],
        grammar: Grammar::Statement(snapshot),
    },
    Word {
        name: "files",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect files equal [within DURATION]",
        help: "All servers that are up hold the same files",
        example: "expect files equal within 5s",
        arguments: &[&[Is("equal")], &[Is("within")]],
        grammar: Grammar::Statement(files_equal),
    },
    Word {
        name: "logs",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect logs equal [within DURATION]",
        help: "All servers that are up hold the same log",
        example: "expect logs equal within 5s",
        arguments: &[&[Is("equal")], &[Is("within")]],
        grammar: Grammar::Statement(logs_equal),
    },
    Word {
        name: "caught-up",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect caught-up SERVERS [within DURATION]",
        help: "Servers have applied all that the leader has committed",
        example: "expect caught-up 3 within 5s",
        arguments: &[&[Servers], &[Is("within")]],
        grammar: Grammar::Statement(caught_up),
    },
    Word {
        name: "commit",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect commit SERVERS >= INDEX [within DURATION]",
        help: "Servers know that the log is committed up to this index",
        example: "expect commit all >= 4 within 2s",
        arguments: &[&[Servers], &[Is(">=")], &[], &[Is("within")]],
        grammar: Grammar::Statement(commit),
    },
    Word {
        name: "content",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect content FILE TEXT|@PATH",
        help: "A linearizable read gives exactly these bytes (TEXT as for `append`)",
        example: "expect content notes.txt \"one\\ntwo\\n\"",
        arguments: &[&[File], &[Content]],
        grammar: Grammar::Statement(content),
    },
    Word {
        name: "no file",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect no file FILE",
        help: "There is no such file",
        example: "expect no file notes.txt",
        arguments: &[&[File]],
        grammar: Grammar::Statement(no_file),
    },
    Word {
        name: "refused",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect refused [because TEXT] FILE-COMMAND",
        help: "The command is refused, for a reason that contains TEXT",
        example: "expect refused because \"no quorum\" append notes.txt \"x\"",
        arguments: &[&[Is("because"), FileCommands, Is("at")]],
        grammar: Grammar::Statement(refused),
    },
    Word {
        name: "unknown",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect unknown FILE-COMMAND",
        help: "The client does not learn whether the command took effect",
        example: "expect unknown at 1 append notes.txt \"x\"",
        arguments: &[],
        grammar: Grammar::Statement(unknown),
    },
    Word {
        name: "linearizable",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect linearizable",
        help: "One copy of the files could have given all answers so far",
        example: "expect linearizable",
        arguments: &[],
        grammar: Grammar::Statement(linearizable),
    },
    Word {
        name: "progress",
        aliases: &[],
        category: Category::Scenarios,
        usage: "expect progress within DURATION",
        help: "A new command is committed and applied",
        example: "expect progress within 5s",
        arguments: &[&[Is("within")]],
        grammar: Grammar::Statement(progress),
    },
];

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

pub(super) fn members(c: &mut Cursor<'_>) -> Result<Statement> {
    let voters = value::server_list(c)?;
    expected(Expectation::Members { voters, within: within(c)? })
}

pub(super) fn learners(c: &mut Cursor<'_>) -> Result<Statement> {
    let learners = value::server_list(c)?;
    expected(Expectation::Learners { learners, within: within(c)? })
}

pub(super) fn no_learners(c: &mut Cursor<'_>) -> Result<Statement> {
    expected(Expectation::Learners { learners: Vec::new(), within: within(c)? })
}

pub(super) fn snapshot(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    let index = match c.symbol(">=") {
        true => Some(Index(value::number(c, "an index", 0, u64::MAX)?)),
        false => None,
    };
    expected(Expectation::Snapshot { servers, index, within: within(c)? })
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

pub(super) fn progress(c: &mut Cursor<'_>) -> Result<Statement> {
    if !c.keyword("within") {
        return Err(c.expected("`within` and a duration"));
    }
    expected(Expectation::Progress { within: value::duration(c, None)? })
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
