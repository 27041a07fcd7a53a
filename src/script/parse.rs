//! From a line to its statement.

use std::time::Duration;

use super::cursor::{Cursor, Result, Token};
use super::error::quoted;
use super::expect::EXPECTATIONS;
use super::words::{self, Grammar, WORDS, Word};
use super::{
    Binding, Clients, FileCall, OneServer, ParseError, Setting, Snapshots, Statement, Variables,
    Wait, files, value,
};
use crate::actors::{Consistency, Servers};

/// Parses one line; `None` if it is blank or only a comment.
///
/// # Errors
///
/// Says what is wrong, where in the line, and how the word is used.
pub fn parse(line: &str, variables: &Variables) -> Result<Option<Statement>> {
    let mut c = Cursor::new(line, variables)?;
    if c.at_end() {
        return Ok(None);
    }
    let statement = statement(&mut c)?;
    Ok(Some(statement))
}

/// What may stand before a file command.
#[derive(Default)]
struct Prefix {
    background: bool,
    at: Option<OneServer>,
    /// The last prefix, for an error about it.
    last: Option<Token>,
}

impl Prefix {
    fn parse(c: &mut Cursor<'_>) -> Result<Self> {
        let mut prefix = Self::default();
        loop {
            let start = c.position();
            let token = |text: &str| Token { text: text.into(), span: start..start + text.len() };
            let (token, twice) = if c.symbol("&") {
                (token("&"), std::mem::replace(&mut prefix.background, true))
            } else if c.keyword("at") {
                (token("at"), prefix.at.replace(asked_server(c)?).is_some())
            } else {
                return Ok(prefix);
            };
            if twice {
                return Err(token.error(format!("`{}` stands here twice", token.text)));
            }
            prefix.last = Some(token);
        }
    }

    /// Refuses a prefix before what is no file command.
    fn demand_none(&self, word: &str) -> Result<()> {
        match &self.last {
            None => Ok(()),
            Some(token) => Err(token.error(format!(
                "`{}` goes only before a file command, and {} is none",
                token.text,
                quoted(word)
            ))),
        }
    }
}

/// The server after `at`.
fn asked_server(c: &mut Cursor<'_>) -> Result<OneServer> {
    value::one_server(c).map_err(|error| match words::find(WORDS, "at") {
        Some(at) => error.with_usage(at),
        None => error,
    })
}

fn statement(c: &mut Cursor<'_>) -> Result<Statement> {
    let prefix = Prefix::parse(c)?;
    let token = c.word("a word such as `status`; `help` lists them")?;
    let word = words::find(WORDS, &token.text).ok_or_else(|| unknown(&token, WORDS, "help"))?;
    let parsed = match word.grammar {
        Grammar::File(parse) => parse(c).map(|command| Statement::File {
            call: FileCall { at: prefix.at, command },
            background: prefix.background,
        }),
        Grammar::Statement(parse) => prefix.demand_none(word.name).and_then(|()| parse(c)),
        Grammar::Prefix => Err(c.expected("a file command")),
    };
    finish(c, word, parsed)
}

/// Adds the usage of the word to an error, and demands the end of the line.
fn finish<T>(c: &mut Cursor<'_>, word: &Word, parsed: Result<T>) -> Result<T> {
    parsed.and_then(|value| c.end().map(|()| value)).map_err(|error| error.with_usage(word))
}

fn unknown(token: &Token, table: &'static [Word], help: &str) -> ParseError {
    let known = table.iter().flat_map(Word::names);
    let advice = match words::nearest(&token.text, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`{help}` lists those there are"),
    };
    token.error(format!("unknown word {}; {advice}", quoted(&token.text)))
}

/// A file command inside another statement, with `at` before it or not.
pub(super) fn file_call(c: &mut Cursor<'_>) -> Result<FileCall> {
    let at = if c.keyword("at") { Some(asked_server(c)?) } else { None };
    let token = c.word("a file command, such as `append notes.txt hello`")?;
    match words::find(WORDS, &token.text).map(|word| (word, word.grammar)) {
        Some((word, Grammar::File(parse))) => {
            let command = parse(c);
            finish(c, word, command).map(|command| FileCall { at, command })
        }
        Some(_) => Err(token.error(format!("{} is no file command", quoted(&token.text)))),
        None => Err(unknown(&token, WORDS, "help")),
    }
}

pub(super) fn expect(c: &mut Cursor<'_>) -> Result<Statement> {
    let mut token = c.word("what to expect; `help expect` lists it")?;
    if token.text.eq_ignore_ascii_case("no") {
        let second = c.word("`leader`, `file` or `learners` after `no`")?;
        token.text = format!("{} {}", token.text, second.text);
        token.span.end = second.span.end;
    }
    let word = words::find(EXPECTATIONS, &token.text)
        .ok_or_else(|| unknown(&token, EXPECTATIONS, "help expect"))?;
    match word.grammar {
        Grammar::Statement(parse) => {
            let parsed = parse(c);
            finish(c, word, parsed)
        }
        Grammar::File(_) | Grammar::Prefix => Err(c.expected("an expectation")),
    }
}

