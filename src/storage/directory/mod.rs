//! A server's data directory: its log on real files, and who it belongs to.
//!
//! | in the directory | what |
//! |---|---|
//! | `identity` | format, cluster and server, as text |
//! | `lock` | held locked by the process that uses the directory; its number as text |
//! | `log/00000001.log` ... | the segments of the log |
//! | `log/00000001.pack` ... | the chunks of the snapshots |
//! | `log/*.new` | files that are not in use yet, and room in reserve; whoever opens the directory removes them |
//! | `blackbox/00000001.box` ... | what entered the core, recorded (`blackbox/`) |
//! | `damaged-1` ... | logs that were put aside, by [`DataDir::reformat_joining`] |
//! | `log.new` | a log that is being made |
//!
//! The directory and its files are for their owner alone (modes 0700 and 0600). `docs/storage.md`
//! shows every byte of them.

mod disk;
mod error;
mod folder;
mod inspect;
mod label;
mod lock;
mod meter;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use uuid::Uuid;

use super::segments::{Identity, Options, SegmentLog};
use super::{Sizes, Storage, StorageError, TornTail};
use crate::raft::{Persistent, ServerId, Time};
use disk::{FileDisk, InlineDisk};
use lock::{LOCK, Lock};
use meter::Meter;

pub use error::DirectoryError;
pub use inspect::{Inspection, inspect};
pub use meter::{SYNC_BUCKETS, SyncTimes};

/// The folder of the log.
const LOG: &str = "log";
/// Its name while it is made.
const NEW_LOG: &str = "log.new";
/// How the names of logs begin that were put aside.
const DAMAGED: &str = "damaged-";

/// The sizes of a log on files: segments and packs of 16 MiB.
pub(crate) const ON_FILES: Options = Options {
    segment_bytes: 16 << 20,
    backlog_bytes: 128 << 20,
    pack_bytes: 16 << 20,
    chunk_backlog_bytes: 128 << 20,
    spare_bytes: 1 << 30,
};

/// A server's data directory, which no other process can open meanwhile.
///
/// Dropping it, and every storage of it, is what a crash of the server does: what was not durable
/// may be lost. [`close`](Self::close) is the good order.
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    log: Rc<RefCell<SegmentLog<FileDisk>>>,
    meter: Arc<Meter>,
}

/// Whose a data directory has to be. What is not said is not checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// The cluster.
    pub cluster: Option<Uuid>,
    /// The server.
    pub server: Option<ServerId>,
}

impl DataDir {
    /// Makes the data directory of a new server: of a founding member, or of one that is to join
    /// ([`Persistent::joining`]). The directory, and those above it, are made if they are not
    /// there. An attempt that a crash cut short is begun anew.
    ///
    /// # Errors
    /// If something is there already, or the disk does not take it.
    pub fn create(
        path: &Path,
        identity: &Identity,
        founding: &Persistent,
    ) -> Result<(), DirectoryError> {
        Self::create_with(path, identity, founding, ON_FILES)
    }

