//! Every file at one moment in a folder, and back.
//!
//! A backup is `manifest.json`, which names the files and what their contents hash to, and a folder
//! `contents` with each content under its hash, once. So any names fit into any file system, and
//! `b3sum` checks a content. The manifest is written last: without it a folder is no backup.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::call::Client;
use super::content::Content;
use super::download::{Download, Reading};
use super::error::Error;
use super::files::{FileInfo, Rule};
use super::watch::News;
use crate::actors::Consistency;
use crate::files::FileName;

/// What a backup holds: its `manifest.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Backup {
    /// What the folder is, and how it is to be read.
    pub format: String,
    /// The log index whose state this is.
    pub index: u64,
    /// The files, by name.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The blake3 hash of its content, in hexadecimal: the name of its content.
    pub hash: String,
    /// The file that it was.
    pub uuid: Uuid,
    /// Its revision then.
    pub revision: u64,
}

/// What a restore did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Restored {
    /// Files that were stored.
    pub stored: usize,
    /// Files that were there, with the same content.
    pub present: usize,
}

/// Why there is no backup, or it was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The cluster did not do it.
    #[error(transparent)]
    Client(#[from] Error),
    /// Something is in the folder.
    #[error("{0} is not empty: name a folder that is new or empty")]
    NotEmpty(PathBuf),
    /// The folder holds no backup that can be read.
    #[error("{path}: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A content is not what it was.
    #[error("{path}: the content of `{name}` is damaged or missing; nothing was restored")]
    Content {
        /// Where it should be.
        path: PathBuf,
        /// Whose content it is.
        name: String,
    },
    /// Files of these names have other contents.
    #[error(
        "{count} of the files exist with other contents, `{first}` the first of them; nothing was \
         restored. --replace puts the backup's in their place"
    )]
    Exist {
        /// How many.
        count: usize,
        /// The first name.
        first: String,
    },
}

const FORMAT: &str = "jangada-backup-1";
const MANIFEST: &str = "manifest.json";
const CONTENTS: &str = "contents";

/// A file that belongs into a backup.
struct Wanted {
    size: u64,
    uuid: Uuid,
    revision: u64,
    /// What it hashes to, if that is known.
    hash: Option<String>,
}

impl Client {
    /// Writes every file, as all of them were at one log index, into a folder that is new or empty.
    /// `progress` is told how many are there, of how many, and which one comes next.
    ///
    /// # Errors
    /// As [`BackupError`] says. What was written stays, without a manifest.
    pub async fn backup(
        &self,
        folder: &Path,
        mut progress: impl FnMut(usize, usize, &str),
    ) -> Result<Backup, BackupError> {
        let local = |error: io::Error| Error::local(folder, error);
        let contents = folder.join(CONTENTS);
        fs::create_dir_all(folder).map_err(local)?;
        if fs::read_dir(folder).map_err(local)?.next().is_some() {
            return Err(BackupError::NotEmpty(folder.to_owned()));
        }
        fs::create_dir(&contents).map_err(local)?;
        let (index, wanted) = self.at_one_index().await?;
        let mut files = Vec::with_capacity(wanted.len());
        for (done, (name, file)) in wanted.iter().enumerate() {
            progress(done, wanted.len(), name);
            let hash = self.fetch(&contents, name, file, index).await?;
            let Wanted { size, uuid, revision, .. } = *file;
            files.push(Entry { name: name.clone(), size, hash, uuid, revision });
        }
        let backup = Backup { format: FORMAT.to_owned(), index, files };
        let write = || {
            let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(folder)?;
            serde_json::to_writer_pretty(&mut file, &backup)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            fs::File::open(&contents)?.sync_all()?;
            file.persist(folder.join(MANIFEST)).map_err(|error| error.error)?;
            fs::File::open(folder)?.sync_all()
        };
        write().map_err(local)?;
        Ok(backup)
    }

