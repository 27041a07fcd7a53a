//! Which files there are, and which one a person means.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::content::Content;
use super::file::File;
use super::journal::Journal;
use super::name::FileName;
use super::refusal::Refusal;
use super::shards::Shards;

/// Digits of a uuid that may stand for all of it, if no other uuid begins with them.
const MIN_PREFIX: usize = 4;
const UUID_DIGITS: usize = 32;

/// How many files an ambiguous reference lists.
pub(super) const CANDIDATES: usize = 5;

/// The files by uuid and by name; every file is in both maps.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    files: Shards,
    names: BTreeMap<FileName, Uuid>,
    bytes: u64,
    /// The sums of all files, added up.
    sum: u64,
    journal: Journal<Uuid, Arc<File>>,
}

impl Catalogue {
    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Bytes in all files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A number that is equal where all files are.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The files, by uuid.
    pub(super) fn files(&self) -> &Shards {
        &self.files
    }

    pub(super) fn get(&self, uuid: Uuid) -> Option<&File> {
        self.files.get(uuid).map(|file| &**file)
    }

    /// The file with exactly this name.
    pub(super) fn named(&self, name: &str) -> Option<(Uuid, &File)> {
        let &uuid = self.names.get(name)?;
        Some((uuid, self.get(uuid)?))
    }

    /// All files, by uuid.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Uuid, &File)> {
        self.files.range(Uuid::nil(), Uuid::max()).map(|(uuid, file)| (uuid, &**file))
    }

    /// The files whose names follow `after`, by name.
    pub(super) fn after(&self, after: Option<&str>) -> impl Iterator<Item = (Uuid, &File)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range::<str, _>((start, Bound::Unbounded));
        names.filter_map(|(_, &uuid)| Some((uuid, self.get(uuid)?)))
    }

    /// The file meant by `reference`: an exact name, else a uuid, else the beginning of exactly one
    /// uuid (at least 4 hexadecimal digits, dashes optional). Behind a `/`, with which no name
    /// begins, an exact name and nothing else.
    ///
    /// # Errors
    /// No such file, or several.
    pub(super) fn resolve(&self, reference: &str) -> Result<(Uuid, &File), Refusal> {
        let exact = reference.strip_prefix('/');
        let none = || Refusal::NoSuchFile { file: exact.unwrap_or(reference).to_owned() };
        if let Some(name) = exact {
            return self.named(name).ok_or_else(none);
        }
        if let Some(found) = self.named(reference) {
            return Ok(found);
        }
        let (lowest, highest) = uuids_beginning_with(reference).ok_or_else(none)?;
        let mut meant = self.files.range(lowest, highest).map(|(uuid, file)| (uuid, &**file));
        let (uuid, file) = meant.next().ok_or_else(none)?;
        let others: Vec<_> = meant.by_ref().take(CANDIDATES - 1).collect();
        if others.is_empty() {
            return Ok((uuid, file));
        }
        let candidates = [(uuid, file)].into_iter().chain(others);
        Err(Refusal::Ambiguous {
            prefix: reference.to_owned(),
            candidates: candidates.map(|(uuid, file)| (uuid, file.name.clone())).collect(),
            more: meant.next().is_some(),
        })
    }

    /// Adds a file whose uuid and name are free.
    pub(super) fn insert(&mut self, uuid: Uuid, mut file: File) {
        file.identify(uuid);
        self.journal.note(uuid, || None);
        self.put(uuid, Arc::new(file));
    }

    /// Puts a file whose uuid is free in the place of the one that has its name.
    pub(super) fn replace(&mut self, old: Uuid, uuid: Uuid, mut file: File) -> Option<Arc<File>> {
        let Some(holder) = self.names.get_mut(file.name.as_str()).filter(|it| **it == old) else {
            self.insert(uuid, file);
            return None;
        };
        *holder = uuid;
        file.identify(uuid);
        let before = self.files.remove(old)?;
        self.journal.note(old, || Some(Arc::clone(&before)));
        self.journal.note(uuid, || None);
        self.bytes = self.bytes - before.size() + file.size();
        self.sum = self.sum.wrapping_sub(before.sum).wrapping_add(file.sum);
        self.files.insert(uuid, Arc::new(file));
        Some(before)
    }

    pub(super) fn remove(&mut self, uuid: Uuid) -> Option<Arc<File>> {
        let file = self.take(uuid)?;
        self.journal.note(uuid, || Some(Arc::clone(&file)));
        Some(file)
    }

    /// Lets `grow` add to the file's content, as one change at log index `index`.
    pub(super) fn grow(
        &mut self,
        uuid: Uuid,
        index: u64,
        grow: impl FnOnce(&mut Content),
    ) -> Result<&File, Refusal> {
        self.journal.note(uuid, || self.files.get(uuid).cloned());
        let file = self.files.get_mut(uuid).ok_or(Refusal::Gone { uuid })?;
        let (bytes, sum) = (file.size(), file.sum);
        file.grow(index, grow);
        file.sum_up();
        self.bytes += file.size() - bytes;
        self.sum = self.sum.wrapping_sub(sum).wrapping_add(file.sum);
        Ok(file)
    }

    /// Gives the file a name that is free.
    pub(super) fn rename(
        &mut self,
        uuid: Uuid,
        name: FileName,
        index: u64,
    ) -> Result<&File, Refusal> {
        self.journal.note(uuid, || self.files.get(uuid).cloned());
        let file = self.files.get_mut(uuid).ok_or(Refusal::Gone { uuid })?;
        let sum = file.sum;
        self.names.remove(&file.name);
        self.names.insert(name.clone(), uuid);
        file.rename(name, index);
        file.identify(uuid);
        self.sum = self.sum.wrapping_sub(sum).wrapping_add(file.sum);
        Ok(file)
    }

    /// What follows can be undone.
    pub(super) fn begin(&mut self) {
        self.journal.begin();
    }

    /// What happened since `begin` stays.
    pub(super) fn commit(&mut self) {
        self.journal.end();
    }

    /// All is as it was at `begin`.
    pub(super) fn undo(&mut self) {
        let touched = self.journal.end();
        for &uuid in touched.keys() {
            self.take(uuid);
        }
        for (uuid, file) in touched {
            if let Some(file) = file {
                self.put(uuid, file);
            }
        }
    }

    fn put(&mut self, uuid: Uuid, file: Arc<File>) {
        self.bytes += file.size();
        self.sum = self.sum.wrapping_add(file.sum);
        self.names.insert(file.name.clone(), uuid);
        self.files.insert(uuid, file);
    }

    fn take(&mut self, uuid: Uuid) -> Option<Arc<File>> {
        let file = self.files.remove(uuid)?;
        self.names.remove(&file.name);
        self.bytes -= file.size();
        self.sum = self.sum.wrapping_sub(file.sum);
        Some(file)
    }
}

