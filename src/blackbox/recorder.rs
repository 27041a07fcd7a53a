//! What records: beside the core, on its thread, without ever waiting.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::digest::digest;
use super::file::{Block, Header};
use super::hashes::Hashes;
use super::record::{Checkpoint, Mark, Payloads, Record, later, of_configuration, of_payload};
use super::writer::{Ring, Start, Tape};
use super::{BoxSettings, Counters, encode};
use crate::raft::{Effect, Entries, Index, Input, Luck, Node, Time};

/// Records what enters a server's core, into files of its own.
///
/// It encodes into memory; a thread writes. What the thread does not keep up with, and what the
/// disk does not take, is left out and counted, and the recording begins anew, with the whole
/// state of the core, when there is room again.
pub struct BlackBox {
    tape: Tape,
    settings: BoxSettings,
    cluster: Uuid,
    life: u64,
    /// What Unix time is at this moment by the server's clock.
    pub(super) wall: fn(Time) -> u64,
    /// The number of the next file, and which one it is of this life.
    next_file: u64,
    part: u64,
    /// The number of the next record.
    number: u64,
    /// Bytes behind the checkpoint of the file.
    bytes: u64,
    /// When the step before was.
    before: Time,
    hashes: Hashes,
    /// Writes that the core has asked for, of this life: all, and those that are durable.
    writes: u64,
    durable: u64,
    /// The numbers that the storage gave to those that are not.
    unsynced: std::collections::VecDeque<u64>,
    /// The core is being stepped: the last record is not complete.
    steps: bool,
    /// Records left out since the last that was not.
    lost: u64,
    /// Nothing is recorded before the next checkpoint.
    broken: bool,
    scratch: Scratch,
    /// Records that the tape does not have yet.
    block: Block,
    handed_over: Time,
    /// The last index whose state's hash was recorded.
    state: Index,
    begun: bool,
}

/// Buffers that are used again and again.
#[derive(Default)]
struct Scratch {
    /// Of the payloads that came with the input.
    hashes: Vec<u32>,
    draws: Vec<u64>,
}

/// Records are handed over together: those of so much time, or so many bytes. It is waking the
/// writer that costs most; what a process that is killed has not handed over is lost.
const TOGETHER: Duration = Duration::from_millis(100);
const TOGETHER_BYTES: usize = 256 << 10;
/// Records between two [`Mark`]s.
const MARK_EVERY: u64 = 512;
/// The hash of the state is recorded after entries whose index is a multiple of this.
const STATE_EVERY: u64 = 256;

