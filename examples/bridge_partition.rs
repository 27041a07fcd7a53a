//! Partial partition, the bridge: two halves that only the server in the middle hears; then a
//! star, in which everyone hears the middle only.
//!
//! Watch: with the bridge the leader keeps its majority, and the half that does not hear it is
//! refused by the middle: no election succeeds, the term stays. In the star a leaf cannot lead,
//! so the leadership moves to the middle, the only server that still hears a majority.
//!
//! Run: `cargo run --example bridge_partition [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{Order, Sandbox};
use support::{Outcome, SOON, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(bridge_partition)
}

async fn bridge_partition(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("bridge", "").await?;
    let old = leader(sandbox).await?;
    let &[middle, near, far, farthest] = sandbox.followers().as_slice() else {
        return Err("a server of five is missing".into());
    };

    let (here, there) = (vec![old.id, near], vec![far, farthest]);
    sandbox.order(Order::Cut { from: here.clone().into(), to: there.clone().into() }).await?;
    sandbox.order(Order::Cut { from: there.into(), to: here.into() }).await?;
    client.append_bytes("bridge", "over the bridge;").await?;
    sandbox.clock().sleep(Duration::from_secs(1)).await;
    let same = leader(sandbox).await?;
    check!(
        (same.id, same.term) == (old.id, old.term),
        "{} led term {}, and behind the bridge {} leads term {}",
        old.id,
        old.term,
        same.id,
        same.term
    );
    tell(sandbox, format_args!("{} still leads term {}", old.id, old.term));
    sandbox.order(Order::Heal).await?;
    agreement(sandbox).await?;

    let leaves = vec![old.id, near, far, farthest];
    sandbox.order(Order::Cut { from: leaves.clone().into(), to: leaves.into() }).await?;
    let moved = sandbox
        .wait_until(SOON, |status| status.leader().is_some_and(|leader| leader.id == middle));
    moved.await.ok_or_else(|| format!("the leadership has not moved to {middle}"))?;
    client.append_bytes("bridge", " through the middle;").await?;
    tell(sandbox, format_args!("{middle} leads, the only server that hears a majority"));

    sandbox.order(Order::Heal).await?;
    agreement(sandbox).await?;
    let content = client.read_bytes("bridge").await?;
    check!(content == "over the bridge; through the middle;", "the file holds {content:?}");
    Ok(())
}
