//! Partial partition, the chain: every server hears its neighbours only, and the leader stands
//! at an end.
//!
//! Watch: with one neighbour the leader has no majority and steps down; one of the three in the
//! middle takes over. The servers that do not hear it try to be elected, and are refused by
//! those that do (pre-vote, leader stickiness): the term stays where it is. Without that, leaders
//! could depose each other for ever.
//!
//! Run: `cargo run --example chain_partition [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{Order, Sandbox};
use support::{Outcome, SOON, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(chain_partition)
}

async fn chain_partition(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("chain", "whole;").await?;
    let old = leader(sandbox).await?;
    let mut chain = vec![old.id];
    chain.extend(sandbox.followers());
    for (place, server) in chain.iter().enumerate() {
        let strangers = chain.iter().enumerate().filter(|(other, _)| place.abs_diff(*other) > 1);
        let strangers: Vec<_> = strangers.map(|(_, stranger)| *stranger).collect();
        sandbox.order(Order::Cut { from: (*server).into(), to: strangers.into() }).await?;
    }

    let middle = &chain[1..4];
    let moved = sandbox.wait_until(SOON, |status| {
        status.leader().is_some_and(|leader| middle.contains(&leader.id))
    });
    let moved = moved.await.ok_or("nobody leads from the middle of the chain")?;
    let new = moved.leader().ok_or("nobody leads")?;
    client.append_bytes("chain", " in links;").await?;
    sandbox.clock().sleep(Duration::from_secs(2)).await;
    let later = leader(sandbox).await?;
    check!(
        (later.id, later.term) == (new.id, new.term),
        "{} led term {}, and two seconds later {} led term {}",
        new.id,
        new.term,
        later.id,
        later.term
    );
    tell(sandbox, format_args!("{} has led from the middle for two seconds", new.id));

    sandbox.order(Order::Heal).await?;
    agreement(sandbox).await?;
    let content = client.read_bytes("chain").await?;
    check!(content == "whole; in links;", "the chain is {content:?}");
    Ok(())
}
