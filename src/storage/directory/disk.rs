//! A disk of files, with a thread that carries its batches out.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::folder::RealFolder;
use super::lock::Lock;
use super::meter::Meter;
use super::reader::Reader;
use super::writer::{LARGE, Writer, written};
use crate::raft::Time;
use crate::storage::disk::{Change, Disk, DiskError, DiskFiles, FileId, Outcome};

/// Files in a folder. Both channels hold one batch: there is never more than one under way.
///
/// When this is dropped, the batch under way is waited for, so that nobody writes to the folder
/// any more when its owner has given it up.
pub(in crate::storage) struct FileDisk {
    reader: Reader,
    orders: Option<SyncSender<Vec<Change>>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
}

impl FileDisk {
    /// Opens a folder, whose thread calls `wake` whenever a batch has ended.
    pub(super) fn open(
        path: &Path,
        segment_bytes: u64,
        lock: Arc<Lock>,
        meter: Arc<Meter>,
        wake: Box<dyn Fn() + Send>,
    ) -> Result<Self, DiskError> {
        let reader = Reader::new(path);
        reader.clear_up()?;
        let mut writer = Writer::open(path, segment_bytes)?;
        let (orders, batches) = sync_channel::<Vec<Change>>(1);
        let (done, outcomes) = sync_channel(1);
        let work = move || {
            // Whoever opens the directory next finds it locked until this thread has ended.
            let _lock = lock;
            for changes in batches {
                let bytes = written(&changes);
                let outcome = meter.time(bytes, || writer.carry_out(changes));
                let is_small = matches!(outcome, Outcome::Done) && bytes <= LARGE;
                if done.send(outcome).is_err() {
                    return;
                }
                wake();
                if is_small {
                    writer.prepare();
                }
            }
        };
        let thread = thread::Builder::new().name("jangada-disk".to_owned()).spawn(work);
        let thread = thread.map_err(|error| DiskError::io("start a thread for", path, &error))?;
        Ok(Self { reader, orders: Some(orders), outcomes, thread: Some(thread) })
    }
}

impl Drop for FileDisk {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was said then.
            let _ = thread.join();
        }
    }
}

impl DiskFiles for FileDisk {
    fn files(&self) -> Result<Vec<FileId>, DiskError> {
        self.reader.files()
    }

    fn read(&self, file: FileId) -> Result<Bytes, DiskError> {
        self.reader.read(file)
    }

    fn read_start(&self, file: FileId, length: usize) -> Result<Bytes, DiskError> {
        self.reader.read_start(file, length)
    }

    fn size(&self, file: FileId) -> Result<u64, DiskError> {
        self.reader.size(file)
    }

    fn read_part(&self, file: FileId, at: u64, length: usize) -> Result<Bytes, DiskError> {
        self.reader.read_part(file, at, length)
    }
}

impl Disk for FileDisk {
    fn commit(&mut self, changes: Vec<Change>, _: Time) {
        if let Some(orders) = &self.orders {
            // A thread that has ended answers no poll either, and that is an error.
            let _ = orders.send(changes);
        }
    }

    fn poll(&mut self, _: Time) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Outcome::Failed(DiskError::ThreadEnded)),
        }
    }

    fn finish(&mut self) -> Outcome {
        self.outcomes.recv().unwrap_or(Outcome::Failed(DiskError::ThreadEnded))
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// A disk whose batches are carried out where they are handed over: to make a log.
pub(super) struct InlineDisk {
    reader: Reader,
    writer: Writer<RealFolder>,
    outcome: Option<Outcome>,
}

impl InlineDisk {
    pub(super) fn open(path: &Path, segment_bytes: u64) -> Result<Self, DiskError> {
        let writer = Writer::open(path, segment_bytes)?;
        Ok(Self { reader: Reader::new(path), writer, outcome: None })
    }
}

impl DiskFiles for InlineDisk {
    fn files(&self) -> Result<Vec<FileId>, DiskError> {
        self.reader.files()
    }

    fn read(&self, file: FileId) -> Result<Bytes, DiskError> {
        self.reader.read(file)
    }

    fn read_start(&self, file: FileId, length: usize) -> Result<Bytes, DiskError> {
        self.reader.read_start(file, length)
    }

    fn size(&self, file: FileId) -> Result<u64, DiskError> {
        self.reader.size(file)
    }

    fn read_part(&self, file: FileId, at: u64, length: usize) -> Result<Bytes, DiskError> {
        self.reader.read_part(file, at, length)
    }
}

impl Disk for InlineDisk {
    fn commit(&mut self, changes: Vec<Change>, _: Time) {
        self.outcome = Some(self.writer.carry_out(changes));
    }

    fn poll(&mut self, _: Time) -> Option<Outcome> {
        self.outcome.take()
    }

    fn finish(&mut self) -> Outcome {
        self.outcome.take().expect("invariant: somebody waits for the batch under way")
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}
