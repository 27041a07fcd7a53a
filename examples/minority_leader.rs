//! The net splits and leaves the leader with the smaller part, where it stops accepting.
//!
//! Watch: the old leader steps down because no majority answers it (check-quorum), and refuses
//! writes with the reason; what it took before that has an unknown outcome. The larger part
//! elects a leader and goes on. Once the net is healed, what only the smaller part had is gone.
//!
//! Run: `cargo run --example minority_leader [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{ClientError, NotDone, Order, Sandbox};
use jangada::raft::Refusal;
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(minority_leader)
}

async fn minority_leader(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("chart", "together;").await?;
    let old = leader(sandbox).await?;
    let companion = sandbox.followers()[0];
    // Whoever is in no group is in one more.
    sandbox.order(Order::Partition(vec![vec![old.id, companion]])).await?;

    // A client on the wrong side: it reaches the old leader and nobody else.
    let stranded = client.at(old.id);
    match stranded.append_bytes("chart", " taken in vain;").await {
        Err(ClientError::Unknown) => tell(sandbox, "the old leader took a write, and then gave up"),
        other => return Err(format!("a leader without a majority answered {other:?}").into()),
    }
    sandbox.clock().sleep(Duration::from_secs(1)).await;
    match stranded.append_bytes("chart", " refused;").await {
        Err(ClientError::NotDone(reason)) => {
            let why = Refusal::NoQuorum { heard: 2, voters: 5 };
            let expected = NotDone::Refused { server: old.id, refusal: why };
            check!(reason == expected, "refused because of {reason}, not of {expected}");
            tell(sandbox, reason);
        }
        other => return Err(format!("a server without a majority answered {other:?}").into()),
    }

    client.append_bytes("chart", " by the larger part;").await?;
    let new = leader(sandbox).await?;
    let minority = [old.id, companion];
    check!(!minority.contains(&new.id), "{} leads from the smaller part", new.id);
    tell(sandbox, "the larger part went on meanwhile");

    sandbox.order(Order::Heal).await?;
    agreement(sandbox).await?;
    let content = client.read_bytes("chart").await?;
    check!(content == "together; by the larger part;", "the chart says {content:?}");
    Ok(())
}
