//! A process that dies after each single call of the system, and folders that fail.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::storage::disk::{Change, Disk, Outcome};
use crate::storage::tests::{Bench, Run, founding, identity, luck};
use crate::storage::{DiskError, DiskFault, DiskFiles, DiskSpeed};
use folder::Folder;
use writer::Writer;

/// A folder in memory that knows what is durable.
#[derive(Clone)]
struct Model(Rc<RefCell<Medium>>);

struct Medium {
    files: Vec<Inode>,
    /// What each name stands for, and what it stood for when the names were last synced.
    names: Names,
    durable: Names,
    /// What became of names since.
    pending: Vec<Rename>,
    /// How many calls there were.
    calls: usize,
    /// The process dies with this call.
    dies: usize,
    full: bool,
    luck: ChaCha8Rng,
}

type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Rename {
    Add(String, usize),
    Move(String, String),
    Remove(String),
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// The places of the writes that are not durable.
    written: Vec<(usize, usize)>,
}

const SMALL: Options = Options {
    segment_bytes: 300 << 10,
    backlog_bytes: 64 << 20,
    pack_bytes: 100 << 10,
    chunk_backlog_bytes: 64 << 20,
    spare_bytes: 1 << 20,
};

impl Medium {
    fn new(luck: ChaCha8Rng) -> Self {
        Self {
            files: Vec::new(),
            names: Names::new(),
            durable: Names::new(),
            pending: Vec::new(),
            calls: 0,
            dies: usize::MAX,
            full: false,
            luck,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.luck.next_u64() % limit as u64) as usize
    }

    /// Every call begins with this.
    fn call(&mut self, takes_room: bool) -> io::Result<()> {
        self.calls += 1;
        match () {
            () if self.calls > self.dies => Err(io::Error::other("it is dead")),
            () if self.full && takes_room => Err(ErrorKind::StorageFull.into()),
            () => Ok(()),
        }
    }

    fn rename(&mut self, rename: Rename) {
        rename.apply(&mut self.names);
        self.pending.push(rename);
    }

    /// The power fails: of each write that no sync has covered, and of each new name, all, some or
    /// nothing is there.
    fn crash(&mut self) {
        let mut names = std::mem::take(&mut self.durable);
        for rename in std::mem::take(&mut self.pending) {
            if self.below(2) == 0 {
                rename.apply(&mut names);
            }
        }
        for place in 0..self.files.len() {
            if !names.values().any(|it| *it == place) {
                self.files[place] = Inode::default();
                continue;
            }
            let mut file = std::mem::take(&mut self.files[place]);
            let (least, most) = (file.durable.len(), file.bytes.len());
            let size = match self.below(3) {
                0 => least,
                1 => most,
                _ => least + self.below(most - least + 1),
            };
            file.durable.resize(size, 0);
            for (start, end) in std::mem::take(&mut file.written) {
                let fate = self.below(3);
                let kept = match fate {
                    0 => start,
                    1 => end,
                    _ => start + self.below(end - start),
                };
                let kept = kept.min(file.durable.len());
                if start < kept {
                    file.durable[start..kept].copy_from_slice(&file.bytes[start..kept]);
                }
            }
            file.bytes.clone_from(&file.durable);
            self.files[place] = file;
        }
        (self.names, self.durable) = (names.clone(), names);
        (self.dies, self.full) = (usize::MAX, false);
    }
}

