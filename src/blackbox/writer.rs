//! The ring of files, and the thread that writes them.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::Counters;
use super::encode;
use super::file::{Block, Header, Seal};
use super::record::{Checkpoint, Record};
use crate::raft::Time;

/// How a file begins.
pub(super) struct Start {
    pub(super) header: Header,
    pub(super) checkpoint: Box<Checkpoint>,
}

enum Item {
    Start(Start),
    Records(Block),
}

/// What waits to be written. The thread that records puts it in, and never waits for the one that
/// writes: neither for the disk, nor for the lock.
pub(super) struct Tape {
    shared: Arc<Shared>,
    /// When a disk that failed is tried again.
    retry: Option<Time>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Nothing is written before the next file begins.
    failed: AtomicBool,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// A block that was written, to be used again.
    spare: Option<Block>,
    /// The writer waits for something.
    idle: bool,
    closed: bool,
    done: bool,
}

/// The files of a recording, oldest first, and their sizes.
pub(super) struct Ring {
    folder: PathBuf,
    limit: u64,
    files: VecDeque<(u64, u64)>,
    total: u64,
    current: Option<Current>,
}

/// The file that is written.
struct Current {
    file: File,
    seal: Seal,
    /// The number of the next block.
    block: u64,
}

/// Most bytes that wait for the writer; as many may be on their way to the disk.
const QUEUE_BYTES: usize = 4 << 20;
/// Most bytes that wait for the lock.
const LOCAL_BYTES: usize = 1 << 20;
/// The memory of a block is used again up to this size.
const SPARE_BYTES: usize = 2 * LOCAL_BYTES;
/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of a recording waits for the disk; a test must not depend on how busy the
/// machine is.
const LAST: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });
/// How the names of the files end.
pub(super) const SUFFIX: &str = ".box";

