//! A server that was away for a hundred writes is brought up to date.
//!
//! Watch: the leader finds the place where the logs part, and sends all that is missing,
//! while it takes further writes.
//!
//! Run: `cargo run --example catch_up [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;

use jangada::actors::{Order, Sandbox};
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(catch_up)
}

async fn catch_up(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("log book", "").await?;
    let away = sandbox.followers()[0];
    sandbox.order(Order::Crash(away.into())).await?;
    for day in 1..=100 {
        client.append_bytes("log book", format!("day {day}\n")).await?;
    }
    client.load_bytes("map", vec![b'~'; 2_000_000]).await?;
    let missing = agreement(sandbox).await?;

    sandbox.order(Order::Recover(away.into())).await?;
    let returned = sandbox.clock().now();
    client.append_bytes("log book", "and home\n").await?;
    let complete = agreement(sandbox).await?;
    let took = sandbox.clock().now().since(returned);
    check!(complete > missing, "the last append is missing");
    tell(sandbox, format_args!("{away} caught up in {took:?}"));

    let end = leader(sandbox).await?.last_log;
    let status = sandbox.status().await?;
    for server in &status.servers {
        let (id, last) = (server.id, server.last_log);
        check!(last == end, "the log of {id} ends at {last}, the leader's at {end}");
    }
    let book = client.read_bytes("log book").await?;
    let lines = book.split(|byte| *byte == b'\n').count() - 1;
    check!(lines == 101, "101 days were written, {lines} are in the book");
    Ok(())
}