impl Rename {
    fn apply(&self, names: &mut Names) {
        match self {
            Rename::Add(name, file) => {
                names.insert(name.clone(), *file);
            }
            Rename::Move(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Rename::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Folder for Model {
    type File = usize;

    fn create(&mut self, name: &str) -> io::Result<usize> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(true)?;
        medium.files.push(Inode::default());
        let file = medium.files.len() - 1;
        medium.rename(Rename::Add(name.to_owned(), file));
        Ok(file)
    }

    fn open(&mut self, name: &str) -> io::Result<usize> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(false)?;
        medium.names.get(name).copied().ok_or(ErrorKind::NotFound.into())
    }

    fn reserve(&mut self, file: &usize, bytes: u64) -> io::Result<bool> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(true)?;
        medium.files[*file].bytes.resize(bytes as usize, 0);
        Ok(true)
    }

    fn write(&mut self, file: &usize, at: u64, bytes: &[u8]) -> io::Result<()> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(false)?;
        let file = &mut medium.files[*file];
        let place = (at as usize, at as usize + bytes.len());
        let there = file.bytes.get_mut(place.0..place.1).expect("room was set aside");
        // A batch that found no room is tried again, with more behind it perhaps.
        let same = there.iter().zip(bytes).take_while(|(there, byte)| there == byte).count();
        assert!(there[same..].iter().all(|byte| *byte == 0), "written once");
        there.copy_from_slice(bytes);
        file.written.push(place);
        Ok(())
    }

    fn sync(&mut self, file: &usize) -> io::Result<()> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(false)?;
        let file = &mut medium.files[*file];
        file.written.clear();
        file.durable.clone_from(&file.bytes);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(false)?;
        medium.rename(Rename::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(false)?;
        medium.rename(Rename::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let medium = &mut *self.0.borrow_mut();
        medium.call(false)?;
        medium.pending.clear();
        medium.durable.clone_from(&medium.names);
        Ok(())
    }
}

/// What a process has of the folder.
struct ModelDisk {
    model: Model,
    writer: Writer<Model>,
    outcome: Option<Outcome>,
}

impl ModelDisk {
    fn open(model: &Model) -> Self {
        let writer = Writer::new(model.clone(), PathBuf::new(), SMALL.segment_bytes);
        Self { model: model.clone(), writer, outcome: None }
    }
}

impl DiskFiles for ModelDisk {
    fn files(&self) -> Result<Vec<FileId>, DiskError> {
        let medium = self.model.0.borrow();
        let mut files: Vec<_> = medium.names.keys().filter_map(|it| FileId::of_name(it)).collect();
        files.sort_unstable();
        Ok(files)
    }

    fn read(&self, file: FileId) -> Result<Bytes, DiskError> {
        let medium = self.model.0.borrow();
        let place = medium.names.get(&file.to_string()).ok_or(DiskError::Gone(file))?;
        Ok(Bytes::copy_from_slice(&medium.files[*place].bytes))
    }

    fn read_part(&self, file: FileId, at: u64, length: usize) -> Result<Bytes, DiskError> {
        let bytes = self.read(file)?;
        Ok(bytes.slice(at as usize..bytes.len().min(at as usize + length)))
    }
}

impl Disk for ModelDisk {
    fn commit(&mut self, changes: Vec<Change>, _: Time) {
        self.outcome = Some(self.writer.carry_out(changes));
    }

    fn poll(&mut self, _: Time) -> Option<Outcome> {
        let outcome = self.outcome.take();
        if matches!(outcome, Some(Outcome::Done)) {
            self.writer.prepare();
        }
        outcome
    }

