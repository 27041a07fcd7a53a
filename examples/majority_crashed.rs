//! Three servers of five crash: nobody can lead, until one of them returns.
//!
//! Watch: no leader for a whole second; writes and reads are refused at once, with the reason;
//! one server comes back, and so does the service, with the file as it was.
//!
//! Run: `cargo run --example majority_crashed [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;
use std::time::Duration;

use jangada::actors::{ClientError, NotDone, Order, Sandbox};
use support::{Outcome, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(majority_crashed)
}

async fn majority_crashed(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    client.load_bytes("lamp", "lit;").await?;
    let old = leader(sandbox).await?;
    let mut crashed = sandbox.followers();
    crashed.truncate(2);
    crashed.push(old.id);
    sandbox.order(Order::Crash(crashed.clone().into())).await?;

    let led = sandbox.wait_for_leader(Duration::from_secs(1)).await;
    check!(led.is_none(), "two servers of five have elected {led:?}");
    tell(sandbox, "nobody has led for a second");
    let written = client.append_bytes("lamp", " out;").await.map(|_| ());
    let read = client.read_bytes("lamp").await.map(|_| ());
    for answer in [written, read] {
        match answer {
            Err(ClientError::NotDone(reason @ NotDone::NoQuorum { up: 2, servers: 5 })) => {
                tell(sandbox, reason);
            }
            other => return Err(format!("two servers of five answered {other:?}").into()),
        }
    }

    let rest = crashed.split_off(1);
    sandbox.order(Order::Recover(crashed.into())).await?;
    client.append_bytes("lamp", " lit again;").await?;
    tell(sandbox, "three servers serve");
    sandbox.order(Order::Recover(rest.into())).await?;
    agreement(sandbox).await?;
    let content = client.read_bytes("lamp").await?;
    check!(content == "lit; lit again;", "the lamp is {content:?}");
    Ok(())
}
