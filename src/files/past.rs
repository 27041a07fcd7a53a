//! The files as they were: what is now, with the changes since undone one by one.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::catalogue::{CANDIDATES, Catalogue, uuids_beginning_with};
use super::content::Content;
use super::file::File;
use super::history::{Before, ChangeKind, History, Record};
use super::name::FileName;
use super::refusal::Refusal;

/// About a file as it was. Its content is not hashed: that could take seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Its identity, which never changes.
    pub uuid: Uuid,
    /// The name it had.
    pub name: FileName,
    /// The size it had, in bytes.
    pub size: u64,
    /// The revision it had.
    pub revision: u64,
    /// The log index of its last change by then.
    pub index: u64,
}

/// A file as it was once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version<'a> {
    name: &'a FileName,
    /// Content of one uuid only grows, so later content begins with this version's.
    content: &'a Content,
    pub(super) size: u64,
    revision: u64,
    index: u64,
}

/// What can be said of one uuid at one time.
#[derive(Clone, Copy, Debug)]
enum State<'a> {
    /// No file had it.
    Absent,
    /// This file had it.
    Known(Version<'a>),
    /// A file had it, which this change deleted, and it is forgotten.
    Forgotten { deleted: u64 },
}

/// The files as they are, and what led there.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) history: &'a History,
}

impl<'a> Version<'a> {
    fn of(file: &'a File) -> Self {
        let (size, revision, index) = (file.size(), file.revision(), file.index());
        Self { name: &file.name, content: file.content(), size, revision, index }
    }

    /// At most `limit` bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, limit: usize) -> Bytes {
        let left = self.size.saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(limit, |left| left.min(limit));
        self.content.read(offset.min(self.size), wanted)
    }

    pub(super) fn info(&self, uuid: Uuid) -> VersionInfo {
        let Self { name, size, revision, index, .. } = *self;
        VersionInfo { uuid, name: name.clone(), size, revision, index }
    }

    fn before(self, index: u64) -> Self {
        Self { revision: self.revision - 1, index, ..self }
    }
}

impl<'a> State<'a> {
    fn now(catalogue: &'a Catalogue, uuid: Uuid) -> Self {
        catalogue.get(uuid).map_or(Self::Absent, |file| Self::Known(Version::of(file)))
    }

    /// What could be said before this change.
    fn undo(self, uuid: Uuid, Record { change, before }: &'a Record) -> Self {
        let removed = || match before {
            Before::Removed(file) => Self::Known(Version::of(file)),
            _ => Self::Forgotten { deleted: change.index },
        };
        match (&change.kind, before, self) {
            (ChangeKind::Created { .. }, ..) if change.uuid == uuid => Self::Absent,
            (ChangeKind::Created { replaced, .. }, ..) if *replaced == Some(uuid) => removed(),
            (ChangeKind::Deleted { .. }, ..) if change.uuid == uuid => removed(),
            (ChangeKind::Appended { added, .. }, &Before::Changed(index), Self::Known(version))
                if change.uuid == uuid =>
            {
                Self::Known(Version { size: version.size - added, ..version.before(index) })
            }
            (ChangeKind::Renamed { from }, &Before::Changed(index), Self::Known(version))
                if change.uuid == uuid =>
            {
                Self::Known(Version { name: from, ..version.before(index) })
            }
            _ => self,
        }
    }
}

impl<'a> Past<'a> {
    /// The file that `reference` meant when the entry at `index` had been applied, as it was.
    ///
    /// # Errors
    /// None or several are meant, or the version is forgotten.
    pub(super) fn at(
        self,
        reference: &str,
        index: u64,
        applied: u64,
    ) -> Result<(Uuid, Version<'a>), Refusal> {
        if index > applied {
            return Err(Refusal::NotYet { index, applied });
        }
        let first = self.history.first();
        if index < first {
            return Err(Refusal::HistoryGone { first });
        }
        let uuid = self.resolve(reference, index)?;
        match self.state(uuid, index) {
            State::Known(version) => Ok((uuid, version)),
            State::Forgotten { deleted } => Err(Refusal::HistoryGone { first: deleted }),
            State::Absent => Err(Refusal::NoSuchFile { file: reference.to_owned() }),
        }
    }