    fn finish(&mut self) -> Outcome {
        self.poll(Time::default()).expect("a batch under way")
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// Processes that write to the folder, one after the other.
struct Processes {
    model: Model,
    seed: u64,
    /// After how many calls the next one dies, in turn; then any number.
    lives: Vec<usize>,
    log: Option<Rc<RefCell<SegmentLog<ModelDisk>>>>,
}

impl Processes {
    fn new(seed: u64, lives: Vec<usize>) -> Self {
        let model = Model(Rc::new(RefCell::new(Medium::new(luck(seed, 3)))));
        let mut disk = ModelDisk::open(&model);
        SegmentLog::format(&mut disk, &identity(seed), &founding(), SMALL).unwrap();
        Self { model, seed, lives, log: None }
    }
}

impl Bench for Processes {
    fn start(&mut self) -> Box<dyn Storage> {
        let log = SegmentLog::open(ModelDisk::open(&self.model), identity(self.seed), SMALL);
        let log = Rc::new(RefCell::new(log.expect("a crash is no damage")));
        self.log = Some(log.clone());
        let medium = &mut *self.model.0.borrow_mut();
        let life = self.lives.pop().unwrap_or_else(|| medium.below(60));
        medium.dies = medium.calls.saturating_add(life);
        Box::new(log)
    }

    fn suffer(&mut self, fault: DiskFault) {
        let medium = &mut *self.model.0.borrow_mut();
        match fault {
            DiskFault::Full => medium.full = true,
            DiskFault::Free => medium.full = false,
            DiskFault::Mend => (medium.full, medium.dies) = (false, usize::MAX),
            _ => {}
        }
    }

    fn set_speed(&mut self, _: DiskSpeed) {}

    fn ended(&mut self, orderly: bool, now: Time) {
        if let (Some(log), true) = (self.log.take(), orderly) {
            log.borrow_mut().flush(now);
        }
        self.model.0.borrow_mut().crash();
    }

    fn keeps_terms(&self) -> bool {
        false
    }
}

/// TRAPS 7, 74: lives that end anywhere, on a folder that is full at times.
#[test]
fn trap_74_processes_that_die_lose_nothing_that_was_durable() {
    let (mut torn, mut failed) = (0, 0);
    for seed in 0..40 {
        let mut run = Run::new(seed, Processes::new(seed, Vec::new()));
        for _ in 0..200 {
            run.step();
        }
        run.disk.suffer(DiskFault::Mend);
        run.end(true);
        (torn, failed) = (torn + run.torn, failed + run.failed);
    }
    assert!(torn > 10 && failed > 60, "{torn} {failed}");
}

/// The first life ends with each of its calls: every write, sync, rename and removal.
#[test]
fn trap_74_a_process_dies_after_every_single_call() {
    let mut calls = 0;
    for seed in 0..3 {
        for life in 0.. {
            let mut run = Run::new(seed, Processes::new(seed, vec![usize::MAX / 2, life]));
            let before = run.disk.model.0.borrow().calls;
            for _ in 0..150 {
                let choice = run.below(25);
                run.act(choice);
            }
            run.disk.suffer(DiskFault::Mend);
            run.end(true);
            if run.failed == 0 {
                calls += run.disk.model.0.borrow().calls - before;
                break;
            }
        }
    }
    assert!(calls > 200, "{calls} calls");
}

/// A sync that fails is final, even if it says that there is no room; before the first sync, no
/// room is a state.
#[test]
fn no_room_is_told_from_what_may_be_lost() {
    let model = Model(Rc::new(RefCell::new(Medium::new(luck(1, 3)))));
    let mut disk = ModelDisk::open(&model);
    SegmentLog::format(&mut disk, &identity(1), &founding(), SMALL).unwrap();
    let create = |number| Change::Create { file: FileId::Log(number), bytes: 400 << 10 };
    let write = |number| Change::Write { file: FileId::Log(number), at: 8, bytes: vec![1; 8] };
    model.0.borrow_mut().full = true;
    // What stands there already is no obstacle to the same bytes.
    let file = disk.read(FileId::Log(1)).unwrap();
    let again = Change::Write { file: FileId::Log(1), at: 0, bytes: file[..8].to_vec() };
    let changes = vec![again, create(2), write(2)];
    let Outcome::Full(back) = disk.writer.carry_out(changes.clone()) else { panic!("it is full") };
    assert_eq!(back, changes, "as they were");
    assert_eq!(disk.files().unwrap(), [FileId::Log(1)], "nothing is left of it");
    model.0.borrow_mut().full = false;
    assert!(matches!(disk.writer.carry_out(back), Outcome::Done));
    assert_eq!(&disk.read(FileId::Log(2)).unwrap()[..24], [[0; 8], [1; 8], [0; 8]].as_flattened());
    let calls = model.0.borrow().calls;
    // The write is done, the sync is not.
    model.0.borrow_mut().dies = calls + 1;
    let write = Change::Write { file: FileId::Log(2), at: 16, bytes: vec![1; 8] };
    assert!(matches!(disk.writer.carry_out(vec![write]), Outcome::Failed(_)));
}
