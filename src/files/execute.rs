//! What each command does. Every check comes before the first change, so that a refused command
//! leaves no trace; a batch is undone if one of its commands is refused.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::catalogue::Catalogue;
use super::command::Command;
use super::content::Content;
use super::file::File;
use super::history::{Before, ChangeKind, Record};
use super::limits::Limits;
use super::name::FileName;
use super::refusal::Refusal;
use super::reply::{Answer, Reply};
use super::shelf::Shelf;
use super::upload::{Staged, Uploads};

/// The files and what is staged: the store without its sessions.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) limits: Limits,
    pub(super) catalogue: Catalogue,
    pub(super) uploads: Uploads,
    /// Where content is that is not in memory.
    pub(super) shelf: Shelf,
    /// What the entry that is being applied has changed so far.
    pub(super) changes: Vec<Record>,
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
            Command::Delete { file } => self.delete(entry, &file),
            Command::Rename { file, name } => self.rename(entry, &file, &name),
            Command::Discard { upload } => {
                let bytes = self.uploads.discard(entry.session, upload)?;
                Ok(Answer::Discarded { upload, bytes })
            }
            Command::If { file, revision, command } => {
                self.check_revision(file, revision)?;
                self.execute(entry, *command)
            }
            Command::Batch { parts } => self.batch(entry, parts),
            Command::IfVersion { file, versions, is, command } => {
                self.check_version(file, &versions, is)?;
                self.execute(entry, *command)
            }
        }
    }

    fn stage(&mut self, entry: Entry<'_>, upload: Uuid, offset: u64, onto: Option<Uuid>) -> Reply {
        let room = self.room();
        let base = || onto.and_then(|uuid| Some((uuid, self.catalogue.get(uuid)?.content())));
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
        let mut content = Content::default();
        match upload {
            Some(upload) => {
                let Staged { content: staged, follows } =
                    self.uploads.take(entry.session, upload, size, &content)?;
                content.append_content(staged, follows, &self.shelf);
            }
            None => {
                let received = entry.data.len() as u64;
                if received != size {
                    return Err(Refusal::SizeMismatch { size, received });
                }
                let freed = replaced.map_or(0, |(_, bytes)| bytes);
                self.check_room(size.saturating_sub(freed))?;
                content.append(entry.data);
            }
        }
        let replaced = replaced.map(|(uuid, _)| uuid);
        let file = File::new(name, content, entry.index);
        let info = file.info(uuid);
        let kind = ChangeKind::Created { size, replaced };
        let mut record = Record::new(entry.index, uuid, &file, kind, Before::Nothing);
        match replaced {
            Some(old) => {
                let removed = self.catalogue.replace(old, uuid, file);
                record.before = removed.map_or(Before::Nothing, Before::Removed);
            }
            None => self.catalogue.insert(uuid, file),
        }
        self.changes.push(record);
        Ok(Answer::Created { file: info, replaced })
    }

    fn append(&mut self, entry: Entry<'_>, file: &str) -> Reply {
        let (uuid, file) = self.catalogue.resolve(file)?;
        let (added, before) = (entry.data.len() as u64, file.index());
        self.check_file_size(&file.name, file.size().saturating_add(added))?;
        self.check_room(added)?;
        self.grow(entry.index, uuid, added, before, |content| content.append(entry.data))
    }

    fn append_staged(&mut self, entry: Entry<'_>, file: &str, upload: Uuid, added: u64) -> Reply {
        let (uuid, file) = self.catalogue.resolve(file)?;
        let before = file.index();
        self.check_file_size(&file.name, file.size().saturating_add(added))?;
        let staged = self.uploads.take(entry.session, upload, added, file.content())?;
        let shelf = self.shelf.clone();
        let append = |content: &mut Content| {
            content.append_content(staged.content, staged.follows, &shelf);
        };
        self.grow(entry.index, uuid, added, before, append)
    }

    /// Lets `append` add bytes to a file that was last changed at index `before`.
    fn grow(
        &mut self,
        index: u64,
        uuid: Uuid,
        added: u64,
        before: u64,
        append: impl FnOnce(&mut Content),
    ) -> Reply {
        let file = self.catalogue.grow(uuid, index, append)?;
        let (size, revision) = (file.size(), file.revision());
        let kind = ChangeKind::Appended { added, size };
        self.changes.push(Record::new(index, uuid, file, kind, Before::Changed(before)));
        Ok(Answer::Appended { uuid, name: file.name.clone(), size, revision, added })
    }

    fn delete(&mut self, entry: Entry<'_>, file: &str) -> Reply {
        let (uuid, _) = self.catalogue.resolve(file)?;
        let file = self.catalogue.remove(uuid).ok_or(Refusal::Gone { uuid })?;
        let (name, size) = (file.name.clone(), file.size());
        let kind = ChangeKind::Deleted { size };
        let record =
            Record::new(entry.index, uuid, &file, kind, Before::Removed(Arc::clone(&file)));
        self.changes.push(record);
        Ok(Answer::Deleted { uuid, size, name })
    }

    fn rename(&mut self, entry: Entry<'_>, file: &str, name: &str) -> Reply {
        let (uuid, file) = self.catalogue.resolve(file)?;
        let (from, before) = (file.name.clone(), Before::Changed(file.index()));
        let name = file_name(name)?;
        if let Some((uuid, _)) = self.catalogue.named(name.as_str()) {
            return Err(Refusal::NameExists { name, uuid });
        }
        let file = self.catalogue.rename(uuid, name.clone(), entry.index)?;
        let (revision, kind) = (file.revision(), ChangeKind::Renamed { from: from.clone() });
        self.changes.push(Record::new(entry.index, uuid, file, kind, before));
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, create, create_from, uuid};
    use super::super::{FileInfo, MAX_DATA};
    use super::*;

    fn created(reply: Reply) -> (FileInfo, Option<Uuid>) {
        match reply {
            Ok(Answer::Created { file, replaced }) => (file, replaced),
            other => panic!("{other:?}"),
        }
    }

    fn replace(number: u128, name: &str, size: usize) -> Command {
        match create(number, name, size) {
            Command::Create { uuid, name, size, upload, .. } => {
                Command::Create { uuid, name, size, upload, replace: true }
            }
            other => other,
        }
    }

    #[test]
    fn a_created_file_tells_everything_about_itself() {
        let mut bench = Bench::new();
        let (file, replaced) = created(bench.create(1, "notes.txt", b"hello"));
        let name = FileName::new("notes.txt").unwrap();
        let hash = blake3::hash(b"hello").into();
        let expected = FileInfo { uuid: uuid(1), name, size: 5, hash, revision: 1, index: 2 };
        assert_eq!((&file, replaced), (&expected, None));
        assert_eq!(bench.stat("notes.txt"), Ok(expected));
        assert_eq!(bench.cat("notes.txt").unwrap(), b"hello");
    }

    #[test]
    fn a_taken_name_is_refused_unless_replaced() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"old").unwrap();
        let name = FileName::new("a").unwrap();
        let exists = Err(Refusal::NameExists { name, uuid: uuid(1) });
        assert_eq!(bench.create(2, "a", b"new"), exists);
        assert_eq!(bench.cat("a").unwrap(), b"old");
        let (file, replaced) = created(bench.run(replace(2, "a", 3), b"new"));
        assert_eq!((file.uuid, file.revision, replaced), (uuid(2), 1, Some(uuid(1))));
        assert_eq!(bench.cat("a").unwrap(), b"new");
        assert!(bench.stat(&uuid(1).to_string()).is_err(), "the old file is gone");
    }

    #[test]
    fn a_taken_uuid_is_refused_even_to_replace() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        let name = FileName::new("a").unwrap();
        let exists = Err(Refusal::UuidExists { uuid: uuid(1), name });
        assert_eq!(bench.create(1, "b", b""), exists);
        assert_eq!(bench.run(replace(1, "a", 0), b""), exists);
    }

    #[test]
    fn the_announced_size_must_come() {
        let mut bench = Bench::new();
        let refused = Err(Refusal::SizeMismatch { size: 3, received: 2 });
        assert_eq!(bench.run(create(1, "a", 3), b"ab"), refused);
        assert!(bench.stat("a").is_err());
    }

    #[test]
    fn a_bad_name_is_refused_in_create_and_rename() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        assert!(matches!(bench.create(2, "b/", b""), Err(Refusal::BadName { .. })));
        let rename = Command::Rename { file: "a".into(), name: "..".into() };
        assert!(matches!(bench.run(rename, b""), Err(Refusal::BadName { .. })));
    }

    #[test]
    fn a_staged_file_appears_all_at_once() {
        let mut bench = Bench::new();
        bench.stage(9, 0, b"hello ").unwrap();
        bench.stage(9, 6, b"world").unwrap();
        assert!(bench.stat("a").is_err());
        let (file, _) = created(bench.run(create_from(1, "a", 11, 9), b""));
        assert_eq!(file.hash, blake3::hash(b"hello world").into());
        assert_eq!(bench.cat("a").unwrap(), b"hello world");
        let used = bench.run(create_from(2, "b", 11, 9), b"");
        assert_eq!(used, Err(Refusal::NoSuchUpload { upload: uuid(9) }));
    }

    #[test]
    fn a_refused_create_keeps_the_upload() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        bench.stage(9, 0, b"x").unwrap();
        bench.run(create_from(2, "a", 1, 9), b"").unwrap_err();
        bench.run(create_from(2, "b", 1, 9), b"").unwrap();
    }

    #[test]
    fn appending_adds_exactly_the_bytes() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"one").unwrap();
        let name = FileName::new("a").unwrap();
        let appended = Answer::Appended { uuid: uuid(1), name, size: 7, revision: 2, added: 4 };
        assert_eq!(bench.append("a", b" two"), Ok(appended));
        assert_eq!(bench.cat("a").unwrap(), b"one two");
        let none = Err(Refusal::NoSuchFile { file: "b".into() });
        assert_eq!(bench.append("b", b"x"), none);
    }

    /// The hash must be right whether or not it could be carried on while staging.
    #[test]
    fn a_staged_append_hashes_right_even_if_others_append_meanwhile() {
        for (onto, interfering) in
            [(None, false), (Some(uuid(1)), false), (Some(uuid(1)), true), (Some(uuid(5)), false)]
        {
            let mut bench = Bench::new();
            let mut plain = vec![1; 10_000];
            bench.create(1, "a", &plain).unwrap();
            let staged = vec![2; 30_000];
            for (offset, chunk) in (0..).step_by(20_000).zip(staged.chunks(20_000)) {
                bench.run(Command::Stage { upload: uuid(9), offset, onto }, chunk).unwrap();
            }
            if interfering {
                bench.append("a", b"!").unwrap();
                plain.push(b'!');
            }
            let (file, upload, size) = ("a".into(), uuid(9), 30_000);
            bench.run(Command::AppendStaged { file, upload, size }, b"").unwrap();
            plain.extend(staged);
            assert_eq!(bench.cat("a").unwrap(), plain);
            assert_eq!(bench.stat("a").unwrap().hash, blake3::hash(&plain).into());
        }
    }

    #[test]
    fn deleting_and_renaming() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"x").unwrap();
        bench.create(2, "b", b"y").unwrap();
        let name = |text| FileName::new(text).unwrap();
        let rename =
            |file: &str, name: &str| Command::Rename { file: file.into(), name: name.into() };
        let exists = Err(Refusal::NameExists { name: name("b"), uuid: uuid(2) });
        assert_eq!(bench.run(rename("a", "b"), b""), exists);
        let renamed =
            Answer::Renamed { uuid: uuid(1), from: name("a"), name: name("c"), revision: 2 };
        assert_eq!(bench.run(rename("a", "c"), b""), Ok(renamed));
        let deleted = Answer::Deleted { uuid: uuid(1), name: name("c"), size: 1 };
        assert_eq!(bench.run(Command::Delete { file: "c".into() }, b""), Ok(deleted));
        assert!(bench.run(Command::Delete { file: "c".into() }, b"").is_err());
        assert_eq!(bench.cat("b").unwrap(), b"y");
    }

    #[test]
    fn the_file_limit_is_inclusive() {
        let limits = Limits { file_bytes: 5, ..Limits::default() };
        let mut bench = Bench::with(limits);
        let too_large = Refusal::FileTooLarge { file: "a".into(), size: 6, limit: 5 };
        assert_eq!(bench.create(1, "a", b"123456"), Err(too_large.clone()));
        bench.create(1, "a", b"1234").unwrap();
        assert_eq!(bench.append("a", b"56"), Err(too_large.clone()));
        bench.stage(9, 0, b"56").unwrap();
        let staged = Command::AppendStaged { file: "a".into(), upload: uuid(9), size: 2 };
        assert_eq!(bench.run(staged, b""), Err(too_large));
        bench.append("a", b"5").unwrap();
        assert_eq!(bench.cat("a").unwrap(), b"12345");
    }

    #[test]
    fn the_store_limit_counts_files_and_uploads_and_what_replacing_frees() {
        let mut bench = Bench::with(Limits { store_bytes: 10, ..Limits::default() });
        let full = |bytes| Err(Refusal::StoreFull { bytes, limit: 10 });
        bench.create(1, "a", b"1234").unwrap();
        bench.stage(9, 0, b"1234").unwrap();
        assert_eq!(bench.create(2, "b", b"123"), full(3));
        assert_eq!(bench.append("a", b"123"), full(3));
        assert_eq!(bench.stage(8, 0, b"123"), full(3));
        bench.run(replace(2, "a", 6), b"123456").unwrap();
        bench.run(create_from(3, "b", 4, 9), b"").unwrap();
        assert_eq!(bench.append("b", b"1"), full(1));
        bench.run(Command::Delete { file: "a".into() }, b"").unwrap();
        bench.append("b", b"123456").unwrap();
    }

    #[test]
    fn the_number_of_files_is_limited_but_replacing_goes_on() {
        let mut bench = Bench::with(Limits { files: 1, ..Limits::default() });
        bench.create(1, "a", b"").unwrap();
        assert_eq!(bench.create(2, "b", b""), Err(Refusal::TooManyFiles { limit: 1 }));
        bench.run(replace(2, "a", 0), b"").unwrap();
    }

    #[test]
    fn one_command_carries_at_most_its_limit() {
        let mut bench = Bench::new();
        bench.create(1, "a", &vec![0; MAX_DATA]).unwrap();
        let refused = bench.append("a", &vec![0; MAX_DATA + 1]);
        assert!(matches!(refused, Err(Refusal::DataTooLarge { .. })));
        assert_eq!(bench.stat("a").unwrap().size, MAX_DATA as u64);
    }
}
