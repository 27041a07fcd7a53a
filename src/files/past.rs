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
use super::shelf::{Lost, Shelf};

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

    /// At most `limit` bytes from `offset` on. `None` if they are not kept any more, as those of a
    /// file that is gone may be.
    pub(super) fn read(
        &self,
        offset: u64,
        limit: usize,
        shelf: &Shelf,
    ) -> Option<Result<Bytes, Lost>> {
        let left = self.size.saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(limit, |left| left.min(limit));
        let offset = offset.min(self.size);
        let kept = self.content.is_kept(offset, wanted, shelf);
        kept.then(|| self.content.read(offset, wanted, shelf))
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
        let exact = reference.strip_prefix('/');
        let none = || Refusal::NoSuchFile { file: exact.unwrap_or(reference).to_owned() };
        if let Some(uuid) = self.named(exact.unwrap_or(reference), index) {
            return Ok(uuid);
        }
        if exact.is_some() {
            return Err(none());
        }
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
            let has_name = || change.name.as_str() == name;
            match &change.kind {
                ChangeKind::Created { replaced, .. } if has_name() => *replaced,
                ChangeKind::Deleted { .. } if has_name() => Some(change.uuid),
                ChangeKind::Renamed { .. } if has_name() => None,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Bench, append, cases, create, uuid};
    use super::super::{Answer, Command, Query, Reply};
    use super::*;

    fn rename(file: &str, name: &str) -> Command {
        Command::Rename { file: file.into(), name: name.into() }
    }

    fn delete(file: &str) -> Command {
        Command::Delete { file: file.into() }
    }

    fn stat_at(bench: &Bench, file: &str, index: u64) -> Result<VersionInfo, Refusal> {
        match bench.query(&Query::StatAt { file: file.to_owned(), index })? {
            Answer::Version(info) => Ok(info),
            other => panic!("{other:?}"),
        }
    }

    fn content(reply: Reply) -> Result<Bytes, Refusal> {
        match reply? {
            Answer::Content { bytes, .. } => Ok(bytes),
            other => panic!("{other:?}"),
        }
    }

    fn cat_at(bench: &Bench, file: &str, index: u64) -> Result<Bytes, Refusal> {
        let file = file.to_owned();
        content(bench.query(&Query::ReadAt { file, index, offset: 0, limit: u64::MAX }))
    }

    fn read(bench: &Bench, number: u128, revision: u64, offset: u64) -> Result<Bytes, Refusal> {
        let (uuid, limit) = (uuid(number), 2);
        content(bench.query(&Query::ReadRevision { uuid, revision, offset, limit }))
    }

    #[test]
    fn a_version_is_found_by_the_name_it_had_then() {
        let mut bench = Bench::new();
        bench.create(1 << 100, "a", b"one").unwrap();
        bench.append("a", b"!").unwrap();
        bench.run(rename("a", "b"), b"").unwrap();
        bench.create(2 << 100, "a", b"two").unwrap();
        bench.run(delete("b"), b"").unwrap();
        let found: Vec<_> = (1..=6)
            .map(|index| [cat_at(&bench, "a", index).ok(), cat_at(&bench, "b", index).ok()])
            .map(|pair| pair.map(|bytes| String::from_utf8(bytes.unwrap_or_default().into())))
            .map(|[a, b]| format!("{}/{}", a.unwrap(), b.unwrap()))
            .collect();
        assert_eq!(found, ["/", "one/", "one!/", "/one!", "two/one!", "two/"]);
        let name = FileName::new("a").unwrap();
        let (uuid, size, revision) = (uuid(1 << 100), 4, 2);
        let info = VersionInfo { uuid, name, size, revision, index: 3 };
        assert_eq!(stat_at(&bench, "a", 3), Ok(info.clone()));
        assert_eq!(stat_at(&bench, "/a", 3), Ok(info));
        // By uuid, and by its beginning, though it is gone by now.
        let whole = uuid.to_string();
        for reference in [whole.as_str(), &whole[..8]] {
            assert_eq!(stat_at(&bench, reference, 5).unwrap().revision, 3);
            assert!(stat_at(&bench, &format!("/{reference}"), 5).is_err(), "that is a name");
            assert!(stat_at(&bench, reference, 6).is_err());
            assert!(stat_at(&bench, reference, 1).is_err());
        }
    }

    #[test]
    fn a_beginning_is_ambiguous_if_it_was_then() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"").unwrap();
        bench.create(2, "b", b"").unwrap();
        bench.run(delete("a"), b"").unwrap();
        bench.create(3, "c", b"").unwrap();
        assert_eq!(stat_at(&bench, "0000", 2).unwrap().uuid, uuid(1));
        match stat_at(&bench, "0000", 3) {
            Err(Refusal::Ambiguous { candidates, more: false, .. }) => {
                let uuids: Vec<_> = candidates.iter().map(|(uuid, _)| *uuid).collect();
                assert_eq!(uuids, [uuid(1), uuid(2)]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(stat_at(&bench, "0000", 4).unwrap().uuid, uuid(2));
    }

    #[test]
    fn beyond_both_ends_of_history_is_refused() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"1").unwrap();
        bench.append("a", b"2").unwrap();
        assert_eq!(cat_at(&bench, "a", 4), Err(Refusal::NotYet { index: 4, applied: 3 }));
        bench.store.note_applied(4);
        assert_eq!(cat_at(&bench, "a", 4).unwrap(), "12");
        bench.store.forget_before(3);
        assert_eq!(cat_at(&bench, "a", 2), Err(Refusal::HistoryGone { first: 3 }));
        assert_eq!(cat_at(&bench, "a", 3).unwrap(), "12");
    }

    #[test]
    fn after_a_restore_history_begins_at_the_snapshot() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"1").unwrap();
        bench.append("a", b"2").unwrap();
        bench.restart_from_snapshot();
        bench.append("a", b"3").unwrap();
        assert_eq!(cat_at(&bench, "a", 2), Err(Refusal::HistoryGone { first: 3 }));
        assert_eq!(cat_at(&bench, "a", 3).unwrap(), "12");
        assert_eq!(cat_at(&bench, "a", 4).unwrap(), "123");
    }

    #[test]
    fn pages_of_a_revision_are_of_that_revision() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"123").unwrap();
        assert_eq!(read(&bench, 1, 1, 0).unwrap(), "12");
        bench.append("a", b"456").unwrap();
        assert_eq!(read(&bench, 1, 1, 2).unwrap(), "3");
        assert_eq!(read(&bench, 1, 2, 2).unwrap(), "34");
        bench.run(delete("a"), b"").unwrap();
        assert_eq!(read(&bench, 1, 1, 2).unwrap(), "3");
        assert_eq!(read(&bench, 1, 3, 2), Err(Refusal::Gone { uuid: uuid(1) }));
        bench.store.forget_before(4);
        assert_eq!(read(&bench, 1, 1, 2), Err(Refusal::Gone { uuid: uuid(1) }));
    }

    #[test]
    fn a_revision_out_of_reach_is_refused() {
        let mut bench = Bench::new();
        bench.create(1, "a", b"123").unwrap();
        bench.append("a", b"456").unwrap();
        let changed =
            |expected| Err(Refusal::RevisionChanged { file: "a".into(), expected, found: 2 });
        assert_eq!(read(&bench, 1, 3, 0), changed(3));
        bench.store.forget_before(3);
        assert_eq!(read(&bench, 1, 1, 0), changed(1));
        assert_eq!(read(&bench, 1, 2, 0).unwrap(), "12");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Create(u8, u8, bool),
        Append(u8),
        Delete(u8),
        Rename(u8, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = || 0..4_u8;
        prop_oneof![
            2 => (1..5_u8, name(), any::<bool>()).prop_map(|(u, n, r)| Step::Create(u, n, r)),
            3 => name().prop_map(Step::Append),
            1 => name().prop_map(Step::Delete),
            1 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        ]
    }

    fn command(step: &Step, place: usize) -> (Command, Vec<u8>) {
        let text = |name: &u8| format!("f{name}");
        match step {
            Step::Create(number, name, replace) => {
                let mut command = create(u128::from(*number) << 100, &text(name), place % 7);
                if let Command::Create { replace: flag, .. } = &mut command {
                    *flag = *replace;
                }
                (command, vec![place as u8; place % 7])
            }
            Step::Append(name) => (append(&text(name)), vec![place as u8; 3]),
            Step::Delete(name) => (delete(&text(name)), Vec::new()),
            Step::Rename(from, to) => (rename(&text(from), &text(to)), Vec::new()),
        }
    }

    proptest! {
        #![proptest_config(cases(128))]

        /// At every index, the files are what they were when that index was the last; uuids that
        /// are used again and batches included.
        #[test]
        fn the_past_is_what_the_present_was(
            entries in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..30),
        ) {
            let mut bench = Bench::new();
            let mut presents = Vec::new();
            let references: Vec<_> = (0..4)
                .map(|name| format!("f{name}"))
                .chain((1..5_u128).map(|number| uuid(number << 100).to_string()[..8].to_owned()))
                .collect();
            let info = |bench: &Bench, reference: &String| {
                let file = bench.stat(reference).ok()?;
                let revision = bench.cat(reference).unwrap();
                Some((file.uuid, file.name, file.revision, file.index, revision))
            };
            for (place, steps) in entries.iter().enumerate() {
                let commands: Vec<_> = steps.iter().map(|step| command(step, place)).collect();
                if let [(command, data)] = &commands[..] {
                    let _ = bench.run(command.clone(), data);
                } else {
                    let all = commands.iter().map(|(command, data)| (command.clone(), &data[..]));
                    let (command, data) = Command::batch(all);
                    let _ = bench.run(command, &data);
                }
                presents.push(references.iter().map(|file| info(&bench, file)).collect::<Vec<_>>());
            }
            for (index, present) in (2..).zip(presents) {
                for (reference, expected) in references.iter().zip(present) {
                    let found = stat_at(&bench, reference, index).ok().map(|version| {
                        let bytes = cat_at(&bench, reference, index).unwrap();
                        let VersionInfo { uuid, name, size, revision, index } = version;
                        assert_eq!(size, bytes.len() as u64);
                        (uuid, name, revision, index, bytes.to_vec())
                    });
                    prop_assert_eq!(found, expected, "{} at {}", reference, index);
                }
            }
        }
    }
}
