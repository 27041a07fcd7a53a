//! Logs that have gone different ways are repaired (figure 7 of the Raft paper).
//!
//! Watch: two leaders in turn are cut off with entries that nobody else has. The third repairs
//! both: where their logs part from its own, its entries take the place of theirs.
//!
//! Run: `cargo run --example divergent_logs [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;

use jangada::actors::{Client, ClientError, LogLine, Order, Sandbox};
use jangada::raft::{Index, ServerId};
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(divergent_logs)
}

async fn divergent_logs(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("net", "cast;").await?;
    let mut cut_off: Vec<Vec<ServerId>> = Vec::new();
    for haul in ["first", "second"] {
        let old = leader(sandbox).await?;
        cut_off.push(vec![old.id]);
        sandbox.order(Order::Partition(cut_off.clone())).await?;
        write_in_vain(&client.at(old.id)).await?;
        client.append_bytes("net", format!(" {haul} haul;")).await?;
    }
    let diverged = logs(sandbox).await?;
    for old in cut_off.into_iter().flatten() {
        let new = leader(sandbox).await?.id;
        let log = |id: ServerId| diverged.iter().find(|(server, _)| *server == id);
        check!(log(old) != log(new), "the log of {old} has not parted from that of {new}");
    }

    sandbox.order(Order::Heal).await?;
    agreement(sandbox).await?;
    let repaired = logs(sandbox).await?;
    let (_, first) = &repaired[0];
    check!(repaired.iter().all(|(_, log)| log == first), "the logs still differ");
    let content = client.read_bytes("net").await?;
    check!(content == "cast; first haul; second haul;", "the net says {content:?}");
    Ok(())
}

/// Leaves several entries in the log of a leader that reaches nobody.
async fn write_in_vain(stranded: &Client) -> Outcome {
    let write = |text: &'static str| stranded.append_bytes("net", text);
    let outcomes = tokio::join!(write(" a shoe;"), write(" a tin;"), write(" a tyre;"));
    for outcome in [outcomes.0, outcomes.1, outcomes.2] {
        check!(
            matches!(outcome, Err(ClientError::Unknown)),
            "a leader that reaches nobody answered {outcome:?}"
        );
    }
    Ok(())
}

/// Every server's log, which is also told as the terms of its entries.
async fn logs(sandbox: &Sandbox) -> Outcome<Vec<(ServerId, Vec<LogLine>)>> {
    let mut logs = Vec::new();
    for server in sandbox.status().await?.servers {
        let log = sandbox.log(server.id, Index(0), server.last_log.index).await?;
        let terms: Vec<_> = log.iter().map(|entry| entry.term.to_string()).collect();
        tell(sandbox, format_args!("log of {}: {}", server.id, terms.join(" ")));
        logs.push((server.id, log));
    }
    Ok(logs)
}
