//! A snapshot on its way from the leader to a follower: what the leader sends when it is asked,
//! and what the follower asks for.
//!
//! A snapshot travels as the list of its chunks, in pages, and the chunks that the follower lacks,
//! each named by the blake3 hash of its bytes. Nothing depends on the order in which they come, on
//! who sends them, or on how often.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::raft::{ChunkId, Fetched, Part, Position, SnapshotMeta, Time};
use crate::storage::Snapshot;

/// Names of chunks on one page of a list.
const PAGE: usize = 8192;
/// Most pages of a list: with chunks of 64 KiB, a snapshot of 2 TiB.
const MAX_PAGES: u32 = 4096;
/// Parts that are asked for and have not come, at most. With chunks of 1 MiB this bounds what one
/// transfer holds in memory and in the network to 16 MiB.
const WINDOW: usize = 16;
/// The shortest and the longest time after which a part is asked for again.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// After this time at the latest the first of them is: a link that works again shows soon, and one
/// that is slow is not filled with what is on its way already.
const PROBE: Duration = Duration::from_secs(1);

/// One page of the list of a snapshot's chunks.
#[derive(Serialize, Deserialize)]
struct Page {
    meta: SnapshotMeta,
    pages: u32,
    chunks: Vec<ChunkId>,
}

/// A page of a snapshot's list, as it travels; `None` if it has no such page.
pub(crate) fn page(snapshot: &Snapshot, number: u32) -> Option<Bytes> {
    let pages = snapshot.chunks.len().div_ceil(PAGE).max(1);
    if number as usize >= pages {
        return None;
    }
    let chunks = snapshot.chunks.iter().skip(number as usize * PAGE).take(PAGE).copied().collect();
    let page = Page { meta: snapshot.meta.clone(), pages: pages as u32, chunks };
    let bytes = postcard::to_stdvec(&page).expect("invariant: a vector grows, and pages serialize");
    Some(bytes.into())
}

/// A follower's view of a snapshot that it is offered.
pub(crate) struct Fetch {
    last_included: Position,
    meta: Option<SnapshotMeta>,
    /// The pages of the list; none as long as their number is not known.
    pages: Vec<Option<Vec<ChunkId>>>,
    /// The chunks that are neither here nor asked for, once the list is complete.
    lacking: VecDeque<ChunkId>,
    /// What was asked for and has not come, and when.
    asked: BTreeMap<Part, Time>,
    /// How many different chunks there are, and how many of them had to come.
    chunks: u64,
    sent: u64,
    /// After how long a part is asked for again: a few times what the last ones took.
    patience: Duration,
}

/// What is to be done with a part that came.
pub(crate) enum Came {
    /// Nothing: it was not asked for, came before, or is not what it claims to be.
    Nothing,
    /// The list is complete: say which of these chunks are here, by [`Fetch::lack`].
    List(BTreeSet<ChunkId>),
    /// Keep this chunk.
    Chunk(ChunkId, Bytes),
}

impl Fetch {
    pub(crate) fn new(last_included: Position) -> Self {
        Self {
            last_included,
            meta: None,
            pages: Vec::new(),
            lacking: VecDeque::new(),
            asked: BTreeMap::new(),
            chunks: 0,
            sent: 0,
            patience: PATIENCE.0,
        }
    }

    pub(crate) fn last_included(&self) -> Position {
        self.last_included
    }

