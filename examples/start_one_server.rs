//! A server that was stopped starts again, and joins without a stir.
//!
//! Watch: it returns with an old log into a running cluster; nobody loses the leadership, and
//! the term stays. It follows the leader and is brought up to date.
//!
//! Run: `cargo run --example start_one_server [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{Condition, Order, Sandbox};
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(start_one_server)
}

async fn start_one_server(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("crew", "four").await?;
    let before = leader(sandbox).await?;
    let late = sandbox.followers()[0];
    sandbox.order(Order::Stop(late.into())).await?;
    client.append_bytes("crew", " and one").await?;

    sandbox.order(Order::Start(late.into())).await?;
    // Long enough for any election that the newcomer could provoke.
    sandbox.clock().sleep(Duration::from_secs(1)).await;
    agreement(sandbox).await?;

    let status = sandbox.status().await?;
    let newcomer = status.server(late).ok_or("the newcomer is nowhere to be seen")?;
    check!(newcomer.condition == Condition::Running, "{late} is {:?}", newcomer.condition);
    check!(newcomer.leader == Some(before.id), "{late} follows {:?}", newcomer.leader);
    check!(newcomer.term == before.term, "the term went from {} to {}", before.term, newcomer.term);
    tell(sandbox, format_args!("{late} follows {} in term {}", before.id, before.term));
    let content = client.read_bytes("crew").await?;
    check!(content == "four and one", "the crew is {content:?}");
    Ok(())
}
