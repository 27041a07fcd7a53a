//! Canonical text of orders and statements: it parses back to the same value.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::value::{CONSISTENCIES, DISK_FAULTS, DISK_KINDS, NORMAL, Percent, ROLES, SLOW, Time};
use super::{
    Binding, Clients, Content, Expectation, FileCall, FileCommand, Follow, Inquiry, Load, NoLeader,
    OneServer, Question, Role, Setting, Snapshots, Statement, Travel, View, Wait,
};
use crate::actors::{Consistency, Order, Servers, Side};
use crate::raft::ServerId;

impl Display for Order {
    /// The order as the language of the console writes it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_order(f, self, "->")
    }
}

fn write_order(f: &mut Formatter<'_>, order: &Order, arrow: &'static str) -> fmt::Result {
    let link = |from, to| LinkText { from, to, arrow };
    match order {
        Order::Speed { servers, latency } => match *latency {
            Duration::ZERO => write!(f, "speed {servers} fast"),
            NORMAL => write!(f, "speed {servers} normal"),
            SLOW => write!(f, "speed {servers} slow"),
            latency => write!(f, "speed {servers} {}", Time(latency)),
        },
        Order::Crash(servers) => write!(f, "crash {servers}"),
        Order::Recover(servers) => write!(f, "recover {servers}"),
        Order::Pause(servers) => write!(f, "pause {servers}"),
        Order::Resume(servers) => write!(f, "resume {servers}"),
        Order::Stop(servers) => write!(f, "stop {servers}"),
        Order::Start(servers) => write!(f, "start {servers}"),
        Order::Partition(groups) => {
            let groups: Vec<String> = groups.iter().map(|group| numbers(group)).collect();
            write!(f, "partition {}", groups.join(" | "))
        }
        Order::Cut { from, to } => write!(f, "cut {}", link(from, to)),
        Order::Delay { from, to, latency, jitter } => {
            write!(f, "delay {} {}", link(from, to), Time(*latency))?;
            if jitter.is_zero() { Ok(()) } else { write!(f, " jitter {}", Time(*jitter)) }
        }
        Order::Loss { from, to, probability } => {
            write!(f, "loss {} {}", Percent(*probability), link(from, to))
        }
        Order::Duplicate { from, to, probability } => {
            write!(f, "duplicate {} {}", Percent(*probability), link(from, to))
        }
        Order::Reorder { from, to, probability } => {
            write!(f, "reorder {} {}", Percent(*probability), link(from, to))
        }
        Order::Heal => f.write_str("heal"),
        Order::Timeout(servers) => write!(f, "timeout {servers}"),
        Order::DiskLatency { servers, latency } => {
            write!(f, "disk {servers} {}", FastOr(*latency))
        }
        Order::DiskStall(servers) => write!(f, "disk {servers} stall"),
        Order::DiskFault { servers, fault } => {
            let word = DISK_FAULTS.iter().find(|(_, known)| known == fault);
            let word = word.expect("invariant: the table has every fault").0;
            write!(f, "{word} {servers}")
        }
        Order::ApplyLatency { servers, latency } => {
            write!(f, "apply {servers} {}", FastOr(*latency))
        }
        Order::ApplyStall(servers) => write!(f, "apply {servers} stall"),
        Order::ClockRate { servers, rate } => write!(f, "clock-rate {servers} {rate}"),
        Order::ClockJump { servers, by, back } => {
            write!(f, "clock-jump {servers} {}{}", if *back { '-' } else { '+' }, Time(*by))
        }
        Order::ElectionTimeout { min, max } => {
            write!(f, "election-timeout {}..{}", Time(*min), Time(*max))
        }
        Order::Heartbeat(interval) => write!(f, "heartbeat {}", Time(*interval)),
        Order::Snapshot(servers) => write!(f, "snapshot {servers}"),
        Order::Add { server, learner: false } => write!(f, "add {}", server.0),
        Order::Add { server, learner: true } => write!(f, "add {} learner", server.0),
        Order::Remove(servers) => write!(f, "remove {servers}"),
        Order::Members(voters) => write!(f, "members {}", numbers(voters)),
        Order::Priority { servers, priority } => write!(f, "priority {servers} {priority}"),
        Order::Transfer(None) => f.write_str("transfer"),
        Order::Transfer(Some(to)) => write!(f, "transfer {}", to.0),
        Order::Rejoin(servers) => write!(f, "rejoin {servers}"),
        Order::Salvage(server) => write!(f, "salvage {}", server.0),
    }
}

