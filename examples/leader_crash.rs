//! The leader crashes, and takes nothing with it.
//!
//! Watch: what was acknowledged is there under the next leader, in a later term; the crashed
//! leader returns as a follower and is brought up to date.
//!
//! Run: `cargo run --example leader_crash [-- --real] [--seed N]`

mod support;

use std::process::ExitCode;

use bytes::Bytes;
use jangada::actors::{Order, Sandbox, Servers};
use jangada::raft::RoleKind;
use support::{Outcome, SOON, agreement, check, leader, play, tell};

fn main() -> ExitCode {
    play(leader_crash)
}

async fn leader_crash(sandbox: &Sandbox) -> Outcome {
    let client = sandbox.client();
    // Large enough to travel in several entries.
    let content: Bytes = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    client.load_bytes("catch.bin", content.clone()).await?;
    tell(sandbox, format_args!("{} bytes are loaded", content.len()));

    let old = leader(sandbox).await?;
    sandbox.order(Order::Crash(Servers::Leader)).await?;
    let read = client.read_bytes("catch.bin").await?;
    check!(read == content, "{} bytes came back, and not those that were loaded", read.len());
    let new = leader(sandbox).await?;
    check!(new.id != old.id, "{} crashed and leads all the same", old.id);
    check!(new.term > old.term, "term {} follows upon term {}", new.term, old.term);
    tell(sandbox, "read back byte for byte");
    client.append_bytes("catch.bin", "one more").await?;

    sandbox.order(Order::Recover(old.id.into())).await?;
    agreement(sandbox).await?;
    let follows = sandbox.wait_until(SOON, |status| {
        status.server(old.id).is_some_and(|server| server.role == Some(RoleKind::Follower))
    });
    follows.await.ok_or_else(|| format!("{} does not follow anybody", old.id))?;
    let size = client.read_bytes("catch.bin").await?.len();
    check!(size == content.len() + 8, "the file has {size} bytes");
    Ok(())
}
