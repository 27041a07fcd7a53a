//! The word that asks for a cause.

use super::cursor::{Cursor, Result};
use super::error::quoted;
use super::{Inquiry, Question, Statement, value};
use crate::raft::{Index, ServerId};

pub(super) fn why(c: &mut Cursor<'_>) -> Result<Statement> {
    let question = question(c)?;
    let at = if c.keyword("at") { Some(value::duration(c, Some("s"))?) } else { None };
    Ok(Statement::Why(Inquiry { question, at }))
}

fn question(c: &mut Cursor<'_>) -> Result<Question> {
    if c.keyword("no-leader") {
        return Ok(Question::NoLeader);
    }
    let token = c.word("`no-leader`, a server or an index")?;
    let digits = token.text.trim_start_matches(['s', 'S']);
    let Some(number) = digits.parse().ok().filter(|number| *number > 0) else {
        let found = quoted(&token.text);
        return Err(
            token.error(format!("{found} is neither `no-leader` nor a server nor an index"))
        );
    };
    if c.keyword("lost") {
        demand(c, &["leadership"])?;
        Ok(Question::LostLeadership(ServerId(number)))
    } else if c.keyword("refused") {
        demand(c, &["its", "vote"])?;
        Ok(Question::RefusedVote(ServerId(number)))
    } else if c.keyword("is") {
        demand(c, &["not", "committed"])?;
        Ok(Question::NotCommitted(Index(number)))
    } else {
        Err(c.expected("`lost leadership`, `refused its vote` or `is not committed`"))
    }
}

fn demand(c: &mut Cursor<'_>, words: &[&str]) -> Result<()> {
    for word in words {
        if !c.keyword(word) {
            return Err(c.expected(&format!("`{word}`")));
        }
    }
    Ok(())
}
