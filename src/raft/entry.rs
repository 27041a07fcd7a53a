//! Log entries and contiguous runs of them. The [`Node`](super::Node) never touches a payload: it
//! names ranges of the log, and whoever drives it keeps the entries.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::{Configuration, Term};

/// What an entry carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Nothing: a new leader's first entry, which lets it commit what earlier terms left
    /// (section 8).
    NoOp,
    /// The members of the cluster from here on (section 6): every server goes by the latest
    /// configuration in its log, committed or not.
    Configuration(Arc<Configuration>),
    /// A command for the state machine, opaque to the protocol.
    Command(Bytes),
}

/// One log entry (section 5.3); its index is its place in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The term of the leader that created it.
    pub term: Term,
    /// What it carries.
    pub payload: Payload,
}

/// All that the protocol needs to know of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryMeta {
    /// The term of the leader that created it.
    pub term: Term,
    /// The payload's size in bytes.
    pub bytes: u32,
    /// What it carries, if that is a configuration.
    pub configuration: Option<Arc<Configuration>>,
}

/// A contiguous run of entries, shared and never copied: the leader's batch, the messages that
/// carry it and every in-process log that keeps it are views of the same blocks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Entries {
    slices: SmallVec<[Slice; 1]>,
}

#[derive(Clone)]
struct Slice {
    block: Arc<[Entry]>,
    from: u32,
    to: u32,
}

impl Entry {
    /// The entry as the protocol sees it.
    pub fn meta(&self) -> EntryMeta {
        let (bytes, configuration) = match &self.payload {
            Payload::NoOp => (0, None),
            Payload::Configuration(configuration) => (0, Some(configuration.clone())),
            Payload::Command(command) => (u32::try_from(command.len()).unwrap_or(u32::MAX), None),
        };
        EntryMeta { term: self.term, bytes, configuration }
    }
}

impl Entry {
    /// The bytes of the payload: only commands have any.
    pub fn bytes(&self) -> u64 {
        match &self.payload {
            Payload::Command(command) => command.len() as u64,
            Payload::NoOp | Payload::Configuration(_) => 0,
        }
    }
}

impl EntryMeta {
    /// A command, or a no-op, of this size in bytes.
    pub fn new(term: Term, bytes: u32) -> Self {
        Self { term, bytes, configuration: None }
    }
}

impl Slice {
    fn entries(&self) -> &[Entry] {
        &self.block[self.from as usize..self.to as usize]
    }

    fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    /// From the `start`th entry up to, not including, the `end`th, which must be there.
    fn part(&self, start: usize, end: usize) -> Option<Slice> {
        let (from, to) = (self.from + start as u32, self.from + end as u32);
        (from < to).then(|| Slice { block: self.block.clone(), from, to })
    }
}

impl PartialEq for Slice {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl Eq for Slice {}

impl Entries {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slices.iter().map(Slice::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slices.iter().flat_map(Slice::entries)
    }

    /// The bytes of all payloads.
    pub fn bytes(&self) -> u64 {
        let of = |slice: &Slice| slice.entries().iter().map(Entry::bytes).sum::<u64>();
        self.slices.iter().map(of).sum()
    }

    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.slices.last().and_then(|slice| slice.entries().last())
    }

    /// The entries from the `start`th up to, not including, the `end`th; both are cut to what
    /// there is.
    pub fn slice(&self, start: usize, end: usize) -> Entries {
        if let [only] = &self.slices[..] {
            // Most runs are one slice.
            let (from, to) = (start.min(only.len()), end.min(only.len()));
            let part = only.part(from, to);
            return part.map_or_else(Entries::default, |part| Entries { slices: smallvec![part] });
        }
        let mut result = Entries::default();
        let mut passed = 0;
        for slice in &self.slices {
            let (from, to) = (start.max(passed), end.min(passed + slice.len()));
            if from < to {
                let part = slice.part(from - passed, to - passed);
                part.into_iter().for_each(|part| result.slices.push(part));
            }
            passed += slice.len();
            if passed >= end {
                break;
            }
        }
        result
    }

    /// Adds the entries of `other` behind these.
    pub fn extend(&mut self, other: Entries) {
        if self.slices.is_empty() {
            self.slices = other.slices;
        } else {
            other.slices.into_iter().for_each(|slice| self.slices.push(slice));
        }
    }
}

impl From<Vec<Entry>> for Entries {
    fn from(entries: Vec<Entry>) -> Self {
        entries.into_iter().collect()
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        // Straight into the shared block if the length is known.
        let block: Arc<[Entry]> = entries.into_iter().collect();
        if block.is_empty() {
            return Self::default();
        }
        let to = u32::try_from(block.len()).expect("invariant: a batch holds less than 2^32");
        Self { slices: smallvec![Slice { block, from: 0, to }] }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