struct LinkText<'a> {
    from: &'a Side,
    to: &'a Side,
    arrow: &'static str,
}

impl Display for LinkText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.arrow, self.to)
    }
}

/// A latency whose zero is called `fast`.
struct FastOr(Duration);

impl Display for FastOr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { f.write_str("fast") } else { Time(self.0).fmt(f) }
    }
}

fn numbers(servers: &[ServerId]) -> String {
    let numbers: Vec<String> = servers.iter().map(|server| server.0.to_string()).collect();
    numbers.join(",")
}

impl Display for Servers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Leader => f.write_str("leader"),
            Self::Followers => f.write_str("followers"),
            Self::Only(servers) => f.write_str(&numbers(servers)),
        }
    }
}

impl Display for OneServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::Number(server) => server.0.fmt(f),
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = ROLES.iter().find(|(_, role)| role == self);
        f.write_str(word.expect("invariant: the table has every role").0)
    }
}

/// A word that is written bare where that is unmistakable, and between double quotes otherwise.
pub(crate) struct Bare<'a>(pub(crate) &'a str);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = |c: char| !c.is_control() && !matches!(c, ' ' | '$' | ';');
        let begins_well = !self.0.starts_with(['"', '\'', '#', '@']);
        if !self.0.is_empty() && begins_well && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            Quoted(self.0.as_bytes()).fmt(f)
        }
    }
}

/// Bytes between double quotes.
struct Quoted<'a>(&'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    '\\' | '"' | '$' => write!(f, "\\{c}")?,
                    c if c.is_control() => {
                        c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|b| hex(f, b))?;
                    }
                    c => write!(f, "{c}")?,
                }
            }
            chunk.invalid().iter().try_for_each(|&byte| hex(f, byte))?;
        }
        f.write_str("\"")
    }
}

fn hex(f: &mut Formatter<'_>, byte: u8) -> fmt::Result {
    write!(f, "\\x{byte:02x}")
}

impl Display for Load {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "load {}", Bare(&self.path))?;
        if let Some(name) = &self.name {
            write!(f, " as {}", Bare(name))?;
        }
        if self.replace {
            f.write_str(" replace")?;
        }
        Condition(self.revision).fmt(f)
    }
}

/// ` if revision 3`, if there is a condition.
struct Condition(Option<u64>);

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |revision| write!(f, " if revision {revision}"))
    }
}

/// ` stale`, and nothing for what is usual.
struct Reading(Consistency);

impl Display for Reading {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == Consistency::default() {
            return Ok(());
        }
        let word = CONSISTENCIES.iter().find(|(_, known)| *known == self.0);
        write!(f, " {}", word.expect("invariant: the table has every consistency").0)
    }
}

impl Display for View {
    /// What follows the file, with a blank before it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::At(index) => write!(f, " at {index}"),
            Self::Bytes { range, revision } => {
                write!(f, " bytes {}..{}", range.start, range.end)?;
                revision.map_or(Ok(()), |revision| write!(f, " revision {revision}"))
            }
        }
    }
}

impl Display for Content {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(bytes) => Quoted(bytes).fmt(f),
            Self::Path(path) => write!(f, "@{}", Bare(path)),
        }
    }
}