    /// The file at this revision; the latest such, should the uuid have been used twice.
    ///
    /// # Errors
    /// It is gone or has changed, and its history does not reach back.
    pub(super) fn at_revision(self, uuid: Uuid, revision: u64) -> Result<Version<'a>, Refusal> {
        let mut state = State::now(self.catalogue, uuid);
        let mut changes = self.history.records().iter().rev();
        loop {
            if let State::Known(version) = state
                && version.revision == revision
            {
                return Ok(version);
            }
            let Some(record) = changes.next() else { break };
            state = state.undo(uuid, record);
        }
        let file = self.catalogue.get(uuid).ok_or(Refusal::Gone { uuid })?;
        let (name, found) = (file.name.to_string(), file.revision());
        Err(Refusal::RevisionChanged { file: name, expected: revision, found })
    }

    /// The changes behind `index`, latest first.
    fn since(self, index: u64) -> impl Iterator<Item = &'a Record> {
        let changes = self.history.records().iter().rev();
        changes.take_while(move |record| record.change.index > index)
    }

    fn state(self, uuid: Uuid, index: u64) -> State<'a> {
        let now = State::now(self.catalogue, uuid);
        self.since(index).fold(now, |state, record| state.undo(uuid, record))
    }

    /// [`Catalogue::resolve`], at that time.
    fn resolve(self, reference: &str, index: u64) -> Result<Uuid, Refusal> {
        if let Some(uuid) = self.named(reference, index) {
            return Ok(uuid);
        }
        let none = || Refusal::NoSuchFile { file: reference.to_owned() };
        let (lowest, highest) = uuids_beginning_with(reference).ok_or_else(none)?;
        let mut meant = self.uuids(lowest, highest, index);
        let Some(uuid) = meant.next() else { return Err(none()) };
        let others: Vec<_> = meant.by_ref().take(CANDIDATES - 1).collect();
        if others.is_empty() {
            return Ok(uuid);
        }
        let candidates = [uuid].into_iter().chain(others);
        let known = candidates.filter_map(|uuid| match self.state(uuid, index) {
            State::Known(version) => Some((uuid, version.name.clone())),
            _ => None,
        });
        let (prefix, candidates) = (reference.to_owned(), known.collect());
        Err(Refusal::Ambiguous { prefix, candidates, more: meant.next().is_some() })
    }

    /// Who had this name at that time.
    fn named(self, name: &str, index: u64) -> Option<Uuid> {
        let now = self.catalogue.named(name).map(|(uuid, _)| uuid);
        self.since(index).fold(now, |holder, Record { change, .. }| {
            let has_name = change.name.as_str() == name;
            match &change.kind {
                ChangeKind::Created { replaced, .. } if has_name => *replaced,
                ChangeKind::Deleted { .. } if has_name => Some(change.uuid),
                ChangeKind::Renamed { .. } if has_name => None,
                ChangeKind::Renamed { from } if from.as_str() == name => Some(change.uuid),
                _ => holder,
            }
        })
    }

    /// The uuids in this range that files had at that time, in order.
    fn uuids(self, lowest: Uuid, highest: Uuid, index: u64) -> impl Iterator<Item = Uuid> {
        // Whether those existed that came or went since.
        let mut existed = BTreeMap::new();
        for Record { change, .. } in self.since(index) {
            match change.kind {
                ChangeKind::Created { replaced, .. } => {
                    existed.insert(change.uuid, false);
                    existed.extend(replaced.map(|uuid| (uuid, true)));
                }
                ChangeKind::Deleted { .. } => {
                    existed.insert(change.uuid, true);
                }
                _ => {}
            }
        }
        let live = self.catalogue.files().range(lowest, highest).map(|(uuid, _)| uuid);
        let stayed: Vec<_> =
            live.filter(|uuid| !existed.contains_key(uuid)).take(CANDIDATES + 1).collect();
        let in_range = move |uuid: &Uuid| (lowest..=highest).contains(uuid);
        let went = existed.into_iter().filter(|&(_, there)| there).map(|(uuid, _)| uuid);
        let mut all: Vec<_> = stayed.into_iter().chain(went.filter(in_range)).collect();
        all.sort_unstable();
        all.into_iter()
    }
}
