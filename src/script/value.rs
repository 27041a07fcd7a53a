//! Durations, probabilities, counts and servers: how they are read and how they are written.

use std::fmt;
use std::time::Duration;

use super::cursor::{Cursor, Result, Token};
use super::error::quoted;
use super::{OneServer, Role};
use crate::actors::{Consistency, Servers};
use crate::raft::ServerId;
use crate::storage::{DiskFault, DiskKind};

/// The most clients that one statement starts.
pub(crate) const MAX_CLIENTS: u64 = 32;
/// The longest duration: a day. Deadlines computed from it cannot overflow.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// The most servers a scenario may ask for.
pub(crate) const MAX_SERVERS: u64 = 64;

/// The units of time and their nanoseconds; the first of each length is written, from `s` down.
const UNITS: [(&str, u64); 8] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// `normal` and `slow`; `fast` is zero.
pub(crate) const NORMAL: Duration = Duration::from_millis(500);
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// Takes a duration. A plain number counts `unit`s; without one it is refused.
pub(crate) fn duration(c: &mut Cursor<'_>, unit: Option<&str>) -> Result<Duration> {
    let token = c.word("a duration, such as 200ms or 2s")?;
    parse_duration(&token, unit)
}

/// Reads a duration as the language has it, such as `200ms` or `1.5s`.
///
/// # Errors
/// A message that says what a duration looks like.
pub fn duration_of(text: &str) -> std::result::Result<Duration, String> {
    let token = Token { text: text.to_owned(), span: 0..text.len() };
    parse_duration(&token, None).map_err(|error| error.message)
}

/// Reads a duration such as `200ms`, `1.5s`, `2m`.
pub(crate) fn parse_duration(token: &Token, unit: Option<&str>) -> Result<Duration> {
    let text = token.text.to_ascii_lowercase();
    let number =
        &text[..text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len())];
    let written = &text[number.len()..];
    if number.is_empty() {
        let found = quoted(&token.text);
        return Err(token.error(format!("{found} is no duration; write 200ms or 2s, say")));
    }
    let unit = match (written, unit) {
        ("", None) => {
            return Err(token.error(format!("{number} needs a unit: {number}ms or {number}s, say")));
        }
        ("", Some(unit)) => unit,
        _ => written,
    };
    let Some(&(_, nanoseconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let found = quoted(unit);
        return Err(
            token.error(format!("{found} is no unit of time; there are h, m, s, ms, us, ns"))
        );
    };
    scaled(number, nanoseconds).map(Duration::from_nanos).map_err(|message| token.error(message))
}

/// A decimal number times a whole one, exactly.
fn scaled(number: &str, unit: u64) -> std::result::Result<u64, String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(format!("{} is no number", quoted(number)));
    }
    let too_long = "a duration is at most 24h";
    let whole: u64 = whole.parse().map_err(|_| too_long)?;
    let total = u128::from(whole) * u128::from(unit);
    let fraction = fraction.trim_end_matches('0');
    let scale = 10_u128.pow(u32::try_from(fraction.len().min(20)).unwrap_or(20));
    let part = u128::from(fraction.parse::<u64>().unwrap_or(0)) * u128::from(unit);
    if fraction.len() > 18 || part % scale != 0 {
        return Err(format!("{} is finer than a nanosecond", quoted(number)));
    }
    let total = total + part / scale;
    u64::try_from(total)
        .ok()
        .filter(|&total| total <= MAX_DURATION.as_nanos() as u64)
        .ok_or_else(|| too_long.to_owned())
}

/// Writes a duration in the largest unit that needs no fraction.
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let (name, unit) = UNITS
            .into_iter()
            .skip_while(|(name, _)| *name != "s")
            .find(|&(_, unit)| nanoseconds.is_multiple_of(u128::from(unit)))
            .unwrap_or(("ns", 1));
        write!(f, "{}{name}", nanoseconds / u128::from(unit))
    }
}

/// Takes `fast`, `normal`, `slow` (the classroom's `high`, `medium`, `low`) or a duration.
pub(crate) fn latency(c: &mut Cursor<'_>, unit: Option<&str>) -> Result<Duration> {
    let token = c.word("fast, normal, slow or a duration")?;
    match token.text.to_ascii_lowercase().as_str() {
        "fast" | "high" => Ok(Duration::ZERO),
        "normal" | "medium" => Ok(NORMAL),
        "slow" | "low" => Ok(SLOW),
        text if text.starts_with(|c: char| c.is_ascii_digit()) => parse_duration(&token, unit),
        _ => {
            let found = quoted(&token.text);
            Err(token.error(format!("expected fast, normal, slow or a duration, found {found}")))
        }
    }
}

/// Takes a probability: `10%` or `0.1`.
pub(crate) fn probability(c: &mut Cursor<'_>) -> Result<f64> {
    let token = c.word("a probability, such as 10%")?;
    parse_probability(&token.text).ok_or_else(|| {
        let found = quoted(&token.text);
        token.error(format!("{found} is no probability; write 10% or 0.1, from 0% to 100%"))
    })
}

fn parse_probability(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%').unwrap_or(text);
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    // The exponent lets the parser round once: 7% is exactly the number that 0.07 is.
    let exponent = if text.ends_with('%') { "e-2" } else { "e0" };
    let probability: f64 = format!("{number}{exponent}").parse().ok()?;
    (0.0..=1.0).contains(&probability).then_some(probability)
}

