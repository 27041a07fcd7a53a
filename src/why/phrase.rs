//! Orders in plain words.

use std::time::Duration;

use super::fact::list;
use crate::actors::{Order, Servers};
use crate::script::{Percent, Time};

/// What these orders of one step did, in a sentence without its end.
pub(super) fn describe(orders: &[Order]) -> String {
    match orders {
        [one] => sentence(one, false),
        [there, back] if is_there_and_back(there, back) => sentence(there, true),
        [first, ..] => format!("{}, and {} orders more", sentence(first, false), orders.len() - 1),
        [] => String::new(),
    }
}

/// Whether these are the two orders of one line with `<->`.
pub(super) fn is_there_and_back(there: &Order, back: &Order) -> bool {
    let (mut there, mut back) = (there.clone(), back.clone());
    let same = std::mem::discriminant(&there) == std::mem::discriminant(&back);
    match (there.servers_mut().as_slice(), back.servers_mut().as_slice()) {
        ([a, b], [c, d]) => same && (a, b) == (d, c),
        _ => false,
    }
}

fn sentence(order: &Order, both: bool) -> String {
    let link = |from: &Servers, to: &Servers| match both {
        true => format!("between {} and {}", name(from), name(to)),
        false => format!("from {} to {}", name(from), name(to)),
    };
    match order {
        Order::Speed { servers, latency } if latency.is_zero() => {
            format!("{} became fast again", name(servers))
        }
        Order::Speed { servers, latency } => {
            let servers = name(servers);
            format!("{servers} became slow: what it is sent takes {} longer", Time(*latency))
        }
        Order::Crash(servers) => format!("{} crashed", name(servers)),
        Order::Recover(servers) => format!("{} recovered", name(servers)),
        Order::Pause(servers) => format!("{} froze", name(servers)),
        Order::Resume(servers) => format!("{} went on", name(servers)),
        Order::Stop(servers) => format!("{} stopped in good order", name(servers)),
        Order::Start(servers) => format!("{} started again", name(servers)),
        Order::Partition(groups) => {
            let groups: Vec<String> = groups.iter().map(|group| list(group)).collect();
            format!("the network fell apart: {}, and all others", groups.join(" | "))
        }
        Order::Cut { from, to } => format!("the links {} were cut", link(from, to)),
        Order::Delay { from, to, latency, jitter } => {
            let latency = match (latency.is_zero(), jitter.is_zero()) {
                (true, true) => return format!("the links {} became fast again", link(from, to)),
                (_, true) => Time(*latency).to_string(),
                (_, false) => format!("{} to {}", Time(*latency), Time(*latency + *jitter)),
            };
            format!("messages {} began to take {latency} longer", link(from, to))
        }
        Order::Loss { from, to, probability } if *probability >= 1.0 => {
            format!("all messages {} began to get lost", link(from, to))
        }
        Order::Loss { from, to, probability } => {
            format!(
                "{} of the messages {} began to get lost",
                Percent(*probability),
                link(from, to)
            )
        }
        Order::Duplicate { from, to, probability } => {
            format!(
                "{} of the messages {} began to come twice",
                Percent(*probability),
                link(from, to)
            )
        }
        Order::Reorder { from, to, probability } => {
            let percent = Percent(*probability);
            format!("{percent} of the messages {} began to be overtaken", link(from, to))
        }
        Order::Heal => "every link was mended".to_owned(),
        Order::Timeout(servers) => format!("{} was told to stand for election", name(servers)),
        Order::DiskLatency { servers, latency } => disk(servers, *latency),
        Order::DiskStall(servers) => {
            format!("the disk of {} stopped finishing its writes", name(servers))
        }
        Order::DiskFault { servers, .. } => {
            format!("something happened to the disk of {}", name(servers))
        }
        Order::ApplyLatency { servers, latency } => {
            let servers = name(servers);
            format!("the state machine of {servers} began to take {} a batch", Time(*latency))
        }
        Order::ApplyStall(servers) => format!("the state machine of {} stopped", name(servers)),
        Order::ClockRate { servers, rate } => {
            format!("the clock of {} began to run at {rate} times the right speed", name(servers))
        }
        Order::ClockJump { servers, by, back } => {
            let way = if *back { "back" } else { "forward" };
            format!("the clock of {} was set {way} by {}", name(servers), Time(*by))
        }
        Order::ElectionTimeout { min, max } => {
            format!("election timeouts became {} to {}", Time(*min), Time(*max))
        }
        Order::Snapshot(servers) => format!("{} was told to take a snapshot", name(servers)),
        Order::Add { server, .. } => format!("{server} was made a member"),
        Order::Remove(servers) => format!("{} was made a member no longer", name(servers)),
        Order::Members(voters) => format!("{} were made the voters", list(voters)),
        Order::Priority { servers, priority } => {
            format!("the priority of {} became {priority}", name(servers))
        }
        Order::Transfer(None) => "the leader was told to hand over".to_owned(),
        Order::Transfer(Some(to)) => format!("the leader was told to hand over to {to}"),
        Order::Rejoin(servers) => format!("{} got an empty disk to join again", name(servers)),
        Order::Salvage(server) => format!("{server} was made a cluster of its own"),
        Order::Heartbeat(interval) => {
            format!("leaders began to send heartbeats every {}", Time(*interval))
        }
    }
}

fn disk(servers: &Servers, latency: Duration) -> String {
    let servers = name(servers);
    match latency.is_zero() {
        true => format!("the disk of {servers} became fast again"),
        false => format!("the disk of {servers} began to take {} a write", Time(latency)),
    }
}

fn name(servers: &Servers) -> String {
    match servers {
        Servers::All => "every server".to_owned(),
        Servers::Leader => "the leader".to_owned(),
        Servers::Followers => "the followers".to_owned(),
        Servers::Only(servers) => list(servers),
    }
}