/// The first and the last uuid that begin with these digits; `None` if the text is no such thing.
pub(super) fn uuids_beginning_with(text: &str) -> Option<(Uuid, Uuid)> {
    let (mut value, mut digits) = (0_u128, 0);
    for character in text.chars().filter(|&character| character != '-') {
        value = value << 4 | u128::from(character.to_digit(16)?);
        digits += 1;
    }
    if !(MIN_PREFIX..=UUID_DIGITS).contains(&digits) {
        return None;
    }
    let open_bits = 4 * (UUID_DIGITS - digits);
    let lowest = value << open_bits;
    Some((Uuid::from_u128(lowest), Uuid::from_u128(lowest | ((1 << open_bits) - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(files: &[(u128, &str)]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for &(uuid, name) in files {
            let name = FileName::new(name).unwrap();
            catalogue.insert(Uuid::from_u128(uuid), File::new(name, Content::default(), 1));
        }
        catalogue
    }

    fn meant(catalogue: &Catalogue, reference: &str) -> Result<u128, Refusal> {
        catalogue.resolve(reference).map(|(uuid, _)| uuid.as_u128())
    }

    const A: u128 = 0x0f3a_0000_0000_0000_0000_0000_0000_0001;
    const B: u128 = 0x0f3a_0000_0000_0000_0000_0000_0000_0002;
    const C: u128 = 0x0f3b_ffff_ffff_ffff_ffff_ffff_ffff_ffff;

    #[test]
    fn a_reference_is_a_name_or_a_uuid_or_its_beginning() {
        let files = catalogue(&[(A, "a"), (B, "b"), (C, "c")]);
        assert_eq!(meant(&files, "b"), Ok(B));
        assert_eq!(meant(&files, "0f3b"), Ok(C));
        assert_eq!(meant(&files, "0F3B-ff"), Ok(C));
        assert_eq!(meant(&files, "0f3a00000000-0000-0000-000000000002"), Ok(B));
        assert_eq!(meant(&files, &Uuid::from_u128(A).to_string()), Ok(A));
        assert_eq!(meant(&files, &Uuid::from_u128(C).to_string()), Ok(C));
    }

    #[test]
    fn an_exact_name_wins_over_a_uuid() {
        let named_like_a = Uuid::from_u128(A).to_string();
        let files = catalogue(&[(A, "a"), (B, named_like_a.as_str()), (C, "0f3a")]);
        assert_eq!(meant(&files, &named_like_a), Ok(B));
        assert_eq!(meant(&files, "0f3a"), Ok(C));
    }

    #[test]
    fn behind_a_slash_stands_a_name_and_nothing_else() {
        let files = catalogue(&[(A, "a"), (C, "d/e")]);
        assert_eq!((meant(&files, "/a"), meant(&files, "/d/e")), (Ok(A), Ok(C)));
        let uuid = Uuid::from_u128(A).to_string();
        for name in ["0f3b", uuid.as_str(), "", "/a"] {
            let refusal = Refusal::NoSuchFile { file: name.into() };
            assert_eq!(meant(&files, &format!("/{name}")), Err(refusal));
        }
    }

    #[test]
    fn a_reference_to_nothing_is_refused_by_name() {
        let files = catalogue(&[(A, "a")]);
        let too_long = format!("{A:032x}0");
        for reference in ["", "b", "0f3", "0f3b", "-", "0f3ag", "été", too_long.as_str()] {
            let refusal = Refusal::NoSuchFile { file: reference.into() };
            assert_eq!(meant(&files, reference), Err(refusal));
        }
    }

    #[test]
    fn an_ambiguous_beginning_lists_up_to_five_files() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let numbered: Vec<_> = names.iter().zip(A..).map(|(&name, uuid)| (uuid, name)).collect();
        for (count, listed, more_than_listed) in [(2, 2, false), (5, 5, false), (6, 5, true)] {
            match meant(&catalogue(&numbered[..count]), "0f3a") {
                Err(Refusal::Ambiguous { prefix, candidates, more }) => {
                    assert_eq!((prefix.as_str(), more), ("0f3a", more_than_listed));
                    let found: Vec<_> = candidates
                        .iter()
                        .map(|(uuid, name)| (uuid.as_u128(), name.as_str()))
                        .collect();
                    assert_eq!(found, numbered[..listed]);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn removal_and_renaming_free_the_name() {
        let mut files = catalogue(&[(A, "a"), (B, "b")]);
        files.rename(Uuid::from_u128(A), FileName::new("c").unwrap(), 2).unwrap();
        files.remove(Uuid::from_u128(B));
        assert!(files.named("a").is_none() && files.named("b").is_none());
        assert_eq!(meant(&files, "c"), Ok(A));
        assert_eq!((files.len(), files.names.len()), (1, 1));
    }

    #[test]
    fn what_is_undone_leaves_no_trace() {
        let mut files = catalogue(&[(A, "a"), (B, "b")]);
        let before = (files.sum(), files.bytes(), files.len(), files.names.clone());
        let name = |text| FileName::new(text).unwrap();
        files.begin();
        files.remove(Uuid::from_u128(A));
        files.rename(Uuid::from_u128(B), name("a"), 2).unwrap();
        files.insert(Uuid::from_u128(A), File::new(name("b"), Content::default(), 2));
        files.grow(Uuid::from_u128(B), 2, |content| content.append(&"x".into())).unwrap();
        files.insert(Uuid::from_u128(C), File::new(name("c"), Content::default(), 2));
        files.undo();
        assert_eq!((files.sum(), files.bytes(), files.len(), files.names.clone()), before);
        assert_eq!((meant(&files, "a"), meant(&files, "b")), (Ok(A), Ok(B)));
    }

    #[test]
    fn pages_follow_the_names() {
        let files = catalogue(&[(3, "a"), (1, "b/x"), (2, "c")]);
        let page = |after| {
            files.after(after).map(|(_, file)| file.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(page(None), "a b/x c");
        assert_eq!(page(Some("a")), "b/x c");
        assert_eq!(page(Some("b")), "b/x c");
        assert_eq!(page(Some("c")), "");
    }
}
