//! Files by uuid, in a map that is cheap to copy.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::file::File;

/// How many of a uuid's first bits choose its shard: a million files make 256 shards of 3,906, and
/// a thousand do not make one each.
const SHARD_BITS: u32 = 8;

/// By uuids as numbers, which are in the same order, and compared in one instruction.
type Shard = BTreeMap<u128, Arc<File>>;

/// Files by uuid. A copy shares all shards with the original, and each of the two copies a shard,
/// and a file, when it first writes to it: so a copy of a million files is made in well under a
/// millisecond.
#[derive(Clone, Debug, Default)]
pub(super) struct Shards {
    /// All of them, or none while there are no files.
    shards: Vec<Option<Arc<Shard>>>,
    len: usize,
}

fn shard_of(uuid: Uuid) -> usize {
    (uuid.as_u128() >> (u128::BITS - SHARD_BITS)) as usize
}

impl Shards {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, uuid: Uuid) -> Option<&Arc<File>> {
        self.shards.get(shard_of(uuid))?.as_ref()?.get(&uuid.as_u128())
    }

    /// The file, to be written to.
    pub(super) fn get_mut(&mut self, uuid: Uuid) -> Option<&mut File> {
        let shard = self.shards.get_mut(shard_of(uuid))?.as_mut()?;
        Arc::make_mut(shard).get_mut(&uuid.as_u128()).map(Arc::make_mut)
    }

    /// All files from `lowest` to `highest`.
    pub(super) fn range(
        &self,
        lowest: Uuid,
        highest: Uuid,
    ) -> impl Iterator<Item = (Uuid, &Arc<File>)> {
        let count = (shard_of(highest) + 1).saturating_sub(shard_of(lowest));
        let shards = self.shards.iter().skip(shard_of(lowest)).take(count).flatten();
        let range = lowest.as_u128()..=highest.as_u128();
        let files = shards.flat_map(move |shard| shard.range(range.clone()));
        files.map(|(&uuid, file)| (Uuid::from_u128(uuid), file))
    }

    pub(super) fn insert(&mut self, uuid: Uuid, file: Arc<File>) {
        self.shards.resize(1 << SHARD_BITS, None);
        let shard = Arc::make_mut(self.shards[shard_of(uuid)].get_or_insert_default());
        self.len += usize::from(shard.insert(uuid.as_u128(), file).is_none());
    }

    pub(super) fn remove(&mut self, uuid: Uuid) -> Option<Arc<File>> {
        let place = self.shards.get_mut(shard_of(uuid))?;
        let shard = Arc::make_mut(place.as_mut()?);
        let file = shard.remove(&uuid.as_u128())?;
        if shard.is_empty() {
            *place = None;
        }
        self.len -= 1;
        Some(file)
    }

    /// The first file behind `after`. Shards before it are let go.
    pub(super) fn next_after(&mut self, after: Option<Uuid>) -> Option<(Uuid, Arc<File>)> {
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_u128()));
        for place in self.shards.iter_mut().skip(after.map_or(0, shard_of)) {
            if let Some(shard) = place
                && let Some((&uuid, file)) = shard.range((start, Bound::Unbounded)).next()
            {
                return Some((Uuid::from_u128(uuid), Arc::clone(file)));
            }
            *place = None;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::super::name::FileName;
    use super::*;

    fn file(name: &str) -> Arc<File> {
        Arc::new(File::new(FileName::new(name).unwrap(), Content::default(), 1))
    }

    fn uuid(shard: u128, number: u128) -> Uuid {
        Uuid::from_u128(shard << 116 | number)
    }

    #[test]
    fn a_copy_does_not_see_what_is_written_later() {
        let mut files = Shards::default();
        for shard in 0..3 {
            files.insert(uuid(shard, 1), file("a"));
        }
        let copy = files.clone();
        files.get_mut(uuid(0, 1)).unwrap().rename(FileName::new("b").unwrap(), 2);
        files.remove(uuid(1, 1));
        files.insert(uuid(2, 2), file("c"));
        assert_eq!((copy.len(), files.len()), (3, 3));
        let names: Vec<_> = copy.range(Uuid::nil(), Uuid::max()).map(|(_, f)| &f.name).collect();
        assert!(names.iter().all(|name| name.as_str() == "a"));
        // What nobody wrote to is still shared.
        assert!(Arc::ptr_eq(copy.get(uuid(2, 1)).unwrap(), files.get(uuid(2, 1)).unwrap()));
    }

    #[test]
    fn files_are_in_order_across_shards() {
        let mut files = Shards::default();
        let uuids = [uuid(0, 5), uuid(0, 6), uuid(7, 0), uuid(4095, 1)];
        for uuid in uuids.into_iter().rev() {
            files.insert(uuid, file("a"));
        }
        let found = |from, to| files.range(from, to).map(|(uuid, _)| uuid).collect::<Vec<_>>();
        assert_eq!(found(Uuid::nil(), Uuid::max()), uuids);
        assert_eq!(found(uuids[1], uuids[2]), uuids[1..3]);
        let mut walked = Vec::new();
        while let Some((uuid, _)) = files.next_after(walked.last().copied()) {
            walked.push(uuid);
        }
        assert_eq!(walked, uuids);
    }
}
