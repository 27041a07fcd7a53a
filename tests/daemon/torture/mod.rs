//! The proof by killing: processes are killed with -9, in all ways and again and again, while clients
//! use the files over HTTP. All that the clients were told must make one history, every server must
//! have the same files in the end, and each acknowledged write must be there exactly once.
//!
//! `JANGADA_TORTURE_CYCLES` says how often (25 unless said), `JANGADA_TORTURE_SEED` what the
//! disturbances are drawn from: what the processes and the system make of them is not governed by it.

mod clients;
mod cycle;
mod verdict;

use std::time::Instant;

use self::clients::Crowd;
use self::cycle::Tormentor;
use crate::process::{Cluster, Founding};

/// How many servers there are, and how many clients.
const SERVERS: u64 = 5;
const CLIENTS: u64 = 6;
/// After so many cycles clients go on with other files, and the history of the former is checked.
const ROUND: u64 = 10;
/// The server with a small disk, and its size in MiB: the log fills it at times, all by itself.
const SMALL_DISK: (u64, u64) = (SERVERS, 160);

#[test]
fn servers_that_are_killed_again_and_again_keep_what_they_acknowledged() {
    let cycles = number("JANGADA_TORTURE_CYCLES").unwrap_or(25);
    let seed =
        number("JANGADA_TORTURE_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("JANGADA_TORTURE_CYCLES={cycles} JANGADA_TORTURE_SEED={seed}");
    let began = Instant::now();
    let flags = &["--chaos", "--snapshot-entries", "1500"];
    let founding =
        Founding { servers: SERVERS, tls: false, flags: &flags[..], small_disk: Some(SMALL_DISK) };
    let mut cluster = Cluster::found(founding);
    cluster.leader();
    let crowd = Crowd::gather(&cluster, seed);
    let mut tormentor = Tormentor::new(seed);
    for cycle in 1..=cycles {
        tormentor.torment(&mut cluster, &crowd);
        if cycle % ROUND == 0 || cycle == cycles {
            crowd.next_round();
        }
        if cycle % 50 == 0 {
            println!("after {:.0?}: {cycle} cycles, {}", began.elapsed(), crowd.tally());
        }
    }
    let ledgers = crowd.disperse();
    let kept = verdict::judge(&mut cluster, &ledgers);
    println!(
        "{cycles} cycles in {:.0?}: {}\n{}\n{kept}\nno violation",
        began.elapsed(),
        tormentor.tally(),
        ledgers.tally
    );
}

/// A number that a variable says.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")))
}
