//! A retried append is applied once, although it stands in the log twice.
//!
//! Watch: the leader commits an append and crashes before it answers. The client cannot know
//! that, and asks the next leader; the session table, which is replicated like the files, knows
//! the request's number and answers it without applying it again (thesis, section 6.3).
//!
//! Run: `cargo run --example retry_once [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{Order, Sandbox};
use jangada::raft::Index;
use support::{Outcome, SOON, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(retry_once)
}

async fn retry_once(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("ledger", "").await?;
    let old = leader(sandbox).await?;
    // The leader commits and never answers, because answers come after applying.
    sandbox.order(Order::ApplyStall(old.id.into())).await?;

    let crash_once_committed = async {
        let committed = sandbox.wait_until(SOON, |status| {
            status.server(old.id).is_some_and(|leader| leader.commit_index > old.last_log.index)
        });
        committed.await.ok_or("the append is not committed")?;
        tell(sandbox, "the append is committed, and not answered");
        sandbox.order(Order::Crash(old.id.into())).await?;
        Outcome::Ok(())
    };
    let append = client.append_bytes("ledger", "paid 100;");
    let (appended, crashed) = tokio::join!(append, crash_once_committed);
    crashed?;
    let done = appended?;
    tell(sandbox, "the client has its answer, from the next leader");

    let entries = sandbox.log(leader(sandbox).await?.id, Index(0), done.index).await?;
    let appends: Vec<_> =
        entries.iter().filter(|entry| entry.command.starts_with("append")).collect();
    for append in &appends {
        let (index, term, command) = (append.index, append.term, &append.command);
        tell(sandbox, format_args!("in the log: {index}@{term} {command}"));
    }
    check!(appends.len() == 2, "the append is in the log {} times", appends.len());
    let content = client.read_bytes("ledger").await?;
    check!(content == "paid 100;", "the ledger says {content:?}");

    let prompt = Order::ApplyLatency { servers: old.id.into(), latency: Duration::ZERO };
    sandbox.order(prompt).await?;
    sandbox.order(Order::Recover(old.id.into())).await?;
    agreement(sandbox).await?;
    Ok(())
}
