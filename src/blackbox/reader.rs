//! A recording, read back: its files one after the other, and what is missing between them.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::FOLDER;
use super::file::{Fault, HEADER_BYTES, Header, Records};
use super::record::{Checkpoint, Record};
use super::writer::files_in;
use crate::raft::ServerId;

/// The recording of one server.
#[derive(Debug)]
pub struct Recording {
    folder: PathBuf,
    server: ServerId,
    cluster: Uuid,
    files: VecDeque<PathBuf>,
    /// Files that are none, and why.
    unusable: Vec<String>,
}

/// Why a directory cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// There are no files of a recording.
    #[error(
        "{} holds no recording: name the data directory of a server that was started with \
         `blackbox`",
        .0.display()
    )]
    None(PathBuf),
    /// The directory or a file of it cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// No file of it can be used.
    #[error("no file of the recording in {} can be used: {why}", .folder.display())]
    Unusable {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong with the first.
        why: String,
    },
    /// A file of another server or cluster stands among the others.
    #[error("{} is of {server} of cluster {cluster}; the files before it are not", .path.display())]
    Mixed {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        server: ServerId,
        /// Of which cluster.
        cluster: Uuid,
    },
    /// Two recordings are of one server, or of different clusters.
    #[error("{0}")]
    Together(String),
}

/// What comes next in a recording.
pub(super) enum Event {
    /// A file begins, with the whole state of the core.
    Begin {
        header: Header,
        checkpoint: Box<Checkpoint>,
        /// Right behind what came before: nothing is missing.
        continues: bool,
    },
    /// The record with this number in the file.
    Record(u64, Record),
    /// What follows is missing.
    Dark(Dark),
}

/// Why something is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Dark {
    /// The server ended, and recorded so: nothing is missing.
    Ended,
    /// The process ended without a word, and its last moments were not written.
    Killed,
    /// So many records were left out, as the disk did not take them in time.
    Lost(u64),
    /// A file is missing, or damaged.
    Damaged(String),
}

/// Goes through the files of a recording.
pub(super) struct Stream {
    files: VecDeque<PathBuf>,
    /// The file that is read, and its name.
    open: Option<(Records, String)>,
    /// How the latest file began.
    latest: Option<Header>,
    /// Why what follows does not continue what came before, if it was said already.
    broken: bool,
    /// Because of this the rest of a file is not used.
    fault: Option<Dark>,
    unusable: Vec<String>,
}

/// Whether this is a directory with a recording in it.
pub fn is_recording(path: &Path) -> bool {
    path.is_dir()
}

impl Recording {
    /// The recording in a server's data directory, or in a folder of its own.
    ///
    /// # Errors
    /// If there is none, or nothing of it can be used.
    pub fn open(path: &Path) -> Result<Self, Unreadable> {
        let inner = path.join(FOLDER);
        let folder = if inner.is_dir() { inner } else { path.to_owned() };
        let io = |path: &Path, error| Unreadable::Io { path: path.to_owned(), error };
        let all = files_in(&folder).map_err(|error| io(&folder, error))?;
        if all.is_empty() {
            return Err(Unreadable::None(path.to_owned()));
        }
        let (mut files, mut unusable, mut whose) = (VecDeque::new(), Vec::new(), None);
        for (_, file) in all {
            match header_of(&file).map_err(|error| io(&file, error))? {
                Ok(Header { server, cluster, .. }) => {
                    if *whose.get_or_insert((server, cluster)) != (server, cluster) {
                        return Err(Unreadable::Mixed { path: file, server, cluster });
                    }
                    files.push_back(file);
                }
                Err(fault) => unusable.push(format!("{}: {fault}", name(&file))),
            }
        }
        let Some((server, cluster)) = whose else {
            let why = unusable.swap_remove(0);
            return Err(Unreadable::Unusable { folder, why });
        };
        Ok(Self { folder, server, cluster, files, unusable })
    }