    fn create_with(
        path: &Path,
        identity: &Identity,
        founding: &Persistent,
        options: Options,
    ) -> Result<(), DirectoryError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| DirectoryError::io("make", path, &error))?;
        let _lock = Lock::take(path)?;
        refuse_what_is_there(path)?;
        let opened = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        opened.map_err(|error| DirectoryError::io("close to others", path, &error))?;
        make_log(path, identity, founding, options)?;
        label::write(path, identity)?;
        rename(path, NEW_LOG, LOG)
    }

    /// Opens a data directory and reads its log. `wake` is called from the thread of the disk
    /// whenever a batch has ended: then [`Storage::durable`] has news.
    ///
    /// # Errors
    /// If there is none, if another process has it, if it is another's or of another format, or if
    /// the server must not start from it.
    pub fn open(
        path: &Path,
        expected: Expected,
        wake: Box<dyn Fn() + Send>,
    ) -> Result<Self, DirectoryError> {
        Self::open_with(path, expected, wake, ON_FILES)
    }

    fn open_with(
        path: &Path,
        expected: Expected,
        wake: Box<dyn Fn() + Send>,
        options: Options,
    ) -> Result<Self, DirectoryError> {
        // A directory that is not there is not made by its lock.
        label::read(path, Expected::default())?;
        let lock = Arc::new(Lock::take(path)?);
        let identity = label::read(path, expected)?;
        let permissions = fs::metadata(path).map(|it| it.permissions().mode() & 0o777);
        let mode = permissions.map_err(|error| DirectoryError::io("look at", path, &error))?;
        if mode & 0o077 != 0 {
            return Err(DirectoryError::Open { path: path.to_owned(), mode });
        }
        let folder = path.join(LOG);
        let failed = |error: StorageError| DirectoryError::storage(&folder, identity, error);
        if !folder.is_dir() {
            return Err(failed(StorageError::NotFormatted));
        }
        let meter = Arc::new(Meter::default());
        let disk = FileDisk::open(&folder, options.segment_bytes, lock, meter.clone(), wake);
        let disk = disk.map_err(|error| failed(error.into()))?;
        let log = SegmentLog::open(disk, identity, options).map_err(failed)?;
        Ok(Self { path: path.to_owned(), identity, log: Rc::new(RefCell::new(log)), meter })
    }

    /// Makes the log anew of a server that cannot start from what it has, or whose cluster was
    /// given up for `cluster`: it is to join, and neither votes nor acknowledges anything until it
    /// has recovered from a quorum. What was there is not deleted but put aside, in a folder whose
    /// path is returned, if there was anything.
    ///
    /// # Errors
    /// If there is no data directory, if another process has it, or if its server can start from
    /// it.
    pub fn reformat_joining(
        path: &Path,
        cluster: Option<Uuid>,
    ) -> Result<Option<PathBuf>, DirectoryError> {
        let lock = Arc::new(match label::read(path, Expected::default()) {
            Ok(_) => Lock::take(path)?,
            Err(error) => return Err(error),
        });
        let old = label::read(path, Expected::default())?;
        let identity = Identity { cluster: cluster.unwrap_or(old.cluster), ..old };
        let folder = path.join(LOG);
        if folder.is_dir() && identity == old {
            let disk = InlineDisk::open(&folder, ON_FILES.segment_bytes);
            let opened = disk.map_err(StorageError::from);
            let opened = opened.and_then(|disk| SegmentLog::open(disk, identity, ON_FILES));
            if opened.and_then(|log| log.check_content()).is_ok() {
                return Err(DirectoryError::Sound { path: path.to_owned() });
            }
        }
        make_log(path, &identity, &Persistent::joining(), ON_FILES)?;
        let aside = folder.is_dir().then(|| unused(path));
        if let Some(aside) = &aside {
            rename(path, LOG, aside)?;
        }
        label::write(path, &identity)?;
        rename(path, NEW_LOG, LOG)?;
        drop(lock);
        Ok(aside.map(|name| path.join(name)))
    }

    /// Whose it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its server reads and writes.
    pub fn storage(&self) -> Box<dyn Storage> {
        Box::new(self.log.clone())
    }

    /// How much room it takes.
    pub fn sizes(&self) -> Sizes {
        self.log.borrow().sizes()
    }

    /// What was cut off when it was opened.
    pub fn torn(&self) -> Option<TornTail> {
        self.log.borrow().load().torn
    }

    /// Whether something waits for room, as [`Storage::is_full`].
    pub fn is_full(&self) -> bool {
        self.log.borrow().is_full()
    }

    /// How long its batches took.
    pub fn sync_times(&self) -> SyncTimes {
        self.meter.times()
    }

    /// Makes everything durable that was written, and protects it, as a server does that ends in
    /// good order. Waits for the disk.
    ///
    /// # Errors
    /// If the storage had failed, or fails now. That it is full is none: what waited was never
    /// acknowledged.
    pub fn close(self) -> Result<(), DirectoryError> {
        let mut log = self.log.borrow_mut();
        log.flush(Time::default());
        let durable = log.durable(Time::default());
        let folder = self.path.join(LOG);
        durable.map_err(|error| DirectoryError::storage(&folder, self.identity, error))?;
        Ok(())
    }
}

/// Makes a log beside the one that is there.
fn make_log(
    path: &Path,
    identity: &Identity,
    founding: &Persistent,
    options: Options,
) -> Result<(), DirectoryError> {
    let folder = path.join(NEW_LOG);
    let failed = |error| DirectoryError::io("make", &folder, &error);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    let formatted = InlineDisk::open(&folder, options.segment_bytes)
        .map_err(StorageError::from)
        .and_then(|mut disk| SegmentLog::format(&mut disk, identity, founding, options));
    formatted.map_err(|error| DirectoryError::storage(&folder, *identity, error))
}

/// Durably gives something in the directory another name.
fn rename(path: &Path, from: &str, to: &str) -> Result<(), DirectoryError> {
    let renamed = fs::rename(path.join(from), path.join(to));
    let synced = renamed.and_then(|()| File::open(path)?.sync_all());
    synced.map_err(|error| DirectoryError::io("rename", &path.join(from), &error))
}

/// Refuses all but an attempt to make a data directory that was cut short: then `log.new` is there
/// and nothing that had been in use.
fn refuse_what_is_there(path: &Path) -> Result<(), DirectoryError> {
    let failed = |error| DirectoryError::io("read", path, &error);
    let cut_short = path.join(NEW_LOG).is_dir();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let harmless = match name.to_str() {
            Some(LOCK | NEW_LOG | label::NEW_LABEL | "lost+found") => true,
            Some(label::LABEL) => cut_short,
            _ => false,
        };
        if !harmless {
            let entry = name.to_string_lossy().into_owned();
            return Err(DirectoryError::NotEmpty { path: path.to_owned(), entry });
        }
    }
    Ok(())
}

/// The first name of its kind that is not taken.
fn unused(path: &Path) -> String {
    let names = (1..).map(|number: u64| format!("{DAMAGED}{number}"));
    let mut free = names.filter(|name| !path.join(name).exists());
    free.next().expect("invariant: there are more numbers than files")
}
