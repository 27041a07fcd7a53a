//! What each command does. Every check comes before the first change, so that a refused command
//! leaves no trace.

use bytes::Bytes;
use uuid::Uuid;

use super::catalogue::Catalogue;
use super::command::Command;
use super::content::Content;
use super::file::File;
use super::limits::Limits;
use super::name::FileName;
use super::refusal::Refusal;
use super::reply::{Answer, Reply};
use super::upload::{Staged, Uploads};

/// The files and what is staged: the store without its sessions.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) limits: Limits,
    pub(super) catalogue: Catalogue,
    pub(super) uploads: Uploads,
}

/// What a command comes with.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Its log index.
    pub(super) index: u64,
    /// The session it belongs to.
    pub(super) session: u64,
    /// Its data.
    pub(super) data: &'a Bytes,
}

impl Files {
    pub(super) fn execute(&mut self, entry: Entry<'_>, command: Command) -> Reply {
        match command {
            Command::Stage { upload, offset, onto } => self.stage(entry, upload, offset, onto),
            Command::Create { uuid, name, size, upload, replace } => {
                self.create(entry, uuid, &name, size, upload, replace)
            }
            Command::Append { file } => self.append(entry, &file),
            Command::AppendStaged { file, upload, size } => {
                self.append_staged(entry, &file, upload, size)
            }
            Command::Delete { file } => self.delete(&file),
            Command::Rename { file, name } => self.rename(entry, &file, &name),
            Command::Discard { upload } => {
                let bytes = self.uploads.discard(entry.session, upload)?;
                Ok(Answer::Discarded { upload, bytes })
            }
        }
    }

    fn stage(&mut self, entry: Entry<'_>, upload: Uuid, offset: u64, onto: Option<Uuid>) -> Reply {
        let room = self.room();
        let base = || onto.and_then(|uuid| Some(self.catalogue.get(uuid)?.base(uuid)));
        let key = (entry.session, upload);
        let chunk = (offset, entry.data);
        let received = self.uploads.stage(key, chunk, base, room, &self.limits)?;
        Ok(Answer::Staged { upload, received })
    }

    fn create(
        &mut self,
        entry: Entry<'_>,
        uuid: Uuid,
        name: &str,
        size: u64,
        upload: Option<Uuid>,
        replace: bool,
    ) -> Reply {
        let name = file_name(name)?;
        self.check_file_size(&name, size)?;
        if let Some(file) = self.catalogue.get(uuid) {
            return Err(Refusal::UuidExists { uuid, name: file.name.clone() });
        }
        let replaced = self.catalogue.named(name.as_str()).map(|(uuid, file)| (uuid, file.size()));
        match replaced {
            Some((uuid, _)) if !replace => return Err(Refusal::NameExists { name, uuid }),
            None if self.catalogue.len() >= self.limits.files => {
                return Err(Refusal::TooManyFiles { limit: self.limits.files as u64 });
            }
            _ => {}
        }
        let Staged { content, hasher } = match upload {
            Some(upload) => self.uploads.take(entry.session, upload, size, None)?,
            None => {
                let received = entry.data.len() as u64;
                if received != size {
                    return Err(Refusal::SizeMismatch { size, received });
                }
                let freed = replaced.map_or(0, |(_, bytes)| bytes);
                self.check_room(size.saturating_sub(freed))?;
                let mut content = Content::default();
                content.append(entry.data);
                Staged { content, hasher: None }
            }
        };
        let replaced = replaced.map(|(uuid, _)| uuid);
        if let Some(uuid) = replaced {
            self.catalogue.remove(uuid);
        }
        let file = File::new(name, content, hasher, entry.index);
        let info = file.info(uuid);
        self.catalogue.insert(uuid, file);
        Ok(Answer::Created { file: info, replaced })
    }

    fn append(&mut self, entry: Entry<'_>, file: &str) -> Reply {
        let (uuid, file) = self.catalogue.resolve(file)?;
        let added = entry.data.len() as u64;
        self.check_file_size(&file.name, file.size().saturating_add(added))?;
        self.check_room(added)?;
        self.catalogue.grow(uuid, |file| {
            file.append(entry.data, entry.index);
            appended(uuid, file, added)
        })
    }

    fn append_staged(&mut self, entry: Entry<'_>, file: &str, upload: Uuid, added: u64) -> Reply {
        let (uuid, file) = self.catalogue.resolve(file)?;
        self.check_file_size(&file.name, file.size().saturating_add(added))?;
        let base = Some((uuid, file.size()));
        let Staged { content, hasher } = self.uploads.take(entry.session, upload, added, base)?;
        self.catalogue.grow(uuid, |file| {
            file.append_content(content, hasher, entry.index);
            appended(uuid, file, added)
        })
    }

    fn delete(&mut self, file: &str) -> Reply {
        let (uuid, _) = self.catalogue.resolve(file)?;
        let file = self.catalogue.remove(uuid).ok_or(Refusal::Gone { uuid })?;
        Ok(Answer::Deleted { uuid, size: file.size(), name: file.name })
    }

    fn rename(&mut self, entry: Entry<'_>, file: &str, name: &str) -> Reply {
        let (uuid, file) = self.catalogue.resolve(file)?;
        let from = file.name.clone();
        let name = file_name(name)?;
        if let Some((uuid, _)) = self.catalogue.named(name.as_str()) {
            return Err(Refusal::NameExists { name, uuid });
        }
        let revision = self.catalogue.rename(uuid, name.clone(), entry.index)?;
        Ok(Answer::Renamed { uuid, from, name, revision })
    }

    /// How many more bytes the store takes.
    fn room(&self) -> u64 {
        self.limits.store_bytes.saturating_sub(self.catalogue.bytes() + self.uploads.bytes())
    }

    fn check_room(&self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.room() {
            return Err(Refusal::StoreFull { bytes, limit: self.limits.store_bytes });
        }
        Ok(())
    }

    fn check_file_size(&self, name: &FileName, size: u64) -> Result<(), Refusal> {
        let limit = self.limits.file_bytes;
        if size > limit {
            return Err(Refusal::FileTooLarge { file: name.to_string(), size, limit });
        }
        Ok(())
    }
}

fn file_name(name: &str) -> Result<FileName, Refusal> {
    FileName::new(name).map_err(|reason| Refusal::BadName { name: name.to_owned(), reason })
}

fn appended(uuid: Uuid, file: &File, added: u64) -> Answer {
    let (size, revision) = (file.size(), file.revision());
    Answer::Appended { uuid, name: file.name.clone(), size, revision, added }
}
