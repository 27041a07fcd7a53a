//! Clients that use the files at random, for as long as a scenario says.
//!
//! What they ask for is drawn from the seed. Every line that they append is written once, so that
//! a history says much. They retry as clients do, give up early, ask servers that do not lead, and
//! send requests twice. Whether they are refused does not matter: what they are told must only be
//! true.

use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::call::Caller;
use super::failure::Failure;
use super::{Runner, World};
use crate::actors::{Clock, Consistency};
use crate::files::{CHUNK_BYTES, Command};
use crate::invariants::Operation;
use crate::raft::{ServerId, Time};
use crate::script::Clients;

/// The files that the clients share.
const NAMES: [&str; 5] = ["ants", "bees", "cats", "dogs", "eels"];
/// A file of several chunks, which becomes another all at once.
const LARGE: &str = "flock";
const LINEARIZABLE: Consistency = Consistency::Linearizable;
/// How long a client tries a command.
const PATIENCE: Duration = Duration::from_secs(4);

/// One client.
struct Visitor {
    caller: Caller,
    clock: Clock,
    luck: ChaCha8Rng,
    servers: u64,
    /// When it leaves.
    leaves: Time,
    every: Duration,
    reading: Consistency,
}

impl<W: World> Runner<W> {
    /// Starts clients in the background.
    pub(super) fn start_clients(&mut self, clients: &Clients) -> Result<(), Failure> {
        let (clock, servers) = (self.world.clock(), self.founders);
        for _ in 0..clients.count {
            let number = self.jobs.begin()?;
            let client = self.world.client();
            client.set_patience(PATIENCE);
            client.repeat_itself();
            let mut luck = ChaCha8Rng::seed_from_u64(!self.world.seed());
            luck.set_stream(number);
            let visitor = Visitor {
                caller: Caller { client, number, ..self.caller(None)? },
                clock,
                luck,
                servers,
                leaves: clock.now() + clients.time,
                every: clients.every,
                reading: clients.reading,
            };
            self.jobs.run(visitor.stay());
        }
        Ok(())
    }
}

impl Visitor {
    async fn stay(mut self) {
        for turn in 0_u64.. {
            // Twice the average at the most, and not all in step.
            let range = 2 * self.every.as_nanos() as u64 + 1;
            let pause = Duration::from_nanos(self.luck.next_u64() % range);
            self.clock.sleep(pause).await;
            if self.clock.now() >= self.leaves {
                return;
            }
            let patience = match self.below(16) {
                0 => Duration::from_millis(self.below(30)),
                _ => 4 * PATIENCE,
            };
            let command = self.command(turn);
            let _ = tokio::time::timeout(patience, command).await;
        }
    }

    /// Asks for something.
    async fn command(&mut self, turn: u64) {
        let file = self.name();
        let replace = self.below(2) == 0;
        let other = self.name();
        let kind = self.below(1000);
        let line = format!("{}.{turn}\n", self.caller.number);
        let caller = match self.below(4) {
            0 => {
                let server = ServerId(1 + self.below(self.servers));
                Caller { client: self.caller.client.at(server), ..self.caller.clone() }
            }
            _ => self.caller.clone(),
        };
        let line = Bytes::from(line);
        // The history has what came of it.
        match kind {
            0..380 => drop(caller.append_data(file, line.into()).await),
            380..420 => {
                if let Ok(seen) = self.caller.read(file, LINEARIZABLE, |_| Ok(())).await {
                    drop(caller.append_if(&seen, line).await);
                }
            }
            420..450 if file != other => drop(caller.append_both([file, other], &line).await),
            420..450 => {}
            450..750 => {
                let seen = caller.read(file, self.reading, |_| Ok(())).await;
                if let (Ok(seen), Consistency::Stale) = (seen, self.reading) {
                    self.caller.check_stale(&seen).await;
                }
            }
            750..850 => drop(caller.create(file, line.into(), replace).await),
            850..900 => {
                let command = Command::Delete { file: file.to_owned() };
                let operation = |_| Operation::Delete { name: file.to_owned() };
                drop(caller.change(command, operation).await);
            }
            900..950 if file != other => {
                let command = Command::Rename { file: file.to_owned(), name: other.to_owned() };
                let operation =
                    |_| Operation::Rename { from: file.to_owned(), to: other.to_owned() };
                drop(caller.change(command, operation).await);
            }
            900..998 => drop(caller.client.list().await),
            998 => drop(caller.read(LARGE, LINEARIZABLE, |_| Ok(())).await),
            _ => {
                let mut content = vec![b'.'; CHUNK_BYTES + 1];
                content.extend_from_slice(&line);
                drop(caller.create(LARGE, Bytes::from(content).into(), true).await);
            }
        }
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.below(NAMES.len() as u64) as usize]
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.luck.next_u64() % limit
    }
}
