//! Partial partition, one way: a leader that hears nobody, then one that nobody hears.
//!
//! Watch: the deaf leader's heartbeats keep everyone quiet, yet nothing can be committed; it
//! steps down because no majority answers (check-quorum). The mute leader is given up by the
//! others, and hears of their new term. Neither disturbs its successor afterwards.
//!
//! Run: `cargo run --example one_way_partition [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{Order, Sandbox, Servers};
use support::{Outcome, SOON, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(one_way_partition)
}

async fn one_way_partition(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("horn", "").await?;
    let deaf = Order::Cut { from: Servers::Followers, to: Servers::Leader };
    let mute = Order::Cut { from: Servers::Leader, to: Servers::Followers };
    for (what, cut) in [("deaf", deaf), ("mute", mute)] {
        let old = leader(sandbox).await?;
        sandbox.order(cut).await?;
        let replaced = sandbox.wait_until(SOON, |status| {
            status.leader().is_some_and(|leader| leader.id != old.id)
                && status.server(old.id).is_some_and(|server| !server.leads())
        });
        let replaced = replaced.await.ok_or_else(|| format!("{} still leads, {what}", old.id))?;
        let new = replaced.leader().ok_or("nobody leads")?;
        client.append_bytes("horn", what).await?;
        sandbox.clock().sleep(Duration::from_secs(1)).await;
        let later = leader(sandbox).await?;
        check!(
            (later.id, later.term) == (new.id, new.term),
            "{} led term {}, and a second later {} led term {}",
            new.id,
            new.term,
            later.id,
            later.term
        );
        tell(sandbox, format_args!("the {what} {} does not disturb {}", old.id, new.id));

        sandbox.order(Order::Heal).await?;
        agreement(sandbox).await?;
    }
    let content = client.read_bytes("horn").await?;
    check!(content == "deafmute", "the file holds {content:?}");
    Ok(())
}