    /// Different chunks that had to be sent, and all of them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.sent, self.chunks)
    }

    pub(crate) fn have(&self) -> Fetched {
        let asked = self.asked.keys().filter(|part| matches!(part, Part::Chunk(_))).count();
        let missing = (self.lacking.len() + asked) as u64;
        Fetched { chunks: self.chunks - missing, of: self.chunks }
    }

    /// What to ask for now, the first time or again.
    pub(crate) fn wants(&mut self, now: Time) -> Vec<Part> {
        let (mut wants, patience) = (Vec::new(), self.patience);
        for (place, (part, asked_at)) in self.asked.iter_mut().enumerate() {
            let waited = now.since(*asked_at);
            if waited >= patience {
                self.patience = (patience * 2).min(PATIENCE.1);
            }
            if waited >= patience || place == 0 && waited >= PROBE {
                *asked_at = now;
                wants.push(*part);
            }
        }
        while self.asked.len() < WINDOW
            && let Some(part) = self.next()
        {
            self.asked.insert(part, now);
            wants.push(part);
        }
        wants
    }

    fn next(&mut self) -> Option<Part> {
        if self.pages.is_empty() {
            let first = Part::List(0);
            return (!self.asked.contains_key(&first)).then_some(first);
        }
        let unasked = |(number, page): (usize, &Option<_>)| {
            let part = Part::List(number as u32);
            (page.is_none() && !self.asked.contains_key(&part)).then_some(part)
        };
        let page = self.pages.iter().enumerate().find_map(unasked);
        page.or_else(|| self.lacking.pop_front().map(Part::Chunk))
    }

    /// A part came.
    pub(crate) fn came(&mut self, part: Part, bytes: &Bytes, now: Time) -> Came {
        let Some(asked_at) = self.asked.get(&part).copied() else { return Came::Nothing };
        let came = match part {
            Part::List(number) => self.list_came(number, bytes),
            Part::Chunk(id) => (blake3::hash(bytes) == id.0).then(|| {
                self.sent += 1;
                Came::Chunk(id, bytes.clone())
            }),
        };
        let Some(came) = came else { return Came::Nothing };
        self.asked.remove(&part);
        let took = now.since(asked_at) * 4;
        self.patience = (self.patience / 2).max(took).clamp(PATIENCE.0, PATIENCE.1);
        came
    }

    /// `None` if it is no page of the snapshot that was offered.
    fn list_came(&mut self, number: u32, bytes: &[u8]) -> Option<Came> {
        let page: Page = postcard::from_bytes(bytes).ok()?;
        let fits = page.meta.last_included == self.last_included
            && (1..=MAX_PAGES).contains(&page.pages)
            && (self.pages.is_empty() || self.pages.len() == page.pages as usize)
            && page.chunks.len() <= PAGE;
        if !fits || number >= page.pages {
            return None;
        }
        self.pages.resize(page.pages as usize, None);
        self.pages[number as usize] = Some(page.chunks);
        self.meta = Some(page.meta);
        if self.pages.iter().any(Option::is_none) {
            return Some(Came::Nothing);
        }
        let all: BTreeSet<_> = self.pages.iter().flatten().flatten().copied().collect();
        self.chunks = all.len() as u64;
        Some(Came::List(all))
    }

    /// Of the chunks of the list, `lacking` are not here.
    pub(crate) fn lack(&mut self, lacking: impl IntoIterator<Item = ChunkId>) {
        self.lacking = lacking.into_iter().collect();
    }

    /// The snapshot, once every chunk of it has come.
    pub(crate) fn complete(&self) -> Option<Snapshot> {
        let listed = !self.pages.is_empty() && self.pages.iter().all(Option::is_some);
        if !listed || !self.lacking.is_empty() || !self.asked.is_empty() {
            return None;
        }
        let chunks = self.pages.iter().flatten().flatten().copied().collect();
        Some(Snapshot { meta: self.meta.clone()?, chunks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Index, Term};

    fn chunk(number: usize) -> (ChunkId, Bytes) {
        let bytes = Bytes::from(format!("chunk {number}"));
        (ChunkId(blake3::hash(&bytes).into()), bytes)
    }

    fn snapshot(chunks: usize) -> Snapshot {
        let last_included = Position::new(Term(2), Index(9));
        let meta = SnapshotMeta { last_included, ..SnapshotMeta::default() };
        Snapshot { meta, chunks: (0..chunks).map(|number| chunk(number).0).collect() }
    }

    fn ms(milliseconds: u64) -> Time {
        Time::default() + Duration::from_millis(milliseconds)
    }

    /// Answers everything that is asked for, and returns how often chunks were.
    fn carry(fetch: &mut Fetch, all: &Snapshot, here: &[usize], now: Time) -> usize {
        let here: BTreeSet<_> = here.iter().map(|number| chunk(*number).0).collect();
        let bytes: BTreeMap<_, _> = (0..all.chunks.len()).map(chunk).collect();
        let mut asked = 0;
        loop {
            let wants = fetch.wants(now);
            assert!(wants.len() <= WINDOW);
            if wants.is_empty() {
                return asked;
            }
            for part in wants {
                let part_bytes = match part {
                    Part::List(number) => page(all, number).unwrap(),
                    Part::Chunk(id) => {
                        asked += 1;
                        bytes[&id].clone()
                    }
                };
                if let Came::List(ids) = fetch.came(part, &part_bytes, now) {
                    fetch.lack(ids.difference(&here).copied());
                }
            }
        }
    }

    #[test]
    fn only_what_is_lacking_is_asked_for_and_once() {
        let all = snapshot(100);
        let mut fetch = Fetch::new(all.meta.last_included);
        let here: Vec<_> = (20..100).collect();
        assert_eq!(carry(&mut fetch, &all, &here, ms(0)), 20);
        assert_eq!(fetch.complete(), Some(all));
        assert_eq!((fetch.have(), fetch.counts()), (Fetched { chunks: 100, of: 100 }, (20, 100)));
    }

    #[test]
    fn a_long_list_comes_in_pages_in_any_order() {
        let all = snapshot(PAGE * 2 + 5);
        let mut fetch = Fetch::new(all.meta.last_included);
        assert_eq!(fetch.wants(ms(0)), [Part::List(0)], "how many there are is not known");
        fetch.came(Part::List(0), &page(&all, 0).unwrap(), ms(0));
        assert_eq!(fetch.wants(ms(0)), [Part::List(1), Part::List(2)]);
        fetch.came(Part::List(2), &page(&all, 2).unwrap(), ms(0));
        let last = fetch.came(Part::List(1), &page(&all, 1).unwrap(), ms(0));
        assert!(matches!(last, Came::List(ids) if ids.len() == PAGE * 2 + 5));
        assert_eq!(page(&all, 3), None);
    }

    #[test]
    fn what_is_lost_is_asked_for_again_later_and_what_comes_twice_changes_nothing() {
        let all = snapshot(3);
        let mut fetch = Fetch::new(all.meta.last_included);
        let list = page(&all, 0).unwrap();
        fetch.wants(ms(0));
        assert!(fetch.wants(ms(50)).is_empty(), "it is on its way");
        assert_eq!(fetch.wants(ms(100)), [Part::List(0)]);
        assert!(matches!(fetch.came(Part::List(0), &list, ms(110)), Came::List(_)));
        assert!(matches!(fetch.came(Part::List(0), &list, ms(120)), Came::Nothing));
    }

    /// What a long time without answers has taught is soon unlearnt.
    #[test]
    fn a_link_that_works_again_is_used_within_a_second_or_two() {
        let all = snapshot(WINDOW);
        let mut fetch = Fetch::new(all.meta.last_included);
        fetch.wants(ms(0));
        let list = page(&all, 0).unwrap();
        if let Came::List(ids) = fetch.came(Part::List(0), &list, ms(10)) {
            fetch.lack(ids);
        }
        let lost = (0..30_000).step_by(50).map(|at| fetch.wants(ms(at)).len()).sum::<usize>();
        assert!(lost < 12 * WINDOW, "{lost} parts were asked for again and again");
        let mut at = 30_000;
        while fetch.complete().is_none() {
            for part in fetch.wants(ms(at)) {
                let Part::Chunk(id) = part else { panic!("the list is here") };
                let bytes = (0..WINDOW).map(chunk).find(|(it, _)| *it == id).unwrap().1;
                fetch.came(part, &bytes, ms(at + 20));
            }
            at += 50;
            assert!(at < 32_000, "{:?} of {:?}", fetch.counts(), fetch.have());
        }
    }

    /// Bad input of any kind is as good as lost.
    #[test]
    fn what_is_not_what_it_claims_to_be_is_not_taken() {
        let all = snapshot(2);
        let mut fetch = Fetch::new(all.meta.last_included);
        fetch.wants(ms(0));
        let mut other = all.clone();
        other.meta.last_included.index = Index(8);
        for bytes in [Bytes::new(), Bytes::from_static(b"\xff\xff"), page(&other, 0).unwrap()] {
            assert!(matches!(fetch.came(Part::List(0), &bytes, ms(1)), Came::Nothing));
        }
        let list = page(&all, 0).unwrap();
        if let Came::List(ids) = fetch.came(Part::List(0), &list, ms(1)) {
            fetch.lack(ids);
        }
        let wants = fetch.wants(ms(1));
        let (id, bytes) = chunk(0);
        assert!(wants.contains(&Part::Chunk(id)));
        let harmed = Bytes::from_static(b"chunk 1");
        assert!(matches!(fetch.came(Part::Chunk(id), &harmed, ms(2)), Came::Nothing));
        assert!(matches!(fetch.came(Part::Chunk(id), &bytes, ms(2)), Came::Chunk(..)));
        assert_eq!(fetch.complete(), None);
    }
}