impl Tape {
    /// Starts the thread: the disk must not hold the server up.
    pub(super) fn start(ring: Ring) -> io::Result<Self> {
        let counters = Arc::new(Counters { lost: AtomicU64::new(0), bytes: AtomicU64::new(0) });
        counters.bytes.store(ring.total, Ordering::Relaxed);
        let (queue, changed) = (Mutex::default(), Condvar::new());
        let shared = Shared { queue, changed, failed: AtomicBool::new(false), counters };
        let shared = Arc::new(shared);
        let of_writer = shared.clone();
        let writer = std::thread::Builder::new().name("blackbox".to_owned());
        writer.spawn(move || of_writer.write(ring))?;
        Ok(Self { shared, retry: None })
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    pub(super) fn lost(&self, records: u64) {
        self.shared.counters.lost.fetch_add(records, Ordering::Relaxed);
    }

    /// Takes these records, now or with later ones. `false` if they have to be left out.
    pub(super) fn take(&mut self, records: &mut Block, now: Time) -> bool {
        if self.shared.failed.load(Ordering::Relaxed) {
            self.retry = Some(now + RETRY);
            return false;
        }
        match self.shared.try_lock() {
            Some(queue) => {
                queue.bytes + records.len() <= QUEUE_BYTES && {
                    self.shared.put(queue, records, None);
                    true
                }
            }
            None => records.len() <= LOCAL_BYTES,
        }
    }

    /// Takes what is left of one file, and the beginning of the next.
    pub(super) fn begin(&mut self, records: &mut Block, start: Start) -> bool {
        let Some(queue) = self.shared.try_lock() else { return false };
        self.shared.failed.store(false, Ordering::Relaxed);
        self.retry = None;
        self.shared.put(queue, records, Some(start));
        true
    }

    /// Whether recording can go on where it had to be left off.
    pub(super) fn has_room(&self, now: Time) -> bool {
        let empty = || self.shared.try_lock().is_some_and(|queue| queue.items.is_empty());
        self.retry.is_none_or(|retry| now >= retry) && empty()
    }

    /// Takes the last records, and waits a moment for them to be written.
    pub(super) fn end(&mut self, records: Block) {
        let mut queue = self.shared.lock();
        if !records.is_empty() {
            queue.items.push_back(Item::Records(records));
        }
        queue.closed = true;
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(queue, LAST, |queue| !queue.done);
        drop(waited);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every change is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Queue>> {
        match self.queue.try_lock() {
            Ok(queue) => Some(queue),
            Err(TryLockError::Poisoned(queue)) => Some(queue.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn put(&self, mut queue: MutexGuard<'_, Queue>, records: &mut Block, start: Option<Start>) {
        if !records.is_empty() {
            queue.bytes += records.len();
            let block = queue.spare.take().unwrap_or_default();
            queue.items.push_back(Item::Records(std::mem::replace(records, block)));
        }
        queue.items.extend(start.map(Item::Start));
        if std::mem::take(&mut queue.idle) {
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// Writes until the end of the recording.
    fn write(&self, mut ring: Ring) {
        loop {
            let mut queue = self.lock();
            while queue.items.is_empty() && !queue.closed {
                queue.idle = true;
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.idle = false;
            let (items, last) = (std::mem::take(&mut queue.items), queue.closed);
            queue.bytes = 0;
            drop(queue);
            for item in items {
                let kept = match item {
                    Item::Start(start) => ring.start(start),
                    Item::Records(mut block) => {
                        let kept = ring.write(&mut block);
                        let records = block.clear();
                        if !matches!(kept, Ok(true)) {
                            self.counters.lost.fetch_add(records, Ordering::Relaxed);
                        }
                        if block.capacity() <= SPARE_BYTES {
                            self.lock().spare = Some(block);
                        }
                        kept.map(drop)
                    }
                };
                if let Err(error) = kept {
                    ring.current = None;
                    self.failed.store(true, Ordering::Relaxed);
                    log::warn!("the recording in {} pauses: {error}", ring.folder.display());
                }
            }
            self.counters.bytes.store(ring.total, Ordering::Relaxed);
            if last {
                self.lock().done = true;
                self.changed.notify_all();
                return;
            }
        }
    }
}

impl Ring {
    /// The ring in this folder, with what it holds.
    pub(super) fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut files: Vec<_> = Vec::new();
        for (number, path) in files_in(folder)? {
            files.push((number, fs::metadata(path)?.len()));
        }
        let total = files.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self { folder: folder.to_owned(), limit, files: files.into(), total, current: None })
    }

    pub(super) fn next_number(&self) -> u64 {
        self.files.back().map_or(1, |(number, _)| number.saturating_add(1))
    }

    /// Begins another file.
    fn start(&mut self, start: Start) -> io::Result<()> {
        let Start { header, checkpoint } = start;
        let number = header.number;
        let (mut bytes, seal) = header.encode();
        let mut block = Block::default();
        encode::record(block.records(), &Record::Checkpoint(checkpoint));
        bytes.extend(seal.seal(0, &mut block));
        // The one before it is complete.
        self.current = None;
        self.make_room(bytes.len() as u64, 0)?;
        let path = self.folder.join(format!("{number:08}{SUFFIX}"));
        let mut new = OpenOptions::new();
        let file = new.write(true).create_new(true).mode(0o600).open(path)?;
        self.current = Some(Current { file, seal, block: 1 });
        self.files.push_back((number, 0));
        self.append(&bytes)
    }

    /// Returns `false` if there is no file to write to.
    fn write(&mut self, block: &mut Block) -> io::Result<bool> {
        let Some(current) = &mut self.current else { return Ok(false) };
        let bytes = current.seal.seal(current.block, block);
        current.block += 1;
        self.make_room(bytes.len() as u64, 1)?;
        self.append(bytes)?;
        Ok(true)
    }

    /// Removes the oldest files until so many bytes more are within the limit; the latest `kept`
    /// stay.
    fn make_room(&mut self, bytes: u64, kept: usize) -> io::Result<()> {
        while self.total + bytes > self.limit {
            if self.files.len() <= kept {
                let why = format!("{bytes} B more do not fit into {} B", self.limit);
                return Err(io::Error::other(why));
            }
            let Some((number, size)) = self.files.front().copied() else { return Ok(()) };
            match fs::remove_file(self.folder.join(format!("{number:08}{SUFFIX}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.files.pop_front();
            self.total -= size;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let written = current.file.write_all(bytes);
        // What was written in part counts, too.
        self.total += bytes.len() as u64;
        if let Some((_, size)) = self.files.back_mut() {
            *size += bytes.len() as u64;
        }
        written
    }
}

/// The files of a recording in order of their numbers.
pub(super) fn files_in(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(SUFFIX)).and_then(|it| it.parse().ok());
        files.extend(number.map(|number: u64| (number, path.clone())));
    }
    files.sort_unstable();
    Ok(files)
}