    /// Which files there are, all of them at one index. A list of many pages is none of one moment:
    /// what changed from the first one to the last is looked at again, as it was then.
    async fn at_one_index(&self) -> Result<(u64, BTreeMap<String, Wanted>), Error> {
        let mut list = self.list("", Consistency::Linearizable);
        let mut wanted = BTreeMap::new();
        loop {
            let files = list.next().await?;
            if files.is_empty() {
                break;
            }
            wanted.extend(files.into_iter().map(|file| {
                let FileInfo { name, size, uuid, revision, hash, .. } = file;
                (name, Wanted { size, uuid, revision, hash })
            }));
        }
        let (first, last) = list.indices().unwrap_or_default();
        for name in self.touched(first, last).await? {
            match self.stat(&name, Some(last), Consistency::Linearizable).await {
                Ok(file) => {
                    let (size, uuid, revision) = (file.size, file.uuid, file.revision);
                    wanted.insert(name, Wanted { size, uuid, revision, hash: None });
                }
                Err(error) if error.code() == "no_such_file" => {
                    wanted.remove(&name);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((last, wanted))
    }

    /// The names that changes behind one index, up to another, are about.
    async fn touched(&self, first: u64, last: u64) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        if first == last {
            return Ok(names);
        }
        let mut watch = self.watch(Some(first), "").await?;
        loop {
            match watch.news().await? {
                News::Change(change) if change.index <= last => {
                    names.insert(change.name);
                    names.extend(change.from);
                }
                // A server that is behind says so, too.
                News::Nothing(index) if index < last => {}
                _ => return Ok(names),
            }
        }
    }

    /// Brings a content into a folder, under its hash, and returns that.
    async fn fetch(
        &self,
        contents: &Path,
        name: &str,
        file: &Wanted,
        index: u64,
    ) -> Result<String, Error> {
        if let Some(hash) = file.hash.as_ref().filter(|hash| contents.join(hash).exists()) {
            return Ok(hash.clone());
        }
        let now = Reading { version: Some((file.uuid, file.revision)), ..Reading::default() };
        let then = Reading { at: Some(index), ..Reading::default() };
        match self.keep(contents, self.read(name, now).await).await {
            Err(error)
                if ["precondition_failed", "no_such_file", "changed"].contains(&error.code()) =>
            {
                self.keep(contents, self.read(name, then).await).await
            }
            kept => kept,
        }
    }

    async fn keep(
        &self,
        contents: &Path,
        download: Result<Download<'_>, Error>,
    ) -> Result<String, Error> {
        let local = |error: io::Error| Error::local(contents, error);
        let mut download = download?;
        let mut kept = tempfile::Builder::new()
            .permissions(readable())
            .tempfile_in(contents)
            .map_err(local)?;
        while let Some(bytes) = download.next().await? {
            kept.write_all(&bytes).map_err(local)?;
        }
        kept.as_file().sync_all().map_err(local)?;
        let hash = download.hash().to_string();
        kept.persist(contents.join(&hash)).map_err(|error| local(error.error))?;
        Ok(hash)
    }

    /// Stores every file of a backup. Nothing is stored if anything is wrong with the backup, or, if
    /// it is not to `replace` them, files of its names have other contents. `progress` is told how
    /// many are there, of how many, and which one comes next.
    ///
    /// # Errors
    /// As [`BackupError`] says. One that broke off can be done again: what is there is left alone.
    pub async fn restore(
        &self,
        folder: &Path,
        replace: bool,
        mut progress: impl FnMut(usize, usize, &str),
    ) -> Result<Restored, BackupError> {
        let backup = Backup::open(folder)?;
        let mut present = BTreeMap::new();
        let mut list = self.list("", Consistency::Linearizable);
        loop {
            let files = list.next().await?;
            if files.is_empty() {
                break;
            }
            present.extend(files.into_iter().map(|file| (file.name, file.hash)));
        }
        let other = |entry: &&Entry| {
            present.get(&entry.name).is_some_and(|hash| hash.as_ref() != Some(&entry.hash))
        };
        let others: Vec<_> = backup.files.iter().filter(other).collect();
        if let Some(first) = others.first().filter(|_| !replace) {
            return Err(BackupError::Exist { count: others.len(), first: first.name.clone() });
        }
        let mut restored = Restored::default();
        for (done, entry) in backup.files.iter().enumerate() {
            progress(done, backup.files.len(), &entry.name);
            if present.get(&entry.name).is_some_and(|hash| hash.as_ref() == Some(&entry.hash)) {
                restored.present += 1;
                continue;
            }
            let content = Content::of_file(&folder.join(CONTENTS).join(&entry.hash))?;
            let rule = if replace { Rule::Always } else { Rule::Absent };
            let stored = self.put(&entry.name, &content, rule, |_| {}).await?;
            if stored.hash.as_ref() != Some(&entry.hash) {
                let reason = format!("`{}` changed on this disk while it was restored", entry.name);
                return Err(Error::Damaged(reason).into());
            }
            restored.stored += 1;
        }
        Ok(restored)
    }
}

impl Backup {
    /// Reads a backup's manifest, and checks every content.
    ///
    /// # Errors
    /// It is none, or is damaged.
    pub fn open(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(MANIFEST);
        let wrong = |reason: String| BackupError::Manifest { path: path.clone(), reason };
        let text = fs::read(&path).map_err(|error| wrong(format!("{error}; this is no backup")))?;
        let backup: Self =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if backup.format != FORMAT {
            let reason = format!("its format is `{}`; this version reads {FORMAT}", backup.format);
            return Err(wrong(reason));
        }
        let mut checked = BTreeSet::new();
        for Entry { name, size, hash, .. } in &backup.files {
            if let Err(reason) = FileName::new(name) {
                return Err(wrong(format!("`{}` is no file name: {reason}", name.escape_debug())));
            }
            // A hash that is none must not lead to another file.
            let known =
                blake3::Hash::from_hex(hash).map_err(|error| wrong(format!("{name}: {error}")))?;
            if !checked.insert(hash) {
                continue;
            }
            let path = folder.join(CONTENTS).join(hash);
            let damaged = || BackupError::Content { path: path.clone(), name: name.clone() };
            let mut hasher = blake3::Hasher::new();
            let file = fs::File::open(&path).map_err(|_| damaged())?;
            let length = io::copy(&mut &file, &mut hasher).map_err(|_| damaged())?;
            if length != *size || hasher.finalize() != known {
                return Err(damaged());
            }
        }
        Ok(backup)
    }
}

/// For everybody, as far as the process's mask lets it.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}