impl BlackBox {
    /// Opens a ring of files in `folder`, which is made if it is not there. `life` must be another
    /// number each time the server starts.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(
        folder: &Path,
        cluster: Uuid,
        life: u64,
        settings: BoxSettings,
    ) -> io::Result<Self> {
        let ring = Ring::open(folder, settings.bytes)?;
        let next_file = ring.next_number();
        Ok(Self {
            tape: Tape::start(ring)?,
            settings,
            cluster,
            life,
            wall: |_| unix_time(),
            next_file,
            part: 0,
            number: 0,
            bytes: 0,
            before: Time::default(),
            hashes: Hashes::default(),
            writes: 0,
            durable: 0,
            unsynced: Default::default(),
            steps: false,
            lost: 0,
            broken: false,
            scratch: Scratch::default(),
            block: Block::default(),
            handed_over: Time::default(),
            state: Index(0),
            begun: false,
        })
    }

    /// What is counted about it.
    pub fn counters(&self) -> Arc<Counters> {
        self.tape.counters()
    }

    /// A life begins with this core, whose log has these entries.
    pub(crate) fn begin(&mut self, now: Time, node: &Node, log: &Entries) {
        let hashes = log.iter().map(|entry| of_payload(&entry.payload));
        self.hashes = Hashes::new(node.log_base().index, hashes);
        self.state = node.applied();
        (self.begun, self.broken) = (true, true);
        self.checkpoint(now, node);
    }

    /// Steps the core and records what entered it.
    // A function of its own in every build, so that a profile shows what recording costs.
    #[inline(never)]
    pub(crate) fn step(
        &mut self,
        node: &mut Node,
        now: Time,
        input: Input<'_>,
        payloads: &Payloads<'_>,
        luck: &mut dyn Luck,
        effects: &mut Vec<Effect>,
    ) {
        // All that the steps before have asked for is done.
        let due = match self.broken {
            true => self.tape.has_room(now),
            false => self.bytes >= self.settings.file_bytes(),
        };
        if due {
            self.checkpoint(now, node);
        }
        let before = self.block.len();
        let Scratch { hashes, draws } = &mut self.scratch;
        let later = later(now, self.before);
        encode::step_begins(self.block.records(), later, &input, payloads, hashes);
        draws.clear();
        let already = effects.len();
        let mut drawing = || {
            let drawn = luck.draw();
            draws.push(drawn);
            drawn
        };
        // Whatever becomes of the step: if the core panics, this is what it panicked at.
        self.steps = true;
        node.step(now, input, &mut drawing, effects);
        self.steps = false;
        let asked = &effects[already..];
        follow(&mut self.hashes, asked, hashes, node);
        encode::step_ends(self.block.records(), draws, Some(digest(asked)));
        if !self.broken {
            self.before = now;
        }
        self.wrote_record(before, now, node);
    }

    /// The core was told how far the state machine is; `hash` knows the hashes of its latest
    /// states.
    pub(crate) fn applied(
        &mut self,
        now: Time,
        node: &Node,
        hash: impl FnOnce(Index) -> Option<u64>,
    ) {
        let applied = node.applied();
        self.write(now, node, |out| encode::applied(out, applied));
        let round = Index(applied.0 - applied.0 % STATE_EVERY);
        if round > self.state {
            self.state = round;
            if let Some(hash) = hash(round) {
                let record = Record::State(round, hash);
                self.write(now, node, |out| encode::record(out, &record));
            }
        }
    }

    /// The storage gave this number to a write that the core asked for.
    pub(crate) fn wrote(&mut self, write: u64) {
        self.writes += 1;
        self.unsynced.push_back(write);
    }

    /// Every write up to the one with this number is durable.
    pub(crate) fn synced(&mut self, now: Time, node: &Node, write: u64) {
        let done = self.unsynced.partition_point(|it| *it <= write);
        if done > 0 {
            self.unsynced.drain(..done);
            self.durable += done as u64;
            let durable = self.durable;
            self.write(now, node, |out| encode::durable(out, durable));
        }
    }

    fn write(&mut self, now: Time, node: &Node, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.block.len();
        encode(self.block.records());
        self.wrote_record(before, now, node);
    }

    /// The block was so long before the record that is now its last.
    fn wrote_record(&mut self, before: usize, now: Time, node: &Node) {
        if self.broken {
            self.block.cut(before);
            return self.lose(1);
        }
        self.count(before);
        if self.number.is_multiple_of(MARK_EVERY) {
            let before = self.block.len();
            encode::record(self.block.records(), &Record::Mark(Mark::of(node)));
            self.count(before);
        }
        self.hand_over(now);
    }

    fn count(&mut self, before: usize) {
        self.bytes += (self.block.len() - before) as u64;
        self.block.count += 1;
        self.number += 1;
    }

    /// Together with what comes soon: a lock and perhaps a wake-up for each would be too much.
    fn hand_over(&mut self, now: Time) {
        let enough = self.block.len() >= TOGETHER_BYTES;
        if !enough && now.since(self.handed_over) < TOGETHER {
            return;
        }
        self.handed_over = now;
        if !self.tape.take(&mut self.block, now) {
            // The file ends with what was taken: its later records are of no use without these.
            self.broken = true;
            let records = self.block.clear();
            self.lose(records);
        }
    }

    fn lose(&mut self, records: u64) {
        self.lost += records;
        self.tape.lost(records);
    }

    /// Begins another file, with the state as it is.
    fn checkpoint(&mut self, now: Time, node: &Node) {
        let header = Header {
            cluster: self.cluster,
            server: node.id(),
            number: self.next_file,
            life: self.life,
            part: self.part,
            wall: (self.wall)(now),
            local: now,
            lost: self.lost,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let checkpoint = Box::new(Checkpoint {
            node: node.clone(),
            hashes: self.hashes.clone(),
            writes: self.writes,
            durable: self.durable,
        });
        let start = Start { header, checkpoint };
        // If the lock is not free, the next record tries again.
        if self.tape.begin(&mut self.block, start) {
            if self.lost > 0 {
                let (server, lost) = (node.id(), self.lost);
                log::warn!("the recording of {server} goes on; {lost} records were left out");
            }
            (self.number, self.bytes) = (1, 0);
            (self.broken, self.lost, self.before) = (false, 0, now);
            self.next_file += 1;
            self.part += 1;
        }
    }
}

/// Keeps the hashes as the log is after these effects of a step, whose input came with payloads of
/// these hashes.
pub(super) fn follow(hashes: &mut Hashes, effects: &[Effect], given: &[u32], node: &Node) {
    for effect in effects {
        match effect {
            Effect::Append { first, entries } => {
                let new = given.get(entries.clone()).unwrap_or_default();
                hashes.replace(*first, new);
            }
            Effect::AppendNoOp { position } => {
                hashes.replace(position.index, &[0]);
            }
            Effect::AppendConfiguration { position, configuration } => {
                let hash = of_configuration(configuration);
                hashes.replace(position.index, &[hash]);
            }
            _ => {}
        }
    }
    hashes.follow(node);
}

impl Drop for BlackBox {
    /// Nothing of this life comes any more.
    fn drop(&mut self) {
        if self.begun && !self.broken {
            let out = self.block.records();
            match self.steps {
                true => encode::step_ends(out, &self.scratch.draws, None),
                false => encode::record(out, &Record::End),
            }
            self.block.count += 1;
        }
        self.tape.end(std::mem::take(&mut self.block));
    }
}

#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "recordings of several servers are laid side by side by it; it decides nothing"
)]
fn unix_time() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
