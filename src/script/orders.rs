//! The orders to the supervisor.

use std::time::Duration;

use super::cursor::{Cursor, Result, Token};
use super::error::quoted;
use super::value;
use super::{ParseError, Statement};
use crate::actors::{Order, Servers, Side};
use crate::raft::ServerId;
use crate::storage::DiskFault;

fn about(c: &mut Cursor<'_>, order: fn(Servers) -> Order) -> Result<Statement> {
    value::servers(c).map(order).map(Statement::Order)
}

pub(super) fn crash(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Crash)
}

pub(super) fn recover(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Recover)
}

pub(super) fn pause(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Pause)
}

pub(super) fn resume(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Resume)
}

pub(super) fn stop(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Stop)
}

/// Without servers it means all of them, as in the classroom.
pub(super) fn start(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.at_end() {
        Ok(Statement::Order(Order::Start(Servers::All)))
    } else {
        about(c, Order::Start)
    }
}

pub(super) fn timeout(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Timeout)
}

/// The speed may come first, as in the classroom. A plain number of milliseconds may not: it could
/// be taken for a server.
pub(super) fn speed(c: &mut Cursor<'_>) -> Result<Statement> {
    let mut ahead = c.clone();
    let (servers, latency) = if let Ok(latency) = value::latency(&mut ahead, None) {
        *c = ahead;
        (value::servers(c)?, latency)
    } else {
        (value::servers(c)?, value::latency(c, Some("ms"))?)
    };
    Ok(Statement::Order(Order::Speed { servers, latency }))
}

pub(super) fn disk(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    Ok(Statement::Order(match stall_or_latency(c)? {
        None => Order::DiskStall(servers),
        Some(latency) => Order::DiskLatency { servers, latency },
    }))
}

pub(super) fn disk_fault(c: &mut Cursor<'_>, fault: DiskFault) -> Result<Statement> {
    let servers = value::servers(c)?;
    Ok(Statement::Order(Order::DiskFault { servers, fault }))
}

pub(super) fn apply(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    Ok(Statement::Order(match stall_or_latency(c)? {
        None => Order::ApplyStall(servers),
        Some(latency) => Order::ApplyLatency { servers, latency },
    }))
}

/// `stall`, or a latency.
fn stall_or_latency(c: &mut Cursor<'_>) -> Result<Option<Duration>> {
    if c.keyword("stall") {
        return Ok(None);
    }
    if c.keyword("fast") {
        return Ok(Some(Duration::ZERO));
    }
    if c.at_end() {
        return Err(c.expected("fast, stall or a duration"));
    }
    value::duration(c, None).map(Some)
}

pub(super) fn partition(c: &mut Cursor<'_>) -> Result<Statement> {
    let mut groups = vec![value::server_list(c)?];
    while c.symbol("|") {
        let start = c.position();
        let group = value::server_list(c)?;
        if let Some(twice) = group.iter().find(|server| groups.concat().contains(server)) {
            let message = format!("{twice} is in two groups");
            return Err(ParseError::new(c.span_since(start), message));
        }
        groups.push(group);
    }
    Ok(Statement::Order(Order::Partition(groups)))
}

/// Links from one side to the other, or both ways.
struct Link {
    from: Side,
    to: Side,
    both_ways: bool,
}

impl Link {
    fn parse(c: &mut Cursor<'_>) -> Result<Self> {
        let from = value::servers(c)?;
        let both_ways = c.symbol("<->");
        if !both_ways && !c.symbol("->") {
            return Err(c.expected("`->`, or `<->` for both ways"));
        }
        let to = value::servers(c)?;
        Ok(Self { from, to, both_ways })
    }

    /// All links, if none are named.
    fn parse_or_all(c: &mut Cursor<'_>) -> Result<Self> {
        if c.at_end() {
            Ok(Self { from: Servers::All, to: Servers::All, both_ways: false })
        } else {
            Self::parse(c)
        }
    }

    fn order(self, order: impl Fn(Side, Side) -> Order) -> Statement {
        if self.both_ways {
            let there = order(self.from.clone(), self.to.clone());
            Statement::BothWays { there, back: order(self.to, self.from) }
        } else {
            Statement::Order(order(self.from, self.to))
        }
    }
}

pub(super) fn cut(c: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Link::parse(c)?.order(|from, to| Order::Cut { from, to }))
}