    /// Whose it is.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// The cluster that it was a member of.
    pub fn cluster(&self) -> Uuid {
        self.cluster
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn stream(&self) -> Stream {
        let (files, unusable) = (self.files.clone(), self.unusable.clone());
        let (open, latest, broken, fault) = (None, None, true, None);
        Stream { files, open, latest, broken, fault, unusable }
    }
}

/// The header of a file; or why there is none.
fn header_of(path: &Path) -> io::Result<Result<Header, Fault>> {
    let mut head = Vec::with_capacity(HEADER_BYTES);
    fs::File::open(path)?.take(HEADER_BYTES as u64).read_to_end(&mut head)?;
    Ok(Header::decode(&head).map(|(header, _)| header))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Stream {
    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// If a file cannot be read at all.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Unreadable> {
        loop {
            if let Some(dark) = self.fault.take() {
                self.broken = true;
                return Ok(Some(Event::Dark(dark)));
            }
            if let Some((records, name)) = &mut self.open {
                match records.next() {
                    Some(Ok((_, Record::End))) => {
                        self.open = None;
                        self.broken = true;
                        return Ok(Some(Event::Dark(Dark::Ended)));
                    }
                    Some(Ok((number, record))) => return Ok(Some(Event::Record(number, record))),
                    Some(Err(fault)) => {
                        let text = format!("{name}: {fault}");
                        self.open = None;
                        self.fault = Some(self.what_is_torn(&fault, text));
                        continue;
                    }
                    None => self.open = None,
                }
            }
            let Some(path) = self.files.pop_front() else {
                let killed = !std::mem::replace(&mut self.broken, true);
                return Ok(killed.then_some(Event::Dark(Dark::Killed)));
            };
            let bytes =
                fs::read(&path).map_err(|error| Unreadable::Io { path: path.clone(), error })?;
            let (header, mut records) = match Records::of(bytes) {
                Ok(file) => file,
                Err(fault) => {
                    self.unusable.push(format!("{}: {fault}", name(&path)));
                    continue;
                }
            };
            let checkpoint = match records.next() {
                Some(Ok((_, Record::Checkpoint(checkpoint)))) => checkpoint,
                Some(Err(fault)) => {
                    self.unusable.push(format!("{}: {fault}", name(&path)));
                    continue;
                }
                // It was made a moment before its process was killed.
                _ => continue,
            };
            let before = self.latest.replace(header.clone());
            let gap = before.filter(|_| !self.broken).and_then(|before| gap(&before, &header));
            let continues = !self.broken && gap.is_none();
            self.open = Some((records, name(&path)));
            if let Some(gap) = gap {
                // Say so first, and then begin.
                self.files.push_front(path);
                self.open = None;
                self.fault = Some(gap);
                continue;
            }
            self.broken = false;
            return Ok(Some(Event::Begin { header, checkpoint, continues }));
        }
    }

    /// A record that is cut off is how the recording of a process ends that was killed; everything
    /// else is damage.
    fn what_is_torn(&self, fault: &Fault, text: String) -> Dark {
        let life = |path: &PathBuf| header_of(path).ok()?.ok().map(|header| header.life);
        let next = self.files.front().and_then(life);
        let goes_on = next.is_some() && next == self.latest.as_ref().map(|latest| latest.life);
        match fault {
            Fault::Torn(_) if !goes_on => Dark::Killed,
            _ => Dark::Damaged(text),
        }
    }

    /// Files that could not be used at all.
    pub(super) fn unusable(&self) -> &[String] {
        &self.unusable
    }
}

/// What is missing between two files, if anything is.
fn gap(before: &Header, after: &Header) -> Option<Dark> {
    if before.life != after.life {
        Some(Dark::Killed)
    } else if after.lost > 0 {
        Some(Dark::Lost(after.lost))
    } else if after.part != before.part + 1 {
        Some(Dark::Damaged(format!("a file before {:08} is missing", after.number)))
    } else {
        None
    }
}
