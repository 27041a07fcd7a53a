//! A leader must be fast: one that is slowed down loses its leadership, while the files stay
//! available.
//!
//! Watch: at half a second for each message ("normal") and at a whole one ("slow") the leader's
//! rounds are answered too late; it steps down or is outvoted, and an append that was under way
//! is acknowledged by its successor.
//!
//! Run: `cargo run --example slow_leader [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{Order, Sandbox};
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(slow_leader)
}

async fn slow_leader(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("tide", "").await?;
    for (speed, latency) in [("normal", 500), ("slow", 1000)] {
        let old = leader(sandbox).await?;
        let latency = Duration::from_millis(latency);
        sandbox.order(Order::Speed { servers: old.id.into(), latency }).await?;

        let asked = sandbox.clock().now();
        client.append_bytes("tide", "+").await?;
        let took = sandbox.clock().now().since(asked);
        check!(took < Duration::from_secs(3), "the append took {took:?}");
        let new = leader(sandbox).await?;
        check!(new.id != old.id, "{} is {speed}, and leads all the same", old.id);
        check!(new.term > old.term, "term {} follows upon term {}", new.term, old.term);
        tell(sandbox, format_args!("{speed} leader deposed; the append took {took:?}"));

        let fast = Duration::ZERO;
        sandbox.order(Order::Speed { servers: old.id.into(), latency: fast }).await?;
        agreement(sandbox).await?;
    }
    let content = client.read_bytes("tide").await?;
    check!(content == "++", "two appends were acknowledged, and the file holds {content:?}");
    Ok(())
}