impl Display for FileCommand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(load) => load.fmt(f),
            Self::List(how) => write!(f, "list{}", Reading(*how)),
            Self::Get { file, path, view, how } => {
                write!(f, "get {} {}{view}{}", Bare(file), Bare(path), Reading(*how))
            }
            Self::Cat { file, view, how } => {
                write!(f, "cat {}{view}{}", Bare(file), Reading(*how))
            }
            Self::Append { file, content, revision } => {
                write!(f, "append {} {content}{}", Bare(file), Condition(*revision))
            }
            Self::Delete { file, revision } => {
                write!(f, "delete {}{}", Bare(file), Condition(*revision))
            }
            Self::Rename { file, name, revision } => {
                write!(f, "rename {} {}{}", Bare(file), Bare(name), Condition(*revision))
            }
            Self::Stat { file, at, how } => {
                write!(f, "stat {}", Bare(file))?;
                at.map_or(Ok(()), |at| write!(f, " at {at}"))?;
                Reading(*how).fmt(f)
            }
            Self::Batch(parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                write!(f, "batch {}", parts.join("; "))
            }
        }
    }
}

impl Display for FileCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(server) = self.at {
            write!(f, "at {server} ")?;
        }
        self.command.fmt(f)
    }
}

impl Display for Wait {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(duration) => write!(f, "wait {}", Time(*duration)),
            Self::Leader(None) => f.write_str("wait leader"),
            Self::Leader(Some(limit)) => write!(f, "wait leader within {}", Time(*limit)),
            Self::Members { voters, within } => {
                write!(f, "wait members {}", numbers(voters))?;
                within.map_or(Ok(()), |limit| write!(f, " within {}", Time(limit)))
            }
            Self::Jobs => f.write_str("wait jobs"),
        }
    }
}

impl Display for Binding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(load) => load.fmt(f),
            Self::Leader => f.write_str("leader"),
            Self::Follower => f.write_str("follower"),
        }
    }
}

/// ` within 2s`, and nothing for zero.
struct Within(Duration);

impl Display for Within {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { Ok(()) } else { write!(f, " within {}", Time(self.0)) }
    }
}

impl Display for Expectation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("expect ")?;
        match self {
            Self::Leader { server: None, within } => write!(f, "leader{}", Within(*within)),
            Self::Leader { server: Some(server), within } => {
                write!(f, "leader {}{}", server.0, Within(*within))
            }
            Self::NoLeader(NoLeader::For(time)) => write!(f, "no leader for {}", Time(*time)),
            Self::NoLeader(NoLeader::Within(within)) => write!(f, "no leader{}", Within(*within)),
            Self::Members { voters, within } => {
                write!(f, "members {}{}", numbers(voters), Within(*within))
            }
            Self::Learners { learners, within } if learners.is_empty() => {
                write!(f, "no learners{}", Within(*within))
            }
            Self::Learners { learners, within } => {
                write!(f, "learners {}{}", numbers(learners), Within(*within))
            }
            Self::Snapshot { servers, index, within } => {
                write!(f, "snapshot {servers}")?;
                index.map_or(Ok(()), |index| write!(f, " >= {index}"))?;
                Within(*within).fmt(f)
            }
            Self::FilesEqual { within } => write!(f, "files equal{}", Within(*within)),
            Self::LogsEqual { within } => write!(f, "logs equal{}", Within(*within)),
            Self::Linearizable => f.write_str("linearizable"),
            Self::Progress { within } => write!(f, "progress within {}", Time(*within)),
            Self::Refused { because: None, call } => write!(f, "refused {call}"),
            Self::Refused { because: Some(reason), call } => {
                write!(f, "refused because {} {call}", Quoted(reason.as_bytes()))
            }
            Self::Unknown(call) => write!(f, "unknown {call}"),
            Self::Content { file, content } => write!(f, "content {} {content}", Bare(file)),
            Self::NoFile(file) => write!(f, "no file {}", Bare(file)),
            Self::Role { servers, role, within } => {
                write!(f, "role {servers} {role}{}", Within(*within))
            }
            Self::Commit { servers, index, within } => {
                write!(f, "commit {servers} >= {index}{}", Within(*within))
            }
            Self::CaughtUp { servers, within } => {
                write!(f, "caught-up {servers}{}", Within(*within))
            }
        }
    }
}

