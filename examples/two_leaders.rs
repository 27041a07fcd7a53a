//! Two servers believe that they lead, in different terms; only one of them can commit anything.
//!
//! Watch: behind a split net a rival is elected while the old leader has not noticed yet. An
//! entry that the old one still takes reaches its companion, yet no majority; when the net is
//! healed, the new leader's entry takes its place in both logs.
//!
//! Run: `cargo run --example two_leaders [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;

use jangada::actors::{ClientError, LogLine, Order, Sandbox};
use jangada::raft::{Index, ServerId};
use support::{Outcome, SOON, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(two_leaders)
}

async fn two_leaders(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("course", "north;").await?;
    let old = leader(sandbox).await?;
    let &[companion, rival, ..] = sandbox.followers().as_slice() else {
        return Err("too few servers follow".into());
    };
    sandbox.order(Order::Partition(vec![vec![old.id, companion]])).await?;
    sandbox.order(Order::Timeout(rival.into())).await?;

    let status = sandbox.wait_until(SOON, |status| {
        status.servers.iter().filter(|server| server.leads()).count() == 2
    });
    let status = status.await.ok_or("there never were two leaders")?;
    for server in status.servers.iter().filter(|server| server.leads()) {
        let stale = if server.stale { ", long past" } else { "" };
        tell(sandbox, format_args!("{} leads term {}{stale}", server.id, server.term));
        check!(server.stale == (server.id == old.id), "{} is the wrong one", server.id);
    }

    let contested = old.last_log.index.next();
    let vain = client.at(old.id).append_bytes("course", " south;").await;
    check!(matches!(vain, Err(ClientError::Unknown)), "the old leader answered {vain:?}");
    for server in [old.id, companion] {
        let entry = entry(sandbox, server, contested).await?;
        check!(entry.term == old.term, "{server} holds no entry of the old leader");
        tell(sandbox, format_args!("{server} holds {contested}@{}: {}", entry.term, entry.command));
    }
    client.append_bytes("course", " east;").await?;

    sandbox.order(Order::Heal).await?;
    agreement(sandbox).await?;
    for server in [old.id, companion] {
        let entry = entry(sandbox, server, contested).await?;
        check!(entry.term > old.term, "{server} still holds the entry of the old leader");
        tell(sandbox, format_args!("{server} holds {contested}@{}: {}", entry.term, entry.command));
    }
    let content = client.read_bytes("course").await?;
    check!(content == "north; east;", "the course is {content:?}");
    Ok(())
}

/// What stands at one place of a server's log.
async fn entry(sandbox: &Sandbox, server: ServerId, index: Index) -> Outcome<LogLine> {
    let lines = sandbox.log(server, index.previous(), index).await?;
    lines.into_iter().next().ok_or_else(|| format!("{server} has no entry {index}").into())
}
