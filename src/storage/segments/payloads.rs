//! Where the large payloads of the log stand on the disk, found by where they are in memory.
//!
//! The state machine keeps the content of files as slices of the log's own bytes. When such a slice
//! becomes a chunk of a snapshot, its bytes are on the disk already: they need not be written a
//! second time, if it is known where. The log holds on to every payload that is here, so no other
//! bytes can be in its place in memory.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::payload::places_of;
use crate::raft::{Entries, Index, Payload};

/// Less bytes are not worth it. The segments of tests are small.
const LARGE: usize = if cfg!(test) { 32 } else { 16 << 10 };

/// The large payloads of the entries that are in memory.
#[derive(Default)]
pub(super) struct Payloads {
    /// By the address of the first byte.
    by_address: BTreeMap<usize, Standing>,
    /// The entries, each with the address of its payload.
    order: VecDeque<(Index, usize)>,
}

/// A payload on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Standing {
    index: Index,
    length: usize,
    stand: Stand,
}

/// Where bytes stand in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stand {
    /// The number of the segment.
    pub(super) segment: u64,
    /// The first byte.
    pub(super) at: u64,
    /// The record that they are in: when that is durable, so are they.
    pub(super) sequence: u64,
}

impl Payloads {
    /// These entries stand in the record at `record`; those that were there from `first` on, and
    /// behind, are gone.
    pub(super) fn append(&mut self, first: Index, entries: &Entries, record: Stand) {
        while let Some((index, address)) = self.order.back().copied().filter(|it| it.0 >= first) {
            self.order.pop_back();
            self.forget(index, address);
        }
        for ((index, entry), place) in (first.0..).zip(entries.iter()).zip(places_of(entries)) {
            let Payload::Command(bytes) = &entry.payload else { continue };
            if bytes.len() >= LARGE {
                let (index, address) = (Index(index), bytes.as_ptr() as usize);
                let stand = Stand { at: record.at + place as u64, ..record };
                let standing = Standing { index, length: bytes.len(), stand };
                self.by_address.insert(address, standing);
                self.order.push_back((index, address));
            }
        }
    }

    /// The entries up to this one are gone.
    pub(super) fn compact(&mut self, to: Index) {
        while let Some((index, address)) = self.order.front().copied().filter(|it| it.0 <= to) {
            self.order.pop_front();
            self.forget(index, address);
        }
    }

    /// Where these bytes stand, if they are large and part of a payload.
    pub(super) fn find(&self, bytes: &Bytes) -> Option<Stand> {
        let address = bytes.as_ptr() as usize;
        let (start, standing) = self.by_address.range(..=address).next_back()?;
        let from = address - start;
        let within = bytes.len() >= LARGE && from + bytes.len() <= standing.length;
        within.then(|| Stand { at: standing.stand.at + from as u64, ..standing.stand })
    }

    /// The same bytes may be the payload of a later entry, too.
    fn forget(&mut self, index: Index, address: usize) {
        if self.by_address.get(&address).is_some_and(|standing| standing.index == index) {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Entry, Term};

    fn entries(payloads: &[&Bytes]) -> Entries {
        let entry = |bytes: &&Bytes| Payload::Command((*bytes).clone());
        payloads.iter().map(|bytes| Entry { term: Term(1), payload: entry(bytes) }).collect()
    }

    fn large(byte: u8) -> Bytes {
        vec![byte; LARGE + 100].into()
    }

    #[test]
    fn a_slice_of_a_payload_is_found_where_it_stands() {
        let (one, other, small) = (large(1), large(2), Bytes::from(vec![3; LARGE - 1]));
        let mut payloads = Payloads::default();
        let record = Stand { segment: 7, at: 1000, sequence: 5 };
        payloads.append(Index(1), &entries(&[&one, &small, &other]), record);
        let place = |bytes: &Bytes| payloads.find(bytes).map(|stand| stand.at);
        // 24 of the record, 16 before the first entry, 16 before each.
        let first = 1000 + 24 + 16 + 16;
        let behind = first + (one.len() + 16 + small.len() + 16) as u64;
        assert_eq!(place(&one), Some(first));
        assert_eq!(place(&one.slice(60..)), Some(first + 60));
        assert_eq!(place(&other.slice(..LARGE)), Some(behind));
        assert_eq!(place(&one.slice(101..)), None, "too small");
        assert_eq!((place(&small), place(&large(1))), (None, None));
    }

    #[test]
    fn what_is_replaced_or_compacted_is_not_found() {
        let all: Vec<_> = (0..4).map(large).collect();
        let mut payloads = Payloads::default();
        let stand = |segment| Stand { segment, at: 0, sequence: segment };
        payloads.append(Index(1), &entries(&[&all[0], &all[1], &all[2]]), stand(1));
        payloads.append(Index(2), &entries(&[&all[3], &all[1]]), stand(2));
        let segment = |payloads: &Payloads, number: usize| {
            payloads.find(&all[number]).map(|stand| stand.segment)
        };
        let found =
            |payloads: &Payloads| (0..4).map(|it| segment(payloads, it)).collect::<Vec<_>>();
        assert_eq!(found(&payloads), [Some(1), Some(2), None, Some(2)]);
        payloads.compact(Index(2));
        assert_eq!(found(&payloads), [None, Some(2), None, None]);
        // The same bytes as another entry.
        payloads.append(Index(4), &entries(&[&all[1]]), stand(3));
        payloads.compact(Index(3));
        assert_eq!(found(&payloads), [None, Some(3), None, None]);
    }
}
