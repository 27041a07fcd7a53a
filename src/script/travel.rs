//! The words that move in virtual time.

use super::cursor::{Cursor, Result};
use super::error::quoted;
use super::{Statement, Travel, value};

/// Most messages that one `step` lets arrive.
const MAX_STEP: u64 = 100_000;
/// The slowest and the fastest pace that can be set.
const PACES: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

pub(super) fn play(c: &mut Cursor<'_>) -> Result<Statement> {
    let time = if c.at_end() { None } else { Some(value::duration(c, Some("s"))?) };
    Ok(Statement::Travel(Travel::Play(time)))
}

pub(super) fn pace(c: &mut Cursor<'_>) -> Result<Statement> {
    let token = c.word("a pace, such as 10, 0.1 or max")?;
    if token.text.eq_ignore_ascii_case("max") {
        return Ok(Statement::Travel(Travel::Pace(None)));
    }
    let plain = token.text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match token.text.parse().ok().filter(|factor| plain && PACES.contains(factor)) {
        Some(factor) => Ok(Statement::Travel(Travel::Pace(Some(factor)))),
        None => {
            let found = quoted(&token.text);
            let (slow, fast) = (PACES.start(), PACES.end());
            Err(token.error(format!(
                "{found} is no pace: from {slow} to {fast} times the clock on the wall, or max"
            )))
        }
    }
}

pub(super) fn step(c: &mut Cursor<'_>) -> Result<Statement> {
    let travel = if c.at_end() {
        Travel::Step(1)
    } else if c.keyword("event") {
        Travel::StepEvent
    } else {
        Travel::Step(value::number(c, "a number of messages", 1, MAX_STEP)?)
    };
    Ok(Statement::Travel(travel))
}

pub(super) fn rewind(c: &mut Cursor<'_>) -> Result<Statement> {
    value::duration(c, Some("s")).map(Travel::Rewind).map(Statement::Travel)
}

pub(super) fn goto(c: &mut Cursor<'_>) -> Result<Statement> {
    value::duration(c, Some("s")).map(Travel::Goto).map(Statement::Travel)
}

pub(super) fn fork(_: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::Travel(Travel::Fork))
}

pub(super) fn timeline(_: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::Travel(Travel::Timeline))
}