pub(super) fn delay(c: &mut Cursor<'_>) -> Result<Statement> {
    let link = Link::parse(c)?;
    let latency = value::duration(c, None)?;
    let jitter = if c.keyword("jitter") { value::duration(c, None)? } else { Duration::ZERO };
    Ok(link.order(|from, to| Order::Delay { from, to, latency, jitter }))
}

pub(super) fn loss(c: &mut Cursor<'_>) -> Result<Statement> {
    let probability = value::probability(c)?;
    Ok(Link::parse_or_all(c)?.order(|from, to| Order::Loss { from, to, probability }))
}

pub(super) fn duplicate(c: &mut Cursor<'_>) -> Result<Statement> {
    let probability = value::probability(c)?;
    Ok(Link::parse_or_all(c)?.order(|from, to| Order::Duplicate { from, to, probability }))
}

pub(super) fn reorder(c: &mut Cursor<'_>) -> Result<Statement> {
    let probability = value::probability(c)?;
    Ok(Link::parse_or_all(c)?.order(|from, to| Order::Reorder { from, to, probability }))
}

pub(super) fn snapshot(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Snapshot)
}

pub(super) fn add(c: &mut Cursor<'_>) -> Result<Statement> {
    let server = one_number(c)?;
    Ok(Statement::Order(Order::Add { server, learner: c.keyword("learner") }))
}

pub(super) fn remove(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Remove)
}

/// Without servers it shows the members.
pub(super) fn members(c: &mut Cursor<'_>) -> Result<Statement> {
    if c.at_end() {
        return Ok(Statement::Members);
    }
    value::server_list(c).map(Order::Members).map(Statement::Order)
}

pub(super) fn priority(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    let token = c.word("a priority from 0 to 255")?;
    let digits = token.text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(priority) = token.text.parse().ok().filter(|_| digits) else {
        let found = quoted(&token.text);
        return Err(token.error(format!(
            "{found} is no priority: a whole number from 0, which never leads, to 255; 1 is usual"
        )));
    };
    Ok(Statement::Order(Order::Priority { servers, priority }))
}

pub(super) fn transfer(c: &mut Cursor<'_>) -> Result<Statement> {
    let to = if c.at_end() { None } else { Some(one_number(c)?) };
    Ok(Statement::Order(Order::Transfer(to)))
}

pub(super) fn rejoin(c: &mut Cursor<'_>) -> Result<Statement> {
    about(c, Order::Rejoin)
}

pub(super) fn salvage(c: &mut Cursor<'_>) -> Result<Statement> {
    one_number(c).map(Order::Salvage).map(Statement::Order)
}

fn one_number(c: &mut Cursor<'_>) -> Result<ServerId> {
    value::server_number(c, "the number of one server")
}

pub(super) fn heal(_: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::Order(Order::Heal))
}

pub(super) fn clock_rate(c: &mut Cursor<'_>) -> Result<Statement> {
    let (servers, rate) = (value::servers(c)?, value::rate(c)?);
    Ok(Statement::Order(Order::ClockRate { servers, rate }))
}

pub(super) fn clock_jump(c: &mut Cursor<'_>) -> Result<Statement> {
    let servers = value::servers(c)?;
    let back = c.symbol("-");
    if !back && !c.symbol("+") {
        return Err(c.expected("a jump forward or back, such as +2s or -500ms"));
    }
    let by = value::duration(c, None)?;
    Ok(Statement::Order(Order::ClockJump { servers, by, back }))
}

pub(super) fn election_timeout(c: &mut Cursor<'_>) -> Result<Statement> {
    let token = c.word("a range, such as 150ms..300ms")?;
    let Some((min, max)) = token.text.split_once("..") else {
        return Err(token.error("expected a range, such as 150ms..300ms"));
    };
    let bound = |text: &str| {
        let token = Token { text: text.into(), span: token.span.clone() };
        value::parse_duration(&token, None)
    };
    let (min, max) = (bound(min)?, bound(max)?);
    if min.is_zero() || min > max {
        return Err(token.error("the range must begin above zero and end no lower"));
    }
    Ok(Statement::Order(Order::ElectionTimeout { min, max }))
}

pub(super) fn heartbeat(c: &mut Cursor<'_>) -> Result<Statement> {
    let token = c.word("a duration, such as 50ms")?;
    let interval = value::parse_duration(&token, None)?;
    if interval.is_zero() {
        return Err(token.error("the time between heartbeats must be above zero"));
    }
    Ok(Statement::Order(Order::Heartbeat(interval)))
}