impl Display for Follow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("watch files")?;
        self.from.map_or(Ok(()), |from| write!(f, " from {from}"))?;
        self.time.map_or(Ok(()), |time| write!(f, " for {}", Time(time)))
    }
}

impl Display for Inquiry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.question {
            Question::NoLeader => f.write_str("why no-leader")?,
            Question::LostLeadership(server) => write!(f, "why {} lost leadership", server.0)?,
            Question::NotCommitted(index) => write!(f, "why {index} is not committed")?,
            Question::RefusedVote(server) => write!(f, "why {} refused its vote", server.0)?,
        }
        self.at.map_or(Ok(()), |at| write!(f, " at {}", Time(at)))
    }
}

impl Display for Travel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Play(None) => f.write_str("play"),
            Self::Play(Some(time)) => write!(f, "play {}", Time(time)),
            Self::Pace(None) => f.write_str("pace max"),
            Self::Pace(Some(factor)) => write!(f, "pace {factor}"),
            Self::Step(1) => f.write_str("step"),
            Self::Step(messages) => write!(f, "step {messages}"),
            Self::StepEvent => f.write_str("step event"),
            Self::Rewind(time) => write!(f, "rewind {}", Time(time)),
            Self::Goto(time) => write!(f, "goto {}", Time(time)),
            Self::Fork => f.write_str("fork"),
            Self::Timeline => f.write_str("timeline"),
        }
    }
}

impl Display for Setting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers(count) => write!(f, "servers {count}"),
            Self::Seed(seed) => write!(f, "seed {seed}"),
            Self::Disks(kind) => {
                let word = DISK_KINDS.iter().find(|(_, known)| known == kind);
                write!(f, "disks {}", word.expect("invariant: the table has every kind").0)
            }
            Self::Snapshots(Snapshots { every, keep }) => {
                write!(f, "snapshots every {every} keep {keep}")
            }
        }
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::BothWays { there, back: _ } => write_order(f, there, "<->"),
            Self::Try(order) => write!(f, "try {order}"),
            Self::Clients(Clients { count, time, every, reading }) => {
                write!(f, "clients {count} for {} every {}", Time(*time), Time(*every))?;
                match reading {
                    Consistency::Linearizable => Ok(()),
                    reading => write!(f, " reading{}", Reading(*reading)),
                }
            }
            Self::File { call, background: false } => call.fmt(f),
            Self::File { call, background: true } => write!(f, "& {call}"),
            Self::Submit(path) => write!(f, "submit {}", Bare(path)),
            Self::Status => f.write_str("status"),
            Self::Members => f.write_str("members"),
            Self::Log(servers) => write!(f, "log {servers}"),
            Self::Events(None) => f.write_str("events"),
            Self::Events(Some(count)) => write!(f, "events {count}"),
            Self::Watch => f.write_str("watch"),
            Self::Follow(follow) => follow.fmt(f),
            Self::Help(None) => f.write_str("help"),
            Self::Help(Some(topic)) => write!(f, "help {}", Bare(topic)),
            Self::Save(path) => write!(f, "save {}", Bare(path)),
            Self::History(path) => write!(f, "history {}", Bare(path)),
            Self::Quit => f.write_str("quit"),
            Self::Why(inquiry) => inquiry.fmt(f),
            Self::Travel(travel) => travel.fmt(f),
            Self::Wait(wait) => wait.fmt(f),
            Self::Let { name, binding } => write!(f, "let {name} = {binding}"),
            Self::Expect(expectation) => expectation.fmt(f),
            Self::Setting(setting) => setting.fmt(f),
        }
    }
}
