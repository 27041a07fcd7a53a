//! Two replicas of five crash, and nobody else notices.
//!
//! Watch: the append goes on with three servers; no election is held, neither for the crash nor
//! for the return; the replicas catch up.
//!
//! Run: `cargo run --example replica_crash [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{Order, Sandbox};
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(replica_crash)
}

async fn replica_crash(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("journal", "five servers;").await?;
    let before = leader(sandbox).await?;

    let replicas: Vec<_> = sandbox.followers().into_iter().take(2).collect();
    sandbox.order(Order::Crash(replicas.clone().into())).await?;
    client.append_bytes("journal", " three servers;").await?;
    let up = sandbox.status().await?.up();
    check!(up == 3, "{up} servers are up, not 3");
    tell(sandbox, "an append was acknowledged by the three that are left");

    sandbox.clock().sleep(Duration::from_secs(1)).await;
    sandbox.order(Order::Recover(replicas.into())).await?;
    agreement(sandbox).await?;

    let after = leader(sandbox).await?;
    let (leader, term) = (before.id, before.term);
    check!(
        (after.id, after.term) == (leader, term),
        "{leader} led term {term}, and now {} leads term {}",
        after.id,
        after.term
    );
    tell(sandbox, format_args!("{leader} still leads term {term}"));
    let content = client.read_bytes("journal").await?;
    check!(content == "five servers; three servers;", "the journal says {content:?}");
    Ok(())
}