/// Writes a probability in percent, or plainly where percent would not give back the same number.
pub(crate) struct Percent(pub(crate) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = format!("{}%", (self.0 * 1e12).round() / 1e10);
        if parse_probability(&percent) == Some(self.0) {
            f.write_str(&percent)
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// Takes the rate of a clock: `1.2`.
pub(crate) fn rate(c: &mut Cursor<'_>) -> Result<f64> {
    let token = c.word("a rate, such as 1.2")?;
    let digits = token.text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let rate = token.text.parse().ok().filter(|rate| digits && (0.01..=100.0).contains(rate));
    rate.ok_or_else(|| {
        let found = quoted(&token.text);
        token.error(format!("{found} is no rate of a clock: a number from 0.01 to 100, 1 is right"))
    })
}

/// Takes a whole number in this range.
pub(crate) fn number(c: &mut Cursor<'_>, what: &str, min: u64, max: u64) -> Result<u64> {
    let token = c.word(what)?;
    let digits = token.text.bytes().all(|b| b.is_ascii_digit());
    let number = token.text.parse().ok().filter(|number| digits && (min..=max).contains(number));
    number.ok_or_else(|| {
        let found = quoted(&token.text);
        let range =
            if max == u64::MAX { format!("from {min}") } else { format!("from {min} to {max}") };
        token.error(format!("{found} is not {what}: a whole number {range}"))
    })
}

const SERVERS: &str = "servers: a number, a list such as 1,2, `all`, `leader` or `followers`";

/// Takes servers: `3`, `S3`, `1,2`, `all`, `leader`, `followers`, with variables.
pub(crate) fn servers(c: &mut Cursor<'_>) -> Result<Servers> {
    let first = element(c, SERVERS)?;
    let group = match first.text.to_ascii_lowercase().as_str() {
        "all" => Some(Servers::All),
        "leader" => Some(Servers::Leader),
        "followers" => Some(Servers::Followers),
        _ => None,
    };
    match group {
        Some(group) if !c.symbol(",") => Ok(group),
        Some(_) => {
            let found = quoted(&first.text);
            Err(first.error(format!("{found} cannot stand in a list; servers there have numbers")))
        }
        None => list(c, server(&first, SERVERS)?).map(Servers::Only),
    }
}

/// Takes a list of server numbers, such as `1,2`.
pub(crate) fn server_list(c: &mut Cursor<'_>) -> Result<Vec<ServerId>> {
    let first = server_number(c, "server numbers, such as 1,2")?;
    list(c, first)
}

fn list(c: &mut Cursor<'_>, first: ServerId) -> Result<Vec<ServerId>> {
    let mut list = vec![first];
    while c.symbol(",") {
        let next = server_number(c, "another server number after the comma")?;
        if !list.contains(&next) {
            list.push(next);
        }
    }
    Ok(list)
}

/// Takes the number of one server.
pub(crate) fn server_number(c: &mut Cursor<'_>, what: &str) -> Result<ServerId> {
    let token = element(c, what)?;
    server(&token, what)
}

/// Takes one server: `leader` or a number.
pub(crate) fn one_server(c: &mut Cursor<'_>) -> Result<OneServer> {
    if c.keyword("leader") {
        return Ok(OneServer::Leader);
    }
    server_number(c, "one server: a number or `leader`").map(OneServer::Number)
}

fn element(c: &mut Cursor<'_>, what: &str) -> Result<Token> {
    let token = c.element()?;
    if token.text.is_empty() { Err(c.expected(what)) } else { Ok(token) }
}

fn server(token: &Token, what: &str) -> Result<ServerId> {
    let digits = token.text.strip_prefix(['s', 'S']).unwrap_or(&token.text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(token.error(format!("expected {what}, found {}", quoted(&token.text))));
    }
    match digits.parse() {
        Ok(0) => Err(token.error("servers are numbered from 1")),
        Ok(number) => Ok(ServerId(number)),
        Err(_) => Err(token.error("there is no server of so high a number")),
    }
}

/// The roles and their words; the first of each is the one written.
pub(crate) const ROLES: [(&str, Role); 8] = [
    ("follower", Role::Follower),
    ("candidate", Role::Candidate),
    ("leader", Role::Leader),
    ("stale", Role::Stale),
    ("dead", Role::Dead),
    ("crashed", Role::Dead),
    ("stopped", Role::Dead),
    ("down", Role::Dead),
];

/// The words for what may happen to disks.
pub(crate) const DISK_FAULTS: [(&str, DiskFault); 9] = [
    ("disk-full", DiskFault::Full),
    ("disk-free", DiskFault::Free),
    ("disk-fail", DiskFault::FailSync),
    ("disk-tear", DiskFault::Tear),
    ("disk-flip", DiskFault::Flip),
    ("disk-lose", DiskFault::Lose),
    ("disk-misdirect", DiskFault::Misdirect),
    ("disk-destroy", DiskFault::Destroy),
    ("disk-mend", DiskFault::Mend),
];

/// The words for what a read may miss.
pub(crate) const CONSISTENCIES: [(&str, Consistency); 3] = [
    ("linearizable", Consistency::Linearizable),
    ("lease", Consistency::Lease),
    ("stale", Consistency::Stale),
];

/// The words for the kinds of disks.
pub(crate) const DISK_KINDS: [(&str, DiskKind); 2] =
    [("memory", DiskKind::Memory), ("simulated", DiskKind::Simulated)];

/// Takes a role.
pub(crate) fn role(c: &mut Cursor<'_>) -> Result<Role> {
    let what = "a role: follower, candidate, leader, stale or dead";
    let found = ROLES.iter().find(|(word, _)| c.keyword(word));
    found.map(|&(_, role)| role).ok_or_else(|| c.expected(what))
}