pub(super) fn binding(c: &mut Cursor<'_>) -> Result<Statement> {
    let name = c.variable_name()?;
    if !c.symbol("=") {
        return Err(c.expected("`=`"));
    }
    let binding = if c.keyword("load") {
        Binding::Load(files::load_arguments(c)?)
    } else if c.keyword("leader") {
        Binding::Leader
    } else if c.keyword("follower") {
        Binding::Follower
    } else {
        return Err(c.expected("`load PATH`, `leader` or `follower`"));
    };
    Ok(Statement::Let { name, binding })
}

pub(super) fn wait(c: &mut Cursor<'_>) -> Result<Statement> {
    let wait = if c.keyword("leader") {
        let limited = c.keyword("within");
        Wait::Leader(if limited { Some(value::duration(c, None)?) } else { None })
    } else if c.keyword("members") {
        let voters = value::server_list(c)?;
        let within = if c.keyword("within") { Some(value::duration(c, None)?) } else { None };
        Wait::Members { voters, within }
    } else if c.keyword("jobs") {
        Wait::Jobs
    } else {
        Wait::Time(value::duration(c, Some("s"))?)
    };
    Ok(Statement::Wait(wait))
}

/// Only an order: what else may be refused is for `expect refused`. Its word is looked up here, and
/// not by parsing any statement, so that no line of many `try`s goes ever deeper.
pub(super) fn attempt(c: &mut Cursor<'_>) -> Result<Statement> {
    let start = c.position();
    let token = c.word("an order, such as `crash leader`")?;
    let word = words::find(WORDS, &token.text).ok_or_else(|| unknown(&token, WORDS, "help"))?;
    let parsed = match word.grammar {
        Grammar::Statement(parse) if word.is_order() => {
            let parsed = parse(c);
            Some(finish(c, word, parsed)?)
        }
        _ => None,
    };
    match parsed {
        Some(Statement::Order(order)) => Ok(Statement::Try(order)),
        _ => {
            let message = "`try` goes before an order to the supervisor, such as `crash leader`";
            Err(ParseError::new(c.span_since(start), message))
        }
    }
}

/// How long a client thinks, unless told otherwise.
const THINKS: Duration = Duration::from_millis(50);

pub(super) fn clients(c: &mut Cursor<'_>) -> Result<Statement> {
    let count = value::number(c, "a number of clients", 1, value::MAX_CLIENTS)?;
    if !c.keyword("for") {
        return Err(c.expected("`for` and a duration"));
    }
    let time = value::duration(c, Some("s"))?;
    let every = if c.keyword("every") { value::duration(c, Some("ms"))? } else { THINKS };
    let mut reading = Consistency::default();
    if c.keyword("reading") {
        let given = value::CONSISTENCIES.iter().find(|(word, _)| c.keyword(word));
        (_, reading) = *given.ok_or_else(|| c.expected("linearizable, lease or stale"))?;
    }
    Ok(Statement::Clients(Clients { count, time, every, reading }))
}

pub(super) fn status(_: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::Status)
}

pub(super) fn log(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = if c.at_end() { Servers::All } else { value::servers(c)? };
    Ok(Statement::Log(servers))
}

pub(super) fn events(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.at_end() {
        return Ok(Statement::Events(None));
    }
    let most = u64::from(u32::MAX);
    let count = value::number(c, "a number of events", 1, most)?;
    Ok(Statement::Events(usize::try_from(count).ok()))
}

pub(super) fn help(c: &mut Cursor<'_>) -> Result<Statement> {
    let mut topic: Vec<String> = Vec::new();
    while !c.at_end() {
        topic.push(c.word("a word")?.text);
    }
    Ok(Statement::Help(if topic.is_empty() { None } else { Some(topic.join(" ")) }))
}

pub(super) fn save(c: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::Save(files::path(c)?))
}

pub(super) fn history(c: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::History(files::path(c)?))
}

pub(super) fn submit(c: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::Submit(files::path(c)?))
}

pub(super) fn quit(_: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::Quit)
}

pub(super) fn servers_setting(c: &mut Cursor<'_>) -> Result<Statement> {
    let count = value::number(c, "a number of servers", 1, value::MAX_SERVERS)?;
    Ok(Statement::Setting(Setting::Servers(count)))
}

pub(super) fn disks_setting(c: &mut Cursor<'_>) -> Result<Statement> {
    let kind = value::DISK_KINDS.iter().find(|(word, _)| c.keyword(word));
    let (_, kind) = kind.ok_or_else(|| c.expected("memory or simulated"))?;
    Ok(Statement::Setting(Setting::Disks(*kind)))
}

pub(super) fn snapshots_setting(c: &mut Cursor<'_>) -> Result<Statement> {
    if !c.keyword("every") {
        return Err(c.expected("`every`"));
    }
    let every = value::number(c, "entries", 1, u64::MAX)?;
    let keep = match c.keyword("keep") {
        true => value::number(c, "entries", 0, u64::MAX)?,
        false => Snapshots::default().keep.min(every),
    };
    Ok(Statement::Setting(Setting::Snapshots(Snapshots { every, keep })))
}

pub(super) fn seed_setting(c: &mut Cursor<'_>) -> Result<Statement> {
    let seed = value::number(c, "a seed", 0, u64::MAX)?;
    Ok(Statement::Setting(Setting::Seed(seed)))
}
