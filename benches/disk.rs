//! `cargo bench --bench disk`: how far the log on files is from what the disk can do.
//!
//! Batches of 1 and of 64 entries of 100 B are appended and waited for, one after the other, in
//! turn with a bare loop that writes as many bytes into a file of written zeros and calls
//! `fdatasync`. Medians of the rounds, and their ratio. `DISK_BENCH_DIR` names the folder.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures how long real disks take"
)]

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jangada::raft::{Configuration, Entry, Index, Payload, Persistent, ServerId, Term, Time};
use jangada::storage::{DataDir, Expected, Identity, Storage};

const ENTRY: usize = 100;
const ROUNDS: usize = 15;
const BATCHES: usize = 200;
/// What a record of that many entries takes.
const fn record(entries: usize) -> usize {
    (24 + 16 + entries * (16 + ENTRY)).next_multiple_of(8)
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = match std::env::var_os("DISK_BENCH_DIR") {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    println!("| entries of {ENTRY} B a batch | bare, 1/s | log, 1/s | log / bare |");
    println!("|---|---|---|---|");
    for entries in [1, 64] {
        let mut log = Log::open(&folder.path().join(format!("data-{entries}")))?;
        let mut bare = Bare::open(&folder.path().join("bare"), record(entries))?;
        log.round(entries)?;
        bare.round()?;
        let (mut logs, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (one, other) = (bare.round()?, log.round(entries)?);
            bares.push(one);
            logs.push(other);
            ratios.push(other / one);
        }
        let (bare, log, ratio) = (median(bares), median(logs), median(ratios));
        let each = entries as f64;
        println!("| {entries} | {:.0} | {:.0} | {ratio:.2} |", bare * each, log * each);
    }
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn rate(taken: Duration) -> f64 {
    BATCHES as f64 / taken.as_secs_f64()
}

/// Writes and syncs, and nothing else.
struct Bare {
    file: File,
    bytes: Vec<u8>,
    at: u64,
}

impl Bare {
    const SIZE: u64 = 32 << 20;

    fn open(path: &Path, bytes: usize) -> Outcome<Self> {
        let file = File::create(path)?;
        let mut bare = Self { file, bytes: vec![7; bytes], at: 0 };
        bare.clear()?;
        Ok(bare)
    }

    fn clear(&mut self) -> Outcome<()> {
        self.at = 0;
        let zeros = vec![0; 1 << 20];
        for at in (0..Self::SIZE).step_by(zeros.len()) {
            self.file.write_all_at(&zeros, at)?;
        }
        Ok(self.file.sync_all()?)
    }

    fn round(&mut self) -> Outcome<f64> {
        if self.at + (BATCHES * self.bytes.len()) as u64 > Self::SIZE {
            self.clear()?;
        }
        let began = Instant::now();
        for _ in 0..BATCHES {
            self.file.write_all_at(&self.bytes, self.at)?;
            self.file.sync_data()?;
            self.at += self.bytes.len() as u64;
        }
        Ok(rate(began.elapsed()))
    }
}

/// The log, as a server uses it.
struct Log {
    storage: Box<dyn Storage>,
    wakes: Receiver<()>,
    next: Index,
    _directory: DataDir,
}

impl Log {
    fn open(path: &Path) -> Outcome<Self> {
        let cluster = "6a616e67-6164-6120-7361-696c73206f75".parse()?;
        let identity = Identity { cluster, server: ServerId(1) };
        let founding = Persistent::founding(Configuration::new([ServerId(1)]));
        DataDir::create(path, &identity, &founding)?;
        let (woken, wakes) = channel();
        let wake = Box::new(move || {
            let _ = woken.send(());
        });
        let directory = DataDir::open(path, Expected::default(), wake)?;
        Ok(Self { storage: directory.storage(), wakes, next: Index(1), _directory: directory })
    }

    fn round(&mut self, entries: usize) -> Outcome<f64> {
        let now = Time::default();
        let payload = Payload::Command(Bytes::from(vec![7; ENTRY]));
        let entry = Entry { term: Term(1), payload };
        let began = Instant::now();
        for _ in 0..BATCHES {
            let batch = std::iter::repeat_n(entry.clone(), entries).collect();
            let write = self.storage.append(self.next, batch);
            self.next = Index(self.next.0 + entries as u64);
            self.storage.sync(now);
            while self.storage.durable(now)?.write < write {
                self.wakes.recv()?;
            }
        }
        Ok(rate(began.elapsed()))
    }
}
