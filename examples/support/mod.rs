//! What the examples share: their arguments, the story that they tell, and their checks.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use jangada::actors::{ClockKind, Event, EventKind, Sandbox, SandboxOptions, ServerStatus, run};
use jangada::raft::{Index, RoleKind, Why};

/// How long the examples wait for what must happen soon. In virtual time waiting costs nothing.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// What comes of a scenario, or of a part of it; an error is a surprise.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Ends the scenario with a message unless the condition holds.
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+).into());
        }
    };
}
pub(crate) use check;

#[derive(Parser)]
struct Arguments {
    /// Let the clock on the wall drive the cluster, not virtual time
    #[arg(long)]
    real: bool,
    /// What every random draw comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Plays a scenario on a cluster of five servers. Fails if the scenario came out otherwise than
/// it says.
pub(crate) fn play(scenario: impl AsyncFnOnce(&Sandbox) -> Outcome) -> ExitCode {
    let Arguments { real, seed } = Arguments::parse();
    let clock = if real { ClockKind::Real } else { ClockKind::Virtual };
    let played = run(clock, async {
        let sandbox = Sandbox::start(SandboxOptions { seed, ..SandboxOptions::default() });
        sandbox.events().watch(|event| {
            if is_part_of_the_story(event) {
                println!("{event}");
            }
        });
        let outcome = scenario(&sandbox).await;
        if let Err(surprise) = &outcome {
            eprintln!("surprise (seed {seed}): {surprise}\nthe last events were:");
            for event in sandbox.events().latest(20) {
                eprintln!("{event}");
            }
        }
        sandbox.end().await;
        outcome.is_ok()
    });
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot make the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells what the scenario has come to. Orders, elections and lost leaderships tell themselves.
pub(crate) fn tell(sandbox: &Sandbox, story: impl Display) {
    let millis = sandbox.clock().now().as_nanos() / 1_000_000;
    println!("{:>4}.{:03} s  - {story}", millis / 1_000, millis % 1_000);
}

/// The leader, once there is one.
pub(crate) async fn leader(sandbox: &Sandbox) -> Outcome<ServerStatus> {
    let led = sandbox.wait_until(SOON, |status| status.leader().is_some()).await;
    let leader = led.as_ref().and_then(|status| status.leader()).cloned();
    leader.ok_or_else(|| format!("nobody leads after {SOON:?}").into())
}

/// Waits until every running server has applied the same entries, and holds the same files.
/// Returns the last entry's index.
pub(crate) async fn agreement(sandbox: &Sandbox) -> Outcome<Index> {
    let agreed = sandbox.wait_for_agreement(SOON).await;
    let index = agreed.ok_or_else(|| format!("the servers still differ after {SOON:?}"))?;
    tell(sandbox, format_args!("every running server holds the same files, as of entry {index}"));
    Ok(index)
}

fn is_part_of_the_story(event: &Event) -> bool {
    match &event.kind {
        EventKind::Ordered(_) => true,
        EventKind::Became { role, why, .. } => *role == RoleKind::Leader || *why == Why::QuorumLost,
        _ => false,
    }
}
