//! The whole cluster starts: first empty, then again from what its disks kept.
//!
//! Watch: a leader within two election timeouts, both times; the second leads a later term, and
//! the file is there. While all are down, writes are refused with the reason.
//!
//! Run: `cargo run --example start_cluster [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;

use jangada::actors::{ClientError, NotDone, Order, Sandbox, Servers};
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(start_cluster)
}

async fn start_cluster(sandbox: &Sandbox) -> Outcome {
    let patience = 2 * sandbox.status().await?.timing.election_timeout_max;
    let late = || format!("nobody leads {patience:?} after the start");
    sandbox.wait_for_leader(patience).await.ok_or_else(late)?;
    let first = leader(sandbox).await?;
    let client = sandbox.client();
    client.load_bytes("anchor", "weighed").await?;

    sandbox.order(Order::Stop(Servers::All)).await?;
    match client.append_bytes("anchor", " and lost").await {
        Err(ClientError::NotDone(reason @ NotDone::NoQuorum { up: 0, .. })) => {
            tell(sandbox, reason);
        }
        other => return Err(format!("a cluster that is down answered {other:?}").into()),
    }

    sandbox.order(Order::Start(Servers::All)).await?;
    sandbox.wait_for_leader(patience).await.ok_or_else(late)?;
    let second = leader(sandbox).await?;
    check!(second.term > first.term, "term {} follows upon term {}", second.term, first.term);
    let content = client.read_bytes("anchor").await?;
    check!(content == "weighed", "the file was {content:?} after the start");
    agreement(sandbox).await?;
    Ok(())
}
