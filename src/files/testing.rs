//! A store with one client, for the tests of this room.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use proptest::test_runner::{Config, RngSeed};
use uuid::Uuid;

use super::{
    Answer, ChunkStore, Command, ContentHash, FileInfo, FileStore, Limits, Query, Refusal, Reply,
    Request, open_session,
};

/// A store, its log so far, and a client that has one request under way at a time.
pub(super) struct Bench {
    pub(super) store: FileStore,
    pub(super) log: Vec<Bytes>,
    pub(super) session: u64,
    pub(super) serial: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let store = FileStore::new(limits);
        let mut bench = Self { store, log: Vec::new(), session: 0, serial: 0 };
        bench.session = bench.open();
        bench
    }

    /// Opens another session.
    pub(super) fn open(&mut self) -> u64 {
        match self.apply(open_session()) {
            Ok(Answer::SessionOpened { session }) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Logs and applies a payload.
    pub(super) fn apply(&mut self, payload: impl Into<Bytes>) -> Reply {
        let payload = payload.into();
        self.log.push(payload.clone());
        Answer::decode(&self.store.apply(self.log.len() as u64, &payload))
    }

    /// Puts the store in place that a snapshot of it restores.
    pub(super) fn restart_from_snapshot(&mut self) {
        let (mut frozen, mut restore) = (self.store.freeze(), self.store.restore());
        while let Some((id, chunk)) = frozen.next_chunk() {
            restore.feed(id, &chunk.unwrap()).unwrap();
        }
        self.store = restore.finish(self.log.len() as u64).unwrap();
    }

    /// The client's next request, all before it being acknowledged.
    pub(super) fn request(&mut self, command: Command, data: &[u8]) -> Bytes {
        self.serial += 1;
        let Self { session, serial, .. } = *self;
        Request { session, serial, acknowledged: serial, command }.encode(data)
    }

    pub(super) fn run(&mut self, command: Command, data: &[u8]) -> Reply {
        let payload = self.request(command, data);
        self.apply(payload)
    }

    pub(super) fn create(&mut self, number: u128, name: &str, data: &[u8]) -> Reply {
        self.run(create(number, name, data.len()), data)
    }

    pub(super) fn append(&mut self, file: &str, data: &[u8]) -> Reply {
        self.run(append(file), data)
    }

    pub(super) fn stage(&mut self, upload: u128, offset: u64, data: &[u8]) -> Reply {
        self.run(Command::Stage { upload: uuid(upload), offset, onto: None }, data)
    }

    pub(super) fn query(&self, query: &Query) -> Reply {
        Answer::decode(&self.store.query(&query.encode()))
    }

    pub(super) fn stat(&self, file: &str) -> Result<FileInfo, Refusal> {
        match self.query(&Query::Stat { file: file.to_owned() })? {
            Answer::Stat(info) => Ok(info),
            other => panic!("{other:?}"),
        }
    }

    /// The file's bytes.
    pub(super) fn cat(&self, file: &str) -> Result<Vec<u8>, Refusal> {
        let uuid = self.stat(file)?.uuid;
        let mut read = Vec::new();
        loop {
            let offset = read.len() as u64;
            match self.query(&Query::Read { uuid, offset, limit: u64::MAX })? {
                Answer::Content { bytes, .. } if bytes.is_empty() => return Ok(read),
                Answer::Content { bytes, .. } => read.extend_from_slice(&bytes),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A chunk store in memory, and the names of the chunks of the latest snapshot, in order.
#[derive(Clone, Default)]
pub(super) struct Keeper {
    pub(super) chunks: Rc<RefCell<BTreeMap<ContentHash, Bytes>>>,
    pub(super) snapshot: Rc<RefCell<Vec<ContentHash>>>,
}

impl ChunkStore for Keeper {
    fn chunk(&self, id: &ContentHash) -> Option<Bytes> {
        self.chunks.borrow().get(id).cloned()
    }

    fn has_chunk(&self, id: &ContentHash) -> bool {
        self.chunks.borrow().contains_key(id)
    }
}

impl Keeper {
    /// Takes a snapshot of a store, whose chunk store this is, and keeps nothing else. Returns how
    /// many chunks came with their bytes.
    pub(super) fn take(&self, store: &FileStore) -> usize {
        let (mut frozen, mut names, mut fresh) = (store.freeze(), Vec::new(), 0);
        while let Some((id, bytes)) = frozen.next_chunk() {
            names.push(id);
            fresh += usize::from(bytes.is_some());
            if let Some(bytes) = bytes {
                self.chunks.borrow_mut().insert(id, bytes);
            }
        }
        self.chunks.borrow_mut().retain(|id, _| names.contains(id));
        assert!(names.iter().all(|id| self.has_chunk(id)));
        *self.snapshot.borrow_mut() = names;
        frozen.let_go();
        fresh
    }

    /// The store that the latest snapshot restores.
    pub(super) fn restored(&self, by: &FileStore, index: u64) -> FileStore {
        let mut restore = by.restore();
        for id in &*self.snapshot.borrow() {
            restore.feed(*id, &self.chunk(id).unwrap()).unwrap();
        }
        restore.finish(index).unwrap()
    }
}

/// Properties are checked on the same cases in every run.
pub(super) fn cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

pub(super) fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(super) fn create(number: u128, name: &str, size: usize) -> Command {
    let (uuid, name, size) = (uuid(number), name.to_owned(), size as u64);
    Command::Create { uuid, name, size, upload: None, replace: false }
}

/// Creates a file from upload `upload`.
pub(super) fn create_from(number: u128, name: &str, size: u64, upload: u128) -> Command {
    let (upload, name) = (Some(uuid(upload)), name.to_owned());
    Command::Create { uuid: uuid(number), name, size, upload, replace: false }
}

pub(super) fn append(file: &str) -> Command {
    Command::Append { file: file.to_owned() }
}
